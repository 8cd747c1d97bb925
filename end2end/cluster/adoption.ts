/** The optional permission to have other programs leave the apps alone that visitors have woken, with its policies. */
import { type Api } from "./api";
import { rendered } from "./helm";
import { type Kind } from "./objects";
import { shipped } from "./setup";

const OPTIONAL = { rights: { adopt: true } };

const objects = () => [...rendered("rbac", OPTIONAL), ...rendered("policy", OPTIONAL)];

export async function grantAdoption(api: Api): Promise<void> {
    for (const object of objects()) await api.apply(object);
}

export async function revokeAdoption(api: Api): Promise<void> {
    const added = objects().filter(({ metadata: { name } }) => /-(adopt|downscaler|keda)$/.test(name));
    for (const { kind, metadata } of added) await api.delete(kind as Kind, "", metadata.name);
    for (const object of [...shipped("rbac.yaml"), ...shipped("policy.yaml")]) await api.apply(object);
}
