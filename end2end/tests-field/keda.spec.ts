/** An app that KEDA's real operator keeps at 0: its visitors meet unidler, wake it, and keep it. */
import { setTimeout as sleep } from "node:timers/promises";

import { grantAdoption, revokeAdoption } from "../cluster/adoption";
import { sleepOf } from "../cluster/asleep";
import { type KubeObject } from "../cluster/objects";
import { type FieldApp } from "../field/apps";
import { startKeda } from "../field/keda";
import { visit } from "../field/load";
import { fieldFacts } from "../field/setup";
import { expect, test as base } from "./fixtures";

const PAUSED = "autoscaling.keda.sh/paused-replicas";
const NEW_YEAR = { timezone: "Etc/UTC", start: "0 0 1 1 *", end: "1 0 1 1 *", desiredReplicas: "1" };

const test = base.extend<object, { keda: void }>({
    keda: [
        async ({ api }, use) => {
            await grantAdoption(api);
            const stop = await startKeda(api);
            await use();
            await stop();
            await revokeAdoption(api);
        },
        { scope: "worker", auto: true },
    ],
});

/** Has KEDA scale an app, by a trigger that is not active. */
function scaledObject({ namespace, name }: FieldApp, minReplicaCount: number, annotations: Record<string, string>): KubeObject {
    const spec = { scaleTargetRef: { name }, minReplicaCount, maxReplicaCount: 5, cooldownPeriod: 0, pollingInterval: 1, triggers: [{ type: "cron", metadata: NEW_YEAR }] };
    return { apiVersion: "keda.sh/v1alpha1", kind: "ScaledObject", metadata: { namespace, name, annotations }, spec } as KubeObject;
}

for (const [minReplicaCount, what, kept] of [
    [2, "is KEDA's to scale again", undefined],
    [0, "is kept there by KEDA", "1"],
] as const) {
    test(`an app of at least ${minReplicaCount} replicas that KEDA keeps at 0 wakes for a visitor, and ${what}`, async ({ page, api, startApp, unidler, watchWrites }) => {
        test.setTimeout(240_000);
        const app = await startApp();
        const { namespace, name } = app;
        const replicas = Math.max(minReplicaCount, 1);
        const annotations = async () => (await api.get("ScaledObject", namespace, name)).metadata.annotations;
        await api.patch("Namespace", "", namespace, { metadata: { annotations: { "unidler/adopt": "marked" } } });
        await api.apply(scaledObject(app, minReplicaCount, { [PAUSED]: "0" }));
        await expect.poll(() => sleepOf(api, app), { timeout: 60_000 }).toEqual({ replicas: 0, diverted: [fieldFacts().unidlerAddress] });
        // Traefik had no route while nothing was behind it.
        await expect.poll(async () => (await visit(app.host)).by).toBe("unidler");

        const asked = watchWrites();
        await page.goto(`http://${app.host}/reports?year=2026`);
        await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`, { timeout: 30_000 });
        // KEDA looks each second.
        await sleep(10_000);
        expect(await sleepOf(api, app)).toEqual({ replicas, diverted: [] });
        expect((await annotations())?.[PAUSED]).toBe(kept);
        expect(asked.writes()).toEqual(["patch deployments/scale", "patch scaledobjects", "patch endpointslices"]);
        expect(unidler.log).toContain("KEDA no longer keeps Deployment");

        const pause = (paused: string | null) => api.patch("ScaledObject", namespace, name, { metadata: { annotations: { [PAUSED]: paused } } });
        await pause("0");
        await expect.poll(() => sleepOf(api, app), { timeout: 60_000 }).toEqual({ replicas: 0, diverted: [fieldFacts().unidlerAddress] });
        // In the morning. What has no minimum is KEDA's to wake.
        await pause(null);
        await expect.poll(() => sleepOf(api, app), { timeout: 60_000 }).toEqual({ replicas: minReplicaCount, diverted: [] });
    });
}

test("an app that KEDA has scaled to 0 by itself is KEDA's to wake", async ({ api, startApp, unidler: _ }) => {
    test.setTimeout(120_000);
    const app = await startApp();
    await api.patch("Namespace", "", app.namespace, { metadata: { annotations: { "unidler/adopt": "zero" } } });
    await api.apply(scaledObject(app, 0, {}));
    await expect.poll(() => sleepOf(api, app), { timeout: 60_000 }).toEqual({ replicas: 0, diverted: undefined });
    // The server looks each 15 seconds.
    await sleep(40_000);
    expect(await sleepOf(api, app)).toEqual({ replicas: 0, diverted: undefined });
});
