// Checks the links in the Markdown files: what they point to in this repository has to be there, headings too.
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";

const root = join(import.meta.dirname, "..");
const SKIPPED = new Set(["target", "node_modules", ".git", "dist", "test-results"]);

function* markdown(folder) {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
        const path = join(folder, entry.name);
        if (entry.isDirectory() && !SKIPPED.has(entry.name)) yield* markdown(path);
        else if (entry.name.endsWith(".md")) yield path;
    }
}

const prose = (file) => readFileSync(file, "utf8").replace(/^(```|~~~)[^]*?^\1/gm, "");

/** The anchors of a file's headings, as GitHub makes them. */
const anchors = (file) =>
    new Set(
        [...prose(file).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
            heading.toLowerCase().replace(/[^\p{L}\p{N}\p{M}\s_-]/gu, "").replaceAll(" ", "-"),
        ),
    );

let broken = 0;
for (const file of markdown(root)) {
    for (const [, link] of prose(file).matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^[a-z]+:/.test(link)) continue;
        const [path, anchor] = link.split("#");
        const target = path ? join(dirname(file), path) : file;
        if (existsSync(target) && (!anchor || anchors(target).has(anchor))) continue;
        console.error(`${relative(root, file)}: ${link} leads nowhere`);
        broken += 1;
    }
}
process.exitCode = broken ? 1 : 0;
