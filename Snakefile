# The order of the notebooks and the grid of their jobs; nothing is computed here.
# `make book` (python -m braintune run PROFILE) lists the jobs that are not up to date, by their stamped fingerprints.
# What the others have made is `ancient`: dates of files, which a copied folder does not keep, decide nothing.
# On a cluster: make book ENGINE=slurm, see notebooks/profiles/slurm.yml. `resources` are what a job asks for there.
import sys
from pathlib import Path

from braintune.core.store import read_json
from braintune.core.study import Study
from braintune.workflow import run
from braintune.workflow.jobs import all_jobs, executed_notebook, make_job

PYTHON = sys.executable
# It lies in the folder of the run, where Snakemake works; `--config` would read signs in a path as YAML.
PLAN = read_json(Path(run.PLAN))
PROFILE = PLAN["profile"]
STUDY = Study.load(PROFILE)
JOBS = all_jobs(STUDY)
STALE = set(PLAN["stale"])
# A job ends soon after Snakemake does, however that ends (see `end_with_parent`).
JOB = "export BRAINTUNE_PARENT=$PPID; exec {PYTHON:q} -m braintune "
EXECUTE = JOB + "execute {PROFILE:q} "
# Every path is relative to the folder of the run.
MODEL = run.in_folder(STUDY, STUDY.root / "models") + "/{task}/{method}/{fingerprint}/seed-{seed}"
PAGES = "notebooks"
BOOK = run.in_folder(STUDY, STUDY.book_page)
# Memory (MB) and minutes that a job of a step asks a cluster for; twice and three times as much when it is tried again.
ASKS = {"tuning": (8000, 240), "embeddings": (8000, 120), "decoding": (8000, 120), "encoding": (8000, 240), "rsa": (8000, 120), "figures": (4000, 30)}


def pages(step, **own):
    """The executed notebooks of a step, or the one of its job with these parameters."""
    wanted = [make_job(step, **own)] if own else [job for job in JOBS if job.step == step]
    files = [run.in_folder(STUDY, executed_notebook(STUDY, job)) for job in wanted]
    return [file if file in STALE else ancient(file) for file in files]


def memory(step):
    return lambda wildcards, attempt: attempt * ASKS[step][0]


def minutes(step):
    return lambda wildcards, attempt: attempt * ASKS[step][1]


# The pages are written where the command was given: it takes a minute, and it prints the verdicts on the terminal.
localrules:
    all,
    book,


wildcard_constraints:
    task="|".join(STUDY.tasks),
    method="|".join(STUDY.methods),
    fingerprint="[0-9a-f]{16}",
    seed=r"\d+",
    brain="|".join(STUDY.brains),
    participant="[^/]+",


rule all:
    input:
        BOOK,


rule tuning:
    output:
        f"{MODEL}/tuning.ipynb",  # alone: Snakemake deletes what it lists before it runs a job, and a model may be whole
    benchmark:
        f"{MODEL}/tuning.benchmark.tsv"
    threads: STUDY.threads
    resources:
        mem_mb=memory("tuning"),
        runtime=minutes("tuning"),
    shell:
        EXECUTE + "tuning task={wildcards.task} method={wildcards.method} seed={wildcards.seed}"


rule embeddings:
    input:
        pages("tuning"),
    output:
        directory("embeddings/{brain}"),
        f"{PAGES}/embeddings/{{brain}}.ipynb",
    benchmark:
        f"{PAGES}/embeddings/{{brain}}.benchmark.tsv"
    threads: STUDY.threads
    resources:
        mem_mb=memory("embeddings"),
        runtime=minutes("embeddings"),
    shell:
        EXECUTE + "embeddings brain={wildcards.brain}"


rule decoding:
    input:
        lambda wildcards: pages("embeddings", brain=wildcards.brain),
    output:
        run.in_folder(STUDY, STUDY.decoding_file("{brain}", "{participant}")),
        run.in_folder(STUDY, STUDY.null_file("{brain}", "{participant}")),
        run.in_folder(STUDY, STUDY.groups_file("{brain}", "{participant}")),
        f"{PAGES}/decoding/{{brain}}_{{participant}}.ipynb",
    benchmark:
        f"{PAGES}/decoding/{{brain}}_{{participant}}.benchmark.tsv"
    threads: STUDY.threads
    resources:
        mem_mb=memory("decoding"),
        runtime=minutes("decoding"),
    shell:
        EXECUTE + "decoding brain={wildcards.brain} participant={wildcards.participant:q}"


rule encoding:
    input:
        lambda wildcards: pages("embeddings", brain=wildcards.brain),
    output:
        directory("encoding/{brain}"),
        f"{PAGES}/encoding/{{brain}}.ipynb",
    benchmark:
        f"{PAGES}/encoding/{{brain}}.benchmark.tsv"
    threads: STUDY.threads
    resources:
        mem_mb=memory("encoding"),
        runtime=minutes("encoding"),
    shell:
        EXECUTE + "encoding brain={wildcards.brain}"


rule rsa:
    input:
        lambda wildcards: pages("embeddings", brain=wildcards.brain),
    output:
        directory("rsa/{brain}"),
        f"{PAGES}/rsa/{{brain}}.ipynb",
    benchmark:
        f"{PAGES}/rsa/{{brain}}.benchmark.tsv"
    threads: STUDY.threads
    resources:
        mem_mb=memory("rsa"),
        runtime=minutes("rsa"),
    shell:
        EXECUTE + "rsa brain={wildcards.brain}"


rule figures:
    input:
        pages("tuning"),
        pages("decoding"),
        pages("encoding"),
        pages("rsa"),
    output:
        directory("figures"),
        "claims.json",
        "results.json",
        f"{PAGES}/figures.ipynb",
    benchmark:
        f"{PAGES}/figures.benchmark.tsv"
    resources:
        mem_mb=memory("figures"),
        runtime=minutes("figures"),
    shell:
        EXECUTE + "figures"


rule book:
    input:
        pages("figures"),
        pages("embeddings"),
    output:
        BOOK,
    shell:
        JOB + "book {PROFILE:q}"
