# make run · make test · make compose-test · make up · make down · make lint · make bench · make clean
# SOURCE=movielens chooses the data source, DATA_PATH=... its files, DAYS=3 how many days after the first.
PYTHON ?= python3.11
DAYS ?= 3
BENCH ?= speed.main_job
JOBS := .venv/jobs/bin/python
CODE := config.py $(wildcard storage data jobs models training search quality serving reports feature_repo dags local benchmarks)

ifdef SOURCE
export HEADWATER_SOURCE := $(SOURCE)
endif
ifdef DATA_PATH
export HEADWATER_DATA_PATH := $(abspath $(DATA_PATH))
endif
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run up down status test compose-test mutations lint bench clean install
.DEFAULT_GOAL := run

install:
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) not found; install Python 3.11, or make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) local/install.py

run: install  ## the next days of the log, through Airflow; servers stay up
	@$(JOBS) -m local run --days $(DAYS)

up: install  ## the servers alone
	@$(JOBS) -m local up

down:  ## stop the servers
	@test ! -x $(JOBS) || $(JOBS) -m local down

status:
	@$(JOBS) -m local status

test: install  ## everything, with one run of the DAG through a real scheduler; files on two processes
	@$(JOBS) -m pytest -n 2 --dist loadfile

compose-test: install  ## a day in containers, with kills: docs/containers.md
	@$(JOBS) -m tests.docker.compose_day

mutations: install  ## wrong lines that the tests must catch, each tried in a copy of the tree
	@$(JOBS) -m tests.mutations

lint: install
	@$(JOBS) -m ruff check .
	@$(JOBS) -m ruff format --check .
	@$(JOBS) -m mypy $(CODE)

bench: install  ## BENCH=name of a module below benchmarks/
	@$(JOBS) -m benchmarks.$(BENCH)

clean:  ## stop the servers and remove everything kept for the data source; the environments stay
	@test ! -x $(JOBS) || $(JOBS) -m local clean
