/** A Rollout under the real controller of Argo Rollouts, put to sleep by `unidler idle` and woken by a visitor: nobody sees an error. */
import { run } from "../cluster/program";
import { sleepOf } from "../cluster/asleep";
import { Load, failures, span, table } from "../field/load";
import { startRollouts } from "../field/rollouts";
import { expect, test as base } from "./fixtures";

const test = base.extend<object, { rollouts: void }>({
    rollouts: [
        async ({ api }, use) => {
            const stop = await startRollouts(api);
            await use();
            await stop();
        },
        { scope: "worker", auto: true },
    ],
});

for (const strategy of ["canary", "blueGreen", "workloadRef"] as const) {
    test(`a Rollout (${strategy}) falls asleep and wakes without an error, in two writes each way`, async ({ page, api, unidler: _, startApp, operator, watchWrites, watchOperator }) => {
        const app = await startApp({ workload: "Rollout", strategy });
        const { namespace, name } = app;
        await expect.poll(async () => (await api.get("Rollout", namespace, name)).status).toMatchObject({ phase: "Healthy", readyReplicas: 2 });
        // It is taken over by then, and has to stay so.
        const replicasOfDeployment = async () => strategy === "workloadRef" ? (await api.get("Deployment", namespace, name)).spec.replicas : 0;
        await expect.poll(replicasOfDeployment).toBe(0);
        const load = Load.start(app.host);
        await load.settles("app", 1);
        load.answers.splice(0);

        const byOperator = watchOperator();
        const idled = Date.now();
        expect(await run(operator, "idle", app.host)).toMatchObject({
            code: 0,
            stdout: `Idled ${app.host}: scaled Rollout ${namespace}/${name} from 2 to 0 replicas. The next visit restores them.\n`,
        });
        await load.settles("unidler");
        const idling = load.answers.splice(0);
        const status = JSON.parse((await run(operator, "status", "-o", "json")).stdout);
        expect(status).toMatchObject([{ hosts: [app.host], workloads: [{ kind: "Rollout", name, replicas: 2 }] }]);

        const asked = watchWrites();
        const visited = Date.now();
        await page.goto(`http://${app.host}/reports?year=2026`);
        await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`);
        await load.settles("app");
        const waking = await load.stop();
        console.log(`waking (0 s: the visit): unidler ${span(waking, "unidler", visited)}, the app ${span(waking, "app", visited)}`);

        expect(failures(idling), table(idling, idled)).toEqual([]);
        expect(failures(waking), table(waking, visited)).toEqual([]);
        expect(byOperator.writes()).toEqual(["create endpointslices", "patch rollouts/scale"]);
        expect(asked.writes()).toEqual(["patch rollouts/scale", "patch endpointslices"]);
        expect(await sleepOf(api, app)).toEqual({ replicas: 2, diverted: [] });
        await expect.poll(async () => (await api.get("Rollout", namespace, name)).status).toMatchObject({ phase: "Healthy", readyReplicas: 2 });
        expect(await replicasOfDeployment()).toBe(0);
    });
}
