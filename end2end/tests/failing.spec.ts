/** When it does not work: said in words, with a way on, and healed by itself. */
import { Demo, app, expect, phase, test } from "./fixtures";

for (const [scene, words] of [
    ["image-missing", "The app's files cannot be fetched."],
    ["crash-loop", "The app starts, but stops again straight away."],
    ["quota", "The app is not allowed to start: a limit has been reached."],
    ["switched-off", "This app was switched off, and not just put to sleep."],
    ["not-found", "No app has this address."],
    ["ambiguous", "More than one app claims this address."],
] as const) {
    test(`${scene}: the visitor is told what happened and what to do`, async ({ page, demo }) => {
        await page.goto(demo.url(scene));
        await expect(phase(page)).toHaveAttribute("data-phase", "failed");
        await expect(page.getByRole("heading", { name: "The app cannot start" })).toBeVisible();
        await expect(page.locator(".lead")).toHaveText(words);
        await expect(page.locator(".advice")).not.toBeEmpty();
        await expect(page.getByRole("button", { name: "Try again" })).toBeVisible();
        await expect(page.locator(".reference")).toContainText(/[0-9a-z]{4}-[0-9a-z]{4}/);
    });
}

test("a failure heals by itself when the cluster does", async ({ page, demo }) => {
    await page.goto(demo.url("mended", "/a?b#c"));
    await expect(phase(page)).toHaveAttribute("data-phase", "failed");
    await expect(app(page)).toBeVisible({ timeout: 30_000 });
    expect(page.url()).toBe(demo.url("mended", "/a?b#c"));
});

test("to try again begins anew and keeps the address", async ({ page, demo }) => {
    await page.goto(demo.url("image-missing", "/a?b#c"));
    await expect(phase(page)).toHaveAttribute("data-phase", "failed");
    const reference = page.locator(".reference dd").first();
    const before = await reference.textContent();
    await page.getByRole("button", { name: "Try again" }).click();
    await expect(reference).not.toHaveText(before ?? "");
    expect(page.url()).toBe(demo.url("image-missing", "/a?b#c"));
});

test("what may pass by itself is told while the wake-up goes on", async ({ page, demo }) => {
    await page.goto(demo.url("no-room"));
    await expect(page.locator(".lead")).toHaveText("There is no free place to run it at the moment.");
    await expect(phase(page)).toHaveAttribute("data-phase", "waking");
    await expect(app(page)).toBeVisible({ timeout: 40_000 });
});

test("a lost connection is said, and resumed by another unidler at the same address", async ({ page, demo }) => {
    await page.goto(demo.url("slow"));
    await expect(phase(page)).toHaveAttribute("data-phase", "waking");
    demo.stop();
    await expect(page.locator(".connection")).toHaveText("The connection was lost. Reconnecting…");
    const another = await Demo.start(demo.port);
    await expect(page.locator(".connection")).toBeEmpty();
    await expect(phase(page)).toHaveAttribute("data-phase", "waking");
    another.stop();
});
