/** Apps that do not start: the visitor is told why, in words and without any name, and lands as soon as it is mended. */
import { type App, IMAGE } from "../cluster/app";
import { NODE } from "../cluster/control-plane";
import { type StandInIngress } from "../cluster/ingress";
import { phasesOf } from "../cluster/phases";
import { CONFIG_MAP, STUMBLES, TROUBLES, reported } from "../cluster/trouble";
import { type ServerEvent, answer, listen } from "../cluster/visitor";
import { expect, expectAwake, test } from "./fixtures";

test.use({ startSeconds: 1 });

for (const { name, reason, event, restarts, message, make, fix, isReported } of TROUBLES) {
    test(`${name} is told within five seconds, and mended it is no more in the way`, async ({ page, api, app, ingress }) => {
        const done = new AbortController();
        await make(api, app);
        const report = await reported(api, app, isReported, done.signal);
        const told: ServerEvent[] = [];
        const listening = listen(ingress.port, app.host, (event) => told.push(event));
        const toldOf = () => told.find((one) => one.event === event && one.progress.reason === reason);

        await page.goto(ingress.url(app.host, "/reports#table"));
        const main = page.locator("main");
        await expect(main.locator(".lead")).toHaveText(message);
        const shownAt = Date.now();
        await expect.poll(toldOf).toMatchObject({ event, progress: { phase: event === "failure" ? "failed" : "waking" } });
        await expect(main).toHaveAttribute("data-phase", event === "failure" ? "failed" : "waking");
        const since = (at = NaN) => at - (report.at ?? NaN);
        expect(since(toldOf()?.at), "milliseconds from the report to the event").toBeLessThanOrEqual(5000);
        expect(since(shownAt), "milliseconds from the report to the page").toBeLessThanOrEqual(5000);
        if (restarts) {
            expect(toldOf()?.progress.restarts).toBe(restarts);
            await expect(main.locator(".restarts")).toContainText(String(restarts));
        }

        // Whoever comes now is told as well: by a page from the server, in JSON, and in an answer that is no page.
        for (const question of [{ path: "/", headers: { accept: "text/html" } }, { path: "/_unidler/status" }, { path: "/image.png" }]) {
            expect((await answer(ingress.port, app.host, question)).body).toContain(reason);
        }

        await fix(api, app);
        await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`);
        expect(page.url()).toBe(ingress.url(app.host, "/reports#table"));
        await expectAwake(api, app);
        await listening;
        expect(told.at(-1)?.event).toBe(event === "failure" ? "failure" : "success");
        expectNoNames(ingress, app);
        done.abort();
    });
}

for (const { name, reason, make } of STUMBLES) {
    test(`${name} is shown while the visitor waits, and is no failure`, async ({ page, api, app, ingress }) => {
        await make(api, app);
        const phases = await phasesOf(page);
        const told: ServerEvent[] = [];
        const listening = listen(ingress.port, app.host, (event) => told.push(event));
        await page.goto(ingress.url(app.host));

        await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`);
        await expectAwake(api, app);
        await listening;
        const reasons = told.map(({ event, progress }) => ({ event, reason: progress.reason }));
        expect(reasons).toContainEqual({ event: "progress", reason });
        expect(told.map(({ event }) => event)).not.toContain("failure");
        expect(phases).not.toContain("failed");
    });
}

/**
 * Whatever unidler has told its visitors, nothing of it names what is inside the cluster. Ingress, Deployment,
 * Service, volume claim and quota have the name of the app, and those of its pods begin with it.
 */
function expectNoNames(ingress: StandInIngress, app: App): void {
    const names = [app.namespace, app.name, NODE, IMAGE, CONFIG_MAP];
    const telling = ingress.visits.filter(({ told }) => names.some((name) => told.includes(name)));
    expect(telling).toEqual([]);
    expect(ingress.visits.some(({ told }) => told.includes(app.host)), "the answers were looked at").toBe(true);
}
