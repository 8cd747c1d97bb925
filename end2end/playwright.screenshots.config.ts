/** The pictures of the page: `make screenshots`. */
import { defineConfig } from "@playwright/test";

import { browser } from "./browser";

export default defineConfig({
    testDir: "screenshots",
    outputDir: "../test-results/screenshots",
    timeout: 120_000,
    expect: { timeout: 15_000 },
    reporter: "list",
    use: { ...browser, viewport: { width: 560, height: 800 }, deviceScaleFactor: 1.5 },
});
