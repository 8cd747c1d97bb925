/** Prometheus, which scrapes Traefik every second. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";

import { parse } from "yaml";

import { selfSigned } from "../cluster/certificate";
import { Child, freePort } from "../cluster/child";
import { PROGRAMS } from "../cluster/control-plane";
import { until } from "../cluster/wait";
import { METRICS_PORT } from "./setup";

/** The headers that name the only user of a Prometheus with a lock. */
export const AUTHORIZED = { authorization: `Basic ${Buffer.from("unidler:open sesame").toString("base64")}` };
/** The hash of that password (bcrypt). */
const HASH = "$2a$04$GpXmU7.Mbqf8cAD9oGAloe.u7uXVbrtUzmegiyNcL4Id2Vw69/JUK";

/** What Prometheus does besides scraping Traefik. */
interface Extras {
    /** Rules for what it stores of what it scrapes from Traefik. */
    relabelings?: object[];
    /** A cluster with which it shares Prometheus: what it scrapes from Traefik is stored as that cluster's as well. */
    otherCluster?: string;
    /** The port at which unidler shows its metrics. They are scraped, and the alerts of `deploy/` are evaluated. */
    unidler?: number;
    /** It is only reached by TLS, and only answers to those who are authorized. */
    lock?: boolean;
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
        private isLocked = false,
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
        return `${this.isLocked ? "https" : "http"}://127.0.0.1:${this.port}`;
    }

    /** The certificate with which it can be verified if it has a lock. */
    get certificate(): string {
        return join(this.dir, "tls.crt");
    }

    /** What a query gives now. */
    async query(query: string): Promise<Sample[]> {
        const url = `${this.url}/api/v1/query?${new URLSearchParams({ query })}`;
        const answer = this.isLocked ? await securely(url, readFileSync(this.certificate)) : await (await fetch(url)).text();
        const { status, data, error } = JSON.parse(answer) as { status: string; data: { result: Sample[] }; error?: string };
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
        this.isLocked = extras.lock ?? false;
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

/** The answer of a server with a certificate of its own making. */
async function securely(url: string, ca: Buffer): Promise<string> {
    return await new Promise((resolve, reject) => {
        request(url, { ca, headers: AUTHORIZED }, (response) => text(response).then(resolve, reject)).on("error", reject).end();
    });
}

function run(dir: string, port: number, { relabelings = [], otherCluster, unidler, lock }: Extras): Child {
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
    const { certificate, key } = selfSigned(dir);
    const web = join(dir, "web.yml");
    writeFileSync(web, JSON.stringify(lock ? { tls_server_config: { cert_file: certificate, key_file: key }, basic_auth_users: { unidler: HASH } } : {}));
    const args = { "config.file": config, "web.config.file": web, "storage.tsdb.path": join(dir, "data"), "web.listen-address": `127.0.0.1:${port}` };
    return Child.start(join(PROGRAMS, "prometheus"), Object.entries(args).map(([name, value]) => `--${name}=${value}`), join(dir, "prometheus.log"));
}
