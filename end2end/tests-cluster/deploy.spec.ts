/** The manifests that we ship, and the chart that they come from. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";

import { writeKubeconfig } from "../cluster/api";
import { type Kind } from "../cluster/objects";
import { clusterFacts, shipped } from "../cluster/setup";
import { expect, test } from "./fixtures";

test("the manifests as shipped give two admitted pods in a restricted namespace", async ({ api }) => {
    const objects = shipped("unidler.yaml");
    try {
        for (const object of objects) await api.apply(object);
        await expect.poll(async () => (await api.get("Deployment", "unidler", "unidler")).status?.availableReplicas).toBe(2);
    } finally {
        for (const { kind, metadata } of objects) await api.delete(kind as Kind, metadata.namespace ?? "", metadata.name);
    }
});

test("helm installs the chart, and upgrades it to another configuration", async ({ api }, testInfo) => {
    const kubeconfig = testInfo.outputPath("admin.kubeconfig");
    writeKubeconfig(kubeconfig, clusterFacts().access);
    // The roles and policies are there already, for the other tests.
    const helm = (command: string, ...settings: string[]) =>
        execFileSync(
            "helm",
            [command, "unidler", join(__dirname, "../../deploy/chart"), "--namespace", "unidler", "--take-ownership", "--wait", "--timeout", "60s", ...settings],
            { env: { PATH: process.env.PATH, HOME: testInfo.outputDir, KUBECONFIG: kubeconfig }, encoding: "utf8", stdio: "pipe" },
        );
    const deployment = () => api.get("Deployment", "unidler", "unidler");
    try {
        expect(helm("install")).toContain("STATUS: deployed");
        expect((await deployment()).status?.availableReplicas).toBe(2);
        const settings = ["replicas=3", "config.maxReplicas=5", "config.brandName=Our platform", "config.metricsPort=9090", "config.proxyLateRequests=true"];
        expect(helm("upgrade", ...settings.flatMap((setting) => ["--set", setting]))).toContain("STATUS: deployed");
        const { spec, status } = await deployment();
        expect(status?.availableReplicas).toBe(3);
        expect(JSON.stringify(spec)).toContain('{"name":"UNIDLER_BRAND_NAME","value":"Our platform"}');
        expect(() => helm("upgrade", "--set", "config.maxReplica=5"), "a slip of the pen is noticed").toThrow(/maxReplica/);
    } finally {
        for (const { kind, metadata } of shipped("unidler.yaml")) await api.delete(kind as Kind, metadata.namespace ?? "", metadata.name);
        for (const object of [...shipped("rbac.yaml"), ...shipped("policy.yaml")]) await api.apply(object);
    }
});
