/** `unidler idle` by those who may not write EndpointSlices: they leave a wish, and unidler's server fulfils it. */
import { writeKubeconfig } from "../cluster/api";
import { sleepOf } from "../cluster/asleep";
import { type KubeObject } from "../cluster/objects";
import { OURS } from "../cluster/own-service";
import { type Ran, run } from "../cluster/program";
import { clusterFacts } from "../cluster/setup";
import { startWaking } from "../cluster/visitor";
import { type FieldApp, createApp, deleteApp } from "../field/apps";
import { expect, ownService, test as base } from "./fixtures";

interface Fixtures {
    awake: FieldApp;
    /** Runs a command as somebody with the roles `view` and `edit` in the namespace of the app. */
    asEditor: (...args: string[]) => Promise<Ran>;
}

const test = base.extend<Fixtures, { ownService: void }>({
    ownService,

    awake: async ({ api }, use) => {
        const app = await createApp(api, { startSeconds: 1 });
        await expect.poll(async () => (await api.get("Deployment", app.namespace, app.name)).status?.availableReplicas).toBe(2);
        await use(app);
        await deleteApp(api, app);
    },

    asEditor: async ({ api, awake: { namespace } }, use, testInfo) => {
        const name = "editor";
        await api.apply({ apiVersion: "v1", kind: "ServiceAccount", metadata: { name, namespace } });
        // What Kubernetes aggregates into the role `edit`.
        for (const role of ["view", "edit"]) {
            await api.apply({
                apiVersion: "rbac.authorization.k8s.io/v1",
                kind: "RoleBinding",
                metadata: { name: `${name}-${role}`, namespace },
                roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: `system:aggregate-to-${role}` },
                subjects: [{ kind: "ServiceAccount", name, namespace }],
            } as KubeObject);
        }
        const kubeconfig = testInfo.outputPath("editor.kubeconfig");
        writeKubeconfig(kubeconfig, { ...clusterFacts().access, token: await api.tokenOf(namespace, name) });
        await use((...args) => run(kubeconfig, ...args));
    },
});

const ASLEEP = { replicas: 0, diverted: [OURS] };
const AWAKE = { replicas: 2, diverted: [] };

test("an app is idled for its editor, and woken by a visitor once and for all", async ({ api, unidler, awake, asEditor }) => {
    await expect.poll(() => unidler.log).toMatch(/INFO ready$/m);
    expect(await asEditor("idle", awake.host)).toMatchObject({ code: 2, stderr: expect.stringContaining("set --namespace to the app's namespace") });
    expect(await asEditor("idle", awake.host, "--namespace", awake.namespace)).toEqual({
        code: 0,
        stdout: `Idled ${awake.host}, by unidler's server.\n`,
        stderr: "",
    });
    await expect.poll(() => sleepOf(api, awake)).toEqual(ASLEEP);
    expect(await asEditor("idle", "--namespace", awake.namespace)).toMatchObject({ code: 0, stdout: `${awake.host} is already idled.\n` });

    await startWaking(unidler.port, awake.host);
    await expect.poll(() => sleepOf(api, awake)).toEqual(AWAKE);
    // Longer than it takes the server to look for wishes.
    await new Promise((resolve) => setTimeout(resolve, 20_000));
    expect(await sleepOf(api, awake), "the old wish counts no more").toEqual(AWAKE);
});

test("what the server refuses to idle stays awake, and an Event says why", async ({ api, unidler, awake, asEditor }) => {
    test.setTimeout(120_000);
    await expect.poll(() => unidler.log).toMatch(/INFO ready$/m);
    await api.patch("Service", awake.namespace, awake.name, { spec: { publishNotReadyAddresses: true } });
    const idled = await asEditor("idle", awake.host, "--namespace", awake.namespace);
    expect(idled).toMatchObject({ code: 1, stderr: expect.stringContaining("reason=NotIdled") });
    expect(await sleepOf(api, awake)).toEqual({ replicas: 2, diverted: undefined });
    const events = (await api.list("Event", awake.namespace)).filter(({ reason }) => reason === "NotIdled");
    expect(events.map(({ note }) => note)).toEqual([expect.stringContaining("publishNotReadyAddresses")]);
});

test("an app that an autoscaler scales from zero stays awake", async ({ api, unidler, awake, asEditor }) => {
    test.setTimeout(120_000);
    await expect.poll(() => unidler.log).toMatch(/INFO ready$/m);
    const { namespace, name } = awake;
    await api.apply({
        apiVersion: "autoscaling/v2",
        kind: "HorizontalPodAutoscaler",
        metadata: { name, namespace, labels: { "scaledobject.keda.sh/name": name } },
        spec: { scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name }, minReplicas: 1, maxReplicas: 3 },
    } as object as KubeObject);
    const idled = await asEditor("idle", awake.host, "--namespace", namespace);
    expect(idled.code).toBe(1);
    expect(await sleepOf(api, awake)).toEqual({ replicas: 2, diverted: undefined });
    const events = (await api.list("Event", namespace)).filter(({ reason }) => reason === "NotIdled");
    expect(events.map(({ note }) => note)).toEqual([expect.stringContaining("KEDA scales")]);
});
