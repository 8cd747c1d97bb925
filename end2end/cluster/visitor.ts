/** Visitors without a browser: the JSON status, and the event stream. */
import { type IncomingMessage, get } from "node:http";

/** The part of a snapshot that tests look at. */
export interface Progress {
    phase: "asleep" | "waking" | "ready" | "failed";
    step?: string;
    reason?: string;
    reference: string;
    host: string;
    revision: number;
}

export interface ServerEvent {
    event: string;
    progress: Progress;
}

/** Where the unidler says an app stands. Asking starts nothing. */
export async function status(port: number, host: string): Promise<Progress> {
    return JSON.parse(await text(await ask(port, host, "/_unidler/status")));
}

/** Starts the wake-up of an app or joins it, and gives all that is told, once the stream has ended. */
export async function events(port: number, host: string): Promise<ServerEvent[]> {
    const blocks = (await text(await ask(port, host, "/events/"))).split("\n\n");
    return blocks.flatMap((block) => {
        const event = /^event: ?(.+)$/m.exec(block)?.[1];
        const data = /^data: ?(.+)$/m.exec(block)?.[1];
        return event && data ? [{ event, progress: JSON.parse(data) }] : [];
    });
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
