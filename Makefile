# Each of the two commands does all the set-up that it needs, in .venv; PYTHON names another interpreter (3.11 or later).
PYTHON ?= python3

.PHONY: demo test lint docs clean

demo: .venv/installed
	.venv/bin/pixalign demo

test: .venv/installed-dev
	.venv/bin/python -m pytest -n 2 --dist worksteal

lint: .venv/installed-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# The site, in dist/docs; a dead link, a missing page or an unknown name is an error.
docs: .venv/installed-dev
	.venv/bin/mkdocs build --strict

.venv/installed: pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'pixalign needs Python 3.11 or later: make PYTHON=python3.12')"
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet -e .
	@touch $@

.venv/installed-dev: .venv/installed
	.venv/bin/python -m pip install --quiet -e ".[dev]"
	@touch $@

clean:
	rm -rf .venv
