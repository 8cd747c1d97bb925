/** Certificates of the tests' own making. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";

/** Makes one for this machine that nobody knows, as two files. */
export function selfSigned(dir: string): { certificate: string; key: string } {
    const [certificate, key] = [join(dir, "tls.crt"), join(dir, "tls.key")];
    // It can be both what a client trusts and what a server shows.
    const extensions = ["basicConstraints=critical,CA:FALSE", "subjectAltName=DNS:localhost,IP:127.0.0.1"].flatMap((extension) => ["-addext", extension]);
    const options = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=localhost", ...extensions];
    execFileSync("openssl", ["req", ...options, "-keyout", key, "-out", certificate], { stdio: "ignore" });
    return { certificate, key };
}
