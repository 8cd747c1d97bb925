/** Child processes that end when we end, however we end: a killed test run leaves none behind. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** A program under way, with everything it prints in one file. */
export class Child {
    readonly exited: Promise<void>;
    private readonly leash: ChildProcess;

    private constructor(
        private readonly process: ChildProcess,
        readonly logFile: string,
    ) {
        this.exited = new Promise((resolve) => {
            process.once("exit", () => resolve());
            process.once("error", () => resolve());
        });
        this.leash = atOurEnd('kill -9 "$1"', String(process.pid));
    }

    static start(program: string, args: string[], logFile: string, env?: Record<string, string>): Child {
        const log = openSync(logFile, "a");
        // A process group of its own: Ctrl-C is for the test run, which then stops its children in order.
        const child = spawn(program, args, { detached: true, stdio: ["ignore", log, log], env: env ?? process.env });
        closeSync(log);
        return new Child(child, logFile);
    }

    get pid(): number | undefined {
        return this.process.pid;
    }

    get isRunning(): boolean {
        return this.process.pid !== undefined && this.process.exitCode === null && this.process.signalCode === null;
    }

    get log(): string {
        return readFileSync(this.logFile, "utf8");
    }

    /** Throws with the end of the log if the program is not running any more. */
    assertRunning(): void {
        if (!this.isRunning) throw new Error(`${this.process.spawnfile} has ended:\n${this.log.split("\n").slice(-20).join("\n")}`);
    }

    async kill(): Promise<void> {
        await this.end("SIGKILL");
    }

    async stop(): Promise<void> {
        const impatience = new AbortController();
        const kill = sleep(10_000, undefined, impatience).then(() => this.process.kill("SIGKILL"));
        await this.end("SIGTERM");
        impatience.abort();
        await kill.catch(() => {});
    }

    private async end(signal: NodeJS.Signals): Promise<void> {
        if (this.isRunning) {
            this.process.kill(signal);
            await this.exited;
        }
        this.leash.kill("SIGKILL");
    }
}

/** Runs a shell command when this process is gone: the pipe that only we hold is closed then. */
export function atOurEnd(command: string, ...args: string[]): ChildProcess {
    const leash = spawn("sh", ["-c", `cat >/dev/null; ${command}`, "sh", ...args], {
        detached: true,
        stdio: ["pipe", "ignore", "ignore"],
    });
    leash.unref();
    return leash;
}

/** A port of 127.0.0.1 that nobody listens on. */
export async function freePort(): Promise<number> {
    return (await freePorts(1))[0]!;
}

/** Ports that are different: all are held until the last one is known. */
export async function freePorts(count: number): Promise<number[]> {
    const servers = Array.from({ length: count }, () => createServer());
    for (const server of servers) await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const ports = servers.map((server) => (server.address() as AddressInfo).port);
    for (const server of servers) await new Promise((resolve) => server.close(resolve));
    return ports;
}
