/** Unidlers that end in the middle of a wake-up: whoever comes next finishes it, and no visitor sees a failure. */
import { type FaultyProxy } from "../cluster/faulty-proxy";
import { phasesOf } from "../cluster/phases";
import { clusterFacts } from "../cluster/setup";
import { startWaking } from "../cluster/visitor";
import { THREE_WRITES, expect, expectAwake, faultyTest, test } from "./fixtures";

test.use({ startSeconds: 3 });
faultyTest.use({ startSeconds: 3 });

for (const [index, write] of ["gave the app its replicas", "switched the Service", "took the idle marks off"].entries()) {
    const done = THREE_WRITES.slice(0, index + 1);

    faultyTest(`killed right after it ${write}, an unidler finishes when it is started again`, async ({ api, app, unidler, apiProxy, asked }) => {
        loseAnswerOfWrite(apiProxy, index);
        await startWaking(unidler.port, app.host);
        await expect.poll(asked.writes, { intervals: [10] }).toEqual(done);
        await unidler.kill();
        apiProxy.fault = () => undefined;
        await unidler.startAgain();

        await expectAwake(api, app, { timeout: 60_000 });
        await expect.poll(asked.writes).toEqual(THREE_WRITES);
    });

    faultyTest(`killed right after it ${write}, an unidler leaves the visitor to another one`, async ({ page, api, app, unidler, startUnidler, ingress, apiProxy, asked }) => {
        const other = await startUnidler({ KUBECONFIG: clusterFacts().kubeconfig });
        const phases = await phasesOf(page);
        loseAnswerOfWrite(apiProxy, index);
        await page.goto(ingress.url(app.host));
        await expect.poll(asked.writes, { intervals: [10] }).toEqual(done);
        await unidler.kill();
        ingress.unidlers = [other.port];

        await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`, { timeout: 15_000 });
        // With the Service switched, no visitor needs the other one any more: it looks several times a minute for marks that are left.
        await expectAwake(api, app, { timeout: index === 1 ? 40_000 : 10_000 });
        expect(phases).toContain("waking");
        expect(phases).not.toContain("failed");
        await expect.poll(asked.writes).toEqual(THREE_WRITES);
    });
}

test.describe("while an app takes its time", () => {
    test.use({ startSeconds: 12 });

    test("unidlers are replaced one after the other, and the visitor sees no failure", async ({ page, api, app, startUnidler, ingress, asked }) => {
        const [first, second] = [await startUnidler({ UNIDLER_SHUTDOWN_DELAY: "2" }), await startUnidler({ UNIDLER_SHUTDOWN_DELAY: "2" })];
        ingress.unidlers = [first.port];
        const phases = await phasesOf(page);
        await page.goto(ingress.url(app.host));
        await expect.poll(asked.writes).toEqual(THREE_WRITES.slice(0, 1));

        const streams = () => ingress.visits.filter(({ path }) => path.endsWith("/_unidler/events")).map(({ status }) => status);
        await expect.poll(streams, "the page listens").toEqual([200]);

        const began = Date.now();
        const stopped = first.stop();
        await expect.poll(() => first.isReady()).toBe(false);
        ingress.unidlers = [second.port];
        await stopped;
        expect(Date.now() - began, "milliseconds to the end").toBeLessThan(10_000);
        await expect.poll(streams, "the page comes again").toEqual([200, 200]);

        await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`);
        await expectAwake(api, app);
        expect(phases).toContain("waking");
        expect(phases).not.toContain("failed");
        await expect.poll(asked.writes).toEqual(THREE_WRITES);
    });
});

/** So that it is killed between this write and the next one, and neither before nor after. */
function loseAnswerOfWrite(proxy: FaultyProxy, index: number): void {
    let writes = 0;
    proxy.fault = ({ kind }) => (kind === "write" && writes++ === index ? "loss" : undefined);
}
