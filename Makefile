# Each target does all the set-up itself, in .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# TensorFlow's start-up notes (oneDNN, missing GPU libraries) hide what matters here.
export TF_CPP_MIN_LOG_LEVEL ?= 2
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# pip's warnings are shown where it fails.
QUIETLY = 2> $(VENV)/pip.log || { cat $(VENV)/pip.log >&2; exit 1; }

.PHONY: demo test lint tables docs clean

demo: $(VENV)/installed
	@$(BIN)/python examples/demo.py --output runs/demo

test: $(VENV)/installed
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(TESTS)

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# docs/paper_tables.md: the paper's tables beside the networks here.
tables: $(VENV)/installed
	$(BIN)/python benchmarks/paper_tables.py

# The documentation site, in site/; open site/index.html. The tests build it, too.
docs: $(VENV)/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir site

# Editable, so that the tests and the demo run the files you see.
$(VENV)/installed: pyproject.toml
	@$(PYTHON) -m venv $(VENV)
	@echo "Installing keras-mtnet and what it needs into $(VENV)"
	@$(BIN)/python -m pip install --quiet --upgrade pip $(QUIETLY)
	@$(BIN)/python -m pip install --quiet --editable ".[test]" $(QUIETLY)
	@touch $@

clean:
	rm -rf $(VENV) runs build site *.egg-info
