/** The product on the demo cluster: part of `make test`. */
import { defineConfig } from "@playwright/test";

import { browser, honest } from "./browser";

export default defineConfig({
    testDir: "tests",
    outputDir: "../test-results/demo",
    // Most of a test is waiting for an app to wake, each on a demo of its own.
    fullyParallel: true,
    // As many as there are cores on a small machine: nothing is tried twice, so nothing should have to wait for a core.
    workers: 2,
    timeout: 120_000,
    expect: { timeout: 30_000 },
    ...honest,
    reporter: "list",
    use: browser,
});
