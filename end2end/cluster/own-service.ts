/**
 * unidler's own Service, with a cluster IP that a slice may have. The tests' other Services have loopback addresses, which
 * the API server refuses in slices.
 */
import { type Api } from "./api";
import { type KubeObject } from "./objects";
import { shipped } from "./setup";
import { until } from "./wait";

/** Addresses of the range that there is for it. */
export const [OURS, LATER] = ["10.97.0.10", "10.97.0.11"];
const RANGE = { apiVersion: "networking.k8s.io/v1", kind: "ServiceCIDR", metadata: { name: "tests-slices" }, spec: { cidrs: ["10.97.0.0/24"] } } as unknown as KubeObject;

export function ownService(clusterIP: string): KubeObject {
    const service = shipped("unidler.yaml").find(({ kind }) => kind === "Service") as KubeObject & { spec: object };
    return { ...service, spec: { ...service.spec, clusterIP } } as KubeObject;
}

/** A ready endpoint of unidler's Service, of which the tests have no pods. */
export function readyEndpoint(): KubeObject {
    return {
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        metadata: { name: "unidler-tests", namespace: "unidler", labels: { "kubernetes.io/service-name": "unidler" } },
        addressType: "IPv4",
        endpoints: [{ addresses: ["10.0.0.1"], conditions: { ready: true } }],
        ports: [{ name: "http", port: 8080, protocol: "TCP" }],
    } as KubeObject;
}

export async function createOwnService(api: Api): Promise<void> {
    const isAccepted = async () => {
        await api.apply(RANGE);
        await api.apply(ownService(OURS));
        return true;
    };
    await until("the range of unidler's Service is known", 10, isAccepted, () => {});
}

export async function deleteOwnService(api: Api): Promise<void> {
    await api.delete("Service", "unidler", "unidler");
    await api.delete("ServiceCIDR", "", RANGE.metadata.name);
}
