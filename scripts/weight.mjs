// What a visitor's browser loads at first, by part: the HTML with its style, the module and the WASM as brotli, and the
// loader as the server sends it. Fails above the budget. Starts the demo, and asks it for the page as a browser would.

import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { get } from "node:http";
import { brotliCompressSync } from "node:zlib";

const KIB = 1024;
// The HTML so that it fits into the first packets of a connection; all of it so that nobody notices.
const BUDGET = { html: 14_000, total: 100 * KIB };
const files = "dist/site/_unidler/pkg/";

const demo = spawn("dist/unidler", ["demo"], { env: { ...process.env, PORT: "127.0.0.1:0", RUST_LOG: "info" } });
const port = await new Promise((found, failed) => {
  let log = "";
  demo.stderr.on("data", (data) => {
    log += data;
    const port = /localhost:(\d+)/.exec(log)?.[1];
    if (port) found(port);
  });
  demo.on("exit", () => failed(new Error(`the demo did not start: ${log}`)));
});
const load = (path) =>
  new Promise((done, failed) => {
    const headers = { host: `quick.localhost:${port}`, accept: "text/html", "accept-encoding": "gzip" };
    get({ host: "127.0.0.1", port, path, headers }, async (answer) => done(Buffer.concat(await answer.toArray()))).on("error", failed);
  });
const html = await load("/");
const loader = await load(new URL(/<script defer src="([^"]+)"/.exec(html.toString())[1], "http://localhost/").pathname);
demo.kill();

const part = (extension) => readFileSync(files + readdirSync(files).find((name) => name.endsWith(`.${extension}.br`))).length;
const parts = { html: brotliCompressSync(html).length, loader: loader.length, js: part("js"), wasm: part("wasm") };
parts.total = parts.html + parts.loader + parts.js + parts.wasm;
for (const [name, bytes] of Object.entries(parts)) {
  const limit = BUDGET[name] ? `  of at most ${(BUDGET[name] / KIB).toFixed(1)} KiB` : "";
  console.log(`${name.padEnd(8)}${(bytes / KIB).toFixed(1).padStart(7)} KiB${limit}`);
}
const foreign = [...html.toString().matchAll(/(?:src|href)="?(https?:\/\/[^" >]+)/g)].map((match) => match[1]);
if (foreign.length > 0) console.log(`requests to others: ${foreign.join(" ")}`);
const above = Object.keys(BUDGET).filter((name) => parts[name] > BUDGET[name]);
if (above.length > 0) console.log(`above the budget: ${above.join(", ")}`);
process.exit(above.length + foreign.length > 0 ? 1 : 0);
