/** The API server's audit log: who asked for what. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";

/** One request to the API server. */
export interface Request {
    user: string;
    verb: string;
    /** Such as `deployments`, or `deployments/scale`; empty for what is not a resource, such as `/version`. */
    resource: string;
    namespace: string;
    name: string;
    uri: string;
    /** The status of the answer; 0 for a request that is still under way, such as a watch. */
    code: number;
}

/** A moment in the log. */
export type Mark = number;

interface Entry {
    auditID: string;
    stage: string;
    verb: string;
    requestURI: string;
    user: { username: string };
    objectRef?: { resource?: string; subresource?: string; namespace?: string; name?: string };
    responseStatus?: { code?: number };
}

export class AuditLog {
    constructor(private readonly file: string) {}

    /** This moment. */
    mark(): Mark {
        return this.text(0).length;
    }

    /** What a user asked for since a moment, in the order of asking. */
    since(mark: Mark, user: string): Request[] {
        const requests = new Map<string, Request>();
        for (const line of this.text(mark).toString("utf8").split("\n").filter(Boolean)) {
            const entry: Entry = JSON.parse(line);
            // A request that began before the mark does not count.
            if (entry.user.username !== user || (entry.stage !== "RequestReceived" && !requests.has(entry.auditID))) continue;
            requests.set(entry.auditID, requestOf(entry));
        }
        return [...requests.values()];
    }

    /** What was written since the mark, up to the last whole line. */
    private text(mark: Mark): Buffer {
        const file = openSync(this.file, "r");
        try {
            const text = Buffer.alloc(Math.max(0, fstatSync(file).size - mark));
            const length = readSync(file, text, 0, text.length, mark);
            return text.subarray(0, text.subarray(0, length).lastIndexOf("\n") + 1);
        } finally {
            closeSync(file);
        }
    }
}

function requestOf({ user, verb, requestURI, objectRef, responseStatus }: Entry): Request {
    return {
        user: user.username,
        verb,
        resource: [objectRef?.resource, objectRef?.subresource].filter(Boolean).join("/"),
        namespace: objectRef?.namespace ?? "",
        name: objectRef?.name ?? "",
        uri: requestURI,
        code: responseStatus?.code ?? 0,
    };
}

/** A write that the API server accepted. To ask what one may do is none, although the question is created. */
export function isWrite({ verb, resource, code }: Request): boolean {
    return !["get", "list", "watch"].includes(verb) && !resource.endsWith("accessreviews") && code >= 200 && code < 300;
}

/** A note on how a wake-up went, which changes no app. */
export function isNote({ resource }: Request): boolean {
    return resource === "events";
}

/** The kinds that unidler watches in all namespaces. */
const SHARED = ["ingresses", "httproutes", "gateways", "referencegrants", "deployments", "statefulsets", "rollouts", "services", "endpointslices", "namespaces"];

/** A part of the watch caches that all apps share, and that no visitor causes. */
export function isSharedWatch({ verb, resource, namespace }: Request): boolean {
    return ["list", "watch"].includes(verb) && SHARED.includes(resource) && namespace === "";
}
