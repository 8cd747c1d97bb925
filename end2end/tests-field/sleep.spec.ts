/** Apps that unidler puts to sleep by itself: real Prometheus, which scrapes real Traefik. */
import { setTimeout as sleep } from "node:timers/promises";

import { type Ran, run } from "../cluster/program";
import { IMAGE } from "../cluster/app";
import { type KubeObject } from "../cluster/objects";
import { type FieldApp } from "../field/apps";
import { isAsleep, optIn, recordOf } from "../field/idled";
import { Load, failures, table, visit } from "../field/load";
import { POD_PORT } from "../field/pods";
import { AUTHORIZED, Prometheus } from "../field/prometheus";
import { Visit } from "../field/visit";
import { expect, test as base } from "./fixtures";

/** For how long an app may be unused. */
const WINDOW = 15;

const test = base.extend<{ prometheus: Prometheus }>({
    prometheus: async ({}, use) => {
        const prometheus = await Prometheus.start();
        await use(prometheus);
        await prometheus.stop();
    },
    variables: async ({ prometheus }, use) => {
        await use({
            UNIDLER_IDLE_AFTER: `${WINDOW}s`,
            UNIDLER_IDLE_CHECK: "1s",
            UNIDLER_IDLE_BRAKE: "100%",
            UNIDLER_PROMETHEUS: prometheus.url,
            UNIDLER_REQUESTS: "traefik",
        });
    },
});

for (const route of ["Ingress", "HTTPRoute"] as const) {
    test(`an app behind an ${route} that nobody uses falls asleep, one that is used does not, and a visitor wakes it`, async ({ page, api, startApp, unidler: _ }) => {
        test.setTimeout(240_000);
        const [used, unused] = [await startApp({ route }), await startApp({ route })];
        for (const app of [used, unused]) await optIn(api, app);
        const load = Load.start(used.host, { perSecond: 0.5 });
        const others = Load.start(unused.host, { perSecond: 10 });
        await others.settles("app", 1);
        const quiet = await others.stop();

        await expect.poll(() => isAsleep(api, unused), { timeout: 120_000 }).toBe(true);
        expect(await isAsleep(api, used)).toBe(false);
        expect((await recordOf(api, unused)).by).toBe("idle-after");

        // Until then its last pods may answer.
        await expect.poll(async () => (await api.list("Pod", unused.namespace)).length).toBe(0);
        const visitor = Visit.of(page);
        await page.goto(`http://${unused.host}/reports?year=2026`);
        await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${unused.host}`, { timeout: 30_000 });
        expect(visitor.documents.map(({ by }) => by)).toEqual(["unidler", "app"]);
        expect(failures([...quiet, ...(await load.stop())]), table(quiet, 0)).toEqual([]);
    });
}

test("an app sleeps only if it may, and only while Prometheus says that nobody uses it", async ({ api, startApp, unidler: _, prometheus }) => {
    test.setTimeout(240_000);
    const [may, mayNot] = [await startApp(), await startApp()];
    await prometheus.pause();
    await optIn(api, may);
    // Both were used, so that their requests are known.
    for (const app of [may, mayNot]) await visit(app.host);
    await sleep((WINDOW + 10) * 1000);
    expect(await isAsleep(api, may), "without Prometheus").toBe(false);

    await prometheus.resume();
    await visit(may.host);
    await visit(mayNot.host);
    await expect.poll(() => isAsleep(api, may), { timeout: 120_000 }).toBe(true);
    expect(await isAsleep(api, mayNot), "nobody has said that it may").toBe(false);
});

test("what was decided about apps is counted, and an alert says that their use cannot be known", async ({ api, startApp, unidler, prometheus }) => {
    test.setTimeout(180_000);
    await prometheus.resume({ unidler: unidler.adminPort });
    const [app, other] = [await startApp(), await startApp()];
    for (const each of [app, other]) await optIn(api, each);
    const decided = async () => {
        const samples = await prometheus.query("unidler_idle_decisions > 0");
        return samples.map(({ metric, value: [, count] }) => `${metric["decision"]}: ${count}`);
    };
    const alerts = async () => (await prometheus.query("ALERTS")).map(({ metric }) => `${metric["alertname"]}: ${metric["alertstate"]}`);
    const loads = [app, other].map(({ host }) => Load.start(host, { perSecond: 2 }));
    await expect.poll(decided, { timeout: 60_000 }).toEqual(["used: 2"]);
    await expect.poll(alerts).toEqual([]);

    await prometheus.resume({ unidler: unidler.adminPort, otherCluster: "west" });
    for (const load of loads) await load.stop();
    await expect.poll(decided, { timeout: 60_000 }).toEqual(["blind: 2"]);
    await expect.poll(alerts).toEqual(["UnidlerUsageUnknown: pending"]);

    // The series have other names than unidler asks for, which looks as if nobody used anything.
    const renamed = { source_labels: ["__name__"], regex: "traefik_service_requests_total", target_label: "__name__", replacement: "traefik_requests" };
    await prometheus.resume({ unidler: unidler.adminPort, relabelings: [renamed] });
    await expect.poll(decided, { timeout: 60_000 }).toEqual(["unknown: 2"]);
    for (const each of [app, other]) expect(await isAsleep(api, each)).toBe(false);
});

test.describe("with a query of its own", () => {
    // What the apps of these tests are called.
    const host = 'label_replace(increase(traefik_service_requests_total[$window]), "host", "www-$1.localhost", "service", "team-([0-9a-f]+)-.*")';

    // An eighth of it has several scrapes.
    const window = 40;

    test.use({ variables: async ({ variables }, use) => use({ ...variables, UNIDLER_REQUESTS: host, UNIDLER_IDLE_AFTER: `${window}s` }) });

    test("an app sleeps only if Prometheus has known its requests all the time", async ({ api, startApp, unidler: _, operator, prometheus }) => {
        test.setTimeout(240_000);
        const [used, unused] = [await startApp(), await startApp()];
        for (const app of [used, unused]) await optIn(api, app);
        // Without any use of others, the query might be a broken one.
        const load = Load.start(used.host, { perSecond: 2 });
        await visit(unused.host);
        await expect.poll(() => isAsleep(api, unused), { timeout: 120_000 }).toBe(true);
        expect((await recordOf(api, unused)).by).toBe("idle-after");
        expect(await isAsleep(api, used)).toBe(false);

        expect(await run(operator, "wake", unused.host, "--wait", "1m")).toMatchObject({ code: 0 });
        // Nobody can say whether the app is used during this gap.
        await prometheus.pause();
        await sleep((window - 10) * 1000);
        await prometheus.resume();
        await sleep((window - 15) * 1000);
        expect(await isAsleep(api, unused), "Prometheus was away for a part of the window").toBe(false);
        expect(failures(await load.stop())).toEqual([]);
    });
});

/** Runs `unidler plan`, which asks this Prometheus. */
function planWith(operator: string, { url }: Prometheus): (...options: string[]) => Promise<Ran> {
    return (...options) => run(operator, "plan", "--idle-after", `${WINDOW}s`, "--prometheus", url, "--requests", "traefik", ...options);
}

test("plan says what would sleep and when, and why the rest would not", async ({ api, startApp, operator, prometheus }) => {
    test.setTimeout(180_000);
    const [may, mayNot] = [await startApp(), await startApp()];
    await optIn(api, may);
    const plan = planWith(operator, prometheus);
    const lineOf = async (host: string) => {
        const { code, stdout } = await plan();
        expect(code).toBe(0);
        return stdout.split("\n").find((line) => line.startsWith(host));
    };
    expect(await lineOf(mayNot.host)).toMatch(/ no rule puts it to sleep$/);
    // Its pods have to be older than the time without use that puts it to sleep.
    const isUsed = async () => {
        await visit(may.host);
        return lineOf(may.host);
    };
    await expect.poll(isUsed, { timeout: 90_000 }).toMatch(/ used \d+ s ago: requests; unused, it sleeps in \d+ s$/);
    const [row] = JSON.parse((await plan("--output", "json")).stdout).filter(({ hosts }: { hosts: string[] }) => hosts.includes(may.host));
    const inSeconds = (Date.parse(row.notBefore) - Date.now()) / 1000;
    expect(inSeconds).toBeGreaterThan(0);
    expect(inSeconds).toBeLessThanOrEqual(WINDOW);
});

test("a Prometheus that demands TLS and a password is asked with both", async ({ api, startApp, operator, prometheus }) => {
    test.setTimeout(180_000);
    await prometheus.resume({ lock: true });
    const app = await startApp();
    await optIn(api, app);
    const headers = Object.entries(AUTHORIZED).map(([name, value]) => `${name}: ${value}`).join("\n");
    const plan = planWith(operator, prometheus);
    const ca = ["--prometheus-ca", prometheus.certificate];
    const isUsed = async () => {
        await visit(app.host);
        return (await plan(...ca, "--prometheus-headers", headers)).stdout;
    };
    await expect.poll(isUsed, { timeout: 90_000 }).toMatch(/ used \d+ s ago: requests; unused, it sleeps in \d+ s$/m);
    expect((await plan(...ca)).stdout).toMatch(/ Prometheus refuses the query \(requests\)$/m);
    expect((await plan()).stdout).toMatch(/ Prometheus does not answer \(requests\)$/m);
});

test.describe("where busy apps stay awake", () => {
    test.use({ variables: async ({ variables }, use) => use({ ...variables, UNIDLER_BUSY_CPU: "20%" }) });

    test("an app that computes stays awake without visitors, until it is done", async ({ api, startApp, unidler: _ }) => {
        test.setTimeout(240_000);
        await api.apply(METRICS);
        const [busy, idle] = [await startApp(), await startApp()];
        for (const app of [busy, idle]) {
            const container = { name: "app", image: IMAGE, ports: [{ name: "http", containerPort: POD_PORT }], resources: { requests: { cpu: "500m" } } };
            await api.patch("Deployment", app.namespace, app.name, { spec: { template: { spec: { containers: [container] } } } });
            await optIn(api, app);
        }
        const use = async (cpu: string) => await api.apply(podMetrics(busy, cpu));
        // Two pods that request half a core each.
        await use("210m");
        for (const app of [busy, idle]) await visit(app.host);
        await expect.poll(() => isAsleep(api, idle), { timeout: 120_000 }).toBe(true);
        await sleep(5_000);
        expect(await isAsleep(api, busy)).toBe(false);
        await use("150m");
        await expect.poll(() => isAsleep(api, busy), { timeout: 60_000 }).toBe(true);
        await api.delete("CustomResourceDefinition", "", METRICS.metadata.name);
    });
});

/** The metrics API, as metrics-server would serve it. */
const METRICS = {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: "pods.metrics.k8s.io", annotations: { "api-approved.kubernetes.io": "unapproved, for tests" } },
    spec: {
        group: "metrics.k8s.io",
        scope: "Namespaced",
        names: { plural: "pods", singular: "podmetrics", kind: "PodMetrics" },
        versions: [{ name: "v1beta1", served: true, storage: true, schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } } }],
    },
} as unknown as KubeObject;

/** What one of an app's pods uses. */
function podMetrics({ name, namespace }: FieldApp, cpu: string): KubeObject {
    const metadata = { name, namespace, labels: { app: name } };
    return { apiVersion: "metrics.k8s.io/v1beta1", kind: "PodMetrics", metadata, containers: [{ name: "app", usage: { cpu, memory: "1Mi" } }] } as unknown as KubeObject;
}
