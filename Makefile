# The targets of this repository. `make` alone lists them; each one is a script or a cargo command that
# you can also run yourself.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Programs of the test cluster and of the lints live in one cache that survives between runs.
export BAILIFF_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/bailiff
export PATH := $(BAILIFF_CACHE)/bin:$(PATH)

## For users
.PHONY: demo
demo: ## Run the demo: a cluster of two nodes, an attack, the response (CONTEXT=name IMAGE=… uses your cluster)
	@hack/demo.sh

.PHONY: demo-down
demo-down: ## Remove the demo and everything that it created
	@hack/demo.sh --down

## For developers
.PHONY: test
test: ## Run all tests, including those on a real cluster of two nodes
	@hack/test.sh

.PHONY: build
build: ## Build the binary, target/debug/bailiff (requires clang and libbpf-dev; see make packages)
	cargo build --locked -p bailiff

.PHONY: unit
unit: packages ## Run the tests that require no cluster
	@hack/test.sh unit

.PHONY: e2e
e2e: ## Run the tests on a real cluster
	@hack/test.sh e2e

.PHONY: lint
lint: ## Run fmt, clippy, cargo-deny, clang-format, helm lint and shellcheck
	@hack/lint.sh

.PHONY: advisories
advisories: ## Check the dependencies against the RustSec database (requires its repository)
	@hack/cargo-deny.sh
	cargo deny --locked check advisories

.PHONY: fmt
fmt: ## Format Rust and C
	cargo fmt --all
	clang-format -i crates/sensor/bpf/*.c crates/sensor/bpf/*.h

.PHONY: generate
generate: ## Generate files from the source: CRDs, admission policies, the policy chart, the schema of scans
	@charts/generate.sh
	@cargo run --locked -q -p bailiff -- scan --schema >docs/scan.schema.json

.PHONY: conformance
conformance: ## Compare expressions and references with what Kubernetes runs, layers with containerd, versions with their ecosystems, and findings with osv-scanner, others in each run (EXPRESSIONS=20000 SEED=1)
	@BAILIFF_CEL_ORACLE=$$(hack/oracle.sh); BAILIFF_VERSION_ORACLES=$$(hack/version-oracles.sh); BAILIFF_LAYER_ORACLE=$$(hack/layer-oracle.sh); SEED=$${SEED:-$$SRANDOM}; PROPTEST_RNG_SEED=$$SEED; \
	export BAILIFF_CEL_ORACLE BAILIFF_VERSION_ORACLES BAILIFF_LAYER_ORACLE SEED PROPTEST_RNG_SEED; \
	printf 'SEED=%s make conformance   # runs the same expressions again\n' "$$SEED"; \
	cargo test --locked -p bailiff-cel --test properties --test printing && \
	cargo test --locked -p bailiff-cli --test differential --test typed --test estimates -- --nocapture && \
	cargo test --locked -p bailiff-oci --test differential --test cel --test layers -- --nocapture && \
	cargo test --locked -p bailiff-scan --test version -- --nocapture && \
	(cd crates/scan/tests/data && python3 osv_scanner.py --check "$$(../../../../hack/osv-scanner.sh)")

.PHONY: fuzz
fuzz: ## Look for inputs that break a parser or the expression engine (MINUTES=20 for each target, TARGET=parse, or another of fuzz/fuzz_targets)
	@hack/fuzz.sh

.PHONY: bench
bench: ## Measure the time from exec to eviction, waiting Incidents, expressions compared with the API server, admission reviews, packages compared with osv-scanner, images compared with unpacking them, and the cost of observing processes (PART=exec|waiting|expressions|admission|scan|image|sensor)
	@hack/bench.sh $(PART)

.PHONY: soak
soak: ## Run all kernel tests on all kernels, then a real cluster for a long time: every Incident has a response, no restart, no growth (MINUTES=60)
	@hack/soak.sh

.PHONY: kernels
kernels: packages ## Run the sensor's kernel tests on Debian's kernels in emulated machines (SERIES="5.10 6.1 6.12 newest arm64-6.1 6.12-lockdown", TESTS=all)
	@hack/kernels.sh $(SERIES)

.PHONY: image
image: ## Build the container image, target/image/bailiff.tar (requires clang and libbpf-dev; see make packages)
	@hack/image.sh

.PHONY: older-kubernetes
older-kubernetes: ## Install the charts on an API server of Kubernetes 1.30, the oldest supported (builds it; takes minutes on the first run)
	@hack/older-kubernetes.sh

.PHONY: cluster-up
cluster-up: tools ## Start a Kubernetes cluster of two nodes in network namespaces
	cargo run --locked -q -p bailiff-testbed -- up

.PHONY: cluster-down
cluster-down: ## Stop the cluster and remove everything that it created
	cargo run --locked -q -p bailiff-testbed -- down

.PHONY: packages
packages: ## Install the missing Debian packages that building and testing require
	@testbed/install.sh

.PHONY: tools
tools: packages ## Build the programs of the test cluster into the cache (takes minutes on the first run)
	@hack/tools.sh >/dev/null

.PHONY: help
help:
	@awk 'BEGIN { FS = ":.*## " } /^## / { printf "\n%s\n", substr($$0, 4) } /^[a-z0-9-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
