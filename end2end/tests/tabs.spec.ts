/** A visitor who does not stay in front of the page: asleep tabs, lost networks, notifications. */
import { type Page } from "@playwright/test";

import { Demo, app, expect, phase, test } from "./fixtures";

test("a tab that was asleep shows the truth when it wakes", async ({ page, demo, request }) => {
    await page.goto(demo.url("no-volume", "/deep"));
    await expect(phase(page)).toHaveAttribute("data-phase", "waking");
    const browser = await page.context().newCDPSession(page);
    await browser.send("Page.setWebLifecycleState", { state: "frozen" });
    const answer = () => request.get(`http://127.0.0.1:${demo.port}/`, { headers: { host: "no-volume.localhost" } });
    await expect(async () => expect((await answer()).headers()["x-unidler"]).toBeUndefined()).toPass();
    await browser.send("Page.setWebLifecycleState", { state: "active" });
    await expect(app(page)).toBeVisible();
});

test("a network that is back is used", async ({ page, demo, context }) => {
    await page.goto(demo.url("slow"));
    await expect(phase(page)).toHaveAttribute("data-phase", "waking");
    // Chromium leaves a stream that is open alone when it is taken offline; without a server it ends.
    await context.setOffline(true);
    demo.stop();
    await expect(page.locator(".connection")).toHaveText("Connection lost. Reconnecting…");
    const another = await Demo.start(demo.port);
    await context.setOffline(false);
    await expect(page.locator(".connection")).toBeEmpty();
    await expect(phase(page)).toHaveAttribute("data-phase", "waking");
    another.stop();
});

test.describe("a notification", () => {
    /** Records what is asked of the visitor and what is shown to them, for good: the page does not outlast the wake-up. */
    async function recordNotifications(page: Page): Promise<{ permission: number; shown: string[] }> {
        const asked = { permission: 0, shown: [] as string[] };
        await page.exposeFunction("recordAsked", () => void (asked.permission += 1));
        await page.exposeFunction("recordShown", (title: string) => void asked.shown.push(title));
        await page.addInitScript(() => {
            const { recordAsked, recordShown } = window as unknown as { recordAsked: () => void; recordShown: (title: string) => void };
            const Real = window.Notification;
            window.Notification = class extends Real {
                constructor(title: string) {
                    super(title);
                    recordShown(title);
                }
                static override requestPermission() {
                    recordAsked();
                    return Real.requestPermission();
                }
            };
        });
        return asked;
    }

    for (const [scene, text] of [
        ["no-volume", "The app is ready – no-volume.localhost"],
        ["titled", "\u2068Prison Population Forecasts and Scenario Planning\u2069 is ready – titled.localhost"],
    ] as const) {
        test(`is sent to whoever asked for it: ${text}`, async ({ page, demo, context }) => {
            await context.grantPermissions(["notifications"]);
            const asked = await recordNotifications(page);
            await page.goto(demo.url(scene));
            await page.getByRole("button", { name: "Notify me when it is ready" }).click();
            await expect(page.getByRole("button", { name: "We will notify you" })).toBeDisabled();
            await expect(app(page)).toBeVisible({ timeout: 30_000 });
            expect(asked).toEqual({ permission: 1, shown: [text] });
        });
    }

    test("is not asked for before a click, nor sent without one", async ({ page, demo, context }) => {
        await context.grantPermissions(["notifications"]);
        const asked = await recordNotifications(page);
        await page.goto(demo.url("quick"));
        await expect(app(page)).toBeVisible();
        expect(asked).toEqual({ permission: 0, shown: [] });
    });

    test("is not offered where it was refused", async ({ page, demo }) => {
        await page.addInitScript(() => Object.defineProperty(Notification, "permission", { get: () => "denied" }));
        await page.goto(demo.url("slow"));
        await expect(phase(page)).toHaveAttribute("data-phase", "waking");
        await expect(page.getByRole("button", { name: "Notify me when it is ready" })).toBeHidden();
    });
});
