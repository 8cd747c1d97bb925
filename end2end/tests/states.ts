/** What the page can look like, and how to get there on the demo. */
import type { Page } from "@playwright/test";

import { type Demo, expect, phase } from "./fixtures";

export const THEMES = ["moon", "plain"] as const;

const at = (scene: string, state: string) => async (page: Page, demo: Demo) => {
    await page.goto(demo.url(scene));
    await expect(phase(page)).toHaveAttribute("data-phase", state);
};

export const STATES: Record<string, (page: Page, demo: Demo) => Promise<void>> = {
    asleep: async (page, demo) => {
        // With the module on its way for ever the page stays as the server rendered it.
        await page.route("**/*.js", () => {});
        await page.goto(demo.url("slow"), { waitUntil: "commit" });
        await expect(phase(page)).toHaveAttribute("data-phase", "asleep");
    },
    waking: at("slow", "waking"),
    late: async (page, demo) => {
        await at("late", "waking")(page, demo);
        await expect(page.locator(".estimate")).toHaveText(/longer than usual/);
    },
    troubled: async (page, demo) => {
        await at("held-back", "waking")(page, demo);
        await expect(page.locator(".lead")).toHaveText("The app is being held back on purpose.");
    },
    opening: at("ingress-stuck", "ready"),
    failed: at("image-missing", "failed"),
    crashing: async (page, demo) => {
        await at("crash-loop", "failed")(page, demo);
        await expect(page.locator(".restarts")).toHaveText("It has restarted 2 times so far.");
    },
    "not found": at("not-found", "failed"),
    disconnected: async (page, demo) => {
        await at("slow", "waking")(page, demo);
        demo.stop();
        await expect(page.locator(".connection")).not.toBeEmpty();
    },
};
