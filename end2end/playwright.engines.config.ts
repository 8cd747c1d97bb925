/** The product on the demo cluster in Firefox and WebKit: part of `make test`. */
import { defineConfig } from "@playwright/test";

import { honest } from "./browser";

export default defineConfig({
    testDir: "engines",
    outputDir: "../test-results/engines",
    workers: 2,
    timeout: 120_000,
    expect: { timeout: 15_000 },
    ...honest,
    reporter: "list",
});
