/**
 * An EndpointSlice with unidler's cluster IP routes an app's visitors to unidler, while the app's Service stays as it is. Here, the
 * tests write the slice and the replicas themselves.
 */
import { setTimeout as sleep } from "node:timers/promises";

import { podsOf, scale } from "../field/apps";
import { Load, failures, span, table, visit } from "../field/load";
import { GRACE, divert, withdraw } from "../field/slices";
import { expect, test } from "./fixtures";

for (const route of ["Ingress", "HTTPRoute"] as const) {
    test(`behind an ${route}, visitors of an app without pods reach unidler, in the browser too`, async ({ page, api, unidler: _, startApp }) => {
        const app = await startApp({ route, replicas: 0 });
        await divert(api, app);
        await expect.poll(async () => (await visit(app.host)).by).toBe("unidler");
        const response = await page.goto(`http://${app.host}/reports?year=2026`);
        expect(await response?.headerValue("x-unidler")).toBeTruthy();
        await expect(page.locator("main")).toHaveAttribute("data-phase", /./);
        await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    });

    test(`behind an ${route}, no visitor sees an error while an app wakes or falls asleep`, async ({ api, unidler: _, startApp }) => {
        const app = await startApp({ route, replicas: 0 });
        await divert(api, app);
        await expect.poll(async () => (await visit(app.host)).by).toBe("unidler");

        const load = Load.start(app.host);
        await scale(api, app, 2);
        await expect.poll(async () => (await podsOf(api, app)).filter(({ isReady }) => isReady).length, { intervals: [20] }).toBe(2);
        const ready = Date.now();
        await withdraw(api, app);
        await load.settles("app");
        const waking = load.answers.splice(0);

        await divert(api, app);
        await sleep(GRACE);
        const idled = Date.now();
        await scale(api, app, 0);
        await load.settles("unidler");
        const idling = await load.stop();

        console.log(`behind an ${route}, waking (0 s: ready): unidler until ${span(waking, "unidler", ready)}, the app ${span(waking, "app", ready)}`);
        console.log(`${table(waking, ready)}\nfalling asleep (0 s: no replicas)\n${table(idling, idled)}`);
        expect(failures(waking), table(waking, ready)).toEqual([]);
        expect(failures(idling), table(idling, idled)).toEqual([]);
    });
}
