/** Apps that unidler may put to sleep by itself, and whether it has done so. */
import { type Api } from "../cluster/api";
import { type FieldApp } from "./apps";

/** Annotations with which an app sleeps at once, since its hours are long over. */
export const HOURS_OVER = { "unidler/awake": "2026-01-01T00:00:00Z/2026-01-02T00:00:00Z", "unidler/asleep": "at-once" };

/** Says of an app that it may be put to sleep. */
export async function optIn(api: Api, { route, namespace, name }: FieldApp): Promise<void> {
    await api.patch(route, namespace, name, { metadata: { labels: { "unidler/app": "true" } } });
}

/** Whether an app has no replicas. */
export async function isAsleep(api: Api, { workload, namespace, name }: FieldApp): Promise<boolean> {
    const { spec } = (await api.get(workload, namespace, name)) as unknown as { spec: { replicas?: number } };
    return spec.replicas === 0;
}

/** What a release of unidler has recorded of an app that it has put to sleep. */
export async function recordOf(api: Api, { namespace, name }: FieldApp, release = "unidler"): Promise<{ by: string }> {
    const { metadata } = await api.get("EndpointSlice", namespace, `${name}-${release}`);
    return JSON.parse(metadata.annotations?.["unidler/record"] ?? "{}");
}
