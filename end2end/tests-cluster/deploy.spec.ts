/** The manifests that we ship. */
import { type Kind } from "../cluster/objects";
import { shipped } from "../cluster/setup";
import { expect, test } from "./fixtures";

test("the manifests as shipped give two admitted pods in a restricted namespace", async ({ api }) => {
    const objects = shipped("unidler.yaml");
    try {
        for (const object of objects) await api.apply(object);
        await expect.poll(async () => (await api.get("Deployment", "unidler", "unidler")).status?.availableReplicas).toBe(2);
    } finally {
        for (const { kind, metadata } of objects) await api.delete(kind as Kind, metadata.namespace ?? "", metadata.name);
    }
});
