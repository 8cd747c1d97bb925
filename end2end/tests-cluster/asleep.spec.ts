/** Apps that sleep by an EndpointSlice of unidler's own: whatever happens in between, they end awake or asleep, with the fewest writes. */
import { createSleepingApp, sleepOf, sliceOf } from "../cluster/asleep";
import { AuditLog, isNote, isWrite } from "../cluster/audit";
import { type FaultyProxy } from "../cluster/faulty-proxy";
import { type EndpointSlice, type Service } from "../cluster/objects";
import { LATER, OURS, ownService as serviceAt } from "../cluster/own-service";
import { clusterFacts } from "../cluster/setup";
import { events, startWaking, status } from "../cluster/visitor";
import { type FieldApp, type Workload, deleteApp } from "../field/apps";
import { UNIDLER_USER, expect, faultyTest, ownService } from "./fixtures";

interface Fixtures {
    workload: Workload;
    sleeping: FieldApp;
    /** What unidler has written since the app is asleep. */
    written: () => string[];
}

const test = faultyTest.extend<Fixtures, { ownService: void }>({
    workload: ["Deployment", { option: true }],

    ownService,

    sleeping: async ({ api, operate, unidler, workload }, use) => {
        await expect.poll(() => unidler.log).toMatch(/INFO ready$/m);
        const app = await createSleepingApp(api, operate, { workload, startSeconds: 2 });
        await expect.poll(async () => (await status(unidler.port, app.host)).phase).toBe("asleep");
        await use(app);
        await deleteApp(api, app);
    },

    written: async ({ sleeping: _ }, use) => {
        const log = new AuditLog(clusterFacts().auditLog);
        const mark = log.mark();
        await use(() => {
            const writes = log.since(mark, UNIDLER_USER).filter((request) => isWrite(request) && !isNote(request));
            return writes.map(({ verb, resource }) => `${verb} ${resource}`);
        });
    },
});

const AWAKE = { replicas: 2, diverted: [] };
const ASLEEP = { replicas: 0, diverted: [OURS] };

for (const workload of ["Deployment", "StatefulSet"] as const) {
    test.describe(`a ${workload}`, () => {
        test.use({ workload });
        const writes = [`patch ${workload.toLowerCase()}s/scale`, "patch endpointslices"];

        for (const [index, write] of ["gave it its replicas", "led its visitors back"].entries()) {
            test(`is woken when unidler is killed right after it ${write}`, async ({ api, sleeping, unidler, apiProxy, written }) => {
                loseAnswerOfWrite(apiProxy, index);
                await startWaking(unidler.port, sleeping.host);
                await expect.poll(written, { intervals: [10] }).toEqual(writes.slice(0, index + 1));
                await unidler.kill();
                apiProxy.fault = () => undefined;
                await unidler.startAgain();
                await expect.poll(() => sleepOf(api, sleeping), { timeout: 60_000 }).toEqual(AWAKE);
                expect(written()).toEqual(writes);
            });
        }

        test("is woken by three unidlers at once, in two writes", async ({ api, sleeping, unidler, startUnidler, written }) => {
            const others = [await startUnidler(), await startUnidler()];
            const told = await Promise.all([unidler, ...others].map(({ port }) => events(port, sleeping.host)));
            expect(told.map((each) => each.at(-1)?.event)).toEqual(["success", "success", "success"]);
            await expect.poll(() => sleepOf(api, sleeping)).toEqual(AWAKE);
            expect(written()).toEqual(writes);
        });

        test("is asleep again when somebody has deleted the slice", async ({ api, sleeping, written }) => {
            await api.delete("EndpointSlice", sleeping.namespace, `${sleeping.name}-unidler`);
            await expect.poll(() => sleepOf(api, sleeping), { timeout: 60_000 }).toEqual(ASLEEP);
            expect(written()).toEqual(["create endpointslices"]);
        });
    });
}

test("what somebody else has started gets its visitors back", async ({ api, sleeping, written }) => {
    await api.patch("Deployment", sleeping.namespace, sleeping.name, { spec: { replicas: 2 } });
    await expect.poll(() => sleepOf(api, sleeping), { timeout: 60_000 }).toEqual(AWAKE);
    expect(written()).toEqual(["patch endpointslices"]);
});

test("what somebody has half put to sleep stays awake", async ({ api, operate, sleeping, unidler, written }) => {
    await events(unidler.port, sleeping.host);
    const asleep = await sliceOf(api, sleeping);
    await expect.poll(() => sleepOf(api, sleeping)).toEqual(AWAKE);
    // The first of the two writes of an idling.
    const { generation } = (await api.get("Deployment", sleeping.namespace, sleeping.name)).metadata as { generation?: number };
    const workload = { apiVersion: "apps/v1", kind: "Deployment", name: sleeping.name, uid: "", replicas: 2, generation };
    const record = { v: 1, workloads: [workload], phase: "idling", since: new Date().toISOString(), by: "cli" };
    const endpoints = [{ addresses: [OURS], conditions: { ready: true, serving: true, terminating: false } }];
    const change = { metadata: { annotations: { "unidler/record": JSON.stringify(record) } }, endpoints };
    await api.patch("EndpointSlice", sleeping.namespace, asleep?.metadata.name ?? "", change);
    const before = written().length;
    await expect.poll(() => sleepOf(api, sleeping), { timeout: 60_000 }).toEqual(AWAKE);
    expect(written().slice(before)).toEqual(["patch endpointslices"]);
    expect((await operate("idle", sleeping.host)).code, "and can be put to sleep").toBe(0);
});

test("the slice follows unidler's own Service, and the ports of the app's", async ({ api, sleeping, written }) => {
    const ports = async () => ((await sliceOf(api, sleeping)) as EndpointSlice & { ports: { name: string }[] }).ports.map(({ name }) => name);
    const { spec } = (await api.get("Service", sleeping.namespace, sleeping.name)) as Service;
    const [port] = spec.ports;
    await api.patch("Service", sleeping.namespace, sleeping.name, { spec: { ports: [{ ...port, name: "web" }, { name: "more", port: 8080 }] } });
    await expect.poll(async () => (await ports()).sort(), { timeout: 30_000 }).toEqual(["more", "web"]);
    await api.delete("Service", "unidler", "unidler");
    await api.apply(serviceAt(LATER));
    try {
        await expect.poll(() => sleepOf(api, sleeping), { timeout: 30_000 }).toEqual({ replicas: 0, diverted: [LATER] });
        expect(new Set(written())).toEqual(new Set(["patch endpointslices"]));
    } finally {
        await api.delete("Service", "unidler", "unidler");
        await api.apply(serviceAt(OURS));
    }
});

/** So that it is killed between this write and the next one, and neither before nor after. */
function loseAnswerOfWrite(proxy: FaultyProxy, index: number): void {
    let writes = 0;
    proxy.fault = ({ kind }) => (kind === "write" && writes++ === index ? "loss" : undefined);
}
