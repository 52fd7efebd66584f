# `make run` and `make test` set everything up from nothing. Python 3.11 or newer is all they need.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
# uv unpacks the locked wheels in seconds where pip takes more than a minute. Where uv cannot reach an index that only
# pip is configured for, pip does the same work from the same hashes.
install = $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r $(1) \
	|| $(BIN)/python -m pip install --quiet --require-hashes -r $(1)

# torch comes first and alone, by hash as the package index has it: with what a GPU needs, on Linux. Where TORCH_INDEX
# names an index of other builds (https://download.pytorch.org/whl/cpu), it comes from there, by the hashes of that index.
# The rest is locked, and nothing of it may fetch another torch.
TORCH_INDEX ?=
TORCH_VERSION := 2.13.0
NOT_LOCKED := torch triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc \
	nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse \
	nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx

# What is looked at by `make audit` and `make sbom`, with tools that come by hash into an environment of their own.
LOCKS := requirements-postgres.lock requirements-otel.lock requirements-dev.lock requirements-tune.lock requirements-torch.lock requirements-ray.lock
AUDIT = $(BIN)/uv run --quiet --no-project --isolated --python $(BIN)/python --with-requirements requirements-audit.lock

# A browser and a model on a busy machine: two more tries, which the summary tells (R).
RETRY := --reruns 2 -raR
# A third of the tests' time is waiting (for a process, a socket): on two processors four workers keep both busy, three
# left a sixth of them idle. A browser draws by processor: with four workers pages come too late for what is said of them.
# A worker that a test kills is not replaced: xdist 3.8 then waits for ever (pytest-dev/pytest-xdist#784, #1378).
# Files in the order of tests/conftest.py, the slow ones first, so that no worker ends long after the others. A browser's
# tests share nothing but the app of their worker, and each takes as long as many files: whoever is free takes the next.
ONCE := --ignore=tests/e2e -n 4 --dist loadfile --no-loadscope-reorder --max-worker-restart=0
FAST := $(ONCE) -m "not model and not browser and not program"
PROGRAM := $(ONCE) -m "program and not model"
BROWSER := tests/e2e -m "browser and not model" -n 2 --dist worksteal --max-worker-restart=0
# Two servers of a thread each (tests/support/fixtures_model.py). The browser's files are the last, so that no test of
# asyncio comes behind Playwright's event loop in a worker.
MODEL := -m model -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart=0

# Where bytecode may not be written, as in most containers, each of the hundreds of interpreters that tests start would
# compile every library anew, which takes longer than what most of them are started for.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run class tune ray test test-extras test-fast bytecode lint types audit sbom bench lock clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.created:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r requirements-uv.lock
	touch $@

$(VENV)/.app: requirements.lock $(VENV)/.created
	$(call install,requirements.lock)
	touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.app
	$(call install,requirements-dev.lock)
	touch $@

$(VENV)/.tune: requirements-tune.lock $(VENV)/.app
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install --quiet --disable-pip-version-check --index-url $(TORCH_INDEX) torch==$(TORCH_VERSION),$(call install,requirements-torch.lock))
	$(call install,requirements-tune.lock --no-deps)
	touch $@

tune: $(VENV)/.tune  ## install what fine-tuning needs (torch and friends)

$(VENV)/.ray: requirements-ray.lock $(VENV)/.dev
	$(call install,requirements-ray.lock)
	touch $@

ray: $(VENV)/.ray  ## install Ray: the engine ray, and its tests

run: $(VENV)/.app  ## install what is missing and start the app on http://127.0.0.1:8501
	$(BIN)/python -m streamlit run app.py

class: $(VENV)/.app  ## the same for a class: students of the network see the Class page alone; prints their address
	$(BIN)/python -m tale_core app --class

test: $(VENV)/.dev  ## lint, types and every test
	$(MAKE) --no-print-directory -j 2 -O lint types bytecode
	$(BIN)/python -m pytest $(FAST) $(RETRY)
	$(BIN)/python -m pytest $(PROGRAM) $(RETRY)
	$(BIN)/python -m pytest $(BROWSER) $(RETRY)
	$(BIN)/python -m pytest $(MODEL) $(RETRY)

test-extras: tune ray  ## what make test skips without make tune and make ray: training, and a Ray cluster
	TALE_TEST_EXTRAS=1 $(BIN)/python -m pytest -m "tune or ray" $(RETRY)

# Written by one process beside mypy: on a fresh clone each of the workers would compile all tests and libraries again.
bytecode: $(VENV)/.dev
	@$(BIN)/python -m pytest --collect-only -q >/dev/null || true

test-fast: $(VENV)/.dev bytecode  ## the tests that need neither weights, a browser nor whole programs
	$(BIN)/python -m pytest $(FAST) $(RETRY)

lint: $(VENV)/.dev  ## ruff: style, imports, docstrings, formatting; import-linter: the floors of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: $(VENV)/.dev  ## mypy, strict on tale_core
	$(BIN)/mypy

audit: $(VENV)/.created  ## are faults known of the locked packages? (asks the package index's list of advisories)
	@for lock in $(LOCKS); do echo "$$lock" && $(AUDIT) pip-audit --strict --disable-pip --require-hashes -r $$lock || exit 1; done

sbom: $(VENV)/.created  ## write sbom/*.cdx.json: the locked packages with their hashes, as CycloneDX
	@mkdir -p sbom
	@for lock in $(LOCKS); do $(AUDIT) cyclonedx-py requirements $$lock --output-reproducible --of JSON -o sbom/$${lock%.lock}.cdx.json || exit 1; done
	@ls sbom/*.cdx.json

bench: $(VENV)/.dev  ## every benchmark; the paper's table in a short form (whole: python -m benchmarks table --limit 60)
	$(BIN)/python -m benchmarks

lock: $(VENV)/.created  ## resolve requirements*.txt again for every platform, with hashes
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url requirements.txt -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url -c requirements.lock requirements-dev.txt -o requirements-dev.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url -c requirements-dev.lock $(foreach p,$(NOT_LOCKED),--no-emit-package $(p)) requirements-tune.txt -o requirements-tune.lock
	echo "torch==$(TORCH_VERSION)" | $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url -c requirements-tune.lock - -o requirements-torch.lock
	echo "uv==$(UV_VERSION)" | $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url - -o requirements-uv.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url requirements-audit.txt -o requirements-audit.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url -c requirements.lock requirements-postgres.txt -o requirements-postgres.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url -c requirements.lock requirements-otel.txt -o requirements-otel.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url -c requirements-dev.lock requirements-ray.txt -o requirements-ray.lock

clean:  ## remove the virtual environment and caches (user data and weights stay)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
