/** Apps that something else puts to sleep: their visitors meet unidler all the same. */
import { setTimeout as sleep } from "node:timers/promises";

import { grantAdoption, revokeAdoption } from "../cluster/adoption";
import { type Api } from "../cluster/api";
import { sleepOf, sliceOf } from "../cluster/asleep";
import { AuditLog, isNote, isWrite } from "../cluster/audit";
import { type KubeObject } from "../cluster/objects";
import { OURS } from "../cluster/own-service";
import { clusterFacts } from "../cluster/setup";
import { events, status } from "../cluster/visitor";
import { repeat } from "../cluster/wait";
import { type FieldApp, type Wishes, createApp, deleteApp, scale } from "../field/apps";
import { asUnidler, expectDenied } from "./denied";
import { UNIDLER_USER, expect, ownService, test as base } from "./fixtures";

const test = base.extend<{ createAwake: (wishes?: Wishes) => Promise<FieldApp> }, { ownService: void }>({
    ownService,

    createAwake: async ({ api }, use) => {
        const apps: FieldApp[] = [];
        await use(async (wishes) => {
            const app = await createApp(api, { startSeconds: 1, ...wishes });
            apps.push(app);
            await expect.poll(async () => (await api.get(app.workload, app.namespace, app.name)).status?.availableReplicas).toBe(wishes?.replicas ?? 2);
            return app;
        });
        for (const app of apps) await deleteApp(api, app);
    },
});

const ASLEEP = { replicas: 0, diverted: [OURS] };

/** Which of its apps a Namespace has adopted; `null` for none. */
async function adopt(api: Api, { namespace }: FieldApp, which: "marked" | "zero" | null): Promise<void> {
    await api.patch("Namespace", "", namespace, { metadata: { annotations: { "unidler/adopt": which } } });
}

/** What kube-downscaler does at the end of the day. */
async function downscale(api: Api, { workload, namespace, name }: FieldApp, replicas: number): Promise<void> {
    const annotations = { "downscaler/original-replicas": String(replicas) };
    await api.patch(workload, namespace, name, { metadata: { annotations }, spec: { replicas: 0 } }, "kube-downscaler");
}

/** What it does all night: each second here, and each minute in a cluster. */
function downscaler(api: Api, app: FieldApp): () => Promise<void> {
    return repeat(1_000, async () => {
        const { metadata, spec } = await api.get(app.workload, app.namespace, app.name);
        const until = Date.parse(metadata.annotations?.["downscaler/exclude-until"] ?? "");
        if (spec.replicas > 0 && !(until > Date.now())) await downscale(api, app, spec.replicas);
    });
}

/** Waits until visitors of an app without replicas meet unidler. */
async function expectAdopted(api: Api, app: FieldApp): Promise<void> {
    await expect.poll(() => sleepOf(api, app), { timeout: 60_000 }).toEqual(ASLEEP);
}

/** The writes of unidler in the namespace of an app since now. */
function writesFor({ namespace }: FieldApp): () => string[] {
    const log = new AuditLog(clusterFacts().auditLog);
    const mark = log.mark();
    return () => {
        const writes = log.since(mark, UNIDLER_USER).filter((request) => isWrite(request) && !isNote(request) && request.namespace === namespace);
        return writes.map(({ verb, resource }) => `${verb} ${resource}`);
    };
}

test("what kube-downscaler has put to sleep wakes for a visitor, with the replicas that its mark says", async ({ api, unidler, createAwake }) => {
    test.setTimeout(120_000);
    const [app, unmarked] = [await createAwake({ replicas: 3 }), await createAwake()];
    for (const each of [app, unmarked]) await adopt(api, each, "marked");
    const writes = writesFor(app);
    await downscale(api, app, 3);
    await scale(api, unmarked, 0);
    await expectAdopted(api, app);
    const record = JSON.parse((await sliceOf(api, app))?.metadata.annotations?.["unidler/record"] ?? "{}");
    expect(record).toMatchObject({ by: "adopt", workloads: [{ kind: "Deployment", name: app.name, replicas: 3 }] });
    expect((await status(unidler.port, app.host)).phase).toBe("asleep");
    expect(await sleepOf(api, unmarked), "somebody has switched it off").toEqual({ replicas: 0, diverted: undefined });

    expect((await events(unidler.port, app.host)).at(-1)?.event).toBe("success");
    expect(await sleepOf(api, app)).toEqual({ replicas: 3, diverted: [] });
    expect(writes()).toEqual(["create endpointslices", "patch deployments/scale", "patch endpointslices"]);
});

test("a StatefulSet that somebody has scaled to zero gets back what it had, and is given up when it comes back without a visitor", async ({ api, unidler, createAwake }) => {
    test.setTimeout(180_000);
    const app = await createAwake({ workload: "StatefulSet" });
    await api.patch("Ingress", app.namespace, app.name, { metadata: { annotations: { "unidler/adopt": "zero" } } });
    await scale(api, app, 0);
    await expectAdopted(api, app);
    expect((await events(unidler.port, app.host)).at(-1)?.event).toBe("success");
    expect(await sleepOf(api, app)).toEqual({ replicas: 2, diverted: [] });

    await scale(api, app, 0);
    await expectAdopted(api, app);
    const writes = writesFor(app);
    await scale(api, app, 1);
    await expect.poll(() => sleepOf(api, app), { timeout: 60_000 }).toEqual({ replicas: 1, diverted: [] });
    expect(writes()).toEqual(["patch endpointslices"]);
});

test("an adopted app is left as it was when nobody wants it adopted any more", async ({ api, unidler, createAwake }) => {
    test.setTimeout(180_000);
    const app = await createAwake();
    await adopt(api, app, "zero");
    await scale(api, app, 0);
    await expectAdopted(api, app);
    const writes = writesFor(app);
    await adopt(api, app, null);
    await expect.poll(() => sleepOf(api, app), { timeout: 60_000 }).toEqual({ replicas: 0, diverted: [] });
    expect(writes()).toEqual(["patch endpointslices"]);
    expect((await status(unidler.port, app.host)).reason).toBe("switched_off");
});

test("what is restored is not adopted again at once, and keeps the replicas that something else has given it", async ({ api, unidler, operate, createAwake }) => {
    test.setTimeout(180_000);
    const app = await createAwake();
    await adopt(api, app, "zero");
    await scale(api, app, 0);
    await expectAdopted(api, app);
    expect((await operate("status")).stdout).toContain(app.host);
    const left = `${app.host}: Deployment ${app.namespace}/${app.name} keeps 0 replicas, since something else has put it to sleep`;
    expect((await operate("restore", "--all", "--dry-run")).stdout).toContain(`Would restore ${left}`);
    expect(await operate("restore", "--all")).toMatchObject({ code: 0, stderr: "", stdout: expect.stringContaining(`Restored ${left}`) });
    // The server looks each 15 seconds.
    await sleep(40_000);
    expect(await sleepOf(api, app)).toEqual({ replicas: 0, diverted: undefined });
    expect(unidler.log).not.toContain("ERROR");
});

test.describe("with the right to have kube-downscaler leave apps alone", () => {
    test.beforeAll(async ({ api }) => grantAdoption(api));

    test.afterAll(async ({ api }) => revokeAdoption(api));

    for (const workload of ["Deployment", "StatefulSet"] as const) {
        test(`a ${workload} that a visitor has woken stays awake while kube-downscaler goes on`, async ({ api, unidler, createAwake }) => {
            test.setTimeout(120_000);
            const app = await createAwake({ workload });
            await adopt(api, app, "marked");
            const stop = downscaler(api, app);
            await expectAdopted(api, app);
            expect((await events(unidler.port, app.host)).at(-1)?.event).toBe("success");
            await sleep(5_000);
            expect(await sleepOf(api, app)).toEqual({ replicas: 2, diverted: [] });
            const until = (await api.get(workload, app.namespace, app.name)).metadata.annotations?.["downscaler/exclude-until"] ?? "";
            expect(until).toMatch(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/);
            const hours = (Date.parse(until) - Date.now()) / 3_600_000;
            expect(hours).toBeGreaterThan(1.9);
            expect(hours).toBeLessThanOrEqual(2);
            await stop();
        });

        test(`nothing else of a ${workload} can be changed with it`, async ({ api, createAwake }) => {
            const app = await createAwake({ workload });
            const { namespace, name } = app;
            const exclude = (until: string | null) => ({ metadata: { annotations: { "downscaler/exclude-until": until } } });
            const token = await asUnidler(api);
            const patch = (change: object) => () => token.patch(workload, namespace, name, change);
            const [now, later] = ["2026-12-01T08:00:00Z", "2026-12-01T09:00:00Z"];
            await expectDenied("an app that is awake", patch(exclude(now)), "may only change a workload that kube-downscaler has put to sleep");
            await downscale(api, app, 2);
            await expectDenied("no time", patch(exclude("for ever")), "may only set downscaler/exclude-until on a workload, to a time");
            await expectDenied("another image", patch({ ...exclude(now), spec: { template: { spec: { containers: [{ name: "app", image: "evil.example/miner" }] } } } }), "may not change a workload but in its annotations");
            await expectDenied("replicas", patch({ ...exclude(now), spec: { replicas: 5 } }), "may not change a workload but in its annotations");
            await expectDenied("a label", patch({ metadata: { ...exclude(now).metadata, labels: { owner: "me" } } }), "may not change a workload but in its annotations");
            const mark = (replicas: string | null) => ({ metadata: { annotations: { ...exclude(now).metadata.annotations, "downscaler/original-replicas": replicas } } });
            await expectDenied("another mark", patch(mark("9")), "may only set downscaler/exclude-until");
            await token.patch(workload, namespace, name, exclude(now));
            await token.patch(workload, namespace, name, exclude(later));
            await expectDenied("taken off", patch(exclude(null)), "may only set downscaler/exclude-until");
            await token.patch(workload, namespace, name, mark(null));
            await expectDenied("without the mark", patch(exclude(later)), "may only change a workload that kube-downscaler has put to sleep");
        });
    }
});

/** KEDA's kind, without KEDA. */
const SCALED_OBJECTS = {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: "scaledobjects.keda.sh" },
    spec: {
        group: "keda.sh",
        names: { kind: "ScaledObject", plural: "scaledobjects", singular: "scaledobject", listKind: "ScaledObjectList" },
        scope: "Namespaced",
        versions: [{ name: "v1alpha1", served: true, storage: true, schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } } }],
    },
};

test.describe("with KEDA", () => {
    test.beforeAll(async ({ api }) => {
        await api.apply(SCALED_OBJECTS);
        await expect.poll(async () => api.list("ScaledObject", "default").catch(() => undefined)).toEqual([]);
        await grantAdoption(api);
    });

    test.afterAll(async ({ api }) => {
        await revokeAdoption(api);
        await api.delete("CustomResourceDefinition", "", SCALED_OBJECTS.metadata.name);
    });

    test("nothing else of a ScaledObject can be changed than at how many replicas it is paused", async ({ api, createAwake }) => {
        const { namespace, name } = await createAwake();
        const [paused, until, mark] = ["autoscaling.keda.sh/paused-replicas", "downscaler/exclude-until", "downscaler/original-replicas"];
        const write = (annotations: Record<string, string | null>) => api.patch("ScaledObject", namespace, name, { metadata: { annotations } });
        await api.apply({ apiVersion: "keda.sh/v1alpha1", kind: "ScaledObject", metadata: { namespace, name }, spec: { scaleTargetRef: { name } } } as KubeObject);
        const token = await asUnidler(api);
        const patch = (annotations: Record<string, string | null>, more: object = {}) => () => token.patch("ScaledObject", namespace, name, { metadata: { annotations }, ...more });

        await expectDenied("one that KEDA scales", patch({ [paused]: "2" }), "may only change a ScaledObject that is paused at 0");
        await write({ [paused]: "1" });
        await expectDenied("one that is paused at another number", patch({ [paused]: "2" }), "may only change a ScaledObject that is paused at 0");
        await write({ [paused]: "0" });
        await expectDenied("KEDA, which would keep it at 0", patch({ [paused]: null }), "may only have KEDA keep 1 to 10 replicas, or scale what has at least one");
        for (const replicas of ["0", "11", "-1", "many"]) await expectDenied(`paused at ${replicas}`, patch({ [paused]: replicas, other: "x" }), /may only have KEDA keep 1 to 10 replicas/);
        await expectDenied("its target", patch({ [paused]: "2" }, { spec: { scaleTargetRef: { name: "other" } } }), "may not change a ScaledObject but in its annotations");
        await expectDenied("a label", () => token.patch("ScaledObject", namespace, name, { metadata: { annotations: { [paused]: "2" }, labels: { owner: "me" } } }), "may not change a ScaledObject but in its annotations");
        await expectDenied("another annotation", patch({ [paused]: "2", "autoscaling.keda.sh/paused": "true" }), "may only set paused-replicas");
        await expectDenied("excluded without a mark", patch({ [paused]: "2", [until]: "2026-12-01T08:00:00Z" }), "may only set paused-replicas");
        await write({ [mark]: "-1" });
        await expectDenied("no time", patch({ [paused]: "2", [until]: "for ever" }), "may only set paused-replicas");
        await token.patch("ScaledObject", namespace, name, { metadata: { annotations: { [paused]: "2", [until]: "2026-12-01T08:00:00Z", [mark]: null } } });
        await expectDenied("once more", patch({ [paused]: "3" }), "may only change a ScaledObject that is paused at 0");
        await api.patch("ScaledObject", namespace, name, { metadata: { annotations: { [paused]: "0" } }, spec: { minReplicaCount: 1 } });
        await token.patch("ScaledObject", namespace, name, { metadata: { annotations: { [paused]: null } } });
    });
});

test("without that right an app wakes all the same, and the log says what is missing", async ({ api, unidler, createAwake }) => {
    test.setTimeout(120_000);
    const app = await createAwake();
    await adopt(api, app, "marked");
    await downscale(api, app, 2);
    await expectAdopted(api, app);
    expect((await events(unidler.port, app.host)).at(-1)?.event).toBe("success");
    expect(unidler.log).toContain("The permission is rights.adopt of the chart");
});
