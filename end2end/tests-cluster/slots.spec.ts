/** Apps that cannot start and have visitors, beside one that can: how many may start at a time is no concern of its visitor. */
import { setTimeout as sleep } from "node:timers/promises";

import { type Api } from "../cluster/api";
import { type App, createIdledApp, deleteApp } from "../cluster/app";
import { TROUBLES } from "../cluster/trouble";
import { events, listen, startWaking, status } from "../cluster/visitor";
import { expect, expectAwake, stateOf, test } from "./fixtures";

test.use({ startSeconds: 3 });

const KINDS = ["an image that cannot be pulled", "a crash loop", "no node that the pods may run on", "a readiness probe that does not pass"];
/** What a busy machine may add. */
const MARGIN_MS = 2000;

test("ten dead apps with visitors do not hold a healthy one up, and without visitors nothing is told of them", async ({ api, app, keyLabel, startSeconds, startUnidler }) => {
    test.setTimeout(240_000);
    const other = await createIdledApp(api, { keyLabel, startSeconds });
    const dead: App[] = [];
    try {
        for (let index = 0; index < 10; index++) dead.push(await createDeadApp(api, keyLabel, KINDS[index % KINDS.length] ?? ""));
        const unidler = await startUnidler({ UNIDLER_MAX_WAKES: "3" });
        const port = unidler.adminPort;
        const timeAlone = await timeToSuccess(unidler.port, other);

        // The sweep has looked at them, for there is one at the start.
        expect(await outcomes(port)).toEqual([`unidler_outcomes_total{outcome="ready"} 1`]);
        for (const { namespace } of dead) expect(await api.list("Event", namespace).then((all) => all.filter(({ reason }) => reason?.startsWith("Unidle")))).toEqual([]);

        let stop: (word: "stopped") => void = () => undefined;
        const stopped = new Promise<"stopped">((resolve) => (stop = resolve));
        const visitors = dead.map((app) => stay(unidler.port, app, stopped));
        for (const { host } of dead) await expect.poll(async () => (await status(unidler.port, host)).reason, { timeout: 60_000 }).toBeDefined();
        const time = await timeToSuccess(unidler.port, app);
        stop("stopped");
        await Promise.all(visitors);
        await expectAwake(api, app);
        expect(time, `milliseconds; alone ${timeAlone}`).toBeLessThan(timeAlone + MARGIN_MS);
        for (const app of dead) expect((await stateOf(api, app)).type, "nobody is led to what is not there").toBe("ExternalName");
    } finally {
        for (const app of [...dead, other]) await deleteApp(api, app);
    }
});

test("an app that waits for its turn says so, and starts when another one is done", async ({ api, app, keyLabel, startUnidler }) => {
    const slow = await createIdledApp(api, { keyLabel, startSeconds: 6 });
    try {
        const unidler = await startUnidler({ UNIDLER_MAX_WAKES: "1" });
        await expect.poll(async () => (await status(unidler.port, slow.host)).phase).toBe("asleep");
        await startWaking(unidler.port, slow.host);
        await expect.poll(async () => (await stateOf(api, slow)).replicas).toBe(2);
        const told = await events(unidler.port, app.host);
        expect(told.map(({ progress }) => progress.reason)).toContain("many_starting");
        expect(told.at(-1)?.event).toBe("success");
        await expectAwake(api, slow);
    } finally {
        await deleteApp(api, slow);
    }
});

/** Half awake: it has its replicas, and none of them comes up. */
async function createDeadApp(api: Api, keyLabel: string, kind: string): Promise<App> {
    const app = await createIdledApp(api, { keyLabel, startSeconds: 1 });
    const trouble = TROUBLES.find(({ name }) => name === kind);
    if (!trouble) throw new Error(`no such trouble: ${kind}`);
    await trouble.make(api, app);
    await api.patch("Deployment", app.namespace, app.name, { spec: { replicas: 1 } });
    return app;
}

/** A visitor who comes again whenever the stream ends, as a page does. */
async function stay(port: number, { host }: App, stopped: Promise<"stopped">): Promise<void> {
    let left: unknown;
    while (left !== "stopped") left = await Promise.race([listen(port, host, () => undefined).then(() => sleep(500)), stopped]);
}

async function timeToSuccess(port: number, { host }: App): Promise<number> {
    const began = Date.now();
    expect((await events(port, host)).at(-1)?.event).toBe("success");
    return Date.now() - began;
}

async function outcomes(port: number): Promise<string[]> {
    const numbers = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    return numbers.split("\n").filter((line) => line.startsWith("unidler_outcomes_total"));
}
