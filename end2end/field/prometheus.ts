/** Prometheus, which scrapes Traefik every second. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { parse } from "yaml";

import { Child, freePort } from "../cluster/child";
import { PROGRAMS } from "../cluster/control-plane";
import { until } from "../cluster/wait";
import { METRICS_PORT } from "./setup";

/** What Prometheus does besides scraping Traefik. */
interface Extras {
    /** Rules for what it stores of what it scrapes from Traefik. */
    relabelings?: object[];
    /** A cluster with which it shares Prometheus: what it scrapes from Traefik is stored as that cluster's as well. */
    otherCluster?: string;
    /** The port at which unidler shows its metrics. They are scraped, and the alerts of `deploy/` are evaluated. */
    unidler?: number;
}

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
        const prometheus = new Prometheus(dir, port, run(dir, port, {}));
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

    /** Starts it again. */
    async resume(extras: Extras = {}): Promise<void> {
        await this.child.stop();
        this.child = run(this.dir, this.port, extras);
        await this.scrapes();
    }

    async stop(): Promise<void> {
        await this.child.kill();
        rmSync(this.dir, { recursive: true, force: true });
    }

    private async scrapes(): Promise<void> {
        const since = Date.now() / 1000;
        const isUp = async () => (await this.query(`timestamp(up{job="traefik"} == 1) > ${since}`)).length > 0;
        await until("Prometheus scrapes Traefik", 30, isUp, () => this.child.assertRunning());
    }
}

function run(dir: string, port: number, { relabelings = [], otherCluster, unidler }: Extras): Child {
    const global = { scrape_interval: "1s", scrape_timeout: "1s", evaluation_interval: "1s" };
    const job = (name: string, target: number, labels: object = {}, metric_relabel_configs: object[] = []) => {
        return { job_name: name, static_configs: [{ targets: [`127.0.0.1:${target}`], labels }], metric_relabel_configs };
    };
    const jobs = [job("traefik", METRICS_PORT, {}, relabelings)];
    if (otherCluster) jobs.push(job("traefik-elsewhere", METRICS_PORT, { cluster: otherCluster }));
    if (unidler) jobs.push(job("unidler", unidler));
    const [config, rules] = [join(dir, "prometheus.yml"), join(dir, "alerts.yml")];
    const { spec } = parse(readFileSync(join(__dirname, "../../deploy/monitoring/alerts.yaml"), "utf8")) as { spec: object };
    // JSON is YAML.
    writeFileSync(rules, JSON.stringify(spec));
    writeFileSync(config, JSON.stringify({ global, scrape_configs: jobs, rule_files: unidler ? [rules] : [] }));
    const args = { "config.file": config, "storage.tsdb.path": join(dir, "data"), "web.listen-address": `127.0.0.1:${port}` };
    return Child.start(join(PROGRAMS, "prometheus"), Object.entries(args).map(([name, value]) => `--${name}=${value}`), join(dir, "prometheus.log"));
}
