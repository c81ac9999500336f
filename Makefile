# Every target sets itself up; a second run of `make setup` takes a second. Packages are compiled as
# they are installed: tests start a hundred processes, and where Python may write no bytecode
# (PYTHONDONTWRITEBYTECODE), each of them would compile what it imports.

VENV := .venv
BIN := $(VENV)/bin
SAM := $(shell command -v sam || echo .venv-sam/bin/sam)
UV_VERSION := 0.13.9
SAM_VERSION := 1.170.0
CHECKOV_VERSION := 3.3.30
PG := infra/examples/postgres/function
FAILED := sh infra/build/download_failed.sh
LOCK := $(BIN)/uv pip compile --quiet --upgrade --python-version 3.13 --no-header --no-annotate --no-emit-index-url --no-emit-find-links
export PATH := $(CURDIR)/$(BIN):$(PATH)
export SAM_CLI_TELEMETRY := 0
# BuildMethod python-uv, also for a CONFIG_ENV without build parameters of its own.
export SAM_CLI_BETA_UV_PACKAGE_MANAGER := 1
CONFIG := $(if $(CONFIG_ENV),--config-env $(CONFIG_ENV))

.DEFAULT_GOAL := help
.PHONY: help setup demo start unit fast test postgres chromium soak bench docs pictures simulate check build deploy destination release lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready $(if $(filter .venv-sam/%,$(SAM)),.venv-sam/.ready) ## make the virtual environments (done by every other target)

demo: setup ## show an event travel from a POST to a row in DynamoDB, on this machine
	@$(BIN)/python -m infra.local.demo

start: setup ## keep the stack running on this machine until Ctrl-C (for sam local: make start DOCKER=1)
	@$(BIN)/python -m infra.local.start $(if $(PORT),--port $(PORT)) $(if $(filter 1,$(DOCKER)),--docker)

unit: setup ## run the unit tests: no network, in seconds
	$(BIN)/pytest tests/unit --numprocesses auto --quiet

fast: setup postgres ## run every test but the end-to-end ones
	$(BIN)/pytest --ignore tests/e2e --numprocesses auto --dist loadgroup --quiet

test: setup postgres chromium ## run all tests, with the coverage of functions/ (installs PostgreSQL and Chromium where they are missing and can be)
	$(BIN)/pytest --numprocesses auto --dist loadgroup --cov

postgres:
	@sh infra/build/postgres.sh

chromium:
	@sh infra/build/chromium.sh

soak: setup ## send a long storm through the local cloud: make soak EVENTS=5000 SEED=1
	SOAK_EVENTS=$(or $(EVENTS),2000) SOAK_SEED=$(or $(SEED),1) $(BIN)/pytest tests/e2e/test_storm.py -q

bench: setup .venv-bench/packages/.ready ## measure speed, size and logs into docs/benchmarks.md (only against the limits: make bench SHORT=1)
	@$(BIN)/python -m infra.bench $(if $(SHORT),--short)

docs: setup ## renew what is generated: tables of the reference, the dashboard's picture, schemas of the bus
	@$(BIN)/python -m infra.build.reference
	@$(BIN)/python -m infra.build.schema
	@$(BIN)/python -m infra.dashboard

pictures: setup chromium ## photograph the console for docs/console.md, with the demo's data
	@$(BIN)/python -m infra.console_pictures

simulate: setup ## simulate bursts, outages and backlogs into docs/simulation.md, and renew the tables of costs and limits
	@$(BIN)/python -m infra.bench.simulate

check: setup .venv-checkov/.ready .venv-bench/packages/.ready ## lint, format, types, template, security, speed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/cfn-lint -a cfn_lint_serverless.rules -- template.yaml infra/monitoring.yaml infra/examples/*.yaml infra/examples/*/template.yaml
	$(SAM) validate --lint --region us-east-1
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive functions infra
	.venv-checkov/bin/checkov --config-file infra/build/checkov.yaml
	$(BIN)/python infra/build/audit.py
	$(BIN)/python -m infra.bench --short

build: setup ## build the functions for AWS, bytecode included (for another processor: make build ARCHITECTURE=x86_64)
	$(if $(ARCHITECTURE),$(BIN)/python -m infra.build.architecture $(ARCHITECTURE) .aws-sam/template.json)
	$(SAM) build $(CONFIG) $(if $(ARCHITECTURE),--template .aws-sam/template.json --config-file $(CURDIR)/samconfig.toml)
	$(BIN)/python infra/build/bytecode.py .aws-sam/build

deploy: destination build ## deploy to the AWS account of your credentials (the first time: make deploy GUIDED=1)
	$(if $(GRADUAL),$(BIN)/python infra/build/gradual.py $(GRADUAL) .aws-sam/build)
	$(SAM) deploy $(CONFIG) $(if $(GUIDED),--guided)

destination: setup
	@$(BIN)/python -m infra.build.destination $(CONFIG) $(if $(GUIDED)$(NEW),--new)

release: setup .venv-sam/.ready ## make the files of a release in dist/ (of a tag: make release TAG=v0.3.0; on GitHub too: PUBLISH=1)
	@$(BIN)/python -m infra.build.release $(if $(TAG),--tag $(TAG)) $(if $(PUBLISH),--publish)

lock: setup ## renew the pins of all that the named packages bring along, with the hashes of what is deployed
	sed '/^-c/d' requirements.txt | $(LOCK) - -o infra/pins/constraints.txt
	{ echo --require-hashes; $(LOCK) --generate-hashes --constraint infra/pins/constraints.txt functions/requirements.in; } > functions/requirements.new
	mv functions/requirements.new functions/requirements.txt
	{ sed -n '1,/--require-hashes/p' $(PG)/requirements.txt; grep -o '^pg8000==[^ ]*' requirements.txt | $(LOCK) --generate-hashes --constraint infra/pins/constraints.txt -; } > $(PG)/requirements.new
	mv $(PG)/requirements.new $(PG)/requirements.txt
	echo aws-sam-cli==$(SAM_VERSION) | $(LOCK) - -o infra/pins/sam.txt
	echo checkov==$(CHECKOV_VERSION) | $(LOCK) - -o infra/pins/checkov.txt

clean: ## remove everything that the other targets made
	rm -rf $(VENV) .venv-sam .venv-checkov .venv-bench .aws-sam dist .local .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/.ready: requirements.txt functions/requirements.in infra/pins/constraints.txt pyproject.toml .python-version
	@echo "Setting up $(VENV) (about half a minute the first time)"
	@test -x $(BIN)/python || { python=$$(sh infra/build/python.sh $(PYTHON)) && "$$python" -m venv $(VENV); }
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION) || $(FAILED)
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements.txt || $(FAILED)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable . # the command gpw
	@touch $@

# What a deployed function has and no more: other packages would distort a cold start. The runtime's
# boto3 is in the virtual environment, with bytecode; the artifact's packages have a directory.
.venv-bench/packages/.ready: functions/requirements.txt .venv-bench/.ready
	@$(BIN)/uv pip install --quiet --python .venv-bench/bin/python --target .venv-bench/packages -r $< || $(FAILED)
	@.venv-bench/bin/python -m compileall -q --invalidation-mode unchecked-hash .venv-bench/lib
	@touch $@

# Tools whose boto3 is another one than MiniStack's have a virtual environment each.
.venv-%/.ready: infra/pins/%.txt $(VENV)/.ready
	@echo "Setting up .venv-$*"
	@test -x .venv-$*/bin/python || $(BIN)/python -m venv --without-pip .venv-$*
	@$(BIN)/uv pip install --quiet --compile-bytecode --python .venv-$*/bin/python -r $< || $(FAILED)
	@touch $@
