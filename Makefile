# IntelliRouter. `make help` lists what there is; README.md says what it is for.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV ?= .venv
PREFIX ?= $(HOME)/.local
FUZZ_CASES ?= 20000
CONFIG ?=
ARGS ?=
export VENV FUZZ_CASES
BIN := $(VENV)/bin

.PHONY: help run stop test test-clients ready check format build install-cli bench bench-peers fuzz lock docs hooks env setup clean

help: ## list the targets
	@printf 'IntelliRouter\n\n'
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@printf '\n  API_PORT=8090 moves the gateway, CONFIG=file.yaml configures it, ARGS="…" goes to pytest or the benchmark.\n'

run: ## install what is needed and serve on 127.0.0.1:8080 (API_PORT moves it)
	@scripts/environment.sh run
	@exec scripts/gateway_process.sh run $(if $(CONFIG),--config '$(CONFIG)') $(ARGS)

stop: ## stop the gateway that `make run` started
	@scripts/gateway_process.sh stop

test: setup ## everything: set-up, the gate, the whole suite
	@scripts/gate.sh
	@$(BIN)/python -m pytest $(ARGS)

test-clients: env ## real client libraries against a running gateway (installs them below .clients/; ARGS="-k NAME")
	@scripts/clients.sh install
	@CLIENTS="$${CLIENTS:-.clients}" $(BIN)/python -m pytest tests/clients $(ARGS)

ready: env ## the gate before a commit: format, lint, types, imports, sizes, documents, tests
	@scripts/gate.sh
	@$(BIN)/python -m pytest -q $(ARGS)

check: env ## the gate without the tests
	@scripts/gate.sh

format: env ## put the code into shape
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet .

build: env ## wheel and source archive in dist/, tried out in an environment of their own
	@scripts/build.sh

install-cli: ## link the commands into ~/.local/bin (PREFIX moves it)
	@scripts/environment.sh run
	@mkdir -p '$(PREFIX)/bin'
	@for name in intellirouter intellirouter-cli ai-orchestra; do ln -sfn "$$(pwd)/$(BIN)/$$name" '$(PREFIX)/bin/'"$$name"; done
	@echo "Linked intellirouter, intellirouter-cli and ai-orchestra into $(PREFIX)/bin"
	@case ":$$PATH:" in *":$(PREFIX)/bin:"*) ;; *) echo 'It is not on your PATH yet: export PATH="$(PREFIX)/bin:$$PATH"' ;; esac

bench: env ## measure the gateway beside nginx and the peers that are installed; writes bench/results/
	@bench/setup tools
	@$(BIN)/python -m bench $(ARGS)

bench-peers: ## install the peer gateways that `make bench` compares with
	@bench/setup peers

fuzz: env ## the long run of the property tests (FUZZ_CASES examples each)
	@$(BIN)/python -m pytest -q -m hypothesis --hypothesis-profile=fuzz $(ARGS)

docs: env ## write the generated pages anew
	@$(BIN)/python -m scripts.gen_errors
	@for name in reference cli_reference openapi dialects; do $(BIN)/python -m scripts.gen_$$name; done

lock: ## resolve requirements/*.txt anew (needs uv)
	@scripts/lock.sh $(ARGS)

hooks: ## check format and lint before each commit
	@git config core.hooksPath .githooks
	@echo 'Hooks on. Off again: git config --unset core.hooksPath'

env:
	@scripts/environment.sh dev

setup:
	@scripts/system_packages.sh
	@scripts/environment.sh dev

clean: ## remove what was built, measured and cached (the environment too)
	@rm -rf '$(VENV)' build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
