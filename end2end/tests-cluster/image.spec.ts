/** The container image as a pod has it: on a read-only root, as its own user, with nothing but a ServiceAccount's files. */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Child, freePort } from "../cluster/child";
import { clusterFacts } from "../cluster/setup";
import { events } from "../cluster/visitor";
import { until } from "../cluster/wait";
import { THREE_WRITES, expect, expectAwake, test } from "./fixtures";

const MAX_BYTES = 15 * 1024 * 1024;

const works = (program: string, ...args: string[]) => spawnSync(program, args).status === 0;
const canBuild = process.getuid?.() === 0 && works("buildah", "--version") && works("unshare", "--mount", "mount", "--bind", tmpdir(), tmpdir());

test("the image is small, and wakes an app from a read-only root", async ({ api, app, asked }, testInfo) => {
    test.skip(!canBuild, "building and mounting an image without a container engine takes root and buildah");
    const root = mkdtempSync(join(tmpdir(), "unidler-image-"));
    try {
        const [config, bytes] = execFileSync(join(__dirname, "../../scripts/image.sh"), [root], { encoding: "utf8" }).trim().split("\n");
        expect(config).toBe("65532:65532 [/unidler]");
        expect(Number(bytes)).toBeLessThan(MAX_BYTES);

        const { access } = clusterFacts();
        const files = join(root, "var/run/secrets/kubernetes.io/serviceaccount");
        mkdirSync(files, { recursive: true });
        writeFileSync(join(files, "token"), await api.tokenOf("unidler", "unidler"));
        writeFileSync(join(files, "namespace"), "unidler");
        cpSync(access.caFile, join(files, "ca.crt"));

        const port = await freePort();
        const variables = { KUBERNETES_SERVICE_HOST: "kubernetes.default.svc", KUBERNETES_SERVICE_PORT: new URL(access.server).port, PORT: String(port) };
        // A mount namespace of its own, in which the root is mounted once more and cannot be written to.
        const script = 'mount --bind -o ro "$0" "$0" && mount -o remount,bind,ro "$0" && mount --bind /proc "$0/proc" && exec chroot --userspec=65532:65532 "$0" /unidler';
        const unidler = Child.start("unshare", ["--mount", "sh", "-c", script, root], testInfo.outputPath("image.log"), { PATH: process.env.PATH ?? "", ...variables });
        try {
            const isReady = async () => (await fetch(`http://127.0.0.1:${port}/_unidler/readyz`)).ok;
            await until("the image is ready", 30, isReady, () => unidler.assertRunning());
            expect((await events(port, app.host)).at(-1)?.event).toBe("success");
            await expectAwake(api, app);
            expect(asked.writes()).toEqual(THREE_WRITES);
        } finally {
            await unidler.stop();
        }
    } finally {
        rmSync(root, { recursive: true, force: true });
    }
});
