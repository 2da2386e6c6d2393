PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
VERSION = $(shell $(BIN)/python -c "import sys; print('%d.%d' % sys.version_info[:2])")
DEMO_VENV := .venv-demo
LOCK := requirements-dev.lock

# Logins, and what depends on versions of other packages most.
LOGINS := tests/examples tests/flow/test_many_integrations.py tests/flow/test_oauth2_login.py tests/flow/test_readme.py \
    tests/frameworks/django/test_single_server.py tests/frameworks/test_any_framework.py \
    tests/frameworks/test_starlette.py tests/unit/crypto tests/unit/login tests/unit/sqlalchemy tests/unit/transport

# In parallel. At the end, a worker without tests takes some of another one's.
PYTEST := $(BIN)/python -m pytest -n auto --dist worksteal

.PHONY: FORCE demo test test-fast test-lowest test-newest test-wheel docs screenshots fuzz bench load mutants lint lock clean

# Its own environment holds only what the demo imports. A port that is taken is reported before anything is installed.
demo:
	@$(PYTHON) -I .ci/suitable_python.py
	@$(PYTHON) -I demo_app/ports.py
	@$(PYTHON) -I .ci/environment.py $(DEMO_VENV) demo
	@$(DEMO_VENV)/bin/python -m demo_app

# Everything that must hold.
test: $(VENV)/.installed
	$(PYTEST) $(PYTEST_ARGS)

# What needs no socket, program, browser or database server.
test-fast: $(VENV)/.installed
	FUZZ_EXAMPLES=100 $(PYTEST) -m fast $(PYTEST_ARGS)

# Logins with the lowest versions that pyproject.toml allows.
test-lowest: $(VENV)/.installed
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/nox --error-on-missing-interpreters --session "lowest($(VERSION)-django5.2)" -- \
	    $(LOGINS) $(PYTEST_ARGS)

# Logins with the newest versions, in newer Pythons if this machine has them, those of pyenv among them.
test-newest: $(VENV)/.installed
	PYENV_VERSION="$$(pyenv versions --bare 2>/dev/null | paste -sd: -)" \
	    $(BIN)/nox --no-error-on-missing-interpreters --session "newest(3.12-django6.0)" "newest(3.13-django6.1)" -- \
	    $(LOGINS) $(PYTEST_ARGS)

# Builds the distributions, looks at them as the package index does, and logs in with the wheel in empty environments.
# pyroma asks for an e-mail address, and the project has none.
test-wheel: $(VENV)/.installed
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist .
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist
	$(BIN)/pyroma --min 10 --skip-tests AuthorEmail .
	$(PYTEST) tests/wheel $(PYTEST_ARGS)

# The site, in docs/_build/html. A warning is an error, and a link that leads nowhere is a warning.
docs: $(VENV)/.installed
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --doctree-dir docs/_build/doctrees docs docs/_build/html

# The pictures in docs/images, taken from the pages of Flask and of the sandbox.
screenshots: $(VENV)/.installed
	SCREENSHOTS=docs/images/upgrade-to-oauth2 $(BIN)/python -m pytest tests/browser/test_upgrade.py -k upgrade_keeps $(PYTEST_ARGS)
	$(BIN)/python -m docs.pictures

# Every parser of what others wrote, with ten thousand examples each, and 51 000 requests to Flask, Django and the
# sandbox; says how many examples there were. Then logins: with two thousand answers of each kind, and in two hundred
# orders of what may happen meanwhile.
fuzz: $(VENV)/.installed
	FUZZ_EXAMPLES=10000 FUZZ_REQUESTS=17000 $(BIN)/python -m pytest tests/fuzz -n auto --hypothesis-show-statistics $(PYTEST_ARGS)
	FUZZ_EXAMPLES=2000 $(BIN)/python -m pytest tests/security -n auto --row 108 $(PYTEST_ARGS)
	FUZZ_EXAMPLES=200 $(BIN)/python -m pytest tests/security/test_interleavings.py $(PYTEST_ARGS)

# What a login costs, beside other ways and the least that it can cost. Writes bench.json.
bench: $(VENV)/.installed
	$(BIN)/python -m bench.login

# Many people at once, many organizations, faults, and two nodes: needs PostgreSQL, nginx, and Redis or Valkey. Writes
# load.json and load.svg.
load: $(VENV)/.installed
	$(BIN)/python -m bench.load

# Breaks the code in more than two hundred places, one at a time, and asks the tests of each subject. This takes hours.
# The answers are kept in mutants.json, and an interrupted run goes on from there.
mutants: $(VENV)/.installed
	$(BIN)/python -m bench.mutants

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml
	$(BIN)/zizmor --offline --pedantic --quiet .github/workflows

# The newest versions of everything that development needs, for every Python and system.
lock: | $(BIN)/uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 --generate-hashes \
	    --upgrade --no-annotate --custom-compile-command "make lock" --quiet --output-file $(LOCK)

$(BIN)/uv:
	@$(PYTHON) -I .ci/suitable_python.py
	@$(PYTHON) -I .ci/environment.py $(VENV) $(LOCK)

# Installed from scratch after an interruption, a move, another Python, or a change of the dependencies.
$(VENV)/.installed: FORCE
	@$(PYTHON) -I .ci/suitable_python.py
	@$(PYTHON) -I .ci/environment.py $(VENV) $(LOCK)

# The tables of rows, from the markers of the tests.
docs/security.md: $(wildcard tests/security/*.py) $(VENV)/.installed
	$(BIN)/python -m tests.security.rows

# The sentences that translators translate, from the templates, the modules and the library's tables.
social_bitbucket_server/django/locale/django.pot: FORCE $(VENV)/.installed
	$(BIN)/python -m tests.frameworks.django.catalogue

# The table of capabilities, from the markers of the tests.
docs/many-organizations.md: FORCE $(VENV)/.installed
	$(BIN)/python -m tests.capabilities

docs/problems.md: $(wildcard social_bitbucket_server/problems/*.py) $(VENV)/.installed
	$(BIN)/social-bitbucket-server explain --markdown > $@

clean:
	rm -rf $(VENV) $(DEMO_VENV) .nox build dist docs/_build .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
