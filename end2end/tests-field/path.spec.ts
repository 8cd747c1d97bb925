/** The data path itself, without unidler: what the other tests rely on. */
import { type Api } from "../cluster/api";
import { type FieldApp, type PodState, podsOf, rolloutRestart } from "../field/apps";
import { type Answer, Load, failures, table } from "../field/load";
import { expect, test } from "./fixtures";

for (const route of ["Ingress", "HTTPRoute"] as const) {
    for (const workload of ["Deployment", "StatefulSet"] as const) {
        test(`a ${workload} behind an ${route} is reached in the browser, and restarted without an error`, async ({ page, api, startApp }) => {
            const app = await startApp({ route, workload });
            await page.goto(`http://${app.host}/reports?year=2026#table`);
            await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`);
            await expect(page.locator("#path")).toHaveText("/reports?year=2026");
            await expect(page.locator("#script")).toHaveText("The script ran.");
            await expect(page.getByRole("heading", { level: 1 })).toHaveCSS("color", "rgb(0, 100, 0)");
            expect(await page.locator("img").evaluate((image: HTMLImageElement) => image.naturalWidth)).toBe(16);

            const restarted = Date.now();
            const loads = [Load.start(app.host), Load.start(app.host, { perSecond: 10, isKeptAlive: true })];
            await restart(api, app);
            const answers = (await Promise.all(loads.map((load) => load.stop()))).flat();
            expect(failures(answers), table(answers, restarted)).toEqual([]);
            expect(namesOf(answers).length, table(answers, restarted)).toBeGreaterThan(workload === "Deployment" ? 2 : 1);
        });
    }
}

test("WebSockets and streams reach a pod and end with it", async ({ page, api, startApp }) => {
    const app = await startApp({ replicas: 1, drainSeconds: 0 });
    const [{ name }] = (await podsOf(api, app)) as [PodState];
    await page.goto(`http://${app.host}/`);
    await page.evaluate(() => {
        const seen = { socket: "", stream: "" };
        Object.assign(window, { seen });
        const socket = new WebSocket(`ws://${location.host}/socket`);
        socket.onopen = () => socket.send("hello");
        socket.onmessage = ({ data }) => (seen.socket = data);
        socket.onclose = () => (seen.socket = "closed");
        const stream = new EventSource("/stream");
        stream.onmessage = ({ data }) => (seen.stream = data);
        stream.onerror = () => {
            seen.stream = "interrupted";
            stream.close();
        };
    });
    const seen = () => page.evaluate(() => (window as unknown as { seen: object }).seen);
    await expect.poll(seen).toEqual({ socket: `${name}: hello`, stream: name });
    await api.delete("Pod", app.namespace, name);
    await expect.poll(seen).toEqual({ socket: "closed", stream: "interrupted" });
});

test("a program that exits at once costs visitors errors while Traefik does not know", async ({ api, startApp }) => {
    const app = await startApp({ drainSeconds: 0 });
    const load = Load.start(app.host);
    const restarted = Date.now();
    await restart(api, app);
    await load.settles("app");
    const answers = await load.stop();
    console.log(table(answers, restarted));
    expect(failures(answers), "the tests would see an error if there was one").not.toEqual([]);
});

/** Restarts an app and waits until all of its pods are new and ready. */
async function restart(api: Api, app: FieldApp): Promise<void> {
    const before = await podsOf(api, app);
    await rolloutRestart(api, app);
    const isRestarted = async () => {
        const pods = await podsOf(api, app);
        return pods.length === before.length && pods.every(({ uid, isReady }) => isReady && !before.some((pod) => pod.uid === uid));
    };
    await expect.poll(isRestarted, { timeout: 60_000 }).toBe(true);
}

/** The pods that answered. */
function namesOf(answers: Answer[]): string[] {
    return [...new Set(answers.flatMap(({ pod }) => pod ?? []))];
}
