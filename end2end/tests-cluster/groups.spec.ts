/** Apps of several workloads, with workers and what they need: they wake in waves, and what is shared sleeps when nothing uses it. */
import { randomBytes } from "node:crypto";

import { divertedOf } from "../cluster/asleep";
import { IMAGE } from "../cluster/app";
import { AuditLog, isNote, isWrite } from "../cluster/audit";
import { OPERATOR } from "../cluster/control-plane";
import { type KubeObject } from "../cluster/objects";
import { OURS } from "../cluster/own-service";
import { clusterFacts } from "../cluster/setup";
import { events, startWaking, status } from "../cluster/visitor";
import { UNIDLER_USER, expect, ownService, test as base } from "./fixtures";

type Workload = "Deployment" | "StatefulSet";

interface Part {
    kind?: Workload;
    namespace?: string;
    /** What it says of others. */
    needs?: string;
    of?: string;
    neededBy?: string;
    /** The paths at which the host reaches a Service of its own. */
    paths?: Record<string, string>;
    replicas?: number;
}

interface Cluster {
    namespace: string;
    /** Another one. */
    other: string;
    host: (name: string) => string;
    /** Creates workloads, each with a Service if it has paths, and waits until they are up. */
    create: (parts: Record<string, Part>) => Promise<void>;
    replicas: (...names: string[]) => Promise<number[]>;
}

interface Fixtures {
    cluster: Cluster;
    /** What unidler's server has scaled, since this was asked first. */
    scaled: () => string[];
}

const test = base.extend<Fixtures, { ownService: void }>({
    ownService,

    cluster: async ({ api }, use) => {
        const id = randomBytes(3).toString("hex");
        const [namespace, other] = [`team-${id}`, `shared-${id}`];
        for (const name of [namespace, other]) await api.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
        const created = new Map<string, Required<Pick<Part, "kind" | "namespace">>>();
        const host = (name: string) => `${name}-${id}.localhost`;
        const workload = (name: string) => created.get(name) ?? { kind: "Deployment" as const, namespace };
        await use({
            namespace,
            other,
            host,
            create: async (parts) => {
                for (const [name, part] of Object.entries(parts)) {
                    created.set(name, { kind: part.kind ?? "Deployment", namespace: part.namespace ?? namespace });
                    for (const object of objectsOf(name, { namespace, ...part }, host)) await api.apply(object);
                }
                for (const [name, { replicas = 2 }] of Object.entries(parts)) {
                    const { kind, namespace } = workload(name);
                    await expect.poll(async () => (await api.get(kind, namespace, name)).status?.availableReplicas ?? 0, { timeout: 30_000 }).toBe(replicas);
                }
            },
            replicas: async (...names) => {
                const all = names.map(async (name) => (await api.get(workload(name).kind, workload(name).namespace, name)).spec.replicas);
                return await Promise.all(all);
            },
        });
        for (const [name, { kind, namespace }] of created) {
            await api.delete("Ingress", namespace, name);
            await api.delete(kind, namespace, name);
        }
        for (const name of [namespace, other]) await api.delete("Namespace", "", name);
    },

    scaled: async ({}, use) => {
        const log = new AuditLog(clusterFacts().auditLog);
        const mark = log.mark();
        const isScale = ({ resource }: { resource: string }) => resource.endsWith("/scale");
        await use(() => log.since(mark, UNIDLER_USER).filter((request) => isWrite(request) && !isNote(request) && isScale(request)).map(({ name }) => name));
    },
});

/** A website with a worker and an API, each with a Service, and a database, in the order in which they wake. */
const APP: Record<string, Part> = {
    db: { kind: "StatefulSet" },
    api: { needs: "statefulset/db", paths: { "/api": "app" } },
    web: { needs: "deployments.apps/api", paths: { "/": "app" } },
    worker: { of: "web" },
};
const PARTS = Object.keys(APP);

test("an app of four workloads falls asleep and wakes in waves", async ({ api, cluster, operate, scaled, unidler }) => {
    const [host, { namespace }] = [cluster.host("app"), cluster];
    await cluster.create(APP);
    const log = new AuditLog(clusterFacts().auditLog);
    const mark = log.mark();
    const { code, stdout, stderr } = await operate("idle", host);
    expect([code, stderr]).toEqual([0, ""]);
    expect(await cluster.replicas(...PARTS)).toEqual([0, 0, 0, 0]);
    const kinds = ["Deployment", "Deployment", "Deployment", "StatefulSet"];
    const idled = ["api", "web", "worker", "db"].map((name, index) => `scaled ${kinds[index]} ${namespace}/${name} from 2 to 0 replicas`);
    expect(stdout).toBe(`Idled ${host}: ${idled.join(", ")}. The next visit restores them.\n`);
    const writes = log.since(mark, OPERATOR.user).filter(isWrite).map(({ name }) => name);
    expect(writes.filter((name) => PARTS.includes(name)), "each before what it needs").toEqual(["web", "worker", "api", "db"]);
    expect(writes).toHaveLength(6);

    const [row] = JSON.parse((await operate("status", "-o", "json")).stdout).filter(({ hosts }: { hosts: string[] }) => hosts.includes(host));
    const workload = (name: string, index: number) => ({ kind: kinds[index], name, replicas: 2 });
    expect(row.workloads).toEqual(["api", "web", "worker", "db"].map(workload));

    await expect.poll(async () => (await status(unidler.port, host)).phase).toBe("asleep");
    const told = await events(unidler.port, host);
    expect(told.at(-1)?.event).toBe("success");
    expect(scaled(), "each after what it needs").toEqual(PARTS);
    const parts = told.map(({ progress }) => (progress as { parts?: { up: number; of: number } }).parts);
    expect(parts).toContainEqual({ up: 1, of: 4 });
    expect(parts).toContainEqual({ up: 2, of: 4 });
    expect(parts.at(-1)).toEqual({ up: 4, of: 4 });
    expect(await cluster.replicas(...PARTS)).toEqual([2, 2, 2, 2]);
    for (const service of ["web", "api"]) await expect.poll(() => divertedOf(api, namespace, service)).toEqual([]);
});

test("another unidler goes on where one was killed between the waves", async ({ api, cluster, operate, scaled, startUnidler, unidler }) => {
    test.slow();
    const host = cluster.host("app");
    await cluster.create(APP);
    expect(await operate("idle", host)).toMatchObject({ code: 0 });

    // The status of a StatefulSet counts pods that are going.
    await expect.poll(async () => (await api.get("StatefulSet", cluster.namespace, "db")).status?.replicas, { timeout: 30_000 }).toBe(0);
    // What nothing but the app needs was woken for it: another one goes on without a visitor.
    await startWaking(unidler.port, host);
    await expect.poll(scaled, { intervals: [10], timeout: 30_000 }).toEqual(["db"]);
    await unidler.kill();
    const second = await startUnidler();
    await expect.poll(() => cluster.replicas(...PARTS), { timeout: 60_000 }).toEqual([2, 2, 0, 0]);

    // The API has visitors of its own: what needs it waits for one.
    await startWaking(second.port, host);
    await expect.poll(() => scaled().slice(0, 3), { intervals: [10], timeout: 30_000 }).toEqual(["db", "api", "web"]);
    await second.kill();
    await startUnidler();
    // What belongs together in one wave is finished without a visitor.
    await expect.poll(() => cluster.replicas(...PARTS), { timeout: 60_000 }).toEqual([2, 2, 2, 2]);
    for (const service of ["web", "api"]) await expect.poll(() => divertedOf(api, cluster.namespace, service), { timeout: 60_000 }).toEqual([]);
    // Each was scaled down once and up once. A write whose sender was killed before the answer is not in the log.
    expect(PARTS).toEqual(expect.arrayContaining(scaled()));
    const generations = PARTS.map(async (name) => (await api.get(APP[name]?.kind ?? "Deployment", cluster.namespace, name)).metadata.generation);
    expect(await Promise.all(generations)).toEqual(PARTS.map(() => 3));
});

test("what two apps share sleeps when neither is awake", async ({ api, cluster, operate, unidler }) => {
    const [one, two] = [cluster.host("one"), cluster.host("two")];
    await cluster.create({
        cache: {},
        one: { needs: "deployment/cache", paths: { "/": "one" } },
        two: { needs: "deployment/cache", paths: { "/": "two" } },
    });
    const { stdout } = await operate("idle", one);
    expect(stdout).toContain(`Deployment ${cluster.namespace}/cache stays awake: Deployment ${cluster.namespace}/two, which is awake, needs it.`);
    expect(await cluster.replicas("one", "two", "cache")).toEqual([0, 2, 2]);
    expect(await operate("idle", two)).toMatchObject({ code: 0, stdout: expect.stringContaining("/cache from 2 to 0 replicas") });
    expect(await cluster.replicas("one", "two", "cache")).toEqual([0, 0, 0]);

    expect(await operate("wake", one, "--wait", "1m")).toMatchObject({ code: 0 });
    expect(await cluster.replicas("one", "two", "cache")).toEqual([2, 0, 2]);
    expect(await divertedOf(api, cluster.namespace, "two"), "it is not half woken").toEqual([OURS]);
    await operate("idle", one);
    expect(await cluster.replicas("one", "two", "cache")).toEqual([0, 0, 0]);

    // What somebody wakes by itself is woken alone.
    await api.patch("Deployment", cluster.namespace, "cache", { spec: { replicas: 1 } });
    await expect.poll(async () => (await status(unidler.port, one)).phase).toBe("asleep");
    expect(await operate("restore", "--all")).toMatchObject({ code: 0 });
    expect(await cluster.replicas("one", "two", "cache")).toEqual([2, 2, 1]);
});

test("a visitor of one host also wakes what another host of the app needs", async ({ api, cluster, operate, unidler }) => {
    const [host, www, { namespace }] = [cluster.host("app"), cluster.host("www"), cluster];
    await cluster.create({ api: { paths: { "/api": "app" } }, web: { paths: { "/": "app", "/www": "www" } } });
    expect(await operate("idle", host)).toMatchObject({ code: 0 });
    expect(await cluster.replicas("api", "web")).toEqual([0, 0]);
    expect((await events(unidler.port, www)).at(-1)?.event).toBe("success");
    await expect.poll(() => cluster.replicas("api", "web")).toEqual([2, 2]);
    for (const service of ["web", "api"]) await expect.poll(() => divertedOf(api, namespace, service), { timeout: 30_000 }).toEqual([]);
});

test("what is in another namespace counts only if it names what needs it", async ({ cluster, operate, scaled, unidler }) => {
    const [host, { namespace, other }] = [cluster.host("app"), cluster];
    await cluster.create({
        redis: { namespace: other, neededBy: `${namespace}/deployment/app`, replicas: 1 },
        stranger: { namespace: other },
        app: { needs: `${other}/deployment/redis,${other}/deployment/stranger`, paths: { "/": "app" } },
    });
    expect(await operate("idle", host)).toMatchObject({ code: 0 });
    expect(await cluster.replicas("app", "redis", "stranger")).toEqual([0, 0, 2]);
    const { stdout } = await operate("doctor", "-o", "json");
    const findings: { check: string; fix: string }[] = JSON.parse(stdout);
    expect(findings).toContainEqual(expect.objectContaining({
        check: "need-not-granted",
        fix: `kubectl -n ${other} annotate deployment stranger --overwrite unidler/needed-by=${namespace}`,
    }));
    await expect.poll(async () => (await status(unidler.port, host)).phase).toBe("asleep");
    expect((await events(unidler.port, host)).at(-1)?.event).toBe("success");
    expect(scaled(), "under the shipped role and policies").toEqual(["redis", "app"]);
    expect(await cluster.replicas("app", "redis", "stranger")).toEqual([2, 1, 2]);
});

test("workloads that need each other wake all the same", async ({ cluster, operate, scaled, unidler }) => {
    const host = cluster.host("app");
    await cluster.create({
        db: { needs: "deployment/app" },
        app: { needs: "deployment/db,deployment/gone,deployment/off", paths: { "/": "app" } },
        off: { replicas: 0 },
    });
    expect(await operate("idle", host)).toMatchObject({ code: 0 });
    expect(await cluster.replicas("app", "db", "off")).toEqual([0, 0, 0]);
    const findings: { check: string }[] = JSON.parse((await operate("doctor", "-o", "json")).stdout);
    const checks = findings.map(({ check }) => check).filter((check) => check.startsWith("need-"));
    expect(checks.sort()).toEqual(["need-circle", "need-circle", "need-missing", "need-switched-off"]);
    await expect.poll(async () => (await status(unidler.port, host)).phase).toBe("asleep");
    expect((await events(unidler.port, host)).at(-1)?.event).toBe("success");
    expect(scaled().sort(), "and what was off is not touched").toEqual(["app", "db"]);
});

function objectsOf(name: string, { kind = "Deployment", namespace, needs, of, neededBy, paths, replicas = 2 }: Part, host: (name: string) => string): KubeObject[] {
    const labels = { app: name };
    const said = { ...(needs && { "unidler/needs": needs }), ...(of && { "unidler/of": of }), ...(neededBy && { "unidler/needed-by": neededBy }) };
    const metadata = { name, namespace };
    const delays = Object.fromEntries(["pod-create", "pod-ready"].flatMap((stage) => ["delay", "jitter-delay"].map((what) => [`${stage}.stage.kwok.x-k8s.io/${what}`, stage === "pod-ready" ? "2s" : "0s"])));
    const template = { metadata: { labels, annotations: delays }, spec: { containers: [{ name: "app", image: IMAGE }] } };
    const workload = {
        apiVersion: "apps/v1",
        kind,
        metadata: { ...metadata, annotations: said },
        spec: { replicas, ...(kind === "StatefulSet" && { serviceName: name, podManagementPolicy: "Parallel" }), selector: { matchLabels: labels }, template },
    };
    const backend = { service: { name, port: { name: "http" } } };
    const rules = Object.entries(paths ?? {}).map(([path, of]) => ({ host: host(of), http: { paths: [{ path, pathType: "Prefix", backend }] } }));
    const visited = [
        { apiVersion: "v1", kind: "Service", metadata, spec: { selector: labels, ports: [{ name: "http", port: 80, targetPort: 3000 }] } },
        { apiVersion: "networking.k8s.io/v1", kind: "Ingress", metadata, spec: { rules } },
    ];
    return [workload, ...(paths ? visited : [])] as unknown as KubeObject[];
}
