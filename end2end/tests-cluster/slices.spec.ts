/** How far unidler's account gets with EndpointSlices and replicas: every hole that the policies close, tried one by one. */
import { randomBytes } from "node:crypto";

import { type Api } from "../cluster/api";
import { rendered } from "../cluster/helm";
import { type EndpointSlice, type KubeObject } from "../cluster/objects";
import { LATER, OURS, createOwnService, deleteOwnService, ownService } from "../cluster/own-service";
import { SOON, asUnidler, expectDenied } from "./denied";
import { UNIDLER_USER, expect, test } from "./fixtures";

/** Of its own for each worker: after a failure the next one begins while this is still being deleted. */
const NAMESPACE = `team-${randomBytes(3).toString("hex")}`;
const SERVICE_NAME = "kubernetes.io/service-name";
const MANAGED_BY = "endpointslice.kubernetes.io/managed-by";

const core = (kind: string, name: string, namespace: string, spec?: object) => ({ apiVersion: "v1", kind, metadata: { name, namespace }, ...(spec && { spec }) }) as KubeObject;
const podTemplate = { metadata: { labels: { app: "tool" } }, spec: { containers: [{ name: "app", image: "app.invalid/app:1" }] } };
const workload = (kind: string, name: string, namespace: string, replicas: number) =>
    ({ apiVersion: "apps/v1", kind, metadata: { name, namespace }, spec: { replicas, ...(kind === "StatefulSet" && { serviceName: "tool" }), selector: { matchLabels: { app: "tool" } }, template: podTemplate } }) as KubeObject;

const endpoint = { addresses: [OURS], conditions: { ready: true, serving: true, terminating: false } };
const port = { name: "http", port: 80, protocol: "TCP" };

/** A slice as unidler writes it, but for something. */
function slice(metadata: object = {}, more: object = {}): EndpointSlice {
    return {
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        metadata: { name: "tool-unidler", namespace: NAMESPACE, labels: labelled("tool"), annotations: { "unidler/record": "{}" }, ...metadata },
        addressType: "IPv4",
        endpoints: [endpoint],
        ports: [port],
        ...more,
    } as unknown as EndpointSlice;
}
const labelled = (service: string, more: object = {}) => ({ [SERVICE_NAME]: service, [MANAGED_BY]: "unidler", ...more });
const leading = (more: object) => slice({}, { endpoints: [{ ...endpoint, ...more }] });
const through = (...ports: object[]) => slice({}, { ports });

const [TO_US, OUR_PORT] = ["unidler may only divert a Service to the address of its own Service", "unidler may only divert a Service to the port http of its own Service"];
const ONE_ADDRESS = "unidler may only put a single address into an EndpointSlice, without a pod, host, node or zone";
const TCP = "unidler may only put TCP ports with a number into an EndpointSlice";
const LABELS = "unidler may only label an EndpointSlice with its Service and as its own";
const NAME = "unidler may only have one EndpointSlice for a Service, SERVICE-unidler";
const PROTECTED = "unidler may not divert the cluster's own Services, nor those of its own namespace";
const ANNOTATIONS = "unidler may only change its own annotations of an EndpointSlice, to at most 4096 characters";
const OWNERS = "unidler may not change the owners or finalizers of an EndpointSlice";
const OWN_ONLY = "unidler may only change its own EndpointSlices";
/** Of two policies that refuse something, either may be the first. */
const either = (...words: string[]) => new RegExp(words.join("|"));

const owner = { apiVersion: "v1", kind: "ConfigMap", name: "x", uid: "0" };

const CREATED: [what: string, slice: EndpointSlice, denied: string | RegExp][] = [
    ["a foreign address", leading({ addresses: ["10.244.0.9"] }), TO_US],
    ["a second address", leading({ addresses: [OURS, LATER] }), either(ONE_ADDRESS, TO_US)],
    ["a second endpoint", slice({}, { endpoints: [endpoint, endpoint] }), ONE_ADDRESS],
    ["a name instead of an address", slice({}, { addressType: "FQDN", endpoints: [{ addresses: ["evil.example"] }] }), either(ONE_ADDRESS, TO_US)],
    ["a pod", leading({ targetRef: { kind: "Pod", namespace: NAMESPACE, name: "x" } }), ONE_ADDRESS],
    ["hints", leading({ hints: { forZones: [{ name: "a" }] } }), ONE_ADDRESS],
    ["a node", leading({ nodeName: "node-0" }), ONE_ADDRESS],
    ["a zone", leading({ zone: "a" }), ONE_ADDRESS],
    ["a host name", leading({ hostname: "x" }), ONE_ADDRESS],
    ["the port for metrics", through({ ...port, port: 9090 }), OUR_PORT],
    ["a port that is not ours beside ours", through(port, { ...port, name: "x", port: 8080 }), OUR_PORT],
    ["UDP", through({ ...port, protocol: "UDP" }), TCP],
    ["a port without a number", through({ name: "http", protocol: "TCP" }), either(TCP, OUR_PORT)],
    ["TLS", through({ ...port, appProtocol: "https" }), TCP],
    ["no labels", slice({ labels: {} }), LABELS],
    ["no Service", slice({ labels: { [MANAGED_BY]: "unidler" } }), LABELS],
    ["nobody's", slice({ labels: { [SERVICE_NAME]: "tool" } }), LABELS],
    ["the controller's", slice({ labels: labelled("tool", { [MANAGED_BY]: "endpointslice-controller.k8s.io" }) }), LABELS],
    ["another label", slice({ labels: labelled("tool", { team: "mine" }) }), LABELS],
    ["another name", slice({ name: "tool-other" }), NAME],
    ["the name of another Service", slice({ labels: labelled("other") }), NAME],
    ["a generated name", slice({ name: undefined, generateName: "tool-unidler" }), NAME],
    ["kube-system", slice({ namespace: "kube-system" }), PROTECTED],
    ["the API server", slice({ name: "kubernetes-unidler", namespace: "default", labels: labelled("kubernetes") }), PROTECTED],
    ["unidler itself", slice({ name: "unidler-unidler", namespace: "unidler", labels: labelled("unidler") }), PROTECTED],
    ["a finalizer", slice({ finalizers: ["example.org/mine"] }), OWNERS],
    ["an owner", slice({ ownerReferences: [owner] }), OWNERS],
    ["another annotation", slice({ annotations: { "example.org/x": "" } }), ANNOTATIONS],
    ["a record of 5 KiB", slice({ annotations: { "unidler/record": "x".repeat(5120) } }), ANNOTATIONS],
];

const CHANGED: [what: string, change: object, denied: string | RegExp][] = [
    ["a foreign address", { endpoints: [{ ...endpoint, addresses: ["10.244.0.9"] }] }, TO_US],
    ["another Service", { metadata: { labels: { [SERVICE_NAME]: "other" } } }, NAME],
    ["no Service", { metadata: { labels: { [SERVICE_NAME]: null } } }, LABELS],
    ["nobody's", { metadata: { labels: { [MANAGED_BY]: null } } }, LABELS],
    ["another label", { metadata: { labels: { team: "mine" } } }, LABELS],
    ["another annotation", { metadata: { annotations: { "example.org/x": "" } } }, ANNOTATIONS],
    ["somebody else's annotation", { metadata: { annotations: { "example.org/theirs": null } } }, ANNOTATIONS],
    ["a finalizer", { metadata: { finalizers: ["example.org/mine"] } }, OWNERS],
    ["an owner", { metadata: { ownerReferences: [owner] } }, OWNERS],
];

const ONLY_SCALE = "unidler may only scale a workload down to zero, and up from zero to at most 10 replicas";
const THEIRS = "unidler may not scale the cluster's own workloads, nor those of its own namespace";
const WORKLOADS = ["Deployment", "StatefulSet"] as const;
const SCALED: [from: number, to: number, namespace: string, denied?: string][] = [
    [0, 2, NAMESPACE],
    [0, 10, NAMESPACE],
    [3, 0, NAMESPACE],
    [3, 3, NAMESPACE],
    [0, 11, NAMESPACE, ONLY_SCALE],
    [3, 2, NAMESPACE, ONLY_SCALE],
    [3, 4, NAMESPACE, ONLY_SCALE],
    [0, 2, "kube-system", THEIRS],
    [3, 0, "kube-system", THEIRS],
    [0, 2, "unidler", THEIRS],
    [3, 0, "unidler", THEIRS],
];
const isThere = SCALED.flatMap(([from, , namespace]) => WORKLOADS.map((kind) => workload(kind, `tool-${from}`, namespace, from)));

test.describe("with every permission that a role can give", () => {
    const everything = {
        apiVersion: "rbac.authorization.k8s.io/v1",
        kind: "ClusterRoleBinding",
        metadata: { name: "tests-everything" },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
        subjects: [{ kind: "ServiceAccount", name: "unidler", namespace: "unidler" }],
    } as unknown as KubeObject;
    let unidler: Api;

    test.beforeAll(async ({ api }) => {
        await createOwnService(api);
        await api.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: NAMESPACE } });
        await api.apply(core("Service", "tool", NAMESPACE, { selector: { app: "tool" }, ports: [{ name: "http", port: 80, targetPort: 3000 }] }));
        for (const object of isThere) await api.apply(object);
        await api.apply(everything);
        await expect.poll(() => api.may(UNIDLER_USER, "deletecollection", "discovery.k8s.io", "endpointslices")).toBe(true);
        unidler = await asUnidler(api);
    });

    test.afterEach(async ({ api }) => {
        await api.delete("EndpointSlice", NAMESPACE, "tool-unidler");
        if (!(await api.isThere("Service", "unidler", "unidler"))) await api.apply(ownService(OURS));
    });

    test.afterAll(async ({ api }) => {
        await api.delete("ClusterRoleBinding", "", "tests-everything");
        for (const { kind, metadata } of isThere) await api.delete(kind as "Deployment", metadata.namespace ?? "", metadata.name);
        await api.delete("Namespace", "", NAMESPACE);
        await deleteOwnService(api);
        await expect.poll(() => api.may(UNIDLER_USER, "deletecollection", "discovery.k8s.io", "endpointslices")).toBe(false);
    });

    test("a slice leads to unidler and nowhere else", async () => {
        for (const [what, object, denied] of CREATED) await expectDenied(what, () => unidler.tryCreate(object), denied);
        // The API server strips this before any policy could see it.
        const { endpoints } = await unidler.tryCreate(leading({ deprecatedTopology: { "kubernetes.io/hostname": "x" } }));
        expect(endpoints).toEqual([endpoint]);
    });

    test("a slice of unidler's stays what it is", async ({ api }) => {
        await api.apply(slice({ annotations: { "unidler/record": "{}", "example.org/theirs": "" } }));
        for (const [what, change, denied] of CHANGED) await expectDenied(what, () => unidler.tryPatch("EndpointSlice", NAMESPACE, "tool-unidler", change), denied);
        // What others have put on it is no reason not to wake an app.
        await unidler.patch("EndpointSlice", NAMESPACE, "tool-unidler", { endpoints: [] });
    });

    test("nobody else's slice is touched", async ({ api }) => {
        const theirs = async () => (await api.list("EndpointSlice", NAMESPACE)).find(({ metadata }) => metadata.labels?.[MANAGED_BY] === "endpointslice-controller.k8s.io")?.metadata.name ?? "";
        await expect.poll(theirs).not.toBe("");
        const name = await theirs();
        await expectDenied("adopted", () => unidler.tryPatch("EndpointSlice", NAMESPACE, name, { metadata: { labels: { [MANAGED_BY]: "unidler" } } }), /unidler may only (change its own EndpointSlices|divert a Service to the address)/);
        await expectDenied("emptied", () => unidler.tryPatch("EndpointSlice", NAMESPACE, name, { endpoints: [] }), OWN_ONLY);
        await expectDenied("applied", () => unidler.apply(slice({ name }), "&dryRun=All"), OWN_ONLY);
        await expectDenied("deleted", () => unidler.tryDelete("EndpointSlice", NAMESPACE, name), OWN_ONLY);
        await expectDenied("deleted with all others", () => unidler.tryDelete("EndpointSlice", NAMESPACE), OWN_ONLY);
    });

    test("a Service is diverted, given back and diverted again, and follows a new Service of unidler", async ({ api }) => {
        const change = (change: object) => unidler.patch("EndpointSlice", NAMESPACE, "tool-unidler", change);
        const to = (address: string) => ({ endpoints: [{ ...endpoint, addresses: [address] }], ports: [port, { ...port, name: "" }] });
        await unidler.create(slice());
        await change({ metadata: { annotations: { "unidler/record": null, "unidler/history": "{}", "unidler/wake-seconds": "40" } }, endpoints: [] });
        await change({ metadata: { annotations: { "unidler/record": "{}", "unidler/history": null } }, ...to(OURS) });

        await api.delete("Service", "unidler", "unidler");
        // Without the parameter of the policy, the API server says that the policy is not configured: that is 422.
        const empty = () => unidler.tryPatch("EndpointSlice", NAMESPACE, "tool-unidler", { endpoints: [] });
        // What a policy is given for its parameter comes from a cache that lags.
        await expect(async () => await expect(empty()).rejects.toThrow("no params found for policy binding"), "nobody is left to lead to").toPass(SOON);
        await expectDenied("deleted", () => unidler.tryDelete("EndpointSlice", NAMESPACE, "tool-unidler"), "unidler may only delete its EndpointSlices when it is uninstalled");
        // Nobody else is bothered, least of all the controller.
        await api.apply(core("Service", "later", NAMESPACE, { selector: { app: "tool" }, ports: [{ port: 80 }] }));
        await expect.poll(async () => (await api.list("EndpointSlice", NAMESPACE)).filter(({ metadata }) => metadata.labels?.[SERVICE_NAME] === "later").length).toBe(1);

        await api.apply(ownService(LATER));
        // As above.
        await expect(async () => await change(to(LATER))).toPass(SOON);
        await expectDenied("the address of before", () => change(to(OURS)), TO_US);
        await api.delete("Service", "unidler", "unidler");
    });

    test("a workload is scaled to zero and from zero, and no other way", async () => {
        for (const [from, to, namespace, denied] of SCALED) {
            for (const kind of WORKLOADS) {
                for (const how of ["merge", "apply"] as const) {
                    const [what, scale] = [`${kind} in ${namespace}, ${from} to ${to} (${how})`, () => unidler.tryScale(kind, namespace, `tool-${from}`, to, how)];
                    if (denied) await expectDenied(what, scale, denied);
                    else await expect(scale(), what).resolves.toBeUndefined();
                }
            }
        }
    });

    test("nothing else is created, changed or deleted", async () => {
        const nothing = "unidler may only idle and wake apps";
        const replicas = { spec: { replicas: 1 } };
        for (const kind of WORKLOADS) {
            await expectDenied(`another ${kind}`, () => unidler.tryCreate(workload(kind, "x", NAMESPACE, 1)), nothing);
            await expectDenied(`a ${kind} less`, () => unidler.tryDelete(kind, NAMESPACE, "tool-0"), nothing);
        }
        await expectDenied("a StatefulSet", () => unidler.tryPatch("StatefulSet", NAMESPACE, "tool-0", replicas), nothing);
        await expectDenied("another Service", () => unidler.tryCreate(core("Service", "x", NAMESPACE, { ports: [{ port: 80 }] })), nothing);
        await expectDenied("a Service less", () => unidler.tryDelete("Service", NAMESPACE, "tool"), nothing);
        await expectDenied("a pod", () => unidler.tryCreate(core("Pod", "x", NAMESPACE, podTemplate.spec)), nothing);
        const ingress = { apiVersion: "networking.k8s.io/v1", kind: "Ingress", metadata: { name: "x", namespace: NAMESPACE }, spec: { defaultBackend: { service: { name: "tool", port: { number: 80 } } } } };
        await expectDenied("an Ingress", () => unidler.tryCreate(ingress as KubeObject), nothing);
    });
});

test("where there is no Deployment, everybody else changes Services as they like", async ({ api }) => {
    await api.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: "team-empty" } });
    try {
        await api.apply(core("Service", "tool", "team-empty", { ports: [{ port: 80 }] }));
        await api.patch("Service", "team-empty", "tool", { spec: { ports: [{ port: 81 }] } });
    } finally {
        await api.delete("Namespace", "", "team-empty");
    }
});

test("without the form of 2020, nothing is left of it", () => {
    const without = (template: string) => rendered(template, { compatibility: { externalName: false } });
    const rules = without("rbac").flatMap((object) => (object as KubeObject & { rules?: { resources: string[]; verbs: string[] }[] }).rules ?? []);
    for (const { resources, verbs } of rules) if (["deployments", "services"].includes(resources[0] ?? "")) expect(verbs, `${resources}`).toEqual(["list", "watch"]);
    const policies = without("policy").filter(({ kind }) => kind === "ValidatingAdmissionPolicy");
    expect(policies.map(({ metadata }) => metadata.name)).toEqual(["slices", "slices-to-itself", "scale", "events", "nothing-else"].map((name) => `unidler-${name}`));
    expect(JSON.stringify(policies.find(({ metadata }) => metadata.name === "unidler-nothing-else"))).not.toContain('["deployments"]');
});
