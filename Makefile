# Prerequisites of a fresh machine: make and Python >= 3.11. The targets install everything else.
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
SEEDS ?= 100
WORKERS ?= 3
ARGS ?=

runtime := $(VENV)/.installed-runtime
dev := $(VENV)/.installed-dev
bench := $(VENV)/.installed-bench
pip := $(VENV)/bin/python -m pip --disable-pip-version-check --quiet
# The project itself goes in as a link to this checkout; its build backend comes from a lock too.
install_project := $(pip) install --no-deps --no-build-isolation --editable .

.PHONY: help up demo simulate test test-cluster test-exchanges check format docs bench-receiver bench-at-rest lock wheel venv clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 20

up: $(runtime) ## Run everything in one process: make up [ARGS=...]
	@$(VENV)/bin/guardian up $(ARGS)

demo: $(runtime) ## Show a position being opened, guarded and closed on paper
	@$(VENV)/bin/guardian demo $(ARGS)

simulate: $(dev) ## Run the simulator: make simulate SEEDS=1000
	@$(VENV)/bin/python -m tests.simulation --seeds $(SEEDS) $(ARGS)

test: $(dev) ## Run the tests: make test [ARGS="-k name"]
	@scripts/ensure-test-servers
	@PYTHON=$(VENV)/bin/python scripts/ensure-kube
	@VENV=$(VENV) WORKERS=$(WORKERS) scripts/test $(ARGS)

test-cluster: $(dev) ## Try the chart on a whole cluster of one node, as root: docs/cluster-tests.md
	@PYTHON=$(VENV)/bin/python scripts/ensure-node
	@$(VENV)/bin/python -m tests.cluster.node.images
	@$(VENV)/bin/pytest -m node tests/cluster/test_node.py $(ARGS)

check: $(dev) ## Run the static checks
	@VENV=$(VENV) scripts/check

format: $(dev) ## Let ruff rewrite what it can
	@$(VENV)/bin/ruff check --fix-only .
	@$(VENV)/bin/ruff format .

docs: $(dev) ## Write the reference pages of docs/ and the custom resources' schemas anew
	@$(VENV)/bin/python scripts/reference_pages.py
	@$(VENV)/bin/python -m guardian_cli.reference > docs/cli.md.new && mv docs/cli.md.new docs/cli.md
	@$(VENV)/bin/python scripts/crds.py
	@$(VENV)/bin/python scripts/venue_table.py

test-exchanges: $(dev) ## Every scenario and every fault on every exchange's fake; half an hour
	@EXCHANGES=all scripts/test tests/venues/test_faults.py tests/e2e/test_exchanges.py \
		tests/e2e/test_exchanges_faults.py tests/e2e/test_exchanges_secrets.py \
		tests/e2e/test_order_streams.py

bench-receiver: $(bench) ## Measure the receiver beside the handler one would otherwise write
	@scripts/ensure-test-servers
	@$(VENV)/bin/python -m benchmarks.receiver $(ARGS)

bench-at-rest: $(dev) ## Count what 1,000 open positions cost when nothing happens
	@scripts/ensure-test-servers
	@scripts/ensure-kube
	@$(VENV)/bin/python -m benchmarks.at_rest $(ARGS)

lock: ## Write the lock files anew: make lock [ARGS=--upgrade]
	@PYTHON=$(PYTHON) scripts/lock $(ARGS)

wheel: $(dev) ## Build the wheel into dist/
	@$(VENV)/bin/python -m build --wheel --no-isolation --outdir dist .

venv: $(dev) ## Make the virtual environment only

clean: ## Remove what the targets made
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# A stamp says what the environment holds, so a second run of a target starts at once.
$(VENV)/bin/python:
	@PYTHON=$(PYTHON) scripts/venv $(VENV)

$(runtime): requirements.lock requirements-build.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing the runtime requirements"
	@$(pip) install --require-hashes -r requirements.lock -r requirements-build.lock
	@$(install_project)
	@touch $@

$(dev): requirements-dev.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing the runtime, test and development requirements"
	@$(pip) install --require-hashes -r requirements-dev.lock
	@$(install_project)
	@touch $(runtime) $@

$(bench): requirements-bench.lock $(dev)
	@echo "Installing the benchmark's requirements"
	@$(pip) install --require-hashes -r requirements-bench.lock
	@touch $@
