/** What unidler's account may not do, though its role would allow it: the policies that we ship. */
import { IDLED, IDLED_AT, REPLICAS_WHEN_UNIDLED, SERVICE_WHEN_UNIDLED } from "../cluster/app";
import { rendered } from "../cluster/helm";
import { type Kind, type KubeObject } from "../cluster/objects";
import { shipped } from "../cluster/setup";
import { events, status } from "../cluster/visitor";
import { SOON, asUnidler, expectDenied } from "./denied";
import { THREE_WRITES, expect, expectAwake, test } from "./fixtures";

interface Attempt {
    what: string;
    kind: Kind;
    /** With the labels of its pods, where another policy would speak of those. */
    change: object | ((own: object) => object);
    denied: string;
}

const container = { name: "app", image: "evil.example/miner" };
const port = { name: "http", port: 80, targetPort: 3000 };
/** Points a Service to pods again. */
const to = (selector: object, ports: object[] = [port], more: object = {}) => ({ spec: { type: "ClusterIP", externalName: null, selector, ports, ...more } });

const ATTEMPTS: Attempt[] = [
    {
        what: "another image",
        kind: "Deployment",
        change: { spec: { template: { spec: { containers: [container] } } } },
        denied: "unidler may only change the replicas in a Deployment's spec",
    },
    { what: "a paused rollout", kind: "Deployment", change: { spec: { paused: true } }, denied: "may only change the replicas" },
    { what: "another field of the spec", kind: "Deployment", change: { spec: { minReadySeconds: 9 } }, denied: "may only change the replicas" },
    {
        what: "more replicas than are ever restored",
        kind: "Deployment",
        change: { spec: { replicas: 11 } },
        denied: "unidler may only scale a Deployment up from zero, to at most 10 replicas",
    },
    {
        what: "the whole cluster's capacity",
        kind: "Deployment",
        change: { spec: { replicas: 100_000 } },
        denied: "unidler may only scale a Deployment up from zero, to at most 10 replicas",
    },
    {
        what: "an idled app that would be switched off for good",
        kind: "Deployment",
        change: { metadata: { labels: { [IDLED]: null }, annotations: { [IDLED_AT]: null, [REPLICAS_WHEN_UNIDLED]: null } } },
        denied: "unidler may not change a Deployment that stays at zero replicas",
    },
    {
        what: "a number of replicas that is forgotten",
        kind: "Deployment",
        change: { metadata: { annotations: { [REPLICAS_WHEN_UNIDLED]: null } } },
        denied: "unidler may not change a Deployment that stays at zero replicas",
    },
    {
        what: "a label of its own",
        kind: "Deployment",
        change: { metadata: { labels: { owner: "me" } } },
        denied: "unidler may only remove the label mojanalytics.xyz/idled from a Deployment, not change owner",
    },
    {
        what: "another annotation",
        kind: "Deployment",
        change: { metadata: { annotations: { "kubectl.kubernetes.io/restartedAt": "now" } } },
        denied: "unidler may only change the idle annotations of a Deployment, not all of kubectl.kubernetes.io/restartedAt",
    },
    {
        what: "anything but times in the annotation for times",
        kind: "Deployment",
        change: { metadata: { annotations: { "mojanalytics.xyz/wake-seconds": "40,<script>" } } },
        denied: "unidler may only change the idle annotations of a Deployment",
    },
    {
        what: "a finalizer",
        kind: "Deployment",
        change: { metadata: { finalizers: ["example.org/mine"] } },
        denied: "unidler may not change the owners or finalizers of a Deployment",
    },
    {
        what: "other traffic",
        kind: "Service",
        change: { spec: { externalName: "evil.example" } },
        denied: "unidler may only point a Service to pods inside the cluster again",
    },
    { what: "an address outside", kind: "Service", change: (own) => to(own, [port], { externalIPs: ["192.0.2.1"] }), denied: "to pods inside the cluster" },
    { what: "the same pod for each client", kind: "Service", change: (own) => to(own, [port], { sessionAffinity: "ClientIP" }), denied: "to pods inside the cluster" },
    { what: "pods that are not ready", kind: "Service", change: (own) => to(own, [port], { publishNotReadyAddresses: true }), denied: "to pods inside the cluster" },
    {
        what: "another label of a Service",
        kind: "Service",
        change: (own) => ({ metadata: { labels: { team: "mine" } }, ...to(own) }),
        denied: "unidler may not change labels of a Service, such as team",
    },
    {
        what: "another annotation of a Service",
        kind: "Service",
        change: (own) => ({ metadata: { annotations: { "external-dns.alpha.kubernetes.io/hostname": "evil.example" } }, ...to(own) }),
        denied: "unidler may only remove the annotation mojanalytics.xyz/service-when-unidled from a Service, not change external-dns.alpha.kubernetes.io/hostname",
    },
];

test("of an idled app, the account may change nothing but what wakes it", async ({ api, app }) => {
    const unidler = await asUnidler(api);
    for (const { what, kind, change, denied } of ATTEMPTS) {
        const changed = typeof change === "function" ? change({ app: app.name }) : change;
        await expectDenied(what, () => unidler.tryPatch(kind, app.namespace, app.name, changed), denied);
    }
});

test("of an app that is awake, it may change nothing at all", async ({ api, app, unidler, asked }) => {
    // With the policies in force, an app wakes.
    expect((await events(unidler.port, app.host)).at(-1)?.event).toBe("success");
    await expectAwake(api, app);
    expect(asked.writes()).toEqual(THREE_WRITES);

    const account = await asUnidler(api);
    const onlyIdled = "unidler may only change idled Deployments";
    await expectDenied("no replicas", () => account.tryPatch("Deployment", app.namespace, app.name, { spec: { replicas: 0 } }), onlyIdled);
    await expectDenied("more replicas", () => account.tryPatch("Deployment", app.namespace, app.name, { spec: { replicas: 9 } }), onlyIdled);
    await expectDenied("idled", () => account.tryPatch("Deployment", app.namespace, app.name, { metadata: { labels: { [IDLED]: "true" } } }), onlyIdled);
    await expectDenied(
        "other pods",
        () => account.tryPatch("Service", app.namespace, app.name, { spec: { selector: { app: "mine" } } }),
        "unidler may only change a Service that points to it",
    );
    // Others may, of course.
    await api.patch("Deployment", app.namespace, app.name, { spec: { replicas: 1 } });
});

test("replicas that are there are not changed, not even of an idled app", async ({ api, app }) => {
    await api.patch("Deployment", app.namespace, app.name, { spec: { replicas: 3 } });
    const unidler = await asUnidler(api);
    for (const replicas of [0, 1, 9]) {
        const attempt = () => unidler.tryPatch("Deployment", app.namespace, app.name, { spec: { replicas } });
        await expectDenied(`${replicas}`, attempt, "unidler may only scale a Deployment up from zero, to at most 10 replicas");
    }
});

test("a Service that points to somebody else of a similar name is not changed", async ({ api, app }) => {
    const unidler = await asUnidler(api);
    const wake = () => unidler.tryPatch("Service", app.namespace, app.name, to({ app: app.name }));
    const ours = ["unidler.unidler.svc", "unidler.tools.svc.cluster.local", "unidler.tools.svc.cluster.local."];
    const others = ["unidler.x.svc.evil.example", "unidler.x.svc.cluster.local.evil.example", "unidler.x.y.svc", "unidler.svc.cluster.local", "unidler-2.unidler.svc", "unidler.x.svc-cluster.local"];
    for (const externalName of ours) {
        await api.patch("Service", app.namespace, app.name, { spec: { externalName } });
        await wake();
    }
    for (const externalName of others) {
        await api.patch("Service", app.namespace, app.name, { spec: { externalName } });
        await expectDenied(externalName, wake, "unidler may only change a Service that points to it");
    }
});

test("without a record, a Service gets only the pods of its own Deployment, and no port past their login", async ({ api, app }) => {
    const unidler = await asUnidler(api);
    const attempt = (change: object) => () => unidler.tryPatch("Service", app.namespace, app.name, change);
    const own = { app: app.name };
    const [ownPods, safePort, onePort] = ["to the pods of its own Deployment", "to port 3000 or to the only port of its Deployment", "may only restore a selector and the port http 80"];
    await attempt(to(own))();
    await expectDenied("other pods", attempt(to({ app: "postgres-exporter" }, [{ ...port, targetPort: 9187 }])), ownPods);
    await expectDenied("other pods at the usual port", attempt(to({ app: "postgres-exporter" })), ownPods);
    await expectDenied("some of its pods", attempt(to({ ...own, version: "2" })), ownPods);
    await expectDenied("all pods of the namespace", attempt(to({})), onePort);
    const [label, key] = Object.entries(app.key)[0]!;
    await api.patch("Deployment", app.namespace, app.name, { metadata: { labels: { [label]: null, "unidler-key": key } } });
    await expectDenied("other pods than RStudio's, whose chart has its own label", attempt(to({ app: "postgres-exporter" })), ownPods);
    await attempt(to(own))();
    await api.patch("Deployment", app.namespace, app.name, { metadata: { labels: { [label]: key, "unidler-key": null } } });
    await expectDenied("a port that nobody declares", attempt(to(own, [{ ...port, targetPort: 9187 }])), safePort);
    await expectDenied("a port by its name", attempt(to(own, [{ ...port, targetPort: "admin" }])), onePort);
    await expectDenied("one more port", attempt(to(own, [port, { name: "admin", port: 81, targetPort: 3000 }])), onePort);
    await expectDenied("another port", attempt(to(own, [{ ...port, port: 8080 }])), onePort);
    await expectDenied("another name", attempt(to(own, [{ ...port, name: "admin" }])), onePort);
    await expectDenied("another protocol", attempt(to(own, [{ ...port, protocol: "UDP" }])), onePort);

    const eighty = attempt(to(own, [{ ...port, targetPort: 8080 }]));
    const of = (name: string, ...ports: number[]) => ({ name, image: "app.invalid/app:1", ports: ports.map((containerPort) => ({ containerPort })) });
    const contains = (...containers: object[]) => api.patch("Deployment", app.namespace, app.name, { spec: { template: { spec: { containers } } } });
    await contains(of("app", 8080));
    await expect(eighty, "the only port of the only container").toPass(SOON);
    for (const [what, containers] of [
        ["past a proxy", [of("proxy", 3000), of("app", 8080)]],
        ["past a proxy that declares no port", [of("proxy"), of("app", 8080)]],
        ["one of two ports", [of("app", 8080, 9090)]],
    ] as const) {
        await contains(...containers);
        await expectDenied(what, eighty, safePort);
        await attempt(to(own))();
    }
    await contains(of("app", 8080));
    await expect(eighty).toPass(SOON);
    const initContainers = [{ ...of("proxy"), restartPolicy: "Always" }];
    await api.patch("Deployment", app.namespace, app.name, { spec: { template: { spec: { initContainers } } } });
    await expectDenied("past a sidecar", eighty, safePort);
});

test("a Service that selects by more labels than its own gets all of them", async ({ api, app }) => {
    const labels = { app: app.name, "example.org/tier": "web" };
    const { apiVersion, kind, metadata, spec } = await api.get("Deployment", app.namespace, app.name);
    await api.createAnew({ apiVersion, kind, metadata, spec: { ...spec, selector: { matchLabels: labels }, template: { ...spec.template, metadata: { labels } } } });
    const unidler = await asUnidler(api);
    await expect(() => unidler.tryPatch("Service", app.namespace, app.name, to(labels))).toPass(SOON);
});

test("with a record, a Service gets what is recorded and nothing else", async ({ api, app }) => {
    const unidler = await asUnidler(api);
    const given = (record: unknown) => {
        const text = typeof record === "string" ? record : JSON.stringify(record);
        return api.patch("Service", app.namespace, app.name, { metadata: { annotations: { [SERVICE_WHEN_UNIDLED]: text } } });
    };
    const attempt = (selector: object, ports: object[]) => () =>
        unidler.tryPatch("Service", app.namespace, app.name, { metadata: { annotations: { [SERVICE_WHEN_UNIDLED]: null } }, ...to(selector, ports) });
    const [selectors, portsOnly] = ["may only restore the selector that is recorded", "may only restore the ports that are recorded"];

    const selector = { "app.kubernetes.io/name": "tool", tier: "web" };
    const ports = [
        { name: "https", port: 443, targetPort: "https", protocol: "TCP", appProtocol: "https" },
        { name: "dns", port: 53, targetPort: 5353, protocol: "UDP" },
    ];
    await given({ ipFamilyPolicy: "SingleStack", ports, selector });
    await attempt(selector, ports)();
    await attempt({ ...selector }, [...ports].reverse())();
    await expectDenied("other pods", attempt({ ...selector, tier: "admin" }, ports), selectors);
    await expectDenied("more pods", attempt({ tier: "web" }, ports), selectors);
    await expectDenied("fewer pods", attempt({ ...selector, more: "x" }, ports), selectors);
    await expectDenied("what is elsewhere in the record", attempt({ name: "https", protocol: "TCP" }, ports), selectors);
    await expectDenied("another port", attempt(selector, [ports[0]!, { ...ports[1]!, port: 54 }]), portsOnly);
    await expectDenied("another target", attempt(selector, [ports[0]!, { ...ports[1]!, targetPort: 9187 }]), portsOnly);
    await expectDenied("another named target", attempt(selector, [{ ...ports[0]!, targetPort: "admin" }, ports[1]!]), portsOnly);
    await expectDenied("the target of another port", attempt(selector, [{ ...ports[0]!, targetPort: 5353 }, ports[1]!]), portsOnly);
    await expectDenied("another protocol", attempt(selector, [ports[0]!, { ...ports[1]!, protocol: "TCP" }]), portsOnly);
    await expectDenied("one port more", attempt(selector, [...ports, { name: "admin", port: 81 }]), portsOnly);
    await expectDenied("one port less", attempt(selector, ports.slice(0, 1)), portsOnly);
    await expectDenied("what unidler would guess", attempt({ app: app.name }, [port]), selectors);

    // As a person writes it, and with what the API server adds by itself.
    await given('{\n  "selector": {"app": "tool"},\n  "ports": [ { "port": 8080 } ]\n}');
    await attempt({ app: "tool" }, [{ port: 8080 }])();
    await attempt({ app: "tool" }, [{ port: 8080, targetPort: 8080, protocol: "TCP" }])();
    await expectDenied("another target than the port", attempt({ app: "tool" }, [{ port: 8080, targetPort: 9187 }]), portsOnly);
    await expectDenied("another protocol than TCP", attempt({ app: "tool" }, [{ port: 8080, protocol: "UDP" }]), portsOnly);
    for (const unusable of ["", "{}", "[]", '{"selector":{},"ports":[]}']) {
        await given(unusable);
        await expectDenied(`what an unusable record does not say: ${unusable}`, attempt({ app: app.name }, [port]), selectors);
    }
});

test("nobody else is kept from changing a Service, where there are no Deployments either", async ({ api, app }) => {
    const namespace = `${app.namespace}-without-deployments`;
    await api.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } });
    try {
        const service = { apiVersion: "v1", kind: "Service", metadata: { name: "plain", namespace }, spec: { selector: { app: "plain" }, ports: [port] } };
        await api.apply(service);
        await api.patch("Service", namespace, "plain", { metadata: { labels: { changed: "true" } } });
        expect((await api.get("Service", namespace, "plain")).metadata.labels).toEqual({ changed: "true" });
    } finally {
        await api.delete("Namespace", "", namespace);
    }
});

test("only its own Events about workloads are written", async ({ api, app }) => {
    const unidler = await asUnidler(api);
    const event = (reportingController: string, kind = "Deployment") =>
        ({
            apiVersion: "events.k8s.io/v1",
            kind: "Event",
            metadata: { name: `${app.name}-x`, namespace: app.namespace },
            eventTime: new Date().toISOString().replace("Z", "000Z"),
            type: "Normal",
            reason: "Test",
            action: "Test",
            note: "",
            reportingController,
            reportingInstance: "x",
            regarding: { apiVersion: "apps/v1", kind, namespace: app.namespace, name: app.name },
        }) as unknown as KubeObject;
    for (const kind of ["Deployment", "StatefulSet"]) await unidler.tryCreate(event("unidler", kind));
    const onlyOwn = "unidler may only write its own Events about workloads";
    await expectDenied("an Event of the scheduler", () => unidler.tryCreate(event("default-scheduler")), onlyOwn);
    await expectDenied("an Event about a Secret", () => unidler.tryCreate(event("unidler", "Secret")), onlyOwn);
    await api.apply(event("default-scheduler"));
    const rewrite = () => unidler.tryPatch("Event", app.namespace, `${app.name}-x`, { series: { count: 2, lastObservedTime: "2026-01-01T00:00:00.000000Z" } });
    await expectDenied("an Event of somebody else", rewrite, onlyOwn);
});

test("the API server finds no fault with the expressions of the policies", async ({ api }) => {
    for (const { kind, metadata } of shipped("policy.yaml").filter(({ kind }) => kind === "ValidatingAdmissionPolicy")) {
        const get = async () => await api.get(kind as "ValidatingAdmissionPolicy", "", metadata.name);
        await expect(async () => {
            const policy = await get();
            expect(policy.status?.observedGeneration).toBe(policy.metadata.generation);
        }, metadata.name).toPass(SOON);
        expect((await get()).status?.typeChecking?.expressionWarnings ?? [], metadata.name).toEqual([]);
    }
});

/** Puts an annotation on every Deployment and Service that is written, as Kyverno's rules or a platform's own may do. */
const STAMP = [
    {
        apiVersion: "admissionregistration.k8s.io/v1",
        kind: "MutatingAdmissionPolicy",
        metadata: { name: "tests-stamp" },
        spec: {
            reinvocationPolicy: "Never",
            matchConstraints: {
                resourceRules: [
                    { apiGroups: ["apps"], apiVersions: ["v1"], operations: ["UPDATE"], resources: ["deployments"] },
                    { apiGroups: [""], apiVersions: ["v1"], operations: ["UPDATE"], resources: ["services"] },
                ],
                namespaceSelector: { matchLabels: { "unidler.tests/stamped": "true" } },
            },
            mutations: [
                {
                    patchType: "ApplyConfiguration",
                    applyConfiguration: {
                        expression: `Object{metadata: Object.metadata{annotations: {"platform.example.org/checked": "v2"}, labels: {"platform.example.org/seen": "yes"}}}`,
                    },
                },
            ],
        },
    },
    { apiVersion: "admissionregistration.k8s.io/v1", kind: "MutatingAdmissionPolicyBinding", metadata: { name: "tests-stamp" }, spec: { policyName: "tests-stamp" } },
] as unknown as KubeObject[];

test("beside a policy that stamps every update, the log names the stamp, and an app wakes once it is listed", async ({ api, app, unidler }) => {
    const touch = { metadata: { annotations: { "unidler.tests/touched": "" } } };
    const stamp = { annotations: { "platform.example.org/checked": "v2" }, labels: { "platform.example.org/seen": "yes" } };
    try {
        await api.patch("Namespace", "", app.namespace, { metadata: { labels: { "unidler.tests/stamped": "true" } } });
        for (const object of STAMP) await api.apply(object);
        await expect.poll(async () => (await api.tryPatch("Deployment", app.namespace, app.name, touch)).metadata).toMatchObject(stamp);

        const told = await events(unidler.port, app.host);
        expect(told.at(-1)).toMatchObject({ event: "failure", progress: { reason: "permission_missing" } });
        expect(unidler.log).toContain("unidler may only remove the label mojanalytics.xyz/idled from a Deployment, not change platform.example.org/seen");

        for (const object of rendered("policy", { stampedKeys: ["platform.example.org/"] })) await api.apply(object);
        await expect(async () => expect((await status(unidler.port, app.host)).phase).not.toBe("failed")).toPass();
        expect((await events(unidler.port, app.host)).at(-1)?.event).toBe("success");
        await expectAwake(api, app);
        for (const kind of ["Deployment", "Service"] as const) expect((await api.get(kind, app.namespace, app.name)).metadata).toMatchObject(stamp);
    } finally {
        for (const { kind, metadata } of STAMP) await api.delete(kind as Kind, "", metadata.name);
        for (const object of shipped("policy.yaml")) await api.apply(object);
    }
});
