/** Once per test run: the control plane, with unidler's rights in it as we ship them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

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

export default async function setup(): Promise<() => Promise<void>> {
    return (await startCluster()).stop;
}

/** A control plane with unidler's permissions in it. The tests find it through `clusterFacts`. */
export async function startCluster(options?: Options): Promise<ControlPlane> {
    const controlPlane = await startControlPlane(options);
    const { access, auditLog, apiServerPid, dir, stop } = controlPlane;
    try {
        const api = new Api(access);
        for (const object of [...shipped("rbac.yaml"), ...shipped("policy.yaml")]) await api.apply(object);
        const kubeconfig = join(dir, "unidler.kubeconfig");
        writeKubeconfig(kubeconfig, { ...access, token: await api.tokenOf("unidler", "unidler") });
        process.env[VARIABLE] = JSON.stringify({ access, auditLog, apiServerPid, kubeconfig } satisfies ClusterFacts);
    } catch (error) {
        await stop();
        throw error;
    }
    return controlPlane;
}

export function clusterFacts(): ClusterFacts {
    return JSON.parse(process.env[VARIABLE] ?? "");
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
