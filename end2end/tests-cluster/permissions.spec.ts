/** Permissions that unidler lacks, from its start or suddenly: its operators and its visitors learn of it. */
import { type FaultyProxy, type Passing, refusal } from "../cluster/faulty-proxy";
import { events, listen, status, type ServerEvent } from "../cluster/visitor";
import { THREE_WRITES, expect, expectAwake, faultyTest as test } from "./fixtures";

test.use({ startSeconds: 3 });

const MESSAGE = "We are not allowed to start this app.";

test.describe("without the right to see what it needs", () => {
    // A refusal is asked about once more before it is believed: meanwhile, a quicker app would be up.
    test.use({ startSeconds: 10 });

    for (const kinds of ["Ingresses", "Deployments", "Services", "EndpointSlices"]) {
        test(`without the right to see ${kinds} it is not ready, and a wake-up goes on when the right is back`, async ({ page, api, app, unidler, ingress, apiProxy, asked }) => {
            const path = `/${kinds.toLowerCase()}`;
            forbid(apiProxy, [path]);
            await unidler.kill();
            const ready = unidler.startAgain();
            await expect(async () => expect(await unidler.readiness()).toBe(`not ready: there is no permission to list ${kinds}`)).toPass({ timeout: 20_000 });
            await expect.poll(() => status(unidler.port, app.host)).toMatchObject({ phase: "failed", reason: "permission_missing" });
            apiProxy.fault = () => undefined;
            await ready;

            await page.goto(ingress.url(app.host));
            await expect.poll(asked.writes, { intervals: [20] }).toEqual(THREE_WRITES.slice(0, 1));
            forbid(apiProxy, [path]);
            apiProxy.endWatches(path);
            await expect(page.locator("main .lead")).toHaveText(MESSAGE, { timeout: 5000 });
            await expect(page.locator("main")).toHaveAttribute("data-phase", "failed");
            expect(asked.writes()).toEqual(THREE_WRITES.slice(0, 1));
            apiProxy.fault = () => undefined;

            await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`);
            await expectAwake(api, app);
            await expect.poll(asked.writes).toEqual(THREE_WRITES);
        });
    }
});

test("without the right to see StatefulSets an app without one wakes, and the log names the rule", async ({ api, app, unidler, apiProxy }) => {
    forbid(apiProxy, ["/statefulsets"]);
    await unidler.kill();
    await unidler.startAgain();
    expect((await events(unidler.port, app.host)).at(-1)?.event).toBe("success");
    await expectAwake(api, app);
    expect(unidler.log).toContain('{apiGroups: ["apps"], resources: ["statefulsets"], verbs: [list, watch]}');
    apiProxy.fault = () => undefined;
});

test("without any right to watch, lists do", async ({ page, api, app, unidler, ingress, apiProxy, asked }) => {
    forbid(apiProxy, [""], "watch");
    await unidler.kill();
    await unidler.startAgain();
    const told: ServerEvent[] = [];
    const listening = listen(ingress.port, app.host, (event) => told.push(event));
    await page.goto(ingress.url(app.host));

    await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`, { timeout: 60_000 });
    await expectAwake(api, app);
    await listening;
    expect(told.at(-1)?.event).toBe("success");
    expect(told.filter(({ progress }) => progress.reason)).toEqual([]);
    await expect.poll(asked.writes).toEqual(THREE_WRITES);
    // Twice, since an API server that has just started refuses what it allows a moment later.
    expect(apiProxy.of("watch", `/namespaces/${app.namespace}/endpointslices`).length, "what is forbidden is not asked for again and again").toBe(2);
});

test("without the right to see pods and endpoints, less is told of the way", async ({ api, app, ingress, apiProxy, asked }) => {
    forbid(apiProxy, ["/pods", "/endpointslices"]);
    const told = await events(ingress.port, app.host);
    expect(told.at(-1)?.event).toBe("success");
    const steps = new Set(told.map(({ progress }) => progress.step).filter(Boolean));
    expect([...steps]).toEqual(["finding", "restoring", "scheduling", "connecting"]);
    await expectAwake(api, app);
    await expect.poll(asked.writes).toEqual(THREE_WRITES);
});

/** Has the API server refuse to show what is at these paths, in lists and watches or only in watches. */
function forbid(proxy: FaultyProxy, paths: string[], only?: Passing["kind"]): void {
    const answer = refusal(403, "Forbidden", 'User "system:serviceaccount:unidler:unidler" cannot do this at the cluster scope');
    const isForbidden = ({ kind, path }: Passing) => kind !== "write" && (!only || kind === only) && paths.some((end) => path.endsWith(end));
    proxy.fault = (passing) => (isForbidden(passing) ? answer : undefined);
}
