# `make` alone lists all targets. PORT=8502 and ATELIER_HOME=/some/folder make a second studio beside the first.

PYTHON ?= python3
STUDIO := .venvs/studio/bin/python
INFERENCE := .venvs/inference/bin/python
# The studio's tests wait for browsers and processes more than they compute, so three runs share two cores. A file's tests
# stay together, so that what they share is started once; the longest stories come first in the alphabet.
STUDIO_TESTS ?= -n 2 --dist loadfile --no-loadscope-reorder
INFERENCE_TESTS ?=
BOTH = $(STUDIO) -m tests.side_by_side --studio="$(STUDIO_TESTS)" --inference="$(INFERENCE_TESTS)" --durations=25
PYTEST_ARGS ?=

# One line that says what is missing, where the shell would only say "not found". bootstrap.py checks the version.
BOOTSTRAP = @command -v $(PYTHON) >/dev/null || { echo "atelier: Python 3.11 is needed and was not found: \
apt install python3.11 python3.11-venv, or make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }; \
	$(PYTHON) local/bootstrap.py

.DEFAULT_GOAL := help
.PHONY: help run test test-slow test-all test-studio test-inference check bench tour model-package jumpstart clean repair reset

help:  ## Show this list
	@echo "make targets:"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1|\2/' | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'
	@echo "variables: PORT (8501), ATELIER_HOME (.atelier), MODEL, JUMPSTART_ID, REGION, PYTEST_ARGS, PYTHON (python3)"

run:  ## Start the whole studio on this machine and print how to sign in; Ctrl-C stops it
	$(BOOTSTRAP) && exec $(STUDIO) -m local.run --leash

test:  ## Run all but the slow tests, of both environments side by side (COVERAGE=1: what of each package they ran)
	$(BOOTSTRAP) --dev --browser
	rm -rf build/coverage && mkdir -p build/coverage
	$(BOTH) -m "not slow and not rare" $(if $(COVERAGE),--cov --cov-report=) $(PYTEST_ARGS); code=$$?; \
		$(if $(COVERAGE),$(STUDIO) -m tests.coverage_by_package;) exit $$code

test-slow:  ## The slow and rare ones: training, the image build, whole studios, the long tours
	$(BOOTSTRAP) --dev --browser
	$(BOTH) -m slow $(PYTEST_ARGS)

test-all:  ## Every test there is
	$(BOOTSTRAP) --dev --browser
	$(BOTH) $(PYTEST_ARGS)

test-studio:  ## Run all tests except the model's
	$(BOOTSTRAP) --dev --browser
	$(STUDIO) -m pytest $(STUDIO_TESTS) --ignore=tests/inference $(PYTEST_ARGS)

test-inference:  ## Run the model server's tests in its own environment
	$(BOOTSTRAP) --dev
	$(INFERENCE) -m pytest $(INFERENCE_TESTS) tests/inference $(PYTEST_ARGS)

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

repair:  ## Go on without what is damaged in the studio's data (asks first; FORCE=1 does not)
	@$(PYTHON) -m local.repair $(if $(FORCE),--yes)

reset:  ## Delete the studio's data: pictures, jobs, accounts, keys (asks first; FORCE=1 does not)
	@$(PYTHON) -m local.reset $(if $(FORCE),--yes)
