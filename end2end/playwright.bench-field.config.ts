/** How long handovers take behind Traefik: `make bench-field`. */
import { defineConfig } from "@playwright/test";

import field from "./playwright.field.config";

export default defineConfig({ ...field, testDir: "bench-field", outputDir: "../test-results/bench-field" });
