/** KEDA: its CRDs and its operator, in the version that keda/go.mod pins. */
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Api, writeKubeconfig } from "../cluster/api";
import { selfSigned } from "../cluster/certificate";
import { Child, freePorts } from "../cluster/child";
import { PROGRAMS } from "../cluster/control-plane";
import { clusterFacts } from "../cluster/setup";
import { until } from "../cluster/wait";
import { crdsOf } from "./crds";

const NAMESPACE = "keda";

/** Installs it, and starts its operator. Gives what stops and removes it. */
export async function startKeda(api: Api): Promise<() => Promise<void>> {
    const definitions = crdsOf("keda", "github.com/kedacore/keda/v2", "config/crd/bases");
    for (const definition of definitions) await api.apply(definition);
    await api.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: NAMESPACE } });
    await until("the API server has ScaledObjects", 10, async () => (await api.list("ScaledObject", "default")).length === 0, () => {});

    const dir = mkdtempSync(join(tmpdir(), "unidler-keda-"));
    const kubeconfig = join(dir, "kubeconfig");
    writeKubeconfig(kubeconfig, clusterFacts().access);
    copyFileSync(selfSigned(dir).certificate, join(dir, "ca.crt"));
    const [metrics, health, grpc] = await freePorts(3);
    const flags = {
        "cert-dir": dir,
        "metrics-bind-address": `127.0.0.1:${metrics}`,
        "health-probe-bind-address": `127.0.0.1:${health}`,
        "metrics-service-bind-address": `127.0.0.1:${grpc}`,
    };
    const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    const env = { ...(process.env as Record<string, string>), KUBECONFIG: kubeconfig, WATCH_NAMESPACE: "", KEDA_CLUSTER_OBJECT_NAMESPACE: NAMESPACE, POD_NAMESPACE: NAMESPACE };
    const operator = Child.start(join(PROGRAMS, "keda-operator"), args, join(dir, "keda-operator.log"), env);
    const isReady = async () => (await fetch(`http://127.0.0.1:${health}/readyz`)).ok;
    await until("KEDA's operator is ready", 30, () => isReady().catch(() => false), () => operator.assertRunning());
    return async () => {
        await operator.kill();
        for (const { metadata } of definitions) await api.delete("CustomResourceDefinition", "", metadata.name);
        await api.delete("Namespace", "", NAMESPACE);
        rmSync(dir, { recursive: true, force: true });
    };
}
