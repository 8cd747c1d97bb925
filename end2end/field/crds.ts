/** The kinds of operators, from the Go modules that the operators are built from. */
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

import { type KubeObject } from "../cluster/objects";
import { documents } from "../cluster/setup";

/** Those in a folder of a module, in the version that the go.mod of a folder beside this file pins. */
export function crdsOf(pinned: string, module: string, folder: string): KubeObject[] {
    const dir = execFileSync("go", ["list", "-m", "-f", "{{.Dir}}", module], { cwd: join(__dirname, pinned), encoding: "utf8" }).trim();
    const manifests = readdirSync(join(dir, folder)).map((file) => readFileSync(join(dir, folder, file), "utf8"));
    return manifests.flatMap(documents).filter((object) => object?.kind === "CustomResourceDefinition");
}
