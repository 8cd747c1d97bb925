/** Others who change an app while it is being woken, or leave it half awake: more unidlers, an autoscaler, the idler. */
import { setTimeout as sleep } from "node:timers/promises";

import { type Api } from "../cluster/api";
import { type App, IDLED, IDLED_AT, REPLICAS_WHEN_UNIDLED, createIdledApp, deleteApp, idle, markAndScale, switchService } from "../cluster/app";
import { refusal } from "../cluster/faulty-proxy";
import { events, startWaking, status } from "../cluster/visitor";
import { THREE_WRITES, expect, expectAwake, faultyTest, stateOf, test } from "./fixtures";

test.use({ startSeconds: 3 });
faultyTest.use({ startSeconds: 3 });

test("three unidlers that race on one app write three times in all, and each serves its visitors", async ({ page, api, app, unidler, startUnidler, ingress, asked }) => {
    const ports = [unidler, await startUnidler(), await startUnidler()].map(({ port }) => port);
    ingress.unidlers = ports;
    const told = Promise.all([...ports, ...ports, ...ports].map((port) => events(port, app.host)));
    await page.goto(ingress.url(app.host));

    await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`);
    expect((await told).map((events) => events.at(-1)?.event)).toEqual(Array(9).fill("success"));
    await expectAwake(api, app);
    await expect.poll(asked.writes).toEqual(THREE_WRITES);
});

test("an autoscaler that takes the replicas away once is outlasted", async ({ page, api, app, ingress, asked }) => {
    await page.goto(ingress.url(app.host));
    await expect.poll(asked.writes, { intervals: [20] }).toEqual(THREE_WRITES.slice(0, 1));
    await api.patch("Deployment", app.namespace, app.name, { spec: { replicas: 0 } });

    await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`);
    await expectAwake(api, app);
    await expect.poll(asked.writes).toEqual(["patch deployments", ...THREE_WRITES]);
});

faultyTest("an autoscaler that takes the replicas away while the Service cannot be switched does not cost the app its record", async ({ page, api, app, ingress, apiProxy, asked }) => {
    apiProxy.fault = ({ kind, path }) => (kind === "write" && path.includes("/services/") ? refusal(403, "Forbidden", "not now") : undefined);
    await page.goto(ingress.url(app.host));
    await expect.poll(() => apiProxy.of("write", `/services/${app.name}`).length).toBeGreaterThan(0);
    await api.patch("Deployment", app.namespace, app.name, { spec: { replicas: 0 } });
    apiProxy.fault = () => undefined;

    await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`);
    await expectAwake(api, app);
    await expect.poll(asked.writes).toEqual(["patch deployments", ...THREE_WRITES]);
});

faultyTest("an autoscaler that takes the replicas away before the idle marks are off is outlasted, too", async ({ api, app, unidler, apiProxy, asked }) => {
    const blocked = (path: string) => path.includes("/deployments/") && apiProxy.of("write", `/services/${app.name}`).length > 0;
    // Without endpoints it knows of nothing that answers, so it goes on for its visitor.
    const hideEndpoints = (path: string) => (path.endsWith("/endpointslices") ? refusal(503, "ServiceUnavailable", "not now") : undefined);
    apiProxy.fault = ({ kind, path }) => (kind === "write" && blocked(path) ? refusal(503, "ServiceUnavailable", "not now") : hideEndpoints(path));
    await startWaking(unidler.port, app.host);
    await expect.poll(() => apiProxy.of("write").filter(({ path }) => blocked(path)).length).toBeGreaterThan(1);
    expect(await stateOf(api, app), "the marks are all that is left to do").toMatchObject({ replicas: 2, type: "ClusterIP", marks: expect.arrayContaining([IDLED]) });
    await api.patch("Deployment", app.namespace, app.name, { spec: { replicas: 0 } });
    apiProxy.fault = ({ path }) => hideEndpoints(path);

    await expectAwake(api, app);
    await expect.poll(asked.writes).toEqual(["patch deployments", "patch services", "patch deployments", "patch deployments"]);
});

test("a visitor who comes between the two writes of an idler, of which the first is the Service, does not cost the app", async ({ page, api, app, unidler, ingress, asked }) => {
    await events(unidler.port, app.host);
    await expectAwake(api, app);
    await switchService(api, app);
    await expect.poll(async () => (await status(unidler.port, app.host)).phase, "it has seen that").not.toBe("ready");
    await page.goto(ingress.url(app.host));
    await sleep(2_000);
    expect(asked.writes(), "an app that is not marked is left alone for a while").toEqual(THREE_WRITES);
    await markAndScale(api, app);

    await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`);
    await expectAwake(api, app);
    await expect.poll(asked.writes).toEqual([...THREE_WRITES, ...THREE_WRITES]);
});

for (const [writes, moment] of ["first", "second", "third"].entries()) {
    test(`an idler that idles again after the ${moment} write does not cost the visitor the app`, async ({ page, api, app, ingress, asked }) => {
        await page.goto(ingress.url(app.host));
        await expect.poll(() => asked.writes().length, { intervals: [10] }).toBeGreaterThan(writes);
        await idle(api, app);

        await expectSettled(api, app);
        await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`);
        await expectSettled(api, app);
    });
}

test("apps that somebody else has left half awake, or out of reach, are finished within about a minute, without a visitor", async ({ api, app, unidler, keyLabel, startSeconds, asked }) => {
    test.setTimeout(150_000);
    // Then it has just looked for such apps, as each does at its start.
    await expect.poll(() => unidler.log).toMatch(/ ready$/m);
    const other = await createIdledApp(api, { keyLabel, startSeconds });
    const stranded = await createIdledApp(api, { keyLabel, startSeconds });
    try {
        // As GitOps does that ignores replicas: no visitor gets to us any more.
        const spec = { type: "ClusterIP", externalName: null, selector: { app: stranded.name }, ports: [{ name: "http", port: 80, targetPort: 3000 }] };
        await api.patch("Service", stranded.namespace, stranded.name, { spec });
        const began = Date.now();
        await api.patch("Deployment", app.namespace, app.name, { spec: { replicas: 2 } });
        const marks = { labels: { [IDLED]: null }, annotations: { [IDLED_AT]: null, [REPLICAS_WHEN_UNIDLED]: null } };
        await api.patch("Deployment", other.namespace, other.name, { metadata: marks, spec: { replicas: 2 } });

        await expectAwake(api, app, { timeout: 75_000 });
        await expectAwake(api, other);
        expect(await stateOf(api, stranded), "it may be in the middle of being idled").toMatchObject({ replicas: 0 });
        await expectAwake(api, stranded, { timeout: 90_000 });
        expect(Date.now() - began, "milliseconds").toBeGreaterThan(60_000);
        const writes = ["deployments", "deployments", "deployments", "services", "services"].map((resource) => `patch ${resource}`);
        await expect.poll(() => asked.writes().sort(), "two are still marked, and two lead to us").toEqual(writes);
    } finally {
        await deleteApp(api, stranded);
        await deleteApp(api, other);
    }
});

/** Waits until an app has been awake, or has been asleep, for five seconds without a break, and is not left in between. */
async function expectSettled(api: Api, app: App): Promise<void> {
    let state = "";
    let since = Date.now();
    const deadline = Date.now() + 60_000;
    while (Date.now() - since < 5000 || state === "in between") {
        expect(Date.now(), `still ${state}: ${JSON.stringify(await stateOf(api, app))}`).toBeLessThan(deadline);
        const { replicas, marks, type } = await stateOf(api, app);
        const isAwake = replicas > 0 && marks.length === 0 && type === "ClusterIP";
        const isAsleep = replicas === 0 && marks.length === 3 && type === "ExternalName";
        const now = isAwake ? "awake" : isAsleep ? "asleep" : "in between";
        if (now !== state) [state, since] = [now, Date.now()];
        await sleep(100);
    }
}
