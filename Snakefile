# The order of the notebooks and the grid of their jobs; nothing is computed here.
# Run through `make book`, or by hand: snakemake --cores 2 --config profile=quick
# On a cluster: make book ENGINE=slurm, see notebooks/profiles/slurm.yml. `resources` are what a job asks for there.
import sys

from braintune.workflow.book import build
from braintune.workflow import cost
from braintune.workflow.fingerprints import fingerprints
from braintune.workflow.jobs import executed_notebook, make_job, parse_job, participants
from braintune.core.study import Study

PYTHON = sys.executable
PROFILE = config.get("profile", "quick")
RUN = Study.load(PROFILE)
STAMPS = fingerprints(RUN)
# A job ends soon after Snakemake does, however that ends (see `end_with_parent`).
JOB = "export BRAINTUNE_PARENT=$PPID; exec {PYTHON:q} -m braintune "
EXECUTE = JOB + "execute {PROFILE:q} "
GPU_STEPS = config.get("gpu_steps", "").split(",")
TUNING_FILES = ("weights.safetensors", "metrics.json", "history.parquet")


def notebook(step, **wildcards):
    return str(executed_notebook(RUN, make_job(step, **wildcards)))


def all_of(step):
    return [str(executed_notebook(RUN, job)) for job in STAMPS if job.step == step]


def stamp(step):
    """The fingerprint of the job that a rule's wildcards name."""
    return lambda wildcards: STAMPS[parse_job(step, dict(wildcards.items()))]


def asks(step, what):
    """Memory or minutes that a rule's job asks a cluster for: what the model of cost says, and more at every attempt."""
    return lambda wildcards, attempt: attempt * cost.request(
        RUN, parse_job(step, dict(wildcards.items())), gpu=step in GPU_STEPS
    )[what]


# The pages are written where the command was given: it takes a minute, and it tells the verdicts on the terminal.
localrules:
    all,
    book,


wildcard_constraints:
    task="|".join(RUN.tasks),
    method="|".join(RUN.methods),
    seed=r"\d+",
    brain="|".join(RUN.brains),
    participant="[^/]+",


rule all:
    input:
        str(RUN.book_page),


rule tuning:
    output:
        [str(RUN.tuning_folder("{task}", "{method}", "{seed}") / name) for name in TUNING_FILES],
        notebook("tuning", task="{task}", method="{method}", seed="{seed}"),
    params:
        fingerprint=stamp("tuning"),
    threads: RUN.threads
    resources:
        mem_mb=asks("tuning", "mem_mb"),
        runtime=asks("tuning", "runtime"),
    shell:
        EXECUTE + "tuning task={wildcards.task} method={wildcards.method} seed={wildcards.seed}"


rule embeddings:
    input:
        all_of("tuning"),
    output:
        directory(str(RUN.folder / "embeddings" / "{brain}")),
        notebook("embeddings", brain="{brain}"),
    params:
        fingerprint=stamp("embeddings"),
    threads: RUN.threads
    resources:
        mem_mb=asks("embeddings", "mem_mb"),
        runtime=asks("embeddings", "runtime"),
    shell:
        EXECUTE + "embeddings brain={wildcards.brain}"


rule decoding:
    input:
        notebook("embeddings", brain="{brain}"),
    output:
        str(RUN.decoding_file("{brain}", "{participant}")),
        str(RUN.null_file("{brain}", "{participant}")),
        notebook("decoding", brain="{brain}", participant="{participant}"),
    params:
        fingerprint=stamp("decoding"),
    threads: RUN.threads
    resources:
        mem_mb=asks("decoding", "mem_mb"),
        runtime=asks("decoding", "runtime"),
    shell:
        EXECUTE + "decoding brain={wildcards.brain} participant={wildcards.participant:q}"


rule rsa:
    input:
        notebook("embeddings", brain="{brain}"),
    output:
        directory(str(RUN.folder / "rsa" / "{brain}")),
        notebook("rsa", brain="{brain}"),
    params:
        fingerprint=stamp("rsa"),
    threads: RUN.threads
    resources:
        mem_mb=asks("rsa", "mem_mb"),
        runtime=asks("rsa", "runtime"),
    shell:
        EXECUTE + "rsa brain={wildcards.brain}"


rule figures:
    input:
        all_of("tuning"),
        all_of("decoding"),
        all_of("rsa"),
        [str(RUN.decoding_file(b, p)) for b in RUN.brains for p in participants(RUN, b)],
    output:
        directory(str(RUN.folder / "figures")),
        str(RUN.folder / "claims.json"),
        str(RUN.folder / "results.json"),
        notebook("figures"),
    params:
        fingerprint=stamp("figures"),
    resources:
        mem_mb=asks("figures", "mem_mb"),
        runtime=asks("figures", "runtime"),
    shell:
        EXECUTE + "figures"


rule book:
    input:
        notebook("figures"),
        str(RUN.folder / "claims.json"),
        str(RUN.folder / "results.json"),
        all_of("embeddings"),
        build.sources(),
    output:
        str(RUN.book_page),
    params:
        fingerprint=stamp("figures"),
    shell:
        JOB + "book {PROFILE:q}"
