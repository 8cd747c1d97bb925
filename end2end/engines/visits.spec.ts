/** A whole visit, a failure that heals, and a visit without scripts, in browsers of other makers. */
import { expect, test as base } from "@playwright/test";

import { Demo } from "../tests/fixtures";
import { type Engine, firefox, webkit } from "./engine";

const test = base.extend<{ demo: Demo }>({
    demo: async ({}, use) => {
        const demo = await Demo.start();
        await use(demo);
        demo.stop();
    },
});

for (const [name, start] of Object.entries({ firefox, webkit })) {
    test.describe(name, () => {
        let engine: Engine;
        test.afterEach(() => engine.stop());

        test("a visitor ends on the app at the address they typed", async ({ demo }) => {
            engine = await start(true);
            // A scene that is long enough to be met by looking from time to time.
            const address = demo.url("no-room", "/reports?year=2026#table");
            await engine.go(address);
            await expect.poll(() => engine.text("h1")).toBe("Waking up the app");
            await expect.poll(() => engine.text("[aria-current=step] span")).not.toBeNull();
            await expect.poll(() => engine.text("h1"), { timeout: 40_000 }).toContain("Hello from the app");
            expect(await engine.url()).toBe(address);
        });

        test("a failure is explained and heals", async ({ demo }) => {
            engine = await start(true);
            await engine.go(demo.url("mended"));
            await expect.poll(() => engine.text(".lead"), { timeout: 20_000 }).toBe("The app cannot be downloaded.");
            await expect.poll(() => engine.text("h1"), { timeout: 40_000 }).toContain("Hello from the app");
        });

        test("without scripts one button starts the app, and the page leads there", async ({ demo }) => {
            engine = await start(false);
            const address = demo.url("quick", "/reports?year=2026");
            await engine.go(address);
            await expect.poll(() => engine.text(".start button")).toBe("Wake up the app");
            await engine.click(".start button");
            await expect.poll(() => engine.text("h1"), { timeout: 40_000 }).toContain("Hello from the app");
            expect(await engine.url()).toBe(address);
        });
    });
}
