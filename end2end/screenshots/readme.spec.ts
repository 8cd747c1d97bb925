/** Takes the pictures. */
import { resolve } from "node:path";

import { expect, phase, test } from "../tests/fixtures";

const file = (name: string) => resolve(__dirname, "../../docs", `${name}.png`);

test("waking", async ({ page, demo }) => {
    await page.goto(demo.url("slow"));
    await expect(page.locator("[aria-current=step]")).toContainText("Fetching its files");
    await expect(page.locator("[aria-current=step] time")).toHaveText("2 s");
    await page.screenshot({ path: file("waking"), animations: "disabled" });
});

test("failed, in dark", async ({ page, demo }) => {
    await page.emulateMedia({ colorScheme: "dark" });
    await page.goto(demo.url("image-missing"));
    await expect(phase(page)).toHaveAttribute("data-phase", "failed");
    await page.screenshot({ path: file("failed-dark"), animations: "disabled" });
});
