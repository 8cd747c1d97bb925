/** The product on the data path of a cluster: `make test-field`. */
import { defineConfig } from "@playwright/test";

import { browser, honest } from "./browser";

export default defineConfig({
    testDir: "tests-field",
    outputDir: "../test-results/field",
    globalSetup: "./field/setup.ts",
    // One cluster, one test at a time: tests count what visitors get while others ask at a steady rate.
    workers: 1,
    timeout: 120_000,
    expect: { timeout: 30_000 },
    ...honest,
    reporter: "list",
    use: browser,
});
