/** A real nginx in front: one that loses patience before a slow app is up, and one with TLS and HTTP/2. */
import { type AddressInfo, connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

import { startNginx } from "../cluster/nginx";
import { ask } from "../cluster/visitor";
import { THREE_WRITES, expect, expectAwake, test } from "./fixtures";

/** The same proportions as an app that takes three minutes and the minute that nginx waits by default. */
const READ_TIMEOUT_SECONDS = 12;
test.use({ startSeconds: 36 });

test("behind an nginx that buffers and is impatient, one stream lasts as long as a slow app takes", async ({ page, api, app, ingress, asked }) => {
    const nginx = await startNginx(ingress.port, { readTimeoutSeconds: READ_TIMEOUT_SECONDS });
    try {
        const address = `http://${app.host}:${nginx.port}/reports?year=2026#table`;
        await page.goto(address);
        await expect(page.locator("main ol.steps li.under-way"), "events get through while the app starts").toHaveText(/Downloading it/);

        await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`, { timeout: 60_000 });
        expect(page.url()).toBe(address);
        await expectAwake(api, app);
        await expect.poll(asked.writes).toEqual(THREE_WRITES);
        const streams = ingress.visits.filter(({ path }) => path.endsWith("/_unidler/events"));
        expect(streams.map(({ status }) => status)).toEqual([200]);
        const polls = ingress.visits.filter(({ path }) => path.startsWith("/_unidler/status"));
        expect(polls, "nothing was held back, so the page need not ask").toEqual([]);
    } finally {
        await nginx.stop();
    }
});

test("behind an nginx that keeps its connections, no POST meets one that is just being closed", async ({ app, unidler }) => {
    // What gets to unidler passes here, to be counted.
    let connections = 0;
    const counter = createServer((downstream) => {
        connections++;
        const upstream = connect(unidler.port, "127.0.0.1");
        upstream.on("error", () => downstream.destroy());
        downstream.on("error", () => upstream.destroy());
        downstream.pipe(upstream).pipe(downstream);
    });
    await new Promise<void>((resolve) => counter.listen(0, "127.0.0.1", resolve));
    const nginx = await startNginx((counter.address() as AddressInfo).port, {});
    const post = async (delayMs: number) => {
        await sleep(delayMs);
        const { statusCode, headers } = await ask(nginx.port, app.host, { method: "POST", path: "/submit" });
        return `${statusCode} ${headers["x-unidler"] ? "of unidler" : "of nginx"}`;
    };
    try {
        // hyper closes idle connections after the ten seconds that a head may take, unless it is asked not to.
        const aroundTenSeconds = Array.from({ length: 24 }, (_, index) => 9_940 + 5 * index);
        const answers = await Promise.all(aroundTenSeconds.map(async (pauseMs) => [await post(0), await post(pauseMs), await post(pauseMs)]));

        expect(new Set(answers.flat())).toEqual(new Set(["503 of unidler"]));
        expect(connections, "none was closed in a pause").toBeLessThanOrEqual(24);
    } finally {
        await nginx.stop();
        counter.close();
    }
});

test.describe("an address with TLS", () => {
    test.use({ startSeconds: 2, ignoreHTTPSErrors: true });

    test("behind an nginx that speaks HTTP/2, a visitor ends on the app at the same address", async ({ page, api, app, ingress, asked }) => {
        const nginx = await startNginx(ingress.port, { isSecure: true });
        const protocol = () => page.evaluate(() => (performance.getEntriesByType("navigation")[0] as PerformanceNavigationTiming).nextHopProtocol);
        try {
            const address = `https://${app.host}:${nginx.port}/reports?year=2026#table`;
            await page.goto(address);
            await expect(page.locator("main")).toHaveAttribute("data-phase", "waking");
            expect(await protocol()).toBe("h2");

            await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`);
            await expect(page.locator("#path")).toHaveText("/reports?year=2026");
            expect(page.url()).toBe(address);
            await expectAwake(api, app);
            await expect.poll(asked.writes).toEqual(THREE_WRITES);
            const streams = ingress.visits.filter(({ path }) => path.endsWith("/_unidler/events"));
            expect(streams.map(({ status }) => status)).toEqual([200]);
        } finally {
            await nginx.stop();
        }
    });
});
