/** The page without what it usually has. */
import type { Page } from "@playwright/test";

import { app, expect, phase, test } from "./fixtures";
import { isReserved, say } from "./stand-in";
import { STATES } from "./states";

test.describe("without scripts", () => {
    test.use({ javaScriptEnabled: false });

    const start = (page: Page) => page.getByRole("button", { name: "Wake up the app" }).click();

    test("one button starts the app, and the page says what is happening and leads there, at the very address", async ({ page, demo }) => {
        const path = "/a//b;c=d/%7Ex%C3%BC'(1)?q=a%20b&flag&c=d+e&&__path=%2Fx&__err=/y?";
        await page.goto(demo.url("no-room", path));
        await expect(page.getByRole("heading", { name: "This app is asleep" })).toBeVisible();
        await start(page);
        await expect(page.getByRole("heading", { name: "Waking up the app" })).toBeVisible();
        expect(page.url()).toBe(demo.url("no-room", path));
        await expect(page.locator(".lead")).toHaveText("There is no server with enough room to run the app right now.");
        await expect(app(page)).toBeVisible({ timeout: 40_000 });
        expect(page.url()).toBe(demo.url("no-room", path));
        await expect(page.locator("code")).toHaveText(path);
    });

    for (const path of ["/reports/?q=a%20b&c=/d", "/reports/x?y", "/reports/", "/?a=b"]) {
        test(`where proxies take off where a form comes from, it leads back to ${path}`, async ({ page, standIn }) => {
            const ingress = await standIn({
                route: ({ url, headers }) => {
                    delete headers.referer;
                    return url ?? "/";
                },
            });
            await page.goto(ingress.url("no-room", path));
            await start(page);
            await expect(page.getByRole("heading", { name: "Waking up the app" })).toBeVisible();
            expect(page.url()).toBe(ingress.url("no-room", path));
        });
    }

    test("a failure is explained, and can be tried again at the very address", async ({ page, demo }) => {
        await page.goto(demo.url("image-missing", "/a?b"));
        await start(page);
        await expect(page.getByRole("heading", { name: "The app cannot start" })).toBeVisible();
        await expect(page.locator(".lead")).toHaveText("The app cannot be downloaded.");
        await expect(page.locator(".advice")).toHaveText(/Contact the team that runs the app/);
        const reference = await page.locator(".reference dd").first().textContent();
        await page.getByRole("button", { name: "Try again" }).click();
        await expect(page.locator(".reference dd").first()).not.toHaveText(reference ?? "");
        expect(page.url()).toBe(demo.url("image-missing", "/a?b"));
    });

    test("a failure heals by itself", async ({ page, demo }) => {
        await page.goto(demo.url("mended", "/a?b"));
        await start(page);
        await expect(page.getByRole("heading", { name: "The app cannot start" })).toBeVisible();
        await expect(app(page)).toBeVisible({ timeout: 40_000 });
        expect(page.url()).toBe(demo.url("mended", "/a?b"));
    });

    test("a form that is refused is answered in words, with the way back to the page", async ({ page, standIn }) => {
        const ingress = await standIn({
            // As from a browser that does not say where a form comes from.
            route: ({ url, method, headers }) => {
                if (method === "POST") for (const name of ["origin", "referer", "sec-fetch-site"]) delete headers[name];
                return url ?? "/";
            },
        });
        await page.goto(ingress.url("image-missing", "/deep"));
        await start(page);
        await expect(page.getByText("The request to start the app was turned away.")).toBeVisible();
        await page.getByRole("link", { name: "Check again" }).click();
        await expect(page.getByRole("heading", { name: "This app is asleep" })).toBeVisible();
        expect(page.url()).toBe(ingress.url("image-missing", "/deep"));
    });

    test("an app that cannot be found has a heading and a status of its own", async ({ page, demo, documents }) => {
        await page.goto(demo.url("not-found"));
        await expect(page.getByRole("heading", { name: "We cannot find this app" })).toBeVisible();
        await expect(page.locator(".lead")).toHaveText("There is no app at this address.");
        await page.getByRole("button", { name: "Try again" }).click();
        await expect.poll(() => documents.filter(({ url }) => url === demo.url("not-found")).map(({ status }) => status)).toEqual([404, 404]);
        await expect(page.getByRole("heading", { name: "We cannot find this app" })).toBeVisible();
    });

    test("what unidler forwards opens without a press", async ({ page, standIn }) => {
        let forwards = false;
        const ingress = await standIn({
            route: (incoming, answer) => (forwards && !isReserved(incoming) ? say(answer, 200, "<h1>Forwarded</h1>") : (incoming.url ?? "/")),
        });
        await page.goto(ingress.url("ingress-stuck", "/a?b"));
        await start(page);
        await expect(page.getByRole("heading", { name: "Almost there" })).toBeVisible();
        await expect(page.getByRole("link", { name: "Check again" })).toBeVisible();
        forwards = true;
        await expect(page.getByRole("heading", { name: "Forwarded" })).toBeVisible();
        expect(page.url()).toBe(ingress.url("ingress-stuck", "/a?b"));
    });

    test.describe("where one app may start at a time", () => {
        test.use({ flags: ["--max-wakes", "1"] });

        test("it is said that many apps are starting, and the app opens when it has had its turn", async ({ page, context, demo }) => {
            const other = await context.newPage();
            await other.goto(demo.url("slow"));
            await start(other);
            await expect(other.getByRole("heading", { name: "Waking up the app" })).toBeVisible();
            const address = demo.url("quick", "/reports?year=2026");
            await page.goto(address);
            await start(page);
            await expect(page.locator(".lead")).toHaveText("Many apps are starting at the moment.");
            expect(page.url()).toBe(address);
            await expect(app(page)).toBeVisible({ timeout: 60_000 });
            expect(page.url()).toBe(address);
        });
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
    await page.goto(demo.url("no-room"));
    const room = "There is no server with enough room to run the app right now.";
    await expect(page.locator(".lead")).toHaveText(room);
    await expect(page.locator(".steps")).toBeVisible();
    await page.evaluate(() => dispatchEvent(new ErrorEvent("error", { error: new WebAssembly.RuntimeError("unreachable") })));
    // Which have no list of steps.
    await expect(page.locator(".steps")).toBeHidden();
    await expect(page.locator(".lead")).toHaveText(room);
    await expect(app(page)).toBeVisible({ timeout: 40_000 });
});

// The words are chosen in `app/src/text.rs`, and in `app/src/loader.js` where there is no module.
const said = (page: Page) =>
    page.locator("main").evaluate((main) => ({
        texts: ["h1", ".lead", ".advice", ".connection"].map((selector) => main.querySelector(selector)?.textContent),
        pressed: ["form.start", "form.retry", ".resend"].filter((selector) => !main.querySelector<HTMLElement>(selector)?.hidden),
    }));

for (const state of ["asleep", "turned away", "after a form", "troubled", "opening", "failed", "not found", "closed to visitors"]) {
    test(`the page says the same with and without its module while ${state}`, async ({ page, context, demo }) => {
        await STATES[state]!(page, demo);
        const alone = await context.newPage();
        await alone.route("**/*.wasm", (route) => route.abort());
        await STATES[state]!(alone, demo);
        // What the loader shows instead of it.
        await expect(alone.locator(".steps")).toBeHidden();
        // The two pages look at the app at different moments, and so show a new state one after the other.
        await expect(async () => expect(await said(alone)).toEqual(await said(page))).toPass({ timeout: 10_000 });
    });
}

test("without its module, a page that waits has something to press", async ({ page, demo }) => {
    await page.route("**/*.wasm", (route) => route.abort());
    await page.goto(demo.url("slow"));
    await expect(phase(page)).toHaveAttribute("data-phase", "waking");
    await expect(page.getByRole("link", { name: "Check again" })).toBeVisible();
});

test("in an engine that does not know light-dark() a button looks like one", async ({ page, demo, request }) => {
    await page.route(demo.url("image-missing"), async (route) => {
        const response = await request.get(`http://127.0.0.1:${demo.port}/`, { headers: { ...route.request().headers(), host: "image-missing.localhost" } });
        await route.fulfill({ response, body: (await response.text()).replaceAll("light-dark(", "unheard-of(") });
    });
    await page.goto(demo.url("image-missing"));
    await expect(page.getByRole("button", { name: "Try again" })).toHaveCSS("background-color", "rgb(80, 70, 200)");
    await expect(page.getByRole("button", { name: "Try again" })).toHaveCSS("color", "rgb(255, 255, 255)");
});
