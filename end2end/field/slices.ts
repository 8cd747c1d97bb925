/** EndpointSlices that lead an app's visitors to unidler: the hand-over in which the app's Service stays as it is. */
import { type Api } from "../cluster/api";
import { type App } from "../cluster/app";
import { type KubeObject } from "../cluster/objects";
import { fieldFacts } from "./setup";

/** How long both stand side by side before the app's replicas go: longer than Traefik takes to notice, in milliseconds. */
export const GRACE = 3000;

/** Puts unidler's cluster IP beside the endpoints of an app, in a slice that no controller touches. */
export async function divert(api: Api, app: App): Promise<void> {
    const conditions = { ready: true, serving: true, terminating: false };
    await api.apply(sliceOf(app, [{ addresses: [fieldFacts().unidlerAddress], conditions }]));
}

/** Takes it off again. The slice stays. */
export async function withdraw(api: Api, app: App): Promise<void> {
    await api.apply(sliceOf(app, []));
}

function sliceOf({ name, namespace }: App, endpoints: object[]): KubeObject {
    return {
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        metadata: {
            name: `${name}-unidler`,
            namespace,
            labels: { "kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": "unidler" },
        },
        addressType: "IPv4",
        endpoints,
        ports: [{ name: "http", port: 80, protocol: "TCP" }],
    } as KubeObject;
}
