/** How the browser is started and the tests are run, here and on a real control plane. */
import type { PlaywrightTestConfig } from "@playwright/test";

/** The same everywhere. A test that fails once in ten runs has found a race: no second try may hide it. */
export const honest: PlaywrightTestConfig = { forbidOnly: !!process.env.CI, retries: 0 };

export const browser: PlaywrightTestConfig["use"] = {
    locale: "en-GB",
    trace: "retain-on-failure",
    // What moves keeps a core busy where there is no graphics card. A test that is about it says so.
    contextOptions: { reducedMotion: "reduce" },
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
