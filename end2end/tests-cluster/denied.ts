/** What the API server refuses to unidler's account. */
import { Api } from "../cluster/api";
import { clusterFacts } from "../cluster/setup";
import { expect } from "./fixtures";

/** Somebody with unidler's token. */
export const asUnidler = async (api: Api) => new Api({ ...clusterFacts().access, token: await api.tokenOf("unidler", "unidler") });

/** A new policy, or a new Deployment that a policy asks, is not known at once. */
export const SOON = { timeout: 10_000 };

/** Expects that a policy refuses something, in these words, and as what is forbidden rather than as invalid. */
export async function expectDenied(what: string, attempt: () => Promise<unknown>, words: string | RegExp): Promise<void> {
    await expect(async () => await expect(attempt(), what).rejects.toThrow(words), what).toPass(SOON);
    await expect(attempt(), what).rejects.toMatchObject({ status: 403 });
}
