/**
 * An API server that fails: the visitor is told what is true, the API server is not pestered, and the wake-up ends well
 * once the fault is over.
 */
import { type Api } from "../cluster/api";
import { type App } from "../cluster/app";
import { type Answer, type FaultyProxy, type Passing, refusal } from "../cluster/faulty-proxy";
import { type StandInIngress } from "../cluster/ingress";
import { phasesOf } from "../cluster/phases";
import { restartApiServer } from "../cluster/setup";
import { type ServerEvent, events, listen, status } from "../cluster/visitor";
import { THREE_WRITES, expect, expectAwake, faultyTest as test } from "./fixtures";

test.use({ startSeconds: 3 });

const UNREACHABLE = { reason: "api_unreachable", message: "The platform that runs the app is not responding." };
const FORBIDDEN = { reason: "permission_missing", message: "We are not allowed to start this app." };

const REFUSED_WRITES: { name: string; answer: Answer; told?: { reason: string; message: string }; apartMs?: number }[] = [
    {
        // This is what an API server with too much to do says, and it is no Status.
        name: "429, and to come again in three seconds,",
        answer: { status: 429, headers: { "retry-after": "3", "content-type": "text/plain" }, body: "Too many requests, please try again later.\n" },
        told: UNREACHABLE,
        apartMs: 3000,
    },
    { name: "500", answer: refusal(500, "InternalError", "Internal error occurred: etcdserver: request timed out"), told: UNREACHABLE },
    { name: "503", answer: { status: 503, headers: { "content-type": "text/plain" }, body: "no healthy upstream" }, told: UNREACHABLE },
    { name: "403", answer: refusal(403, "Forbidden", 'deployments.apps "tool" is forbidden: not today'), told: FORBIDDEN },
    { name: "409", answer: refusal(409, "Conflict", "the object has been modified; please apply your changes to the latest version") },
];

for (const { name, answer, told, apartMs = 1000 } of REFUSED_WRITES) {
    test(`writes that are answered ${name} are tried again, slowly`, async ({ page, api, app, ingress, apiProxy, asked }) => {
        apiProxy.fault = ({ kind }) => (kind === "write" ? answer : undefined);
        await page.goto(ingress.url(app.host));
        if (told) {
            await expect(page.locator("main .lead")).toHaveText(told.message, { timeout: 5000 });
            await expect.poll(() => status(ingress.port, app.host)).toMatchObject({ reason: told.reason });
        }
        const attempts = () => apiProxy.of("write");
        await expect.poll(() => attempts().length, "it is tried again").toBeGreaterThanOrEqual(3);
        await expect(page.locator("main")).toHaveAttribute("data-phase", told === FORBIDDEN ? "failed" : "waking");
        expect(asked.writes()).toEqual([]);
        // An answer that somebody else was quicker is worth another look at once.
        expectApart(attempts().slice(told ? 0 : 1), apartMs);
        apiProxy.fault = () => undefined;

        await expectSuccessInTruth(api, app, ingress.port);
        await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`);
        await expectAwake(api, app);
        await expect.poll(asked.writes).toEqual(THREE_WRITES);
        expect(reasonsTold(ingress)).toEqual(told ? [told.reason] : []);
    });
}

const BROKEN_WATCHES: { name: string; fault?: Answer; breakThem: (proxy: FaultyProxy) => void }[] = [
    { name: "end", breakThem: (proxy) => proxy.endWatches() },
    { name: "break", breakThem: (proxy) => proxy.resetWatches() },
    { name: "are refused with 410", fault: refusal(410, "Expired", "too old resource version"), breakThem: (proxy) => proxy.endWatches() },
    {
        name: "end in an event that says 410",
        fault: event("ERROR", JSON.parse(refusal(410, "Expired", "too old resource version").body)),
        breakThem: (proxy) => proxy.endWatches(),
    },
];

for (const { name, fault, breakThem } of BROKEN_WATCHES) {
    test(`watches that ${name} are begun again, and are no success`, async ({ page, api, app, ingress, apiProxy, asked }) => {
        const success = expectSuccessInTruth(api, app, ingress.port);
        await page.goto(ingress.url(app.host));
        await expect.poll(asked.writes, { intervals: [20] }).toEqual(THREE_WRITES.slice(0, 1));
        const before = apiProxy.passings.length;
        const isWatched = () => apiProxy.watched.some((path) => path.endsWith("/deployments"));
        const begun = () => apiProxy.of("watch", "/deployments").length;
        for (let times = 1; times <= 2; times++) {
            await expect.poll(isWatched, { intervals: [20] }).toBe(true);
            const begunBefore = begun();
            if (fault) apiProxy.fault = ({ kind }) => (kind === "watch" ? fault : undefined);
            breakThem(apiProxy);
            await expect.poll(begun, { intervals: [20] }).toBeGreaterThanOrEqual(begunBefore + (fault ? 3 : 1));
            apiProxy.fault = () => undefined;
        }

        await success;
        await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`);
        await expectAwake(api, app);
        await expect.poll(asked.writes).toEqual(THREE_WRITES);
        expectSlow(apiProxy.passings.slice(before));
        expectOnlyUnreachable(ingress);
    });
}

for (const moment of ["before the first write", "while the app starts"]) {
    test(`an API server that refuses connections ${moment} is waited for`, async ({ page, api, app, unidler, ingress, apiProxy, asked }) => {
        const told: ServerEvent[] = [];
        if (moment === "before the first write") await apiProxy.refuse();
        const listening = listen(ingress.port, app.host, (event) => told.push(event));
        await page.goto(ingress.url(app.host));
        if (moment === "while the app starts") {
            await expect.poll(asked.writes, { intervals: [20] }).toEqual(THREE_WRITES.slice(0, 1));
            await apiProxy.refuse();
        }
        await expect(page.locator("main .lead")).toHaveText(UNREACHABLE.message, { timeout: 5000 });
        if (moment === "while the app starts") {
            const available = async () => (await api.get("Deployment", app.namespace, app.name)).status?.availableReplicas ?? 0;
            await expect.poll(available, "the app comes up unseen").toBeGreaterThan(0);
        }
        expect(told.at(-1)).toMatchObject({ event: "progress", progress: { reason: UNREACHABLE.reason } });
        await apiProxy.accept();

        await listening;
        expect(told.at(-1)?.event).toBe("success");
        await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`);
        await expectAwake(api, app);
        await expect.poll(asked.writes).toEqual(THREE_WRITES);
        expect(unidler.log).not.toContain("panicked");
    });
}

test("an API server that falls silent is told of, and connections that stay silent are given up", async ({ page, api, app, ingress, apiProxy, asked }) => {
    test.setTimeout(120_000);
    apiProxy.silence();
    apiProxy.fault = () => "silence";
    const began = Date.now();
    const told: ServerEvent[] = [];
    const listening = listen(ingress.port, app.host, (event) => told.push(event));
    await page.goto(ingress.url(app.host));
    await expect(page.locator("main .lead")).toHaveText(UNREACHABLE.message);
    const toldAt = told.find(({ progress }) => progress.reason === UNREACHABLE.reason)?.at ?? NaN;
    expect(toldAt - began, "milliseconds until the visitor is told").toBeLessThanOrEqual(5000);
    apiProxy.fault = () => undefined;

    await expectSuccessInTruth(api, app, ingress.port);
    await listening;
    await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`);
    await expectAwake(api, app);
    await expect.poll(asked.writes).toEqual(THREE_WRITES);
    expect(reasonsTold(ingress)).toEqual([UNREACHABLE.reason]);
});

test("watches that fall silent while the app starts are given up", async ({ page, api, app, ingress, apiProxy, asked }) => {
    test.setTimeout(120_000);
    const success = expectSuccessInTruth(api, app, ingress.port);
    await page.goto(ingress.url(app.host));
    await expect.poll(asked.writes, { intervals: [20] }).toEqual(THREE_WRITES.slice(0, 1));
    await expect.poll(() => apiProxy.watched.length, "four shared ones, pods and endpoints").toBe(6);
    apiProxy.silence();

    await success;
    await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`);
    await expectAwake(api, app);
    await expect.poll(asked.writes).toEqual(THREE_WRITES);
    expectOnlyUnreachable(ingress);
});

test("watches that bring nothing but bookmarks for a while are not believed for ever", async ({ page, api, app, ingress, apiProxy, asked }) => {
    const available = async () => (await api.get("Deployment", app.namespace, app.name)).status?.availableReplicas;
    apiProxy.bringsOnlyBookmarks = true;
    await page.goto(ingress.url(app.host));
    await expect.poll(available, "the app comes up unseen").toBe(2);
    // Whoever goes on from the last bookmark is never told what was before it.
    const begun = () => apiProxy.of("watch", "/deployments").length;
    const begunBefore = begun();
    apiProxy.endWatches();
    await expect.poll(begun).toBeGreaterThan(begunBefore);
    apiProxy.bringsOnlyBookmarks = false;

    await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`, { timeout: 60_000 });
    await expectAwake(api, app);
    await expect.poll(asked.writes).toEqual(THREE_WRITES);
    expect(reasonsTold(ingress)).toEqual([]);
});

test.describe("a whole API server", () => {
    test.use({ startSeconds: 8 });

    test("that ends and is started again while the app starts costs the visitor nothing but time", async ({ page, api, app, ingress, asked }) => {
        const phases = await phasesOf(page);
        await page.goto(ingress.url(app.host, "/reports#table"));
        await expect.poll(asked.writes, { intervals: [20] }).toEqual(THREE_WRITES.slice(0, 1));
        await restartApiServer(api);

        await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`, { timeout: 60_000 });
        expect(page.url()).toBe(ingress.url(app.host, "/reports#table"));
        await expectAwake(api, app);
        await expect.poll(asked.writes).toEqual(THREE_WRITES);
        expect(phases).toContain("waking");
        expect(phases).not.toContain("failed");
        expectOnlyUnreachable(ingress);
    });
});

/** A visitor who comes again after a failure is told of a success in the end, and the app is up at that moment. */
async function expectSuccessInTruth(api: Api, app: App, port: number): Promise<void> {
    await expect(async () => expect((await events(port, app.host)).at(-1)?.event).toBe("success")).toPass({ timeout: 60_000 });
    const { status } = await api.get("Deployment", app.namespace, app.name);
    expect(status?.availableReplicas, "available when the success was told").toBeGreaterThan(0);
}

/** Every reason that anybody was told. */
function reasonsTold({ visits }: StandInIngress): string[] {
    return [...new Set(visits.flatMap(({ told }) => [...told.matchAll(/"reason":"(\w+)"/g)].map(([, reason = ""]) => reason)))];
}

function expectOnlyUnreachable(ingress: StandInIngress): void {
    expect(reasonsTold(ingress).filter((reason) => reason !== UNREACHABLE.reason)).toEqual([]);
}

/** Each attempt comes so many milliseconds after the one before. */
function expectApart(attempts: Passing[], ms: number): void {
    const gaps = attempts.slice(1).map(({ at }, index) => at - (attempts[index]?.at ?? NaN));
    expect(Math.min(...gaps), `the least of gaps of ${gaps} ms`).toBeGreaterThan(ms * 0.9);
}

/** Nothing is requested more than twice in any second, within the accuracy of timestamps on a busy machine. */
function expectSlow(passings: Passing[]): void {
    for (const { at, path, kind } of passings) {
        const same = passings.filter((other) => other.path === path && other.kind === kind && other.at >= at && other.at < at + 900);
        expect(same.length, `${kind} ${path} in a second`).toBeLessThanOrEqual(2);
    }
}

function event(type: string, object: object): Answer {
    return { status: 200, headers: { "content-type": "application/json" }, body: `${JSON.stringify({ type, object })}\n` };
}
