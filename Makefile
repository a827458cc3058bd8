# Everything a contributor runs. `make` alone lists the targets. Only Python and make have to be there beforehand.

PYTHON ?= python3
# Three workers on two cores: tests wait for servers most of the time.
TEST_WORKERS ?= 3
ARGS ?=

BIN := .venv/bin
PY := $(BIN)/python
SOURCES := lfk tests bench training docs deploy
LOCKED := requirements/installer.txt requirements/install pyproject.toml
# Once the development tools are in, they stay in: `make demo` then refreshes that layer and takes nothing away.
LAYER = $(if $(wildcard .venv/.dev-installed),dev,demo)

export PYTHON

.DEFAULT_GOAL := help
.PHONY: help demo venv venv-demo test test-unit fuzz chaos soak latency bench bench-smoke bench-growth check format lock services train-aligner wheel release clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: venv-demo ## the whole pipeline on bundled speech; ARGS="talk.mp4" for a file of yours
	$(BIN)/lfk demo $(ARGS)

venv: .venv/.dev-installed ## the environment for development, in .venv

venv-demo: .venv/.$(LAYER)-installed

.venv/.demo-installed .venv/.dev-installed: .venv/.%-installed: requirements/%.txt $(LOCKED)
	requirements/install $*
	@rm -f .venv/.*-installed && touch $@

test: venv services ## all tests; servers come from LFK_TEST_*, Docker or local programs, else their tests are skipped
	$(PY) -m pytest -n $(TEST_WORKERS) --dist loadfile $(ARGS)

test-unit: venv ## the tests that need no server and no speech engine
	$(PY) -m pytest -m "not kafka and not s3 and not engine and not slow" tests/unit tests/contract $(ARGS)

SEED ?= $(shell date +%s)
COUNT ?= 5000

fuzz: venv ## hostile messages and media for as long as you like; SEED=7 repeats a run, COUNT=5000 is its size
	nice $(PY) -m tests.fuzz --seed $(SEED) --count $(COUNT)

check: venv ## formatting, lint, strict types, architecture
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

chaos: venv services ## the full chaos suite, hours of it; ARGS="-k zombie --seed 7" for single rows; writes docs/RELIABILITY.md's table
	$(PY) -m pytest tests/chaos --full -n0 -s $(ARGS)

format: venv ## format the code and fix what can be fixed
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

# The lock files hold for every Python from 3.10 and every platform. All obey dev.txt, so what is shipped is what was
# tested: demo.txt is `make demo`'s, build.txt builds the wheel, thin.txt and hub.txt are the images'.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url \
	--no-annotate --custom-compile-command "make lock" $(UPGRADE)
HUB = --override requirements/overrides.txt --extra hub --extra tiny-en --extra diarisation
PACKAGE = $(HUB) --group build

lock: venv ## compile requirements/*.txt anew; UPGRADE=--upgrade takes newer versions
	$(COMPILE) -o requirements/installer.txt requirements/installer.in
	$(COMPILE) $(PACKAGE) --extra avro --extra web --extra otel --group dev -o requirements/dev.txt pyproject.toml
	$(COMPILE) $(PACKAGE) -c requirements/dev.txt -o requirements/demo.txt pyproject.toml
	$(COMPILE) -c requirements/dev.txt --group pyproject.toml:build -o requirements/build.txt
	$(COMPILE) -c requirements/dev.txt --extra avro --extra web --extra otel -o requirements/thin.txt pyproject.toml
	$(COMPILE) -c requirements/dev.txt $(HUB) --extra avro --extra otel -o requirements/hub.txt pyproject.toml

services: venv ## fetch or build the servers that tests start, where no Docker engine serves them
	$(PY) -m tests.services

soak: venv services ## a day's work for one hub, compressed: is anything left that grows? ARGS="--canned 20000 --real 0"
	$(PY) -m bench.soak --json bench/results/soak.json $(ARGS)

bench: venv services ## lfk beside its rivals, about 40 minutes; ARGS="--case clips" for one; writes bench/RESULTS.md
	$(PY) -m bench.harness $(ARGS)

bench-growth: venv services ## how cost grows with jobs, length of audio and hubs: about 20 minutes
	$(PY) -m bench.harness --growth $(ARGS)

bench-smoke: venv services ## within 3 minutes: has anything clearly become slower than recorded?
	$(PY) -m bench.harness --smoke $(ARGS)

latency: venv services ## from the close of a file to its announcement, idle and under a backlog of bulk work
	$(PY) -m bench.latency --json bench/results/latency.json $(ARGS)

train-aligner: venv ## train models/aligner-en anew: about 40 minutes; needs Debian's libflite1 and libespeak-ng1
	$(BIN)/uv pip install --quiet --python $(PY) "pocketsphinx>=5,<6"
	nice -n 19 $(PY) -m training.aligner --out models/aligner-en

wheel: venv ## build the wheel into dist/
	$(BIN)/uv build --wheel --no-build-isolation --offline -o dist

RELEASE ?=

release: venv ## build and check a release; says what would be tagged, and tags only with RELEASE=v1.2.3
	$(PY) deploy/release.py $(if $(RELEASE),--tag $(RELEASE)) $(ARGS)

clean: ## remove what make has made here, .venv included
	rm -rf .venv dist build lfk-demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
