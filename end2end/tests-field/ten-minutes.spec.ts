/**
 * docs/idle-automatically.md, "Set it up in ten minutes": its commands as they stand there, with real Helm,
 * Prometheus, Traefik and kube-proxy. Only the time without use is seconds.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { writeKubeconfig } from "../cluster/api";
import { helm } from "../cluster/helm";
import { type Deployment } from "../cluster/objects";
import { clusterFacts } from "../cluster/setup";
import { PROGRAM, Unidler } from "../cluster/unidler";
import { isAsleep, recordOf } from "../field/idled";
import { visit } from "../field/load";
import { Prometheus } from "../field/prometheus";
import { listenerSlice } from "../field/setup";
import { Visit } from "../field/visit";
import { expect, test } from "./fixtures";

/** Another one than that of the manifests, which all these tests share. */
const RELEASE = "sleepy";
const WINDOW = "15s";

test("an operator who follows the ten minutes has an app that sleeps and wakes", async ({ page, api, startApp }, testInfo) => {
    test.setTimeout(300_000);
    const prometheus = await Prometheus.start();
    const app = await startApp();
    const steps = readFileSync(join(__dirname, "../../docs/idle-automatically.md"), "utf8").split("\n## ")[1] ?? "";
    const [configure = "", wake = ""] = [/helm upgrade .*\\\n.*idleDryRun=true/, /--set config\.idleDryRun=false/].map((command) => command.exec(steps)?.[0]);
    const [label = ""] = /unidler\/app=true/.exec(steps) ?? [];

    // A process stands in for its pods, which stay pending.
    helm("install", RELEASE, RELEASE, { nodeSelector: { "tests/nowhere": "true" } }, "--create-namespace", "--set", "image=registry.example.org/unidler:0.1.0");
    let unidler: Unidler | undefined;
    try {
        upgrade(configure.replace("http://prometheus.monitoring:9090", prometheus.url).replace("idleAfter=2h", `idleAfter=${WINDOW}`));
        const [key = "", value = ""] = label.split("=");
        await api.patch("Namespace", "", app.namespace, { metadata: { labels: { [key]: value } } });
        unidler = await start("dry.log");

        await expect.poll(plan, { timeout: 120_000 }).toContainEqual(expect.stringMatching(new RegExp(`^${app.host} +used \\d+ s ago: requests; unused, it sleeps in \\d+ s$`)));
        await visit(app.host);
        await expect.poll(plan, { timeout: 60_000 }).toContainEqual(expect.stringMatching(new RegExp(`^${app.host} +falls asleep now: not used$`)));
        await expect.poll(() => unidler?.log).toContain(`dry run: falls asleep now: not used app=${app.host}`);
        expect(await isAsleep(api, app)).toBe(false);

        upgrade(`helm upgrade unidler deploy/chart --namespace unidler --reuse-values ${wake}`);
        await unidler.stop();
        unidler = await start("unidler.log");
        await expect.poll(() => isAsleep(api, app), { timeout: 120_000 }).toBe(true);
        expect((await recordOf(api, app, RELEASE)).by).toBe("idle-after");

        await expect.poll(async () => (await api.list("Pod", app.namespace)).length).toBe(0);
        const visitor = Visit.of(page);
        await page.goto(`http://${app.host}/reports?year=2026`);
        await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`, { timeout: 30_000 });
        expect(visitor.documents.map(({ by }) => by)).toEqual(["unidler", "app"]);
    } finally {
        await unidler?.stop();
        helm("uninstall", RELEASE, RELEASE, {}, "--no-hooks");
        await api.delete("EndpointSlice", RELEASE, `${RELEASE}-0`);
        await api.delete("Namespace", "", RELEASE);
        await prometheus.stop();
    }

    /** Runs the command with this release and its options. */
    function upgrade(command: string): void {
        const options = command.replaceAll("\\\n", " ").split(/\s+/);
        helm("upgrade", RELEASE, RELEASE, {}, ...options.slice(options.indexOf("--reuse-values")).map((option) => option.replaceAll("'", "")));
    }

    /** What the pod's container has in its environment, and how often it decides here. */
    async function environment(): Promise<Record<string, string>> {
        const { spec } = (await api.get("Deployment", RELEASE, RELEASE)) as Deployment;
        const [{ env = [] } = {}] = spec.template.spec.containers as { env?: { name: string; value: string }[] }[];
        const kubeconfig = testInfo.outputPath("pod.kubeconfig");
        writeKubeconfig(kubeconfig, { ...clusterFacts().access, token: await api.tokenOf(RELEASE, RELEASE) });
        const given = Object.fromEntries(env.map(({ name, value }) => [name, value]));
        // In a pod, its namespace is that of its account.
        return { ...given, KUBECONFIG: kubeconfig, UNIDLER_SERVICE: `${RELEASE}/${RELEASE}`, UNIDLER_IDLE_CHECK: "1s", UNIDLER_SHUTDOWN_DELAY: "0" };
    }

    /** Starts what its pod runs, behind its Service. */
    async function start(log: string): Promise<Unidler> {
        const { UNIDLER_ADMIN_PORT: _, ...variables } = await environment();
        const unidler = await Unidler.start(variables, testInfo.outputPath(log));
        await api.apply(listenerSlice(RELEASE, 0, unidler.port));
        return unidler;
    }

    /** As `kubectl exec deploy/unidler -- /unidler plan` prints it. */
    async function plan(): Promise<string[]> {
        return execFileSync(PROGRAM, ["plan"], { env: await environment(), encoding: "utf8" }).split("\n");
    }
});
