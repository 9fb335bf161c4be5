# The order of the notebooks and the grid of their jobs; nothing is computed here.
# `make book` (python -m braintune run PROFILE) lists the jobs that are not up to date, by their stamped fingerprints.
# What the others have made is `ancient`: dates of files, which a copied folder does not keep, decide nothing.
# On a cluster: make book ENGINE=slurm, see notebooks/profiles/slurm.yml. `resources` are what a job asks for there.
import re
import sys
from functools import cache
from pathlib import Path

from braintune.core.store import read_json
from braintune.core.study import Study
from braintune.models import sequences
from braintune.workflow import run
from braintune.workflow.jobs import all_jobs, executed_notebook, make_job

PYTHON = sys.executable
# It lies in the folder of the run or the sweep, where Snakemake works; `--config` would read signs in a path as YAML.
PLAN = read_json(Path(run.PLAN))
HERE = Path.cwd()
# Folder of a run, relative to here and with a slash → its profile. That of a single run is here, and so empty.
PROFILES = PLAN["runs"]
STUDIES = {folder: Study.load(profile) for folder, profile in PROFILES.items()}
ONE, *_ = STUDIES.values()
THREADS = max(study.threads for study in STUDIES.values())
JOBS = {folder: all_jobs(study) for folder, study in STUDIES.items()}
STALE = set(PLAN["stale"])
# A job ends soon after Snakemake does, however that ends (see `end_with_parent`).
JOB = "export BRAINTUNE_PARENT=$PPID; exec {PYTHON:q} -m braintune "
EXECUTE = JOB + "execute {params.profile:q} "
MODEL = run.in_folder(HERE, ONE.root / "models") + "/{task}/{method}/{fingerprint}/seed-{seed}"
PAGES = "{run}notebooks"
# What all runs show of the recorded results.
RECORDED, SUPPLEMENT = (run.in_folder(HERE, ONE.shown_folder(source)) for source in ("recorded", "supplement"))
# What the job of a sequence leaves at last; the folder has its fingerprint, so that it is there only if it is up to date.
LEARNED = "{run}continual/order-{order}/{method}/{fingerprint}/seed-{seed}/stage-{last}/metrics.json"
# Memory (MB) and minutes that a job of a step asks a cluster for; twice and three times as much when it is tried again.
ASKS = {"tuning": (8000, 240), "embeddings": (8000, 120), "decoding": (8000, 120), "encoding": (8000, 240), "rsa": (8000, 120), "figures": (4000, 30), "supplement": (4000, 30), "sequence": (8000, 600), "continual": (8000, 240)}


@cache
def notebooks(folder, step, **own):
    """The executed notebooks of a step in one run, or the one of its job with these parameters."""
    wanted = [make_job(step, **own)] if own else [job for job in JOBS[folder] if job.step == step]
    return [run.in_folder(HERE, executed_notebook(STUDIES[folder], job)) for job in wanted]


def fresh(files):
    return [file if file in STALE else ancient(file) for file in files]


def pages(step, *own):
    """The same as an input of a job of that run; `own` are the wildcards that name one job."""
    return lambda wildcards: fresh(notebooks(wildcards.run, step, **{name: wildcards[name] for name in own}))


def of_run(wildcards):
    return PROFILES[wildcards.run]


def of_model(wildcards):
    """A profile among those that share a model."""
    file = MODEL.format(**wildcards) + "/tuning.ipynb"
    return next(PROFILES[folder] for folder in JOBS if file in notebooks(folder, "tuning"))


def learned(wildcards):
    """The last stages of all sequences of a run. Their dates decide nothing."""
    study = STUDIES[wildcards.run]
    stages = [sequences.stage_folder(study, one, len(one.tasks) - 1) for one in sequences.sequences(study)]
    return [ancient(run.in_folder(HERE, stage / "metrics.json")) for stage in stages]


def any_of(name):
    """A pattern of the values of a parameter in all runs."""
    return "|".join(dict.fromkeys(value for study in STUDIES.values() for value in getattr(study, name)))


def memory(step):
    return lambda wildcards, attempt: attempt * ASKS[step][0]


def minutes(step):
    return lambda wildcards, attempt: attempt * ASKS[step][1]


# The pages are written where the command was given: it takes a minute, and it prints the verdicts on the terminal.
localrules:
    all,
    book,


wildcard_constraints:
    run=f"(?:{'|'.join(map(re.escape, PROFILES))})",
    task=any_of("tasks"),
    method=any_of("methods"),
    fingerprint="[0-9a-f]{16}",
    seed=r"\d+",
    brain=any_of("brains"),
    participant="[^/]+",
    order=r"\d+",
    last=r"\d+",


rule all:
    input:
        PLAN["page"],


rule tuning:
    output:
        f"{MODEL}/tuning.ipynb",  # alone: Snakemake deletes what it lists before it runs a job, and a model may be whole
    benchmark:
        f"{MODEL}/tuning.benchmark.tsv"
    params:
        profile=of_model,
    threads: THREADS
    resources:
        mem_mb=memory("tuning"),
        runtime=minutes("tuning"),
    shell:
        EXECUTE + "tuning task={wildcards.task} method={wildcards.method} seed={wildcards.seed}"


rule embeddings:
    input:
        pages("tuning"),
    output:
        directory("{run}embeddings/{brain}"),
        f"{PAGES}/embeddings/{{brain}}.ipynb",
    benchmark:
        f"{PAGES}/embeddings/{{brain}}.benchmark.tsv"
    params:
        profile=of_run,
    threads: THREADS
    resources:
        mem_mb=memory("embeddings"),
        runtime=minutes("embeddings"),
    shell:
        EXECUTE + "embeddings brain={wildcards.brain}"


rule decoding:
    input:
        pages("embeddings", "brain"),
    output:
        "{run}" + run.in_folder(ONE.folder, ONE.decoding_file("{brain}", "{participant}")),
        "{run}" + run.in_folder(ONE.folder, ONE.null_file("{brain}", "{participant}")),
        "{run}" + run.in_folder(ONE.folder, ONE.groups_file("{brain}", "{participant}")),
        f"{PAGES}/decoding/{{brain}}_{{participant}}.ipynb",
    benchmark:
        f"{PAGES}/decoding/{{brain}}_{{participant}}.benchmark.tsv"
    params:
        profile=of_run,
    threads: THREADS
    resources:
        mem_mb=memory("decoding"),
        runtime=minutes("decoding"),
    shell:
        EXECUTE + "decoding brain={wildcards.brain} participant={wildcards.participant:q}"


rule encoding:
    input:
        pages("embeddings", "brain"),
    output:
        directory("{run}encoding/{brain}"),
        f"{PAGES}/encoding/{{brain}}.ipynb",
    benchmark:
        f"{PAGES}/encoding/{{brain}}.benchmark.tsv"
    params:
        profile=of_run,
    priority: 1  # before decoding: it takes longest where there are many stimuli, and should not be left over at the end
    threads: THREADS
    resources:
        mem_mb=memory("encoding"),
        runtime=minutes("encoding"),
    shell:
        EXECUTE + "encoding brain={wildcards.brain}"


rule rsa:
    input:
        pages("embeddings", "brain"),
    output:
        directory("{run}rsa/{brain}"),
        f"{PAGES}/rsa/{{brain}}.ipynb",
    benchmark:
        f"{PAGES}/rsa/{{brain}}.benchmark.tsv"
    params:
        profile=of_run,
    threads: THREADS
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
        directory("{run}figures"),
        "{run}claims.json",
        "{run}results.json",
        f"{PAGES}/figures/run.ipynb",
    benchmark:
        f"{PAGES}/figures/run.benchmark.tsv"
    params:
        profile=of_run,
    resources:
        mem_mb=memory("figures"),
        runtime=minutes("figures"),
    shell:
        EXECUTE + "figures source=run"


rule recorded:
    output:
        update(f"{RECORDED}/figures.ipynb"),  # Snakemake deletes nothing that another run may be reading
    benchmark:
        f"{RECORDED}/figures.benchmark.tsv"
    params:
        profile=next(iter(PROFILES.values())),
    priority: 1  # real brains come first
    resources:
        mem_mb=memory("figures"),
        runtime=minutes("figures"),
    shell:
        EXECUTE + "figures source=recorded"


rule supplement:
    output:
        update(f"{SUPPLEMENT}/supplement.ipynb"),
    benchmark:
        f"{SUPPLEMENT}/supplement.benchmark.tsv"
    params:
        profile=next(iter(PROFILES.values())),
    resources:
        mem_mb=memory("supplement"),
        runtime=minutes("supplement"),
    shell:
        EXECUTE + "supplement"


rule sequence:
    input:
        lambda wildcards: [ancient(file) for file in notebooks(wildcards.run, "tuning")],
    output:
        LEARNED,
    benchmark:
        "{run}continual/order-{order}/{method}/{fingerprint}/seed-{seed}/stage-{last}/sequence.benchmark.tsv"
    params:
        profile=of_run,
    threads: THREADS
    resources:
        mem_mb=memory("sequence"),
        runtime=minutes("sequence"),
    shell:
        JOB + "learn {params.profile:q} {wildcards.order} {wildcards.method} {wildcards.seed}"


rule continual:
    input:
        pages("tuning"),
        pages("embeddings"),
        learned,
    output:
        directory("{run}continual/tables"),
        f"{PAGES}/continual.ipynb",
    benchmark:
        f"{PAGES}/continual.benchmark.tsv"
    params:
        profile=of_run,
    threads: THREADS
    resources:
        mem_mb=memory("continual"),
        runtime=minutes("continual"),
    shell:
        EXECUTE + "continual"


# The book of a run, or the page that compares the runs of a sweep.
rule book:
    input:
        [fresh(notebooks(folder, step)) for folder in STUDIES for step in ("figures", "supplement", "embeddings", "continual")],
    output:
        PLAN["page"],
    shell:
        JOB + "{PLAN[verb]} {PLAN[profile]:q}"
