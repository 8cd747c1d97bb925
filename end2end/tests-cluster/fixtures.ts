/** What each test finds: an unidler, an ingress in front of it, an idled app, and who asked the API for what. */
import { basename } from "node:path";

import { test as base, expect } from "@playwright/test";

import { Api, writeKubeconfig } from "../cluster/api";
import { type App, type Flaw, IDLED, IDLED_AT, REPLICAS_WHEN_UNIDLED, createIdledApp, deleteApp } from "../cluster/app";
import { AuditLog, type Request, isNote, isSharedWatch, isWrite } from "../cluster/audit";
import { FaultyProxy } from "../cluster/faulty-proxy";
import { StandInIngress } from "../cluster/ingress";
import { OPERATOR } from "../cluster/control-plane";
import { type Service } from "../cluster/objects";
import { createOwnService, deleteOwnService } from "../cluster/own-service";
import { type Ran, run } from "../cluster/program";
import { clusterFacts } from "../cluster/setup";
import { Unidler } from "../cluster/unidler";
import { status } from "../cluster/visitor";

export { expect };

/** As whom the API server knows unidler. */
export const UNIDLER_USER = "system:serviceaccount:unidler:unidler";

/** What unidler has asked of the API for the sake of visitors, since the test began. */
export interface Asked {
    /** Such as `patch deployments`. */
    writes: () => string[];
    /** Everything else, but for the watches that all apps share. A write that was refused is here. */
    others: () => Request[];
}

interface Fixtures {
    flaw: Flaw | undefined;
    keyLabel: string;
    domain: string;
    startSeconds: number;
    /** How the unidlers reach the API server. */
    kubeconfig: string;
    /** Starts an unidler, which is stopped after the test. */
    startUnidler: (variables?: Record<string, string>) => Promise<Unidler>;
    unidler: Unidler;
    ingress: StandInIngress;
    app: App;
    asked: Asked;
    /** Runs a command as an administrator, who is nobody in the audit log but the tests themselves. */
    operate: (...args: string[]) => Promise<Ran>;
}

interface WorkerFixtures {
    api: Api;
}

export const test = base.extend<Fixtures, WorkerFixtures>({
    api: [async ({}, use) => use(new Api(clusterFacts().access)), { scope: "worker" }],

    flaw: [undefined, { option: true }],
    keyLabel: ["host", { option: true }],
    domain: ["localhost", { option: true }],

    startSeconds: [5, { option: true }],

    kubeconfig: async ({}, use) => await use(clusterFacts().kubeconfig),

    startUnidler: async ({ keyLabel, kubeconfig }, use, testInfo) => {
        const started: { unidler: Unidler; logFile: string }[] = [];
        await use(async (variables) => {
            const logFile = testInfo.outputPath(`unidler-${started.length}.log`);
            const all = { KUBECONFIG: kubeconfig, UNIDLE_KEY_LABEL: keyLabel, UNIDLER_SHUTDOWN_DELAY: "0", ...variables };
            const unidler = await Unidler.start(all, logFile);
            started.push({ unidler, logFile });
            return unidler;
        });
        await Promise.all(started.map(({ unidler }) => unidler.stop()));
        if (testInfo.status === testInfo.expectedStatus) return;
        for (const { logFile } of started) await testInfo.attach(basename(logFile), { path: logFile });
    },

    unidler: async ({ startUnidler }, use) => await use(await startUnidler()),

    ingress: async ({ api, unidler }, use) => {
        const ingress = await StandInIngress.start(api, unidler.port);
        await use(ingress);
        await ingress.stop();
    },

    app: async ({ api, flaw, keyLabel, domain, startSeconds, unidler }, use) => {
        const app = await createIdledApp(api, { keyLabel, domain, startSeconds, flaw });
        if (!flaw) await expect.poll(async () => (await status(unidler.port, app.host)).phase).toBe("asleep");
        await use(app);
        await deleteApp(api, app);
    },

    operate: async ({}, use, testInfo) => {
        const kubeconfig = testInfo.outputPath("admin.kubeconfig");
        writeKubeconfig(kubeconfig, { ...clusterFacts().access, token: OPERATOR.token });
        await use((...args) => run(kubeconfig, ...args));
    },

    // After `app`: what it took to notice the app is not counted.
    asked: async ({ app: _ }, use) => {
        const log = new AuditLog(clusterFacts().auditLog);
        const mark = log.mark();
        const requests = () => log.since(mark, UNIDLER_USER).filter((request) => !isNote(request));
        await use({
            writes: () => requests().filter(isWrite).map(({ verb, resource }) => `${verb} ${resource}`),
            others: () => requests().filter((request) => !isWrite(request) && !isSharedWatch(request)),
        });
    },
});

/** For specs about slices: unidler's own Service, at an address that a slice may have. */
export const ownService: [(fixtures: WorkerFixtures, use: () => Promise<void>) => Promise<void>, { scope: "worker"; auto: true }] = [
    async ({ api }, use) => {
        await createOwnService(api);
        await use();
        await deleteOwnService(api);
    },
    { scope: "worker", auto: true },
];

/** The same with an unidler that reaches the API server through a proxy which fails on command. */
export const faultyTest = test.extend<{ apiProxy: FaultyProxy }>({
    apiProxy: async ({}, use) => {
        const proxy = await FaultyProxy.start(clusterFacts());
        await use(proxy);
        await proxy.stop();
    },
    kubeconfig: async ({ apiProxy }, use, testInfo) => {
        const file = testInfo.outputPath("faulty.kubeconfig");
        apiProxy.writeKubeconfig(file);
        await use(file);
    },
});

/** The three writes of a wake-up: replicas, Service, and the idle marks last. */
export const THREE_WRITES = ["patch deployments", "patch services", "patch deployments"];

/** Waits until an app is as it was before it was idled. */
export async function expectAwake(api: Api, app: App, { replicas = 2, timeout = 30_000 } = {}): Promise<void> {
    await expect.poll(() => stateOf(api, app), { timeout }).toEqual({
        replicas,
        marks: [],
        type: "ClusterIP",
        externalName: undefined,
        selector: { app: app.name },
        ports: [{ name: "http", port: 80, targetPort: 3000, protocol: "TCP" }],
    });
}

/** Whatever a wake-up changes of an app. */
export interface AppState extends Pick<Service["spec"], "type" | "externalName" | "selector" | "ports"> {
    replicas: number;
    marks: string[];
}

export async function stateOf(api: Api, app: App): Promise<AppState> {
    const deployment = await api.get("Deployment", app.namespace, app.name);
    const service = await api.get("Service", app.namespace, app.name);
    const { labels = {}, annotations = {} } = deployment.metadata;
    const { type, externalName, selector, ports } = service.spec;
    const marks = Object.keys({ ...labels, ...annotations }).filter((key) => [IDLED, IDLED_AT, REPLICAS_WHEN_UNIDLED].includes(key));
    return { replicas: deployment.spec.replicas, marks, type, externalName, selector, ports };
}
