/** Who may start a wake-up: whoever visits the app, and nobody through somebody else's browser. */
import { createServer } from "node:http";
import { type AddressInfo } from "node:net";

import { type Question, answer, events, status } from "../cluster/visitor";
import { THREE_WRITES, expect, expectAwake, test } from "./fixtures";

test.use({ startSeconds: 1 });

const EVENTS = "/events/";
const WAKE = "/_unidler/api/wake";
const PAGE = { accept: "text/html" };
const OTHER = "https://elsewhere.example";

const STARTING_NOTHING: (Question & { name: string; status: number })[] = [
    { name: "a navigation", path: "/", headers: { ...PAGE, "sec-fetch-mode": "navigate", "sec-fetch-site": "none" }, status: 200 },
    { name: "a navigation from another site", path: "/", headers: { ...PAGE, "sec-fetch-site": "cross-site", referer: `${OTHER}/` }, status: 200 },
    { name: "a page that is fetched ahead", path: "/", headers: { ...PAGE, "sec-purpose": "prefetch" }, status: 200 },
    { name: "a page that is rendered ahead", path: "/", headers: { ...PAGE, "sec-purpose": "prefetch;prerender" }, status: 200 },
    { name: "HEAD of a page", method: "HEAD", path: "/", headers: PAGE, status: 200 },
    { name: "an image", path: "/logo.png", headers: { accept: "image/*", "sec-fetch-dest": "image", "sec-fetch-mode": "no-cors" }, status: 503 },
    { name: "curl of a page", path: "/", headers: { accept: "*/*", "user-agent": "curl/8" }, status: 503 },
    { name: "the status", path: "/_unidler/status", status: 200 },
    { name: "HEAD of the events", method: "HEAD", path: EVENTS, status: 204 },
    { name: "HEAD of the events without the slash", method: "HEAD", path: "/events", status: 204 },
    { name: "POST to the events", method: "POST", path: EVENTS, status: 405 },
    { name: "a question ahead of a request from another origin", method: "OPTIONS", path: EVENTS, headers: { origin: OTHER }, status: 405 },
    { name: "events for another site", path: EVENTS, headers: { "sec-fetch-site": "cross-site" }, status: 403 },
    { name: "events for a sibling", path: EVENTS, headers: { "sec-fetch-site": "same-site" }, status: 403 },
    { name: "events as a navigation", path: EVENTS, headers: { ...PAGE, "sec-fetch-site": "none" }, status: 403 },
    { name: "events with another Origin", path: EVENTS, headers: { origin: OTHER }, status: 403 },
    { name: "events with an opaque Origin", path: EVENTS, headers: { origin: "null" }, status: 403 },
    { name: "events with another Referer", path: EVENTS, headers: { referer: `${OTHER}/page` }, status: 403 },
    { name: "events that are fetched ahead", path: EVENTS, headers: { "sec-purpose": "prefetch", "sec-fetch-site": "same-origin" }, status: 403 },
    { name: "events that an old browser fetches ahead", path: EVENTS, headers: { purpose: "prefetch" }, status: 403 },
    { name: "a form of another site", method: "POST", path: WAKE, headers: { origin: OTHER }, status: 403 },
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

test("another site cannot start a wake-up through a visitor's browser, in whatever way it tries", async ({ page, app, ingress, asked }) => {
    const elsewhere = createServer((_, response) => response.setHeader("content-type", "text/html").end("<!DOCTYPE html><title>Elsewhere</title>"));
    await new Promise<void>((resolve) => elsewhere.listen(0, "127.0.0.1", resolve));
    try {
        await page.goto(`http://elsewhere.localhost:${(elsewhere.address() as AddressInfo).port}/`);
        const attempts = await page.evaluate(
            ({ events, wake }) => {
                const add = (name: string, attributes: object) => document.body.append(Object.assign(document.createElement(name), attributes));
                add("iframe", { name: "frame" });
                const form = Object.assign(document.createElement("form"), { method: "post", action: wake, target: "frame" });
                document.body.append(form);
                const attempts = [
                    () => void fetch(events, { mode: "no-cors" }).catch(() => {}),
                    () => void fetch(wake, { method: "post", mode: "no-cors" }).catch(() => {}),
                    () => new EventSource(events),
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
            { events: ingress.url(app.host, EVENTS), wake: ingress.url(app.host, WAKE) },
        );
        const visits = () => ingress.visits.filter(({ path }) => [EVENTS, WAKE].includes(path)).map(({ status }) => status);
        await expect.poll(visits).toEqual(Array(attempts).fill(403));
        expect((await status(ingress.port, app.host)).phase).toBe("asleep");
        expect(asked.writes()).toEqual([]);
    } finally {
        elsewhere.closeAllConnections();
        elsewhere.close();
    }
});
