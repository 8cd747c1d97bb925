/** Visitors without a browser: the JSON status, and the event stream. */
import { type IncomingMessage, get } from "node:http";

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

/** Where the unidler says an app stands. Asking starts nothing. */
export async function status(port: number, host: string): Promise<Progress> {
    return JSON.parse(await text(await ask(port, host, "/_unidler/status")));
}

/** Starts the wake-up of an app or joins it, and gives all that is told, once the stream has ended. */
export async function events(port: number, host: string): Promise<ServerEvent[]> {
    const told: ServerEvent[] = [];
    await listen(port, host, (event) => told.push(event));
    return told;
}

/** Starts the wake-up of an app or joins it, and tells of each event as it comes, until the stream ends. */
export async function listen(port: number, host: string, tell: (event: ServerEvent) => void): Promise<void> {
    const response = await ask(port, host, "/events/");
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
    (await ask(port, host, "/events/")).destroy();
}

function ask(port: number, host: string, path: string): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
        get({ host: "127.0.0.1", port, path, headers: { host: `${host}:${port}` }, agent: false }, resolve).on("error", reject);
    });
}

async function text(response: IncomingMessage): Promise<string> {
    let text = "";
    for await (const part of response.setEncoding("utf8")) text += part;
    return text;
}
