/** Objects of an app that are deleted and created anew while it wakes: what is written never meets the wrong one. */
import { type Api } from "../cluster/api";
import { type App } from "../cluster/app";
import { refusal } from "../cluster/faulty-proxy";
import { THREE_WRITES, expect, expectAwake, faultyTest, stateOf, test } from "./fixtures";

test.use({ startSeconds: 2 });
faultyTest.use({ startSeconds: 2 });

const GONE = [
    { kind: "Ingress", reason: "no_route", message: "There is no app at this address.", writes: THREE_WRITES },
    // The new one is idled, so it gets its replicas as the old one did.
    { kind: "Deployment", reason: "no_workload", message: "The app at this address no longer exists.", writes: ["patch deployments", ...THREE_WRITES] },
    { kind: "Service", reason: "no_service", message: "The app cannot be connected to this address.", writes: THREE_WRITES },
] as const;

for (const { kind, reason, message, writes } of GONE) {
    test(`${kind}: that it is gone is told, and that it is back is noticed`, async ({ page, api, app, ingress, asked }) => {
        const object = await api.get(kind, app.namespace, app.name);
        await page.goto(ingress.url(app.host, "/reports#table"));
        await expect.poll(asked.writes, { intervals: [10] }).toEqual(THREE_WRITES.slice(0, 1));
        await api.delete(kind, app.namespace, app.name);
        await expect(page.locator("main .lead")).toHaveText(message, { timeout: 5000 });
        await expect(page.locator("main")).toHaveAttribute("data-phase", "failed");
        expect(ingress.visits.some(({ told }) => told.includes(`"reason":"${reason}"`))).toBe(true);

        await api.createAnew(object);
        await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`);
        expect(page.url()).toBe(ingress.url(app.host, "/reports#table"));
        await expectAwake(api, app);
        await expect.poll(asked.writes).toEqual(writes);
    });
}

faultyTest("a Deployment that is another one than the one that was seen is not written to", async ({ page, api, app, ingress, apiProxy, asked }) => {
    const seen = await identityOf(api, "Deployment", app);
    apiProxy.fault = ({ kind }) => (kind === "write" ? undefined : refusal(503, "ServiceUnavailable", "not now"));
    apiProxy.endWatches();
    await api.createAnew(await api.get("Deployment", app.namespace, app.name));
    const anew = await identityOf(api, "Deployment", app);
    expect(anew, "nothing but its uid tells it from the other one").toEqual({ ...seen, uid: anew.uid });
    expect(anew.uid).not.toBe(seen.uid);

    await page.goto(ingress.url(app.host));
    await expect.poll(() => asked.others().filter(({ verb, code }) => verb === "patch" && code === 422).length).toBeGreaterThanOrEqual(2);
    expect(asked.writes()).toEqual([]);
    expect(await stateOf(api, app)).toMatchObject({ replicas: 0, type: "ExternalName" });
    apiProxy.fault = () => undefined;

    await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`);
    await expectAwake(api, app);
    await expect.poll(asked.writes).toEqual(THREE_WRITES);
});

faultyTest("a Service that is another one than the one that was seen is not written to", async ({ page, api, app, ingress, apiProxy, asked }) => {
    apiProxy.fault = ({ kind, path }) => (kind !== "write" && path.endsWith("/services") ? refusal(503, "ServiceUnavailable", "not now") : undefined);
    apiProxy.endWatches("/services");
    const seen = await identityOf(api, "Service", app);
    await api.createAnew(await api.get("Service", app.namespace, app.name));
    expect((await identityOf(api, "Service", app)).uid).not.toBe(seen.uid);

    await page.goto(ingress.url(app.host));
    await expect.poll(() => asked.others().filter(({ verb, code }) => verb === "patch" && code === 409).length).toBeGreaterThanOrEqual(2);
    expect(asked.writes()).toEqual(THREE_WRITES.slice(0, 1));
    expect(await stateOf(api, app)).toMatchObject({ type: "ExternalName" });
    apiProxy.fault = () => undefined;

    await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`);
    await expectAwake(api, app);
    await expect.poll(asked.writes).toEqual(THREE_WRITES);
});

/** What a write could be conditional on and must not meet by chance. */
async function identityOf(api: Api, kind: "Deployment" | "Service", { namespace, name }: App): Promise<{ uid?: string; generation?: number; annotations?: object }> {
    const { uid, generation, annotations } = (await api.get(kind, namespace, name)).metadata;
    return { uid, generation, annotations };
}
