/** What the unidler's account may not do, though its role would allow it: the policies that we ship. */
import { Api } from "../cluster/api";
import { IDLED, type App } from "../cluster/app";
import { type Kind, contentOf } from "../cluster/objects";
import { clusterFacts } from "../cluster/setup";
import { events } from "../cluster/visitor";
import { THREE_WRITES, expect, expectAwake, test } from "./fixtures";

/** Somebody with the unidler's token. */
const asUnidler = async (api: Api) => new Api({ ...clusterFacts().access, token: await api.tokenOf("unidler", "unidler") });

interface Attempt {
    what: string;
    kind: Kind;
    name?: (app: App) => string;
    change: object;
    denied: string;
}

const container = { name: "app", image: "evil.example/miner" };

const ATTEMPTS: Attempt[] = [
    {
        what: "another image",
        kind: "Deployment",
        change: { spec: { template: { spec: { containers: [container] } } } },
        denied: "of a Deployment's spec, the unidler may change only the replicas",
    },
    { what: "a paused rollout", kind: "Deployment", change: { spec: { paused: true } }, denied: "may change only the replicas" },
    {
        what: "a label of its own",
        kind: "Deployment",
        change: { metadata: { labels: { owner: "me" } } },
        denied: "of a Deployment's labels, the unidler may take off only mojanalytics.xyz/idled",
    },
    {
        what: "another annotation",
        kind: "Deployment",
        change: { metadata: { annotations: { "kubectl.kubernetes.io/restartedAt": "now" } } },
        denied: "of a Deployment's annotations, the unidler may change only those of idling",
    },
    {
        what: "anything but times in the annotation for times",
        kind: "Deployment",
        change: { metadata: { annotations: { "mojanalytics.xyz/wake-seconds": "40,<script>" } } },
        denied: "of a Deployment's annotations, the unidler may change only those of idling",
    },
    {
        what: "a finalizer",
        kind: "Deployment",
        change: { metadata: { finalizers: ["example.org/mine"] } },
        denied: "may not change to whom a Deployment belongs",
    },
    {
        what: "other traffic",
        kind: "Service",
        change: { spec: { externalName: "evil.example" } },
        denied: "the unidler may only point a Service at pods inside the cluster again",
    },
    {
        what: "an address outside",
        kind: "Service",
        change: { spec: { type: "ClusterIP", externalName: null, selector: { app: "x" }, externalIPs: ["192.0.2.1"] } },
        denied: "may only point a Service at pods inside the cluster again",
    },
    {
        what: "the same pod for each client",
        kind: "Service",
        change: { spec: { type: "ClusterIP", externalName: null, selector: { app: "x" }, sessionAffinity: "ClientIP" } },
        denied: "may only point a Service at pods inside the cluster again",
    },
    {
        what: "everybody's label on a Service",
        kind: "Service",
        change: { metadata: { labels: { team: "mine" } }, spec: { type: "ClusterIP", externalName: null, selector: { app: "x" } } },
        denied: "the unidler may not change a Service's labels",
    },
];

test("of an idled app, the account may change nothing but what wakes it", async ({ api, app }) => {
    const unidler = await asUnidler(api);
    for (const { what, kind, change, denied } of ATTEMPTS) {
        const before = await api.get(kind, app.namespace, app.name);
        // A new policy is not in force at once.
        await expect(async () => await expect(unidler.patch(kind, app.namespace, app.name, change), what).rejects.toThrow(denied)).toPass();
        expect(contentOf(await api.get(kind, app.namespace, app.name)), what).toEqual(contentOf(before));
    }
});

test("of an app that is awake, it may change nothing at all", async ({ api, app, unidler, asked }) => {
    // With the policies in force, an app wakes.
    expect((await events(unidler.port, app.host)).at(-1)?.event).toBe("success");
    await expectAwake(api, app);
    expect(asked.writes()).toEqual(THREE_WRITES);

    const account = await asUnidler(api);
    const onlyIdled = "the unidler may change only a Deployment that is idled";
    await expect(account.patch("Deployment", app.namespace, app.name, { spec: { replicas: 0 } })).rejects.toThrow(onlyIdled);
    await expect(account.patch("Deployment", app.namespace, app.name, { spec: { replicas: 9 } })).rejects.toThrow(onlyIdled);
    await expect(account.patch("Deployment", app.namespace, app.name, { metadata: { labels: { [IDLED]: "true" } } })).rejects.toThrow(onlyIdled);
    await expect(account.patch("Service", app.namespace, app.name, { spec: { selector: { app: "mine" } } })).rejects.toThrow(
        "the unidler may change only a Service that points at it",
    );
    // Others may, of course.
    await api.patch("Deployment", app.namespace, app.name, { spec: { replicas: 1 } });
});

test("replicas that are there are not changed, not even of an idled app", async ({ api, app }) => {
    await api.patch("Deployment", app.namespace, app.name, { spec: { replicas: 3 } });
    const unidler = await asUnidler(api);
    for (const replicas of [0, 1, 9]) {
        await expect(unidler.patch("Deployment", app.namespace, app.name, { spec: { replicas } }), `${replicas}`).rejects.toThrow(
            "the unidler may change replicas only from 0 to some",
        );
    }
});
