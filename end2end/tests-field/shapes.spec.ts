/** Apps with a path of their own or special settings, on the data path of a cluster. */
import { run } from "../cluster/program";
import { Load, failures, table } from "../field/load";
import { Visit, readiness } from "../field/visit";
import { expect, test } from "./fixtures";

for (const [route, forwarded] of [
    ["Ingress", "/reports/2026?q=a%20b"],
    ["HTTPRoute", "/2026?q=a%20b"],
] as const) {
    for (const javaScriptEnabled of [true, false]) {
        test.describe(javaScriptEnabled ? "with scripts" : "without scripts", () => {
            test.use({ javaScriptEnabled });

            test(`an app that owns only /reports wakes behind an ${route} that forwards ${forwarded}`, async ({ page, unidler: _, startApp, operator }) => {
                const app = await startApp({ route, path: "/reports" });
                expect(await run(operator, "idle", app.host)).toMatchObject({ code: 0 });
                const load = Load.start(app.host, { path: app.path });
                await load.settles("unidler");
                load.answers.splice(0);

                const visit = Visit.of(page);
                const elsewhere = new Set<string>();
                page.on("request", (request) => {
                    const { pathname } = new URL(request.url());
                    if (visit.landed === undefined && !pathname.startsWith("/reports/") && pathname !== "/favicon.ico") elsewhere.add(pathname);
                });
                const address = `http://${app.host}/reports/2026?q=a%20b`;
                await page.goto(address);
                if (!javaScriptEnabled) await page.getByRole("button", { name: "Wake up the app" }).click();
                await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`, { timeout: 30_000 });
                await expect(page.locator("#path")).toHaveText(forwarded);
                expect(page.url()).toBe(address);
                expect([...elsewhere]).toEqual([]);
                const answers = await load.stop();
                expect(failures(answers), table(answers, 0)).toEqual([]);
            });
        });
    }
}

test("a visitor does not wait for minReadySeconds", async ({ page, api, unidler: _, startApp, operator }) => {
    const app = await startApp({ minReadySeconds: 300 });
    expect(await run(operator, "idle", app.host)).toMatchObject({ code: 0 });
    const load = Load.start(app.host);
    await load.settles("unidler");
    await load.stop();
    const ended = new AbortController();
    const ready = await readiness(api, app, ended.signal);
    const visit = Visit.of(page);
    await page.goto(`http://${app.host}/`);
    await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`, { timeout: 30_000 });
    ended.abort();
    expect((visit.landed ?? NaN) - (ready() ?? NaN)).toBeLessThanOrEqual(3000);
    expect(visit.pagesAgain).toEqual([]);
});
