/** When it does not work: said in words, with a way on, and healed by itself. */
import { Demo, app, expect, phase, record, test } from "./fixtures";

for (const [scene, words, heading = "The app cannot start"] of [
    ["image-missing", "The app cannot be downloaded."],
    ["crash-loop", "The app keeps stopping right after it starts."],
    ["quota", "The app is not allowed to start: a limit has been reached."],
    ["switched-off", "This app has been turned off."],
    ["not-found", "There is no app at this address.", "We cannot find this app"],
    ["ambiguous", "More than one app is set up for this address."],
] as [string, string, string?][]) {
    test(`${scene}: the visitor is told what happened and what to do`, async ({ page, demo }) => {
        await page.goto(demo.url(scene));
        await expect(phase(page)).toHaveAttribute("data-phase", "failed");
        await expect(page.getByRole("heading", { name: heading })).toBeVisible();
        await expect(page.locator(".lead")).toHaveText(words);
        await expect(page.locator(".advice")).not.toBeEmpty();
        await expect(page.getByRole("button", { name: "Try again" })).toBeVisible();
        await expect(page.locator(".reference")).toContainText(/[0-9a-z]{4}-[0-9a-z]{4}/);
    });
}

test("a failure heals by itself when the cluster does", async ({ page, demo }) => {
    const headings = await record(page, "h1");
    await page.goto(demo.url("mended", "/a?b#c"));
    await expect(app(page)).toBeVisible({ timeout: 30_000 });
    expect(headings.filter((heading) => /app cannot|Waking/.test(heading)).slice(-2)).toEqual(["The app cannot start", "Waking up the app"]);
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

for (const [scene, words] of [
    ["many-starting", "Many apps are starting at the moment."],
    ["no-room", "There is no server with enough room to run the app right now."],
    ["no-network", "The server is still connecting the app's storage or network."],
    ["webhook-down", "The platform cannot start the app at the moment."],
    ["second-pull", "The app cannot be downloaded."],
    ["database-first", "The app keeps stopping right after it starts."],
] as const) {
    test(`${scene}: what may pass by itself is said while the wake-up goes on, and is no failure`, async ({ page, demo }) => {
        const [headings, leads] = await Promise.all([record(page, "h1"), record(page, ".lead")]);
        await page.goto(demo.url(scene));
        await expect(app(page)).toBeVisible({ timeout: 40_000 });
        expect(leads).toContain(words);
        expect(headings).not.toContain("The app cannot start");
    });
}

test("a lost connection is said, and resumed by another unidler at the same address", async ({ page, demo }) => {
    await page.goto(demo.url("slow"));
    await expect(phase(page)).toHaveAttribute("data-phase", "waking");
    demo.stop();
    await expect(page.locator(".connection")).toHaveText("Connection lost. Reconnecting…");
    const another = await Demo.start(demo.port);
    await expect(page.locator(".connection")).toBeEmpty();
    await expect(phase(page)).toHaveAttribute("data-phase", "waking");
    another.stop();
});
