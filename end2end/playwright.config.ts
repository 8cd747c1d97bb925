/** The product on the demo cluster: part of `make test`. */
import { defineConfig } from "@playwright/test";

import { browser } from "./browser";

export default defineConfig({
    testDir: "tests",
    outputDir: "../test-results/demo",
    // Most of a test is waiting for an app to wake, each on a demo of its own.
    fullyParallel: true,
    workers: 4,
    timeout: 120_000,
    expect: { timeout: 15_000 },
    forbidOnly: !!process.env.CI,
    // On a busy machine, another try tells bad luck from a fault; the report names whatever needed it as flaky.
    retries: process.env.CI ? 1 : 0,
    reporter: "list",
    use: browser,
});
