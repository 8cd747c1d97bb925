/** Custom workloads: any kind with a scale subresource that is named, under the role and the policies that the chart then has. */
import { randomBytes } from "node:crypto";

import { type Api } from "../cluster/api";
import { createSleepingApp, divertedOf, sleepOf } from "../cluster/asleep";
import { AuditLog, isNote, isWrite } from "../cluster/audit";
import { rendered } from "../cluster/helm";
import { type KubeObject } from "../cluster/objects";
import { OURS } from "../cluster/own-service";
import { SANDBOXES, installSandboxes, playController, removeSandboxes, sandbox } from "../cluster/sandbox";
import { clusterFacts, shipped } from "../cluster/setup";
import { events, status } from "../cluster/visitor";
import { deleteApp } from "../field/apps";
import { asUnidler, expectDenied } from "./denied";
import { UNIDLER_USER, expect, ownService, test as base } from "./fixtures";

/** An app with a Sandbox behind its Service. */
interface Box {
    namespace: string;
    host: string;
    /** Its replicas, and the addresses on its slice. */
    state: () => Promise<{ replicas: number; diverted: string[] | undefined }>;
}

const test = base.extend<{ isLate: boolean; box: Box; idled: Box }, { ownService: void; permitted: void }>({
    ownService,

    // What the chart renders when the kind is named.
    permitted: [
        async ({ api }, use) => {
            const values = { config: { scalable: [SANDBOXES] } };
            for (const object of [...rendered("rbac", values), ...rendered("policy", values)]) await api.apply(object);
            await use();
            for (const object of [...shipped("rbac.yaml"), ...shipped("policy.yaml")]) await api.apply(object);
        },
        { scope: "worker", auto: true },
    ],

    // Whether the kind comes while unidler runs.
    isLate: [false, { option: true }],

    unidler: async ({ api, startUnidler, isLate }, use) => {
        if (!isLate) await installSandboxes(api);
        await use(await startUnidler({ UNIDLER_SCALABLE: SANDBOXES }));
        await removeSandboxes(api);
    },

    box: async ({ api, unidler: _ }, use) => {
        await installSandboxes(api);
        const id = randomBytes(3).toString("hex");
        const [namespace, host] = [`team-${id}`, `box-${id}.localhost`];
        const end = new AbortController();
        try {
            for (const object of objectsOf(namespace, host)) await api.apply(object);
            const played = playController(api, namespace, end.signal);
            const state = async () => ({ replicas: (await api.get("Sandbox", namespace, "box")).spec.replicas, diverted: await divertedOf(api, namespace, "box") });
            await use({ namespace, host, state });
            end.abort();
            await played;
        } finally {
            end.abort();
            await api.delete("Ingress", namespace, "box");
            await api.delete("Namespace", "", namespace);
        }
    },

    idled: async ({ api, operate, unidler, box }, use) => {
        await expect.poll(() => readyAddresses(api, box.namespace)).toBe(2);
        const { code, stdout, stderr } = await operate("idle", "--scalable", SANDBOXES, box.host);
        expect(stderr).toBe("");
        expect(stdout).toBe(`Idled ${box.host}: scaled Sandbox.sandboxes.test ${box.namespace}/box from 2 to 0 replicas. The next visit restores them.\n`);
        expect(code).toBe(0);
        expect(await box.state()).toEqual({ replicas: 0, diverted: [OURS] });
        // It looks once a minute whether the kind is there.
        await expect.poll(async () => (await status(unidler.port, box.host)).phase, { timeout: 70_000 }).toBe("asleep");
        await use(box);
    },
});

test.describe("a kind that comes while unidler runs", () => {
    test.use({ isLate: true });
    test.describe.configure({ timeout: 150_000 });

    test("is idled, listed and woken, in two writes each way", async ({ api, operate, unidler, idled }) => {
        const list = await operate("status", "--scalable", SANDBOXES, "-o", "json");
        const rows = JSON.parse(list.stdout).filter(({ namespace }: { namespace: string }) => namespace === idled.namespace);
        expect(rows).toMatchObject([{ hosts: [idled.host], form: "slice", wakes: true, workloads: [{ kind: "Sandbox", name: "box", replicas: 2 }] }]);
        await expect.poll(() => readyAddresses(api, idled.namespace)).toBe(0);

        const log = new AuditLog(clusterFacts().auditLog);
        const mark = log.mark();
        const told = await events(unidler.port, idled.host);
        expect(told.at(-1)?.event).toBe("success");
        await expect.poll(idled.state).toEqual({ replicas: 2, diverted: [] });
        expect(await readyAddresses(api, idled.namespace)).toBeGreaterThan(0);
        const written = () => log.since(mark, UNIDLER_USER).filter((request) => isWrite(request) && !isNote(request));
        expect(written().map(({ verb, resource }) => `${verb} ${resource}`)).toEqual(["patch sandboxes/scale", "patch endpointslices"]);
        const notes = async () => (await api.list("Event", idled.namespace)).filter(({ regarding }) => regarding.kind === "Sandbox");
        await expect.poll(async () => (await notes()).map(({ reason }) => reason)).toEqual(["Unidled"]);
    });
});

test("a Sandbox is restored by the command, and its record stays where its kind is not watched", async ({ operate, idled }) => {
    const blind = await operate("restore", "--all");
    expect(blind.stderr).toContain(`EndpointSlice ${idled.namespace}/box-unidler is kept`);
    expect(blind.code).toBe(1);
    expect(await idled.state()).toEqual({ replicas: 0, diverted: [OURS] });
    const { code, stdout } = await operate("restore", "--all", "--scalable", SANDBOXES);
    expect(stdout).toContain(idled.host);
    expect(code).toBe(0);
    expect((await idled.state()).replicas).toBe(2);
});

test("of a Sandbox whose slice is gone, nothing says that unidler has put it to sleep", async ({ api, operate, idled }) => {
    const other = await createSleepingApp(api, operate);
    try {
        await api.delete("EndpointSlice", idled.namespace, "box-unidler");
        await api.delete("EndpointSlice", other.namespace, `${other.name}-unidler`);
        await expect.poll(() => sleepOf(api, other), { timeout: 60_000 }).toEqual({ replicas: 0, diverted: [OURS] });
        expect(await idled.state()).toEqual({ replicas: 0, diverted: undefined });
    } finally {
        await deleteApp(api, other);
    }
});

test("a Sandbox is scaled within the same limits as any workload", async ({ api, box }) => {
    const unidler = await asUnidler(api);
    await expect.poll(() => readyAddresses(api, box.namespace)).toBe(2);
    const scale = (replicas: number) => unidler.tryScale("Sandbox", box.namespace, "box", replicas, "merge");
    const words = "unidler may only scale a workload down to zero, and up from zero to at most 10 replicas";
    await expectDenied("fewer replicas", () => scale(1), words);
    await scale(0);
    await api.patch("Sandbox", box.namespace, "box", { spec: { replicas: 0 } });
    await expectDenied("too many", () => scale(11), words);
    await scale(10);
    await expect(unidler.patch("Sandbox", box.namespace, "box", { spec: { replicas: 1 } })).rejects.toMatchObject({ status: 403 });
});

/** How many ready endpoints of its own the Service has. */
async function readyAddresses(api: Api, namespace: string): Promise<number> {
    const slices = (await api.list("EndpointSlice", namespace)).filter(({ metadata }) => metadata.name !== "box-unidler");
    return slices.flatMap(({ endpoints }) => endpoints ?? []).filter(({ conditions }) => conditions?.ready).length;
}

function objectsOf(namespace: string, host: string): KubeObject[] {
    const paths = [{ path: "/", pathType: "Prefix", backend: { service: { name: "box", port: { name: "http" } } } }];
    return [
        { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } },
        { apiVersion: "v1", kind: "Service", metadata: { name: "box", namespace }, spec: { selector: { sandbox: "box" }, ports: [{ name: "http", port: 80, targetPort: 3000 }] } },
        { apiVersion: "networking.k8s.io/v1", kind: "Ingress", metadata: { name: "box", namespace }, spec: { rules: [{ host, http: { paths } }] } },
        sandbox(namespace, "box", 2),
    ] as KubeObject[];
}
