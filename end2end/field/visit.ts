/** A visit in the browser, from the first page to the app, as it is measured. */
import { type Page } from "@playwright/test";

import { type Api } from "../cluster/api";
import { type FieldApp } from "./apps";

/** A response to a navigation. */
export interface Document {
    /** When it arrived, in milliseconds of `Date.now()`. */
    at: number;
    status: number;
    by: "app" | "unidler" | "nobody";
}

/** What a browser gets from now on. */
export class Visit {
    readonly documents: Document[] = [];
    /** Files of the app's page that unidler has answered for. */
    readonly strayFiles: string[] = [];

    private constructor() {}

    static of(page: Page): Visit {
        const visit = new Visit();
        page.on("response", (response) => {
            const headers = response.headers();
            const by = "x-app" in headers ? "app" : "x-unidler" in headers ? "unidler" : "nobody";
            if (response.request().isNavigationRequest()) visit.documents.push({ at: Date.now(), status: response.status(), by });
            else if (by !== "app" && !response.url().includes("/_unidler/")) visit.strayFiles.push(response.url());
        });
        return visit;
    }

    /** When the first page of the app arrived. */
    get landed(): number | undefined {
        return this.documents.find(({ by }) => by === "app")?.at;
    }

    /** Pages that are not the app's, after the first one that was. */
    get pagesAgain(): Document[] {
        const first = this.documents.findIndex(({ by }) => by === "app");
        return first < 0 ? [] : this.documents.slice(first).filter(({ by }) => by !== "app");
    }
}

/**
 * Notes when an app has its first ready endpoint, other than those that it has now: a Service that became an ExternalName keeps the
 * endpoints of before. Ends with the signal.
 */
export async function readiness(api: Api, { namespace, name }: FieldApp, signal: AbortSignal): Promise<() => number | undefined> {
    const old = new Set<string>();
    let begun = false;
    let ready: number | undefined;
    await api.follow("EndpointSlice", signal, (change, { metadata, endpoints }) => {
        if (change === "DELETED" || metadata.namespace !== namespace || metadata.labels?.["kubernetes.io/service-name"] !== name) return;
        for (const { conditions, targetRef } of endpoints ?? []) {
            if (!targetRef?.uid || old.has(targetRef.uid)) continue;
            if (!begun) old.add(targetRef.uid);
            else if (conditions?.ready) ready ??= Date.now();
        }
    });
    begun = true;
    return () => ready;
}
