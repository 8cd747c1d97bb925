/** A real nginx in front of something, as it is configured by default but for its patience. */
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";

import { Child, freePort } from "./child";
import { until } from "./wait";

/** Not every PATH has the folders of the administrator. */
const FOLDERS = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];

export interface Nginx {
    port: number;
    stop: () => Promise<void>;
}

/** Starts one that gives up on an answer of which nothing has come for so many seconds. */
export async function startNginx(upstreamPort: number, readTimeoutSeconds: number): Promise<Nginx> {
    const program = FOLDERS.map((folder) => join(folder, "nginx")).find(isProgram);
    if (!program) throw new Error("The cluster tests put a real nginx in front of the unidler: install it, such as with `apt-get install nginx-light`.");
    const dir = mkdtempSync(join(tmpdir(), "unidler-nginx-"));
    const port = await freePort();
    const [config, log] = [join(dir, "nginx.conf"), join(dir, "nginx.log")];
    writeFileSync(config, configuration(dir, port, upstreamPort, readTimeoutSeconds));
    const child = Child.start(program, ["-p", dir, "-c", config, "-e", log], log);
    const stop = async () => {
        await child.stop();
        rmSync(dir, { recursive: true, force: true });
    };
    try {
        await until("nginx is ready", 10, async () => (await fetch(`http://127.0.0.1:${port}/ready`)).ok, () => child.assertRunning());
    } catch (error) {
        await stop();
        throw error;
    }
    return { port, stop };
}

function configuration(dir: string, port: number, upstreamPort: number, readTimeoutSeconds: number): string {
    const folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `    ${name}_temp_path ${join(dir, name)};`);
    return `
daemon off;
master_process off;
pid ${join(dir, "nginx.pid")};
events {}
http {
    access_log off;
${folders.join("\n")}
    server {
        listen 127.0.0.1:${port};
        location = /ready { return 200; }
        location / {
            proxy_pass http://127.0.0.1:${upstreamPort};
            proxy_set_header Host $http_host;
            proxy_read_timeout ${readTimeoutSeconds}s;
        }
    }
}
`;
}

function isProgram(file: string): boolean {
    try {
        accessSync(file, constants.X_OK);
        return true;
    } catch {
        return false;
    }
}
