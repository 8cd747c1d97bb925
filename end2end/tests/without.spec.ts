/** The page without what it usually has. */
import { app, expect, test } from "./fixtures";

test.describe("without scripts", () => {
    test.use({ javaScriptEnabled: false });

    test("one button starts the app, and the page leads there", async ({ page, demo }) => {
        await page.goto(demo.url("quick", "/reports?year=2026"));
        await expect(page.getByRole("heading", { name: "This app is asleep" })).toBeVisible();
        await page.getByRole("button", { name: "Wake up the app" }).click();
        await expect(page.getByRole("heading", { name: "Waking up the app" })).toBeVisible();
        await expect(app(page)).toBeVisible({ timeout: 30_000 });
        expect(page.url()).toBe(demo.url("quick", "/reports?year=2026"));
    });

    test("a failure is told, and can be tried again", async ({ page, demo }) => {
        await page.goto(demo.url("image-missing"));
        await page.getByRole("button", { name: "Wake up the app" }).click();
        await expect(page.getByRole("heading", { name: "The app cannot start" })).toBeVisible();
        const reference = await page.locator(".reference dd").first().textContent();
        await page.getByRole("button", { name: "Try again" }).click();
        await expect(page.locator(".reference dd").first()).not.toHaveText(reference ?? "");
    });
});

for (const missing of ["wasm", "js"]) {
    test(`without the .${missing} file the visitor gets there all the same`, async ({ page, demo }) => {
        await page.route(`**/*.${missing}`, (route) => route.fulfill({ status: 404, body: "this is the app" }));
        await page.goto(demo.url("quick", "/a?b#c"));
        await expect(app(page)).toBeVisible({ timeout: 30_000 });
        expect(page.url()).toBe(demo.url("quick", "/a?b#c"));
    });
}

test("where a proxy swallows the stream the page polls", async ({ page, demo }) => {
    // Answers that never come: what a proxy does that waits for a bufferful.
    await page.route("**/events/", () => {});
    await page.goto(demo.url("quick", "/deep"));
    // The request itself has come through, and has started the app.
    await page.evaluate(() => fetch("/_unidler/api/wake", { method: "POST" }));
    await expect(app(page)).toBeVisible({ timeout: 40_000 });
});

test("where something else answers in the stream's place the page polls", async ({ page, demo }) => {
    await page.route("**/events/", (route) => route.fulfill({ status: 404, contentType: "text/html", body: "<h1>Not found</h1>" }));
    await page.goto(demo.url("quick", "/deep"));
    await page.evaluate(() => fetch("/_unidler/api/wake", { method: "POST" }));
    await expect(app(page)).toBeVisible({ timeout: 20_000 });
});
