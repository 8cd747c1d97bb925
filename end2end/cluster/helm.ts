/** The chart, as the real helm renders and installs it. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { writeKubeconfig } from "./api";
import { type KubeObject } from "./objects";
import { clusterFacts, documents } from "./setup";

const CHART = join(__dirname, "../../deploy/chart");

/** Values of the chart, as in a values file. */
export type Values = Record<string, unknown>;

/** Runs a command of helm for a release, as an administrator of the cluster. Gives what it prints. */
export function helm(command: "install" | "upgrade" | "template" | "uninstall", release: string, namespace: string, values: Values = {}, ...options: string[]): string {
    const dir = mkdtempSync(join(tmpdir(), "unidler-helm-"));
    try {
        const [kubeconfig, file] = [join(dir, "kubeconfig"), join(dir, "values.yaml")];
        writeKubeconfig(kubeconfig, clusterFacts().access);
        // JSON is YAML.
        writeFileSync(file, JSON.stringify(values));
        const chart = command === "uninstall" ? [] : [CHART, "--values", file];
        const args = [command, release, ...chart, "--namespace", namespace, ...options];
        return execFileSync("helm", args, { env: { PATH: process.env.PATH, HOME: dir, KUBECONFIG: kubeconfig }, encoding: "utf8", stdio: "pipe" });
    } finally {
        rmSync(dir, { recursive: true, force: true });
    }
}

/** What a template of the chart renders to for the release that the manifests of `deploy/` are of. */
export function rendered(template: string, values: Values, ...options: string[]): KubeObject[] {
    return documents(helm("template", "unidler", "unidler", values, "--kube-version", "1.33.0", "--show-only", `templates/${template}.yaml`, ...options));
}
