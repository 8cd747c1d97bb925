# Every recipe does its own set-up, and is quick when that is done.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

PORT ?= 8080
IMAGE ?= unidler
FUZZ_SECONDS ?= 20
# The field tests that need nothing beside Traefik and kube-proxy, and show whether visitors see an error.
PATH_SPECS := handover external-name killed
with = . scripts/toolchain.sh

##@ Use
run: build ## the product on a built-in demo cluster: open http://localhost:8080
	PORT=$(PORT) dist/unidler demo

build static: ## the deployable, in dist/
	scripts/build.sh

docker-image: ## the container image, from scratch
	docker build --tag $(IMAGE) .

docker-run: docker-image ## the demo in a container
	docker run --rm --publish $(PORT):8080 $(IMAGE) demo

##@ Test
test: build ## everything that needs no cluster, browser tests included
	$(with) wasm browser engines
	cargo test --quiet --workspace --exclude unidler-frontend --features unidler/engine
	cd end2end && npx playwright test
	npx playwright test --config playwright.engines.config.ts

test-cluster: build ## on a real Kubernetes control plane, and the main tests behind kube-proxy and Traefik
	$(with) browser cluster helm path
	# It is down in a new network namespace.
	ip link set lo up 2>/dev/null || true
	cd end2end && npx playwright test --config playwright.cluster.config.ts
	if field/namespace.sh nft list ruleset; then
	    field/namespace.sh npx playwright test --config playwright.field.config.ts $(PATH_SPECS)
	else
	    echo 'The data path was NOT tested: this machine allows no network namespace.' >&2
	fi

test-field: build ## all tests behind kube-proxy and Traefik, with Prometheus, Argo Rollouts and KEDA
	$(with) browser field helm
	cd end2end && field/namespace.sh npx playwright test --config playwright.field.config.ts

lint: ## formatting, clippy, types of the tests, links in the documentation
	$(with) wasm node
	cargo fmt --all --check
	cargo clippy --quiet -p unidler --no-default-features --all-targets -- --deny warnings
	cargo clippy --quiet -p unidler --features engine -p unidler-kubernetes -p unidler-server -p unidler-bench --all-targets -- --deny warnings
	cargo clippy --quiet -p unidler-frontend --target wasm32-unknown-unknown -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' cargo doc --quiet --workspace --no-deps --document-private-items
	node scripts/circles.mjs
	node scripts/links.mjs
	cd end2end && npx tsc --noEmit

chart: ## checks the Helm chart, and renders the manifests of deploy/ from it
	scripts/chart.sh

chart-check: ## fails if those are not what the chart renders
	scripts/chart.sh --check

docs: ## regenerates the reference pages and the chart's schema from the code; tests fail if they are out of date
	$(with) wasm
	UPDATE_EXPECT=1 cargo test --quiet -p unidler-server --lib reference

deny: ## licences, sources and banned crates of the dependencies
	$(with) deny
	cargo deny --log-level error check bans licenses sources

advisories: ## known vulnerabilities of the dependencies, from the public database
	$(with) deny
	cargo deny check advisories

bench: build ## the benchmarks, next to a bare server: see docs/benchmarks.md
	scripts/bench.sh

bench-field: build ## how long visitors wait for a ready app behind Traefik, RUNS times each
	$(with) browser path
	cd end2end && field/namespace.sh npx playwright test --config playwright.bench-field.config.ts

fuzz: ## the fuzz targets, 20 seconds each
	scripts/fuzz.sh $(FUZZ_SECONDS)

screenshots: build ## the pictures of the README, and each state of the page in target/screenshots
	$(with) browser
	cd end2end && npx playwright test --config playwright.screenshots.config.ts

weight: build ## the first load by part, brotli; fails above its budget
	node scripts/weight.mjs

##@ Help
help: ## this list
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z].*:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run build static docker-image docker-run test test-cluster test-field lint chart chart-check docs deny advisories bench bench-field fuzz screenshots weight help
