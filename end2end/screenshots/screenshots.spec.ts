/** Takes the pictures: those of README and docs/start.md, and each state in each theme, light and dark, in target/screenshots. */
import { resolve } from "node:path";
import type { Page } from "@playwright/test";

import { expect, phase, test } from "../tests/fixtures";
import { STATES, THEMES } from "../tests/states";

const file = (folder: string, name: string) => resolve(__dirname, "../..", folder, `${name}.png`);

test("waking", async ({ page, demo }) => {
    await page.goto(demo.url("slow"));
    await expect(page.locator("[aria-current=step]")).toContainText("Downloading it");
    await expect(page.locator("[aria-current=step] time")).toHaveText("2 s");
    await page.screenshot({ path: file("docs", "waking"), animations: "disabled" });
});

test("failed, in dark", async ({ page, demo }) => {
    await page.emulateMedia({ colorScheme: "dark" });
    await page.goto(demo.url("image-missing"));
    await expect(phase(page)).toHaveAttribute("data-phase", "failed");
    await page.screenshot({ path: file("docs", "failed-dark"), animations: "disabled" });
});

test("the list of scenes, and the app of one", async ({ page, demo }) => {
    await page.goto(demo.url(""));
    await page.screenshot({ path: file("docs", "start-list") });
    await page.screenshot({ path: file("target/screenshots", "scenes"), fullPage: true });
    await page.goto(`${demo.url("slow")}reports?year=2026`);
    await expect(page.getByRole("heading", { level: 1 })).toHaveText("Hello from the app “slow”", { timeout: 60_000 });
    await page.setViewportSize({ width: 560, height: 330 });
    await page.screenshot({ path: file("docs", "start-app") });
});

/** A state, light and dark, in an ordinary window and in one of 320 pixels. */
async function take(page: Page, name: string): Promise<void> {
    for (const width of [560, 320]) {
        await page.setViewportSize({ width, height: 640 });
        for (const colorScheme of ["light", "dark"] as const) {
            await page.emulateMedia({ colorScheme });
            await page.screenshot({ path: file("target/screenshots", `${name.replaceAll(" ", "-")}-${width}-${colorScheme}`), animations: "disabled", fullPage: true });
        }
    }
}

for (const theme of THEMES) {
    test.describe(theme, () => {
        test.use({ flags: ["--theme", theme, "--brand-name", "Data Platform", "--contact", "Ask the platform team", "--contact-url", "https://help.example"] });
        for (const [state, reach] of Object.entries(STATES)) {
            test(state, async ({ page, demo }) => {
                await reach(page, demo);
                await take(page, `${theme}-${state}`);
            });
        }

        test.describe("in Welsh", () => {
            test.use({ locale: "cy-GB" });
            for (const scene of ["slow", "image-missing"]) {
                test(scene, async ({ page, demo }) => {
                    await page.goto(demo.url(scene));
                    await expect(phase(page)).toHaveAttribute("data-phase", scene === "slow" ? "waking" : "failed");
                    await take(page, `${theme}-welsh-${scene}`);
                });
            }
        });

        test.describe("without scripts", () => {
            test.use({ javaScriptEnabled: false });
            test("asleep, waking and failed", async ({ page, demo }) => {
                await page.goto(demo.url("image-missing"));
                await take(page, `${theme}-without-scripts-asleep`);
                await page.getByRole("button", { name: "Wake up the app" }).click();
                await expect(page.getByRole("heading", { name: "The app cannot start" })).toBeVisible();
                await take(page, `${theme}-without-scripts-failed`);
                await page.goto(demo.url("ingress-stuck"));
                await page.getByRole("button", { name: "Wake up the app" }).click();
                await expect(page.getByRole("heading", { name: "Almost there" })).toBeVisible();
                await take(page, `${theme}-without-scripts-opening`);
            });
        });

        test.describe("under somebody else's Content-Security-Policy", () => {
            test.use({ provoked: /Content Security Policy|WebAssembly/ });
            test("failed", async ({ page, standIn }) => {
                const ingress = await standIn();
                ingress.headers = { "content-security-policy": "default-src 'self'" };
                await page.goto(ingress.url("image-missing"));
                await expect(page.getByRole("heading", { name: "The app cannot start" })).toBeVisible();
                await take(page, `${theme}-foreign-policy-failed`);
            });
        });
    });
}
