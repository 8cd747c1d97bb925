/** The product against a real Kubernetes API server: `make test-cluster`. */
import { defineConfig } from "@playwright/test";

export default defineConfig({
    testDir: "tests-cluster",
    outputDir: "../test-results/cluster",
    globalSetup: "./cluster/setup.ts",
    // One control plane, one test at a time: tests count the requests that reach it.
    workers: 1,
    timeout: 90_000,
    expect: { timeout: 30_000 },
    forbidOnly: !!process.env.CI,
    reporter: "list",
    use: {
        locale: "en-GB",
        trace: "retain-on-failure",
        launchOptions: {
            // Playwright's own browser, unless this says where another one is.
            ...(process.env.CHROMIUM && { executablePath: process.env.CHROMIUM }),
            args: [
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        },
    },
});
