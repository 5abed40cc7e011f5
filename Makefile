# Needs python3 (3.11 or newer, with venv) and make. Everything else comes into .tool and .venv.
PY ?= python3
PIPENV_VERSION := 2026.10.3
BIN := .venv/bin
SHELL := /bin/sh
ONCE ?=
# The crash matrix: how many cells, which cover of them, or all there are.
CELLS ?= 500
SEED ?= 1
ALL ?= 0
# The soak: which seeds, and how many trios of each.
SEEDS ?= 1..1
TRIOS ?= 5000
PYTEST_ARGS ?=
# The suite takes minutes, so two workers pay off; 0 runs it in one process.
PYTEST_WORKERS ?= 2

export PIPENV_IGNORE_VIRTUALENVS := 1
export PIPENV_VENV_IN_PROJECT := 1
export PIPENV_NOSPIN := 1
export PIPENV_VERBOSITY := -1
# A .env is for the application alone; pipenv would hand it to what it starts.
export PIPENV_DONT_LOAD_ENV := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONUNBUFFERED := 1
unexport VIRTUAL_ENV PYTHONHOME PYTHONPATH PIPENV_PIPFILE

# The fuzz: how many requests.
REQUESTS ?= 12000

# Under load: which scenario, and its options (python -m tests.load SCENARIO --help).
LOAD ?= all
LOAD_ARGS ?=

# The books: of how many trios.
BOOKS ?= 500

# The benchmarks: which ones, and at full size.
BENCH ?=
FULL ?= 0

.PHONY: help setup demo run test test-fast check guards crash soak load books fuzz pictures contract contract-env bench lint format lock clean
.DEFAULT_GOAL := help

help: ## show this
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

setup: .venv/.synced .env .run/.migrated ## install everything, write .env, make the local database

demo: setup ## start everything, place trios and narrate them; ONCE=1: headless, then exit
	@$(BIN)/python manage.py demo $(if $(filter-out 0,$(ONCE)),--once)

run: setup ## start simulator, workers and web in the foreground; Ctrl-C stops them
	@$(BIN)/python -m local_servers.leftovers --end
	@mkdir -p .run/logs
	@exec $(BIN)/python -m local_servers.serve supervisord

test: setup ## run the whole test suite, and name its slowest ten
	@$(BIN)/python -m pytest -q -n $(PYTEST_WORKERS) --dist worksteal --durations=10 $(PYTEST_ARGS)

check: lint test ## lint, then the whole test suite

test-fast: .venv/.synced ## the pure tests, without servers and without Django
	@$(BIN)/python -m pytest -q -n 0 $$($(BIN)/python -m tests.pure)

guards: setup ## take each guard away in turn, in a copy, and show the test that notices
	@$(BIN)/python -m tests.guards

crash: setup ## kill processes at every boundary, judge by the exchange; ALL=1, CELLS=n, SEED=n
	@$(BIN)/python -m tests.crash --cells $(CELLS) --seed $(SEED) $(if $(filter-out 0,$(ALL)),--all) \
	  $(if $(filter 1:500:0,$(SEED):$(CELLS):$(ALL)),--table docs/reference/crash-matrix.md)

soak: setup ## live thousands of trios among faults and kills, judge by the exchange; SEEDS=a..b, TRIOS=n
	@$(BIN)/python -m tests.soak --seeds $(SEEDS) --trios $(TRIOS)

load: setup ## run a desk under load, judge by the exchange; LOAD=shared-address|ban|bulk|dead-keys|stopped-servers, LOAD_ARGS=…
	@$(BIN)/python -m tests.load $(LOAD) $(LOAD_ARGS)

books: setup ## compare the books of many trios with the exchange's ledger, to the last digit; BOOKS=n
	@BOOKS_TRIOS=$(BOOKS) $(BIN)/python -m pytest -q -n 0 tests/unit/orders/test_books.py

fuzz: setup ## type nonsense into every address and field of the web; REQUESTS=n, SEED=n
	@FUZZ_REQUESTS=$(REQUESTS) FUZZ_SEED=$(SEED) $(BIN)/python -m pytest -q -n 0 tests/unit/orders/admin/test_fuzz.py

pictures: setup ## make the pictures that the documentation shows, by the browser tests; needs Chromium
	@$(BIN)/python -m tests.browser.pictures

contract-env: ## the exchange's clients that nobody here wrote, in an environment of their own
	@test -x .tool/contract/bin/python || $(PY) -m venv .tool/contract
	@.tool/contract/bin/python -m pip install -q -r tests/contract/requirements.txt
	@.tool/contract/bin/python -m pip list 2>/dev/null | grep -iE '^(ccxt|python.binance) '

contract: setup contract-env ## ccxt and python-binance trade on the simulator
	@$(BIN)/python tests/contract/clients/run.py .tool/contract/bin/python

bench: setup contract-env ## measure speed, cost, scale and the simulator, beside other libraries; write docs/reference/benchmarks.md. BENCH="bulk alone", FULL=1
	@$(BIN)/python -m bench $(BENCH) $(if $(filter-out 0,$(FULL)),--full)

lint: .venv/.synced ## style, format, types, imports, declared packages, dead code
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-cache --no-logo
	@$(BIN)/python -m tests.lint.declared
	@$(BIN)/vulture
	@$(BIN)/mypy .

format: .venv/.synced ## sort imports, format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: .tool/.pipenv-$(PIPENV_VERSION) ## resolve the dependencies anew (the lock names no host)
	@.tool/bin/pipenv lock
	@$(PY) local_servers/pipfile_lock.py Pipfile.lock

clean: ## remove what was installed and cached; keeps .env and the data under .run
	rm -rf .venv .tool .mypy_cache .ruff_cache .pytest_cache .hypothesis staticfiles test-results

.tool/.pipenv-$(PIPENV_VERSION):
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PY) is older or missing. Name another one: make PY=python3.12" >&2; exit 1; }
	@$(PY) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PY) has no venv: install it (Debian, Ubuntu: apt-get install python3-venv), then run make again." >&2; exit 1; }
	@echo "installing pipenv into .tool"
	@rm -rf .tool && $(PY) -m venv .tool
	@.tool/bin/python -m pip install -q 'pipenv==$(PIPENV_VERSION)' || \
	  { echo "pipenv could not be installed: is a package index reachable (pip's own settings apply)?" >&2; exit 1; }
	@touch $@

.venv/.synced: Pipfile.lock | .tool/.pipenv-$(PIPENV_VERSION)
	@echo "installing the locked packages into .venv (a minute the first time)"
	@.tool/bin/pipenv sync --dev >.tool/sync.log 2>&1 || { cat .tool/sync.log >&2; exit 1; }
	@touch $@

.env: | .venv/.synced
	@$(BIN)/python local_servers/write_env.py

.run/.migrated: $(wildcard */migrations/*.py) | .venv/.synced .env
	@mkdir -p .run && chmod 700 .run
	@$(BIN)/python manage.py migrate --verbosity 0
	@touch $@
