/** What can keep an app from starting, and how each of it is mended. */
import { type Api } from "./api";
import { type App, IMAGE } from "./app";
import { type Condition, type Deployment, type Kinds, type KubeObject, type Pod } from "./objects";
import { until } from "./wait";

export interface Trouble {
    name: string;
    /** What the visitor is told. */
    reason: string;
    /** Whether it ends an event stream, or is told while waiting. */
    event: "failure" | "progress";
    restarts?: number;
    message: string;
    make: (api: Api, app: App) => Promise<void>;
    fix: (api: Api, app: App) => Promise<void>;
    isReported: Report;
}

/** How the cluster reports it. */
export type Report = { in: "Pod"; by: (pod: Pod) => boolean } | { in: "Deployment"; by: (deployment: Deployment) => boolean };

/** Stages of kwok's that are selected by this annotation are in stages.yaml. */
const ANNOTATION = "unidler.tests/trouble";

/** What a container refers to that is not there: in the kubelet's message, as stages.yaml has it. */
export const CONFIG_MAP = "config-map-of-the-app";

const ARE_REFUSED: Report = { in: "Deployment", by: ({ status }) => hasCondition(status?.conditions, "ReplicaFailure", "FailedCreate") };

export const TROUBLES: Trouble[] = [
    {
        name: "an image that cannot be pulled",
        reason: "image_unavailable",
        event: "failure",
        message: "The app cannot be downloaded.",
        make: (api, app) => annotate(api, app, "image"),
        fix: (api, app) => annotate(api, app, null),
        isReported: { in: "Pod", by: (pod) => ["ErrImagePull", "ImagePullBackOff"].includes(waitsFor(pod)) },
    },
    {
        name: "a crash loop",
        reason: "crash_loop",
        event: "failure",
        restarts: 4,
        message: "The app keeps stopping right after it starts.",
        make: (api, app) => annotate(api, app, "crash"),
        fix: (api, app) => annotate(api, app, null),
        isReported: { in: "Pod", by: (pod) => waitsFor(pod) === "CrashLoopBackOff" },
    },
    {
        name: "a container that keeps running out of memory",
        reason: "out_of_memory",
        event: "failure",
        restarts: 4,
        message: "The app keeps running out of memory.",
        make: (api, app) => annotate(api, app, "memory"),
        fix: (api, app) => annotate(api, app, null),
        isReported: { in: "Pod", by: (pod) => waitsFor(pod) === "CrashLoopBackOff" },
    },
    {
        name: "a container that cannot be created",
        reason: "cannot_run",
        event: "progress",
        message: "The app is set up in a way that cannot run.",
        make: (api, app) => annotate(api, app, "create"),
        fix: (api, app) => annotate(api, app, null),
        isReported: { in: "Pod", by: (pod) => waitsFor(pod) === "CreateContainerError" },
    },
    {
        name: "a ConfigMap that is not there",
        reason: "bad_configuration",
        event: "failure",
        message: "The app is missing a setting that it needs.",
        make: (api, app) => annotate(api, app, "config"),
        fix: (api, app) => annotate(api, app, null),
        isReported: { in: "Pod", by: (pod) => waitsFor(pod) === "CreateContainerConfigError" },
    },
    {
        name: "a readiness probe that does not pass",
        reason: "not_passing_checks",
        event: "progress",
        message: "The app is running, but is not ready yet.",
        make: (api, app) => annotate(api, app, "probe"),
        fix: (api, app) => annotate(api, app, null),
        isReported: { in: "Pod", by: (pod) => !!pod.status?.containerStatuses?.some(({ state }) => state?.running) },
    },
    {
        name: "no room on any node",
        reason: "no_room",
        event: "progress",
        message: "There is no server with enough room to run the app right now.",
        make: (api, app) => request(api, app, "2000"),
        fix: (api, app) => request(api, app, "1"),
        isReported: { in: "Pod", by: ({ status }) => isUnschedulable(status?.conditions) },
    },
    {
        name: "no node that the pods may run on",
        reason: "no_server",
        event: "progress",
        message: "There is no server available that can run the app.",
        make: (api, app) => template(api, app, { spec: { nodeSelector: { "unidler.tests/kind": "none" } } }),
        fix: (api, app) => template(api, app, { spec: { nodeSelector: null } }),
        isReported: { in: "Pod", by: ({ status }) => isUnschedulable(status?.conditions) },
    },
    {
        name: "a scheduling gate",
        reason: "held_back",
        event: "progress",
        message: "The app is being held back on purpose.",
        make: (api, app) => template(api, app, { spec: { schedulingGates: [{ name: "unidler.tests/gate" }] } }),
        fix: (api, app) => template(api, app, { spec: { schedulingGates: null } }),
        isReported: { in: "Pod", by: ({ status }) => hasCondition(status?.conditions, "PodScheduled", "SchedulingGated") },
    },
    {
        name: "a node that takes its time with storage or network",
        reason: "sandbox_pending",
        event: "progress",
        message: "The server is still connecting the app's storage or network.",
        make: (api, app) => annotate(api, app, "sandbox"),
        fix: (api, app) => annotate(api, app, null),
        isReported: {
            in: "Pod",
            by: ({ status }) => !!status?.conditions?.some(({ type, status }) => type === "PodReadyToStartContainers" && status === "False"),
        },
    },
    {
        name: "a volume that is not there yet",
        reason: "volume_pending",
        event: "progress",
        message: "The app's storage is not ready yet.",
        make: claimVolume,
        fix: provideVolume,
        isReported: { in: "Pod", by: ({ status }) => isUnschedulable(status?.conditions) },
    },
    {
        name: "a quota that refuses the pods",
        reason: "pods_refused",
        event: "failure",
        message: "The app is not allowed to start: a limit has been reached.",
        make: forbidPods,
        fix: (api, { name, namespace }) => api.delete("ResourceQuota", namespace, name),
        isReported: ARE_REFUSED,
    },
    {
        name: "Pod Security that refuses the pods",
        reason: "policy_refused",
        event: "failure",
        message: "The app is not allowed to start: it breaks a rule of the platform.",
        make: (api, app) => enforce(api, app, "restricted"),
        fix: (api, app) => enforce(api, app, null),
        isReported: ARE_REFUSED,
    },
    {
        name: "a webhook that does not answer",
        reason: "platform_not_ready",
        event: "progress",
        message: "The platform cannot start the app at the moment.",
        make: askNobody,
        fix: (api, { name }) => api.delete("ValidatingWebhookConfiguration", "", name),
        isReported: ARE_REFUSED,
    },
];

/** What fails at first, and succeeds three seconds later without anybody's doing. */
export const STUMBLES = [
    { name: "a pull that fails once", reason: "image_unavailable", make: (api: Api, app: App) => annotate(api, app, "image-at-first") },
    { name: "a container that ends twice", reason: "crash_loop", make: (api: Api, app: App) => annotate(api, app, "crash-at-first") },
];

/** The moment at which the cluster reports the trouble of an app, in milliseconds of `Date.now()`. */
export async function reported(api: Api, { namespace }: App, report: Report, signal: AbortSignal): Promise<{ at: number | undefined }> {
    const seen: { at: number | undefined } = { at: undefined };
    const note = <K extends "Pod" | "Deployment">(by: (object: Kinds[K]) => boolean) => (_: unknown, object: Kinds[K]) => {
        if (object.metadata.namespace === namespace && by(object)) seen.at ??= Date.now();
    };
    if (report.in === "Pod") await api.follow("Pod", signal, note<"Pod">(report.by));
    else await api.follow("Deployment", signal, note<"Deployment">(report.by));
    return seen;
}

async function annotate(api: Api, { name, namespace }: App, trouble: string | null): Promise<void> {
    const annotations = { [ANNOTATION]: trouble, "pod-ready.stage.kwok.x-k8s.io/weight": trouble && "0" };
    await template(api, { name, namespace }, { metadata: { annotations } });
}

async function request(api: Api, app: App, cpu: string): Promise<void> {
    await template(api, app, { spec: { containers: [{ name: "app", image: IMAGE, resources: { requests: { cpu } } }] } });
}

async function template(api: Api, { name, namespace }: Pick<App, "name" | "namespace">, change: object): Promise<void> {
    await api.patch("Deployment", namespace, name, { spec: { template: change } });
}

async function claimVolume(api: Api, { name, namespace }: App): Promise<void> {
    await api.apply({
        apiVersion: "v1",
        kind: "PersistentVolumeClaim",
        metadata: { name, namespace },
        spec: { storageClassName: "", accessModes: ["ReadWriteMany"], resources: { requests: { storage: "1Gi" } } },
    } as KubeObject);
    // Nobody runs here who would take its protection off again.
    await api.patch("PersistentVolumeClaim", namespace, name, { metadata: { finalizers: null } });
    const volumes = [{ name: "data", persistentVolumeClaim: { claimName: name } }];
    await api.patch("Deployment", namespace, name, { spec: { template: { spec: { volumes } } } });
}

/** What the controller of a storage class does. */
async function provideVolume(api: Api, { name, namespace }: App): Promise<void> {
    await api.apply({
        apiVersion: "v1",
        kind: "PersistentVolume",
        metadata: { name },
        spec: {
            capacity: { storage: "1Gi" },
            accessModes: ["ReadWriteMany"],
            claimRef: { namespace, name },
            hostPath: { path: "/data" },
        },
    } as KubeObject);
    await api.patch("PersistentVolume", "", name, { metadata: { finalizers: null } });
    const annotations = { "pv.kubernetes.io/bind-completed": "yes" };
    await api.patch("PersistentVolumeClaim", namespace, name, { metadata: { annotations }, spec: { volumeName: name } });
}

async function forbidPods(api: Api, { name, namespace }: App): Promise<void> {
    const quota = { apiVersion: "v1", kind: "ResourceQuota", metadata: { name, namespace }, spec: { hard: { pods: "0" } } };
    await api.apply(quota);
    await until("the quota is in force", 10, async () => (await api.get("ResourceQuota", namespace, name)).status?.hard?.pods === "0", () => {});
}

async function enforce(api: Api, { namespace }: App, level: string | null): Promise<void> {
    await api.patch("Namespace", "", namespace, { metadata: { labels: { "pod-security.kubernetes.io/enforce": level } } });
    if (level) await until("the level is enforced", 10, async () => !(await acceptsPods(api, namespace)), () => {});
}

/** A webhook for the pods of the app, at a port where nobody listens. */
async function askNobody(api: Api, { name, namespace }: App): Promise<void> {
    await api.apply({
        apiVersion: "admissionregistration.k8s.io/v1",
        kind: "ValidatingWebhookConfiguration",
        metadata: { name },
        webhooks: [
            {
                name: "pods.unidler.tests",
                rules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["pods"] }],
                namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": namespace } },
                failurePolicy: "Fail",
                sideEffects: "None",
                admissionReviewVersions: ["v1"],
                clientConfig: { url: "https://127.0.0.1:9/" },
            },
        ],
    } as KubeObject);
    await until("the webhook is in force", 10, async () => !(await acceptsPods(api, namespace)), () => {});
}

async function acceptsPods(api: Api, namespace: string): Promise<boolean> {
    const spec = { containers: [{ name: "app", image: IMAGE }] };
    return await api.accepts({ apiVersion: "v1", kind: "Pod", metadata: { name: "trial", namespace }, spec } as KubeObject);
}

function waitsFor({ status }: Pod): string {
    return status?.containerStatuses?.[0]?.state?.waiting?.reason ?? "";
}

function isUnschedulable(conditions: Condition[] = []): boolean {
    return hasCondition(conditions, "PodScheduled", "Unschedulable");
}

function hasCondition(conditions: Condition[] = [], kind: string, why: string): boolean {
    return conditions.some(({ type, reason }) => type === kind && reason === why);
}
