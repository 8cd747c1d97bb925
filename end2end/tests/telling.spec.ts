/** What the page tells, and how: the estimate, the title, what is read aloud, languages, the details to pass on. */
import { app, expect, phase, record, test } from "./fixtures";

test("it is said how long it usually takes", async ({ page, demo }) => {
    await page.goto(demo.url("slow"));
    await expect(page.locator(".estimate")).toHaveText("This usually takes about 30 seconds.");
});

test("title and icon follow the state", async ({ page, demo }) => {
    const icon = () => page.locator("link[rel=icon]").getAttribute("href");
    await page.goto(demo.url("slow"));
    await expect(page).toHaveTitle("Waking up the app – slow.localhost");
    const moon = await icon();
    await page.goto(demo.url("ingress-lags"));
    await expect(page).toHaveTitle("Almost there – ingress-lags.localhost");
    const sun = await icon();
    await page.goto(demo.url("crash-loop"));
    await expect(page).toHaveTitle("The app cannot start – crash-loop.localhost");
    expect(new Set([moon, sun, await icon()]).size).toBe(3);
});

test.describe("an app that its team has given a name", () => {
    const name = "Prison Population Forecasts and Scenario Planning";

    for (const withModule of [true, false]) {
        test(`is called by it ${withModule ? "from beginning to end" : "without the module as well"}`, async ({ page, demo }) => {
            if (!withModule) await page.route("**/*.wasm", (route) => route.abort());
            const [headings, titles] = await Promise.all([record(page, "h1"), record(page, "title")]);
            await page.goto(demo.url("titled"));
            await expect(app(page)).toBeVisible({ timeout: 40_000 });
            // Isolated: it may be written from right to left.
            const isolated = `\u2068${name}\u2069`;
            expect(headings.slice(0, 2)).toEqual([`${isolated} is asleep`, `Waking up ${isolated}`]);
            expect(titles.slice(0, 2)).toEqual([`${isolated} is asleep – titled.localhost`, `Waking up ${isolated} – titled.localhost`]);
        });
    }
});

test("a screen reader is told seldom, and always the end", async ({ page, demo }) => {
    const told: { text: string; at: number }[] = [];
    await page.exposeFunction("tell", (text: string) => told.push({ text, at: Date.now() }));
    await page.addInitScript(() => {
        let last = "";
        new MutationObserver(() => {
            const text = document.querySelector(".announced")?.textContent?.trim() ?? "";
            if (text && text !== last) (window as unknown as { tell: (text: string) => void }).tell(text);
            last = text;
        }).observe(document, { subtree: true, childList: true, characterData: true });
    });
    await page.goto(demo.url("mended"));
    await expect(app(page)).toBeVisible({ timeout: 30_000 });
    const texts = told.map(({ text }) => text);
    expect(texts).toContain("The app cannot start. The app cannot be downloaded.");
    expect(texts.at(-1)).toBe("Almost there. The app is running. Waiting for it to respond.");
    for (const [index, { text, at }] of told.entries()) {
        const isEnd = /^(Almost|The app cannot)/.test(text);
        const before = told[index - 1]?.at ?? 0;
        expect(isEnd || at - before >= 4_900, `${text} after ${at - before} ms`).toBe(true);
    }
});

test("what a screen reader finds is what there is to see", async ({ page, demo }) => {
    await page.goto(demo.url("image-missing"));
    await expect(phase(page)).toHaveAttribute("data-phase", "failed");
    await expect(page.getByRole("main")).toMatchAriaSnapshot(`
      - main:
        - heading "The app cannot start" [level=1]
        - status: The app cannot start. The app cannot be downloaded.
        - paragraph: The app cannot be downloaded.
        - paragraph: /Waiting is unlikely to help/
        - list "Progress":
          - listitem: Finding the app
          - listitem: Turning it back on
          - listitem: Finding a server to run it on
          - listitem: Downloading it
          - listitem: Starting it
          - listitem: Checking that it is ready
          - listitem: Connecting it to its address
          - listitem: Opening the app
        - status
        - button "Try again"
        - term: Reference
    `);
});

test.describe("in Welsh", () => {
    test.use({ locale: "cy-GB" });

    test("the page speaks Welsh from beginning to end", async ({ page, demo }) => {
        await page.goto(demo.url("slow"));
        await expect(page.locator("html")).toHaveAttribute("lang", "cy");
        await expect(page.getByRole("heading", { level: 1 })).toHaveText("Yn deffro'r ap");
        await expect(page).toHaveTitle("Yn deffro'r ap – slow.localhost");
        await page.goto(demo.url("image-missing"));
        await expect(page.getByRole("button", { name: "Ceisio eto" })).toBeVisible();
    });
});

test("the details can be copied, and are what is printed", async ({ page, demo, context }) => {
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.goto(demo.url("image-missing", "/deep"));
    await expect(phase(page)).toHaveAttribute("data-phase", "failed");
    await page.getByRole("button", { name: "Copy these details" }).click();
    await expect(page.getByRole("button", { name: "Copied" })).toBeVisible();
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    const reference = await page.locator(".reference dd").first().textContent();
    expect(copied).toMatch(new RegExp(`^${reference} image-missing.localhost \\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d UTC$`));

    await page.emulateMedia({ media: "print" });
    await expect(page.locator(".reference")).toBeVisible();
    await expect(page.locator(".lead")).toBeVisible();
    await expect(page.locator(".steps")).toBeHidden();
    await expect(page.getByRole("button", { name: "Try again" })).toBeHidden();
});

test("nothing on the page moves what the visitor reads", async ({ page, demo }) => {
    await page.addInitScript(() => {
        (window as unknown as { shift: number }).shift = 0;
        new PerformanceObserver((list) => {
            for (const entry of list.getEntries()) (window as unknown as { shift: number }).shift += (entry as unknown as { value: number }).value;
        }).observe({ type: "layout-shift", buffered: true });
    });
    await page.goto(demo.url("ingress-lags"));
    await expect(phase(page)).toHaveAttribute("data-phase", "ready");
    expect(await page.evaluate(() => (window as unknown as { shift: number }).shift)).toBeLessThan(0.05);
});
