/** How the browser is started, here and on a real control plane. */
import type { PlaywrightTestConfig } from "@playwright/test";

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
