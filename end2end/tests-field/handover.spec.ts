/** An app that is put to sleep by `unidler idle` and woken by a visitor, on the data path of a cluster: nobody sees an error. */
import { run } from "../cluster/program";
import { type FieldApp } from "../field/apps";
import { Load, failures, span, table } from "../field/load";
import { type Api } from "../cluster/api";
import { Visit } from "../field/visit";
import { expect, test } from "./fixtures";

for (const route of ["Ingress", "HTTPRoute"] as const) {
    for (const workload of ["Deployment", "StatefulSet"] as const) {
        test(`a ${workload} behind an ${route} falls asleep and wakes without an error, in two writes each way`, async ({ page, api, unidler: _, startApp, operator, watchWrites, watchOperator }) => {
            const app = await startApp({ route, workload });
            const before = await versions(api, app);
            const load = Load.start(app.host);
            await load.settles("app", 1);
            load.answers.splice(0);

            const byOperator = watchOperator();
            const idled = Date.now();
            expect(await run(operator, "idle", app.host)).toMatchObject({ code: 0 });
            await load.settles("unidler");
            const idling = load.answers.splice(0);
            console.log(`falling asleep (0 s: the command)\n${table(idling, idled)}`);

            const asked = watchWrites();
            const visited = Date.now();
            const address = `http://${app.host}/reports?year=2026#table`;
            await page.goto(address);
            await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`);
            const landed = Date.now();
            await expect(page.locator("#path")).toHaveText("/reports?year=2026");
            expect(page.url()).toBe(address);
            await load.settles("app");
            const waking = await load.stop();
            console.log(`waking (0 s: the visit, on the app after ${((landed - visited) / 1000).toFixed(1)} s): unidler ${span(waking, "unidler", visited)}, the app ${span(waking, "app", visited)}`);
            console.log(table(waking, visited));

            expect(failures(idling), table(idling, idled)).toEqual([]);
            expect(failures(waking), table(waking, visited)).toEqual([]);
            expect(byOperator.writes()).toEqual(["create endpointslices", `patch ${workload.toLowerCase()}s/scale`]);
            expect(asked.writes()).toEqual([`patch ${workload.toLowerCase()}s/scale`, "patch endpointslices"]);
            expect(await versions(api, app), "the user's own objects are as they were").toEqual(before);
        });
    }
}

test("an app that exits at once wakes without an error, and loses requests only as in any roll-out", async ({ unidler: _, startApp, operator }) => {
    const app = await startApp({ drainSeconds: 0 });
    const load = Load.start(app.host);
    await load.settles("app", 1);
    load.answers.splice(0);
    expect(await run(operator, "idle", app.host)).toMatchObject({ code: 0 });
    await load.settles("unidler");
    const idling = load.answers.splice(0);
    console.log(`falling asleep: ${failures(idling).length} of ${idling.length} requests failed`);
    expect(await run(operator, "wake", app.host, "--wait", "1m")).toMatchObject({ code: 0 });
    await load.settles("app");
    const waking = await load.stop();
    expect(failures(waking), table(waking, 0)).toEqual([]);
    // Nobody is led to a pod that is gone for longer than Traefik takes to notice.
    const failed = failures(idling).map(({ at }) => at);
    if (failed.length) expect(Math.max(...failed) - Math.min(...failed), table(idling, 0)).toBeLessThan(3_000);
});

test("a visitor to an app that is falling asleep gets complete pages, and then the waiting page, which wakes it", async ({ page, unidler: _, startApp, operator }) => {
    test.setTimeout(180_000);
    const app = await startApp();
    // Between the app and unidler Traefik alternates, from one request to the next.
    for (let cycle = 0; cycle < 5; cycle++) {
        const visit = Visit.of(page);
        const idled = run(operator, "idle", app.host);
        for (let count = 0; visit.documents.every(({ by }) => by === "app"); count++) {
            await page.goto(`http://${app.host}/page/${count}`);
        }
        const { code, stdout, stderr } = await idled;
        if (code !== 0) expect(stdout + stderr, "the visitor was there before the command had seen the app asleep").toContain("was woken in the meantime");
        await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`, { timeout: 30_000 });
        await page.waitForLoadState();
        expect(visit.documents.map(({ by }) => by)).not.toContain("nobody");
        expect(visit.strayFiles).toEqual([]);
        const load = Load.start(app.host);
        await load.settles("app");
        await load.stop();
    }
});

/** The versions of the objects that nobody has a reason to change. */
async function versions(api: Api, { namespace, name, route }: FieldApp): Promise<string[]> {
    const objects = [await api.get("Service", namespace, name), await api.get(route, namespace, name)];
    return objects.map(({ metadata }) => metadata.resourceVersion ?? "");
}
