/** Certificates of the tests' own making. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";

/** Makes one that nobody knows, as two files. */
export function selfSigned(dir: string): { certificate: string; key: string } {
    const [certificate, key] = [join(dir, "tls.crt"), join(dir, "tls.key")];
    const options = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=localhost"];
    execFileSync("openssl", ["req", ...options, "-keyout", key, "-out", certificate], { stdio: "ignore" });
    return { certificate, key };
}
