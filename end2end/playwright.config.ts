/** The product on the demo cluster: part of `make test`. */
import { defineConfig } from "@playwright/test";

import { browser, honest } from "./browser";

export default defineConfig({
    testDir: "tests",
    outputDir: "../test-results/demo",
    // Most of a test is waiting for an app to wake, each on a demo of its own.
    fullyParallel: true,
    workers: 4,
    timeout: 120_000,
    expect: { timeout: 15_000 },
    ...honest,
    reporter: "list",
    use: browser,
});
