/** Apps that do not start cost the API server next to nothing, however many there are. */
import { type App, createIdledApp, deleteApp } from "../cluster/app";
import { AuditLog, isSharedWatch } from "../cluster/audit";
import { clusterFacts } from "../cluster/setup";
import { startWaking, status } from "../cluster/visitor";
import { UNIDLER_USER, expect, test } from "./fixtures";

const APPS = 15;
const SECONDS = 90;

test(`${APPS} apps that do not start cause two lists of each kind in ${SECONDS} seconds`, async ({ api, unidler, keyLabel }) => {
    test.setTimeout((SECONDS + 60) * 1000);
    const apps: App[] = [];
    for (let index = 0; index < APPS; index++) apps.push(await createIdledApp(api, { keyLabel, startSeconds: 3600 }));
    for (const { host } of apps) await expect.poll(async () => (await status(unidler.port, host)).phase).toBe("asleep");
    const log = new AuditLog(clusterFacts().auditLog);
    const mark = log.mark();
    for (const { host } of apps) {
        await startWaking(unidler.port, host);
        await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    const until = Date.now() + (SECONDS - APPS) * 1000;
    await expect.poll(() => Date.now(), { timeout: SECONDS * 1000 }).toBeGreaterThan(until);

    const lists = log.since(mark, UNIDLER_USER).filter((request) => isSharedWatch(request) && request.verb === "list");
    for (const kind of ["ingresses", "deployments", "services"]) {
        expect(lists.filter(({ resource }) => resource === kind).length, kind).toBeLessThanOrEqual(2);
    }
    for (const app of apps) await deleteApp(api, app);
});
