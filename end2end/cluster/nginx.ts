/** A real nginx in front of something, which keeps connections to it as ingress-nginx does: impatient, or with TLS and HTTP/2. */
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";

import { selfSigned } from "./certificate";
import { Child, freePort } from "./child";
import { until } from "./wait";

/** Not every PATH has the folders of the administrator. */
const FOLDERS = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];

export interface Nginx {
    port: number;
    stop: () => Promise<void>;
}

export interface Wishes {
    /** It gives up on an answer of which nothing has come for so many seconds. */
    readTimeoutSeconds?: number;
    /** Whether it speaks TLS, with a certificate of its own making, and HTTP/2. */
    isSecure?: boolean;
}

export async function startNginx(upstreamPort: number, { readTimeoutSeconds = 60, isSecure = false }: Wishes): Promise<Nginx> {
    const program = FOLDERS.map((folder) => join(folder, "nginx")).find(isProgram);
    if (!program) throw new Error("The cluster tests put a real nginx in front of unidler: install it, such as with `apt-get install nginx-light`.");
    const dir = mkdtempSync(join(tmpdir(), "unidler-nginx-"));
    const port = await freePort();
    const [config, log] = [join(dir, "nginx.conf"), join(dir, "nginx.log")];
    const listen = isSecure ? [`listen 127.0.0.1:${port} ssl http2;`, ...certificate(dir)] : [`listen 127.0.0.1:${port};`];
    writeFileSync(config, configuration(dir, listen, upstreamPort, readTimeoutSeconds));
    const child = Child.start(program, ["-p", dir, "-c", config, "-e", log], log);
    const stop = async () => {
        await child.stop();
        rmSync(dir, { recursive: true, force: true });
    };
    try {
        await until("nginx is ready", 10, () => isListening(port), () => child.assertRunning());
    } catch (error) {
        await stop();
        throw error;
    }
    return { port, stop };
}

/** How nginx finds a certificate of its own. */
function certificate(dir: string): string[] {
    const { certificate, key } = selfSigned(dir);
    return [`ssl_certificate ${certificate};`, `ssl_certificate_key ${key};`];
}

function isListening(port: number): Promise<boolean> {
    return new Promise((resolve) => {
        const socket = connect(port, "127.0.0.1", () => resolve(true)).on("error", () => resolve(false));
        socket.on("connect", () => socket.destroy());
    });
}

function configuration(dir: string, listen: string[], upstreamPort: number, readTimeoutSeconds: number): string {
    const folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `    ${name}_temp_path ${join(dir, name)};`);
    return `
daemon off;
master_process off;
pid ${join(dir, "nginx.pid")};
events {}
http {
    access_log off;
${folders.join("\n")}
    upstream unidler {
        server 127.0.0.1:${upstreamPort};
        keepalive 32;
    }
    server {
        ${listen.join("\n        ")}
        location / {
            proxy_pass http://unidler;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
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
