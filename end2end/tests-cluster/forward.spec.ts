/**
 * An ingress that never notices that the app is up: the visitor's requests go to unidler for ever, and it passes them on.
 * The Services' addresses are of this machine, so the app answers at the address of its own.
 */
import { createHash } from "node:crypto";
import { type IncomingMessage, type Server, createServer } from "node:http";
import { type AddressInfo } from "node:net";

import { SERVICE_WHEN_UNIDLED } from "../cluster/app";
import { status } from "../cluster/visitor";
import { THREE_WRITES, expect, faultyTest as base, stateOf } from "./fixtures";

const test = base.extend({
    unidler: async ({ startUnidler }, use) => await use(await startUnidler({ UNIDLER_FORWARD: "always" })),
});
test.use({ startSeconds: 3 });

test("a visitor whose ingress never notices has the app all the same, WebSocket and POST included, also while the API server is away", async ({ page, api, app, unidler, apiProxy, asked }) => {
    const asks: string[] = [];
    const server = await serveApp(({ method, url, headers }) => asks.push(`${method} ${url} ${headers.host}`));
    try {
        const port = (server.address() as AddressInfo).port;
        const spec = { selector: { app: app.name }, ports: [{ name: "http", port, targetPort: 3000, protocol: "TCP" }] };
        await api.patch("Service", app.namespace, app.name, { metadata: { annotations: { [SERVICE_WHEN_UNIDLED]: JSON.stringify(spec) } } });

        const host = `${app.host}:${unidler.port}`;
        await page.goto(`http://${host}/deep/link?of=them#part`);
        await expect(page.getByRole("heading", { level: 1 })).toHaveText("The app");
        expect(page.url()).toBe(`http://${host}/deep/link?of=them#part`);
        await expect(page.locator("#socket")).toHaveText("Hello from the socket");
        expect(await page.evaluate(async () => await (await fetch("/form", { method: "POST", body: "a=b" })).text())).toBe("a=b");

        expect(asks.filter((ask) => ask === `GET /deep/link?of=them ${host}`).length, "nothing but the visit").toBe(1);
        expect(asks).toContain(`GET /socket ${host}`);
        expect((await stateOf(api, app)).type).toBe("ClusterIP");
        expect(asked.writes()).toEqual(THREE_WRITES);

        await apiProxy.refuse();
        await expect.poll(() => status(unidler.port, app.host), "unidler has lost the API server").not.toMatchObject({ phase: "ready" });
        await page.reload();
        await expect(page.getByRole("heading", { level: 1 })).toHaveText("The app");
        expect(await page.evaluate(async () => await (await fetch("/form", { method: "POST", body: "c=d" })).text())).toBe("c=d");
        await apiProxy.accept();
    } finally {
        server.closeAllConnections();
        server.close();
    }
});

/** An app with a page, a form and a socket. */
async function serveApp(note: (request: IncomingMessage) => void): Promise<Server> {
    const server = createServer((request, response) => {
        note(request);
        if (request.method === "POST") return void request.pipe(response);
        response.writeHead(200, { "content-type": "text/html" });
        const script = 'new WebSocket(`ws://${location.host}/socket`).onmessage = ({ data }) => (document.querySelector("#socket").textContent = data)';
        response.end(`<!DOCTYPE html><title>The app</title><h1>The app</h1><p id="socket"></p><script>${script}</script>`);
    });
    server.on("upgrade", (request, socket) => {
        note(request);
        // https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2, and one frame of text as in section 5.2.
        const key = `${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
        const accept = createHash("sha1").update(key).digest("base64");
        socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
        const text = Buffer.from("Hello from the socket");
        socket.write(Buffer.concat([Buffer.from([0x81, text.length]), text]));
    });
    await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
    return server;
}
