/** A server that is killed while it puts an app to sleep: the app ends awake or asleep, and its visitors see no error. */
import { sleepOf } from "../cluster/asleep";
import { clusterFacts } from "../cluster/setup";
import { Unidler } from "../cluster/unidler";
import { HOURS_OVER, optIn } from "../field/idled";
import { Load, failures, table } from "../field/load";
import { fieldFacts, serveAt } from "../field/setup";
import { expect, test } from "./fixtures";

const SETTINGS = { UNIDLER_IDLE_AFTER: "5s", UNIDLER_IDLE_CHECK: "1s", UNIDLER_IDLE_BRAKE: "100%" };

for (const { writes, ends } of [
    { writes: ["create endpointslices"], ends: "awake" },
    { writes: ["create endpointslices", "patch deployments/scale"], ends: "asleep" },
]) {
    test(`killed after the write ${writes.at(-1)}, it leaves the app ${ends}`, async ({ api, startApp, unidler, watchWrites }, testInfo) => {
        test.setTimeout(180_000);
        const app = await startApp();
        await api.patch(app.route, app.namespace, app.name, { metadata: { annotations: HOURS_OVER } });
        // The other one meets the visitors.
        await serveAt(api, unidler.port);
        const killed = await Unidler.start({ KUBECONFIG: clusterFacts().kubeconfig, UNIDLER_SHUTDOWN_DELAY: "0", ...SETTINGS }, testInfo.outputPath("killed.log"));
        const load = Load.start(app.host);
        await load.settles("app", 1);
        const asked = watchWrites();
        await optIn(api, app);
        await expect.poll(asked.writes, { intervals: [20], timeout: 60_000 }).toEqual(writes);
        await killed.kill();

        const asleep = { replicas: 0, diverted: [fieldFacts().unidlerAddress.split(":")[0]] };
        await expect.poll(() => sleepOf(api, app), { timeout: 60_000 }).toEqual(ends === "asleep" ? asleep : { replicas: 2, diverted: [] });
        await load.settles(ends === "asleep" ? "unidler" : "app");
        const answers = await load.stop();
        expect(failures(answers), table(answers, 0)).toEqual([]);
        expect(asked.writes()).toEqual(ends === "asleep" ? writes : [...writes, "patch endpointslices"]);
    });
}
