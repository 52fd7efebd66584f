# `make run` and `make test` set everything up from nothing. Python 3.11 or newer is all they need.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
# uv unpacks the locked wheels in seconds where pip takes more than a minute. Where uv cannot reach an index that only
# pip is configured for, pip does the same work from the same hashes.
install = $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r $(1) \
	|| $(BIN)/python -m pip install --quiet --require-hashes -r $(1)

# torch comes by pip, first and alone: as it is for this machine, without what only a GPU needs where an index of CPU
# builds is configured. The rest is locked, and nothing of it may fetch another torch.
TORCH_VERSION := 2.13.0
NOT_LOCKED := torch triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc \
	nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse \
	nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx

# Tests in which a model answers run alone: two model servers on two cores wait for each other.
# A browser and a model on a busy machine: one more try, which the summary tells (R).
RETRY := --reruns 1 -raR

.DEFAULT_GOAL := help
.PHONY: help run tune ray test test-fast lint types bench lock clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.created:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: uv==$(UV_VERSION)
	touch $@

$(VENV)/.app: requirements.lock $(VENV)/.created
	$(call install,requirements.lock)
	touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.app
	$(call install,requirements-dev.lock)
	touch $@

$(VENV)/.tune: requirements-tune.lock $(VENV)/.app
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==$(TORCH_VERSION)
	$(call install,requirements-tune.lock --no-deps)
	touch $@

tune: $(VENV)/.tune  ## install what fine-tuning needs (torch and friends)

$(VENV)/.ray: requirements-ray.lock $(VENV)/.dev
	$(call install,requirements-ray.lock)
	touch $@

ray: $(VENV)/.ray  ## install Ray: the engine ray, and its tests in make test

run: $(VENV)/.app  ## install what is missing and start the app on http://127.0.0.1:8501
	$(BIN)/python -m streamlit run app.py

test: $(VENV)/.dev lint types  ## lint, types and every test
	$(BIN)/python -m pytest -m "not model and not browser" -n 2 --dist loadfile $(RETRY)
	$(BIN)/python -m pytest -m "browser and not model" -n 2 --dist loadfile $(RETRY)
	$(BIN)/python -m pytest -m model $(RETRY)

test-fast: $(VENV)/.dev  ## the tests that need neither weights nor a browser
	$(BIN)/python -m pytest -m "not model and not browser" -n 2 --dist loadfile $(RETRY)

lint: $(VENV)/.dev  ## ruff: style, imports, docstrings, formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev  ## mypy, strict on tale_core
	$(BIN)/mypy

bench: $(VENV)/.dev  ## every benchmark; the paper's table in a short form (whole: python -m benchmarks table --limit 60)
	$(BIN)/python -m benchmarks

lock: $(VENV)/.created  ## resolve requirements*.txt again for every platform, with hashes
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url requirements.txt -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url -c requirements.lock requirements-dev.txt -o requirements-dev.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url -c requirements-dev.lock $(foreach p,$(NOT_LOCKED),--no-emit-package $(p)) requirements-tune.txt -o requirements-tune.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url -c requirements.lock requirements-postgres.txt -o requirements-postgres.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url -c requirements-dev.lock requirements-ray.txt -o requirements-ray.lock

clean:  ## remove the virtual environment and caches (user data and weights stay)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
