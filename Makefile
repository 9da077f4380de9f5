SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
CONTEXT ?=
FUZZ_SECONDS ?= 600
SOAK_SECONDS ?= 1800
PYTEST := $(BIN)/pytest $(PYTEST_ARGS)
# On real pods a test may meet the machine's bad moment. A second run tells that from a defect, and the first is printed.
AGAIN := --reruns 1
UV_VERSION := 0.13.9
UV := build/uv-$(UV_VERSION)/bin/uv
CONFORMANCE := build/conformance/.venv
COMPILED := build/compiled
# The server that is tested by its answers and measured: `compiled` as the image ships it, or `plain`, from its sources.
ifndef CODE
CODE := $(shell $(PYTHON) -c 'import os, shutil, sysconfig; header = os.path.join(sysconfig.get_path("include"), "Python.h"); \
  print("compiled" if shutil.which("cc") and os.path.exists(header) else "plain")')
endif
SERVING := $(if $(filter compiled,$(CODE)),$(COMPILED),serving)
SERVER := $(if $(filter compiled,$(CODE)),$(COMPILED)/.complete)
GATEWAY := build/gateway/.venv
OPENVINO := $(CURDIR)/build/openvino/.venv

export PYTHONDONTWRITEBYTECODE = 1
# ONNX Runtime reports usage to its makers unless it is told not to.
export ORT_DISABLE_TELEMETRY = 1

##@ The two commands

.PHONY: demo
demo: venv ## Everything from nothing: a cluster, the operator, five releases under traffic; writes build/demo.json
	$(PY) -m demo run $(if $(CONTEXT),--context $(CONTEXT))

.PHONY: test
test: lint types imports test-unit test-conformance cluster test-integration test-e2e ## Lint, types, import rules, unit, conformance, integration and end-to-end tests

##@ Parts of the tests

.PHONY: lint
lint: venv ## Style (ruff) and stale generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: types
types: venv ## Types (mypy --strict)
	$(BIN)/mypy operator/plimsoll serving/plimsoll_serving training/plimsoll_training

.PHONY: imports
imports: venv ## Direction of imports (import-linter)
	PYTHONPATH=operator:serving:training $(BIN)/lint-imports

.PHONY: test-unit
test-unit: venv ## Pure logic and laws; needs no cluster
	$(BIN)/pytest -n auto --dist worksteal $(PYTEST_ARGS) tests/laws tests/unit

.PHONY: test-conformance
test-conformance: venv $(CONFORMANCE)/.complete $(SERVER) ## The server against clients that nobody here wrote; needs no cluster
	@# The clients' environment has none of our tools, which tests/conftest.py wants.
	PYTHONPATH=serving PLIMSOLL_SERVING=$(SERVING) $(PY) -m tests.conformance.serve $(CONFORMANCE)/bin/pytest --confcutdir tests/conformance $(PYTEST_ARGS)

.PHONY: test-openvino
test-openvino: venv $(OPENVINO)/.complete ## The server on OpenVINO, on this machine's processor; needs no cluster
	OPENVINO=$(OPENVINO)/bin/python $(PYTEST) tests/integration/serving/test_execution_providers.py

.PHONY: test-compiled
test-compiled: $(COMPILED)/.complete ## The server's unit tests, against the compiled modules; the others take them anyway
	$(PYTEST) -n auto --dist worksteal -o "pythonpath=operator $(COMPILED) training ." tests/unit/serving tests/unit/pool

.PHONY: test-integration
test-integration: venv cluster $(SERVER) ## Against a real API server, a real S3 server and real server processes
	@echo "Servers run from $(SERVING)"
	PLIMSOLL_SERVING=$(SERVING) $(PYTEST) $(AGAIN) tests/integration

.PHONY: test-e2e
test-e2e: venv cluster ## Against real pods
	$(PYTEST) $(AGAIN) tests/e2e

.PHONY: test-gateway
test-gateway: venv cluster $(GATEWAY)/.complete ## Releases behind a real Envoy Gateway, which is built first (devcluster only)
	$(PYTHON) devcluster images gateway
	ENVOY=$$(echo $(GATEWAY)/lib/python3*/site-packages/envoy/_bin/envoy) $(PYTEST) tests/gateway tests/e2e/long_gateway.py

.PHONY: fuzz
fuzz: venv $(SERVER) ## Damaged requests to a real server for FUZZ_SECONDS (600); what harms it goes to build/fuzz
	PYTHONPATH=serving PLIMSOLL_SERVING=$(SERVING) $(PY) -m tests.fuzz --seconds $(FUZZ_SECONDS) $(FUZZ_ARGS)

.PHONY: soak
soak: venv cluster ## Releases of every outcome and lost pods under mixed load for SOAK_SECONDS (1800), then all long tests of faults and evidence, on the cluster
	SOAK_SECONDS=$(SOAK_SECONDS) $(PYTEST) tests/e2e/long_soak.py tests/e2e/long_faults.py tests/e2e/long_clock.py tests/e2e/long_judges.py tests/e2e/long_labels.py tests/e2e/long_regression.py -s

##@ Benchmarks

.PHONY: bench-serving
bench-serving: venv $(UV) $(SERVER) ## This server against its peers on one core each; writes docs/benchmarks.md
	UV=$(UV) PLIMSOLL_SERVING=$(SERVING) $(PY) -m bench.serving $(BENCH_ARGS)

.PHONY: profile
profile: venv $(UV) $(SERVER) ## Where a request's time goes in this server: a flame graph, in bench/results/profile.svg
	UV=$(UV) PLIMSOLL_SERVING=$(SERVING) $(PY) -m bench.serving.profile $(PROFILE_ARGS)

.PHONY: bench-release
bench-release: venv $(UV) ## This release engine against its peers' rules, simulated; writes docs/benchmarks-release.md
	UV=$(UV) $(PY) -m bench.release $(BENCH_ARGS)

##@ The server

.PHONY: compiled
compiled: $(COMPILED)/.complete ## The server with its hot modules compiled, in build/compiled (needs gcc, takes a minute or two)

$(COMPILED)/.complete: serving/compile.py $(shell find serving/plimsoll_serving -name '*.py') | venv
	@echo "The server's hot modules are compiled: a minute or two of one core"
	$(PY) serving/compile.py $(COMPILED)
	@touch $@

##@ Cluster

.PHONY: cluster
cluster: venv ## A cluster with the images in it: CONTEXT, else kind, else devcluster/
	$(PY) -m demo cluster $(if $(CONTEXT),--context $(CONTEXT))

.PHONY: down
down: ## Leave no process, mount, bridge or iptables chain behind
	@! kind get clusters 2>/dev/null | grep -qx plimsoll || kind delete cluster --name plimsoll
	$(PYTHON) devcluster down

##@ Development

.PHONY: venv
venv: $(VENV)/.complete ## The locked Python environment in .venv

$(VENV)/.complete: requirements/dev.txt
	@echo "Python environment: exact versions from requirements/dev.txt"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "CPython 3.11 or newer is needed: set PYTHON=…"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { echo "python3-venv is missing: apt-get install python3-venv"; exit 1; }
	$(BIN)/pip install --quiet --require-hashes -r requirements/dev.txt
	@$(PY) -c 'import pathlib, sysconfig; here = pathlib.Path.cwd(); \
	  pathlib.Path(sysconfig.get_path("purelib"), "plimsoll.pth").write_text("\n".join(str(here / part) for part in ("operator", "serving", "training")) + "\n")'
	@touch $@

$(UV):
	$(PYTHON) -m venv build/uv-$(UV_VERSION) && build/uv-$(UV_VERSION)/bin/pip install --quiet uv==$(UV_VERSION)

$(CONFORMANCE)/.complete: requirements/conformance.txt | $(UV)
	@echo "Conformance clients: exact versions from requirements/conformance.txt"
	$(UV) venv --quiet --clear --python $(PYTHON) $(CONFORMANCE)
	@# The file is complete, and MLServer's own requirements are left out of it on purpose.
	VIRTUAL_ENV=$(CONFORMANCE) $(UV) pip install --quiet --no-deps --require-hashes -r requirements/conformance.txt
	@touch $@

$(OPENVINO)/.complete: requirements/serving-openvino.txt
	@echo "OpenVINO: exact versions from requirements/serving-openvino.txt"
	$(PYTHON) -m venv --clear $(OPENVINO)
	$(OPENVINO)/bin/pip install --quiet --require-hashes -r requirements/serving-openvino.txt
	@touch $@

$(GATEWAY)/.complete: requirements/gateway.txt
	@echo "Envoy: the exact version of requirements/gateway.txt"
	$(PYTHON) -m venv --clear $(GATEWAY)
	$(GATEWAY)/bin/pip install --quiet --require-hashes -r requirements/gateway.txt
	@touch $@

.PHONY: generate
generate: venv ## CRDs, API reference, plain manifests and protocol buffers, from the models, the chart and the .proto files
	$(PY) -m plimsoll.crdgen
	$(PY) -m config.render
	$(PY) -m grpc_tools.protoc -I $(PROTO) --descriptor_set_out=$(PROTO)/descriptors.binpb $(wildcard $(PROTO)/*.proto)

PROTO := serving/plimsoll_serving/grpc/proto

.PHONY: krew
krew: venv ## The archive of the kubectl plugin and its Krew manifest, in build/krew; URL is where the archive will be
	$(PY) -m plugins.krew.build $(if $(URL),--url $(URL))

.PHONY: format
format: venv ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: lock
lock: $(UV) ## New exact versions: requirements/*.txt from pyproject.toml
	$(UV) pip compile -q pyproject.toml --all-extras $(LOCK) -o requirements/dev.txt
	for extra in operator serving training; do \
	  $(UV) pip compile -q pyproject.toml --extra $$extra -c requirements/dev.txt $(LOCK) -o requirements/$$extra.txt; done
	$(UV) pip compile -q pyproject.toml --extra serving --group serving-openvino -c requirements/dev.txt $(LOCK) -o requirements/serving-openvino.txt
	$(UV) pip compile -q pyproject.toml --extra serving --group serving-cuda --no-emit-package onnxruntime -c requirements/dev.txt $(LOCK) -o requirements/serving-cuda.txt
	$(UV) pip compile -q --group conformance --override requirements/conformance-overrides.in $(LOCK) -o requirements/conformance.txt
	$(UV) pip compile -q --group compile -c requirements/dev.txt $(LOCK) -o requirements/compile.txt
	$(UV) pip compile -q --group gateway $(LOCK) -o requirements/gateway.txt

.PHONY: lock-bench
lock-bench: $(UV) ## New exact versions of the benchmark's peers, from bench/serving/requirements/*.in
	for peer in bench/serving/requirements/*.in; do \
	  $(UV) pip compile -q $$peer $(LOCK) -o $${peer%.in}.txt; done

LOCK := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate $(LOCK_ARGS)

.PHONY: clean
clean: ## Remove the environment and build results (caches outside the checkout stay)
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

.PHONY: help
help: ## This text
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
