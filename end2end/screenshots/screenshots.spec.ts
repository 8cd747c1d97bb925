/** Takes the pictures: the two of the README, and each state in each theme, light and dark, in target/screenshots. */
import { resolve } from "node:path";

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

test("the list of scenes", async ({ page, demo }) => {
    await page.goto(demo.url(""));
    await page.screenshot({ path: file("target/screenshots", "scenes"), fullPage: true });
});

for (const theme of THEMES) {
    test.describe(theme, () => {
        test.use({ flags: ["--theme", theme, "--brand-name", "Data Platform", "--contact", "Ask the platform team", "--contact-url", "https://help.example"] });
        for (const [state, reach] of Object.entries(STATES)) {
            test(state, async ({ page, demo }) => {
                await reach(page, demo);
                for (const colorScheme of ["light", "dark"] as const) {
                    await page.emulateMedia({ colorScheme });
                    const name = `${theme}-${state.replaceAll(" ", "-")}-${colorScheme}`;
                    await page.screenshot({ path: file("target/screenshots", name), animations: "disabled", fullPage: true });
                }
                await page.setViewportSize({ width: 320, height: 640 });
                await page.screenshot({ path: file("target/screenshots", `${theme}-${state.replaceAll(" ", "-")}-narrow`), animations: "disabled", fullPage: true });
            });
        }
    });
}
