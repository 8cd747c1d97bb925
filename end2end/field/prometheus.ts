/** Prometheus, which scrapes Traefik every second. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Child, freePort } from "../cluster/child";
import { PROGRAMS } from "../cluster/control-plane";
import { until } from "../cluster/wait";
import { METRICS_PORT } from "./setup";

/** An element of an answer. */
export interface Sample {
    metric: Record<string, string>;
    value: [number, string];
}

export class Prometheus {
    private constructor(
        private readonly dir: string,
        private readonly port: number,
        private child: Child,
    ) {}

    /** Starts it, and waits until it has scraped Traefik. It knows nothing of what was before. */
    static async start(): Promise<Prometheus> {
        const dir = mkdtempSync(join(tmpdir(), "unidler-prometheus-"));
        const port = await freePort();
        const prometheus = new Prometheus(dir, port, run(dir, port, []));
        await prometheus.scrapes();
        return prometheus;
    }

    /** Where it is asked. */
    get url(): string {
        return `http://127.0.0.1:${this.port}`;
    }

    /** What a query gives now. */
    async query(query: string): Promise<Sample[]> {
        const response = await fetch(`${this.url}/api/v1/query`, { method: "POST", body: new URLSearchParams({ query }) });
        const { status, data, error } = (await response.json()) as { status: string; data: { result: Sample[] }; error?: string };
        if (status !== "success") throw new Error(`Prometheus refuses ${query}: ${error}`);
        return data.result;
    }

    /** Stops it as a crash does. What it has scraped stays. */
    async pause(): Promise<void> {
        await this.child.kill();
    }

    /** Starts it again, perhaps with other rules for what it stores of what it scrapes. */
    async resume(relabelings: object[] = []): Promise<void> {
        await this.child.stop();
        this.child = run(this.dir, this.port, relabelings);
        await this.scrapes();
    }

    async stop(): Promise<void> {
        await this.child.kill();
        rmSync(this.dir, { recursive: true, force: true });
    }

    private async scrapes(): Promise<void> {
        const isUp = async () => (await this.query("up == 1")).length > 0;
        await until("Prometheus scrapes Traefik", 30, isUp, () => this.child.assertRunning());
    }
}

function run(dir: string, port: number, metric_relabel_configs: object[]): Child {
    const targets = [`127.0.0.1:${METRICS_PORT}`];
    const job = { job_name: "traefik", scrape_interval: "1s", scrape_timeout: "1s", static_configs: [{ targets }], metric_relabel_configs };
    // JSON is YAML.
    const config = join(dir, "prometheus.yml");
    writeFileSync(config, JSON.stringify({ scrape_configs: [job] }));
    const args = { "config.file": config, "storage.tsdb.path": join(dir, "data"), "web.listen-address": `127.0.0.1:${port}` };
    return Child.start(join(PROGRAMS, "prometheus"), Object.entries(args).map(([name, value]) => `--${name}=${value}`), join(dir, "prometheus.log"));
}
