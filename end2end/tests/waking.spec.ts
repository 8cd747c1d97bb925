/** The main job: from an idled app to the app itself. */
import { app, expect, phase, record, test } from "./fixtures";

test("a visitor sees each step and ends on the app at the address they typed", async ({ page, demo, documents }) => {
    const address = demo.url("quick", "/reports?year=2026&q=a%20b#table");
    const headings = await record(page, "h1");
    const steps = await record(page, "[aria-current=step] span");
    // The app starts before the module is there; here it waits for whoever watches.
    let watches = () => {};
    const watched = new Promise<void>((resolve) => (watches = resolve));
    await page.route("**/_unidler/events", (route) => {
        watches();
        return route.continue();
    });
    await page.route("**/_unidler/wake", async (route) => {
        await watched;
        await route.continue();
    });
    await page.goto(address);
    await expect(app(page)).toBeVisible();
    expect(headings.slice(0, 3)).toEqual(["This app is asleep", "Waking up the app", "Almost there"]);
    expect(page.url()).toBe(address);
    await expect(page.locator("code")).toHaveText("/reports?year=2026&q=a%20b");
    expect(documents.map(({ ours, status }) => [ours, status])).toEqual([
        [true, 200],
        [false, 200],
    ]);
    for (const step of ["Downloading it", "Starting it", "Checking that it is ready", "Opening the app"]) expect(steps).toContain(step);
});

test("the Back button does not return to the waiting page", async ({ page, demo, documents }) => {
    await page.goto(demo.url(""));
    await page.getByRole("link", { name: "quick.localhost" }).click();
    await expect(app(page)).toBeVisible();
    await page.goBack();
    await expect(page.getByRole("heading", { name: "unidler demo" })).toBeVisible();
    await page.goForward();
    await expect(app(page)).toBeVisible();
    expect(documents.filter(({ ours }) => ours)).toHaveLength(1);
});

test("an app can be put to sleep and woken again", async ({ page, demo, documents }) => {
    await page.goto(demo.url("quick"));
    await page.getByRole("button", { name: "Put it to sleep again" }).click();
    await expect.poll(() => documents.map(({ ours }) => ours).join()).toBe("true,false,false,true,false");
    await expect(app(page)).toBeVisible();
});

for (const javaScriptEnabled of [true, false]) {
    test.describe(javaScriptEnabled ? "with scripts" : "without scripts", () => {
        test.use({ javaScriptEnabled });

        test("an app that waits for a click sleeps until then", async ({ page, demo }) => {
            const address = demo.url("manual", "/a?b#c");
            await page.goto(address);
            await expect(page.getByRole("heading", { name: "This app is asleep" })).toBeVisible();
            // The page would start it at once, and again after five seconds.
            await page.waitForTimeout(6_000);
            await expect(phase(page)).toHaveAttribute("data-phase", "asleep");
            await page.getByRole("button", { name: "Wake up the app" }).click();
            await expect(app(page)).toBeVisible();
            expect(page.url()).toBe(javaScriptEnabled ? address : address.replace("#c", ""));
        });

        test("an app that visitors cannot wake says so, offers nothing to press, and stays asleep whatever is sent to it", async ({ page, demo }) => {
            await page.goto(demo.url("closed"));
            await expect(page.getByRole("heading", { name: "This app is asleep" })).toBeVisible();
            await expect(page.getByText("Visitors cannot wake it up.").last()).toBeVisible();
            await expect(page.locator("main").getByRole("button", { name: /Wake|Try/ })).toHaveCount(0);
            // As a page would that is older than the wish of its operators.
            const back = page.waitForEvent("load");
            await page.locator("form.retry").evaluate((form: HTMLFormElement) => form.submit());
            await back;
            await expect(phase(page)).toHaveAttribute("data-phase", "failed");
            await expect(page.getByRole("heading", { name: "This app is asleep" })).toBeVisible();
        });
    });
}

test.describe("where one app may start at a time", () => {
    test.use({ flags: ["--max-wakes", "1"] });

    test("a visitor is told that many apps are starting, and has nothing to do", async ({ page, context, demo }) => {
        const other = await context.newPage();
        await other.goto(demo.url("slow"));
        await expect(phase(other)).toHaveAttribute("data-phase", "waking");
        const [headings, leads] = await Promise.all([record(page, "h1"), record(page, ".lead")]);
        await page.goto(demo.url("quick", "/a?b#c"));
        await expect(app(page)).toBeVisible({ timeout: 60_000 });
        expect(headings).toContain("Waking up the app");
        expect(leads).toContain("Many apps are starting at the moment.");
        expect(page.url()).toBe(demo.url("quick", "/a?b#c"));
        await expect(app(other)).toBeVisible();
    });
});

test("the bar never goes back", async ({ page, demo }) => {
    const values: number[] = [];
    await page.exposeFunction("bar", (value: number) => values.push(value));
    await page.addInitScript(() => {
        new MutationObserver(() => {
            const bar = document.querySelector("progress");
            if (bar) (window as unknown as { bar: (value: number) => void }).bar(bar.value);
        }).observe(document, { subtree: true, attributes: true, childList: true, characterData: true });
    });
    await page.goto(demo.url("quick"));
    await expect(app(page)).toBeVisible();
    expect(new Set(values).size).toBeGreaterThan(3);
    expect(values).toEqual(values.toSorted((a, b) => a - b));
    expect(Math.max(...values)).toBeLessThan(100);
});

test("with an ingress that lags nobody sees an error nor the waiting page again", async ({ page, demo, documents }) => {
    const headings = await record(page, "h1");
    await page.goto(demo.url("ingress-lags", "/deep/link"));
    await expect(app(page)).toBeVisible({ timeout: 30_000 });
    expect(headings).toContain("Almost there");
    expect(documents.map(({ ours }) => ours)).toEqual([true, false]);
});

test("seven tabs of one browser all end on the app", async ({ context, demo }) => {
    const tabs = await Promise.all(Array.from({ length: 7 }, () => context.newPage()));
    await Promise.all(tabs.map((tab) => tab.goto(demo.url("ingress-lags"), { waitUntil: "commit" })));
    for (const tab of tabs) await expect(app(tab)).toBeVisible({ timeout: 40_000 });
});

test("nothing stays behind in the browser, and nobody else is asked", async ({ page, demo }) => {
    const requests: string[] = [];
    page.on("request", (request) => requests.push(request.url()));
    await page.goto(demo.url("slow"));
    await expect(phase(page)).toHaveAttribute("data-phase", "waking");
    const kept = await page.evaluate(async () => ({
        cookies: document.cookie,
        storage: localStorage.length + sessionStorage.length,
        workers: (await navigator.serviceWorker.getRegistrations()).length,
    }));
    expect(kept).toEqual({ cookies: "", storage: 0, workers: 0 });
    expect(requests.filter((url) => !url.startsWith("data:") && !url.startsWith(demo.url("slow", "")))).toEqual([]);
    expect(requests.filter((url) => !url.startsWith("data:")).length).toBeLessThanOrEqual(6);
});
