# Two commands matter: `make demo` and `make test`. Both make the environment they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests of the long tail start child processes and bind real ports: two workers fit two cores.
WORKERS ?= 2

.PHONY: demo test check fast lint types contracts lock audit sbom snapshots clean

demo: $(VENV)/ready
	$(BIN)/farmctl demo

test: $(VENV)/ready
	./.ci/peers
	@$(MAKE) --no-print-directory lint types contracts
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

check: $(VENV)/ready lint types contracts fast

fast: $(VENV)/ready
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not slow and not peer"

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/ready
	$(BIN)/mypy

contracts: $(VENV)/ready
	$(BIN)/lint-imports

snapshots: $(VENV)/ready
	$(BIN)/python -m pytest --snapshot-update -m "not slow"

# The lock has hashes and no index addresses; `pip install uv` is how a machine gets uv.
lock:
	uv pip compile pyproject.toml --all-extras --group dev --group peers --universal \
	  --python-version 3.11 --generate-hashes --no-header --quiet --upgrade -o requirements.lock

# Known vulnerabilities of everything in the lock; fails, by name, where the index does not answer for one.
audit: $(VENV)/ready
	$(BIN)/pip-audit --strict -r requirements.lock --disable-pip --require-hashes

# CycloneDX on standard output: what is installed, its licences, and the hashes of the lock.
sbom: $(VENV)/ready
	@$(BIN)/python .ci/sbom

$(VENV)/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV) 2>/dev/null || { $(PYTHON) -m pip install --quiet --user uv && $(PYTHON) -m uv venv --seed $(VENV); }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache dist build
