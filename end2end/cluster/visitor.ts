/** Visitors without a browser: the JSON status, and the event stream. */
import { type IncomingMessage, request } from "node:http";

/** The part of a snapshot that tests look at. */
export interface Progress {
    phase: "asleep" | "waking" | "ready" | "failed";
    step?: string;
    reason?: string;
    restarts?: number;
    reference: string;
    host: string;
    revision: number;
}

export interface ServerEvent {
    /** When it came, in milliseconds of `Date.now()`. */
    at: number;
    event: string;
    progress: Progress;
}

/** Where unidler says an app stands. Asking starts nothing. */
export async function status(port: number, host: string): Promise<Progress> {
    return JSON.parse((await answer(port, host, { path: "/_unidler/status" })).body);
}

/** What a visitor asks for. */
export interface Question {
    method?: string;
    path: string;
    headers?: Record<string, string>;
}

/** The whole answer to a question. */
export async function answer(port: number, host: string, question: Question): Promise<{ status: number | undefined; body: string }> {
    const response = await ask(port, host, question);
    let body = "";
    for await (const part of response.setEncoding("utf8")) body += part;
    return { status: response.statusCode, body };
}

/** Starts the wake-up of an app or joins it, and gives all that is told, once the stream has ended. */
export async function events(port: number, host: string): Promise<ServerEvent[]> {
    const told: ServerEvent[] = [];
    await listen(port, host, (event) => told.push(event));
    return told;
}

/** Starts the wake-up of an app or joins it, and tells of each event as it comes, until the stream ends. */
export async function listen(port: number, host: string, tell: (event: ServerEvent) => void): Promise<void> {
    const response = await ask(port, host, { path: "/events/" });
    let text = "";
    for await (const part of response.setEncoding("utf8")) {
        const blocks = (text + part).split("\n\n");
        text = blocks.pop() ?? "";
        for (const block of blocks) {
            const event = /^event: ?(.+)$/m.exec(block)?.[1];
            const data = /^data: ?(.+)$/m.exec(block)?.[1];
            if (event && data) tell({ at: Date.now(), event, progress: JSON.parse(data) });
        }
    }
}

/** Starts the wake-up of an app and listens no further than to the beginning of the answer. */
export async function startWaking(port: number, host: string): Promise<void> {
    (await ask(port, host, { path: "/events/" })).destroy();
}

export function ask(port: number, host: string, { method = "GET", path, headers }: Question): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
        const options = { host: "127.0.0.1", port, method, path, headers: { host: `${host}:${port}`, ...headers }, agent: false };
        request(options, resolve).on("error", reject).end();
    });
}
