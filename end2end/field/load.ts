/** Visitors at a steady rate, who note what they get and from whom. */
import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

import { until } from "../cluster/wait";
import { WEB_PORT } from "./setup";

/** What came of one request. */
export interface Answer {
    /** When it was sent, in milliseconds of `Date.now()`. */
    at: number;
    /** How long it took, in milliseconds. */
    took: number;
    /** 0 if there was none. */
    status: number;
    /** Whom the answer is from. `nobody`: Traefik's own, or none. */
    by: "app" | "unidler" | "nobody";
    /** The pod, if it is from the app. */
    pod: string | undefined;
    error: string | undefined;
}

export interface Style {
    perSecond?: number;
    path?: string;
    headers?: Record<string, string>;
    /** Whether connections are kept. If not, each request has one of its own. */
    isKeptAlive?: boolean;
}

/** Who waits longer than this has had no answer, in milliseconds. */
const PATIENCE = 20_000;

export class Load {
    /** What came of the requests so far, in the order of their ends. */
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

    /** Sends no more, and gives what came of all that were sent. */
    async stop(): Promise<Answer[]> {
        this.isStopping = true;
        await this.running;
        await Promise.all(this.sent);
        this.agent?.destroy();
        return this.answers.sort((a, b) => a.at - b.at);
    }

    /** Waits until all requests of some seconds have had an answer from the same side: nothing sends them anywhere else any more. */
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

/** Those that no visitor should see: neither the app's nor unidler's, or the app's error. */
export function failures(answers: Answer[]): Answer[] {
    return answers.filter(({ by, status }) => by === "nobody" || (by === "app" && status >= 400));
}

/** The milliseconds from a moment to the first answer after it that is from one side, and to the last. */
export function span(answers: Answer[], by: Answer["by"], since: number): string {
    const times = answers.filter((answer) => answer.by === by && answer.at >= since).map(({ at, took }) => at + took - since);
    return `${Math.min(...times)} to ${Math.max(...times)} ms`;
}

/** Answers by kind, such as `unidler 503`, with how many there were and when: seconds since a moment. */
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
