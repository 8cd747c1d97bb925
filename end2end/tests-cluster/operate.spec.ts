/** The commands for operators: `unidler idle`, `status` and `doctor`. */
import { randomBytes } from "node:crypto";

import { type Api, writeKubeconfig } from "../cluster/api";
import { type App, IDLED, IDLED_AT, IMAGE, REPLICAS_WHEN_UNIDLED, SERVICE_WHEN_UNIDLED, deleteApp } from "../cluster/app";
import { AuditLog, isWrite } from "../cluster/audit";
import { OPERATOR } from "../cluster/control-plane";
import { type KubeObject, contentOf } from "../cluster/objects";
import { readyEndpoint } from "../cluster/own-service";
import { run } from "../cluster/program";
import { clusterFacts, shipped } from "../cluster/setup";
import { UNIDLER_USER, expect, test as base } from "./fixtures";

/** The apps of other tests go with their namespaces, after their pods. */
const AFTER_OTHERS = { timeout: 75_000 };

interface Fixtures {
    /** An app that is awake, with a Service that the original idler would have lost. */
    awake: App;
}

const test = base.extend<Fixtures, { unidlerService: void }>({
    // Apps are idled only towards an unidler that is there.
    unidlerService: [
        async ({ api }, use) => {
            const service = shipped("unidler.yaml").find(({ kind }) => kind === "Service") as KubeObject;
            for (const object of [service, readyEndpoint()]) await api.apply(object);
            await use();
            await api.delete("EndpointSlice", "unidler", readyEndpoint().metadata.name);
            await api.delete("Service", "unidler", "unidler");
        },
        { scope: "worker", auto: true },
    ],

    awake: async ({ api }, use) => {
        const app = await createUnusualApp(api);
        await use(app);
        await deleteApp(api, app);
    },
});

test("an app that was idled comes back as it was, whatever its Service is like", async ({ page, api, awake, operate, unidler, ingress }) => {
    // A server that has just started looks for wake-ups to finish, and half an idling looks like one.
    await expect.poll(() => unidler.log).toMatch(/INFO ready$/m);
    const before = await specs(api, awake);
    expect(await operate(...idleOf(awake))).toEqual({
        code: 0,
        stdout: `Idled ${awake.host}: scaled Deployment ${awake.namespace}/${awake.name} from 2 to 0 replicas. The next visit restores them.\n`,
        stderr: "",
    });

    const deployment = await api.get("Deployment", awake.namespace, awake.name);
    expect(deployment.spec.replicas).toBe(0);
    expect(deployment.metadata.labels).toMatchObject({ [IDLED]: "true" });
    expect(deployment.metadata.annotations).toMatchObject({
        [IDLED_AT]: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
        [REPLICAS_WHEN_UNIDLED]: "2",
    });
    const { spec } = await api.get("Service", awake.namespace, awake.name);
    expect(spec).toMatchObject({ type: "ExternalName", externalName: "unidler.unidler.svc.cluster.local" });
    expect(spec).not.toHaveProperty("selector");
    expect(spec.ports).toEqual([{ name: "http", port: 80, targetPort: 80, protocol: "TCP" }]);

    await page.goto(ingress.url(awake.host, "/reports"));
    await expect(page.locator("main")).toHaveAttribute("data-phase", "waking");
    await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${awake.host}`);
    await expect.poll(() => specs(api, awake)).toEqual(before);
});

test("a dry run shows both patches and writes nothing", async ({ api, awake, operate }) => {
    const before = await contentsOf(api, awake);
    const log = new AuditLog(clusterFacts().auditLog);
    const mark = log.mark();

    const { code, stdout } = await operate(...idleOf(awake), "--dry-run");
    expect(code).toBe(0);
    const [, service, deployment] = stdout.split(/^.*patch:$/m).map((part) => part.trim());
    expect(JSON.parse(service ?? "").spec.externalName).toBe("unidler.unidler.svc.cluster.local");
    expect(JSON.parse(deployment ?? "")).toContainEqual({ op: "replace", path: "/spec/replicas", value: 0 });

    const asked = log.since(mark, OPERATOR.user);
    expect(asked.map(({ verb, resource }) => `${verb} ${resource}`).sort()).toEqual(
        ["deployments", "endpointslices", "gatewayclasses", "gateways", "horizontalpodautoscalers", "httproutes", "ingressclasses", "ingresses", "namespaces", "referencegrants", "rollouts", "services", "statefulsets"].map((kind) => `list ${kind}`),
    );
    expect(asked.filter(isWrite)).toEqual([]);
    expect(await contentsOf(api, awake)).toEqual(before);
});

test("who may not scale the app leaves its Service as it was", async ({ api, awake }, testInfo) => {
    const before = await specs(api, awake);
    const kubeconfig = await limitedOperator(api, awake, testInfo.outputPath("limited.kubeconfig"));
    const log = new AuditLog(clusterFacts().auditLog);
    const mark = log.mark();

    const { code, stdout, stderr } = await run(kubeconfig, ...idleOf(awake));
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain(`the app is as it was: cannot scale Deployment ${awake.namespace}/${awake.name}: `);
    expect(stderr).toContain('cannot patch resource "deployments"');

    const writes = log.since(mark, `system:serviceaccount:${awake.namespace}:operator`).filter(({ verb }) => verb === "patch");
    // A refusal is believed when it comes twice.
    expect(writes.map(({ resource, code }) => `${resource} ${code}`)).toEqual(["services 200", "deployments 403", "deployments 403", "services 200"]);
    expect(await specs(api, awake)).toEqual(before);
    const service = await api.get("Service", awake.namespace, awake.name);
    expect(service.metadata.annotations ?? {}).not.toHaveProperty([SERVICE_WHEN_UNIDLED]);
});

test("what could not be woken as it was is refused, and nothing is written", async ({ api, awake, operate }) => {
    await api.patch("Service", awake.namespace, awake.name, { spec: { type: "NodePort" } });
    const before = await contentsOf(api, awake);
    const { code, stderr } = await operate(...idleOf(awake));
    expect(code).toBe(1);
    expect(stderr).toContain("is of type NodePort");
    expect(await contentsOf(api, awake)).toEqual(before);

    const unknown = await operate("idle", "nobody.localhost", "--handover", "external-name");
    expect(unknown.code).toBe(1);
    expect(unknown.stderr).toContain("no Ingress has the label host=nobody.localhost");
});

test("an app is not idled twice, nor towards an unidler that is not there", async ({ awake, operate }) => {
    const nowhere = await operate(...idleOf(awake), "--unidler-host", "unidler.nowhere.svc.cluster.local");
    expect(nowhere).toMatchObject({ code: 1, stderr: expect.stringContaining("Service nowhere/unidler does not exist") });
    expect(await operate(...idleOf(awake))).toMatchObject({ code: 0 });
    expect(await operate(...idleOf(awake))).toMatchObject({ code: 0, stdout: `${awake.host} is already idled.\n` });
});

test("status lists what is idled, for people and for machines", async ({ api, awake, operate }) => {
    await expect.poll(() => operate("status"), AFTER_OTHERS).toEqual({ code: 0, stdout: "No app is idled.\n", stderr: "" });
    await operate(...idleOf(awake));
    await api.patch("Deployment", awake.namespace, awake.name, { metadata: { annotations: { "mojanalytics.xyz/wake-seconds": "30,50,40" } } });

    const { stdout } = await operate("status");
    const [head = "", row = "", ...others] = stdout.trimEnd().split("\n");
    expect(others).toEqual([]);
    expect(head.split(/\s{2,}/)).toEqual(["HOST", "NAMESPACE", "IDLED", "REPLICAS", "WAKES IN"]);
    const cells = row.split(/\s{2,}/);
    expect(cells).toEqual([awake.host, awake.namespace, expect.stringMatching(/^\d+ s ago$/), "2", "about 40 s"]);
    expect(row.indexOf(awake.namespace), "the columns are aligned").toBe(head.indexOf("NAMESPACE"));

    expect(JSON.parse((await operate("status", "--output", "json")).stdout)).toEqual([
        {
            hosts: [awake.host],
            namespace: awake.namespace,
            form: "external-name",
            since: expect.stringMatching(/Z$/),
            by: null,
            workloads: [{ kind: "Deployment", name: awake.name, replicas: 2 }],
            wake_seconds: 40,
            wakes: true,
        },
    ]);
});

test("doctor is silent on a healthy cluster, and finds each fault in it", async ({ api, awake, operate }) => {
    test.setTimeout(180_000);
    const { name, namespace, host, key } = awake;
    const diagnose = async () => {
        const { code, stdout } = await operate("doctor", "--output", "json");
        const findings: { severity: string; check: string; fix: string }[] = JSON.parse(stdout);
        return { code, found: findings.map(({ severity, check }) => `${severity} ${check}`), fix: findings.map(({ fix }) => fix) };
    };
    const healthy = { code: 0, found: [], fix: [] };
    const patch = (kind: "Deployment" | "Ingress" | "Service", change: object) => api.patch(kind, namespace, name, change);
    const noKey = { metadata: { labels: { host: null } } };
    const withKey = { metadata: { labels: key } };

    await expect.poll(() => operate("doctor"), AFTER_OTHERS).toEqual({ code: 0, stdout: "No problems found.\n", stderr: "" });
    // An app that is awake needs no label.
    await patch("Deployment", noKey);
    expect(await diagnose()).toEqual(healthy);
    await patch("Deployment", withKey);
    // Who leads to the app need not have its key.
    for (const kind of ["Service", "Ingress"] as const) {
        await patch(kind, noKey);
        expect(await diagnose(), kind).toEqual(healthy);
        await patch(kind, withKey);
    }

    await operate(...idleOf(awake));
    expect(await diagnose(), "an idled app is healthy").toEqual(healthy);

    const service = await api.get("Service", namespace, name);
    const kept = service.metadata.annotations?.[SERVICE_WHEN_UNIDLED];
    const { rules } = (await api.get("Ingress", namespace, name)).spec;
    const elsewhere = { service: { name: "elsewhere", port: { number: 80 } } };
    const faults: { found: string[]; code: number; make: () => Promise<unknown>; fix: () => Promise<unknown> }[] = [
        {
            code: 1,
            found: ["error unidler-not-ready"],
            make: () => api.delete("EndpointSlice", "unidler", readyEndpoint().metadata.name),
            fix: () => api.apply(readyEndpoint()),
        },
        {
            code: 1,
            found: ["error host-not-served"],
            make: () => patch("Ingress", { ...noKey, spec: { rules: [{ host, http: { paths: [{ path: "/", pathType: "Prefix", backend: elsewhere }] } }] } }),
            fix: () => patch("Ingress", { ...withKey, spec: { rules } }),
        },
        {
            code: 1,
            found: ["error key-duplicate"],
            make: async () => {
                const { apiVersion, kind, spec, metadata } = await api.get("Deployment", namespace, name);
                await api.apply({ apiVersion, kind, metadata: { name: "twin", namespace, labels: metadata.labels }, spec } as KubeObject);
            },
            fix: () => api.delete("Deployment", namespace, "twin"),
        },
        {
            code: 1,
            found: ["error service-spec-lost"],
            make: () => patch("Service", { metadata: { annotations: { [SERVICE_WHEN_UNIDLED]: "garbage" } } }),
            fix: () => patch("Service", { metadata: { annotations: { [SERVICE_WHEN_UNIDLED]: kept } } }),
        },
        {
            code: 1,
            found: ["error half-idled"],
            make: () => patch("Deployment", { metadata: { labels: { [IDLED]: null } } }),
            fix: () => patch("Deployment", { metadata: { labels: { [IDLED]: "true" } } }),
        },
        {
            code: 1,
            // For each kind of object (nine) and what is scaled (three); and the optional ones for pods and for OpenShift.
            found: [...Array<string>(12).fill("error permission-missing"), ...Array<string>(2).fill("warning permission-missing")],
            make: async () => {
                await api.delete("ClusterRoleBinding", "", "unidler");
                await api.delete("ClusterRoleBinding", "", "unidler-pods");
            },
            fix: async () => {
                for (const object of shipped("rbac.yaml")) await api.apply(object);
            },
        },
        {
            code: 0,
            found: ["warning ingress-controller"],
            make: async () => {
                const spec = { controller: "k8s.io/ingress-nginx" };
                await api.apply({ apiVersion: "networking.k8s.io/v1", kind: "IngressClass", metadata: { name: "nginx" }, spec } as KubeObject);
                await patch("Ingress", { spec: { ingressClassName: "nginx" } });
            },
            fix: async () => {
                await patch("Ingress", { spec: { ingressClassName: null } });
                await api.delete("IngressClass", "", "nginx");
            },
        },
        {
            code: 0,
            found: ["note autoscaler"],
            make: () =>
                api.apply({
                    apiVersion: "autoscaling/v2",
                    kind: "HorizontalPodAutoscaler",
                    metadata: { name, namespace },
                    spec: { maxReplicas: 3, scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name } },
                } as KubeObject),
            fix: () => api.delete("HorizontalPodAutoscaler", namespace, name),
        },
        {
            code: 0,
            found: ["warning gitops-owner"],
            make: () => patch("Deployment", { metadata: { annotations: { "argocd.argoproj.io/tracking-id": `tools:apps/Deployment:${namespace}/${name}` } } }),
            fix: () => patch("Deployment", { metadata: { annotations: { "argocd.argoproj.io/tracking-id": null } } }),
        },
    ];
    for (const { make, found, code, fix } of faults) {
        await make();
        try {
            // What is asked of RBAC is answered from a cache that lags.
            await expect.poll(async () => (await diagnose()).found, { message: found.join() }).toEqual(found);
            expect((await diagnose()).code, found.join()).toBe(code);
        } finally {
            await fix();
        }
        await expect.poll(diagnose, { message: `after ${found.join()}` }).toEqual(healthy);
    }
});

test("doctor says what it could not look at", async ({ api, awake: _ }) => {
    const binding = shipped("rbac.yaml").find(({ kind, metadata }) => kind === "ClusterRoleBinding" && metadata.name === "unidler-sleep") as KubeObject;
    const maySee = async () => await api.may(UNIDLER_USER, "list", "autoscaling", "horizontalpodautoscalers");
    await api.delete("ClusterRoleBinding", "", binding.metadata.name);
    try {
        await expect.poll(maySee).toBe(false);
        const { code, stdout } = await run(clusterFacts().kubeconfig, "doctor");
        expect(code).toBe(0);
        for (const what of ["IngressClasses", "HorizontalPodAutoscalers", "unidler's permissions"]) {
            expect(stdout).toContain(`warning: Could not read ${what}: `);
        }
    } finally {
        await api.apply(binding);
        await expect.poll(maySee).toBe(true);
    }
});

test("without a cluster the commands say what to do", async () => {
    for (const args of [["status"], ["doctor"], ["idle", "tool.localhost"], ["wake", "tool.localhost"], ["restore", "--all"]]) {
        expect(await run("/nowhere", ...args)).toMatchObject({ code: 2, stderr: expect.stringContaining("name a kubeconfig with KUBECONFIG") });
    }
});

/** The command that idles an app as in 2020. */
function idleOf({ host }: App): string[] {
    return ["idle", host, "--handover", "external-name"];
}

/** What must be the same after a wake-up: all but what the API server assigns. */
async function specs(api: Api, { namespace, name }: App): Promise<object> {
    const service = await api.get("Service", namespace, name);
    const deployment = await api.get("Deployment", namespace, name);
    const { clusterIP: _, clusterIPs: __, ...spec } = service.spec as Record<string, unknown>;
    const { labels, annotations: { "mojanalytics.xyz/wake-seconds": ___, ...annotations } = {} } = deployment.metadata;
    return { service: spec, serviceAnnotations: service.metadata.annotations ?? {}, deployment: deployment.spec, labels, annotations };
}

async function contentsOf(api: Api, { namespace, name }: App): Promise<object[]> {
    const objects = await Promise.all((["Ingress", "Deployment", "Service"] as const).map((kind) => api.get(kind, namespace, name)));
    return objects.map(contentOf);
}

async function createUnusualApp(api: Api): Promise<App> {
    const id = randomBytes(3).toString("hex");
    const host = `www-${id}.localhost`;
    const app: App = { name: `tool-${id}`, namespace: `team-${id}`, host, key: { host } };
    const metadata = { name: app.name, namespace: app.namespace, labels: app.key };
    const pods = { app: app.name, tier: "web", "example.org/track": "stable" };
    const ports = [
        { name: "web", containerPort: 8080 },
        { name: "metrics", containerPort: 9090 },
    ];
    const delays = Object.fromEntries(
        ["pod-create", "pod-ready"].flatMap((stage) => ["delay", "jitter-delay"].map((what) => [`${stage}.stage.kwok.x-k8s.io/${what}`, stage === "pod-ready" ? "2s" : "0s"])),
    );
    await api.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: app.namespace } });
    const objects = [
        {
            apiVersion: "networking.k8s.io/v1",
            kind: "Ingress",
            metadata,
            spec: { rules: [{ host, http: { paths: [{ path: "/", pathType: "Prefix", backend: { service: { name: app.name, port: { name: "http" } } } }] } }] },
        },
        {
            apiVersion: "apps/v1",
            kind: "Deployment",
            metadata,
            spec: {
                replicas: 2,
                selector: { matchLabels: pods },
                template: { metadata: { labels: pods, annotations: delays }, spec: { containers: [{ name: "app", image: IMAGE, ports }] } },
            },
        },
        {
            apiVersion: "v1",
            kind: "Service",
            metadata,
            spec: {
                selector: pods,
                ports: [
                    { name: "http", port: 8000, targetPort: "web", appProtocol: "kubernetes.io/h2c" },
                    { name: "metrics", port: 9090, targetPort: 9090 },
                ],
                sessionAffinity: "ClientIP",
                sessionAffinityConfig: { clientIP: { timeoutSeconds: 600 } },
                internalTrafficPolicy: "Local",
                publishNotReadyAddresses: true,
                trafficDistribution: "PreferClose",
            },
        },
    ];
    for (const object of objects) await api.apply(object as KubeObject);
    await expect.poll(async () => (await api.get("Deployment", app.namespace, app.name)).status?.availableReplicas).toBe(2);
    return app;
}

/** Somebody who may list apps and patch Services, but not Deployments. */
async function limitedOperator(api: Api, { namespace }: App, kubeconfig: string): Promise<string> {
    const name = "operator";
    const role = `operator-${namespace}`;
    const group = "rbac.authorization.k8s.io";
    const objects = [
        { apiVersion: "v1", kind: "ServiceAccount", metadata: { name, namespace } },
        {
            apiVersion: `${group}/v1`,
            kind: "ClusterRole",
            metadata: { name: role },
            rules: [
                { apiGroups: ["networking.k8s.io"], resources: ["ingresses"], verbs: ["list", "watch"] },
                { apiGroups: ["apps"], resources: ["deployments", "statefulsets"], verbs: ["list", "watch"] },
                { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"] },
                { apiGroups: [""], resources: ["services"], verbs: ["list", "watch", "patch"] },
                { apiGroups: ["autoscaling"], resources: ["horizontalpodautoscalers"], verbs: ["list"] },
            ],
        },
        {
            apiVersion: `${group}/v1`,
            kind: "ClusterRoleBinding",
            metadata: { name: role },
            roleRef: { apiGroup: group, kind: "ClusterRole", name: role },
            subjects: [{ kind: "ServiceAccount", name, namespace }],
        },
    ];
    for (const object of objects) await api.apply(object as KubeObject);
    await expect.poll(() => api.may(`system:serviceaccount:${namespace}:${name}`, "patch", "", "services")).toBe(true);
    writeKubeconfig(kubeconfig, { ...clusterFacts().access, token: await api.tokenOf(namespace, name) });
    return kubeconfig;
}
