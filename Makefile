# make demo: see an SMS in a minute.  make test: all tests.  make check: style, types, layers.
PYTHON ?= python3
BIN := .venv/bin

# make fuzz: a minute for each room that reads what strangers write; FUZZ_SECONDS=600 for a night.
.PHONY: demo test fuzz soak check lock config bench clean

demo: .venv/ready
	@$(BIN)/email2sms demo

test: .venv/ready
	@$(BIN)/python -m pytest -n 4

check: .venv/ready
	$(BIN)/ruff check gateway tests
	$(BIN)/ruff format --check gateway tests
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

soak: .venv/ready    # the crash tests in their long form: an hour or so
	@EMAIL2SMS_SOAK=1 $(BIN)/python -m pytest -o faulthandler_timeout=7200 tests/e2e/test_crash_points.py tests/e2e/test_crash_loop.py tests/e2e/test_faults.py tests/e2e/test_workers.py tests/e2e/test_restored.py

fuzz: .venv/ready
	@$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/python -m pip install --quiet 'atheris>=3'
	@$(BIN)/python -m tests.fuzz

bench: .venv/ready
	@mkdir -p tests/benchmarks/results
	$(BIN)/python -m tests.benchmarks --out tests/benchmarks/results

config: .venv/ready
	$(BIN)/python -m gateway.settings.reference config
	$(BIN)/python -m gateway.web.reference deploy/api.md

lock: .venv/ready
	$(BIN)/uv pip compile -q --universal --generate-hashes --all-extras --python-version 3.11 --no-emit-index-url \
	  --no-emit-find-links --no-header pyproject.toml -o requirements.lock

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "email2sms needs Python 3.11 to 3.13; this is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "Python's venv module is missing. On Debian and Ubuntu: sudo apt install python3-venv"; exit 1; }
	@echo "Making .venv (once, about half a minute) …"
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

clean:
	rm -rf .venv var
