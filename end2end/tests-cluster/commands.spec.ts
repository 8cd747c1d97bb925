/** The commands for operators on apps that unidler's own EndpointSlices divert: nothing in them has a label of unidler's. */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { Api, writeKubeconfig } from "../cluster/api";
import { IDLED, IMAGE } from "../cluster/app";
import { rendered } from "../cluster/helm";
import { divertedOf } from "../cluster/asleep";
import { type Kind, type KubeObject } from "../cluster/objects";
import { run } from "../cluster/program";
import { OURS } from "../cluster/own-service";
import { clusterFacts } from "../cluster/setup";
import { expectDenied } from "./denied";
import { expect, ownService, test as base } from "./fixtures";

/** A workload and the Service in front of it, both of this name. */
interface Part {
    name: string;
    kind?: "Deployment" | "StatefulSet";
    hosts: string[];
    service?: object;
    replicas?: number;
    /** What its pods do, as stages.yaml has it. */
    trouble?: string;
}

interface Team {
    namespace: string;
    host: (name: string) => string;
    /** Creates an app with an Ingress for its hosts. */
    create: (part: Part) => Promise<void>;
    replicas: (name: string, kind?: "Deployment" | "StatefulSet") => Promise<number>;
    /** The addresses that unidler's slice of a Service has; `undefined` without a slice. */
    slice: (name: string) => Promise<string[] | undefined>;
}

const test = base.extend<{ team: Team }, { ownService: void }>({
    ownService,

    team: async ({ api }, use) => {
        const id = randomBytes(3).toString("hex");
        const namespace = `team-${id}`;
        await api.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } });
        const created: Part[] = [];
        await use({
            namespace,
            host: (name) => `${name}-${id}.localhost`,
            create: async (part) => {
                created.push(part);
                for (const object of objectsOf(namespace, part)) await api.apply(object);
            },
            replicas: async (name, kind = "Deployment") => (await api.get(kind, namespace, name)).spec.replicas,
            slice: (name) => divertedOf(api, namespace, name),
        });
        for (const { name, kind = "Deployment" } of created) {
            await api.delete("Ingress", namespace, name);
            await api.delete(kind, namespace, name);
        }
        await api.delete("Namespace", "", namespace);
    },
});

test("several hosts are idled at once, an app of two of them once, and a refusal is said", async ({ operate, team }) => {
    const [web, www, db, node] = ["web", "www", "db", "node"].map(team.host) as [string, string, string, string];
    await team.create({ name: "web", hosts: [web, www] });
    await team.create({ name: "db", kind: "StatefulSet", hosts: [db] });
    await team.create({ name: "node", hosts: [node], service: { type: "NodePort" } });

    expect(await operate("idle", web, db, www)).toEqual({
        code: 0,
        stdout: [
            `Idled ${web}, ${www}: scaled Deployment ${team.namespace}/web from 2 to 0 replicas. The next visit restores them.`,
            `Idled ${db}: scaled StatefulSet ${team.namespace}/db from 2 to 0 replicas. The next visit restores them.`,
            "",
        ].join("\n"),
        stderr: "",
    });
    expect([await team.replicas("web"), await team.replicas("db", "StatefulSet")]).toEqual([0, 0]);
    expect([await team.slice("web"), await team.slice("db")]).toEqual([[OURS], [OURS]]);

    const again = await operate("idle", web, node, team.host("nobody"));
    expect(again).toMatchObject({ code: 1, stdout: `${web} is already idled.\n` });
    expect(again.stderr).toContain(`unidler: ${node} is not idled: Service ${team.namespace}/node is of type NodePort: `);
    expect(again.stderr).toContain(`unidler: ${team.host("nobody")} is not idled: no Ingress or HTTPRoute routes `);
    expect(await team.replicas("node")).toBe(2);
});

test("of a namespace, all is idled that can be", async ({ operate, team }) => {
    await team.create({ name: "web", hosts: [team.host("web"), team.host("www")] });
    await team.create({ name: "any", hosts: [`*.${team.host("any")}`] });
    await team.create({ name: "node", hosts: [team.host("node")], service: { type: "NodePort" } });
    await team.create({ name: "off", hosts: [team.host("off")], replicas: 0 });

    const dry = await operate("idle", "--namespace", team.namespace, "--dry-run");
    expect(dry.code).toBe(0);
    expect(dry.stdout).toContain(`${team.host("web")}, ${team.host("www")}:\nTo idle it, unidler would do these 2 writes. Nothing was written.`);
    expect(await team.slice("web")).toBeUndefined();

    const { code, stdout, stderr } = await operate("idle", "--namespace", team.namespace);
    expect(stdout.trimEnd().split("\n").sort()).toEqual([
        `Idled *.${team.host("any")}: scaled Deployment ${team.namespace}/any from 2 to 0 replicas. The next visit restores them.`,
        `Idled ${team.host("web")}, ${team.host("www")}: scaled Deployment ${team.namespace}/web from 2 to 0 replicas. The next visit restores them.`,
    ]);
    expect(stderr).toContain(`${team.host("node")} is not idled: Service ${team.namespace}/node is of type NodePort: `);
    expect(stderr).toContain(`${team.host("off")} is not idled: there are no replicas behind Service ${team.namespace}/off`);
    expect(code, "what cannot be idled was not asked for").toBe(0);

    expect(await operate("idle", "--namespace", `${team.namespace}-x`)).toMatchObject({ code: 1, stdout: "" });
    const web = team.host("web");
    expect(await operate("idle", web, "--namespace", team.namespace)).toMatchObject({ code: 0, stdout: `${web} is already idled.\n` });
    const elsewhere = await operate("idle", web, "--namespace", `${team.namespace}-x`);
    expect(elsewhere).toMatchObject({ code: 1, stderr: expect.stringContaining(`its app is in the namespace ${team.namespace}`) });
});

test("an app is woken without a visitor, and the exit code says how that went", async ({ operate, team }) => {
    const [web, bad, slow] = ["web", "bad", "slow"].map(team.host) as [string, string, string];
    await team.create({ name: "web", hosts: [web] });
    await team.create({ name: "bad", hosts: [bad], trouble: "crash" });
    await team.create({ name: "slow", hosts: [slow], trouble: "probe" });
    expect(await operate("idle", web, bad, slow)).toMatchObject({ code: 0 });

    expect(await operate("wake", web, "--wait", "1m")).toMatchObject({ code: 0, stdout: expect.stringMatching(`^${web} is awake after \\d+ s.\n$`) });
    expect([await team.replicas("web"), await team.slice("web")]).toEqual([2, []]);
    expect(await operate("wake", web)).toMatchObject({ code: 0, stdout: `${web} is already awake.\n` });

    expect(await operate("wake", bad)).toMatchObject({ code: 0, stdout: `${bad} is starting.\n` });
    expect(await team.replicas("bad")).toBe(2);
    const failed = await operate("wake", bad, "--wait", "50s");
    expect(failed).toMatchObject({ code: 1, stdout: "", stderr: `unidler: ${bad} is not awake: The app keeps stopping right after it starts.\n` });
    const late = await operate("wake", slow, "--wait", "5s");
    expect(late).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining(`unidler: ${slow} is not awake after 5s`) });

    const unknown = await operate("wake", team.host("nobody"), "--wait", "5s");
    expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining("There is no app at this address.") });
    expect(await operate("wake", web, "--wait", "soon")).toMatchObject({ code: 2, stderr: expect.stringContaining("such as 90s or 10m") });
});

test("status lists apps in both forms", async ({ operate, team }) => {
    const [web, db] = [team.host("web"), team.host("db")];
    await team.create({ name: "web", hosts: [web] });
    await team.create({ name: "db", kind: "StatefulSet", hosts: [db, `*.${db}`] });
    await team.create({ name: "old", hosts: [team.host("old")] });
    await operate("idle", web, db);
    expect(await operate("idle", "--handover", "external-name", team.host("old"))).toMatchObject({ code: 0 });

    const { code, stdout } = await operate("status", "--output", "json");
    const own = (JSON.parse(stdout) as { namespace: string }[]).filter(({ namespace }) => namespace === team.namespace);
    const row = { namespace: team.namespace, since: expect.stringMatching(/Z$/), wake_seconds: null, wakes: true };
    expect(code).toBe(0);
    expect(own).toEqual([
        { ...row, form: "slice", by: "cli", hosts: [`*.${db}`, db], workloads: [{ kind: "StatefulSet", name: "db", replicas: 2 }] },
        { ...row, form: "external-name", by: null, hosts: [team.host("old")], workloads: [{ kind: "Deployment", name: "old", replicas: 2 }] },
        { ...row, form: "slice", by: "cli", hosts: [web], workloads: [{ kind: "Deployment", name: "web", replicas: 2 }] },
    ]);
    const lines = (await operate("status")).stdout.split("\n");
    expect(lines.find((line) => line.startsWith(web))?.split(/\s{2,}/)).toEqual([web, team.namespace, expect.stringMatching(/^\d+ s ago$/), "2", "unknown"]);
});

test("an app is kept awake for a time, and the plan says so", async ({ api, operate, team }) => {
    const [web, nobody] = ["web", "nobody"].map(team.host) as [string, string];
    await team.create({ name: "web", hosts: [web] });
    await api.patch("Namespace", "", team.namespace, { metadata: { labels: { "unidler/app": "true" } } });
    const planned = async () => (await operate("plan", "--idle-after", "2h")).stdout.split("\n").find((line) => line.startsWith(web));
    expect(await planned()).toMatch(/changed \d+ s ago: left alone for another/);

    const kept = await operate("keep-awake", web, "3h");
    const { annotations } = (await api.get("Service", team.namespace, "web")).metadata;
    const until = annotations?.["unidler/keep-awake-until"] ?? "nothing";
    expect(kept).toEqual({ code: 0, stderr: "", stdout: `${web} stays awake until ${until}: annotated Service ${team.namespace}/web\n` });
    expect(Math.abs(Date.parse(until) - Date.now() - 3 * 3_600_000)).toBeLessThan(60_000);
    expect(await planned()).toMatch(/kept awake for another (3 h|2 h 59 min)$/);

    expect(await operate("idle", web)).toMatchObject({ code: 0 });
    expect((await operate("keep-awake", web, "1h")).stdout).toContain(`It is asleep now. To wake it: unidler wake ${web}\n`);
    expect(await team.replicas("web")).toBe(0);
    expect(await operate("keep-awake", nobody, "1h")).toMatchObject({ code: 2, stdout: "" });
    expect(await operate("keep-awake", web, "soon")).toMatchObject({ code: 2, stderr: expect.stringContaining("such as 90s or 10m") });
});

test("every app of either form is given back, and no slice is left", async ({ api, operate, team }) => {
    const hosts = ["web", "db", "old", "bad", "stuck"].map(team.host) as [string, string, string, string, string];
    const [web, db, old, bad, stuck] = hosts;
    await team.create({ name: "web", hosts: [web] });
    await team.create({ name: "db", kind: "StatefulSet", hosts: [db] });
    await team.create({ name: "old", hosts: [old] });
    await team.create({ name: "bad", hosts: [bad], trouble: "crash" });
    await team.create({ name: "stuck", hosts: [stuck], trouble: "crash" });
    expect(await operate("idle", web, db, bad)).toMatchObject({ code: 0 });
    expect(await operate("idle", "--handover", "external-name", old, stuck)).toMatchObject({ code: 0 });
    // One that is awake keeps a slice without endpoints; another one is of a Service that is gone.
    const services = async () => await Promise.all(["old", "stuck"].map(async (name) => (await api.get("Service", team.namespace, name)).spec));
    expect((await services()).map(({ type }) => type)).toEqual(["ExternalName", "ExternalName"]);
    await api.apply({
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        metadata: { name: "gone-unidler", namespace: team.namespace, labels: { "kubernetes.io/service-name": "gone", "endpointslice.kubernetes.io/managed-by": "unidler" } },
        addressType: "IPv4",
        endpoints: [{ addresses: [OURS] }],
        ports: [],
    } as unknown as KubeObject);

    const dry = await operate("restore", "--all", "--dry-run");
    expect(dry).toMatchObject({ code: 0, stderr: "" });
    const lines = [`${web}: Deployment ${team.namespace}/web`, `${db}: StatefulSet ${team.namespace}/db`, `${old}: Deployment ${team.namespace}/old`, `${bad}: Deployment ${team.namespace}/bad`, `${stuck}: Deployment ${team.namespace}/stuck`];
    const own = (text: string) => text.split("\n").filter((line) => line.includes(team.namespace)).sort();
    expect(own(dry.stdout)).toEqual(lines.map((line) => `Would restore ${line} gets 2 replicas`).sort());
    expect([await team.slice("web"), await team.replicas("web")]).toEqual([[OURS], 0]);

    const { code, stdout, stderr } = await operate("restore", "--all");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(own(stdout)).toEqual(lines.map((line) => `Restored ${line} gets 2 replicas`).sort());
    for (const name of ["web", "old", "bad", "stuck"]) expect(await team.replicas(name), name).toBe(2);
    expect(await team.replicas("db", "StatefulSet")).toBe(2);
    expect((await services()).map(({ type, selector }) => ({ type, selector }))).toEqual(["old", "stuck"].map((app) => ({ type: "ClusterIP", selector: { app } })));
    for (const name of ["old", "stuck"]) expect((await api.get("Deployment", team.namespace, name)).metadata.labels, name).not.toHaveProperty([IDLED]);
    expect((await api.list("EndpointSlice", team.namespace)).filter(({ metadata }) => metadata.name.endsWith("-unidler"))).toEqual([]);
    expect(await operate("restore", "--all", "--dry-run")).toMatchObject({ stdout: "No app is idled.\n" });
    expect(await operate("restore"), "what is restored has to be said").toMatchObject({ code: 2 });
});

test("an app that cannot be restored is reported, and keeps the record of its replicas until it can", async ({ api, operate, team }, testInfo) => {
    const web = team.host("web");
    await team.create({ name: "web", hosts: [web] });
    expect(await operate("idle", web)).toMatchObject({ code: 0 });
    const kubeconfig = testInfo.outputPath("viewer.kubeconfig");
    const leave = await withRules(api, team.namespace, kubeconfig, [
        { apiGroups: ["networking.k8s.io"], resources: ["ingresses"], verbs: ["list", "watch"] },
        { apiGroups: ["apps"], resources: ["deployments", "statefulsets"], verbs: ["list", "watch"] },
        { apiGroups: [""], resources: ["services"], verbs: ["list", "watch"] },
        { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch", "delete"] },
    ]);
    try {
        const { code, stderr } = await run(kubeconfig, "restore", "--all");
        expect(code).toBe(1);
        expect(stderr).toContain(`not restored: ${web}: Deployment ${team.namespace}/web gets 2 replicas: Deployment ${team.namespace}/web: the cluster forbids it`);
        expect(stderr).toContain(`EndpointSlice ${team.namespace}/web-unidler is kept, since it records the replicas of something that is still asleep`);
        expect([await team.replicas("web"), await team.slice("web")]).toEqual([0, [OURS]]);
    } finally {
        await leave();
    }
    expect(await operate("restore", "--all")).toMatchObject({ code: 0 });
    expect([await team.replicas("web"), await team.slice("web")]).toEqual([2, undefined]);
});

test("the documented permissions are enough for each command", async ({ api, operate, team }, testInfo) => {
    const host = team.host("web");
    await team.create({ name: "web", hosts: [host] });
    const arguments_: Record<string, string[]> = {
        idle: ["idle", host],
        wake: ["wake", host],
        plan: ["plan", "--idle-after", "2h"],
        "keep-awake": ["keep-awake", host, "1h"],
    };
    const rows = documented();
    expect(rows.flatMap(({ commands }) => commands).sort()).toEqual(["doctor", "idle", "keep-awake", "plan", "restore --all", "restore --all --dry-run", "status", "wake"]);
    for (const { commands, roles, rules } of rows) {
        const kubeconfig = testInfo.outputPath("operator.kubeconfig");
        const leave = await withRules(api, team.namespace, kubeconfig, rules, roles);
        try {
            for (const command of commands) {
                // What each command can do something about.
                if (command !== "idle") expect(await operate("idle", host)).toMatchObject({ code: 0 });
                const { code, stdout, stderr } = await run(kubeconfig, ...(arguments_[command] ?? command.split(" ")));
                // 1 says that the checks have found something.
                expect({ isDone: command === "doctor" ? code <= 1 : code === 0, stderr }, command).toEqual({ isDone: true, stderr: "" });
                if (command === "doctor") expect(stdout, "everything is looked at").not.toContain("[not-looked-at]");
                else expect(stdout).toContain(host);
                if (command === "idle" || command === "wake" || command === "restore --all") expect(await team.replicas("web"), command).toBe(command === "idle" ? 0 : 2);
                expect(await operate("wake", host, "--wait", "1m")).toMatchObject({ code: 0 });
            }
        } finally {
            await leave();
        }
    }
});

test("before helm uninstalls, a job with an account of its own gives everything back", async ({ api, operate, team }, testInfo) => {
    const [web, old] = [team.host("web"), team.host("old")];
    await team.create({ name: "web", hosts: [web] });
    await team.create({ name: "old", hosts: [old] });
    expect(await operate("idle", web)).toMatchObject({ code: 0 });
    expect(await operate("idle", "--handover", "external-name", old)).toMatchObject({ code: 0 });

    const hook = rendered("restore", {});
    for (const { kind, metadata } of hook) expect(metadata.annotations, kind).toMatchObject({ "helm.sh/hook": "pre-delete" });
    const job = hook.find(({ kind }) => kind === "Job") as KubeObject & { spec: { template: { spec: { serviceAccountName: string; containers: { args: string[] }[] } } } };
    const { serviceAccountName: account, containers } = job.spec.template.spec;
    const objects = hook.filter((object) => object !== job);
    try {
        for (const object of objects) await api.apply(object);
        const user = `system:serviceaccount:unidler:${account}`;
        await expect.poll(() => api.may(user, "delete", "discovery.k8s.io", "endpointslices")).toBe(true);
        const token = await api.tokenOf("unidler", account);
        const kubeconfig = testInfo.outputPath("hook.kubeconfig");
        writeKubeconfig(kubeconfig, { ...clusterFacts().access, token });
        const slices = await api.list("EndpointSlice", team.namespace);
        const theirs = slices.find(({ metadata }) => metadata.labels?.["endpointslice.kubernetes.io/managed-by"] === "endpointslice-controller.k8s.io")?.metadata.name ?? "";
        const asHook = new Api({ ...clusterFacts().access, token });
        await expectDenied("somebody else's slice", () => asHook.tryDelete("EndpointSlice", team.namespace, theirs), "unidler may only change its own EndpointSlices");

        expect(await run(kubeconfig, ...(containers[0]?.args ?? []))).toMatchObject({ code: 0, stderr: "" });
        expect([await team.replicas("web"), await team.replicas("old"), await team.slice("web")]).toEqual([2, 2, undefined]);
        expect((await api.get("Service", team.namespace, "old")).spec).toMatchObject({ type: "ClusterIP", selector: { app: "old" } });
    } finally {
        for (const { kind, metadata } of objects) await api.delete(kind as Kind, metadata.namespace ?? "", metadata.name);
    }
    expect(() => rendered("restore", { restoreOnUninstall: false })).toThrow("could not find template");
});

/** The rows of the table of permissions in the documentation: commands, ClusterRoles, and verb, resource and group of what is needed in addition. */
function documented(): { commands: string[]; roles: string[]; rules: Rule[] }[] {
    const [, section = ""] = readFileSync(join(__dirname, "../../docs/idle-by-hand.md"), "utf8").split("## Permissions");
    const codes = (cell = "") => [...cell.matchAll(/`([^`]*)`/g)].map(([, code = ""]) => code);
    const rows = section.split("\n").filter((line) => line.startsWith("| `"));
    return rows.map((row) => {
        const [, commands, roles, rule = ""] = row.split("|");
        const [verb, group] = codes(rule);
        const resource = / [A-Z]\w+/.exec(rule)?.[0].trim().toLowerCase();
        const GROUPS: Record<string, string> = { endpointslices: "discovery.k8s.io" };
        const rules = verb && resource ? [{ apiGroups: [group ?? GROUPS[resource] ?? ""], resources: [resource], verbs: [verb] }] : [];
        return { commands: codes(commands), roles: codes(roles), rules };
    });
}

interface Rule {
    apiGroups: string[];
    resources: string[];
    verbs: string[];
}

/** Writes the kubeconfig of somebody who may do this in the whole cluster, and gives what takes that away. */
async function withRules(api: Api, namespace: string, kubeconfig: string, rules: Rule[], roles: string[] = []): Promise<() => Promise<void>> {
    const [name, group] = [`tests-${randomBytes(3).toString("hex")}`, "rbac.authorization.k8s.io"];
    await api.apply({ apiVersion: "v1", kind: "ServiceAccount", metadata: { name, namespace } });
    await api.apply({ apiVersion: `${group}/v1`, kind: "ClusterRole", metadata: { name }, rules } as unknown as KubeObject);
    const bindings = [name, ...roles].map((role) => ({ role, binding: `${name}-${role.replaceAll(":", "-")}` }));
    for (const { role, binding } of bindings) {
        const roleRef = { apiGroup: group, kind: "ClusterRole", name: role };
        await api.apply({ apiVersion: `${group}/v1`, kind: "ClusterRoleBinding", metadata: { name: binding }, roleRef, subjects: [{ kind: "ServiceAccount", name, namespace }] } as unknown as KubeObject);
    }
    writeKubeconfig(kubeconfig, { ...clusterFacts().access, token: await api.tokenOf(namespace, name) });
    await expect.poll(() => api.may(`system:serviceaccount:${namespace}:${name}`, "watch", "", "services")).toBe(true);
    for (const { apiGroups, resources, verbs } of rules) {
        await expect.poll(() => api.may(`system:serviceaccount:${namespace}:${name}`, verbs[0] ?? "", apiGroups[0] ?? "", resources[0] ?? "")).toBe(true);
    }
    return async () => {
        for (const { binding } of bindings) await api.delete("ClusterRoleBinding", "", binding);
        await api.delete("ClusterRole", "", name);
    };
}

function objectsOf(namespace: string, { name, kind = "Deployment", hosts, service = {}, replicas = 2, trouble }: Part): KubeObject[] {
    const metadata = { name, namespace };
    // What is idled in the form of 2020 needs its key.
    const key = { labels: { host: hosts[0]?.replace("*.", "") } };
    const labels = { app: name };
    const delays = Object.fromEntries(["pod-create", "pod-ready"].flatMap((stage) => ["delay", "jitter-delay"].map((what) => [`${stage}.stage.kwok.x-k8s.io/${what}`, stage === "pod-ready" ? "2s" : "0s"])));
    const backend = { service: { name, port: { name: "http" } } };
    const rules = hosts.map((host) => ({ host, http: { paths: [{ path: "/", pathType: "Prefix", backend }] } }));
    const template = { metadata: { labels, annotations: { ...delays, ...(trouble && { "unidler.tests/trouble": trouble, "pod-ready.stage.kwok.x-k8s.io/weight": "0" }) } }, spec: { containers: [{ name: "app", image: IMAGE }] } };
    return [
        { apiVersion: "networking.k8s.io/v1", kind: "Ingress", metadata, spec: { rules } },
        { apiVersion: "v1", kind: "Service", metadata, spec: { selector: labels, ports: [{ name: "http", port: 80, targetPort: 3000 }], ...service } },
        { apiVersion: "apps/v1", kind, metadata: { ...metadata, ...key }, spec: { replicas, ...(kind === "StatefulSet" && { serviceName: name, podManagementPolicy: "Parallel" }), selector: { matchLabels: labels }, template } },
    ] as unknown as KubeObject[];
}
