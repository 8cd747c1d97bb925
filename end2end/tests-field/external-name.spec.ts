/** The hand-over of 2020, in which the Service of an idled app becomes an ExternalName, behind a real ingress controller. */
import { type Page } from "@playwright/test";

import { run } from "../cluster/program";
import { Load, failures, span, table } from "../field/load";
import { Visit } from "../field/visit";
import { THREE_WRITES, expectAwake } from "../tests-cluster/fixtures";
import { expect, test } from "./fixtures";

test("a visitor of an app that was idled from the command line sees the page until the app opens, whatever Traefik answers", async ({ page, api, unidler: _, startApp, operator, watchWrites }) => {
    const app = await startApp();
    const load = Load.start(app.host);
    await load.settles("app", 1);
    load.answers.splice(0);

    const idled = Date.now();
    expect(await run(operator, "idle", app.host, "--handover", "external-name")).toMatchObject({ code: 0 });
    await load.settles("unidler");
    const idling = load.answers.splice(0);

    const asked = watchWrites();
    const visited = Date.now();
    const visit = Visit.of(page);
    const headings = await headingsOf(page);
    const address = `http://${app.host}/reports?year=2026#table`;
    await page.goto(address);
    await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Hello from ${app.host}`);
    const landed = Date.now();
    await expect(page.locator("#path")).toHaveText("/reports?year=2026");
    expect(page.url()).toBe(address);
    await expectAwake(api, app);
    await load.settles("app");
    const waking = await load.stop();

    console.log(`falling asleep (0 s: the command)\n${table(idling, idled)}`);
    console.log(`waking (0 s: the visit, on the app after ${((landed - visited) / 1000).toFixed(1)} s): unidler ${span(waking, "unidler", visited)}, the app ${span(waking, "app", visited)}`);
    console.log(`${table(waking, visited)}\nthe page: ${headings.join(" → ")}`);

    expect(failures(idling), table(idling, idled)).toEqual([]);
    // An ExternalName keeps the endpoints of pods that are gone, once in their own slice and once mirrored, and Traefik applies a change
    // at most every two seconds. So, after the switch, all other visitors may get 502 for two seconds; or half of them, if Traefik read
    // the slices when one had its new endpoints and the other was still there.
    const failed = failures(waking);
    expect((failed.at(-1)?.at ?? 0) - (failed[0]?.at ?? 0), `milliseconds of errors\n${table(waking, visited)}`).toBeLessThan(3000);
    expect(visit.documents.map(({ status, by }) => (by === "unidler" ? `${status} of unidler` : String(status))), "the visitor saw two pages").toEqual(["200 of unidler", "200"]);
    expect(headings.filter((heading) => !["This app is asleep", "Waking up the app", "Almost there"].includes(heading))).toEqual([`Hello from ${app.host}`]);
    expect(asked.writes()).toEqual(THREE_WRITES);
});

/** The headings that the browser shows from now on, in order. Call this before opening a page. */
async function headingsOf(page: Page): Promise<string[]> {
    const headings: string[] = [];
    await page.exposeFunction("noteHeading", (heading: string) => {
        if (headings.at(-1) !== heading) headings.push(heading);
    });
    await page.addInitScript(() => {
        const note = () => {
            const heading = document.querySelector("h1")?.textContent?.trim();
            if (heading) (window as unknown as { noteHeading: (heading: string) => void }).noteHeading(heading);
        };
        new MutationObserver(note).observe(document, { subtree: true, childList: true, characterData: true });
    });
    return headings;
}
