/** Many apps that sleep: to replace unidler's own pods changes nothing for them, since their slices hold the address of its Service. */
import { divertedOf } from "../cluster/asleep";
import { type Api } from "../cluster/api";
import { AuditLog, isNote, isWrite } from "../cluster/audit";
import { type KubeObject } from "../cluster/objects";
import { OURS } from "../cluster/own-service";
import { clusterFacts, shipped } from "../cluster/setup";
import { events, status } from "../cluster/visitor";
import { UNIDLER_USER, expect, ownService, test as base } from "./fixtures";

const APPS = 500;
const NAMESPACE = "team-of-many";

const test = base.extend<object, { ownService: void }>({ ownService });

test(`while ${APPS} apps sleep, unidler's pods are replaced without a write to any slice`, async ({ api, startUnidler }) => {
    const names = Array.from({ length: APPS }, (_, index) => `tool-${index}`);
    const pods = shipped("unidler.yaml").find(({ kind }) => kind === "Deployment") as KubeObject;
    try {
        await api.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: NAMESPACE } });
        await Promise.all(Array.from({ length: 10 }, async (_, lane) => {
            for (const name of names.filter((_, index) => index % 10 === lane)) for (const object of sleeping(name)) await api.apply(object);
        }));
        await api.apply(pods);
        await expect.poll(async () => (await endpointsOfUnidler(api)).length).toBe(2);
        const before = await endpointsOfUnidler(api);
        const unidler = await startUnidler();
        const phases = async () => new Set(await Promise.all(names.map(async (name) => (await status(unidler.port, hostOf(name))).phase)));
        await expect.poll(phases).toEqual(new Set(["asleep"]));

        const log = new AuditLog(clusterFacts().auditLog);
        const mark = log.mark();
        const written = () => log.since(mark, UNIDLER_USER).filter((request) => isWrite(request) && !isNote(request));
        const annotations = { "kubectl.kubernetes.io/restartedAt": new Date().toISOString() };
        await api.patch("Deployment", "unidler", "unidler", { spec: { template: { metadata: { annotations } } } });
        await expect.poll(async () => (await endpointsOfUnidler(api)).filter((endpoint) => !before.includes(endpoint)).length).toBe(2);
        await expect.poll(async () => (await endpointsOfUnidler(api)).length).toBe(2);
        await unidler.kill();
        await unidler.startAgain();
        await expect.poll(phases).toEqual(new Set(["asleep"]));
        expect(written()).toEqual([]);

        // It is awake to what happens: a visitor's app, and nothing else, is written to.
        const [visited = ""] = names;
        expect((await events(unidler.port, hostOf(visited))).at(-1)?.event).toBe("success");
        await expect.poll(() => divertedOf(api, NAMESPACE, visited)).toEqual([]);
        expect(written().map(({ verb, resource, name }) => `${verb} ${resource} ${name}`)).toEqual([
            `patch deployments/scale ${visited}`,
            `patch endpointslices ${visited}-unidler`,
        ]);
    } finally {
        await api.delete("Deployment", "unidler", "unidler");
        await api.delete("Namespace", "", NAMESPACE);
    }
});

/** Pod and address of each ready endpoint of unidler's own Service. */
async function endpointsOfUnidler(api: Api): Promise<string[]> {
    const slices = await api.list("EndpointSlice", "unidler");
    const ready = slices.flatMap(({ endpoints }) => endpoints ?? []).filter(({ conditions }) => conditions?.ready);
    return ready.map(({ addresses, targetRef }) => `${targetRef?.uid} ${addresses.join()}`);
}

const hostOf = (name: string) => `${name}.many.localhost`;

/** The objects of an app that `unidler idle` has put to sleep. */
function sleeping(name: string): KubeObject[] {
    const metadata = { name, namespace: NAMESPACE };
    const workload = { apiVersion: "apps/v1", kind: "Deployment", name, uid: "", replicas: 1, generation: 1 };
    const record = { v: 1, workloads: [workload], phase: "asleep", since: new Date().toISOString(), by: "cli" };
    const labels = { "kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": "unidler" };
    const template = { metadata: { labels: { app: name } }, spec: { containers: [{ name: "app", image: "app.invalid/app:1" }] } };
    const paths = [{ path: "/", pathType: "Prefix", backend: { service: { name, port: { name: "http" } } } }];
    return [
        { apiVersion: "v1", kind: "Service", metadata, spec: { selector: { app: name }, ports: [{ name: "http", port: 80, targetPort: 3000 }] } },
        { apiVersion: "apps/v1", kind: "Deployment", metadata, spec: { replicas: 0, selector: { matchLabels: { app: name } }, template } },
        {
            apiVersion: "discovery.k8s.io/v1",
            kind: "EndpointSlice",
            metadata: { ...metadata, name: `${name}-unidler`, labels, annotations: { "unidler/record": JSON.stringify(record) } },
            addressType: "IPv4",
            endpoints: [{ addresses: [OURS], conditions: { ready: true, serving: true, terminating: false } }],
            ports: [{ name: "http", port: 80, protocol: "TCP" }],
        },
        { apiVersion: "networking.k8s.io/v1", kind: "Ingress", metadata, spec: { rules: [{ host: hostOf(name), http: { paths } }] } },
    ] as object[] as KubeObject[];
}
