/** The few kinds of Kubernetes objects that the tests touch: what they read of them, and where the API has them. */

export interface KubeObject {
    apiVersion: string;
    kind: string;
    metadata: {
        name: string;
        namespace?: string;
        labels?: Record<string, string>;
        annotations?: Record<string, string>;
        finalizers?: string[];
        ownerReferences?: { apiVersion: string; kind: string; name: string; uid: string; controller?: boolean; blockOwnerDeletion?: boolean }[];
        resourceVersion?: string;
        uid?: string;
        generation?: number;
        deletionTimestamp?: string;
    };
}

/** What people write of an object. Its version would change as well when a controller notes how it is doing. */
export function contentOf({ metadata, spec }: KubeObject & { spec?: unknown }): object {
    const { labels, annotations: { "deployment.kubernetes.io/revision": _, ...annotations } = {}, finalizers, uid } = metadata;
    return { uid, labels, annotations, finalizers, spec };
}

export interface Deployment extends KubeObject {
    spec: { replicas: number; selector: object; template: { metadata: object; spec: PodSpec } };
    status?: { replicas?: number; availableReplicas?: number; conditions?: Condition[] };
}

export interface PodSpec {
    containers: { name: string; env?: { name: string; value?: string }[] }[];
    securityContext?: object;
    terminationGracePeriodSeconds?: number;
}

export interface NetworkPolicy extends KubeObject {
    spec: { egress: { to?: { ipBlock?: { cidr: string } }[]; ports?: { port: number | string; protocol?: string }[] }[] };
}

export interface Pod extends KubeObject {
    status?: {
        phase?: string;
        podIP?: string;
        conditions?: Condition[];
        containerStatuses?: { restartCount: number; state?: { waiting?: { reason?: string }; running?: object } }[];
    };
}

export interface Condition {
    type: string;
    status: string;
    reason?: string;
    message?: string;
}

export interface StatefulSet extends KubeObject {
    spec: { replicas: number };
    status?: { replicas?: number; availableReplicas?: number; updatedReplicas?: number };
}

export interface Gateway extends KubeObject {
    status?: { conditions?: Condition[] };
}

export interface HTTPRoute extends KubeObject {
    status?: { parents?: { controllerName: string; conditions?: Condition[] }[] };
}

export interface CustomResourceDefinition extends KubeObject {
    status?: { conditions?: Condition[] };
}

export interface ResourceQuota extends KubeObject {
    status?: { hard?: Record<string, string> };
}

export interface Service extends KubeObject {
    spec: {
        type: "ClusterIP" | "ExternalName";
        externalName?: string;
        clusterIP?: string;
        selector?: Record<string, string>;
        ports: { name?: string; port: number; targetPort?: number | string; protocol?: string }[];
    };
}

export interface Ingress extends KubeObject {
    spec: {
        rules: { host: string; http: { paths: { path: string; pathType: string; backend: { service: { name: string; port: object } } }[] } }[];
    };
}

export interface EndpointSlice extends KubeObject {
    endpoints: { addresses: string[]; conditions?: { ready?: boolean }; targetRef?: { uid?: string } }[] | null;
}

export interface ValidatingAdmissionPolicy extends KubeObject {
    status?: { observedGeneration?: number; typeChecking?: { expressionWarnings?: object[] } };
}

/** What is noted on another object. */
export interface Event extends KubeObject {
    type: string;
    reason: string;
    note: string;
    regarding: { kind: string; name: string; uid?: string };
}

/** A custom resource with a `/scale`. */
export interface CustomWorkload extends KubeObject {
    spec: { replicas: number; [field: string]: unknown };
    status?: { replicas?: number; readyReplicas?: number; availableReplicas?: number; [field: string]: unknown };
}

export interface Kinds {
    ClusterRole: KubeObject;
    ClusterRoleBinding: KubeObject;
    RoleBinding: KubeObject;
    CustomResourceDefinition: CustomResourceDefinition;
    Deployment: Deployment;
    EndpointSlice: EndpointSlice;
    Endpoints: KubeObject;
    Event: Event;
    Gateway: Gateway;
    GatewayClass: KubeObject;
    HTTPRoute: HTTPRoute;
    HorizontalPodAutoscaler: KubeObject;
    Ingress: Ingress;
    IngressClass: KubeObject;
    MutatingAdmissionPolicy: KubeObject;
    MutatingAdmissionPolicyBinding: KubeObject;
    Namespace: KubeObject;
    NetworkPolicy: NetworkPolicy;
    Node: KubeObject;
    PersistentVolume: KubeObject;
    PersistentVolumeClaim: KubeObject;
    Pod: Pod;
    PodDisruptionBudget: KubeObject;
    PodMetrics: KubeObject;
    ResourceQuota: ResourceQuota;
    Rollout: CustomWorkload;
    Sandbox: CustomWorkload;
    ScaledObject: KubeObject;
    Secret: KubeObject;
    Service: Service;
    ServiceAccount: KubeObject;
    ServiceCIDR: KubeObject;
    StatefulSet: StatefulSet;
    ValidatingAdmissionPolicy: ValidatingAdmissionPolicy;
    ValidatingAdmissionPolicyBinding: KubeObject;
    ValidatingWebhookConfiguration: KubeObject;
}

export type Kind = keyof Kinds;

const GROUPS: Record<Kind, { group: string; plural: string; isNamespaced: boolean }> = {
    ClusterRole: { group: "/apis/rbac.authorization.k8s.io/v1", plural: "clusterroles", isNamespaced: false },
    ClusterRoleBinding: { group: "/apis/rbac.authorization.k8s.io/v1", plural: "clusterrolebindings", isNamespaced: false },
    RoleBinding: { group: "/apis/rbac.authorization.k8s.io/v1", plural: "rolebindings", isNamespaced: true },
    CustomResourceDefinition: { group: "/apis/apiextensions.k8s.io/v1", plural: "customresourcedefinitions", isNamespaced: false },
    Deployment: { group: "/apis/apps/v1", plural: "deployments", isNamespaced: true },
    EndpointSlice: { group: "/apis/discovery.k8s.io/v1", plural: "endpointslices", isNamespaced: true },
    Endpoints: { group: "/api/v1", plural: "endpoints", isNamespaced: true },
    Event: { group: "/apis/events.k8s.io/v1", plural: "events", isNamespaced: true },
    Gateway: { group: "/apis/gateway.networking.k8s.io/v1", plural: "gateways", isNamespaced: true },
    GatewayClass: { group: "/apis/gateway.networking.k8s.io/v1", plural: "gatewayclasses", isNamespaced: false },
    HTTPRoute: { group: "/apis/gateway.networking.k8s.io/v1", plural: "httproutes", isNamespaced: true },
    HorizontalPodAutoscaler: { group: "/apis/autoscaling/v2", plural: "horizontalpodautoscalers", isNamespaced: true },
    Ingress: { group: "/apis/networking.k8s.io/v1", plural: "ingresses", isNamespaced: true },
    IngressClass: { group: "/apis/networking.k8s.io/v1", plural: "ingressclasses", isNamespaced: false },
    MutatingAdmissionPolicy: { group: "/apis/admissionregistration.k8s.io/v1", plural: "mutatingadmissionpolicies", isNamespaced: false },
    MutatingAdmissionPolicyBinding: { group: "/apis/admissionregistration.k8s.io/v1", plural: "mutatingadmissionpolicybindings", isNamespaced: false },
    Namespace: { group: "/api/v1", plural: "namespaces", isNamespaced: false },
    NetworkPolicy: { group: "/apis/networking.k8s.io/v1", plural: "networkpolicies", isNamespaced: true },
    Node: { group: "/api/v1", plural: "nodes", isNamespaced: false },
    PersistentVolume: { group: "/api/v1", plural: "persistentvolumes", isNamespaced: false },
    PersistentVolumeClaim: { group: "/api/v1", plural: "persistentvolumeclaims", isNamespaced: true },
    Pod: { group: "/api/v1", plural: "pods", isNamespaced: true },
    PodDisruptionBudget: { group: "/apis/policy/v1", plural: "poddisruptionbudgets", isNamespaced: true },
    PodMetrics: { group: "/apis/metrics.k8s.io/v1beta1", plural: "pods", isNamespaced: true },
    Rollout: { group: "/apis/argoproj.io/v1alpha1", plural: "rollouts", isNamespaced: true },
    Sandbox: { group: "/apis/sandboxes.test/v1", plural: "sandboxes", isNamespaced: true },
    ScaledObject: { group: "/apis/keda.sh/v1alpha1", plural: "scaledobjects", isNamespaced: true },
    ResourceQuota: { group: "/api/v1", plural: "resourcequotas", isNamespaced: true },
    Secret: { group: "/api/v1", plural: "secrets", isNamespaced: true },
    Service: { group: "/api/v1", plural: "services", isNamespaced: true },
    ServiceAccount: { group: "/api/v1", plural: "serviceaccounts", isNamespaced: true },
    ServiceCIDR: { group: "/apis/networking.k8s.io/v1", plural: "servicecidrs", isNamespaced: false },
    StatefulSet: { group: "/apis/apps/v1", plural: "statefulsets", isNamespaced: true },
    ValidatingAdmissionPolicy: { group: "/apis/admissionregistration.k8s.io/v1", plural: "validatingadmissionpolicies", isNamespaced: false },
    ValidatingAdmissionPolicyBinding: {
        group: "/apis/admissionregistration.k8s.io/v1",
        plural: "validatingadmissionpolicybindings",
        isNamespaced: false,
    },
    ValidatingWebhookConfiguration: {
        group: "/apis/admissionregistration.k8s.io/v1",
        plural: "validatingwebhookconfigurations",
        isNamespaced: false,
    },
};

/** Where the API has the objects of a kind: all of them, those of a namespace, or one. */
export function pathOf(kind: Kind, namespace?: string, name?: string): string {
    const found = GROUPS[kind];
    if (!found) throw new Error(`nobody said where ${kind} is`);
    const { group, plural, isNamespaced } = found;
    const inNamespace = isNamespaced && namespace ? `/namespaces/${namespace}` : "";
    return `${group}${inNamespace}/${plural}${name ? `/${name}` : ""}`;
}
