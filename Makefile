PYTHON ?= python3
EXAMPLES ?= 300
# As many processes of tests as there are cores; each has servers of its own.
SIDE_BY_SIDE := -n logical --maxprocesses 4
BIN := .venv/bin
export PYTHONPATH := .
unexport PYTHONDONTWRITEBYTECODE # tests start many processes, each of which would compile the project anew

.DEFAULT_GOAL := help
.PHONY: help demo serve test acceptance soak check lint coverage bench format replay lock clean screenshots profile

help: ## list the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'

demo: .venv/run ## set up, and run a daily rebalance on demo data
	@rm -rf var/demo
	@deployments/demo.sh $(BIN)

serve: .venv/run ## set up, and serve all of it on this machine, with demo data: Prefect, a worker, the schedules
	@$(BIN)/python -m deployments.serve

test: .venv/dev ## set up, and pass the tests
	$(BIN)/pytest $(SIDE_BY_SIDE) --dist worksteal

acceptance: .venv/dev ## end to end: real servers, a worker, automations, both UIs in a browser, a cluster
	$(BIN)/pytest $(SIDE_BY_SIDE) --dist loadfile -m end_to_end tests/browser tests/deployments tests/flows

soak: .venv/dev ## the same tests at length, for hours: random cases by the hundred, whole replays (EXAMPLES=300)
	EVENKEEL_SOAK=1 EVENKEEL_EXAMPLES=$(EXAMPLES) $(BIN)/pytest $(SIDE_BY_SIDE) --dist worksteal -m ""
	$(BIN)/python -m tests.soak.race
	$(BIN)/python -m tests.soak.hostile
	$(BIN)/python -m tests.soak.kill
	$(BIN)/python -m tests.soak.outage
	$(BIN)/python -m tests.soak.year
	$(BIN)/python -m tests.soak.growth

check: lint test coverage ## all of it: tests, lint, format, types, import contracts, the coverage floor

lint: .venv/dev ## lint, format, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -m lint tests/docs

coverage: .venv/dev ## lines and branches of buckets, enforcement and constraints: all of them, without generated inputs
	$(BIN)/pytest $(SIDE_BY_SIDE) --dist worksteal -m "not hypothesis" tests/core/constraints tests/core/decisions --cov=core/constraints --cov=core/decisions --cov-report=
	$(BIN)/coverage report --include='core/constraints/*,core/decisions/bucket_*' --fail-under=100 --show-missing

bench: .venv/dev ## measure: a run beside Prefect, bucket enforcement, weight constraints beside a peer, nearest weights beside solvers, publishing to PostgreSQL, shards, growth
	$(BIN)/python -m tests.benchmarks.bench_run
	$(BIN)/python -m tests.benchmarks.bench_buckets
	$(BIN)/python -m tests.benchmarks.bench_constraints
	$(BIN)/python -m tests.benchmarks.bench_nearest
	$(BIN)/python -m tests.benchmarks.bench_publish
	$(BIN)/python -m tests.benchmarks.bench_shards
	$(BIN)/python -m tests.benchmarks.bench_growth

profile: .venv/dev ## where the time of a batch goes, step by step
	$(BIN)/python -m tests.benchmarks.bench_shards 200x500 --at-once=1 --steps

format: .venv/dev ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

screenshots: .venv/dev ## take the pictures in docs/ anew, of a real server (needs chromium)
	$(BIN)/python -m tests.browser.screenshots

replay: .venv/run ## run the days of DATA=folder in sequence, through the flow, under each shipped policy
	$(BIN)/python -m deployments.replay $(DATA)

lock: ## resolve the dependencies anew (needs uv)
	uv pip compile --quiet --universal --generate-hashes --no-strip-extras --no-emit-index-url --python-version 3.11 --no-header \
	  --extra build --output-file requirements.lock pyproject.toml
	uv pip compile --quiet --universal --generate-hashes --no-strip-extras --no-emit-index-url --python-version 3.11 --no-header \
	  --constraint requirements.lock --extra build --extra dev --output-file requirements-dev.lock pyproject.toml

clean: ## remove what the commands made
	rm -rf .venv var .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache .coverage

# A pip of today takes half the time of the one that Python 3.11 brings.
.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv --upgrade-deps .venv

.venv/run: requirements.lock pyproject.toml | .venv/bin/python
	@echo "Setting up, about a minute ..."
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev: requirements-dev.lock pyproject.toml | .venv/bin/python
	@echo "Setting up, about a minute ..."
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes -r requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@ .venv/run
