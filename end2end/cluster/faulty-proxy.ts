/** A proxy in front of the API server, without TLS, that fails in whatever way a test asks for. */
import { readFileSync, writeFileSync } from "node:fs";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import { Agent, request } from "node:https";
import { type AddressInfo, type Socket } from "node:net";
import { createInterface } from "node:readline";

import { type ClusterFacts } from "./setup";

/** One request that came in. */
export interface Passing {
    /** When, in milliseconds of `Date.now()`. */
    at: number;
    method: string;
    /** Without its query. */
    path: string;
    kind: "list" | "watch" | "write" | "note";
}

/** An answer that is not the API server's. */
export interface Answer {
    status: number;
    headers?: Record<string, string>;
    body: string;
}

/** What happens to a request: it gets no answer at all, or is carried out and only its answer lost, or gets another one. */
export type Fault = "silence" | "loss" | Answer;

export class FaultyProxy {
    readonly passings: Passing[] = [];
    /** Decides about each request; with `undefined` it is passed on. */
    fault: (passing: Passing) => Fault | undefined = () => undefined;
    /** Whether a watch brings a bookmark in the place of every event: it is alive, moves on, and tells nothing. */
    bringsOnlyBookmarks = false;

    private readonly server: Server = createServer((incoming, response) => this.answer(incoming, response));
    private readonly agent: Agent;
    private readonly sockets = new Set<Socket>();
    /** Those over which nothing comes any more, and nobody knows. */
    private readonly silent = new WeakSet<Socket>();
    /** The open ones, and what each watches. */
    private readonly watches = new Map<ServerResponse, string>();
    private port = 0;

    private constructor(private readonly facts: ClusterFacts) {
        this.agent = new Agent({ ca: readFileSync(facts.access.caFile), keepAlive: true });
        this.server.on("connection", (socket: Socket) => {
            this.sockets.add(socket);
            socket.on("close", () => this.sockets.delete(socket));
        });
    }

    static async start(facts: ClusterFacts): Promise<FaultyProxy> {
        const proxy = new FaultyProxy(facts);
        await proxy.listen(0);
        return proxy;
    }

    /** Writes a kubeconfig of unidler's that leads through this. */
    writeKubeconfig(file: string): void {
        const { access, kubeconfig } = this.facts;
        writeFileSync(file, readFileSync(kubeconfig, "utf8").replaceAll(access.server, `http://127.0.0.1:${this.port}`), { mode: 0o600 });
    }

    /** The requests of a kind that came in, in their order. */
    of(kind: Passing["kind"], resource = ""): Passing[] {
        return this.passings.filter((passing) => passing.kind === kind && passing.path.endsWith(resource));
    }

    /** The paths that are being watched. */
    get watched(): string[] {
        return [...this.watches.values()];
    }

    /** Ends every open watch of a resource, or of all, as if there were nothing more to tell. */
    endWatches(resource = ""): void {
        for (const [watch, path] of this.watches) if (path.endsWith(resource)) watch.end();
    }

    /** Breaks the connection of every open watch. */
    resetWatches(): void {
        for (const watch of this.watches.keys()) watch.socket?.resetAndDestroy();
    }

    /** Nothing comes any more over any connection that is open now. New ones work. */
    silence(): void {
        for (const socket of this.sockets) this.silent.add(socket);
    }

    /** Until `accept`, there is nobody to connect to. */
    async refuse(): Promise<void> {
        const closed = new Promise((resolve) => this.server.close(resolve));
        for (const socket of this.sockets) socket.resetAndDestroy();
        await closed;
    }

    async accept(): Promise<void> {
        await this.listen(this.port);
    }

    async stop(): Promise<void> {
        if (this.server.listening) await this.refuse();
        this.agent.destroy();
    }

    private async listen(port: number): Promise<void> {
        await new Promise<void>((resolve) => this.server.listen(port, "127.0.0.1", resolve));
        this.port = (this.server.address() as AddressInfo).port;
    }

    private answer(incoming: IncomingMessage, response: ServerResponse): void {
        const { method = "", url = "", socket } = incoming;
        const [path = "", query] = url.split("?");
        const isWatch = new URLSearchParams(query).has("watch");
        // An Event changes no app.
        const isNote = path.endsWith("/events");
        const passing: Passing = { at: Date.now(), method, path, kind: isNote ? "note" : method !== "GET" ? "write" : isWatch ? "watch" : "list" };
        this.passings.push(passing);
        const fault = this.fault(passing);
        if (fault === "silence" || this.silent.has(socket)) return;
        if (typeof fault === "object") {
            incoming.resume();
            response.writeHead(fault.status, fault.headers).end(fault.body);
            return;
        }
        this.pass(incoming, response, passing, fault === "loss");
    }

    private pass(incoming: IncomingMessage, response: ServerResponse, { kind, path }: Passing, isLost: boolean): void {
        const { method, url = "", headers, socket } = incoming;
        const { host: _, ...others } = headers;
        const upstream = request(new URL(url, this.facts.access.server), { method, headers: others, agent: this.agent }, (answer) => {
            if (isLost) return void answer.resume();
            const { connection: _, "keep-alive": __, "transfer-encoding": ___, ...endToEnd } = answer.headers;
            if (this.silent.has(socket)) return;
            response.writeHead(answer.statusCode ?? 0, endToEnd);
            response.flushHeaders();
            const tell = (part: Buffer | string) => this.silent.has(socket) || response.writableEnded || response.write(part);
            if (kind === "watch" && answer.statusCode === 200) {
                this.watches.set(response, path);
                const lines = createInterface({ input: answer });
                lines.on("line", (line) => tell(`${this.bringsOnlyBookmarks ? bookmarkOf(line) : line}\n`));
                // It gets those of its input.
                lines.on("error", () => response.destroy());
            } else answer.on("data", tell);
            answer.on("end", () => this.silent.has(socket) || response.end());
            answer.on("error", () => response.destroy());
        });
        upstream.on("error", () => response.destroy());
        response.on("close", () => {
            this.watches.delete(response);
            upstream.destroy();
        });
        incoming.pipe(upstream);
    }
}

/** A bookmark that is as far as an event of a watch, and says nothing else of it. */
function bookmarkOf(event: string): string {
    const { apiVersion, kind, metadata } = JSON.parse(event).object;
    const object = { apiVersion, kind, metadata: { resourceVersion: metadata.resourceVersion, creationTimestamp: null } };
    return JSON.stringify({ type: "BOOKMARK", object });
}

/** How the API server itself says that something is not possible. */
export function refusal(code: number, reason: string, message: string): Answer {
    const status = { kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", message, reason, code };
    return { status: code, headers: { "content-type": "application/json" }, body: JSON.stringify(status) };
}
