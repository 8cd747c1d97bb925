/** Visitors at a steady rate. Records what each gets, and from whom. */
import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

import { until } from "../cluster/wait";
import { WEB_PORT } from "./setup";

/** The outcome of one request. */
export interface Answer {
    /** When it was sent, in milliseconds of `Date.now()`. */
    at: number;
    /** How long it took, in milliseconds. */
    took: number;
    /** 0 without an answer. */
    status: number;
    /** Who answered. `nobody`: Traefik itself, or no one. */
    by: "app" | "unidler" | "nobody";
    /** The pod, if the app answered. */
    pod: string | undefined;
    error: string | undefined;
}

export interface Style {
    perSecond?: number;
    path?: string;
    headers?: Record<string, string>;
    /** Whether connections are reused. If not, each request opens a new one. */
    isKeptAlive?: boolean;
}

/** A request without an answer for this long has failed, in milliseconds. */
const PATIENCE = 20_000;

export class Load {
    /** The outcomes so far, in the order in which they were known. */
    readonly answers: Answer[] = [];
    private readonly sent: Promise<void>[] = [];
    private readonly agent: Agent | undefined;
    private readonly running: Promise<void>;
    private isStopping = false;

    private constructor(
        private readonly host: string,
        private readonly style: Style,
    ) {
        this.agent = style.isKeptAlive ? new Agent({ keepAlive: true }) : undefined;
        this.running = this.run();
    }

    /** Sends requests for a host through Traefik, 50 a second by default, until it is stopped. */
    static start(host: string, style: Style = {}): Load {
        return new Load(host, style);
    }

    /** Stops sending, and returns the remaining outcomes in the order of sending. */
    async stop(): Promise<Answer[]> {
        this.isStopping = true;
        await this.running;
        await Promise.all(this.sent);
        this.agent?.destroy();
        return this.answers.sort((a, b) => a.at - b.at);
    }

    /** Waits until one side has answered every request for some seconds: by default longer than Traefik takes to apply a change. */
    async settles(by: Answer["by"], seconds = 2.5): Promise<void> {
        let since = Date.now();
        await until(`all answers are from ${by}`, 60, async () => {
            since = Math.max(since, ...this.answers.filter((answer) => answer.by !== by).map(({ at }) => at));
            return Date.now() - since > seconds * 1000 && this.answers.some(({ at }) => at > since);
        }, () => {});
    }

    private async run(): Promise<void> {
        const began = performance.now();
        const interval = 1000 / (this.style.perSecond ?? 50);
        while (!this.isStopping) {
            this.sent.push(visit(this.host, this.style, this.agent).then((answer) => void this.answers.push(answer)));
            await sleep(Math.max(0, began + this.sent.length * interval - performance.now()));
        }
    }
}

/** One request for a host through Traefik. */
export function visit(host: string, { path = "/", headers = {} }: Style = {}, agent?: Agent): Promise<Answer> {
    return new Promise((resolve) => {
        const at = Date.now();
        const end = (answer: Pick<Answer, "status" | "by" | "pod" | "error">) => resolve({ at, took: Date.now() - at, ...answer });
        const sent = request({ host: "127.0.0.1", port: WEB_PORT, path, headers: { host, ...headers }, agent: agent ?? false, timeout: PATIENCE }, (response) => {
            const { "x-unidler": unidler, "x-app": app, "x-app-pod": pod } = response.headers;
            const by = app !== undefined ? "app" : unidler !== undefined ? "unidler" : "nobody";
            const got = { by, pod: pod?.toString(), status: response.statusCode ?? 0 } as const;
            response.on("error", ({ message }) => end({ ...got, status: 0, error: message }));
            response.on("end", () => end({ ...got, error: undefined })).resume();
        });
        sent.on("timeout", () => sent.destroy(new Error(`no answer within ${PATIENCE / 1000} s`)));
        sent.on("error", ({ message }) => end({ status: 0, by: "nobody", pod: undefined, error: message }));
        sent.end();
    });
}

/** Answers that visitors should not see: from neither the app nor unidler, or an error of the app. */
export function failures(answers: Answer[]): Answer[] {
    return answers.filter(({ by, status }) => by === "nobody" || (by === "app" && status >= 400));
}

/** When one side began and ceased to answer, in milliseconds since a moment. */
export function span(answers: Answer[], by: Answer["by"], since: number): string {
    const times = answers.filter((answer) => answer.by === by && answer.at >= since).map(({ at, took }) => at + took - since);
    return `${Math.min(...times)} to ${Math.max(...times)} ms`;
}

/** A table of the answers by kind, such as `unidler 503`, with their number and times, in seconds since a moment. */
export function table(answers: Answer[], since: number): string {
    const kinds = new Map<string, Answer[]>();
    for (const answer of answers) {
        const kind = `${answer.by} ${answer.error ?? answer.status}`;
        kinds.set(kind, [...(kinds.get(kind) ?? []), answer]);
    }
    const seconds = (at: number) => ((at - since) / 1000).toFixed(2).padStart(8);
    const lines = [...kinds].map(([kind, some]) => {
        const took = some.map(({ took }) => took).sort((a, b) => a - b);
        const times = [seconds(some[0]!.at), seconds(some.at(-1)!.at)].join(" ");
        return `${kind.padEnd(24)} ${String(some.length).padStart(6)} ${times} ${String(took[took.length >> 1]).padStart(10)} ${String(took.at(-1)).padStart(9)}`;
    });
    return [`${"answer".padEnd(24)}  count  first s   last s  median ms  longest ms`, ...lines].join("\n");
}
