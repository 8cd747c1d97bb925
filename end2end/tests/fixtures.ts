/** What each test finds: a demo of its own, and nothing that went wrong in the browser. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { resolve } from "node:path";
import { type Page, test as base, expect } from "@playwright/test";

import { StandIn } from "./stand-in";

export { expect };

const PROGRAM = process.env.UNIDLER_BIN ?? resolve(__dirname, "../../dist/unidler");

/** A running `unidler demo`. */
export class Demo {
    private constructor(
        private readonly process: ChildProcess,
        readonly port: number,
        /** What it was started with. */
        readonly flags: string[],
    ) {}

    /** Starts one, by default at a port that is free. */
    static async start(port = 0, flags: string[] = []): Promise<Demo> {
        const process = spawn(PROGRAM, ["demo", ...flags], { env: { PORT: `127.0.0.1:${port}` }, stdio: ["ignore", "ignore", "pipe"] });
        const log: string[] = [];
        for await (const line of createInterface(process.stderr)) {
            log.push(line);
            const port = /http:\/\/localhost:(\d+)/.exec(line)?.[1];
            if (port) {
                process.stderr.resume();
                return new Demo(process, Number(port), flags);
            }
        }
        throw new Error(`the demo did not start: ${log.join("\n")}`);
    }

    /** The address of a scene, or of the start page. */
    url(scene: string, path = "/"): string {
        return `http://${scene ? `${scene}.` : ""}localhost:${this.port}${path}`;
    }

    stop(): void {
        this.process.kill("SIGKILL");
    }
}

interface Fixtures {
    /** What the demo is started with. */
    flags: string[];
    demo: Demo;
    /** The documents that the browser has navigated to, in order. */
    documents: { url: string; status: number; ours: boolean }[];
    /** Complaints of the browser: violations of the policy, errors of scripts. */
    complaints: string[];
    /** The complaints that a test provokes. */
    provoked: RegExp | null;
    /** Starts a stand-in for whatever is between browser and demo. */
    standIn: (options?: Parameters<typeof StandIn.start>[1]) => Promise<StandIn>;
}

export const test = base.extend<Fixtures>({
    flags: [[], { option: true }],
    provoked: [null, { option: true }],

    standIn: async ({ demo }, use) => {
        const started: StandIn[] = [];
        await use(async (options) => {
            const standIn = await StandIn.start(demo, options);
            started.push(standIn);
            return standIn;
        });
        for (const standIn of started) standIn.stop();
    },

    demo: async ({ flags }, use) => {
        const demo = await Demo.start(0, flags);
        await use(demo);
        demo.stop();
    },

    documents: async ({ page }, use) => {
        const documents: Fixtures["documents"] = [];
        page.on("response", (response) => {
            if (!response.request().isNavigationRequest()) return;
            documents.push({ url: response.url(), status: response.status(), ours: "x-unidler" in response.headers() });
        });
        await use(documents);
    },

    complaints: [
        async ({ context, provoked }, use) => {
            const complaints: string[] = [];
            context.on("weberror", (error) => complaints.push(error.error().message));
            context.on("console", (message) => {
                if (/Content Security Policy|panicked|hydrat/i.test(message.text())) complaints.push(message.text());
            });
            await use(complaints);
            expect(complaints.filter((complaint) => !provoked?.test(complaint))).toEqual([]);
        },
        { auto: true },
    ],
});

/** The page's state. */
export const phase = (page: Page) => page.locator("main[data-phase]");

/** The app that a scene ends in. */
export const app = (page: Page) => page.getByRole("heading", { name: "Hello from the app" });

/**
 * What an element says over time, in the documents that the page opens from now on. A state may be shorter than the time from one
 * look of a test to the next.
 */
export async function record(page: Page, selector: string): Promise<string[]> {
    const said: string[] = [];
    const name = `record${(recorders += 1)}`;
    await page.exposeFunction(name, (text: string) => void said.push(text));
    await page.addInitScript(
        ([name, selector]) => {
            let last = "";
            new MutationObserver(() => {
                const element = document.querySelector<HTMLElement>(selector);
                const text = (!element?.hidden && element?.textContent?.trim()) || "";
                if (text && text !== last) (window as unknown as Record<string, (text: string) => void>)[name]?.(text);
                last = text;
            }).observe(document, { subtree: true, attributes: true, childList: true, characterData: true });
        },
        [name, selector] as const,
    );
    return said;
}
let recorders = 0;
