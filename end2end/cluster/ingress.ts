/**
 * A stand-in for an ingress controller, and for the apps behind it: routes by the Ingresses and Services in the
 * API, and notices a change of a Service as late as the test wants.
 */
import { Agent, type IncomingMessage, type Server, type ServerResponse, createServer, request } from "node:http";
import { type AddressInfo } from "node:net";

import { type Api, type Change } from "./api";
import { type EndpointSlice, type Ingress, type KubeObject, type Pod, type Service } from "./objects";

/** One request that came in. */
export interface Visit {
    /** When, in milliseconds of `Date.now()`. */
    at: number;
    method: string;
    host: string;
    /** With its query. */
    path: string;
    /** `Sec-Fetch-Dest`: `document` for a navigation; empty for what is not a browser. */
    dest: string;
    userAgent: string;
    /** Who was asked. */
    by: "unidler" | "app" | "ingress";
    /** The status of the answer; 0 before there is one. */
    status: number;
    /** Whether the answer is marked as unidler's. */
    isMarked: boolean;
    /** What unidler has answered so far, head and body. */
    told: string;
}

/** A moment at which the ingress noticed that a Service points elsewhere. */
export interface Switch {
    at: number;
    service: string;
    type: Service["spec"]["type"];
}

export class StandInIngress {
    /** How long a change of a Service goes unnoticed. */
    lagMs = 0;
    /** The ports of the unidlers, which get the requests in turn. */
    unidlers: number[];
    readonly visits: Visit[] = [];
    readonly switches: Switch[] = [];

    private readonly server: Server = createServer((request, response) => this.answer(request, response));
    private readonly stopped = new AbortController();
    private readonly ingresses = new Map<string, Ingress>();
    private readonly services = new Map<string, Service>();
    private readonly slices = new Map<string, EndpointSlice>();
    private readonly pods = new Map<string, Pod>();
    /** Connections are kept, as nginx and Traefik do. */
    private readonly agent = new Agent({ keepAlive: true });

    private constructor(unidlerPort: number) {
        this.unidlers = [unidlerPort];
    }

    static async start(api: Api, unidlerPort: number): Promise<StandInIngress> {
        const ingress = new StandInIngress(unidlerPort);
        const { signal } = ingress.stopped;
        await api.follow("Ingress", signal, (change, object) => note(ingress.ingresses, change, object));
        await api.follow("Pod", signal, (change, object) => note(ingress.pods, change, object));
        await api.follow("EndpointSlice", signal, (change, object) => note(ingress.slices, change, object));
        await api.follow("Service", signal, (change, object) => {
            if (change === "MODIFIED") setTimeout(() => ingress.switchTo(object), ingress.lagMs);
            else note(ingress.services, change, object);
        });
        await new Promise<void>((resolve) => ingress.server.listen(0, "127.0.0.1", resolve));
        return ingress;
    }

    get port(): number {
        return (this.server.address() as AddressInfo).port;
    }

    /** The address that a visitor types. */
    url(host: string, path = "/"): string {
        return `http://${host}:${this.port}${path}`;
    }

    /** The navigations of browsers to a host. */
    navigations(host: string): Visit[] {
        return this.visits.filter((visit) => visit.host === host && visit.dest === "document");
    }

    async stop(): Promise<void> {
        this.stopped.abort();
        const closed = new Promise((resolve) => this.server.close(resolve));
        this.server.closeAllConnections();
        this.agent.destroy();
        await closed;
    }

    private switchTo(service: Service): void {
        const key = keyOf(service);
        if (!this.services.has(key)) return;
        if (this.services.get(key)?.spec.type !== service.spec.type) {
            this.switches.push({ at: Date.now(), service: key, type: service.spec.type });
        }
        this.services.set(key, service);
    }

    private serviceOf(host: string): Service | undefined {
        for (const { metadata, spec } of this.ingresses.values()) {
            const path = spec.rules.find((rule) => rule.host === host)?.http.paths[0];
            if (path) return this.services.get(`${metadata.namespace}/${path.backend.service.name}`);
        }
        return undefined;
    }

    /** Who answers at the addresses of a Service that are said to be ready: `app`, or the status that an ingress has for nobody. */
    private behind({ metadata: { namespace, name } }: Service): "app" | 502 | 503 {
        const slices = [...this.slices.values()].filter(({ metadata }) => metadata.namespace === namespace && metadata.labels?.["kubernetes.io/service-name"] === name);
        const ready = slices.flatMap(({ endpoints }) => endpoints ?? []).filter(({ conditions }) => conditions?.ready);
        if (ready.length === 0) return 503;
        const alive = new Set([...this.pods.values()].map(({ metadata }) => metadata.uid));
        return ready.some(({ targetRef }) => alive.has(targetRef?.uid)) ? "app" : 502;
    }

    private answer(incoming: IncomingMessage, response: ServerResponse): void {
        const { method = "", url: path = "", headers } = incoming;
        const host = (headers.host ?? "").replace(/:\d+$/, "");
        const service = this.serviceOf(host);
        const behind = service?.spec.type === "ClusterIP" ? this.behind(service) : "unidler";
        const visit: Visit = {
            at: Date.now(),
            method,
            host,
            path,
            dest: String(headers["sec-fetch-dest"] ?? ""),
            userAgent: headers["user-agent"] ?? "",
            by: typeof behind === "number" ? "ingress" : behind,
            status: 0,
            isMarked: false,
            told: "",
        };
        this.visits.push(visit);
        if (behind === "unidler") this.proxy(visit, incoming, response);
        else if (behind === "app") answerAsApp(visit, response);
        else refuse(visit, behind, response);
    }

    private proxy(visit: Visit, incoming: IncomingMessage, response: ServerResponse): void {
        const { method, url: path, headers } = incoming;
        const port = this.unidlers[this.visits.length % this.unidlers.length];
        const upstream = request({ host: "127.0.0.1", port, method, path, headers, agent: this.agent }, (answer) => {
            visit.status = answer.statusCode ?? 0;
            visit.isMarked = "x-unidler" in answer.headers;
            visit.told = answer.rawHeaders.join("\n");
            answer.on("data", (part: Buffer) => (visit.told += part.toString("latin1")));
            const { connection: _, "keep-alive": __, "transfer-encoding": ___, ...endToEnd } = answer.headers;
            response.writeHead(visit.status, endToEnd);
            response.flushHeaders();
            answer.on("error", () => response.destroy());
            answer.pipe(response);
        });
        upstream.on("error", () => {
            if (response.headersSent) response.destroy();
            else refuse(visit, 502, response);
        });
        response.on("close", () => upstream.destroy());
        incoming.pipe(upstream);
    }
}

function keyOf({ metadata }: KubeObject): string {
    return `${metadata.namespace}/${metadata.name}`;
}

function note<T extends KubeObject>(objects: Map<string, T>, change: Change, object: T): void {
    if (change === "DELETED") objects.delete(keyOf(object));
    else objects.set(keyOf(object), object);
}

function answerAsApp(visit: Visit, response: ServerResponse): void {
    visit.status = 200;
    const path = visit.path.replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`);
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
    response.end(`<!DOCTYPE html><title>${visit.host}</title><h1>Hello from ${visit.host}</h1><p id="path">${path}</p><p id="table">A table</p>`);
}

function refuse(visit: Visit, status: number, response: ServerResponse): void {
    visit.status = status;
    visit.by = "ingress";
    response.writeHead(status, { "content-type": "text/plain" });
    response.end(`${status} from the ingress\n`);
}
