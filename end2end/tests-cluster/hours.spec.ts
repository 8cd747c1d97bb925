/** Apps that have hours: two unidlers put them to sleep and wake them, and one of the two is killed in between. */
import { AuditLog, isNote, isWrite } from "../cluster/audit";
import { createSleepingApp, sleepOf, sliceOf } from "../cluster/asleep";
import { OURS } from "../cluster/own-service";
import { clusterFacts } from "../cluster/setup";
import { answer, events } from "../cluster/visitor";
import { createApp, deleteApp } from "../field/apps";
import { UNIDLER_USER, expect, ownService, test as base } from "./fixtures";

const test = base.extend<object, { ownService: void }>({ ownService });

const AWAKE = { replicas: 2, diverted: [] };
const ASLEEP = { replicas: 0, diverted: [OURS] };

for (const annotation of ["unidler/awake", "downscaler/uptime"]) {
    test(`an app sleeps outside the hours of ${annotation}, and is awake inside them without a visitor`, async ({ api, startUnidler }) => {
        test.setTimeout(180_000);
        const app = await createApp(api, { startSeconds: 1 });
        await expect.poll(async () => (await api.get("Deployment", app.namespace, app.name)).status?.availableReplicas).toBe(2);
        const log = new AuditLog(clusterFacts().auditLog);
        const mark = log.mark();
        const written = () => {
            const writes = log.since(mark, UNIDLER_USER).filter((request) => isWrite(request) && !isNote(request));
            return writes.map(({ verb, resource }) => `${verb} ${resource}`);
        };

        const [begin, end] = [30_000, 60_000].map((later) => new Date(Date.now() + later).toISOString().replace(/\.\d+/, "")) as [string, string];
        const hours = { [annotation]: `${begin}/${end}`, "unidler/asleep": "at-once" };
        await api.patch("Ingress", app.namespace, app.name, { metadata: { labels: { "unidler/app": "true" }, annotations: hours } });
        const variables = { UNIDLER_IDLE_AFTER: "5s", UNIDLER_IDLE_CHECK: "1s", UNIDLER_WAKE_SPREAD: "1s", UNIDLER_IDLE_BRAKE: "100%" };
        const [one] = [await startUnidler(variables), await startUnidler(variables)];

        await expect.poll(() => sleepOf(api, app), { timeout: 25_000 }).toEqual(ASLEEP);
        const record = (await sliceOf(api, app))?.metadata.annotations?.["unidler/record"] ?? "{}";
        expect(JSON.parse(record)).toMatchObject({ by: "schedule" });
        const toSleep = ["create endpointslices", "patch deployments/scale"];
        expect(written()).toEqual(toSleep);

        await one.kill();
        await expect.poll(() => sleepOf(api, app), { timeout: 45_000 }).toEqual(AWAKE);
        expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(begin));
        expect(Date.now()).toBeLessThan(Date.parse(end));
        const toWake = ["patch deployments/scale", "patch endpointslices"];
        expect(written()).toEqual([...toSleep, ...toWake]);

        await one.startAgain();
        await expect.poll(() => sleepOf(api, app), { timeout: 60_000 }).toEqual(ASLEEP);
        expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(end));
        expect(written()).toEqual([...toSleep, ...toWake, "patch endpointslices", "patch deployments/scale"]);
        await deleteApp(api, app);
    });
}

test("an app that fell asleep because nobody used it wakes when hours are set that have begun", async ({ api, startUnidler }) => {
    const app = await createApp(api, { startSeconds: 1 });
    await expect.poll(async () => (await api.get("Deployment", app.namespace, app.name)).status?.availableReplicas).toBe(2);
    const annotate = (annotations: object) => api.patch("Ingress", app.namespace, app.name, { metadata: { labels: { "unidler/app": "true" }, annotations } });
    await annotate({ "unidler/awake": "never", "unidler/asleep": "at-once" });
    await startUnidler({ UNIDLER_IDLE_AFTER: "5s", UNIDLER_IDLE_CHECK: "1s", UNIDLER_WAKE_SPREAD: "1s", UNIDLER_IDLE_BRAKE: "100%" });
    await expect.poll(() => sleepOf(api, app), { timeout: 25_000 }).toEqual(ASLEEP);
    await annotate({ "unidler/awake": "always" });
    await expect.poll(() => sleepOf(api, app), { timeout: 25_000 }).toEqual(AWAKE);
    await deleteApp(api, app);
});

test("the page of an app that sleeps outside its hours says when they wake it", async ({ api, operate, startUnidler }) => {
    const app = await createSleepingApp(api, operate);
    const [day, hour] = new Date(Date.now() + 86_400_000).toISOString().split(/[T:]/);
    const annotations = { "unidler/awake": `${day}T${hour}:30:00Z/${day}T${hour}:45:00Z`, "unidler/wake": "never" };
    await api.patch("Ingress", app.namespace, app.name, { metadata: { labels: { "unidler/app": "true" }, annotations } });
    const unidler = await startUnidler({ UNIDLER_IDLE_AFTER: "never", UNIDLER_IDLE_CHECK: "1s", UNIDLER_WAKE_SPREAD: "1s" });
    const page = async () => (await answer(unidler.port, app.host, { path: "/", headers: { accept: "text/html", "sec-fetch-mode": "navigate" } })).body;
    await expect.poll(page).toContain(`The app wakes up by itself on ${day} ${hour}:30 (UTC).`);
    expect(await page()).toContain("Visitors cannot wake it up.");
    expect((await events(unidler.port, app.host)).at(-1)).toMatchObject({ event: "failure", progress: { reason: "not_by_visitors" } });
    expect((await sleepOf(api, app)).replicas).toBe(0);
    // The command wakes it all the same.
    expect(await operate("wake", app.host)).toMatchObject({ code: 0 });
    expect((await sleepOf(api, app)).replicas).toBe(2);
    await deleteApp(api, app);
});
