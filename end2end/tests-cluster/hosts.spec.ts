/** Which app an address names: whatever leads to its Service, and nobody else. */
import { randomBytes } from "node:crypto";

import { type App } from "../cluster/app";
import { type KubeObject } from "../cluster/objects";
import { events, status } from "../cluster/visitor";
import { expect, expectAwake, test } from "./fixtures";

test.use({ startSeconds: 1 });

/** Rules that lead hosts to the app, without its key. */
function ingress(app: App, name: string, hosts: string[], annotations = {}): KubeObject {
    const backend = { service: { name: app.name, port: { name: "http" } } };
    const rules = hosts.map((host) => ({ host, http: { paths: [{ path: "/", pathType: "Prefix", backend }] } }));
    return { apiVersion: "networking.k8s.io/v1", kind: "Ingress", metadata: { name, namespace: app.namespace, annotations }, spec: { rules } } as KubeObject;
}

for (const [what, hostOf] of Object.entries({
    "a second host of a second Ingress": (id: string) => `alias-${id}.localhost`,
    "a host of a wildcard": (id: string) => `any.${id}.localhost`,
    "an alias by annotation": (id: string) => `alias-by-annotation-${id}.localhost`,
})) {
    test(`${what} wakes the app`, async ({ api, app, unidler }) => {
        const id = app.name.replace("tool-", "");
        const aliases = { "nginx.ingress.kubernetes.io/server-alias": `alias-by-annotation-${id}.localhost` };
        await api.apply(ingress(app, "more", [`alias-${id}.localhost`, `*.${id}.localhost`], aliases));
        await expect.poll(async () => (await status(unidler.port, hostOf(id))).phase).toBe("asleep");
        expect((await events(unidler.port, hostOf(id))).at(-1)?.event).toBe("success");
        await expectAwake(api, app);
    });
}

test("an Ingress of a stranger blocks nobody", async ({ api, app, unidler }) => {
    const stranger = { ...app, namespace: `stranger-${randomBytes(3).toString("hex")}` };
    await api.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: stranger.namespace } });
    const claim = ingress(stranger, "claim", [app.host]);
    claim.metadata.labels = app.key;
    await api.apply(claim);
    const seen = ingress(stranger, "seen", [`seen-${app.host}`]);
    seen.metadata.labels = app.key;
    await api.apply(seen);
    await expect.poll(async () => (await status(unidler.port, `seen-${app.host}`)).reason).toBe("no_service");
    expect((await status(unidler.port, app.host)).phase).toBe("asleep");
    expect((await events(unidler.port, app.host)).at(-1)?.event).toBe("success");
    await expectAwake(api, app);
    await api.delete("Namespace", "", stranger.namespace);
});

test("an app without any label but that of its Deployment is woken", async ({ api, app, unidler }) => {
    for (const kind of ["Ingress", "Service"] as const) {
        await api.patch(kind, app.namespace, app.name, { metadata: { labels: Object.fromEntries(Object.keys(app.key).map((key) => [key, null])) } });
    }
    expect((await events(unidler.port, app.host)).at(-1)?.event).toBe("success");
    await expectAwake(api, app);
});
