/** Apps that something else does not let sleep, or that share their replicas with an autoscaler. */
import { setTimeout as sleep } from "node:timers/promises";

import { sleepOf, sliceOf } from "../cluster/asleep";
import { type Api } from "../cluster/api";
import { AuditLog, isNote, isWrite } from "../cluster/audit";
import { type KubeObject } from "../cluster/objects";
import { OURS } from "../cluster/own-service";
import { clusterFacts } from "../cluster/setup";
import { events } from "../cluster/visitor";
import { repeat } from "../cluster/wait";
import { type FieldApp, createApp, deleteApp } from "../field/apps";
import { HOURS_OVER } from "../field/idled";
import { UNIDLER_USER, expect, ownService, test as base } from "./fixtures";

const test = base.extend<object, { ownService: void }>({ ownService });

const AWAKE = { replicas: 2, diverted: [] };
const SETTINGS = { UNIDLER_IDLE_AFTER: "5s", UNIDLER_IDLE_CHECK: "1s", UNIDLER_IDLE_BRAKE: "100%" };
/** What Argo CD calls itself. */
const HEALER = "argocd-controller";

async function createAwakeApp(api: Api): Promise<FieldApp> {
    const app = await createApp(api, { startSeconds: 1 });
    await expect.poll(async () => (await api.get("Deployment", app.namespace, app.name)).status?.availableReplicas).toBe(2);
    await api.patch("Ingress", app.namespace, app.name, { metadata: { labels: { "unidler/app": "true" }, annotations: HOURS_OVER } });
    return app;
}

/** Puts an app's replicas back each time, so long after they are gone. */
function healer(api: Api, { namespace, name }: FieldApp, after: number): () => Promise<void> {
    return repeat(100, async () => {
        const { spec } = await api.get("Deployment", namespace, name);
        if (spec.replicas !== 0) return;
        await sleep(after);
        await api.patch("Deployment", namespace, name, { spec: { replicas: 2 } }, HEALER);
    });
}

for (const seconds of [0, 1, 20]) {
    test(`an app that gets its replicas back after ${seconds} s is awake and left alone, and who did it is named`, async ({ api, startUnidler, operate }) => {
        test.setTimeout(180_000);
        const app = await createAwakeApp(api);
        const log = new AuditLog(clusterFacts().auditLog);
        const mark = log.mark();
        const stop = healer(api, app, seconds * 1000);
        const unidler = await startUnidler(SETTINGS);
        const historyOf = async () => JSON.parse((await sliceOf(api, app))?.metadata.annotations?.["unidler/history"] ?? "{}");

        await expect.poll(async () => (await historyOf()).undone, { timeout: 90_000 }).toMatchObject({ times: 1, returned: HEALER });
        expect(await sleepOf(api, app)).toEqual(AWAKE);
        const written = () => {
            const writes = log.since(mark, UNIDLER_USER).filter((request) => isWrite(request) && !isNote(request));
            return writes.map(({ verb, resource }) => `${verb} ${resource}`);
        };
        const once = ["create endpointslices", "patch deployments/scale", "patch endpointslices"];
        expect(written()).toEqual(once);
        // It could sleep again by now: the hours are over, and it has been awake for longer than five seconds.
        await sleep(8_000);
        expect(written(), "left alone").toEqual(once);

        expect(unidler.log).toContain(`putting it to sleep was undone by ${HEALER}: left alone until`);
        expect(await (await fetch(`http://127.0.0.1:${unidler.adminPort}/metrics`)).text()).toMatch(/unidler_idlings_undone_total\{by="argo-cd"\} 1/);
        const noted = async () => (await api.list("Event", app.namespace)).filter(({ reason }) => reason === "IdlingUndone").map(({ note }) => note);
        await expect.poll(noted).toContainEqual(expect.stringContaining(`undone by ${HEALER}, so it is left alone until`));
        const plan = await operate("plan", "--idle-after", "5s");
        expect(plan.stdout).toMatch(new RegExp(`${app.host} .*undone by ${HEALER}: left alone for another`));
        const doctor = await operate("doctor", "--output", "json");
        const findings = (JSON.parse(doctor.stdout) as { check: string; what: string; fix: string }[]).filter(({ check }) => check === "idling-undone");
        expect(findings.map(({ what }) => what).join()).toContain(`${app.name} was put to sleep, and ${HEALER} undid that`);
        await stop();
        await deleteApp(api, app);
    });
}

test("an app with an autoscaler sleeps, and wakes with the replicas that it had", async ({ api, startUnidler }) => {
    test.setTimeout(180_000);
    const app = await createAwakeApp(api);
    const { namespace, name } = app;
    const scaleTargetRef = { apiVersion: "apps/v1", kind: "Deployment", name };
    await api.apply({
        apiVersion: "autoscaling/v2",
        kind: "HorizontalPodAutoscaler",
        metadata: { name, namespace },
        spec: { scaleTargetRef, minReplicas: 3, maxReplicas: 5, metrics: [{ type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 80 } } }] },
    } as object as KubeObject);
    // It is at work.
    await expect.poll(async () => (await sleepOf(api, app)).replicas, { timeout: 60_000 }).toBe(3);

    const unidler = await startUnidler(SETTINGS);
    await expect.poll(() => sleepOf(api, app), { timeout: 60_000 }).toEqual({ replicas: 0, diverted: [OURS] });
    // It looks each 15 s.
    await sleep(20_000);
    expect(await sleepOf(api, app)).toEqual({ replicas: 0, diverted: [OURS] });
    expect((await events(unidler.port, app.host)).at(-1)?.event).toBe("success");
    expect((await sleepOf(api, app)).replicas).toBe(3);
    await deleteApp(api, app);
});
