/** Apps that cannot be woken as things are: the visitor is told why, and nothing is written. */
import { type Flaw } from "../cluster/app";
import { events, status } from "../cluster/visitor";
import { expect, test } from "./fixtures";

const BROKEN: { flaw: Flaw; reason: string; message: string }[] = [
    { flaw: "no Ingress", reason: "no_route", message: "There is no app at this address." },
    { flaw: "two Deployments", reason: "ambiguous_workload", message: "We cannot tell which app belongs to this address." },
    {
        flaw: "Ingress serves another host",
        reason: "host_not_served",
        message: "There is an app with this name, but not at this address.",
    },
    { flaw: "no Deployment", reason: "no_workload", message: "The app at this address no longer exists." },
    { flaw: "no Service", reason: "no_service", message: "The app cannot be connected to this address." },
    { flaw: "not idled", reason: "switched_off", message: "This app has been turned off." },
];

for (const { flaw, reason, message } of BROKEN) {
    test.describe(flaw, () => {
        test.use({ flaw });

        test("is told to the visitor, and nothing is written", async ({ page, app, ingress, asked }) => {
            await expect.poll(() => status(ingress.port, app.host)).toMatchObject({ phase: "failed", reason, host: app.host });

            await page.goto(ingress.url(app.host, "/reports"));
            await expect(page.locator("main")).toHaveAttribute("data-phase", "failed");
            await expect(page.locator("main .lead")).toHaveText(message);

            const told = await events(ingress.port, app.host);
            expect(told.at(-1)).toMatchObject({ event: "failure", progress: { phase: "failed", reason } });
            expect(asked.writes()).toEqual([]);
        });
    });
}
