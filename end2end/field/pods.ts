/**
 * The programs in the pods. kwok's pods have no processes, so each gets a web server here, on the pod's own address. It listens while
 * the pod is Ready, keeps serving for a while after the pod is deleted, like a program that handles SIGTERM, and then refuses
 * connections.
 */
import { createHash } from "node:crypto";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import { type Socket } from "node:net";
import { type Duplex } from "node:stream";

import { type Api, type Change } from "../cluster/api";
import { type Pod } from "../cluster/objects";

/** The container's port. */
export const POD_PORT = 3000;
/** Annotation of a pod: for how many milliseconds it keeps serving after its deletion. 0: it exits at once. */
export const DRAIN = "unidler.tests/drain-milliseconds";

/** Where a pod says when it was last asked for anything else, as `last_seen`, in milliseconds. */
export const LAST_SEEN = "/last-seen";

export class Pods {
    private readonly stopped = new AbortController();
    private readonly listeners = new Map<string, Listener>();

    private constructor() {}

    /** Runs the programs of all pods with the label `app`, until it is stopped. */
    static async start(api: Api): Promise<Pods> {
        const pods = new Pods();
        await api.follow("Pod", pods.stopped.signal, (change, pod) => pods.note(change, pod));
        return pods;
    }

    stop(): void {
        this.stopped.abort();
        for (const listener of this.listeners.values()) listener.close();
    }

    private note(change: Change, pod: Pod): void {
        const { uid = "", labels = {}, annotations = {}, deletionTimestamp } = pod.metadata;
        const listener = this.listeners.get(uid);
        if (change === "DELETED") {
            listener?.close();
            this.listeners.delete(uid);
        } else if (deletionTimestamp) {
            listener?.closeAfter(Number(annotations[DRAIN] ?? 3000));
        } else if (!listener && labels.app && pod.status?.podIP && isReady(pod)) {
            this.listeners.set(uid, new Listener(labels.app, pod.metadata.name, pod.status.podIP));
        }
    }
}

export function isReady({ status }: Pod): boolean {
    return status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;
}

/** One pod's server. */
class Listener {
    private readonly server: Server;
    private readonly sockets = new Set<Socket>();
    private isClosing = false;
    private lastSeen = Date.now();

    constructor(app: string, pod: string, address: string) {
        this.server = createServer((request, response) => {
            response.setHeader("x-app", app);
            response.setHeader("x-app-pod", pod);
            if (request.url === LAST_SEEN) {
                response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ last_seen: this.lastSeen }));
                return;
            }
            this.lastSeen = Date.now();
            answer(app, pod, request, response);
        });
        this.server.on("connection", (socket) => {
            this.sockets.add(socket);
            socket.on("close", () => this.sockets.delete(socket));
        });
        this.server.on("upgrade", (request, socket, head) => echo(pod, request, socket, head));
        this.server.listen(POD_PORT, address);
    }

    closeAfter(milliseconds: number): void {
        if (this.isClosing) return;
        this.isClosing = true;
        if (milliseconds === 0) this.close();
        else setTimeout(() => this.close(), milliseconds).unref();
    }

    close(): void {
        this.isClosing = true;
        if (this.server.listening) this.server.close();
        for (const socket of this.sockets) socket.destroy();
    }
}

const FILES: Record<string, { type: string; content: string }> = {
    "/app.css": { type: "text/css", content: "h1 { color: rgb(0, 100, 0) }" },
    "/app.js": { type: "text/javascript", content: 'document.querySelector("#script").textContent = "The script ran."' },
    "/app.svg": {
        type: "image/svg+xml",
        content: '<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16"><circle cx="8" cy="8" r="8"/></svg>',
    },
};

/** Serves a page at every path, some files, and an event stream that names the pod five times a second. */
function answer(app: string, pod: string, { url = "/", headers }: IncomingMessage, response: ServerResponse): void {
    const { pathname } = new URL(url, "http://app");
    const file = FILES[pathname];
    if (file) {
        response.writeHead(200, { "content-type": file.type }).end(file.content);
    } else if (pathname === "/stream") {
        response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
        const timer = setInterval(() => response.write(`data: ${pod}\n\n`), 200);
        response.on("close", () => clearInterval(timer));
    } else {
        const [host, path] = [headers.host ?? "", url].map((text) => text.replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`));
        response.writeHead(200, { "content-type": "text/html; charset=utf-8", "cache-control": "no-store" });
        response.end(
            `<!DOCTYPE html><title>${app}</title><link rel="stylesheet" href="/app.css"><h1>Hello from ${host}</h1>` +
                `<p id="path">${path}</p><p id="table">A table</p><p id="script"></p><img src="/app.svg" alt=""><script src="/app.js"></script>`,
        );
    }
}

/** A WebSocket that returns each text of less than 126 bytes, after the pod's name. */
function echo(pod: string, { headers }: IncomingMessage, socket: Duplex, head: Buffer): void {
    const accept = createHash("sha1").update(`${headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
    socket.on("error", () => socket.destroy());
    let received = head;
    socket.on("data", (part: Buffer) => {
        received = Buffer.concat([received, part]);
        // A client's frame: opcode, masked length, four bytes of mask, the text.
        for (let length = 0; received.length >= 6 && received.length >= (length = 6 + (received[1]! & 0x7f)); received = received.subarray(length)) {
            const mask = received.subarray(2, 6);
            const text = received.subarray(6, length).map((byte, index) => byte ^ mask[index % 4]!);
            if ((received[0]! & 0x0f) === 8) return socket.end();
            const reply = Buffer.concat([Buffer.from(`${pod}: `), text]);
            socket.write(Buffer.concat([Buffer.from([0x81, reply.length]), reply]));
        }
    });
}
