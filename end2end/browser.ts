/** How the browser is started and the tests are run, here and on a real control plane. */
import type { PlaywrightTestConfig } from "@playwright/test";

/** What is different where nobody watches. */
export const inCi: PlaywrightTestConfig = {
    forbidOnly: !!process.env.CI,
    // On a busy machine, another try tells bad luck from a fault; the report names whatever needed it as flaky.
    retries: process.env.CI ? 1 : 0,
};

export const browser: PlaywrightTestConfig["use"] = {
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
};
