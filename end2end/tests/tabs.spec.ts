/** A visitor who does not stay in front of the page: asleep tabs, lost networks, notifications. */
import { Demo, app, expect, phase, test } from "./fixtures";

test("a tab that was asleep shows the truth when it wakes", async ({ page, demo, request }) => {
    await page.goto(demo.url("quick", "/deep"));
    await expect(phase(page)).toHaveAttribute("data-phase", "waking");
    const browser = await page.context().newCDPSession(page);
    await browser.send("Page.setWebLifecycleState", { state: "frozen" });
    const answer = () => request.get(`http://127.0.0.1:${demo.port}/`, { headers: { host: "quick.localhost" } });
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
    await expect(page.locator(".connection")).toHaveText("The connection was lost. Reconnecting…");
    const another = await Demo.start(demo.port);
    await context.setOffline(false);
    await expect(page.locator(".connection")).toBeEmpty();
    await expect(phase(page)).toHaveAttribute("data-phase", "waking");
    another.stop();
});

test.describe("a notification", () => {
    const record = () => {
        const asked = { permission: 0, shown: [] as string[] };
        Object.assign(window, { asked });
        const Real = window.Notification;
        class Recorded extends Real {
            constructor(title: string) {
                super(title);
                asked.shown.push(title);
            }
            static override requestPermission() {
                asked.permission += 1;
                return Real.requestPermission();
            }
        }
        window.Notification = Recorded;
    };
    const asked = () => (window as unknown as { asked: { permission: number; shown: string[] } }).asked;

    test("is sent to whoever asked for it", async ({ page, demo, context }) => {
        await context.grantPermissions(["notifications"]);
        await page.addInitScript(record);
        await page.goto(demo.url("ingress-lags"));
        await page.getByRole("button", { name: "Tell me when it is up" }).click();
        await expect(page.getByRole("button", { name: "You will be told" })).toBeDisabled();
        await expect(phase(page)).toHaveAttribute("data-phase", "ready");
        expect(await page.evaluate(asked)).toEqual({ permission: 1, shown: ["The app is up – ingress-lags.localhost"] });
    });

    test("is not asked for before a click, nor sent without one", async ({ page, demo, context }) => {
        await context.grantPermissions(["notifications"]);
        await page.addInitScript(record);
        await page.goto(demo.url("ingress-lags"));
        await expect(phase(page)).toHaveAttribute("data-phase", "ready");
        expect(await page.evaluate(asked)).toEqual({ permission: 0, shown: [] });
    });

    test("is not offered where it was refused", async ({ page, demo }) => {
        await page.addInitScript(() => Object.defineProperty(Notification, "permission", { get: () => "denied" }));
        await page.goto(demo.url("slow"));
        await expect(phase(page)).toHaveAttribute("data-phase", "waking");
        await expect(page.getByRole("button", { name: "Tell me when it is up" })).toBeHidden();
    });
});
