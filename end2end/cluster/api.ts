/** A small client of the Kubernetes API. */
import { readFileSync, writeFileSync } from "node:fs";
import { type IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

import { type Kind, type Kinds, type KubeObject, pathOf } from "./objects";

/** Where an API server is, and as whom to speak to it. */
export interface Access {
    server: string;
    caFile: string;
    token: string;
}

export class ApiError extends Error {
    constructor(
        readonly status: number,
        message: string,
    ) {
        super(message);
    }
}

export type Change = "ADDED" | "MODIFIED" | "DELETED";

export class Api {
    private readonly agent: Agent;

    constructor(private readonly access: Access) {
        this.agent = new Agent({ ca: readFileSync(access.caFile), keepAlive: true });
    }

    async get<K extends Kind>(kind: K, namespace: string, name: string): Promise<Kinds[K]> {
        return await this.json("GET", pathOf(kind, namespace, name));
    }

    /** Those of a namespace. */
    async list<K extends Kind>(kind: K, namespace: string): Promise<Kinds[K][]> {
        return (await this.json<{ items: Kinds[K][] }>("GET", pathOf(kind, namespace))).items;
    }

    /** Deletes an object, if it is still there, and creates another one that looks as it did. */
    async createAnew({ apiVersion, kind, metadata, spec }: KubeObject & { spec: object }): Promise<void> {
        const { name, namespace = "", labels, annotations } = metadata;
        await this.delete(kind as Kind, namespace, name);
        await this.apply({ apiVersion, kind, metadata: { name, namespace, labels, annotations }, spec } as KubeObject);
    }

    /** Creates an object, or makes it what is given. Unknown fields are an error. */
    async apply(object: KubeObject, options = ""): Promise<void> {
        const path = pathOf(object.kind as Kind, object.metadata.namespace, object.metadata.name);
        await this.json("PATCH", `${path}?fieldManager=tests&force=true&fieldValidation=Strict${options}`, object, "application/apply-patch+yaml");
    }

    /** Whether an object could be created now. It is not. */
    async accepts(object: KubeObject): Promise<boolean> {
        try {
            await this.apply(object, "&dryRun=All");
            return true;
        } catch (error) {
            if (error instanceof ApiError) return false;
            throw error;
        }
    }

    /** Changes some fields of an object (JSON merge patch), perhaps as a program of this name. */
    async patch(kind: Kind, namespace: string, name: string, change: object, fieldManager = "tests"): Promise<void> {
        await this.json("PATCH", `${pathOf(kind, namespace, name)}?fieldManager=${fieldManager}`, change, "application/merge-patch+json");
    }

    /** Changes the status of an object that has one of its own. */
    async patchStatus(kind: Kind, namespace: string, name: string, status: object): Promise<void> {
        await this.json("PATCH", `${pathOf(kind, namespace, name)}/status`, { status }, "application/merge-patch+json");
    }

    /** As `patch`, admitted or refused as ever, but nothing changes. Gives what the object would be. */
    async tryPatch<K extends Kind>(kind: K, namespace: string, name: string, change: object): Promise<Kinds[K]> {
        return await this.json("PATCH", `${pathOf(kind, namespace, name)}?dryRun=All`, change, "application/merge-patch+json");
    }

    /** Creates an object, admitted or refused as ever, but nothing is created. Gives what the object would be. */
    async tryCreate<T extends KubeObject>(object: T): Promise<T> {
        return await this.json("POST", `${pathOf(object.kind as Kind, object.metadata.namespace)}?dryRun=All`, object);
    }

    /** Creates an object. */
    async create(object: KubeObject): Promise<void> {
        await this.json("POST", pathOf(object.kind as Kind, object.metadata.namespace), object);
    }

    /** Scales a workload by its `/scale`, admitted or refused as ever, but nothing changes. */
    async tryScale(kind: "Deployment" | "StatefulSet" | "Sandbox", namespace: string, name: string, replicas: number, how: "merge" | "apply"): Promise<void> {
        const scale = { apiVersion: "autoscaling/v1", kind: "Scale", metadata: { namespace, name }, spec: { replicas } };
        const options = `dryRun=All&fieldManager=unidler${how === "apply" ? "&force=true" : ""}`;
        await this.json("PATCH", `${pathOf(kind, namespace, name)}/scale?${options}`, scale, how === "apply" ? "application/apply-patch+yaml" : "application/merge-patch+json");
    }

    /** Deletes an object, or without a name all of the namespace, admitted or refused as ever, but nothing is deleted. */
    async tryDelete(kind: Kind, namespace: string, name?: string): Promise<void> {
        await this.json("DELETE", `${pathOf(kind, namespace, name)}?dryRun=All`);
    }

    /** Deletes an object, if it is there. */
    async delete(kind: Kind, namespace: string, name: string): Promise<void> {
        try {
            await this.json("DELETE", pathOf(kind, namespace, name));
        } catch (error) {
            if (!(error instanceof ApiError && error.status === 404)) throw error;
        }
    }

    /** Asks a pod to leave its node, as a drain does. */
    async evict(namespace: string, name: string): Promise<void> {
        const eviction = { apiVersion: "policy/v1", kind: "Eviction", metadata: { namespace, name } };
        await this.json("POST", `${pathOf("Pod", namespace, name)}/eviction`, eviction);
    }

    async isThere(kind: Kind, namespace: string, name: string): Promise<boolean> {
        try {
            await this.get(kind, namespace, name);
            return true;
        } catch (error) {
            if (error instanceof ApiError && error.status === 404) return false;
            throw error;
        }
    }

    async ready(): Promise<boolean> {
        return (await this.send("GET", "/readyz")).statusCode === 200;
    }

    /** Whether somebody may do something anywhere in the cluster, as RBAC sees it now. */
    async may(user: string, verb: string, group: string, resource: string): Promise<boolean> {
        const spec = { user, resourceAttributes: { verb, group, resource } };
        const review = { apiVersion: "authorization.k8s.io/v1", kind: "SubjectAccessReview", spec };
        const answer: { status: { allowed: boolean } } = await this.json("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review);
        return answer.status.allowed;
    }

    /** A token of a ServiceAccount, good for longer than any test run. */
    async tokenOf(namespace: string, serviceAccount: string): Promise<string> {
        const review = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: { expirationSeconds: 24 * 3600 } };
        const answer: { status: { token: string } } = await this.json("POST", `${pathOf("ServiceAccount", namespace, serviceAccount)}/token`, review);
        return answer.status.token;
    }

    /**
     * Tells of every object of a kind, and of every change, until the signal. Resolves when all that are there
     * have been told. After a watch that was lost, all are told again.
     */
    async follow<K extends Kind>(kind: K, signal: AbortSignal, tell: (change: Change, object: Kinds[K]) => void): Promise<void> {
        const start = await this.tellAll(kind, tell);
        void this.tellChanges(kind, start, signal, tell);
    }

    private async tellAll<K extends Kind>(kind: K, tell: (change: Change, object: Kinds[K]) => void): Promise<string> {
        const list: { items: Kinds[K][]; metadata: { resourceVersion: string } } = await this.json("GET", pathOf(kind));
        for (const object of list.items) tell("ADDED", object);
        return list.metadata.resourceVersion;
    }

    private async tellChanges<K extends Kind>(kind: K, start: string, signal: AbortSignal, tell: (change: Change, object: Kinds[K]) => void): Promise<void> {
        let version = start;
        while (!signal.aborted) {
            try {
                const response = await this.send("GET", `${pathOf(kind)}?watch=1&resourceVersion=${version}`, undefined, undefined, signal);
                for await (const line of createInterface({ input: response })) {
                    const { type, object }: { type: Change | "ERROR"; object: Kinds[K] } = JSON.parse(line);
                    if (type === "ERROR") throw new Error(line);
                    version = object.metadata.resourceVersion ?? version;
                    tell(type, object);
                }
            } catch (error) {
                if (signal.aborted) return;
                console.error(`the tests' watch of ${kind} was lost: ${error}`);
                version = await this.tellAll(kind, tell).catch(() => version);
            }
            if (!signal.aborted) await sleep(500);
        }
    }

    private async json<T>(method: string, path: string, body?: object, contentType?: string): Promise<T> {
        const response = await this.send(method, path, body, contentType);
        let text = "";
        for await (const part of response.setEncoding("utf8")) text += part;
        const status = response.statusCode ?? 0;
        if (status >= 300) throw new ApiError(status, `${method} ${path}: ${status} ${text}`);
        return JSON.parse(text);
    }

    private send(method: string, path: string, body?: object, contentType = "application/json", signal?: AbortSignal): Promise<IncomingMessage> {
        return new Promise((resolve, reject) => {
            const headers = { authorization: `Bearer ${this.access.token}`, ...(body && { "content-type": contentType }) };
            const sent = request(new URL(path, this.access.server), { method, headers, agent: this.agent, ...(signal && { signal }) }, resolve);
            sent.on("error", reject);
            sent.end(body && JSON.stringify(body));
        });
    }
}

/** Writes a kubeconfig. JSON is YAML. */
export function writeKubeconfig(file: string, { server, caFile, token }: Access): void {
    const ca = readFileSync(caFile).toString("base64");
    const kubeconfig = {
        apiVersion: "v1",
        kind: "Config",
        clusters: [{ name: "tests", cluster: { server, "certificate-authority-data": ca } }],
        users: [{ name: "tests", user: { token } }],
        contexts: [{ name: "tests", context: { cluster: "tests", user: "tests" } }],
        "current-context": "tests",
    };
    writeFileSync(file, JSON.stringify(kubeconfig), { mode: 0o600 });
}
