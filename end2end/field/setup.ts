/**
 * Once per test run, inside namespace.sh: the control plane and the data path of a cluster. kube-proxy redirects connections
 * from cluster IPs to endpoints, and Traefik routes visitors by Ingresses and HTTPRoutes.
 */
import { execFileSync } from "node:child_process";
import { appendFileSync, readFileSync, readdirSync } from "node:fs";
import { get } from "node:http";
import { join } from "node:path";

import { type Access, Api, writeKubeconfig } from "../cluster/api";
import { Child } from "../cluster/child";
import { NODE, PROGRAMS } from "../cluster/control-plane";
import { documents, shipped, startCluster } from "../cluster/setup";
import { type KubeObject, type Service } from "../cluster/objects";
import { until } from "../cluster/wait";

/** Where Traefik listens, for Ingresses and for the Gateway alike. */
export const WEB_PORT = 80;
/** Where Traefik shows its metrics. */
export const METRICS_PORT = 9100;
/** The namespace of the Gateway, which is called `web`. */
export const GATEWAY_NAMESPACE = "gateway";
/** The name under which Traefik reports the status of routes. */
export const GATEWAY_CONTROLLER = "traefik.io/gateway-controller";

/** What the tests know of the data path. */
export interface FieldFacts {
    /** Address of the only node. */
    nodeAddress: string;
    /** The cluster IP of unidler's own Service. */
    unidlerAddress: string;
    traefikLog: string;
    kubeProxyLog: string;
}

const VARIABLE = "FIELD_FACTS";

export function fieldFacts(): FieldFacts {
    return JSON.parse(process.env[VARIABLE] ?? "");
}

export default async function setup(): Promise<() => Promise<void>> {
    const nodeAddress = process.env.FIELD_NODE_ADDRESS;
    if (!nodeAddress) throw new Error("these tests need a network of their own: run `make test-field`, or field/namespace.sh COMMAND");

    const { access, dir, stop } = await startCluster({
        serviceRange: "10.96.0.0/16",
        controllers: ["horizontal-pod-autoscaler-controller"],
        nodeAddress,
        build: ["path"],
    });
    const children: Child[] = [];
    const stopAll = async () => {
        await Promise.all(children.map((child) => child.kill()));
        await stop();
    };
    try {
        const api = new Api(access);
        const logOf = (program: string) => join(dir, `${program}.log`);
        const kubeconfig = join(dir, "kube-proxy.kubeconfig");
        writeKubeconfig(kubeconfig, access);
        children.push(Child.start(join(PROGRAMS, "kube-proxy"), kubeProxyFlags(kubeconfig), logOf("kube-proxy")));

        for (const definition of gatewayApi()) await api.apply(definition);
        await until("the Gateway API is there", 30, () => isEstablished(api), () => {});
        for (const object of gateway()) await api.apply(object);
        const traefik = Child.start(join(PROGRAMS, "traefik"), traefikFlags(access), logOf("traefik"));
        children.push(traefik);
        await until("Traefik answers", 60, traefikAnswers, () => children.forEach((child) => child.assertRunning()));
        await until("Traefik serves the Gateway", 60, () => isProgrammed(api), () => traefik.assertRunning());

        const unidlerAddress = await createUnidlerService(api);
        const facts: FieldFacts = { nodeAddress, unidlerAddress, traefikLog: logOf("traefik"), kubeProxyLog: logOf("kube-proxy") };
        process.env[VARIABLE] = JSON.stringify(facts);
    } catch (error) {
        for (const child of children) console.error(child.log.split("\n").slice(-20).join("\n"));
        await stopAll();
        throw error;
    }
    return stopAll;
}

function kubeProxyFlags(kubeconfig: string): string[] {
    return flags({
        kubeconfig,
        "proxy-mode": "nftables",
        "hostname-override": NODE,
        "cluster-cidr": "10.244.0.0/16",
        // These settings are the machine's: they cannot be changed from a namespace.
        "conntrack-max-per-core": 0,
        "conntrack-tcp-timeout-established": 0,
        "conntrack-tcp-timeout-close-wait": 0,
    });
}

function traefikFlags({ server, caFile, token }: Access): string[] {
    return flags({
        "entrypoints.web.address": `:${WEB_PORT}`,
        ...Object.fromEntries(
            ["kubernetesingress", "kubernetesgateway"].flatMap((provider) => [
                [`providers.${provider}`, true],
                [`providers.${provider}.endpoint`, server],
                [`providers.${provider}.token`, token],
                [`providers.${provider}.certauthfilepath`, caFile],
            ]),
        ),
        "providers.kubernetesingress.allowexternalnameservices": true,
        "entrypoints.traefik.address": `127.0.0.1:${METRICS_PORT}`,
        "metrics.prometheus": true,
        "metrics.prometheus.addserviceslabels": true,
        "global.checknewversion": false,
        "global.sendanonymoususage": false,
        "log.level": "INFO",
    });
}

function flags(options: Record<string, string | number | boolean>): string[] {
    return Object.entries(options).map(([name, value]) => `--${name}=${value}`);
}

/** The CRDs of the Gateway API, in the version that Traefik was built with. */
function gatewayApi(): KubeObject[] {
    const module = execFileSync("go", ["list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api"], { cwd: __dirname, encoding: "utf8" }).trim();
    const dir = join(module, "config/crd/standard");
    const manifests = readdirSync(dir).map((file) => readFileSync(join(dir, file), "utf8"));
    return manifests.flatMap(documents).filter((object) => object?.kind === "CustomResourceDefinition");
}

async function isEstablished(api: Api): Promise<boolean> {
    const definitions = await Promise.all(gatewayApi().map(({ metadata }) => api.get("CustomResourceDefinition", "", metadata.name)));
    return definitions.every(({ status }) => status?.conditions?.some(({ type, status }) => type === "Established" && status === "True"));
}

/** One Gateway, at the port of the Ingresses. */
function gateway(): KubeObject[] {
    const listener = { name: "web", protocol: "HTTP", port: WEB_PORT, allowedRoutes: { namespaces: { from: "All" } } };
    return [
        { apiVersion: "v1", kind: "Namespace", metadata: { name: GATEWAY_NAMESPACE } },
        { apiVersion: "gateway.networking.k8s.io/v1", kind: "GatewayClass", metadata: { name: "traefik" }, spec: { controllerName: GATEWAY_CONTROLLER } },
        {
            apiVersion: "gateway.networking.k8s.io/v1",
            kind: "Gateway",
            metadata: { name: "web", namespace: GATEWAY_NAMESPACE },
            spec: { gatewayClassName: "traefik", listeners: [listener] },
        },
    ] as KubeObject[];
}

async function isProgrammed(api: Api): Promise<boolean> {
    const { status } = await api.get("Gateway", GATEWAY_NAMESPACE, "web");
    return status?.conditions?.some(({ type, status }) => type === "Programmed" && status === "True") ?? false;
}

function traefikAnswers(): Promise<boolean> {
    return new Promise((resolve, reject) => {
        get(`http://127.0.0.1:${WEB_PORT}`, { agent: false }, (response) => resolve(response.resume().statusCode === 404)).on("error", reject);
    });
}

/**
 * Creates unidler's Service as in `deploy/`, but without a selector: `serveAt` sets its endpoints. Its name goes into the hosts file,
 * since there is no DNS. Returns its cluster IP.
 */
async function createUnidlerService(api: Api): Promise<string> {
    const { metadata, spec, ...kind } = shipped("unidler.yaml").find(({ kind }) => kind === "Service") as Service;
    const ports = spec.ports.filter(({ name }) => name === "http").map((port) => ({ ...port, targetPort: port.port }));
    await api.apply({ ...kind, metadata, spec: { ports } } as KubeObject);
    const { clusterIP = "" } = (await api.get("Service", metadata.namespace ?? "", metadata.name)).spec;
    appendFileSync("/etc/hosts", `${clusterIP} ${metadata.name}.${metadata.namespace}.svc.cluster.local\n`);
    return clusterIP;
}

/** Sets the endpoints of unidler's Service: processes that listen on these ports of the node. */
export async function serveAt(api: Api, ...listeners: number[]): Promise<void> {
    // All endpoints of a slice have the same port.
    for (const [index, port] of listeners.entries()) await api.apply(listenerSlice("unidler", index, port));
    for (let index = listeners.length; await api.isThere("EndpointSlice", "unidler", listenerSlice("unidler", index, 0).metadata.name); index++) {
        await api.delete("EndpointSlice", "unidler", listenerSlice("unidler", index, 0).metadata.name);
    }
}

/** An endpoint of the Service of a release, in the namespace of the same name: a process that listens on a port of the node. */
export function listenerSlice(release: string, index: number, port: number): KubeObject {
    return {
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        metadata: { name: `${release}-${index}`, namespace: release, labels: { "kubernetes.io/service-name": release } },
        addressType: "IPv4",
        endpoints: [{ addresses: [fieldFacts().nodeAddress], conditions: { ready: true, serving: true, terminating: false } }],
        ports: [{ name: "http", port, protocol: "TCP" }],
    } as KubeObject;
}
