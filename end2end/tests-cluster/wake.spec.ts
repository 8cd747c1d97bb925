/** The whole way, from the address of an idled app to the app itself. */
import { shipped } from "../cluster/setup";
import { answer, events, startWaking } from "../cluster/visitor";
import { THREE_WRITES, UNIDLER_USER, expect, expectAwake, test } from "./fixtures";

test("a visitor to an idled app ends on the app at the address they typed", async ({ page, api, app, ingress, asked }) => {
    const address = ingress.url(app.host, "/reports?year=2026#table");
    await page.goto(address);

    const main = page.locator("main");
    await expect(main).toHaveAttribute("data-phase", "waking");
    await expect(main.getByRole("heading", { level: 1 })).toHaveText("Waking up the app");
    await expect(main.locator("ol.steps li.done").first()).toContainText("Finding the app");
    await expect(main.locator("ol.steps li.under-way")).toHaveCount(1);

    await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`);
    await expect(page.locator("#path")).toHaveText("/reports?year=2026");
    expect(page.url()).toBe(address);
    await expectAwake(api, app);

    await expect.poll(asked.writes).toEqual(THREE_WRITES);
    expect(asked.others().length, JSON.stringify(asked.others(), null, 1)).toBeLessThanOrEqual(3);
    expect(asked.others().filter(({ code }) => code === 403)).toEqual([]);

    expect(ingress.navigations(app.host).map(({ by, status }) => `${by} ${status}`)).toEqual(["unidler 200", "app 200"]);
    const answered = ingress.visits.filter(({ status }) => status !== 0);
    for (const visit of answered) expect(visit.isMarked, JSON.stringify(visit)).toBe(visit.by === "unidler");

    await page.goBack();
    expect(page.url(), "the waiting page is not in the history").toBe("about:blank");
});

test("a monitor gets the answer that the app's Ingress has for it, and wakes nothing", async ({ api, app, ingress, asked }) => {
    const status = async (path = "/alive") => (await answer(ingress.port, app.host, { path })).status;
    expect(await status()).toBe(503);
    await api.patch("Ingress", app.namespace, app.name, { metadata: { annotations: { "unidler/probe": "GET /alive 204" } } });
    await expect.poll(() => status()).toBe(204);
    expect(await status("/other")).toBe(503);
    expect(await asked.writes()).toEqual([]);
});

test("fifty visitors at once cost the cluster no more than one", async ({ page, api, app, ingress, asked }) => {
    const others = Promise.all(Array.from({ length: 50 }, () => events(ingress.port, app.host)));
    await page.goto(ingress.url(app.host));
    await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`);

    const ends = (await others).map((told) => told.at(-1));
    expect(ends.map((end) => `${end?.event} ${end?.progress.phase}`)).toEqual(Array(50).fill("success ready"));
    expect(new Set(ends.map((end) => end?.progress.reference)).size, "they all joined the same wake-up").toBe(1);
    await expectAwake(api, app);

    await expect.poll(asked.writes).toEqual(THREE_WRITES);
    expect(asked.others().length, JSON.stringify(asked.others(), null, 1)).toBeLessThanOrEqual(3);
});

test("an ingress that lags costs the visitor neither an error nor a second waiting page", async ({ page, app, ingress }) => {
    test.setTimeout(120_000);
    ingress.lagMs = 20_000;
    await page.goto(ingress.url(app.host));
    await expect(page.locator("main")).toHaveAttribute("data-phase", "ready");
    await expect(page.locator("main ol.steps li.under-way")).toContainText("Opening");

    await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`);
    expect(ingress.navigations(app.host).map(({ by, status }) => `${by} ${status}`)).toEqual(["unidler 200", "app 200"]);

    const switched = ingress.switches.find(({ service }) => service === `${app.namespace}/${app.name}`);
    const landed = ingress.navigations(app.host).at(-1);
    expect(switched?.type).toBe("ClusterIP");
    expect((landed?.at ?? NaN) - (switched?.at ?? NaN), "milliseconds from the switch to the visit").toBeLessThanOrEqual(1000);
});

test("an app wakes without the optional right to watch pods", async ({ api, app, ingress, asked }) => {
    const mayWatchPods = () => api.may(UNIDLER_USER, "watch", "", "pods");
    await api.delete("ClusterRoleBinding", "", "unidler-pods");
    try {
        await expect.poll(mayWatchPods).toBe(false);
        const told = await events(ingress.port, app.host);
        expect(told.at(-1)?.event).toBe("success");
        await expectAwake(api, app);
        await expect.poll(asked.writes).toEqual(THREE_WRITES);
        expect(asked.others().filter(({ resource, code }) => resource === "pods" && code < 300)).toEqual([]);
    } finally {
        for (const object of shipped("rbac.yaml")) await api.apply(object);
        await expect.poll(mayWatchPods).toBe(true);
    }
});

test("replicas that somebody else raises meanwhile stay raised", async ({ api, app, ingress, asked }) => {
    const told = events(ingress.port, app.host);
    await expect.poll(asked.writes, { intervals: [20] }).toEqual(THREE_WRITES.slice(0, 1));
    await api.patch("Deployment", app.namespace, app.name, { spec: { replicas: 3 } });

    expect((await told).at(-1)?.event).toBe("success");
    await expectAwake(api, app, { replicas: 3 });
    await expect.poll(asked.writes).toEqual(THREE_WRITES);
});

test("a wake-up that a killed unidler began is finished by the next one, without a visitor", async ({ api, app, unidler, asked }) => {
    await startWaking(unidler.port, app.host);
    await expect.poll(asked.writes, { intervals: [20] }).toEqual(THREE_WRITES.slice(0, 1));
    await unidler.kill();
    await unidler.startAgain();

    await expectAwake(api, app, { timeout: 60_000 });
    await expect.poll(asked.writes).toEqual(THREE_WRITES);
});

test.describe("with another key label", () => {
    test.use({ keyLabel: "unidle-key" });

    test("the key is the first part of the host", async ({ api, app, ingress, asked }) => {
        expect((await events(ingress.port, app.host)).at(-1)?.event).toBe("success");
        await expectAwake(api, app);
        await expect.poll(asked.writes).toEqual(THREE_WRITES);
    });
});
