/** The page without what it usually has. */
import type { Page } from "@playwright/test";

import { app, expect, phase, test } from "./fixtures";
import { STATES } from "./states";

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
        await page.route(`**/pkg/unidler*.${missing}`, (route) => route.fulfill({ status: 404, body: "this is the app" }));
        await page.goto(demo.url("quick", "/a?b#c"));
        await expect(app(page)).toBeVisible({ timeout: 30_000 });
        expect(page.url()).toBe(demo.url("quick", "/a?b#c"));
    });
}

test("the start does not wait for the module", async ({ page, demo }) => {
    await page.route("**/pkg/**", () => {});
    await page.goto(demo.url("quick", "/a?b#c"), { waitUntil: "commit" });
    await expect(app(page)).toBeVisible({ timeout: 20_000 });
    expect(page.url()).toBe(demo.url("quick", "/a?b#c"));
});

test("where the module is held back a failure is explained, and the module takes over when it comes", async ({ page, demo }) => {
    let deliver = () => {};
    const held = new Promise<void>((resolve) => (deliver = resolve));
    await page.route("**/*.wasm", async (route) => {
        await held;
        await route.continue();
    });
    await page.goto(demo.url("image-missing"));
    await expect(page.getByRole("heading", { name: "The app cannot start" })).toBeVisible();
    await expect(page.locator(".lead")).toHaveText("The app cannot be downloaded.");
    await expect(page.getByRole("button", { name: "Try again" })).toBeVisible();
    await expect(page.locator(".steps")).toBeHidden();
    deliver();
    await expect(page.locator(".steps")).toBeVisible();
    await expect(page.getByRole("heading", { name: "The app cannot start" })).toBeVisible();
});

test.describe("in a browser without WebAssembly", () => {
    test.use({ provoked: /WebAssembly/ });

    test("a failure is explained and heals", async ({ page, demo }) => {
        await page.addInitScript("delete window.WebAssembly");
        await page.goto(demo.url("mended"));
        await expect(page.getByRole("heading", { name: "The app cannot start" })).toBeVisible();
        await expect(page.locator(".advice")).not.toBeEmpty();
        await expect(app(page)).toBeVisible({ timeout: 40_000 });
    });
});

test("a module that breaks is replaced by the few lines that started it", async ({ page, demo }) => {
    await page.goto(demo.url("mended"));
    await expect(phase(page)).toHaveAttribute("data-phase", "waking");
    await page.evaluate(() => dispatchEvent(new ErrorEvent("error", { error: new WebAssembly.RuntimeError("unreachable") })));
    await expect(page.getByRole("heading", { name: "The app cannot start" })).toBeVisible();
    await expect(app(page)).toBeVisible({ timeout: 40_000 });
});

// The words are chosen in `app/src/text.rs`, and in `app/src/loader.js` where there is no module.
const said = (page: Page) =>
    page.locator("main").evaluate((main) => ({
        texts: ["h1", ".lead", ".advice", ".connection"].map((selector) => main.querySelector(selector)?.textContent),
        pressed: ["form.start", "form.retry", ".resend"].filter((selector) => !main.querySelector<HTMLElement>(selector)?.hidden),
    }));

for (const state of ["asleep", "turned away", "after a form", "troubled", "opening", "failed", "not found"]) {
    test(`the page says the same with and without its module while ${state}`, async ({ page, context, demo }) => {
        await STATES[state]!(page, demo);
        const alone = await context.newPage();
        await alone.route("**/*.wasm", (route) => route.abort());
        await STATES[state]!(alone, demo);
        // What the loader shows instead of it.
        await expect(alone.locator(".steps")).toBeHidden();
        await expect(async () => expect(await said(alone)).toEqual(await said(page))).toPass({ timeout: 10_000 });
    });
}
