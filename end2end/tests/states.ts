/** What the page can look like, and how to get there on the demo. */
import { connect } from "node:net";

import type { Page } from "@playwright/test";

import { Demo, expect, phase } from "./fixtures";

export const THEMES = ["moon", "plain"] as const;

const at = (scene: string, state: string) => async (page: Page, demo: Demo) => {
    await page.goto(demo.url(scene));
    await expect(phase(page)).toHaveAttribute("data-phase", state);
};

/**
 * As {@link at}, for as long as anybody looks: without an answer to whether the app responds, the page does not go there.
 * A page without its module learns nothing then.
 */
const waking = (scene: string) => async (page: Page, demo: Demo) => {
    await page.route("**/_unidler/status?*", () => {});
    await at(scene, "waking")(page, demo);
};

const submit = async (page: Page, url: string) => {
    await page.setContent(`<form method="post" action="${url}"><input name="a"><button>Send</button></form>`);
    await page.getByRole("button").click();
    await expect(page.locator(".notice")).toBeVisible();
};

export const STATES: Record<string, (page: Page, demo: Demo) => Promise<void>> = {
    asleep: async (page, demo) => {
        // With the start on its way for ever the app goes on sleeping.
        await page.route("**/_unidler/wake", () => {});
        await page.goto(demo.url("slow"), { waitUntil: "commit" });
        await expect(phase(page)).toHaveAttribute("data-phase", "asleep");
    },
    "turned away": async (page, demo) => {
        await page.route("**/_unidler/wake", (route) => route.fulfill({ status: 403, headers: { "x-unidler": "1" }, body: "{}" }));
        await at("slow", "asleep")(page, demo);
        await expect(page.locator(".connection")).not.toBeEmpty();
    },
    "turned away with a form": async (page, demo) => {
        // From another site.
        await page.setContent(`<form method="post" action="${demo.url("slow", "/_unidler/wake")}"><button>Wake</button></form>`);
        await page.getByRole("button").click();
        await expect(page.locator(".notice")).toHaveText(/turned away/);
    },
    "without a place": async (page, { flags }) => {
        const full = await Demo.start(0, [...flags, "--max-connections", "1"]);
        const only = connect(full.port, "127.0.0.1");
        page.on("close", () => {
            only.destroy();
            full.stop();
        });
        await page.goto(full.url("slow"));
        await expect(page.locator(".notice")).toBeVisible();
        // It comes again after some seconds. Without a document, the browser stays where it is.
        await page.route(full.url("slow"), (route) => route.fulfill({ status: 204 }));
    },
    crowded: async (page, demo) => {
        await page.route("**/_unidler/wake", (route) => route.fulfill({ status: 429, headers: { "x-unidler": "1" }, body: "{}" }));
        await at("slow", "asleep")(page, demo);
        await expect(page.locator(".connection")).toHaveText(/Too many people/);
    },
    waking: waking("slow"),
    "after a form": async (page, demo) => {
        await submit(page, demo.url("slow", "/contact"));
        await expect(phase(page)).toHaveAttribute("data-phase", "waking");
    },
    "form can be sent again": async (page, demo) => {
        await submit(page, demo.url("quick", "/contact"));
        await expect(page.getByRole("button", { name: "Send it again" })).toBeVisible();
    },
    "with a name": waking("titled"),
    "with parts": async (page, demo) => {
        await waking("three-parts")(page, demo);
        await expect(page.locator(".parts")).toHaveText(/^[12] of 3 parts are running\.$/);
    },
    late: async (page, demo) => {
        await waking("late")(page, demo);
        await expect(page.locator(".estimate")).toHaveText(/longer than usual/);
    },
    troubled: async (page, demo) => {
        await at("held-back", "waking")(page, demo);
        await expect(page.locator(".lead")).toHaveText("The app is being held back on purpose.");
    },
    "in line": async (page, demo) => {
        await waking("many-starting")(page, demo);
        await expect(page.locator(".lead")).toHaveText("Many apps are starting at the moment.");
    },
    opening: at("ingress-stuck", "ready"),
    "opening for long": async (page, demo) => {
        await at("ingress-stuck", "ready")(page, demo);
        await expect(page.locator(".lead")).toHaveText(/its address still brings you here/, { timeout: 90_000 });
        await expect(page.getByRole("link", { name: "Open the app" })).toBeVisible();
    },
    "opening in vain": async (page, demo) => {
        await page.route("**/_unidler/status?*", (route) => route.fulfill({ body: "from a cache" }));
        await at("ingress-stuck", "ready")(page, demo);
        await expect(page.getByRole("link", { name: "Open the app" })).toBeVisible({ timeout: 80_000 });
        await expect(page.locator(".connection")).toBeEmpty();
    },
    "answered by a download": async (page, demo) => {
        let visits = 0;
        // Without a document, the browser stays where it is.
        await page.route(demo.url("quick"), (route) => ((visits += 1) === 1 ? route.continue() : route.fulfill({ status: 204 })));
        await page.goto(demo.url("quick"));
        await expect(page.locator(".lead")).toHaveText(/The app should be open by now/, { timeout: 60_000 });
    },
    failed: at("image-missing", "failed"),
    "failed without the module": async (page, demo) => {
        await page.route("**/*.wasm", (route) => route.abort());
        await at("image-missing", "failed")(page, demo);
    },
    crashing: async (page, demo) => {
        await at("crash-loop", "failed")(page, demo);
        await expect(page.locator(".restarts")).toHaveText("It has restarted 2 times so far.");
    },
    "not found": at("not-found", "failed"),
    "closed to visitors": at("closed", "failed"),
    disconnected: async (page, demo) => {
        await at("slow", "waking")(page, demo);
        demo.stop();
        await expect(page.locator(".connection")).not.toBeEmpty();
    },
    "out of reach": async (page, demo) => {
        await at("slow", "waking")(page, demo);
        demo.stop();
        await expect(page.getByRole("link", { name: "Check again" })).toBeVisible({ timeout: 40_000 });
    },
};
