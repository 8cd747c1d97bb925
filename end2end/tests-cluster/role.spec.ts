/** The roles that we ship: they are enough, as every other test shows, and no verb of them is there for nothing. */
import { idle } from "../cluster/app";
import { createSleepingApp } from "../cluster/asleep";
import { AuditLog } from "../cluster/audit";
import { type KubeObject } from "../cluster/objects";
import { clusterFacts, shipped } from "../cluster/setup";
import { events } from "../cluster/visitor";
import { type FieldApp, type Workload, createApp, deleteApp } from "../field/apps";
import { HOURS_OVER } from "../field/idled";
import { UNIDLER_USER, expect, ownService, test as base } from "./fixtures";

interface Rule {
    apiGroups: string[];
    resources: string[];
    verbs: string[];
}

type ClusterRole = KubeObject & { rules: Rule[] };

const test = base.extend<{ fallAsleep: (workload: Workload) => Promise<FieldApp> }, { ownService: void }>({
    ownService,

    /** Has an app put to sleep by a slice. */
    fallAsleep: async ({ api, operate, unidler }, use) => {
        const apps: FieldApp[] = [];
        await use(async (workload) => {
            await expect.poll(() => unidler.log).toMatch(/INFO ready$/m);
            const app = await createSleepingApp(api, operate, { workload });
            apps.push(app);
            return app;
        });
        for (const app of apps) await deleteApp(api, app);
    },
});

test.use({ startSeconds: 3 });

const roles = shipped("rbac.yaml").filter(({ kind }) => kind === "ClusterRole") as ClusterRole[];

for (const role of roles) {
    for (const { apiGroups: [group = ""], resources: [resource = ""], verbs } of role.rules) {
        // Only OpenShift asks for this.
        if (resource === "endpointslices/restricted") continue;
        for (const verb of verbs) {
            // Without the Gateway API, Argo Rollouts and KEDA, lists are refused and nothing else is tried. The field tests have them.
            if (["gateway.networking.k8s.io", "argoproj.io", "keda.sh"].includes(group) && verb !== "list") continue;
            test(`the right to ${verb} ${resource}${role.metadata.name.endsWith("-sleep") ? " for sleep" : ""} is used`, async ({ api, app, unidler, startUnidler, fallAsleep }) => {
                // What the app sleeps by decides what is written.
                const isOfSlices = resource.endsWith("/scale") || (resource === "endpointslices" && !["list", "watch"].includes(verb));
                const visited = isOfSlices ? await fallAsleep(resource.startsWith("statefulsets") ? "StatefulSet" : "Deployment") : app;
                const log = new AuditLog(clusterFacts().auditLog);
                const without = (rule: Rule) => ({ ...rule, verbs: rule.resources[0] === resource ? verbs.filter((other) => other !== verb) : rule.verbs });
                const rules = role.rules.map(without).filter((rule) => rule.verbs.length > 0);
                await api.apply({ ...role, rules } as KubeObject);
                try {
                    await expect.poll(() => api.may(UNIDLER_USER, verb, group, resource)).toBe(false);
                    const mark = log.mark();
                    const isRefused = () => log.since(mark, UNIDLER_USER).some((asked) => asked.verb === verb && asked.resource === resource && asked.code === 403);
                    if (role.metadata.name.endsWith("-sleep")) {
                        // What surrounds an app is looked at before it is put to sleep.
                        const awake = await createApp(api, { startSeconds: 1 });
                        await api.patch("Ingress", awake.namespace, awake.name, { metadata: { annotations: HOURS_OVER } });
                        await startUnidler({ UNIDLER_IDLE_AFTER: "5s", UNIDLER_IDLE_CHECK: "1s", UNIDLER_BUSY_CPU: "20%" });
                        await expect.poll(isRefused).toBe(true);
                        return await deleteApp(api, awake);
                    }
                    await unidler.kill();
                    const ready = unidler.startAgain();
                    ready.catch(() => {});
                    if (resource === "endpointslices" && verb === "create") await api.delete("EndpointSlice", visited.namespace, `${visited.name}-unidler`);
                    await expect(async () => {
                        const visit = events(unidler.port, visited.host).catch(() => {});
                        if (resource === "events") {
                            // The same thing has to happen again for an Event to be patched.
                            await visit;
                            await idle(api, app);
                        }
                        expect(isRefused()).toBe(true);
                    }).toPass({ timeout: 30_000 });
                    await api.apply(role);
                    await ready;
                } finally {
                    await api.apply(role);
                    await expect.poll(() => api.may(UNIDLER_USER, verb, group, resource)).toBe(true);
                }
            });
        }
    }
}
