/** Others who change an app while it is being woken: more unidlers, an autoscaler, the idler. */
import { setTimeout as sleep } from "node:timers/promises";

import { type Api } from "../cluster/api";
import { type App, idle } from "../cluster/app";
import { events } from "../cluster/visitor";
import { THREE_WRITES, expect, expectAwake, stateOf, test } from "./fixtures";

test.use({ startSeconds: 3 });

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
