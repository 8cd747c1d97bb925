/** Fixtures of the field tests: running pods, unidler behind its own Service, and apps that are reached through Traefik. */
import { basename } from "node:path";

import { test as base, expect } from "@playwright/test";

import { Api, writeKubeconfig } from "../cluster/api";
import { AuditLog, type Request, isNote, isSharedWatch, isWrite } from "../cluster/audit";
import { OPERATOR } from "../cluster/control-plane";
import { clusterFacts } from "../cluster/setup";
import { Unidler } from "../cluster/unidler";
import { type FieldApp, type Wishes, createApp, deleteApp } from "../field/apps";
import { visit } from "../field/load";
import { Pods } from "../field/pods";
import { fieldFacts, serveAt } from "../field/setup";
import { type Asked, UNIDLER_USER } from "../tests-cluster/fixtures";

export { expect };

interface Fixtures {
    /** Environment variables of unidler, besides those that all tests need. */
    variables: Record<string, string>;
    /** Runs under its own ServiceAccount, and is reached at its cluster IP. */
    unidler: Unidler;
    /** Creates an app and waits until visitors reach it through Traefik. The app is deleted after the test. */
    startApp: (wishes?: Wishes) => Promise<FieldApp>;
    /** Kubeconfig of an administrator, for the commands. */
    operator: string;
    /** Returns unidler's requests to the API server from now on. */
    watchWrites: () => Asked;
    /** The same for the commands, which run as an administrator. */
    watchOperator: () => Asked;
    logs: void;
}

interface WorkerFixtures {
    api: Api;
    pods: Pods;
}

export const test = base.extend<Fixtures, WorkerFixtures>({
    api: [async ({}, use) => use(new Api(clusterFacts().access)), { scope: "worker" }],

    pods: [
        async ({ api }, use) => {
            const pods = await Pods.start(api);
            await use(pods);
            pods.stop();
        },
        { scope: "worker", auto: true },
    ],

    variables: [{}, { option: true }],

    unidler: async ({ api, variables }, use, testInfo) => {
        const logFile = testInfo.outputPath("unidler.log");
        const unidler = await Unidler.start({ KUBECONFIG: clusterFacts().kubeconfig, UNIDLER_SHUTDOWN_DELAY: "0", ...variables }, logFile);
        await serveAt(api, unidler.port);
        await expect.poll(() => isServedAt(fieldFacts().unidlerAddress), { message: "unidler answers at its cluster IP" }).toBe(true);
        // By then it has resumed unfinished wake-ups, which a half idled app would look like.
        await expect.poll(() => unidler.log).toMatch(/INFO ready$/m);
        await use(unidler);
        await unidler.stop();
        if (testInfo.status !== testInfo.expectedStatus) await testInfo.attach(basename(logFile), { path: logFile });
    },

    startApp: async ({ api }, use) => {
        const apps: FieldApp[] = [];
        await use(async (wishes) => {
            const app = await createApp(api, wishes);
            apps.push(app);
            const by = wishes?.replicas === 0 ? "nobody" : "app";
            await expect.poll(async () => (await visit(app.host, { path: app.path })).by, { message: `${app.route} to ${app.workload}` }).toBe(by);
            return app;
        });
        for (const app of apps) await deleteApp(api, app);
    },

    operator: async ({}, use, testInfo) => {
        const file = testInfo.outputPath("operator.kubeconfig");
        writeKubeconfig(file, { ...clusterFacts().access, token: OPERATOR.token });
        await use(file);
    },

    watchWrites: async ({}, use) => use(() => watched(UNIDLER_USER)),

    watchOperator: async ({}, use) => use(() => watched(OPERATOR.user)),

    logs: [
        async ({}, use, testInfo) => {
            await use();
            if (testInfo.status === testInfo.expectedStatus) return;
            const { traefikLog, kubeProxyLog } = fieldFacts();
            for (const path of [traefikLog, kubeProxyLog]) await testInfo.attach(basename(path), { path });
        },
        { auto: true },
    ],
});

/** What a user asks of the API server from now on. */
function watched(user: string): Asked {
    const log = new AuditLog(clusterFacts().auditLog);
    const mark = log.mark();
    const requests = (): Request[] => log.since(mark, user).filter((request) => !isNote(request));
    return {
        writes: () => requests().filter(isWrite).map(({ verb, resource }) => `${verb} ${resource}`),
        others: () => requests().filter((request) => !isWrite(request) && !isSharedWatch(request)),
    };
}

async function isServedAt(address: string): Promise<boolean> {
    try {
        return (await fetch(`http://${address}/healthz`, { signal: AbortSignal.timeout(1000) })).ok;
    } catch {
        return false;
    }
}
