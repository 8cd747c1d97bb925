/** How long a visitor waits for a ready app, and how many requests of others fail in that time: the table of docs/benchmarks.md. */
import { type Wishes } from "../field/apps";
import { type Form, handOver } from "../field/handover";
import { failures } from "../field/load";
import { expect, test } from "../tests-field/fixtures";

/** How many times each is measured. */
const RUNS = Number(process.env.RUNS ?? 20);

interface Case extends Required<Pick<Wishes, "workload" | "route">> {
    form: Form;
    forward: "handover" | "always" | "never";
}

const plain: Case = { workload: "Deployment", route: "Ingress", form: "slice", forward: "handover" };
const cases: Case[] = [
    plain,
    { ...plain, workload: "StatefulSet" },
    { ...plain, route: "HTTPRoute" },
    { ...plain, workload: "StatefulSet", route: "HTTPRoute" },
    { ...plain, forward: "always" },
    { ...plain, forward: "never" },
    { ...plain, form: "external-name" },
    { ...plain, form: "external-name", forward: "always" },
    { ...plain, form: "external-name", forward: "never" },
];
/** The median of the first case, which the others are compared with. */
let first: number | undefined;

for (const { workload, route, form, forward } of cases) {
    test.describe(`--forward ${forward}`, () => {
        test.use({ variables: { UNIDLER_FORWARD: forward } });

        test(`${workload}, ${route}, ${form}`, async ({ context, api, unidler: _, startApp, operator }) => {
            test.setTimeout(RUNS * 60_000);
            const app = await startApp({ workload, route });
            const times: number[] = [];
            let [pages, files, errors, others] = [0, 0, 0, 0];
            for (let run = 0; run < RUNS; run++) {
                const { took, pagesAgain, strayFiles, idling, waking } = await handOver(await context.newPage(), api, app, form, operator);
                times.push(took);
                if (pagesAgain) pages += 1;
                files += strayFiles.length;
                errors += failures([...idling, ...waking]).length;
                others += idling.length + waking.length;
            }
            expect(times.every(Number.isFinite)).toBe(true);
            times.sort((a, b) => a - b);
            const [median, worst] = [times[times.length >> 1]!, times.at(-1)!];
            if (first === undefined) console.log("| workload | route | form | `--forward` | median | worst | ratio | on the page again | files from unidler | errors of other visitors |\n|---|---|---|---|---:|---:|---:|---:|---:|---:|");
            first ??= median;
            console.log(`| ${workload} | ${route} | ${form} | ${forward} | ${median} ms | ${worst} ms | ${(median / first).toFixed(2)} | ${pages} of ${RUNS} | ${files} | ${errors} of ${others} |`);
        });
    });
}
