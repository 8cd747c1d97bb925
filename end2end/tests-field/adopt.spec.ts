/** An app that something else puts to sleep and wakes: visitors through Traefik meet unidler in between. */
import { setTimeout as sleep } from "node:timers/promises";

import { scale } from "../field/apps";
import { Load, failures, table } from "../field/load";
import { Visit } from "../field/visit";
import { expect, test } from "./fixtures";

for (const route of ["Ingress", "HTTPRoute"] as const) {
    test(`an app behind an ${route} that something else puts to sleep wakes for a visitor, and comes back without one`, async ({ page, api, startApp, unidler: _, watchWrites }) => {
        test.setTimeout(240_000);
        const app = await startApp({ route });
        await api.patch("Namespace", "", app.namespace, { metadata: { annotations: { "unidler/adopt": "zero" } } });
        const asked = watchWrites();
        await scale(api, app, 0);
        const night = Load.start(app.host, { perSecond: 10 });
        await night.settles("unidler");
        await night.stop();
        expect(asked.writes()).toEqual(["create endpointslices"]);

        const visitor = Visit.of(page);
        await page.goto(`http://${app.host}/reports?year=2026`);
        await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`, { timeout: 30_000 });
        expect(visitor.documents.map(({ by }) => by)).toEqual(["unidler", "app"]);
        await page.close();

        await scale(api, app, 0);
        const load = Load.start(app.host, { perSecond: 20 });
        await load.settles("unidler");
        const morning = Date.now();
        await scale(api, app, 2);
        await load.settles("app");
        await sleep(2_000);
        const answers = (await load.stop()).filter(({ at }) => at >= morning);
        expect(failures(answers), table(answers, morning)).toEqual([]);
    });
}
