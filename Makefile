# `make demo` fills a hole in a photograph, `make test` runs the tests; both make .venv first.

PYTHON ?= python3
# A fixed version: an unpinned install takes the newest CUDA build, several GB. Any torch >= 2.10 does.
TORCH ?= torch==2.13.0

# pip leaves modules to be compiled when they are first imported: most never are, and it takes as long as all else.
export PIP_COMPILE := 0

BIN := .venv/bin
NATIVE := setup.py pyproject.toml CMakeLists.txt $(shell find csrc -type f)
CPP := $(shell find csrc tests/native -name '*.h' -o -name '*.cpp' -o -name '*.inl' -o -name '*.cu')

.PHONY: demo test slow lint format wheel bench gpu-folder gpu-check clean
.DELETE_ON_ERROR:

demo: .venv/installed
	$(BIN)/gica inpaint --image examples/photo.png --mask examples/mask.png --output out/demo.png

test: .venv/tools
	$(BIN)/python -m pytest -n 2 --dist worksteal

slow: .venv/tools
	$(BIN)/python -m pytest -m slow

lint: .venv/tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(CPP)

format: .venv/tools
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CPP)

wheel: .venv/installed
	$(BIN)/pip wheel --no-build-isolation --no-deps --wheel-dir dist .

bench: .venv/tools
	$(BIN)/python -m benchmarks.bounds

# What a machine with a GPU needs beside the tree: the wheel, and which commit it is of.
gpu-folder: wheel
	$(BIN)/pip download --quiet --no-deps --dest dist/packages click
	git describe --always --dirty=+ --abbrev=12 >dist/commit.txt

# On such a machine, which needs no network: python3 with torch, pytest, hypothesis, and dist/.
# QUICK=1 takes two minutes. Cut off, it goes on where it was.
gpu-check:
	$(PYTHON) -m tests.gpu.check $(if $(QUICK),--quick)

clean:
	rm -rf .venv build dist out *.egg-info gica_ops/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What builds the package has to be there before it: the build uses the torch of the environment.
.venv/environment: Makefile
	$(PYTHON) -m venv .venv
	$(BIN)/pip install "$(TORCH)" numpy pillow "setuptools>=77" cmake ninja
	touch $@

.venv/installed: .venv/environment $(NATIVE)
	$(BIN)/pip install --no-build-isolation -e .
	touch $@

.venv/tools: .venv/installed
	$(BIN)/pip install --no-build-isolation -e ".[dev]"
	touch $@
