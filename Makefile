# Two commands do all the set-up: `make demo` and `make test`. Both make .venv, install what is locked, and build the page.
PYTHON ?= python3
ARGS ?=
NAME ?= pipeline
PATROL := .venv/bin/patrol
export OMP_NUM_THREADS ?= 2

.PHONY: demo test check bench install page serve clean

demo: install page
	$(PATROL) demo $(ARGS)

serve: install page
	$(PATROL) serve $(ARGS)

test: install page
	.venv/bin/python -m pytest $(ARGS)

check: install
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/patrol openapi --check web/openapi.json
	cd web && npm run --silent check

bench: install
	.venv/bin/python -m benchmarks.$(NAME) $(ARGS)

install: .venv/.installed web/node_modules/.installed

.venv/.installed: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "python3 is missing: install it (Debian: apt-get install python3 python3-venv)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, this is `$(PYTHON) --version`: install it (Debian 12: apt-get install python3)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv is missing: install it (Debian: apt-get install python3-venv)"; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --require-hashes -r requirements.lock
	.venv/bin/python -m pip install --quiet --no-deps --editable .
	@touch $@

web/node_modules/.installed: web/package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js 20 (the page is built with it)"; exit 1; }
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' || { echo "Node.js 20 or newer is needed, this is `node --version`: install it"; exit 1; }
	cd web && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

page: web/dist/index.html

web/dist/index.html: web/node_modules/.installed web/openapi.json $(shell find web/src web/public web/index.html web/*.config.* -type f -not -name schema.d.ts 2>/dev/null)
	cd web && npm run --silent build

clean:
	rm -rf .venv web/node_modules web/dist
