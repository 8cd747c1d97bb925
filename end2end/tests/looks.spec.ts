/** How the page looks, for everybody: each state in each theme, light and dark, small, large, without colours or motion. */
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";

import { Demo, expect, phase, test } from "./fixtures";
import { STATES, THEMES } from "./states";

const violations = async (page: Page) => (await new AxeBuilder({ page }).analyze()).violations;
const width = (page: Page) => page.evaluate(() => document.documentElement.scrollWidth);
const failed = async (page: Page, demo: Demo) => {
    await page.goto(demo.url("image-missing"));
    await expect(phase(page)).toHaveAttribute("data-phase", "failed");
};

const flagsOf = (theme: string) => ["--theme", theme, "--brand-name", "Platform", "--contact", "Ask us", "--contact-url", "https://help.example"];

for (const [state, reach] of Object.entries(STATES)) {
    test(`nobody is kept out while ${state}, in any theme`, async ({ context }) => {
        // Side by side, since some states take a minute to come.
        const looks = THEMES.map(async (theme) => {
            const [page, demo] = await Promise.all([context.newPage(), Demo.start(0, flagsOf(theme))]);
            try {
                await reach(page, demo);
                await page.emulateMedia({ colorScheme: "light" });
                expect(await violations(page), theme).toEqual([]);
                // Nothing but colours is different in the dark.
                await page.emulateMedia({ colorScheme: "dark" });
                const colours = new AxeBuilder({ page }).withRules(["color-contrast", "link-in-text-block"]);
                expect((await colours.analyze()).violations, theme).toEqual([]);
                await page.setViewportSize({ width: 320, height: 640 });
                expect(await width(page), theme).toBeLessThanOrEqual(320);
            } finally {
                demo.stop();
            }
        });
        await Promise.all(looks);
    });
}

for (const theme of THEMES) {
    test.describe(`in the theme ${theme}`, () => {
        test.use({ flags: flagsOf(theme) });

        test("it fits into 320 pixels, and into a window that is zoomed four times", async ({ page, demo }) => {
            // 1280 by 1024, at 400 %: https://www.w3.org/TR/WCAG22/#reflow
            await page.setViewportSize({ width: 320, height: 256 });
            await failed(page, demo);
            expect(await width(page)).toBeLessThanOrEqual(320);
            await expect(page.locator(".steps .done:visible")).toHaveCount(1);
            await page.getByRole("button", { name: "Try again" }).scrollIntoViewIfNeeded();
            await expect(page.getByRole("button", { name: "Try again" })).toBeInViewport();
        });

        test("text of twice the size is cut nowhere", async ({ page, demo }) => {
            await page.setViewportSize({ width: 640, height: 480 });
            await failed(page, demo);
            // What a browser does whose user has set a larger font.
            await page.evaluate(() => (document.documentElement.style.fontSize = "200%"));
            expect(await width(page)).toBeLessThanOrEqual(640);
            const cut = await page.locator("main :visible:not(.announced)").evaluateAll((elements) =>
                elements.filter((element) => element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).overflow !== "visible").length,
            );
            expect(cut).toBe(0);
        });

        test("it reads from right to left where the language does", async ({ page, demo }) => {
            await page.setViewportSize({ width: 320, height: 640 });
            await page.goto(demo.url("slow"));
            await page.evaluate(() => (document.documentElement.dir = "rtl"));
            // A step that takes long enough to be looked at.
            await expect(page.locator("[aria-current=step] span")).toHaveText("Downloading it");
            const time = page.locator("[aria-current=step] time");
            await expect(time).toHaveText(/s$/);
            const [words, clock] = await Promise.all([page.locator("[aria-current=step] span").boundingBox(), time.boundingBox()]);
            expect(clock?.x).toBeLessThan(words?.x ?? 0);
            expect(await width(page)).toBeLessThanOrEqual(320);
        });
    });
}

test("where the system chooses the colours, each step still shows where it stands", async ({ page, demo }) => {
    await page.emulateMedia({ forcedColors: "active" });
    await failed(page, demo);
    expect(await violations(page)).toEqual([]);
    const marker = (step: string) => page.locator(`.steps .${step}`).first().evaluate((item) => getComputedStyle(item, "::before").backgroundColor);
    expect(await marker("done")).not.toBe(await marker("waiting"));
    expect(await marker("failed")).not.toBe(await marker("waiting"));
});

test("nothing moves where motion is not wanted", async ({ page, demo }) => {
    const moving = () => page.evaluate(() => document.getAnimations().length);
    await page.emulateMedia({ reducedMotion: "no-preference" });
    await page.goto(demo.url("slow"));
    await expect(phase(page)).toHaveAttribute("data-phase", "waking");
    expect(await moving()).toBeGreaterThan(0);
    await page.emulateMedia({ reducedMotion: "reduce" });
    expect(await moving()).toBe(0);
});

test("the list of scenes keeps nobody out either", async ({ page, demo }) => {
    await page.goto(demo.url(""));
    expect(await violations(page)).toEqual([]);
});

test("by default nobody's name is on it", async ({ page, demo }) => {
    await failed(page, demo);
    await expect(page.locator(".brand, .contact")).toHaveCount(0);
});

test.describe("with a brand", () => {
    const logo = `${__dirname}/logo.svg`;
    test.use({ flags: ["--brand-name", "Data Platform", "--brand-logo", logo, "--brand-colour", "#8a1538", "--contact", "Ask the platform team"] });

    test("name, logo, colour and contact are the operator's", async ({ page, demo }) => {
        await page.emulateMedia({ colorScheme: "light" });
        await failed(page, demo);
        await expect(page.getByRole("banner")).toHaveText("Data Platform");
        expect(await page.locator(".brand img").evaluate((image: HTMLImageElement) => image.naturalWidth)).toBeGreaterThan(0);
        await expect(page.getByRole("button", { name: "Try again" })).toHaveCSS("background-color", "rgb(138, 21, 56)");
        await expect(page.getByRole("contentinfo")).toHaveText("Ask the platform team");
        await expect(page.getByRole("contentinfo").getByRole("link")).toHaveCount(0);
    });
});
