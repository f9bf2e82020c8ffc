# What can be done here. `make` alone lists it; each target is a script or a cargo command that
# can be run by hand as well.
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
demo-down: ## Remove the demo; nothing is left
	@hack/demo.sh --down

## For developers
.PHONY: test
test: ## Everything, including the tests on a real cluster of two nodes
	@hack/test.sh

.PHONY: build
build: ## Build the binary for this machine
	cargo build --locked -p bailiff

.PHONY: unit
unit: packages ## Tests that need no cluster
	@hack/test.sh unit

.PHONY: e2e
e2e: ## Tests on a real cluster alone
	@hack/test.sh e2e

.PHONY: lint
lint: ## fmt, clippy, cargo-deny, clang-format, helm lint, shellcheck
	@hack/lint.sh

.PHONY: advisories
advisories: ## Ask the RustSec database about the libraries in use (needs its repository)
	@hack/cargo-deny.sh
	cargo deny --locked check advisories

.PHONY: fmt
fmt: ## Format Rust and C
	cargo fmt --all
	clang-format -i crates/sensor/bpf/*.c crates/sensor/bpf/*.h

.PHONY: generate
generate: ## Make what is made from the source: CRDs, protection, the policy chart
	@charts/generate.sh

.PHONY: conformance
conformance: ## Compare expressions and references with what Kubernetes runs, others in each run (EXPRESSIONS=20000 SEED=1)
	@BAILIFF_CEL_ORACLE=$$(hack/oracle.sh); SEED=$${SEED:-$$SRANDOM}; PROPTEST_RNG_SEED=$$SEED; \
	export BAILIFF_CEL_ORACLE SEED PROPTEST_RNG_SEED; \
	printf 'SEED=%s make conformance   # makes the same again\n' "$$SEED"; \
	cargo test --locked -p bailiff-cel --test properties --test printing && \
	cargo test --locked -p bailiff-cli --test differential --test typed --test estimates -- --nocapture && \
	cargo test --locked -p bailiff-oci --test differential --test cel -- --nocapture

.PHONY: fuzz
fuzz: ## Look for inputs that break a parser or the expression engine (MINUTES=20 for each target, TARGET=parse|check|evaluate|reference)
	@hack/fuzz.sh

.PHONY: bench
bench: ## Measure exec to Eviction, and expressions beside the API server's engine (PART=expressions)
	@hack/bench.sh $(PART)

.PHONY: soak
soak: ## Long run on a real cluster: everything answered, no restart, no growth (MINUTES=60)
	@hack/soak.sh

.PHONY: image
image: ## Build the container image as an archive, target/image/bailiff.tar
	@hack/image.sh

.PHONY: cluster-up
cluster-up: tools ## Start a Kubernetes of two nodes in network namespaces
	cargo run --locked -q -p bailiff-testbed -- up

.PHONY: cluster-down
cluster-down: ## Take it down; nothing stays behind
	cargo run --locked -q -p bailiff-testbed -- down

.PHONY: packages
packages: ## Install the Debian packages that building and testing need, where they are missing
	@testbed/install.sh

.PHONY: tools
tools: packages ## Build the programs of the test cluster into the cache (the first time takes minutes)
	@testbed/tools/build.sh >/dev/null

.PHONY: help
help:
	@awk 'BEGIN { FS = ":.*## " } /^## / { printf "\n%s\n", substr($$0, 4) } /^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
