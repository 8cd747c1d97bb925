/** What others do to the page: policies of proxies, translators, forms of other sites, frames. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Page } from "@playwright/test";

import { Demo, app, expect, phase, test } from "./fixtures";
import type { StandIn } from "./stand-in";

/** Follows the link of a page that cannot open the app by itself, as often as a visitor has to: the app takes its time. */
const checkUntilOpen = (page: Page) =>
    expect(async () => {
        if (await app(page).isVisible()) return;
        await page.getByRole("link", { name: "Check again" }).click();
        await expect(app(page)).toBeVisible({ timeout: 500 });
    }).toPass();

test.describe("under somebody else's Content-Security-Policy", () => {
    test.use({ provoked: /Content Security Policy|WebAssembly/ });

    for (const [how, policy] of [
        ["added", ["default-src 'self'"]],
        ["in place of ours", "default-src 'self'"],
    ] as const) {
        const protect = (ingress: StandIn) => (ingress.headers = { "content-security-policy": typeof policy === "string" ? policy : [...policy] });

        test(`${how}, the app wakes and the page has its looks`, async ({ page, standIn }) => {
            const ingress = await standIn();
            protect(ingress);
            await page.goto(ingress.url("quick", "/a?b#c"));
            await expect(page.locator("main")).toHaveCSS("border-top-left-radius", "20px");
            await expect(app(page)).toBeVisible({ timeout: 30_000 });
            expect(page.url()).toBe(ingress.url("quick", "/a?b#c"));
            expect(ingress.count("POST", /wake$/)).toBe(1);
        });

        test(`${how}, a failure is explained and can be tried again`, async ({ page, standIn }) => {
            const ingress = await standIn();
            protect(ingress);
            await page.goto(ingress.url("image-missing"));
            await expect(page.getByRole("heading", { name: "The app cannot start" })).toBeVisible();
            await expect(page.locator(".lead")).toHaveText("The app cannot be downloaded.");
            const reference = page.locator(".reference dd").first();
            const before = await reference.textContent();
            await page.getByRole("button", { name: "Try again" }).click();
            await expect(reference).not.toHaveText(before ?? "");
        });
    }

    test("that forbids to ask anything, the plain forms and a link lead on", async ({ page, standIn }) => {
        const ingress = await standIn();
        ingress.headers = { "content-security-policy": ["connect-src 'none'"] };
        await page.goto(ingress.url("quick", "/a?b"));
        await page.getByRole("button", { name: "Wake up the app" }).click();
        await expect(page.getByRole("heading", { name: /Waking up the app|Almost there/ })).toBeVisible();
        await checkUntilOpen(page);
        expect(page.url()).toBe(ingress.url("quick", "/a?b"));
    });

    test("that forbids all scripts, there is a button", async ({ page, standIn }) => {
        const ingress = await standIn();
        ingress.headers = { "content-security-policy": ["script-src 'none'"] };
        await page.goto(ingress.url("quick", "/a?b"));
        await page.getByRole("button", { name: "Wake up the app" }).click();
        await expect(page.getByRole("heading", { name: "Waking up the app" })).toBeVisible();
        await checkUntilOpen(page);
        expect(page.url()).toBe(ingress.url("quick", "/a?b"));
    });
});

test("a page that the browser has translated still changes", async ({ page, demo }) => {
    const shown: { heading: string; lead: string; time: string }[] = [];
    await page.exposeFunction("show", (state: (typeof shown)[number]) => shown.push(state));
    await page.goto(demo.url("mended"));
    await expect(phase(page)).toHaveAttribute("data-phase", "failed");
    await page.evaluate(() => {
        const main = document.querySelector("main")!;
        // As Google Translate does: text nodes give way to elements.
        const texts: Text[] = [];
        const walker = document.createTreeWalker(main, NodeFilter.SHOW_TEXT);
        while (walker.nextNode()) texts.push(walker.currentNode as Text);
        for (const text of texts.filter((text) => text.data.trim())) {
            const [outer, inner] = [document.createElement("font"), document.createElement("font")];
            inner.textContent = `«${text.data}»`;
            outer.append(inner);
            text.replaceWith(outer);
        }
        const text = (selector: string) => main.querySelector(selector)?.textContent ?? "";
        const { show } = window as unknown as { show: (state: { heading: string; lead: string; time: string }) => void };
        const report = () => show({ heading: text("h1"), lead: text(".lead"), time: text("[aria-current=step] time") });
        report();
        new MutationObserver(report).observe(main, { subtree: true, childList: true, characterData: true });
    });
    await expect(app(page)).toBeVisible();
    expect(shown[0]!.heading).toBe("«The app cannot start»");
    expect(shown).toContainEqual({
        heading: "Waking up the app",
        lead: expect.stringMatching(/the app will open here/),
        time: expect.stringMatching(/^\d+ s$/),
    });
});

test("what was submitted to a waking app is not refreshed away without scripts", async ({ demo, request }) => {
    const headers = { host: "slow.localhost", accept: "text/html" };
    const address = (path: string) => `http://127.0.0.1:${demo.port}${path}`;
    await request.post(address("/_unidler/wake"), { headers: { host: headers.host } });
    const refresh = 'http-equiv="refresh"';
    expect(await (await request.get(address("/contact"), { headers })).text()).toContain(refresh);
    const answer = await (await request.post(address("/contact"), { headers })).text();
    expect(answer).toContain("Waking up the app");
    expect(answer).not.toContain(refresh);
});

test.describe("a form that another site submits to a sleeping app", () => {
    for (const javaScriptEnabled of [true, false]) {
        test.describe(javaScriptEnabled ? "with scripts" : "without scripts", () => {
            test.use({ javaScriptEnabled });

            test("leads to the page, which says that it did not arrive", async ({ page, standIn, documents }) => {
                const ingress = await standIn();
                await page.setContent(`<form method="post" action="${ingress.url("quick", "/saml/acs")}"><input name="a" value="b"><button>Sign in</button></form>`);
                await page.getByRole("button").click();
                await expect(page.locator(".notice")).toHaveText(/What you sent did not arrive/);
                expect(documents.at(-1)).toMatchObject({ status: 503, ours: true });
                if (!javaScriptEnabled) {
                    await page.getByRole("button", { name: "Wake up the app" }).click();
                    await expect(app(page)).toBeVisible({ timeout: 30_000 });
                    return;
                }
                await page.getByRole("button", { name: "Send it again" }).click({ timeout: 30_000 });
                await expect(app(page)).toBeVisible();
                expect(ingress.seen.filter(({ method, path, ours }) => method === "POST" && path === "/saml/acs" && !ours).map(({ body }) => body)).toEqual(["a=b"]);
            });
        });
    }
});

test.describe("in a portal's frame", () => {
    test.use({ provoked: /frame-ancestors/ });

    for (const isNamed of [true, false]) {
        test(isNamed ? "that is named an app wakes" : "that is not named the page is not shown", async ({ page }) => {
            let content = "";
            const server = createServer((_, answer) => answer.writeHead(200, { "content-type": "text/html" }).end(content));
            await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
            const portal = `http://portal.localhost:${(server.address() as AddressInfo).port}`;
            const demo = await Demo.start(0, ["--frame-ancestors", isNamed ? portal : "http://other.localhost"]);
            content = `<iframe src="${demo.url("quick")}"></iframe>`;

            const answered = page.waitForResponse(demo.url("quick"));
            await page.goto(portal);
            await answered;
            const frame = page.frameLocator("iframe");
            if (isNamed) await expect(frame.getByRole("heading", { name: "Hello from the app" })).toBeVisible({ timeout: 30_000 });
            else await expect(frame.getByRole("main")).toHaveCount(0);
            demo.stop();
            server.closeAllConnections();
            server.close();
        });
    }
});
