/** The product's commands, run once. */
import { execFile } from "node:child_process";

import { PROGRAM } from "./unidler";

export interface Ran {
    code: number;
    stdout: string;
    stderr: string;
}

/** Runs a command of the program to its end, with nothing but a kubeconfig in its environment. */
export function run(kubeconfig: string, ...args: string[]): Promise<Ran> {
    return new Promise((resolve, reject) => {
        execFile(PROGRAM, args, { env: { KUBECONFIG: kubeconfig }, timeout: 60_000 }, (error, stdout, stderr) => {
            if (error && typeof error.code !== "number") reject(error);
            else resolve({ code: Number(error?.code ?? 0), stdout, stderr });
        });
    });
}
