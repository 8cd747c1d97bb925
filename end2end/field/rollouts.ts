/** Argo Rollouts: its CRDs and its controller, in the version that rollouts/go.mod pins. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Api, writeKubeconfig } from "../cluster/api";
import { Child, freePorts } from "../cluster/child";
import { PROGRAMS } from "../cluster/control-plane";
import { clusterFacts } from "../cluster/setup";
import { until } from "../cluster/wait";
import { crdsOf } from "./crds";

/** Installs it, and starts its controller. Gives what stops and removes it. */
export async function startRollouts(api: Api): Promise<() => Promise<void>> {
    const definitions = crdsOf("rollouts", "github.com/argoproj/argo-rollouts", "manifests/crds");
    for (const definition of definitions) await api.apply(definition);
    await until("the API server has Rollouts", 10, async () => (await api.list("Rollout", "default")).length === 0, () => {});

    const dir = mkdtempSync(join(tmpdir(), "unidler-rollouts-"));
    const kubeconfig = join(dir, "kubeconfig");
    writeKubeconfig(kubeconfig, clusterFacts().access);
    const [metrics, health] = await freePorts(2);
    const flags = { kubeconfig, "leader-elect": false, metricsport: metrics, healthzPort: health };
    const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    const controller = Child.start(join(PROGRAMS, "rollouts-controller"), args, join(dir, "rollouts-controller.log"));
    return async () => {
        await controller.kill();
        for (const { metadata } of definitions) await api.delete("CustomResourceDefinition", "", metadata.name);
        rmSync(dir, { recursive: true, force: true });
    };
}
