/** A kind of custom workload that only its CRD describes, and a loop that plays its controller. */
import { setTimeout as sleep } from "node:timers/promises";

import { type Api } from "./api";
import { IMAGE } from "./app";
import { type KubeObject } from "./objects";
import { until } from "./wait";

/** How kubectl names it, and `--scalable`. */
export const SANDBOXES = "sandboxes.v1.sandboxes.test";

const NAMES = { kind: "Sandbox", plural: "sandboxes", singular: "sandbox" };
const CRD = {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: "sandboxes.sandboxes.test" },
    spec: {
        group: "sandboxes.test",
        scope: "Namespaced",
        names: NAMES,
        versions: [
            {
                name: "v1",
                served: true,
                storage: true,
                schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
                subresources: { status: {}, scale: { specReplicasPath: ".spec.replicas", statusReplicasPath: ".status.replicas", labelSelectorPath: ".status.selector" } },
            },
        ],
    },
} as unknown as KubeObject;

/** Installs the kind. */
export async function installSandboxes(api: Api): Promise<void> {
    await api.apply(CRD);
    await until("the API server has Sandboxes", 10, async () => (await api.list("Sandbox", "default")).length === 0, () => {});
}

/** Removes it, with all of its objects. */
export async function removeSandboxes(api: Api): Promise<void> {
    await api.delete("CustomResourceDefinition", "", CRD.metadata.name);
    await until("Sandboxes are gone", 30, async () => !(await api.isThere("CustomResourceDefinition", "", CRD.metadata.name)), () => {});
}

export function sandbox(namespace: string, name: string, replicas: number): KubeObject {
    return { apiVersion: "sandboxes.test/v1", kind: "Sandbox", metadata: { name, namespace }, spec: { replicas } } as KubeObject;
}

/**
 * Keeps the pods of a namespace's Sandboxes as many as they should be, until the signal: pods without a template that anybody
 * can see, and without an owner.
 */
export async function playController(api: Api, namespace: string, signal: AbortSignal): Promise<void> {
    for (let made = 0; !signal.aborted; await sleep(100)) {
        const pods = (await api.list("Pod", namespace)).filter(({ metadata }) => !metadata.deletionTimestamp);
        for (const { metadata, spec, status } of await api.list("Sandbox", namespace)) {
            const own = pods.filter((pod) => pod.metadata.labels?.sandbox === metadata.name);
            for (const pod of own.slice(spec.replicas)) await api.delete("Pod", namespace, pod.metadata.name);
            for (let missing = spec.replicas - own.length; missing > 0; missing--) await api.create(podOf(namespace, metadata.name, `${metadata.name}-${++made}`));
            const selector = `sandbox=${metadata.name}`;
            if (status?.replicas !== own.length || status.selector !== selector) await api.patchStatus("Sandbox", namespace, metadata.name, { replicas: own.length, selector });
        }
    }
}

function podOf(namespace: string, sandbox: string, name: string): KubeObject {
    const at = (stage: string, seconds: number) => ({ [`${stage}.stage.kwok.x-k8s.io/delay`]: `${seconds}s`, [`${stage}.stage.kwok.x-k8s.io/jitter-delay`]: `${seconds}s` });
    const annotations = { ...at("pod-create", 0), ...at("pod-ready", 1), ...at("pod-delete", 0) };
    const containers = [{ name: "app", image: IMAGE }];
    return { apiVersion: "v1", kind: "Pod", metadata: { name, namespace, labels: { sandbox }, annotations }, spec: { containers } } as KubeObject;
}
