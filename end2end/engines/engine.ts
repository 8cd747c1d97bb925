/** Firefox and WebKit, driven by what they bring themselves: Marionette, and WebKitWebDriver. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type Socket, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

/** As much of a browser as a visit needs. */
export interface Engine {
    go(url: string): Promise<void>;
    url(): Promise<string>;
    /** The text of the first element that is shown, or `null`. */
    text(selector: string): Promise<string | null>;
    click(selector: string): Promise<void>;
    stop(): Promise<void>;
}

const ELEMENT = "element-6066-11e4-a52e-4f735466cecf";
type Element = Record<typeof ELEMENT, string>;

/** How long a driver may take to say what a page shows, in ms: asked in the middle of a navigation, WebKit's may never answer. */
const LOOK = 5_000;

/** A port that nobody listens at. */
async function freePort(): Promise<number> {
    const server = createServer();
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as { port: number };
    await once(server.close(), "close");
    return port;
}

/** Repeats what fails until a program that was just started is there. */
async function untilThere<T>(attempt: () => Promise<T>): Promise<T> {
    const until = Date.now() + 60_000;
    for (;;) {
        try {
            return await attempt();
        } catch (error) {
            if (Date.now() > until) throw error;
            await pause(200);
        }
    }
}

async function stop(process: ChildProcess): Promise<void> {
    process.kill("SIGTERM");
    if (process.exitCode === null && process.signalCode === null) await once(process, "exit");
}

/** Speaks [Marionette](https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html): messages of `length:JSON`. */
class Marionette {
    private buffer = Buffer.alloc(0);
    private readonly waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
    private last = 0;

    constructor(private readonly socket: Socket) {
        socket.on("data", (bytes) => {
            this.buffer = Buffer.concat([this.buffer, bytes]);
            for (;;) {
                const colon = this.buffer.indexOf(":");
                const end = colon + 1 + Number(this.buffer.subarray(0, Math.max(colon, 0)).toString());
                if (colon < 0 || this.buffer.length < end) return;
                this.take(JSON.parse(this.buffer.subarray(colon + 1, end).toString()) as unknown);
                this.buffer = this.buffer.subarray(end);
            }
        });
    }

    async send<T>(name: string, parameters: object = {}): Promise<T> {
        const id = (this.last += 1);
        const message = JSON.stringify([0, id, name, parameters]);
        const answer = new Promise<unknown>((resolve, reject) => this.waiting.set(id, { resolve, reject }));
        this.socket.write(`${Buffer.byteLength(message)}:${message}`);
        return (await answer) as T;
    }

    private take(message: unknown): void {
        // The greeting is not a list.
        if (!Array.isArray(message)) return;
        const [, id, error, result] = message as [number, number, { message: string } | null, unknown];
        const { resolve, reject } = this.waiting.get(id) ?? {};
        if (error) reject?.(new Error(error.message));
        else resolve?.(result);
    }
}

export async function firefox(scripts: boolean): Promise<Engine> {
    const profile = mkdtempSync(join(tmpdir(), "firefox-"));
    const port = await freePort();
    const preferences = { "marionette.port": port, "javascript.enabled": scripts, "intl.accept_languages": "en-GB", "datareporting.policy.dataSubmissionEnabled": false };
    writeFileSync(join(profile, "user.js"), Object.entries(preferences).map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`).join(""));
    const browser = spawn(process.env.FIREFOX ?? "firefox-esr", ["-headless", "-marionette", "-no-remote", "-profile", profile], { stdio: "ignore" });
    const socket = await untilThere(async () => {
        const socket = connect(port, "127.0.0.1");
        await once(socket, "connect");
        return socket;
    });
    const marionette = new Marionette(socket);
    await marionette.send("WebDriver:NewSession", { capabilities: { alwaysMatch: { pageLoadStrategy: "none" } } });
    const find = async (selector: string) => (await marionette.send<{ value: Element }>("WebDriver:FindElement", { using: "css selector", value: selector })).value[ELEMENT];
    return {
        go: (url) => marionette.send("WebDriver:Navigate", { url }),
        url: async () => (await marionette.send<{ value: string }>("WebDriver:GetCurrentURL")).value,
        text: async (selector) => {
            try {
                const id = await find(selector);
                return (await marionette.send<{ value: string }>("WebDriver:GetElementText", { id })).value;
            } catch {
                return null;
            }
        },
        click: async (selector) => marionette.send("WebDriver:ElementClick", { id: await find(selector) }),
        stop: async () => {
            socket.destroy();
            await stop(browser);
            rmSync(profile, { recursive: true, force: true });
        },
    };
}

export async function webkit(scripts: boolean): Promise<Engine> {
    const port = await freePort();
    // A display and a bus of its own.
    const driver = spawn("xvfb-run", ["--auto-servernum", "dbus-run-session", "WebKitWebDriver", `--port=${port}`], {
        stdio: "ignore",
        // The group, so that everything ends with it.
        detached: true,
        env: { ...process.env, WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: "1", LANG: "en_GB.UTF-8" },
    });
    const send = async <T>(method: string, path: string, body?: object, signal?: AbortSignal): Promise<T> => {
        const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method, ...(signal && { signal }), ...(body && { body: JSON.stringify(body), headers: { "content-type": "application/json" } }) });
        const { value } = (await answer.json()) as { value: T & { message?: string } };
        if (!answer.ok) throw new Error(value.message);
        return value;
    };
    await untilThere(() => send("GET", "/status"));
    const binary = process.env.MINI_BROWSER ?? "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser";
    const args = ["--automation", ...(scripts ? [] : ["--enable-javascript=false"])];
    const capabilities = { alwaysMatch: { pageLoadStrategy: "none", "webkitgtk:browserOptions": { binary, args } } };
    const { sessionId } = await send<{ sessionId: string }>("POST", "/session", { capabilities });
    const session = `/session/${sessionId}`;
    const find = async (selector: string, signal?: AbortSignal) => (await send<Element>("POST", `${session}/element`, { using: "css selector", value: selector }, signal))[ELEMENT];
    return {
        go: (url) => send("POST", `${session}/url`, { url }),
        url: () => send("GET", `${session}/url`),
        text: async (selector) => {
            try {
                const signal = AbortSignal.timeout(LOOK);
                return await send<string>("GET", `${session}/element/${await find(selector, signal)}/text`, undefined, signal);
            } catch {
                return null;
            }
        },
        click: async (selector) => send("POST", `${session}/element/${await find(selector)}/click`, {}),
        stop: async () => {
            await send("DELETE", session).catch(() => undefined);
            if (driver.pid) process.kill(-driver.pid, "SIGTERM");
        },
    };
}
