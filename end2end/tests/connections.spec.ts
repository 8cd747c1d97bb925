/** Connections that are blocked, swallowed, cut or silent: the visitor gets there all the same. */
import { spawn } from "node:child_process";
import { chromium } from "@playwright/test";

import { app, expect, phase, record, test } from "./fixtures";
import { say } from "./stand-in";

test("where the browser blocks the stream the page polls, and does not call the connection lost", async ({ page, demo }) => {
    const said = await record(page, ".connection");
    await page.route("**/events", (route) => route.abort("blockedbyclient"));
    await page.goto(demo.url("no-room", "/deep"));
    await expect(page.locator(".lead")).toHaveText("There is no server with enough room to run the app right now.");
    await expect(app(page)).toBeVisible({ timeout: 40_000 });
    expect(said).toEqual([]);
});

test("where a proxy refuses streams the page polls", async ({ page, standIn }) => {
    const ingress = await standIn({ route: (incoming, answer) => (/event-stream/.test(incoming.headers.accept ?? "") ? say(answer, 403, "no streams") : (incoming.url ?? "/")) });
    const said = await record(page, ".connection");
    await page.goto(ingress.url("no-room"));
    await expect(app(page)).toBeVisible({ timeout: 40_000 });
    expect(said).toEqual([]);
});

test("where a proxy swallows the stream the page polls", async ({ page, demo }) => {
    // Answers that never come: what a proxy does that waits for a bufferful.
    await page.route("**/events", () => {});
    await page.goto(demo.url("quick", "/deep"));
    await expect(app(page)).toBeVisible({ timeout: 40_000 });
});

test("where something else answers in the stream's place the page polls", async ({ page, demo }) => {
    await page.route("**/events", (route) => route.fulfill({ status: 404, contentType: "text/html", body: "<h1>Not found</h1>" }));
    await page.goto(demo.url("quick", "/deep"));
    await expect(app(page)).toBeVisible({ timeout: 20_000 });
});

test("a stream that is open and says nothing any more is noticed within 25 seconds", async ({ page, standIn }) => {
    const ingress = await standIn();
    await page.goto(ingress.url("slow"));
    await expect(page.locator("[aria-current=step]")).toContainText("Downloading it");
    ingress.swallows = true;
    // Nothing but a poll can bring news: the app is ready 30 seconds after the start.
    await expect(app(page)).toBeVisible({ timeout: 60_000 });
});

test("a start that was lost on its way is repeated", async ({ page, demo }) => {
    let posts = 0;
    await page.route("**/_unidler/wake", (route) => ((posts += 1) === 1 ? route.abort("connectionreset") : route.continue()));
    await page.goto(demo.url("quick"));
    await expect(app(page)).toBeVisible({ timeout: 30_000 });
    expect(posts).toBe(2);
});

test("while the start is answered by nobody there is a button", async ({ page, demo }) => {
    await page.route("**/_unidler/wake", (route) => route.abort("connectionreset"));
    await page.goto(demo.url("quick"));
    await expect(page.getByRole("button", { name: "Wake up the app" })).toBeVisible({ timeout: 20_000 });
});

test("a hidden tab starts nothing until it comes to the front", async ({ page, standIn }) => {
    const ingress = await standIn();
    await page.addInitScript(() => {
        const tab = window as unknown as { isHidden: boolean };
        tab.isHidden = true;
        Object.defineProperty(document, "hidden", { get: () => tab.isHidden });
    });
    await page.goto(ingress.url("quick"));
    await expect(page.getByRole("button", { name: "Wake up the app" })).toBeVisible();
    // Longer than the page waits before it asks again. Nothing to be seen would end sooner.
    await page.waitForTimeout(6_000);
    expect(ingress.count("POST", /wake$/)).toBe(0);
    await expect(phase(page)).toHaveAttribute("data-phase", "asleep");
    await page.evaluate(() => {
        (window as unknown as { isHidden: boolean }).isHidden = false;
        document.dispatchEvent(new Event("visibilitychange"));
    });
    await expect(app(page)).toBeVisible({ timeout: 30_000 });
});

test("a page that the browser prerenders starts nothing until the visitor opens it", async ({ standIn }, testInfo) => {
    const rules = JSON.stringify({ prerender: [{ urls: ["/deep"], eagerness: "immediate" }] });
    // Longer than the page waits before it asks again.
    const links = `<script type="speculationrules">${rules}</script><script>setTimeout(() => (location.href = "/deep"), 6_000)</script>`;
    const ingress = await standIn({ route: ({ url }, answer) => (url === "/links" ? say(answer, 200, links) : (url ?? "/")) });
    const visits = () => ingress.seen.filter(({ path }) => path === "/deep");
    // By itself: where somebody drives it, this browser prerenders nothing.
    const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-port=0", `--user-data-dir=${testInfo.outputPath("profile")}`];
    const browser = spawn(process.env.CHROMIUM ?? chromium.executablePath(), [...flags, ingress.url("quick", "/links")], { stdio: "ignore", detached: true });
    try {
        await expect.poll(() => visits().map(({ ours }) => ours)).toEqual([true, false]);
    } finally {
        if (browser.pid) process.kill(-browser.pid);
    }
    const starts = ingress.seen.filter(({ method }) => method === "POST");
    expect(visits()[0]?.headers["sec-purpose"]).toContain("prerender");
    expect(starts.map(({ path, headers }) => [path, headers["sec-purpose"]])).toEqual([["/deep/_unidler/wake", undefined]]);
    expect((starts[0]?.at ?? 0) - (visits()[0]?.at ?? 0)).toBeGreaterThanOrEqual(5_000);
});

test("a press that no script gets through goes out as a plain form", async ({ page, demo }) => {
    await page.goto(demo.url("image-missing", "/a?b"));
    await expect(phase(page)).toHaveAttribute("data-phase", "failed");
    const reference = page.locator(".reference dd").first();
    const before = await reference.textContent();
    await page.route("**/_unidler/wake", (route) => (route.request().isNavigationRequest() ? route.continue() : route.abort()));
    await page.getByRole("button", { name: "Try again" }).click();
    await expect(reference).not.toHaveText(before ?? "");
    expect(page.url()).toBe(demo.url("image-missing", "/a?b"));
});

test("where nothing gets through any more there is still something to press", async ({ page, demo }) => {
    await page.goto(demo.url("slow"));
    await expect(phase(page)).toHaveAttribute("data-phase", "waking");
    await expect(page.getByRole("link", { name: "Check again" })).toBeHidden();
    demo.stop();
    await expect(page.getByRole("link", { name: "Check again" })).toBeVisible({ timeout: 40_000 });
});

for (const [status, words] of [
    [429, /Too many people are waiting here/],
    [503, /Too many people are waiting here/],
    [403, /was turned away/],
] as const) {
    test(`who is turned away with ${status} is told so, and can press a button`, async ({ page, demo }) => {
        const refuse = { status, contentType: "application/problem+json", headers: { "x-unidler": "1" }, body: "{}" };
        await page.route("**/_unidler/wake", (route) => route.fulfill(refuse));
        await page.goto(demo.url("quick"));
        await expect(page.locator(".connection")).toHaveText(words);
        await expect(page.getByRole("button", { name: "Wake up the app" })).toBeVisible();
        await page.unroute("**/_unidler/wake");
        await page.getByRole("button", { name: "Wake up the app" }).click();
        await expect(app(page)).toBeVisible();
    });

    test(`a retry that is turned away with ${status} says so, and the button comes back`, async ({ page, demo }) => {
        await page.goto(demo.url("image-missing"));
        await expect(phase(page)).toHaveAttribute("data-phase", "failed");
        await page.route("**/_unidler/wake", (route) => route.fulfill({ status, headers: { "x-unidler": "1" }, body: "{}" }));
        await page.getByRole("button", { name: "Try again" }).click();
        await expect(page.locator(".connection")).toHaveText(words);
        await expect(page.getByRole("button", { name: "Try again" })).toBeVisible();
        await expect(page.locator(".lead")).toHaveText("The app cannot be downloaded.");
    });
}

test("while no start gets through, the button comes at once and stays", async ({ page, demo }) => {
    await page.route("**/_unidler/wake", (route) => route.abort("connectionreset"));
    await page.goto(demo.url("quick"));
    const button = page.getByRole("button", { name: "Wake up the app" });
    await expect(button).toBeVisible({ timeout: 3_000 });
    // The page goes on trying, every five seconds.
    const isVisible = await button.evaluate(async (button) => {
        let isVisible = true;
        for (let end = performance.now() + 8_000; performance.now() < end; await new Promise((done) => setTimeout(done, 50))) isVisible &&= button.checkVisibility();
        return isVisible;
    });
    expect(isVisible).toBe(true);
});

test("a start that is swallowed keeps the page from nothing", async ({ page, demo }) => {
    await page.route("**/_unidler/wake", () => {});
    await page.route("**/events", () => {});
    const polls: number[] = [];
    page.on("request", (request) => {
        if (/_unidler\/status/.test(request.url())) polls.push(Date.now());
    });
    await page.goto(demo.url("quick"));
    // One start is given up after ten seconds.
    await expect.poll(() => polls.length, { timeout: 40_000 }).toBeGreaterThanOrEqual(8);
    expect(Math.max(...polls.slice(1).map((at, index) => at - (polls[index] ?? 0)))).toBeLessThan(5_000);
});

for (const status of [403, 405, 429]) {
    test(`a start that somebody else turns away with ${status} is said`, async ({ page, standIn }) => {
        const ingress = await standIn({ route: ({ method, url }, answer) => (method === "POST" ? say(answer, status, "the firewall") : (url ?? "/")) });
        await page.goto(ingress.url("quick"));
        await expect(page.locator(".connection")).toHaveText(status === 429 ? /Too many people are waiting here/ : /was turned away/);
        await expect(page.getByRole("button", { name: "Wake up the app" })).toBeVisible();
    });
}

for (const module of ["with", "without"]) {
    test(`that a start was turned away is not said of an app that wakes all the same, ${module} the module`, async ({ page, demo, request }) => {
        if (module === "without") await page.route("**/*.wasm", (route) => route.abort());
        await page.route("**/_unidler/wake", (route) => route.fulfill({ status: 429, headers: { "x-unidler": "1" }, body: "{}" }));
        await page.goto(demo.url("slow"));
        await expect(page.locator(".connection")).toHaveText(/Too many people are waiting here/);
        await request.post(`http://127.0.0.1:${demo.port}/_unidler/wake`, { headers: { host: "slow.localhost" } });
        await expect(phase(page)).toHaveAttribute("data-phase", "waking");
        await expect(page.locator(".connection")).toBeEmpty();
    });
}
