/** The product itself, as a process beside the control plane. */
import { existsSync } from "node:fs";
import { get } from "node:http";
import { join, resolve } from "node:path";

import { Child, freePorts } from "./child";
import { until } from "./wait";

export const PROGRAM = resolve(process.env.UNIDLER_BIN ?? join(__dirname, "../../dist/unidler"));

export class Unidler {
    private constructor(
        readonly port: number,
        /** Where it tells operators how it is. */
        readonly adminPort: number,
        private readonly variables: Record<string, string>,
        private readonly logFile: string,
        private child: Child,
    ) {}

    /** Starts it with these variables, and waits until it knows the cluster. */
    static async start(variables: Record<string, string>, logFile: string): Promise<Unidler> {
        const [port, adminPort] = await freePorts(2) as [number, number];
        const all = { UNIDLER_ADMIN_PORT: `127.0.0.1:${adminPort}`, ...variables };
        const unidler = new Unidler(port, adminPort, all, logFile, run(port, all, logFile));
        await unidler.ready();
        return unidler;
    }

    get log(): string {
        return this.child.log;
    }

    /** Without any warning, as a lost node would. */
    async kill(): Promise<void> {
        await this.child.kill();
    }

    /** Whether it wants to be sent visitors, in its own words. */
    async readiness(): Promise<string> {
        return await (await fetch(`http://127.0.0.1:${this.adminPort}/readyz`)).text();
    }

    /** Whether it wants to be sent visitors. */
    async isReady(): Promise<boolean> {
        return (await statusOf(`http://127.0.0.1:${this.port}/_unidler/readyz`)) === 200;
    }

    async startAgain(): Promise<void> {
        this.child = run(this.port, this.variables, this.logFile);
        await this.ready();
    }

    async stop(): Promise<void> {
        await this.child.stop();
    }

    private async ready(): Promise<void> {
        await until(`${PROGRAM} is ready`, 30, () => this.isReady(), () => this.child.assertRunning());
    }
}

/** Nothing of our own environment: a kubeconfig is all that it needs, and a cluster around us would outweigh it. */
function run(port: number, variables: Record<string, string>, logFile: string): Child {
    if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is not there: run \`make build\` first, or say where it is in UNIDLER_BIN`);
    return Child.start(PROGRAM, [], logFile, { PORT: String(port), ...variables });
}

function statusOf(url: string): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
        get(url, { agent: false }, (response) => {
            response.resume();
            resolve(response.statusCode);
        }).on("error", reject);
    });
}
