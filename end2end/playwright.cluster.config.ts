/** The product against a real Kubernetes API server: `make test-cluster`. */
import { defineConfig } from "@playwright/test";

import { browser } from "./browser";

export default defineConfig({
    testDir: "tests-cluster",
    outputDir: "../test-results/cluster",
    globalSetup: "./cluster/setup.ts",
    // One control plane, one test at a time: tests count the requests that reach it.
    workers: 1,
    timeout: 90_000,
    expect: { timeout: 30_000 },
    forbidOnly: !!process.env.CI,
    // On a busy machine, another try tells bad luck from a fault; the report names whatever needed it as flaky.
    retries: process.env.CI ? 1 : 0,
    reporter: "list",
    use: browser,
});
