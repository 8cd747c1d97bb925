/**
 * What stands between a browser and the demo: an ingress that routes by path and rewrites, a proxy that adds headers or
 * answers in the app's place, an app of the test's own, a network that swallows bytes.
 */
import { type IncomingMessage, type Server, type ServerResponse, createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

/** What becomes of a request: the path to forward it with, or `null` if the handler answers, or never does. */
export type Handler = (incoming: IncomingMessage, answer: ServerResponse, standIn: StandIn) => string | null;

/** What is answered in place of the demo's app; `undefined` leaves the answer to that. */
export type App = (incoming: IncomingMessage, answer: ServerResponse, standIn: StandIn) => null | undefined;

interface Options {
    route?: Handler;
    app?: App;
}

/** A request as it has arrived. */
export interface Seen {
    method: string;
    path: string;
    headers: IncomingMessage["headers"];
    /** When, in milliseconds. */
    at: number;
    body?: string;
    /** Whether unidler has answered. */
    ours?: boolean;
}

export class StandIn {
    /** Every request, in order. */
    readonly seen: Seen[] = [];
    /** Headers that are set on each answer of the demo, or appended to it if they are an array. */
    headers: Record<string, string | string[]> = {};
    /** What the status of an app that is ready says of the requests that still reach unidler. */
    forwarding?: "seamless" | "partial";
    /** Whether bytes of an open event stream are swallowed, without ending it. */
    swallows = false;

    private constructor(
        private readonly server: Server,
        private readonly demoPort: number,
        private readonly options: Options,
    ) {}

    /** Starts one in front of a demo. Without options, everything is forwarded as it is. */
    static async start(demo: { port: number }, options: Options = {}): Promise<StandIn> {
        const server = createServer();
        const standIn = new StandIn(server, demo.port, options);
        server.on("request", (incoming, answer) => void standIn.serve(incoming, answer));
        await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
        return standIn;
    }

    /** The address of a scene through it. */
    url(scene: string, path = "/"): string {
        return `http://${scene}.localhost:${(this.server.address() as AddressInfo).port}${path}`;
    }

    /** How often something was asked for. */
    count(method: string, path: string | RegExp): number {
        return this.seen.filter((seen) => seen.method === method && (typeof path === "string" ? seen.path === path : path.test(seen.path))).length;
    }

    stop(): void {
        this.server.closeAllConnections();
        this.server.close();
    }

    private async serve(incoming: IncomingMessage, answer: ServerResponse): Promise<void> {
        const seen: Seen = { method: incoming.method ?? "", path: incoming.url ?? "", headers: incoming.headers, at: Date.now() };
        this.seen.push(seen);
        if (incoming.method === "POST") seen.body = await text(incoming);
        const { route = ({ url }) => url ?? "/" } = this.options;
        const path = route(incoming, answer, this);
        if (path !== null) this.forward(path, seen, incoming, answer);
    }

    private forward(path: string, seen: Seen, incoming: IncomingMessage, answer: ServerResponse): void {
        const outgoing = request({ host: "127.0.0.1", port: this.demoPort, path, method: incoming.method, headers: incoming.headers, agent: false }, (response) => {
            const headers = { ...response.headers };
            seen.ours = "x-unidler" in headers;
            if (!seen.ours && this.options.app?.(incoming, answer, this) === null) {
                response.resume();
                return;
            }
            for (const [name, value] of Object.entries(this.headers)) {
                const before = headers[name] === undefined ? [] : [headers[name]].flat();
                headers[name] = Array.isArray(value) ? [...before, ...value] : value;
            }
            if (seen.ours && this.forwarding && /_unidler\/status(\?|$)/.test(path)) {
                delete headers["content-length"];
                void text(response).then((status) => {
                    const progress = JSON.parse(status) as { phase: string };
                    const forwarding = progress.phase === "ready" ? this.forwarding : undefined;
                    answer.writeHead(response.statusCode ?? 502, headers).end(JSON.stringify({ ...progress, forwarding }));
                });
                return;
            }
            answer.writeHead(response.statusCode ?? 502, headers);
            const isSwallowed = () => this.swallows && /event-stream/.test(headers["content-type"] ?? "");
            response.on("data", (bytes) => {
                if (!isSwallowed()) answer.write(bytes);
            });
            response.on("end", () => {
                if (!isSwallowed()) answer.end();
            });
        });
        outgoing.on("error", () => answer.destroy());
        answer.on("close", () => outgoing.destroy());
        outgoing.end(seen.body);
    }
}

/** Whether something is asked for that is reserved for unidler. */
export const isReserved = (incoming: IncomingMessage) => /\/_unidler\//.test(incoming.url ?? "");

/** Answers in plain text. */
export function say(answer: ServerResponse, status: number, body = "", headers: Record<string, string> = {}): null {
    answer.writeHead(status, { "content-type": "text/html; charset=utf-8", ...headers }).end(body);
    return null;
}
