/** One whole cycle of an app, from awake to asleep to awake, with visitors at a steady rate beside the one who wakes it. */
import { type Page, expect } from "@playwright/test";

import { type Api } from "../cluster/api";
import { run } from "../cluster/program";
import { type FieldApp } from "./apps";
import { type Answer, Load } from "./load";
import { Visit, readiness } from "./visit";

export type Form = "slice" | "external-name";

/** For how long the visitor goes on to open pages of the app, in milliseconds: longer than Traefik takes to apply a change. */
const READS = 2_500;

export interface Handover {
    /** From the app's first ready endpoint to the visitor's first page of the app, in milliseconds. */
    took: number;
    /** How many of the visitor's later pages were not the app's. */
    pagesAgain: number;
    /** Files of the app's pages that did not come from the app. */
    strayFiles: string[];
    /** What the other visitors got, while the app fell asleep and while it woke. */
    idling: Answer[];
    waking: Answer[];
}

/** Idles an app, visits it in the browser and goes on reading, at 50 other requests a second. */
export async function handOver(page: Page, api: Api, app: FieldApp, form: Form, operator: string): Promise<Handover> {
    const load = Load.start(app.host);
    const ended = new AbortController();
    try {
        await load.settles("app", 1);
        load.answers.splice(0);
        expect(await run(operator, "idle", app.host, "--handover", form)).toMatchObject({ code: 0 });
        await load.settles("unidler");
        const idling = load.answers.splice(0);

        const ready = await readiness(api, app, ended.signal);
        const visit = Visit.of(page);
        await page.goto(`http://${app.host}/reports?year=2026#table`);
        await expect.poll(() => visit.landed, { intervals: [50] }).toBeDefined();
        const landed = visit.landed ?? NaN;
        await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`);
        for (let count = 0; Date.now() < landed + READS; count++) {
            await page.waitForLoadState();
            await page.goto(`http://${app.host}/page/${count}`);
        }
        await page.waitForLoadState();
        await load.settles("app", 1);
        return {
            took: landed - (ready() ?? NaN),
            pagesAgain: visit.pagesAgain.length,
            strayFiles: visit.strayFiles,
            idling,
            waking: load.answers.splice(0),
        };
    } finally {
        ended.abort();
        await load.stop();
        await page.close();
    }
}
