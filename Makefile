# Every target sets itself up; a second run of `make setup` takes a moment. Packages are compiled as
# they are installed: tests start a hundred processes, and where Python may write no bytecode
# (PYTHONDONTWRITEBYTECODE), each of them would compile what it imports.

VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv || echo .uv/bin/uv)
SAM := $(shell command -v sam || echo .tools/bin/sam)
# Programs whose packages are not those of uv.lock: an environment each. Dependabot does not see them.
UVX := $(UV) tool run --quiet --compile-bytecode --python $(BIN)/python
AWS_SAM_CLI := aws-sam-cli==1.170.0
CHECKOV := checkov@3.3.30
PIP_AUDIT := pip-audit@2.10.1
ZIZMOR := zizmor@1.32.0
EXPORT := $(UV) export --quiet --frozen --no-emit-project --no-annotate --no-header
# Tests wait more than they compute: two processes per core (`make unit` computes: one). Each of them
# reads all tests, so pytest keeps those that it has compiled, even if Python keeps no others.
WORKERS := $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/pytest
PG := infra/examples/postgres/function
MIRROR := $(or $(UV_DEFAULT_INDEX),$(UV_INDEX_URL))
export PATH := $(CURDIR)/$(BIN):$(PATH)
export SAM_CLI_TELEMETRY := 0
# BuildMethod python-uv, also for a CONFIG_ENV without build parameters of its own.
export SAM_CLI_BETA_UV_PACKAGE_MANAGER := 1
CONFIG := $(if $(CONFIG_ENV),--config-env $(CONFIG_ENV))

.DEFAULT_GOAL := help
.PHONY: help setup demo start unit fast test postgres chromium soak bench docs pictures simulate check build deploy destination release lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready $(filter .tools/%,$(SAM)) ## make the virtual environments (other targets do it when they need them)

demo: setup ## show an event travel from a POST to a row in DynamoDB, on this machine
	@$(BIN)/python -m infra.local.demo

start: setup ## keep the stack running on this machine until Ctrl-C (empty: FRESH=1; functions' own log: RAW=1; for sam local: DOCKER=1)
	@$(BIN)/python -m infra.local.start $(if $(PORT),--port $(PORT)) $(if $(filter 1,$(DOCKER)),--docker) $(if $(filter 1,$(FRESH)),--fresh) $(if $(filter 1,$(RAW)),--raw)

unit: setup ## run the unit tests: no network, in seconds
	HYPOTHESIS_PROFILE=$(or $(HYPOTHESIS_PROFILE),quick) $(PYTEST) tests/unit --numprocesses auto --quiet

fast: setup postgres ## run every test but the end-to-end ones
	$(PYTEST) --ignore tests/e2e --numprocesses $(WORKERS) --quiet

test: setup postgres chromium ## run all tests, with the coverage of functions/ (installs PostgreSQL and Chromium where they are missing and can be)
	$(PYTEST) --numprocesses $(WORKERS) --cov

postgres:
	@sh infra/build/postgres.sh

chromium:
	@sh infra/build/chromium.sh

soak: setup ## send a long storm through the local cloud: make soak EVENTS=5000 SEED=1
	SOAK_EVENTS=$(or $(EVENTS),2000) SOAK_SEED=$(or $(SEED),1) $(BIN)/pytest tests/e2e/test_storm.py -q

bench: setup .venv-bench/.ready ## measure speed, size and logs into docs/performance.md (only against the limits: make bench SHORT=1)
	@$(BIN)/python -m infra.bench $(if $(SHORT),--short)

docs: setup ## renew what is generated: tables of the reference, the dashboard's body, schemas of the bus
	@$(BIN)/python -m infra.build.reference
	@$(BIN)/python -m infra.build.schema
	@$(BIN)/python -m infra.dashboard

pictures: setup chromium ## photograph the console for docs/console.md, with the demo's data
	@$(BIN)/python -m infra.console_pictures

simulate: setup ## simulate bursts, outages and backlogs into docs/performance.md, and renew the tables of costs and limits
	@$(BIN)/python -m infra.bench.simulate

check: setup .venv-bench/.ready ## lint, format, types, template, security, speed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/cfn-lint -a cfn_lint_serverless.rules -- template.yaml infra/monitoring.yaml infra/examples/*.yaml infra/examples/*/template.yaml
	$(SAM) validate --lint --region us-east-1
	$(UVX) $(CHECKOV) --config-file infra/build/checkov.yaml
	$(UVX) $(ZIZMOR) --offline --quiet .github
	sh infra/build/audit.sh $(UVX) $(PIP_AUDIT)
	$(BIN)/python -m infra.bench --short

build: setup ## build the functions for AWS, with bytecode and the SDK's data (for another processor: make build ARCHITECTURE=x86_64)
	$(if $(ARCHITECTURE),$(BIN)/python -m infra.build.architecture $(ARCHITECTURE) .aws-sam/template.json)
	$(SAM) build $(CONFIG) $(if $(ARCHITECTURE),--template .aws-sam/template.json --config-file $(CURDIR)/samconfig.toml)
	$(BIN)/python -m infra.build.artifact .aws-sam/build

deploy: destination build ## deploy to the AWS account of your credentials (the first time: make deploy GUIDED=1)
	$(if $(GRADUAL),$(BIN)/python infra/build/gradual.py $(GRADUAL) .aws-sam/build)
	$(SAM) deploy $(CONFIG) $(if $(GUIDED),--guided)

destination: setup
	@$(BIN)/python -m infra.build.destination $(CONFIG) $(if $(GUIDED)$(NEW),--new)

release: setup .tools/bin/sam ## make the files of a release in dist/ (of a tag: make release TAG=v0.3.0; on GitHub too: PUBLISH=1)
	@$(BIN)/python -m infra.build.release $(if $(TAG),--tag $(TAG)) $(if $(PUBLISH),--publish)

lock: $(UV) ## bring uv.lock and its exports up to date with pyproject.toml (newer versions of everything: make lock UPGRADE=1)
	$(UV) lock $(if $(UPGRADE),--upgrade)
	{ echo '# Exported from uv.lock by `make lock`.'; $(EXPORT); } > requirements.txt
	{ echo --require-hashes; $(EXPORT) --only-group functions; } > functions/requirements.txt
	{ sed -n '1,/--require-hashes/p' $(PG)/requirements.txt; $(EXPORT) --only-group postgres; } > $(PG)/requirements.new
	mv $(PG)/requirements.new $(PG)/requirements.txt

clean: ## remove everything that the other targets made
	rm -rf $(VENV) .venv-* .uv .tools .aws-sam dist .local .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis

# uv's own environment, only on a machine that has no uv. The version and its hashes are those of the
# lock's export. Any Python can run it; uv finds a Python 3.13 for the others, or downloads one.
.uv/bin/uv:
	@echo "Installing uv into .uv"
	@python3 -m venv .uv
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.txt | .uv/bin/python -m pip install --quiet --disable-pip-version-check --requirement /dev/stdin

# uv.lock names the files of PyPI, and uv takes them from there: a mirror installs from the export,
# with the same hashes, and leaves to `uv sync` only the project.
$(VENV)/.ready: uv.lock pyproject.toml .python-version | $(UV)
	@echo "Setting up $(VENV) (about half a minute the first time)"
	@$(if $(MIRROR),$(UV) venv --quiet --allow-existing && $(UV) pip sync --quiet requirements.txt)
	@$(UV) sync --quiet --frozen --compile-bytecode
	@touch $@

.tools/bin/sam: Makefile | $(VENV)/.ready
	@echo "Installing the SAM CLI into .tools"
	@UV_TOOL_DIR=.tools UV_TOOL_BIN_DIR=.tools/bin $(UV) tool install --quiet --compile-bytecode --python $(BIN)/python $(AWS_SAM_CLI)
	@touch $@

# What a deployed function has and no more: other packages would distort a cold start. The runtime's
# boto3 is in the virtual environment, with bytecode; the artifact's packages have a directory.
.venv-bench/.ready: uv.lock functions/requirements.txt $(VENV)/.ready
	@rm -rf .venv-bench
	@$(BIN)/python -m venv --without-pip .venv-bench
	@$(EXPORT) --only-group lambda-runtime | $(UV) pip sync --quiet --compile-bytecode --python .venv-bench/bin/python -
	@$(UV) pip install --quiet --python .venv-bench/bin/python --target .venv-bench/packages --requirement functions/requirements.txt
	@touch $@
