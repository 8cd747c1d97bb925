/** Awake apps: Deployments, StatefulSets and Rollouts, behind an Ingress or an HTTPRoute. */
import { randomBytes } from "node:crypto";

import { type Api } from "../cluster/api";
import { type App, IMAGE, deleteApp as deleteIdledApp } from "../cluster/app";
import { type KubeObject } from "../cluster/objects";
import { DRAIN, POD_PORT, isReady } from "./pods";
import { GATEWAY_NAMESPACE } from "./setup";

export type Workload = "Deployment" | "StatefulSet" | "Rollout";
/** How a Rollout gives new pods to visitors, or that it takes its pods from a Deployment. */
export type Strategy = "canary" | "blueGreen" | "workloadRef";
export type Route = "Ingress" | "HTTPRoute";

export interface FieldApp extends App {
    workload: Workload;
    route: Route;
    /** The part of its host that it owns. */
    path: string;
}

export interface Wishes {
    workload?: Workload;
    route?: Route;
    /** Of a Rollout. */
    strategy?: Strategy;
    /** The part of its host that it owns, such as `/reports`. An HTTPRoute strips it. */
    path?: string;
    /** Minimum time for which a pod has to be ready to count as available. */
    minReadySeconds?: number;
    replicas?: number;
    /** From the start of a pod to its readiness. */
    startSeconds?: number;
    /** For how long a pod keeps serving after its deletion. 0: it exits at once. */
    drainSeconds?: number;
}

/** Creates an app, without waiting for its pods. Its Service has port 80, named `http`. */
export async function createApp(api: Api, { workload = "Deployment", route = "Ingress", strategy = "canary", path = "/", replicas = 2, ...wishes }: Wishes = {}): Promise<FieldApp> {
    const id = randomBytes(3).toString("hex");
    const host = `www-${id}.localhost`;
    const app: FieldApp = { name: `tool-${id}`, namespace: `team-${id}`, host, key: { host }, workload, route, path };
    await api.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: app.namespace } });
    const plain = workloadOf(app, replicas, wishes);
    const workloads = workload === "Rollout" ? rolloutOf(plain, strategy) : [plain];
    for (const object of [serviceOf(app), ...workloads, routeOf(app)]) await api.apply(object);
    return app;
}

/** Deletes an app, without waiting for its pods. */
export async function deleteApp(api: Api, app: FieldApp): Promise<void> {
    await api.delete(app.route, app.namespace, app.name);
    await api.delete(app.workload, app.namespace, app.name);
    await deleteIdledApp(api, app);
}

/** Sets the number of an app's replicas. */
export async function scale(api: Api, { workload, namespace, name }: FieldApp, replicas: number): Promise<void> {
    await api.patch(workload, namespace, name, { spec: { replicas } });
}

/** What `kubectl rollout restart` does. */
export async function rolloutRestart(api: Api, { workload, namespace, name }: FieldApp): Promise<void> {
    const annotations = { "kubectl.kubernetes.io/restartedAt": new Date().toISOString() };
    await api.patch(workload, namespace, name, { spec: { template: { metadata: { annotations } } } });
}

export interface PodState {
    name: string;
    uid: string | undefined;
    isReady: boolean;
}

/** The pods of an app that are not being deleted. */
export async function podsOf(api: Api, { namespace }: FieldApp): Promise<PodState[]> {
    const pods = (await api.list("Pod", namespace)).filter(({ metadata }) => !metadata.deletionTimestamp);
    return pods.map((pod) => ({ name: pod.metadata.name, uid: pod.metadata.uid, isReady: isReady(pod) }));
}

function serviceOf({ name, namespace, key }: FieldApp): KubeObject {
    return {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name, namespace, labels: key },
        spec: { selector: { app: name }, ports: [{ name: "http", port: 80, targetPort: POD_PORT }] },
    } as KubeObject;
}

function workloadOf({ name, namespace, key, workload }: FieldApp, replicas: number, { startSeconds = 2, drainSeconds = 3, minReadySeconds = 0 }: Wishes): KubeObject & { spec: object } {
    const stage = (name: string, seconds: number) => ({
        [`${name}.stage.kwok.x-k8s.io/delay`]: `${seconds}s`,
        [`${name}.stage.kwok.x-k8s.io/jitter-delay`]: `${seconds}s`,
    });
    // The pod outlives its program, so that no other pod gets its address before.
    const terminationGracePeriodSeconds = drainSeconds + 1;
    const annotations = {
        ...stage("pod-create", 0),
        ...stage("pod-ready", startSeconds),
        ...stage("pod-delete", terminationGracePeriodSeconds),
        [DRAIN]: String(drainSeconds * 1000),
    };
    const containers = [{ name: "app", image: IMAGE, ports: [{ name: "http", containerPort: POD_PORT }] }];
    return {
        apiVersion: "apps/v1",
        kind: workload === "Rollout" ? "Deployment" : workload,
        metadata: { name, namespace, labels: key },
        spec: {
            replicas,
            minReadySeconds,
            selector: { matchLabels: { app: name } },
            template: { metadata: { labels: { app: name }, annotations }, spec: { terminationGracePeriodSeconds, containers } },
            ...(workload === "StatefulSet" && { serviceName: name }),
        },
    } as KubeObject & { spec: object };
}

/** A Rollout in the place of a Deployment; or one that takes the Deployment's pods over, and leaves it without replicas. */
function rolloutOf(deployment: KubeObject & { spec: object }, strategy: Strategy): KubeObject[] {
    const { name } = deployment.metadata;
    const rollout = (spec: object) => ({ ...deployment, apiVersion: "argoproj.io/v1alpha1", kind: "Rollout", spec }) as KubeObject;
    if (strategy === "workloadRef") {
        const { replicas, selector } = deployment.spec as { replicas: number; selector: object };
        const workloadRef = { apiVersion: "apps/v1", kind: "Deployment", name, scaleDown: "onsuccess" };
        return [deployment, rollout({ replicas, selector, workloadRef, strategy: { canary: {} } })];
    }
    const how = strategy === "canary" ? { canary: {} } : { blueGreen: { activeService: name, autoPromotionEnabled: true } };
    return [rollout({ ...deployment.spec, strategy: how })];
}

function routeOf({ name, namespace, host, key, route, path }: FieldApp): KubeObject {
    const metadata = { name, namespace, labels: key };
    if (route === "HTTPRoute") {
        const parentRefs = [{ name: "web", namespace: GATEWAY_NAMESPACE }];
        const rewrite = { type: "URLRewrite", urlRewrite: { path: { type: "ReplacePrefixMatch", replacePrefixMatch: "/" } } };
        const rule = { matches: [{ path: { type: "PathPrefix", value: path } }], filters: path === "/" ? [] : [rewrite], backendRefs: [{ name, port: 80 }] };
        const spec = { parentRefs, hostnames: [host], rules: [rule] };
        return { apiVersion: "gateway.networking.k8s.io/v1", kind: "HTTPRoute", metadata, spec } as KubeObject;
    }
    const paths = [{ path, pathType: "Prefix", backend: { service: { name, port: { name: "http" } } } }];
    return { apiVersion: "networking.k8s.io/v1", kind: "Ingress", metadata, spec: { rules: [{ host, http: { paths } }] } } as KubeObject;
}
