/** The roles that we ship: they are enough, as every other test shows, and no verb of them is there for nothing. */
import { idle } from "../cluster/app";
import { AuditLog } from "../cluster/audit";
import { type KubeObject } from "../cluster/objects";
import { clusterFacts, shipped } from "../cluster/setup";
import { events } from "../cluster/visitor";
import { UNIDLER_USER, expect, test } from "./fixtures";

interface Rule {
    apiGroups: string[];
    resources: string[];
    verbs: string[];
}

type ClusterRole = KubeObject & { rules: Rule[] };

test.use({ startSeconds: 3 });

const roles = shipped("rbac.yaml").filter(({ kind }) => kind === "ClusterRole") as ClusterRole[];

for (const role of roles) {
    for (const { apiGroups: [group = ""], resources: [resource = ""], verbs } of role.rules) {
        // Only OpenShift asks for this.
        if (resource === "endpointslices/restricted") continue;
        for (const verb of verbs) {
            test(`the right to ${verb} ${resource} is used`, async ({ api, app, unidler }) => {
                const log = new AuditLog(clusterFacts().auditLog);
                const without = (rule: Rule) => ({ ...rule, verbs: rule.resources[0] === resource ? verbs.filter((other) => other !== verb) : rule.verbs });
                const rules = role.rules.map(without).filter((rule) => rule.verbs.length > 0);
                await api.apply({ ...role, rules } as KubeObject);
                try {
                    await expect.poll(() => api.may(UNIDLER_USER, verb, group, resource)).toBe(false);
                    const mark = log.mark();
                    await unidler.kill();
                    const ready = unidler.startAgain();
                    ready.catch(() => {});
                    const isRefused = () => log.since(mark, UNIDLER_USER).some((asked) => asked.verb === verb && asked.resource === resource && asked.code === 403);
                    await expect(async () => {
                        const visit = events(unidler.port, app.host).catch(() => {});
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
