/** Once per test run: a control plane for each worker, with unidler's rights in it as we ship them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { type FullConfig } from "@playwright/test";
import { parseAllDocuments } from "yaml";

import { type Access, Api, writeKubeconfig } from "./api";
import { type ControlPlane, type Options, startControlPlane } from "./control-plane";
import { type KubeObject } from "./objects";
import { until } from "./wait";

/** What the tests know of the cluster. */
export interface ClusterFacts {
    access: Access;
    auditLog: string;
    apiServerPid: string;
    /** unidler's, with the token of its ServiceAccount. */
    kubeconfig: string;
}

const VARIABLE = "CLUSTER_FACTS";

export default async function setup({ workers }: FullConfig): Promise<() => Promise<void>> {
    const controlPlanes: ControlPlane[] = [];
    const stopAll = async () => {
        await Promise.all(controlPlanes.map(({ stop }) => stop()));
    };
    try {
        while (controlPlanes.length < workers) controlPlanes.push(await startCluster());
    } catch (error) {
        await stopAll();
        throw error;
    }
    return stopAll;
}

/** A control plane with unidler's permissions in it. The tests of one worker find it through `clusterFacts`. */
export async function startCluster(options?: Options): Promise<ControlPlane> {
    const controlPlane = await startControlPlane(options);
    const { access, auditLog, apiServerPid, dir, stop } = controlPlane;
    try {
        const api = new Api(access);
        for (const object of [...shipped("rbac.yaml"), ...shipped("policy.yaml")]) await api.apply(object);
        const kubeconfig = join(dir, "unidler.kubeconfig");
        writeKubeconfig(kubeconfig, { ...access, token: await api.tokenOf("unidler", "unidler") });
        process.env[VARIABLE] = JSON.stringify([...allFacts(), { access, auditLog, apiServerPid, kubeconfig }] satisfies ClusterFacts[]);
    } catch (error) {
        await stop();
        throw error;
    }
    return controlPlane;
}

/** Those of this worker's cluster. */
export function clusterFacts(): ClusterFacts {
    const facts = allFacts()[Number(process.env.TEST_PARALLEL_INDEX)];
    if (!facts) throw new Error("there is a cluster only within a test");
    return facts;
}

function allFacts(): ClusterFacts[] {
    return JSON.parse(process.env[VARIABLE] ?? "[]");
}

/** Ends the API server without any warning, and waits for the next one. */
export async function restartApiServer(api: Api): Promise<void> {
    const pid = () => Number(readFileSync(clusterFacts().apiServerPid, "utf8"));
    const ended = pid();
    process.kill(ended, "SIGKILL");
    await until("another kube-apiserver is ready", 60, async () => pid() !== ended && (await api.ready()), () => {});
}

/** The objects of a manifest in `deploy/`. */
export function shipped(name: string): KubeObject[] {
    return documents(readFileSync(join(__dirname, "../../deploy", name), "utf8"));
}

/** The objects of a manifest. */
export function documents(yaml: string): KubeObject[] {
    return parseAllDocuments(yaml).map((document) => document.toJS());
}
