/** When the visitor is handed over: when the app answers, whatever else answers in its place, and at nobody's expense. */
import { app, expect, phase, record, test } from "./fixtures";
import { type Handler, isReserved, say } from "./stand-in";

test("a link that works once arrives unused", async ({ page, standIn }) => {
    let visits = 0;
    const ingress = await standIn({
        app: ({ url }, answer) => {
            if (url !== "/login?token=abc") return undefined;
            visits += 1;
            return visits === 1 ? say(answer, 200, "<h1>welcome</h1>") : say(answer, 410, "<h1>link already used</h1>");
        },
    });
    await page.goto(ingress.url("quick", "/login?token=abc"));
    await expect(page.getByRole("heading", { name: "welcome" })).toBeVisible();
    expect(visits).toBe(1);
    expect(ingress.count("GET", "/login?token=abc")).toBe(2);
});

for (const status of [408, 425, 429, 502, 503, 504, 521, 530]) {
    test(`a ${status} of the ingress is not taken for the app's answer`, async ({ page, standIn, documents }) => {
        let since = 0;
        const ingress = await standIn({
            app: (_, answer) => (Date.now() - (since ||= Date.now()) < 3_000 ? say(answer, status, "the ingress") : undefined),
        });
        await page.goto(ingress.url("quick", "/deep?a#b"));
        await expect(app(page)).toBeVisible({ timeout: 30_000 });
        expect(page.url()).toBe(ingress.url("quick", "/deep?a#b"));
        expect(documents.map(({ ours, status }) => [ours, status])).toEqual([
            [true, 200],
            [false, 200],
        ]);
    });
}

test("a 404 of the ingress that passes is not taken for the app's answer", async ({ page, standIn, documents }) => {
    let since = 0;
    const ingress = await standIn({
        route: (incoming, answer) => {
            // An ingress that does not know the app for two seconds, as soon as it has been started.
            if (!isReserved(incoming) || incoming.method === "POST") return incoming.url ?? "/";
            return Date.now() - (since ||= Date.now()) < 2_000 ? say(answer, 404, "404 page not found") : (incoming.url ?? "/");
        },
    });
    await page.goto(ingress.url("quick"));
    await expect(app(page)).toBeVisible({ timeout: 30_000 });
    expect(documents.map(({ ours }) => ours)).toEqual([true, false]);
});

test("an app that knows no other path is handed over after three seconds although the server never said that it is ready", async ({ page, standIn }) => {
    const times = { unknown: 0, opened: 0 };
    const ingress = await standIn({
        route: ({ url, method }, answer) => {
            if (/_unidler\/(events|status)/.test(url ?? "")) {
                times.unknown ||= Date.now();
                return say(answer, 404, "not found");
            }
            if (method === "GET" && url === "/" && times.unknown) times.opened ||= Date.now();
            return url ?? "/";
        },
    });
    await page.goto(ingress.url("quick"));
    await expect(app(page)).toBeVisible({ timeout: 30_000 });
    expect(times.opened - times.unknown).toBeGreaterThanOrEqual(3_000);
});

test("an app that knows no other path is handed over at once when the server has said that it is ready, and the ingress follows late", async ({ page, standIn }) => {
    const times = { unknown: 0, opened: 0 };
    const ingress = await standIn({
        app: (incoming, answer) => {
            if (isReserved(incoming)) {
                times.unknown ||= Date.now();
                return say(answer, 404, "not found");
            }
            if (incoming.url === "/") times.opened ||= Date.now();
            return undefined;
        },
    });
    await page.goto(ingress.url("ingress-lags"));
    await expect(app(page)).toBeVisible({ timeout: 30_000 });
    expect(times.opened - times.unknown).toBeLessThan(2_000);
});

for (const seconds of [8, 25]) {
    test(`an app whose first answer takes ${seconds} seconds is waited for, and asked once`, async ({ page, standIn }) => {
        const ingress = await standIn({
            app: ({ url }, answer) => {
                if (url !== "/report?year=2026") return undefined;
                setTimeout(() => say(answer, 200, "<h1>The report</h1>"), seconds * 1_000);
                return null;
            },
        });
        await page.goto(ingress.url("quick", "/report?year=2026"));
        await expect(page.getByRole("heading", { name: "The report" })).toBeVisible({ timeout: 60_000 });
        expect(ingress.seen.filter(({ path, ours }) => path === "/report?year=2026" && !ours)).toHaveLength(1);
    });
}

test("an app that takes its time to answer at our own path as well is handed over", async ({ page, standIn }) => {
    const ingress = await standIn({
        app: ({ url }, answer) => {
            setTimeout(() => say(answer, url === "/" ? 200 : 404, "<h1>At last</h1>"), 4_000);
            return null;
        },
    });
    await page.goto(ingress.url("quick"));
    await expect(page.getByRole("heading", { name: "At last" })).toBeVisible({ timeout: 60_000 });
});

test("where unidler forwards whatever reaches it, nobody waits for the ingress", async ({ page, standIn, documents }) => {
    const times = { started: 0, opened: 0 };
    const ingress = await standIn({
        route: (incoming, answer) => {
            if (/wake$/.test(incoming.url ?? "")) times.started ||= Date.now();
            if (isReserved(incoming) || !times.started) return incoming.url ?? "/";
            times.opened ||= Date.now();
            return say(answer, 200, "<h1>Forwarded</h1>");
        },
    });
    ingress.forwarding = "seamless";
    await page.goto(ingress.url("ingress-stuck", "/a?b#c"));
    await expect(page.getByRole("heading", { name: "Forwarded" })).toBeVisible({ timeout: 30_000 });
    expect(page.url()).toBe(ingress.url("ingress-stuck", "/a?b#c"));
    expect(documents.map(({ ours }) => ours)).toEqual([true, false]);
    // Not before the app is ready.
    expect(times.opened - times.started).toBeGreaterThanOrEqual(2_000);
});

/** Answers of an ingress for an app that is ready: for some seconds, every other one is the first kind. */
function alternating(milliseconds: number, first: Handler, then: Handler): { route: Handler; settled: () => number } {
    let since = 0;
    let asked = 0;
    const route: Handler = (incoming, answer, standIn) => {
        if (!/_unidler\/status(\?|$)/.test(incoming.url ?? "")) return incoming.url ?? "/";
        asked += 1;
        since ||= Date.now();
        return (asked % 2 === 1 && Date.now() - since < milliseconds ? first : then)(incoming, answer, standIn);
    };
    return { route, settled: () => since + milliseconds };
}

const OURS: Handler = (_, answer) => say(answer, 200, JSON.stringify({ phase: "ready" }), { "x-unidler": "0" });
const FORWARDED: Handler = (_, answer) => say(answer, 200, JSON.stringify({ phase: "ready", forwarding: "seamless" }), { "x-unidler": "0" });
const NOBODY: Handler = (_, answer) => say(answer, 502, "Bad Gateway");
const APP: Handler = (_, answer) => say(answer, 404, "the app has no such path");
for (const [what, first, then] of [
    ["comes to unidler, which does not forward", OURS, APP],
    ["meets an ingress that reaches nobody", NOBODY, APP],
    ["meets an ingress that reaches nobody, although unidler forwards the others", NOBODY, FORWARDED],
] as const) {
    test(`while every other visitor ${what}, the page waits`, async ({ page, standIn, documents }) => {
        const { route, settled } = alternating(4_000, first, then);
        const ingress = await standIn({ route });
        await page.goto(ingress.url("quick"));
        await expect(app(page)).toBeVisible({ timeout: 30_000 });
        expect(documents.map(({ ours }) => ours)).toEqual([true, false]);
        const opened = ingress.seen.findLast(({ path }) => path === "/")!.at;
        expect(opened - settled()).toBeGreaterThanOrEqual(1_900);
        expect(opened - settled()).toBeLessThan(5_000);
    });
}

test("an ingress that follows within two seconds is waited for from the moment at which the app is ready", async ({ page, standIn, documents }) => {
    const { route } = alternating(2_000, OURS, APP);
    const ingress = await standIn({ route });
    await page.goto(ingress.url("quick"));
    await expect(app(page)).toBeVisible({ timeout: 30_000 });
    expect(documents.map(({ ours }) => ours)).toEqual([true, false]);
    // The page begins to ask as soon as it knows.
    const ready = ingress.seen.find(({ path }) => /_unidler\/status(\?|$)/.test(path))!.at;
    const opened = ingress.seen.findLast(({ path }) => path === "/")!.at;
    expect(opened - ready).toBeGreaterThanOrEqual(2_300);
    expect(opened - ready).toBeLessThan(3_500);
});

test("where an ingress may lead nowhere for some seconds, what unidler forwards is waited for that long", async ({ page, standIn, documents }) => {
    const times = { ready: 0, opened: 0 };
    const ingress = await standIn({
        route: (incoming, answer) => {
            if (isReserved(incoming) || !times.ready) return incoming.url ?? "/";
            times.opened ||= Date.now();
            return say(answer, 200, "<h1>Forwarded</h1>");
        },
    });
    ingress.forwarding = "partial";
    page.on("response", (response) => {
        if (/_unidler\/status(\?|$)/.test(response.url())) times.ready ||= Date.now();
    });
    await page.goto(ingress.url("ingress-stuck", "/a?b#c"));
    await expect(page.getByRole("heading", { name: "Forwarded" })).toBeVisible({ timeout: 30_000 });
    expect(documents.map(({ ours }) => ours)).toEqual([true, false]);
    expect(times.opened - times.ready).toBeGreaterThanOrEqual(2_000);
    expect(times.opened - times.ready).toBeLessThan(5_000);
});

test("an app that is closed for maintenance is handed over", async ({ page, standIn }) => {
    const ingress = await standIn({ app: ({ url }, answer) => say(answer, url === "/" ? 503 : 404, "<h1>Back at nine</h1>", { "retry-after": "60" }) });
    await page.goto(ingress.url("quick"));
    await expect(page.getByRole("heading", { name: "Back at nine" })).toBeVisible({ timeout: 20_000 });
});

test("an app that says 503 everywhere is handed over after a while", async ({ page, standIn }) => {
    const ingress = await standIn({ app: (_, answer) => say(answer, 503, "<h1>Back at nine</h1>") });
    await page.goto(ingress.url("quick"));
    await expect(page.getByRole("heading", { name: "Back at nine" })).toBeVisible({ timeout: 45_000 });
});

test("an app that sends its visitors to a login is handed over", async ({ page, standIn }) => {
    const ingress = await standIn({
        app: ({ url }, answer) => (url === "/login" ? say(answer, 200, "<h1>Sign in</h1>") : say(answer, 302, "", { location: "/login" })),
    });
    await page.goto(ingress.url("quick"));
    await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible({ timeout: 20_000 });
});

const MEMORY: Handler = ({ url }, answer) => (/_unidler\/status/.test(url ?? "") ? say(answer, 200, "from the cache") : (url ?? "/"));
for (const [what, options, forwarding] of [
    // As a service worker of the app's does: it answers for everything but navigations.
    ["what answers from memory in the app's place", { route: MEMORY }, undefined],
    ["a promise to forward that is not kept", {}, "seamless"],
] as const) {
    test(`${what} leads to three reloads at most, and then to words`, async ({ page, standIn, documents }) => {
        const ingress = await standIn(options);
        ingress.forwarding = forwarding;
        await page.addInitScript(() => {
            if (!history.state) history.replaceState({ mine: "kept" }, "");
        });
        await page.goto(ingress.url("ingress-stuck", "/a?b#c"));
        await expect(page.locator(".lead")).toHaveText(/^Every attempt to open the app brought you back here/, { timeout: 90_000 });
        await expect(page.getByRole("link", { name: "Open the app" })).toBeVisible();
        expect(documents.filter(({ ours }) => ours)).toHaveLength(4);
        expect(await page.evaluate(() => (history.state as { mine: string }).mine)).toBe("kept");
        // Longer than any pause between two reloads: what must not happen has no event to wait for.
        await page.waitForTimeout(8_000);
        expect(documents).toHaveLength(4);
        await expect(page.locator(".connection")).toBeEmpty();
        expect(page.url()).toBe(ingress.url("ingress-stuck", "/a?b#c"));
        await expect(phase(page)).toBeVisible();
    });
}

test("an app that answers a visit with a download leaves a link, and is visited once", async ({ page, standIn }) => {
    const ingress = await standIn({
        app: ({ url }, answer) => (url === "/report" ? say(answer, 200, "a,b", { "content-disposition": "attachment; filename=report.csv" }) : say(answer, 404)),
    });
    await page.goto(ingress.url("quick", "/report"));
    await expect(page.getByRole("link", { name: "Open the app" })).toBeVisible({ timeout: 40_000 });
    await expect(page.locator(".lead")).toHaveText(/The app should be open by now/);
    await page.waitForTimeout(3_000);
    expect(ingress.seen.filter(({ path, ours }) => path === "/report" && !ours)).toHaveLength(1);
});

test("an app that is put to sleep behind a download stays asleep, and the page says so", async ({ page, standIn, demo, request }) => {
    const ingress = await standIn({
        app: ({ url }, answer) => (url === "/report" ? say(answer, 200, "a,b", { "content-disposition": "attachment; filename=report.csv" }) : say(answer, 404)),
    });
    await page.goto(ingress.url("quick", "/report"));
    await expect(page.locator(".lead")).toHaveText(/The app should be open by now/, { timeout: 40_000 });
    const since = Date.now();
    // The requests of a page that nobody needs would keep the app awake. What must not happen has no event to wait for.
    await page.waitForTimeout(10_000);
    expect(ingress.seen.filter(({ at }) => at > since + 1_000).length).toBeLessThanOrEqual(2);
    await request.post(`http://127.0.0.1:${demo.port}/idle`, { headers: { host: "quick.localhost" }, maxRedirects: 0 });
    await expect(page.getByRole("heading", { name: "This app is asleep" })).toBeVisible({ timeout: 40_000 });
    await expect(page.locator(".lead")).toHaveText(/put to sleep/);
    // Longer than the page waits before it starts an app again.
    await page.waitForTimeout(7_000);
    expect(ingress.count("POST", /wake$/)).toBe(1);
    await page.getByRole("button", { name: "Wake up the app" }).click();
    await expect.poll(() => ingress.count("POST", /wake$/)).toBe(2);
});

test("a service worker of the app that caches whatever is read holds nobody up", async ({ page, standIn, demo, request }) => {
    const worker = `
        addEventListener("install", () => skipWaiting());
        addEventListener("activate", (event) => event.waitUntil(clients.claim()));
        const kept = async (request) => {
            const cache = await caches.open("all");
            const hit = await cache.match(request);
            if (hit) return hit;
            const answer = await fetch(request);
            cache.put(request, answer.clone()).catch(() => {});
            return answer;
        };
        addEventListener("fetch", (event) => {
            if (event.request.method === "GET" && event.request.mode !== "navigate") event.respondWith(kept(event.request));
        });`;
    const home = `<h1>At work</h1><script>navigator.serviceWorker.register("/worker.js"); navigator.serviceWorker.ready.then(() => (document.title = "controlled"))</script>`;
    const ingress = await standIn({
        app: ({ url }, answer) => {
            if (url === "/worker.js") return say(answer, 200, worker, { "content-type": "text/javascript" });
            return url === "/" ? say(answer, 200, home) : say(answer, 404);
        },
    });
    // At the second visit the worker learns what unidler says, and at the third it answers with that.
    for (const visit of [1, 2, 3]) {
        await page.goto(ingress.url("quick"));
        await expect(page.getByRole("heading", { name: "At work" }), `visit ${visit}`).toBeVisible({ timeout: 30_000 });
        await expect(page).toHaveTitle("controlled");
        await request.post(`http://127.0.0.1:${demo.port}/idle`, { headers: { host: "quick.localhost" }, maxRedirects: 0 });
    }
});

test("nothing of an ordinary visit stays in the app's entry of the history", async ({ page, demo }) => {
    await page.goto(demo.url("quick"));
    await expect(app(page)).toBeVisible();
    expect(await page.evaluate(() => history.state as unknown)).toBeNull();
});

test("an app that is opened in a popup keeps the page that has opened it", async ({ page, standIn, demo }) => {
    const portal = await standIn({ route: (_, answer) => say(answer, 200, "<h1>The portal</h1>") });
    await page.goto(portal.url("portal"));
    const [popup] = await Promise.all([page.waitForEvent("popup"), page.evaluate((url) => void window.open(url, "login", "popup"), demo.url("quick"))]);
    await expect(app(popup)).toBeVisible({ timeout: 30_000 });
    expect(await popup.evaluate(() => window.opener !== null)).toBe(true);
});

test("an ingress that reaches nobody for a minute is not taken for the app", async ({ page, standIn }) => {
    const ingress = await standIn({ route: (incoming, answer) => (/_unidler\/status/.test(incoming.url ?? "") ? say(answer, 502, "Bad Gateway") : (incoming.url ?? "/")) });
    const leads = await record(page, ".lead");
    await page.goto(ingress.url("ingress-stuck"));
    await expect(page.locator(".lead")).toHaveText(/its address still brings you here/, { timeout: 90_000 });
    // Longer than the page would need to offer a link as well. What must not happen has no event to wait for.
    await page.waitForTimeout(4_000);
    expect(leads.filter((lead) => /open by now/.test(lead))).toEqual([]);
});
