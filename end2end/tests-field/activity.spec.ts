/** Apps that say themselves when they were last used: nothing else knows. */
import { setTimeout as sleep } from "node:timers/promises";

import { isAsleep, optIn, recordOf } from "../field/idled";
import { Load, failures } from "../field/load";
import { LAST_SEEN } from "../field/pods";
import { Visit } from "../field/visit";
import { expect, test as base } from "./fixtures";

/** For how long an app may be unused, in seconds. */
const WINDOW = 15;

const test = base.extend({
    variables: async ({}, use) => {
        await use({ UNIDLER_IDLE_AFTER: `${WINDOW}s`, UNIDLER_IDLE_CHECK: "1s", UNIDLER_IDLE_BRAKE: "100%" });
    },
});

test("an app that says when it was last used falls asleep after that, and one that cannot say it does not", async ({ page, api, startApp, unidler: _ }) => {
    test.setTimeout(180_000);
    const [used, unused, silent] = [await startApp(), await startApp(), await startApp()];
    for (const app of [used, unused, silent]) await optIn(api, app);
    // One of its two pods at a time is used: neither alone knows.
    const load = Load.start(used.host, { perSecond: 0.5 });
    for (const app of [used, unused]) await api.patch("Service", app.namespace, app.name, { metadata: { annotations: { "unidler/activity": `${LAST_SEEN}#/last_seen` } } });
    await api.patch("Service", silent.namespace, silent.name, { metadata: { annotations: { "unidler/activity": "/somewhere" } } });

    await expect.poll(() => isAsleep(api, unused), { timeout: 60_000 }).toBe(true);
    expect((await recordOf(api, unused)).by).toBe("idle-after");
    await sleep(WINDOW * 1000);
    expect([await isAsleep(api, used), await isAsleep(api, silent)]).toEqual([false, false]);

    await expect.poll(async () => (await api.list("Pod", unused.namespace)).length).toBe(0);
    const visitor = Visit.of(page);
    await page.goto(`http://${unused.host}/reports`);
    await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${unused.host}`, { timeout: 30_000 });
    expect(visitor.documents.map(({ by }) => by)).toEqual(["unidler", "app"]);

    expect(failures(await load.stop())).toEqual([]);
    await expect.poll(() => isAsleep(api, used), { timeout: 60_000 }).toBe(true);
});
