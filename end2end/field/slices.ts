/** EndpointSlices that route an app's visitors to unidler, while the app's Service stays as it is. */
import { type Api } from "../cluster/api";
import { type App } from "../cluster/app";
import { type KubeObject } from "../cluster/objects";
import { fieldFacts } from "./setup";

/** Milliseconds between diverting visitors and scaling the app to zero: longer than Traefik takes to apply a change. */
export const GRACE = 3000;

/** Adds unidler's cluster IP to the endpoints of an app, in a slice that no controller changes. */
export async function divert(api: Api, app: App): Promise<void> {
    const conditions = { ready: true, serving: true, terminating: false };
    await api.apply(sliceOf(app, [{ addresses: [fieldFacts().unidlerAddress], conditions }]));
}

/** Removes it again. The slice stays. */
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
