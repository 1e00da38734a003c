# `make` alone lists all targets. PORT=8502 and ATELIER_HOME=/some/folder make a second studio beside the first.

PYTHON ?= python3
STUDIO := .venvs/studio/bin/python
INFERENCE := .venvs/inference/bin/python
# Both cores. The tests of a file stay together, so that what they share starts once.
PARALLEL ?= -n 2 --dist loadfile
# The files with the fewest tests are the longest. If one of them started last, the other core would wait.
IN_ORDER := --no-loadscope-reorder
PYTEST_ARGS ?=

# One line that says what is missing, where the shell would only say "not found". bootstrap.py checks the version.
BOOTSTRAP = @command -v $(PYTHON) >/dev/null || { echo "atelier: Python 3.11 is needed and was not found: \
apt install python3.11 python3.11-venv, or make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }; \
	$(PYTHON) local/bootstrap.py

.DEFAULT_GOAL := help
.PHONY: help run test test-studio test-inference check bench tour model-package jumpstart clean reset

help:  ## Show this list
	@echo "make targets:"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1|\2/' | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'
	@echo "variables: PORT (8501), ATELIER_HOME (.atelier), MODEL, JUMPSTART_ID, REGION, PYTEST_ARGS, PYTHON (python3)"

run:  ## Start the whole studio on this machine and print how to sign in; Ctrl-C stops it
	$(BOOTSTRAP) && exec $(STUDIO) -m local.run --leash

test: test-studio test-inference  ## Install what the tests need and run all of them

test-studio:  ## Run all tests except the model's
	$(BOOTSTRAP) --dev --browser
	$(STUDIO) -m pytest $(PARALLEL) $(IN_ORDER) --ignore=tests/inference $(PYTEST_ARGS)

test-inference:  ## Run the model server's tests in its own environment
	$(BOOTSTRAP) --dev
	$(INFERENCE) -m pytest $(PARALLEL) tests/inference $(PYTEST_ARGS)

check:  ## Check format, lint, types, imports, duplicate and dead code, texts, licenses, known vulnerabilities
	$(BOOTSTRAP) --dev
	$(STUDIO) -m tools.check

bench:  ## Measure the job path, the starts, and the model server; one table per measurement (BENCH="clients --pairs 2")
	$(BOOTSTRAP)
	$(STUDIO) -m bench $(BENCH)

tour:  ## Renew the screenshots of docs/tour.md with a browser
	$(BOOTSTRAP) --dev --browser
	$(STUDIO) -m pytest -q tests/browser/test_tour.py -k "not shows_every_stop"
	cp build/tour/*.webp docs/images/tour/

model-package:  ## Pack a model folder (MODEL, default pocket) for SageMaker: build/model.tar.gz
	$(BOOTSTRAP)
	$(INFERENCE) -m inference.package $(or $(MODEL),inference/pocket/weights) --out build/model.tar.gz

jumpstart:  ## Write a JumpStart model (JUMPSTART_ID, REGION) as Terraform variables: build/ID.tfvars.json
	@test -n "$(JUMPSTART_ID)" || { echo "atelier: which model? make jumpstart JUMPSTART_ID=... [REGION=us-east-1]" >&2; exit 1; }
	$(BOOTSTRAP) --jumpstart
	.venvs/jumpstart/bin/python -m infra.jumpstart $(JUMPSTART_ID) $(if $(REGION),--region $(REGION)) \
		--out build/$(JUMPSTART_ID).tfvars.json

clean:  ## Delete the environments, caches, and build output; keep the studio's data
	rm -rf .venvs build .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

reset:  ## Delete the studio's data: pictures, jobs, accounts, keys (asks first; FORCE=1 does not)
	@$(PYTHON) -m local.reset $(if $(FORCE),--yes)
