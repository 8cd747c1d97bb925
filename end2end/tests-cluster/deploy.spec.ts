/** The manifests that we ship, and the chart that they come from. */
import { type Api } from "../cluster/api";
import { AuditLog } from "../cluster/audit";
import { type Values, helm, rendered } from "../cluster/helm";
import { type Deployment, type Kind, type KubeObject, type NetworkPolicy, type Service } from "../cluster/objects";
import { clusterFacts, documents, shipped } from "../cluster/setup";
import { expect, test } from "./fixtures";

/** The roles and policies are there already, for the other tests. */
const INSTALL = ["--take-ownership", "--wait", "--timeout", "60s"];

test("the manifests as shipped give two admitted pods in a restricted namespace", async ({ api }) => {
    const objects = shipped("unidler.yaml");
    try {
        for (const object of objects) await api.apply(object);
        await expect.poll(async () => (await api.get("Deployment", "unidler", "unidler")).status?.availableReplicas).toBe(2);
    } finally {
        for (const { kind, metadata } of objects) await api.delete(kind as Kind, metadata.namespace ?? "", metadata.name);
    }
});

test("helm installs the chart, and upgrades it to another configuration", async ({ api }) => {
    const deployment = () => api.get("Deployment", "unidler", "unidler");
    try {
        expect(helm("install", "unidler", "unidler", {}, ...INSTALL)).toContain("STATUS: deployed");
        expect((await deployment()).status?.availableReplicas).toBe(2);
        const config = { maxReplicas: 5, brandName: "Our platform", forward: "always" };
        expect(helm("upgrade", "unidler", "unidler", { replicas: 3, config }, ...INSTALL)).toContain("STATUS: deployed");
        const { spec, status } = await deployment();
        expect(status?.availableReplicas).toBe(3);
        expect(spec.template.spec.containers[0]?.env).toEqual(expect.arrayContaining([{ name: "UNIDLER_BRAND_NAME", value: "Our platform" }]));
        const slip = () => helm("upgrade", "unidler", "unidler", { config: { maxReplica: 5 } }, ...INSTALL);
        expect(slip, "a slip of the pen is noticed").toThrow(/maxReplica/);
    } finally {
        await leaveAsShipped(api);
    }
});

test("before helm uninstalls, it runs a job, of which nothing is left", async ({ api }) => {
    const namespace = "leaving-platform";
    const log = new AuditLog(clusterFacts().auditLog);
    const mark = log.mark();
    try {
        helm("install", "leaving", namespace, { replicas: 1 }, ...INSTALL, "--create-namespace");
        expect(helm("uninstall", "leaving", namespace, {}, "--wait", "--timeout", "60s")).toContain('release "leaving" uninstalled');
        const asked = log.since(mark, "admin").filter(({ name }) => name.startsWith("leaving")).map(({ verb, resource, name }) => `${verb} ${resource} ${name}`);
        const order = ["create jobs leaving-restore", "delete jobs leaving-restore", "delete deployments leaving"].map((what) => asked.indexOf(what));
        expect(Math.min(...order), asked.join("\n")).toBeGreaterThanOrEqual(0);
        expect(order[0], "the job comes first").toBeLessThan(order[2]!);
        const left = await Promise.all(["leaving", "leaving-restore", "leaving-restore-restore", "leaving-restore-external-name"].map((name) => api.isThere("ClusterRoleBinding", "", name)));
        expect(left).toEqual([false, false, false, false]);
    } finally {
        await api.delete("Namespace", "", namespace);
    }
});

test("two releases run side by side, each with an account and policies of its own", async ({ api }) => {
    const namespace = "other-platform";
    const all = [...["unidler", "rbac", "policy", "networkpolicy"].flatMap((template) => templateOf("other", namespace, template))];
    try {
        helm("install", "unidler", "unidler", {}, ...INSTALL);
        helm("install", "other", namespace, { replicas: 1 }, ...INSTALL, "--create-namespace");
        expect((await api.get("Deployment", namespace, "other")).status?.availableReplicas).toBe(1);
        expect((await api.get("Deployment", "unidler", "unidler")).status?.availableReplicas).toBe(2);
        // It wakes the apps that point to its own Service, and its policies are about its own account.
        expect(envOf(await api.get("Deployment", namespace, "other"))).toMatchObject({ UNIDLER_SERVICE: "other" });
        const policies = await Promise.all(all.filter(({ kind }) => kind === "ValidatingAdmissionPolicy").map(({ metadata }) => api.get("ValidatingAdmissionPolicy", "", metadata.name)));
        expect(policies.length).toBeGreaterThan(0);
        for (const policy of policies) expect(JSON.stringify(policy), policy.metadata.name).toContain("system:serviceaccount:other-platform:other");
        expect(JSON.stringify(policies)).toContain("^other[.]");
        await expect.poll(() => api.may("system:serviceaccount:other-platform:other", "patch", "apps", "deployments")).toBe(true);
        await expect.poll(() => api.may("system:serviceaccount:unidler:unidler", "patch", "apps", "deployments")).toBe(true);
    } finally {
        for (const { kind, metadata } of all) await api.delete(kind as Kind, metadata.namespace ?? "", metadata.name);
        await api.delete("Namespace", "", namespace);
        await leaveAsShipped(api);
    }
});

test("two releases in one namespace keep their pods apart", () => {
    const [one, two] = ["unidler", "second"].map((release) => templateOf(release, "unidler", "unidler"));
    const selectors = (objects: KubeObject[] = []) => JSON.stringify(objects.map((object) => (object as { spec?: { selector?: object } }).spec?.selector));
    expect(selectors(one)).not.toEqual(selectors(two));
    const names = (objects: KubeObject[] = []) => objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    expect(names(one).filter((name) => names(two).includes(name))).toEqual([]);
});

test("what operators ask of the pods is what they get", async () => {
    const wishes = {
        imagePullSecrets: [{ name: "regcred" }],
        nodeSelector: { pool: "system" },
        tolerations: [{ key: "dedicated", operator: "Exists" }],
        affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } },
        priorityClassName: "system-cluster-critical",
    };
    const values = {
        ...wishes,
        podAnnotations: { "example.org/note": "1" },
        podLabels: { "example.org/team": "web" },
        env: [{ name: "RUST_LOG", value: "debug" }, { name: "OTEL_SERVICE_NAME", value: "wake" }],
        runAsUser: null,
        // Numbers of a file are fractions to helm, and empty means the default.
        config: { maxConnections: 1_000_000, deadline: 1_000_000, shutdownDelay: 40, contactUrl: "", otlpEndpoint: "" },
    };
    const deployment = deploymentWith(values);
    const { metadata, spec } = deployment.spec.template;
    expect(spec).toMatchObject(wishes);
    expect(metadata).toMatchObject({ annotations: values.podAnnotations, labels: values.podLabels });
    expect(spec.securityContext).toEqual({ runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
    expect(spec.terminationGracePeriodSeconds, "longer than the delay, and than what is then under way").toBe(67);
    const env = envOf(deployment);
    expect(env).toMatchObject({ UNIDLER_MAX_CONNECTIONS: "1000000", UNIDLER_DEADLINE: "1000000", RUST_LOG: "debug", OTEL_SERVICE_NAME: "wake" });
    for (const name of ["UNIDLER_CONTACT_URL", "OTEL_EXPORTER_OTLP_ENDPOINT"]) expect(env).not.toHaveProperty(name);
    expect(deploymentWith({}).spec.template.spec.terminationGracePeriodSeconds).toBe(30);
});

test("replicas that are not ready hold up no drain of their node", async ({ api }) => {
    // They run, and their readiness probes do not pass: see stages.yaml.
    const podAnnotations = { "unidler.tests/trouble": "probe", "pod-ready.stage.kwok.x-k8s.io/weight": "0" };
    try {
        helm("install", "unidler", "unidler", { podAnnotations }, "--take-ownership");
        const pods = async () => (await api.list("Pod", "unidler")).filter(({ status }) => status?.phase === "Running");
        await expect.poll(async () => (await pods()).length).toBe(2);
        for (const { metadata } of await pods()) await api.evict(metadata.namespace ?? "", metadata.name);
    } finally {
        await leaveAsShipped(api);
    }
});

test.describe("the network policy", () => {
    const slice = (port: number, address: string) =>
        ({
            apiVersion: "discovery.k8s.io/v1",
            kind: "EndpointSlice",
            metadata: { name: "kubernetes", namespace: "default", labels: { "kubernetes.io/service-name": "kubernetes", "endpointslice.kubernetes.io/managed-by": "tests" } },
            addressType: "IPv4",
            endpoints: [{ addresses: [address], conditions: { ready: true } }],
            ports: [{ name: "https", port, protocol: "TCP" }],
        }) as unknown as KubeObject;
    const ports = ({ ports = [] }: NetworkPolicy["spec"]["egress"][number]) => ports.map(({ port }) => port);
    const cidrs = ({ to = [] }: NetworkPolicy["spec"]["egress"][number]) => to.flatMap(({ ipBlock }) => ipBlock?.cidr ?? []);
    const PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"];

    for (const [where, port, address, expected] of [
        ["MicroK8s has it", 16443, "10.9.8.7", PRIVATE],
        ["a managed cluster has it, at a public address", 6443, "203.0.113.7", [...PRIVATE, "203.0.113.7/32"]],
    ] as const) {
        test(`leads to the API server where ${where}, and to no other place outside`, async ({ api }) => {
            await api.apply(slice(port, address));
            try {
                helm("install", "unidler", "unidler", {}, ...INSTALL);
                const { spec } = await api.get("NetworkPolicy", "unidler", "unidler");
                const [toApi, toDns, toApps, ...more] = spec.egress;
                expect(ports(toApi!)).toEqual([443, port]);
                expect(cidrs(toApi!)).toEqual(expected);
                expect(new Set(ports(toDns!))).toEqual(new Set([53, 5353]));
                expect(cidrs(toDns!)).toEqual(["169.254.20.10/32"]);
                expect(toApps).toEqual({ to: [{ namespaceSelector: {} }] });
                expect(more).toEqual([]);
            } finally {
                await api.delete("EndpointSlice", "default", "kubernetes");
                await leaveAsShipped(api);
            }
        });
    }

    const egress = (values: Values) => (rendered("networkpolicy", values)[0] as NetworkPolicy).spec.egress;

    test("says what operators say", () => {
        const collector = { to: [{ ipBlock: { cidr: "198.51.100.9/32" } }], ports: [{ port: 4318 }] };
        const values = { apiServer: { ports: [8443], cidrs: ["10.1.2.3/32"] }, dns: { ports: [1053] }, extraEgress: [collector], config: { otlpEndpoint: "http://collector.traces:4318" } };
        const [toApi, toDns, toApps, toCollector, extra, ...more] = egress(values);
        expect([ports(toApi!), cidrs(toApi!)]).toEqual([[8443], ["10.1.2.3/32"]]);
        expect(new Set(ports(toDns!))).toEqual(new Set([1053]));
        expect(toApps, "forwarded requests go to apps at any port").toEqual({ to: [{ namespaceSelector: {} }] });
        expect(toCollector).toEqual({ to: [{ namespaceSelector: {} }], ports: [{ port: 4318 }] });
        expect(extra).toEqual(collector);
        expect(more).toEqual([]);
        expect(egress({ config: { otlpEndpoint: "https://collector.traces" } })[3]?.ports).toEqual([{ port: 443 }]);
        expect(egress({ config: { forward: "never" } })).toHaveLength(2);
        const toPrometheus = egress({ config: { forward: "never", prometheus: "http://prometheus.monitoring:9090" } })[2];
        expect(toPrometheus).toEqual({ to: [{ namespaceSelector: {} }], ports: [{ port: 9090 }] });
    });

    test("without a cluster to ask, has the usual ports and no way to the Internet", () => {
        const [toApi] = egress({});
        expect([ports(toApi!), cidrs(toApi!)]).toEqual([[443, 6443], PRIVATE]);
        for (const { to = [] } of egress({})) expect(to.length, "no rule is open to everywhere").toBeGreaterThan(0);
    });

    test("reaches an API server that is no address to Cilium", () => {
        const [, cilium] = rendered("networkpolicy", {}, "--api-versions", "cilium.io/v2/CiliumNetworkPolicy") as unknown as [unknown, { kind: string; spec: { egress: object[] } }];
        expect(cilium.kind).toBe("CiliumNetworkPolicy");
        expect(cilium.spec.egress).toEqual([
            { toEntities: ["kube-apiserver"], toPorts: [{ ports: [{ port: "443", protocol: "TCP" }, { port: "6443", protocol: "TCP" }] }] },
        ]);
    });
});

test("the ServiceMonitor selects unidler's Service and its metrics port", () => {
    const [monitor, ...more] = rendered("servicemonitor", { serviceMonitor: { enabled: true, labels: { release: "monitoring" } } }) as unknown as [
        { kind: string; metadata: { labels: object }; spec: { selector: { matchLabels: Record<string, unknown> }; endpoints: { port: string }[] } },
    ];
    expect(more).toEqual([]);
    expect(monitor.kind).toBe("ServiceMonitor");
    expect(monitor.metadata.labels).toMatchObject({ release: "monitoring" });
    const service = rendered("unidler", {}).find(({ kind }) => kind === "Service") as Service;
    expect(service.metadata.labels).toMatchObject(monitor.spec.selector.matchLabels);
    expect(service.spec.ports?.map(({ name }) => name)).toContain(monitor.spec.endpoints[0]?.port);
    expect(() => rendered("servicemonitor", {}), "off by default").toThrow("could not find template");
    expect(() => rendered("servicemonitor", { serviceMonitor: { enabled: true }, config: { adminPort: "" } })).toThrow("config.adminPort");
});

function deploymentWith(values: Values): Deployment {
    return rendered("unidler", values).find(({ kind }) => kind === "Deployment") as Deployment;
}

function envOf({ spec }: Deployment): Record<string, string | undefined> {
    return Object.fromEntries(spec.template.spec.containers[0]?.env?.map(({ name, value }) => [name, value]) ?? []);
}

/** What a template renders to for a release of another name. */
function templateOf(release: string, namespace: string, template: string): KubeObject[] {
    return documents(helm("template", release, namespace, {}, "--kube-version", "1.33.0", "--show-only", `templates/${template}.yaml`));
}

/** Takes the release `unidler` away, but for the roles and policies that the other tests need. */
async function leaveAsShipped(api: Api): Promise<void> {
    for (const { kind, metadata } of shipped("unidler.yaml")) await api.delete(kind as Kind, metadata.namespace ?? "", metadata.name);
    // What helm remembers of it.
    for (const { metadata } of await api.list("Secret", "unidler")) {
        if (metadata.name.startsWith("sh.helm.release.")) await api.delete("Secret", "unidler", metadata.name);
    }
    for (const object of [...shipped("rbac.yaml"), ...shipped("policy.yaml")]) await api.apply(object);
}
