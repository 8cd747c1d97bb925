/** An app that owns only a part of its host: everything the page asks for lies below the visitor's own path. */
import { app, expect, test } from "./fixtures";
import { type Handler, say } from "./stand-in";

const portal: Handler = (_, answer) => say(answer, 200, "<h1>The portal</h1>");

/** Ingresses that route `/reports` to the app and everything else to a portal. */
const INGRESSES: Record<string, Handler> = {
    "as it is": (incoming, answer, standIn) => (/^\/reports(\/|$|\?)/.test(incoming.url ?? "") ? (incoming.url ?? "/") : portal(incoming, answer, standIn)),
    "without its prefix": (incoming, answer, standIn) => {
        const rest = /^\/reports(?:\/|$|(?=\?))(.*)/.exec(incoming.url ?? "");
        if (!rest) return portal(incoming, answer, standIn);
        incoming.headers["x-forwarded-prefix"] = "/reports";
        return `/${rest[1]}`;
    },
};

for (const javaScriptEnabled of [true, false]) {
    test.describe(javaScriptEnabled ? "with scripts" : "without scripts", () => {
        test.use({ javaScriptEnabled });

        for (const [how, route] of Object.entries(INGRESSES)) {
            for (const path of ["/reports", "/reports/", "/reports/x%20y?z=1"]) {
                test(`an app at ${path} wakes where the ingress forwards the path ${how}`, async ({ page, standIn }) => {
                    const ingress = await standIn({ route });
                    await page.goto(ingress.url("quick", path));
                    if (!javaScriptEnabled) await page.getByRole("button", { name: "Wake up the app" }).click();
                    await expect(app(page)).toBeVisible({ timeout: 30_000 });
                    expect(page.url()).toBe(ingress.url("quick", path));
                    // The portal is asked for nothing; browsers ask for an icon by themselves.
                    expect(ingress.seen.filter((seen) => !seen.path.startsWith("/reports") && seen.path !== "/favicon.ico")).toEqual([]);
                });
            }
        }

        test("an app at a path that begins with two slashes wakes, and no other host is asked", async ({ page, standIn }) => {
            const hosts = new Set<string>();
            page.on("request", (request) => hosts.add(new URL(request.url()).host));
            const ingress = await standIn();
            const address = ingress.url("quick", "//reports/x?y=1");
            await page.goto(address);
            if (!javaScriptEnabled) await page.getByRole("button", { name: "Wake up the app" }).click();
            await expect(app(page)).toBeVisible({ timeout: 30_000 });
            expect(page.url()).toBe(address);
            expect([...hosts]).toEqual([new URL(address).host]);
        });
    });
}
