# `make` alone lists everything. PORT=8502 and ATELIER_HOME=/some/folder make a second studio beside the first.

PYTHON ?= python3
STUDIO := .venvs/studio/bin/python
INFERENCE := .venvs/inference/bin/python
# Both cores; a file's tests stay together, so that what they share is started once.
PARALLEL ?= -n 2 --dist loadfile
# The files with the fewest tests are the longest stories: one of them begun last would have the other core wait.
IN_ORDER := --no-loadscope-reorder
PYTEST_ARGS ?=

# Says in one line what is missing, where the shell would only say "not found"; bootstrap.py checks the version.
BOOTSTRAP = @command -v $(PYTHON) >/dev/null || { echo "atelier: Python 3.11 is needed and was not found: \
apt install python3.11 python3.11-venv, or make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }; \
	$(PYTHON) local/bootstrap.py

.DEFAULT_GOAL := help
.PHONY: help run test test-studio test-inference check bench tour model-package jumpstart clean reset

help:  ## This list
	@echo "make targets:"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1|\2/' | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'
	@echo "variables: PORT (8501), ATELIER_HOME (.atelier), MODEL, JUMPSTART_ID, REGION, PYTEST_ARGS, PYTHON (python3)"

run:  ## Start the whole studio on this machine and print how to sign in; Ctrl-C stops it
	$(BOOTSTRAP) && exec $(STUDIO) -m local.run --leash

test: test-studio test-inference  ## Install what the tests need and run all of them

test-studio:  ## All tests but the model's
	$(BOOTSTRAP) --dev --browser
	$(STUDIO) -m pytest $(PARALLEL) $(IN_ORDER) --ignore=tests/inference $(PYTEST_ARGS)

test-inference:  ## The model server's tests, in its own environment
	$(BOOTSTRAP) --dev
	$(INFERENCE) -m pytest $(PARALLEL) tests/inference $(PYTEST_ARGS)

check:  ## Format, lint, types, imports, duplicate and dead code, licenses, known vulnerabilities
	$(BOOTSTRAP) --dev
	$(STUDIO) -m tools.check

bench:  ## Measure the job path, the starts and the model server; one table a measurement (BENCH="clients --pairs 2")
	$(BOOTSTRAP)
	$(STUDIO) -m bench $(BENCH)

tour:  ## Walk through the studio in a browser and renew the screenshots of docs/tour.md
	$(BOOTSTRAP) --dev --browser
	$(STUDIO) -m pytest -q tests/browser/test_tour.py -k "not shows_every_stop"
	cp build/tour/*.webp docs/images/tour/

model-package:  ## Pack a model folder (MODEL, default pocket) as build/model.tar.gz for SageMaker
	$(BOOTSTRAP)
	$(INFERENCE) -m inference.package $(or $(MODEL),inference/pocket/weights) --out build/model.tar.gz

jumpstart:  ## Write a JumpStart model (JUMPSTART_ID, REGION) as Terraform variables: build/ID.tfvars.json
	@test -n "$(JUMPSTART_ID)" || { echo "atelier: which model? make jumpstart JUMPSTART_ID=... [REGION=us-east-1]" >&2; exit 1; }
	$(BOOTSTRAP) --jumpstart
	.venvs/jumpstart/bin/python -m infra.jumpstart $(JUMPSTART_ID) $(if $(REGION),--region $(REGION)) \
		--out build/$(JUMPSTART_ID).tfvars.json

clean:  ## Remove the environments, caches and build output; the studio's data stays
	rm -rf .venvs build .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

reset:  ## Forget the studio's data: pictures, jobs, accounts, keys (asks first; FORCE=1 does not)
	@$(PYTHON) -m local.reset $(if $(FORCE),--yes)
