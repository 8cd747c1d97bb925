/** A real Kubernetes control plane on this machine, without nodes: kwok plays them. */
import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { type Access, Api, writeKubeconfig } from "./api";
import { Child, atOurEnd, freePort } from "./child";
import { until } from "./wait";

/** Where build.sh leaves the programs. */
export const PROGRAMS = join(__dirname, "../../target/cluster");

/**
 * What kwok lets happen to nodes and pods: pods become ready after the delay that their annotations give. Those of
 * our own are in stages.yaml.
 */
const STAGES = [
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    ...["pod-create", "pod-ready", "pod-complete", "pod-delete"].map((name) => `pod/general/${name}.yaml`),
];

/** Every request, when it comes in and when it is answered. */
const AUDIT_POLICY = {
    apiVersion: "audit.k8s.io/v1",
    kind: "Policy",
    omitStages: ["ResponseStarted"],
    rules: [{ level: "Metadata" }],
};

/** The only one. It has 1,000 cores. */
export const NODE = "node-0";

const ADMIN_TOKEN = "admin-of-the-tests";
/** Of somebody who may do anything as well, and is neither the tests nor the controllers. */
export const OPERATOR = { user: "operator", token: "operator-of-the-tests" };

export interface ControlPlane {
    /** Of an administrator. */
    access: Access;
    auditLog: string;
    /** A file with the process id of the API server, which is started again whenever it ends. */
    apiServerPid: string;
    /** Temporary, gone when the control plane stops. */
    dir: string;
    stop: () => Promise<void>;
}

export interface Options {
    /** Addresses of Services. By default local ones: a process that listens on all addresses is reached at a Service's, without kube-proxy. */
    serviceRange?: string;
    /** Further controllers of kube-controller-manager. */
    controllers?: string[];
    /** Address of the node, if processes are to be reached there. */
    nodeAddress?: string;
    /** Arguments of build.sh. */
    build?: string[];
}

/** Builds the control plane if need be, and starts it. */
export async function startControlPlane({ serviceRange = "127.96.0.0/16", controllers = [], nodeAddress, build = [] }: Options = {}): Promise<ControlPlane> {
    execFileSync(join(__dirname, "build.sh"), build, { stdio: ["ignore", "inherit", "inherit"] });
    const dir = mkdtempSync(join(tmpdir(), "unidler-cluster-"));
    const cleaner = atOurEnd('sleep 1; rm -rf "$1"', dir);
    const children = new Map<string, Child>();
    let isUp = false;
    const stop = async () => {
        isUp = false;
        await Promise.all([...children.values()].map((child) => child.kill()));
        rmSync(dir, { recursive: true, force: true });
        cleaner.kill("SIGKILL");
    };
    const pidFile = (program: string) => join(dir, `${program}.pid`);
    const start = (program: string, options: Record<string, string | number | boolean>) => {
        const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
        const child = Child.start(join(PROGRAMS, program), args, join(dir, `${program}.log`));
        children.set(program, child);
        writeFileSync(pidFile(program), String(child.pid));
        // As a kubelet does: what ends is started again.
        void child.exited.then(() => child.kill()).then(() => isUp && start(program, options));
    };
    try {
        const { access, auditLog } = await startApiServer(dir, serviceRange, start, () => children.forEach((child) => child.assertRunning()));
        await startControllers(dir, access, controllers, nodeAddress, start);
        isUp = true;
        return { access, auditLog, apiServerPid: pidFile("kube-apiserver"), dir, stop };
    } catch (error) {
        await stop();
        throw error;
    }
}

type Start = (program: string, options: Record<string, string | number | boolean>) => void;

async function startApiServer(dir: string, serviceRange: string, start: Start, assertRunning: () => void): Promise<{ access: Access; auditLog: string }> {
    const [etcdPort, etcdPeerPort, port] = [await freePort(), await freePort(), await freePort()];
    const etcd = `http://127.0.0.1:${etcdPort}`;
    start("etcd", {
        "data-dir": join(dir, "etcd"),
        "listen-client-urls": etcd,
        "advertise-client-urls": etcd,
        "listen-peer-urls": `http://127.0.0.1:${etcdPeerPort}`,
        "unsafe-no-fsync": true,
        "log-level": "warn",
    });

    const file = (name: string, content: string) => {
        writeFileSync(join(dir, name), content, { mode: 0o600 });
        return join(dir, name);
    };
    const key = generateKeyPairSync("rsa", { modulusLength: 2048, privateKeyEncoding: { type: "pkcs1", format: "pem" }, publicKeyEncoding: { type: "spki", format: "pem" } });
    const keyFile = file("service-accounts.key", key.privateKey);
    const auditLog = file("audit.log", "");
    start("kube-apiserver", {
        "etcd-servers": etcd,
        "bind-address": "127.0.0.1",
        "advertise-address": "127.0.0.1",
        "secure-port": port,
        "cert-dir": join(dir, "certificates"),
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-key-file": keyFile,
        "service-account-signing-key-file": keyFile,
        "token-auth-file": file("tokens.csv", [`${ADMIN_TOKEN},admin,admin,"system:masters"`, `${OPERATOR.token},${OPERATOR.user},${OPERATOR.user},"system:masters"`, ""].join("\n")),
        "authorization-mode": "RBAC",
        "service-cluster-ip-range": serviceRange,
        // Nobody runs here who would need the ServiceAccount's files, or who would take the taint off a new node.
        "disable-admission-plugins": "ServiceAccount,TaintNodesByCondition",
        "endpoint-reconciler-type": "none",
        "audit-policy-file": file("audit-policy.json", JSON.stringify(AUDIT_POLICY)),
        "audit-log-path": auditLog,
        "audit-log-maxsize": 10_000,
    });

    // It makes its own certificate, and keeps the authority's beside it in the same file.
    const caFile = join(dir, "certificates/apiserver.crt");
    const access = { server: `https://127.0.0.1:${port}`, caFile, token: ADMIN_TOKEN };
    await until("kube-apiserver is ready", 60, async () => existsSync(caFile) && (await new Api(access).ready()), assertRunning);
    return { access, auditLog };
}

async function startControllers(dir: string, access: Access, further: string[], nodeAddress: string | undefined, start: Start): Promise<void> {
    const kubeconfig = join(dir, "admin.kubeconfig");
    writeKubeconfig(kubeconfig, access);
    const authentication = { kubeconfig, "authentication-kubeconfig": kubeconfig, "authorization-kubeconfig": kubeconfig };
    start("kube-controller-manager", {
        ...authentication,
        "leader-elect": false,
        "secure-port": 0,
        // One spec creates 500 apps, and needs not wait half a minute for their Endpoints.
        "kube-api-qps": 500,
        "kube-api-burst": 1000,
        controllers: [
            "deployment-controller",
            "replicaset-controller",
            "statefulset-controller",
            // All three that write of endpoints: what one of them leaves behind, another may spread.
            "endpointslice-controller",
            "endpoints-controller",
            "endpointslice-mirroring-controller",
            "namespace-controller",
            // Runs what helm runs before it uninstalls.
            "job-controller",
            "garbage-collector-controller",
            "resourcequota-controller",
            "horizontal-pod-autoscaler-controller",
            // Checks the types of policies' expressions.
            "validatingadmissionpolicy-status-controller",
            ...further,
        ].join(","),
    });
    start("kube-scheduler", { ...authentication, "leader-elect": false, "secure-port": 0 });

    const kwok = execFileSync("go", ["list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok"], { cwd: __dirname, encoding: "utf8" }).trim();
    const stages = [...STAGES.map((stage) => join(kwok, "kustomize/stage", stage)), join(__dirname, "stages.yaml")];
    writeFileSync(join(dir, "stages.yaml"), stages.map((file) => readFileSync(file, "utf8")).join("\n---\n"));
    start("kwok", { kubeconfig, "manage-all-nodes": true, cidr: "10.244.0.0/16", config: join(dir, "stages.yaml"), ...(nodeAddress && { "node-ip": nodeAddress }) });

    await new Api(access).apply({
        apiVersion: "v1",
        kind: "Node",
        metadata: { name: NODE, annotations: { "kwok.x-k8s.io/node": "fake" } },
    });
}
