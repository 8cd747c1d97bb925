/** The product against a real Kubernetes API server: `make test-cluster`. */
import { defineConfig } from "@playwright/test";

import { browser, honest } from "./browser";

export default defineConfig({
    testDir: "tests-cluster",
    outputDir: "../test-results/cluster",
    globalSetup: "./cluster/setup.ts",
    // Each worker has a control plane of its own, and runs one test at a time: tests count the requests that reach it.
    workers: 2,
    timeout: 90_000,
    expect: { timeout: 30_000 },
    ...honest,
    reporter: "list",
    use: browser,
});
