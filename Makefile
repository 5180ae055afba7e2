# IntelliRouter. Run `make help` for a list of targets. README.md describes the project.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV ?= .venv
PREFIX ?= $(HOME)/.local
FUZZ_CASES ?= 20000
# Tests run in parallel, up to four at a time. ARGS=-n0 runs them in one process, for a debugger.
PARALLEL ?= -n auto --maxprocesses 4
CONFIG ?=
ARGS ?=
export VENV FUZZ_CASES
BIN := $(VENV)/bin

.PHONY: help run stop test test-clients ready check format build install-cli bench bench-cost bench-peers fuzz mutants lock docs hooks env setup clean

help: ## Show this help.
	@printf 'IntelliRouter\n\n'
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@printf '\n  Variables: API_PORT=8090 sets the port of the gateway, CONFIG=file.yaml its configuration file.\n  ARGS="…" is passed on to the gateway, pytest, the benchmark or the mutation tests.\n'

run: ## Install the dependencies and start the gateway on 127.0.0.1:8080.
	@scripts/environment.sh run
	@exec scripts/gateway_process.sh run $(if $(CONFIG),--config '$(CONFIG)') $(ARGS)

stop: ## Stop the gateway started with `make run`.
	@scripts/gateway_process.sh stop

test: setup ## Set up this machine, then run all checks and tests.
	@scripts/gate.sh
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

test-clients: env ## Test real client libraries, installed in .clients/, against a gateway (ARGS="-k NAME" selects some).
	@scripts/clients.sh install
	@CLIENTS="$${CLIENTS:-.clients}" $(BIN)/python -m pytest tests/clients $(ARGS)

ready: env ## Run all checks and tests before a commit.
	@scripts/gate.sh
	@$(BIN)/python -m pytest -q $(PARALLEL) $(ARGS)

check: env ## Run the checks only: format, lint, types, imports, sizes, documents, generated files.
	@scripts/gate.sh

format: env ## Format the code and fix lint errors where possible.
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet .

build: env ## Build the wheel and the source archive in dist/, and test the wheel in a new environment.
	@scripts/build.sh

install-cli: ## Link the commands into ~/.local/bin (PREFIX changes ~/.local).
	@scripts/environment.sh run
	@mkdir -p '$(PREFIX)/bin'
	@for name in intellirouter intellirouter-cli ai-orchestra; do ln -sfn "$$(pwd)/$(BIN)/$$name" '$(PREFIX)/bin/'"$$name"; done
	@echo "Linked intellirouter, intellirouter-cli and ai-orchestra into $(PREFIX)/bin."
	@case ":$$PATH:" in *":$(PREFIX)/bin:"*) ;; *) echo 'This directory is not on your PATH. To add it, run: export PATH="$(PREFIX)/bin:$$PATH"' ;; esac

bench: env ## Benchmark the gateway against nginx and the installed peers; writes bench/results/.
	@bench/setup tools
	@$(BIN)/python -m bench $(ARGS)

bench-cost: env ## Measure what each part of a request costs; writes bench/results/cost.md.
	@bench/setup tools
	@$(BIN)/python -m bench.cost $(ARGS)

bench-peers: ## Install the peer gateways for `make bench`.
	@bench/setup peers

fuzz: env ## Run the property tests with many examples (FUZZ_CASES per test).
	@$(BIN)/python -m pytest -q -m hypothesis --hypothesis-profile=fuzz $(ARGS)

mutants: env ## Run mutation tests of the core rooms, which takes about 10 minutes (ARGS="ROOM…" selects some).
	@$(BIN)/python -m pip --disable-pip-version-check --no-input install -qq --require-hashes -r requirements/mutants.txt
	@$(BIN)/python -m scripts.mutants $(ARGS)

docs: env ## Regenerate the generated pages.
	@$(BIN)/python -m scripts.gen_errors
	@for name in reference cli_reference openapi dialects vendors; do $(BIN)/python -m scripts.gen_$$name; done

lock: ## Regenerate requirements/*.txt from pyproject.toml (needs uv).
	@scripts/lock.sh $(ARGS)

hooks: ## Install a git hook that checks format and lint before each commit.
	@git config core.hooksPath .githooks
	@echo 'Installed the git hooks. To remove them, run: git config --unset core.hooksPath'

env:
	@scripts/environment.sh dev

setup:
	@scripts/system_packages.sh
	@scripts/environment.sh dev

clean: ## Remove build results, caches and the virtual environment.
	@rm -rf '$(VENV)' .tools build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
