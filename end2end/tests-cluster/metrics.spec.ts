/** What an operator can see: numbers, and Events on the Deployment. */
import { shipped } from "../cluster/setup";
import { events } from "../cluster/visitor";
import { UNIDLER_USER, expect, expectAwake, test } from "./fixtures";

test.use({ startSeconds: 1 });

test("a wake-up is counted, and noted on the Deployment", async ({ api, app, unidler }) => {
    const numbersOf = async () => await (await fetch(`http://127.0.0.1:${unidler.adminPort}/metrics`)).text();
    // Counted twice a minute.
    await expect.poll(numbersOf, { timeout: 45_000 }).toMatch(/unidler_idled_apps{form="external-name",by="unknown"} [1-9]/);
    const told = await events(unidler.port, app.host);
    expect(told.at(-1)?.event).toBe("success");
    const reference = told.at(-1)?.progress.reference ?? "none";

    const numbers = await numbersOf();
    expect(numbers).toContain('unidler_outcomes_total{outcome="ready"} 1');
    expect(numbers).toContain('unidler_api_requests_total{verb="patch",resource="deployments",code="200"} 2');
    expect(numbers).toContain('unidler_api_requests_total{verb="patch",resource="services",code="200"} 1');
    expect(numbers).toMatch(/unidler_step_seconds_count{step="starting"} 1|unidler_step_seconds_count{step="pulling"} 1/);
    for (const name of [app.host, app.namespace, app.name]) expect(numbers).not.toContain(name);

    const noted = async () => (await api.list("Event", app.namespace)).filter(({ reason }) => reason === "Unidled");
    await expect.poll(async () => (await noted()).length).toBe(1);
    const [event] = await noted();
    const { uid } = (await api.get("Deployment", app.namespace, app.name)).metadata;
    expect(event).toMatchObject({ type: "Normal", regarding: { kind: "Deployment", name: app.name, uid } });
    expect(event?.note).toContain(`reference ${reference}`);
});

test("an app wakes without the optional right to write Events", async ({ api, app, unidler }) => {
    const mayWrite = () => api.may(UNIDLER_USER, "create", "events.k8s.io", "events");
    await api.delete("ClusterRoleBinding", "", "unidler-events");
    try {
        await expect.poll(mayWrite).toBe(false);
        expect((await events(unidler.port, app.host)).at(-1)?.event).toBe("success");
        await expectAwake(api, app);
        await expect.poll(() => unidler.log).toContain("no permission to write Events");
    } finally {
        for (const object of shipped("rbac.yaml")) await api.apply(object);
        await expect.poll(mayWrite).toBe(true);
    }
});
