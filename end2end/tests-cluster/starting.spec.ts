/** Who may start a wake-up: whoever visits the app, and nobody through somebody else's browser. */
import { createServer } from "node:http";
import { type AddressInfo } from "node:net";

import { browser } from "../browser";
import { type Question, answer, events, status } from "../cluster/visitor";
import { THREE_WRITES, expect, expectAwake, test } from "./fixtures";

const launchOptions = { ...browser?.launchOptions, args: [...(browser?.launchOptions?.args ?? []), "--host-resolver-rules=MAP *.apps.test 127.0.0.1"] };
test.use({ startSeconds: 1, launchOptions });

const EVENTS = "/events/";
const STREAM = "/_unidler/events";
const WAKE = "/_unidler/wake";
const PAGE = { accept: "text/html" };
const OTHER = "https://elsewhere.example";

const STARTING_NOTHING: (Question & { name: string; status: number })[] = [
    { name: "a navigation", path: "/", headers: { ...PAGE, "sec-fetch-mode": "navigate", "sec-fetch-site": "none" }, status: 200 },
    { name: "a navigation from another site", path: "/", headers: { ...PAGE, "sec-fetch-site": "cross-site", referer: `${OTHER}/` }, status: 200 },
    { name: "a page that is fetched ahead", path: "/", headers: { ...PAGE, "sec-purpose": "prefetch" }, status: 200 },
    { name: "a page that is rendered ahead", path: "/", headers: { ...PAGE, "sec-purpose": "prefetch;prerender" }, status: 200 },
    { name: "HEAD of a page", method: "HEAD", path: "/", headers: PAGE, status: 200 },
    { name: "HEAD of a client that would wait", method: "HEAD", path: "/", headers: { prefer: "wait=5" }, status: 503 },
    { name: "an image", path: "/logo.png", headers: { accept: "image/*", "sec-fetch-dest": "image", "sec-fetch-mode": "no-cors" }, status: 503 },
    { name: "curl of a page", path: "/", headers: { accept: "*/*", "user-agent": "curl/8" }, status: 503 },
    { name: "the status", path: "/_unidler/status", status: 200 },
    { name: "HEAD of the events", method: "HEAD", path: EVENTS, status: 204 },
    { name: "HEAD of the events without the slash", method: "HEAD", path: "/events", status: 204 },
    { name: "POST to the events", method: "POST", path: EVENTS, status: 503 },
    { name: "a question ahead of a request from another origin", method: "OPTIONS", path: EVENTS, headers: { origin: OTHER }, status: 503 },
    { name: "events for another site", path: EVENTS, headers: { "sec-fetch-site": "cross-site" }, status: 403 },
    { name: "events for a sibling", path: EVENTS, headers: { "sec-fetch-site": "same-site" }, status: 403 },
    { name: "events as a navigation", path: EVENTS, headers: { ...PAGE, "sec-fetch-site": "none" }, status: 200 },
    { name: "events with another Origin", path: EVENTS, headers: { origin: OTHER }, status: 403 },
    { name: "events with an opaque Origin", path: EVENTS, headers: { origin: "null" }, status: 403 },
    { name: "events with another Referer", path: EVENTS, headers: { referer: `${OTHER}/page` }, status: 403 },
    { name: "events that are fetched ahead", path: EVENTS, headers: { "sec-purpose": "prefetch", "sec-fetch-site": "same-origin" }, status: 403 },
    { name: "events that an old browser fetches ahead", path: EVENTS, headers: { purpose: "prefetch" }, status: 403 },
    { name: "a form of another site", method: "POST", path: WAKE, headers: { origin: OTHER }, status: 403 },
    { name: "a POST of a browser that does not say where it comes from", method: "POST", path: WAKE, headers: { "user-agent": "Mozilla/5.0" }, status: 403 },
    { name: "a form without its method", path: WAKE, status: 405 },
];

test("whoever may not start a wake-up causes no write, and a plain curl does", async ({ api, app, unidler, asked }) => {
    for (const { name, status: expected, ...question } of STARTING_NOTHING) {
        expect((await answer(unidler.port, app.host, question)).status, name).toBe(expected);
        // A wake-up that had begun would be told here at once.
        expect((await status(unidler.port, app.host)).phase, name).toBe("asleep");
    }
    expect(asked.writes()).toEqual([]);

    expect((await events(unidler.port, app.host)).at(-1)?.event).toBe("success");
    await expectAwake(api, app);
    await expect.poll(asked.writes, "there is nothing of the others' among these").toEqual(THREE_WRITES);
});

// Browsers call `localhost` trustworthy, and say there where a request comes from. At any other host without TLS they do not.
for (const domain of ["localhost", "apps.test"]) {
    test.describe(`at a host of ${domain}`, () => {
        test.use({ domain });

        for (const referrer of ["unsafe-url", "no-referrer"]) {
            test(`another site cannot start a wake-up through a visitor's browser, in whatever way it tries (${referrer})`, async ({ page, app, ingress, asked }) => {
                const elsewhere = createServer((_, response) =>
                    response.setHeader("content-type", "text/html").end(`<!DOCTYPE html><meta name="referrer" content="${referrer}"><title>Elsewhere</title>`),
                );
                await new Promise<void>((resolve) => elsewhere.listen(0, "127.0.0.1", resolve));
                try {
                    await page.goto(`http://elsewhere.${domain}:${(elsewhere.address() as AddressInfo).port}/`);
                    const paths = [EVENTS, STREAM, WAKE];
                    const attempts = await page.evaluate(
                        ([events = "", stream = "", wake = ""]) => {
                            const add = (name: string, attributes: object) => document.body.append(Object.assign(document.createElement(name), attributes));
                            add("iframe", { name: "frame" });
                            const form = Object.assign(document.createElement("form"), { method: "post", action: wake, target: "frame" });
                            document.body.append(form);
                            const attempts = [
                                () => void fetch(events, { mode: "no-cors" }).catch(() => {}),
                                () => void fetch(wake, { method: "post", mode: "no-cors" }).catch(() => {}),
                                () => void fetch(wake, { method: "post", mode: "no-cors", referrerPolicy: "no-referrer" }).catch(() => {}),
                                () => new EventSource(events),
                                () => new EventSource(stream),
                                () => navigator.sendBeacon(wake),
                                () => add("img", { src: events }),
                                () => add("script", { src: events }),
                                () => add("link", { rel: "prefetch", href: events }),
                                () => add("iframe", { src: events }),
                                () => form.submit(),
                            ];
                            for (const attempt of attempts) attempt();
                            return attempts.length;
                        },
                        paths.map((path) => ingress.url(app.host, path)),
                    );
                    const visits = () => ingress.visits.filter(({ path, status }) => paths.includes(path) && status > 0);
                    // A browser opens six connections to a host, and streams that are joined stay open.
                    await expect.poll(() => visits().length).toBeGreaterThanOrEqual(Math.min(attempts, 6));
                    const started = visits().filter(({ path, status }) => path === WAKE && status !== 403);
                    expect(started, "nobody may post").toEqual([]);
                    expect((await status(ingress.port, app.host)).phase).toBe("asleep");
                    expect(asked.writes()).toEqual([]);
                } finally {
                    elsewhere.closeAllConnections();
                    elsewhere.close();
                }
            });
        }

        test("an app's own stream, in a tab that was left open while the app was idled, does not start it", async ({ page, app, ingress, asked }) => {
            // A document of the app's own origin that starts nothing itself stands for the app's page, which has a stream of its own
            // at the address that was unidler's in 2020.
            await page.goto(ingress.url(app.host, "/_unidler/status"));
            await page.evaluate((events) => {
                for (const path of [events, "/events"]) new EventSource(path);
                void fetch("/data").catch(() => {});
            }, EVENTS);
            const streams = () => ingress.visits.filter(({ path, status }) => ["/events", EVENTS].includes(path) && status === 200);
            await expect.poll(() => streams().length).toBe(2);
            expect((await status(ingress.port, app.host)).phase).toBe("asleep");
            expect(asked.writes()).toEqual([]);
        });

        test("a visitor starts the app", async ({ page, app, ingress, asked }) => {
            await page.goto(ingress.url(app.host, "/"));
            await expect.poll(asked.writes).toEqual(THREE_WRITES);
        });
    });
}
