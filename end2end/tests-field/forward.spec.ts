/** Requests that Traefik still routes to unidler for a ready app. For up to two seconds it sends every other request there. */
import { type Form, handOver } from "../field/handover";
import { failures, table } from "../field/load";
import { expect, test } from "./fixtures";

/** The longest that a visitor may wait for a ready app, in milliseconds: with forwarding, no rule of the page makes them wait. */
const LONGEST = { seamless: 1_500, waits: 4_500 };

const cases: { form: Form; forward: "handover" | "always" | "never"; longest: number }[] = [
    { form: "slice", forward: "handover", longest: LONGEST.seamless },
    { form: "slice", forward: "always", longest: LONGEST.seamless },
    { form: "slice", forward: "never", longest: LONGEST.waits },
    // All that is known of an ExternalName is the address of its Service, and Traefik answers with errors for two seconds.
    { form: "external-name", forward: "handover", longest: LONGEST.waits },
    { form: "external-name", forward: "never", longest: LONGEST.waits },
];

for (const { form, forward, longest } of cases) {
    test.describe(`with --forward ${forward}`, () => {
        test.use({ variables: { UNIDLER_FORWARD: forward } });

        test(`a visitor of an app that slept by ${form} stays on the app and gets all of its files`, async ({ context, api, unidler: _, startApp, operator }) => {
            const app = await startApp({ route: form === "slice" ? "HTTPRoute" : "Ingress" });
            for (let cycle = 1; cycle <= 2; cycle++) {
                const began = Date.now();
                const { took, pagesAgain, strayFiles, idling, waking } = await handOver(await context.newPage(), api, app, form, operator);
                console.log(`from ready to the visitor on the app: ${took} ms\n${table(waking, began)}`);
                expect(pagesAgain, "pages after the first of the app").toBe(0);
                expect(strayFiles, "files of the app").toEqual([]);
                expect(took, "milliseconds from ready to the visitor on the app").toBeLessThan(longest);
                expect(failures(idling), table(idling, began)).toEqual([]);
                if (form === "slice") expect(failures(waking), table(waking, began)).toEqual([]);
            }
        });
    });
}
