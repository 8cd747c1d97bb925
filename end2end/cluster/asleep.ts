/** Apps that `unidler idle` has put to sleep by EndpointSlices: nothing in them has a mark of unidler's. */
import { type FieldApp, type Wishes, createApp } from "../field/apps";
import { type Api } from "./api";
import { type EndpointSlice } from "./objects";
import { type Ran } from "./program";
import { until } from "./wait";

/** Creates an app, and puts it to sleep when it is up. */
export async function createSleepingApp(api: Api, operate: (...args: string[]) => Promise<Ran>, wishes: Wishes = {}): Promise<FieldApp> {
    const app = await createApp(api, { startSeconds: 1, ...wishes });
    await until(`${app.name} is up`, 30, async () => (await api.get(app.workload, app.namespace, app.name)).status?.availableReplicas === 2, () => {});
    const { code, stderr } = await operate("idle", app.host);
    if (code !== 0) throw new Error(stderr);
    return app;
}

/** The slice of unidler's own that a Service, or an app's Service, has. */
export async function sliceOf(api: Api, { namespace, name }: Pick<FieldApp, "namespace" | "name">): Promise<EndpointSlice | undefined> {
    const slices = await api.list("EndpointSlice", namespace);
    return slices.find(({ metadata }) => metadata.name === `${name}-unidler`);
}

/** The addresses on the slice of unidler's own that a Service has; `undefined` without one. */
export async function divertedOf(api: Api, namespace: string, service: string): Promise<string[] | undefined> {
    const slice = await sliceOf(api, { namespace, name: service });
    return slice && (slice.endpoints ?? []).flatMap(({ addresses }) => addresses);
}

/** What a wake-up or an idling changes of an app: its replicas, and the addresses on its slice. */
export async function sleepOf(api: Api, app: FieldApp): Promise<{ replicas: number; diverted: string[] | undefined }> {
    const { spec } = await api.get(app.workload, app.namespace, app.name);
    return { replicas: spec.replicas, diverted: await divertedOf(api, app.namespace, app.name) };
}
