/** Apps as the idler leaves them, and as it should not. */
import { randomBytes, randomUUID } from "node:crypto";

import { type Api } from "./api";
import { type KubeObject } from "./objects";

export const IDLED = "mojanalytics.xyz/idled";
export const IDLED_AT = "mojanalytics.xyz/idled-at";
export const REPLICAS_WHEN_UNIDLED = "mojanalytics.xyz/replicas-when-unidled";
export const SERVICE_WHEN_UNIDLED = "mojanalytics.xyz/service-when-unidled";

export const IMAGE = "app.invalid/app:1";

/** Where the Service of an idled app points. */
const TO_UNIDLER = {
    type: "ExternalName",
    externalName: "unidler.unidler.svc.cluster.local",
    ports: [{ name: "http", port: 80, targetPort: 80 }],
};

export interface App {
    /** The name of its Deployment and of its Service, and the value of their label `app`. */
    name: string;
    namespace: string;
    host: string;
    /** What tells which objects are those of the host. */
    key: Record<string, string>;
}

/** What is not as it should be, where something is not. */
export type Flaw = "no Ingress" | "two Deployments" | "Ingress serves another host" | "no Deployment" | "no Service" | "not idled";

export interface Wishes {
    keyLabel: string;
    /** What its host ends in. */
    domain?: string;
    /** How long its pods take from their node's acceptance to their readiness. */
    startSeconds: number;
    flaw?: Flaw | undefined;
}

/** What a visitor knows of it, its host, has nothing in common with its names inside the cluster. */
export async function createIdledApp(api: Api, { keyLabel, domain = "localhost", startSeconds, flaw }: Wishes): Promise<App> {
    const id = randomBytes(3).toString("hex");
    const host = `www-${id}.${domain}`;
    const app = { name: `tool-${id}`, namespace: `team-${id}`, host, key: { [keyLabel]: keyLabel === "host" ? host : `www-${id}` } };
    const objects = [
        ...(flaw === "no Ingress" ? [] : [ingress(app, app.name, flaw === "Ingress serves another host" ? `other-${app.host}` : app.host)]),
        ...(flaw === "two Deployments" ? [deployment({ ...app, name: `${app.name}-again` }, startSeconds, true)] : []),
        ...(flaw === "no Deployment" ? [] : [deployment(app, startSeconds, flaw !== "not idled")]),
        ...(flaw === "no Service" ? [] : [service(app)]),
    ];
    await api.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: app.namespace } });
    for (const object of objects) await api.apply(object);
    if (flaw !== "no Service") await leaveEndpoints(api, app);
    return app;
}

/** What the idler of 2020 does to an app that is awake, or half awake, in its order: the Service comes first. */
export async function idle(api: Api, app: App): Promise<void> {
    await switchService(api, app);
    await markAndScale(api, app);
}

/** The first write of that idler. */
export async function switchService(api: Api, { name, namespace }: App): Promise<void> {
    await api.patch("Service", namespace, name, { spec: { ...TO_UNIDLER, selector: null } });
}

/** Its second write. */
export async function markAndScale(api: Api, { name, namespace }: App): Promise<void> {
    const metadata = { labels: { [IDLED]: "true" }, annotations: { [IDLED_AT]: new Date().toISOString(), [REPLICAS_WHEN_UNIDLED]: "2" } };
    await api.patch("Deployment", namespace, name, { metadata, spec: { replicas: 0 } });
}

/**
 * What stays of an app that was awake once: no controller looks after the endpoints of an `ExternalName`, so those of its
 * last pods stay, as ready as they were. The `Endpoints` are mirrored to a second slice once the Service has no selector.
 */
async function leaveEndpoints(api: Api, { name, namespace }: App): Promise<void> {
    const service = await api.get("Service", namespace, name);
    const pod = { kind: "Pod", namespace, name: `${name}-gone`, uid: randomUUID() };
    await api.apply({
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        metadata: {
            name: `${name}-before`,
            namespace,
            labels: { "kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io" },
            ownerReferences: [{ apiVersion: "v1", kind: "Service", name, uid: service.metadata.uid ?? "", controller: true, blockOwnerDeletion: true }],
        },
        addressType: "IPv4",
        endpoints: [{ addresses: ["10.244.255.254"], conditions: { ready: true, serving: true, terminating: false }, targetRef: pod }],
        ports: [{ name: "http", port: 3000, protocol: "TCP" }],
    } as KubeObject);
    const addresses = [{ ip: "10.244.255.254", targetRef: pod }];
    await api.apply({
        apiVersion: "v1",
        kind: "Endpoints",
        metadata: { name, namespace, labels: { "endpoints.kubernetes.io/managed-by": "endpoint-controller" } },
        subsets: [{ addresses, ports: [{ name: "http", port: 3000, protocol: "TCP" }] }],
    } as KubeObject);
}

/**
 * A namespace keeps its objects until its last pod is gone, and the next test looks at all that is in the cluster. The
 * Ingress is the first to go: without it nothing is an app, and nobody finishes what a test has left half awake.
 */
export async function deleteApp(api: Api, { namespace, name }: App): Promise<void> {
    for (const kind of ["Ingress", "Deployment", "Service"] as const) await api.delete(kind, namespace, name);
    await api.delete("Namespace", "", namespace);
}

function ingress({ name, namespace, key }: App, ingressName: string, servedHost: string): KubeObject {
    const backend = { service: { name, port: { name: "http" } } };
    return {
        apiVersion: "networking.k8s.io/v1",
        kind: "Ingress",
        metadata: { name: ingressName, namespace, labels: key },
        spec: { rules: [{ host: servedHost, http: { paths: [{ path: "/", pathType: "Prefix", backend }] } }] },
    } as KubeObject;
}

function deployment({ name, namespace, key }: App, startSeconds: number, isIdled: boolean): KubeObject {
    const delay = `${startSeconds}s`;
    // Long ago, so that nobody is about to do more.
    const annotations = { [IDLED_AT]: new Date(Date.now() - 3_600_000).toISOString(), [REPLICAS_WHEN_UNIDLED]: "2" };
    return {
        apiVersion: "apps/v1",
        kind: "Deployment",
        metadata: { name, namespace, labels: { ...key, ...(isIdled && { [IDLED]: "true" }) }, ...(isIdled && { annotations }) },
        spec: {
            replicas: 0,
            selector: { matchLabels: { app: name } },
            template: {
                metadata: {
                    labels: { app: name },
                    annotations: {
                        "pod-create.stage.kwok.x-k8s.io/delay": "0s",
                        "pod-create.stage.kwok.x-k8s.io/jitter-delay": "0s",
                        "pod-ready.stage.kwok.x-k8s.io/delay": delay,
                        "pod-ready.stage.kwok.x-k8s.io/jitter-delay": delay,
                    },
                },
                spec: { containers: [{ name: "app", image: IMAGE }] },
            },
        },
    } as KubeObject;
}

function service({ name, namespace, key }: App): KubeObject {
    return {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name, namespace, labels: { ...key, app: name } },
        spec: TO_UNIDLER,
    } as KubeObject;
}
