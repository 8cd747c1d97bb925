/** How long visitors wait for a ready app: the table of docs/benchmarks.md. */
import { type Form, handOver } from "../field/handover";
import { failures } from "../field/load";
import { expect, test } from "../tests-field/fixtures";

/** How many times each is measured. */
const RUNS = Number(process.env.RUNS ?? 20);

const cases = (["slice", "external-name"] as const).flatMap((form: Form) => (["handover", "always", "never"] as const).map((forward) => ({ form, forward })));
/** The median of the first case, which the others are compared with. */
let first: number | undefined;

for (const { form, forward } of cases) {
    test.describe(`--forward ${forward}`, () => {
        test.use({ variables: { UNIDLER_FORWARD: forward } });

        test(form, async ({ context, api, unidler: _, startApp, operator }) => {
            test.setTimeout(RUNS * 60_000);
            const app = await startApp();
            const times: number[] = [];
            let [pages, files, errors] = [0, 0, 0];
            for (let run = 0; run < RUNS; run++) {
                const { took, pagesAgain, strayFiles, idling, waking } = await handOver(await context.newPage(), api, app, form, operator);
                times.push(took);
                if (pagesAgain) pages += 1;
                files += strayFiles.length;
                errors += failures([...idling, ...waking]).length;
            }
            expect(times.every(Number.isFinite)).toBe(true);
            times.sort((a, b) => a - b);
            const [median, worst] = [times[times.length >> 1]!, times.at(-1)!];
            first ??= median;
            if (times.length && form === "slice" && forward === "handover") console.log("| form | `--forward` | median | worst | ratio | on the page again | files from unidler | errors of other visitors |\n|---|---|---:|---:|---:|---:|---:|---:|");
            console.log(`| ${form} | ${forward} | ${median} ms | ${worst} ms | ${(median / first).toFixed(2)} | ${pages} of ${RUNS} | ${files} | ${errors} |`);
        });
    });
}
