"""Record the tables of a finished real run under `data/reference`, and draw its picture for the README."""

from pathlib import Path

import pandas as pd

from braintune.core import store
from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.datasets.brains.registry import is_simulated
from braintune.models import tuning
from braintune.results import claims, figures, tables
from braintune.results.recorded import FOLDER, keep, recorded
from braintune.workflow.fingerprints import fingerprints
from braintune.workflow.jobs import executed_notebook, stamp_of
from braintune.workflow.provenance import provenance

#: Permutations that are recorded.
PERMUTATIONS = 200


def keep_run(study: Study) -> Path:
    """Keep the small tables of a finished run as the recorded real one.

    Raises
    ------
    BraintuneError
        If a job of the run is missing or stale, or its brains are simulated.
    """
    if simulated := [name for name in study.brains if is_simulated(name)]:
        raise BraintuneError(
            f"profile {study.profile!r} decodes {simulated[0]!r}; what is recorded is a run on real brains"
        )
    for job, stamp in fingerprints(study).items():
        if job.step != "figures" and stamp_of(executed_notebook(study, job)) != stamp:
            raise BraintuneError(f"{job.label} is missing or stale; `make book PROFILE={study.profile}` makes it")
    decoded = tables.collect(study, "decoding")
    where = ["brain", "region", *tables.REPRESENTATION, "layer", "folds"]
    layers = decoded.groupby(where, sort=False, dropna=False)["pairwise"].mean().reset_index()
    metrics = ["task", "method", "seed", "metric", "score", "baseline", "bag_of_words", "parameters", "n_train"]
    metrics += ["n_test", "learning_rate", "epochs", "seconds"]
    found = {
        "scores": tables.scores(decoded, study),
        "null": small_null(study),
        "closeness": tables.at_analysis_layer(tables.collect(study, "untuned"), study),
        "tuned": tuning.tuning_table(study)[metrics],
        "layers": layers,
        "ceiling": tables.collect(study, "ceiling"),
    }
    return keep("real", found, provenance(study))


def small_null(study: Study) -> pd.DataFrame:
    """Return the scores with permuted labels, small enough to be kept: fewer permutations, rounded numbers."""
    null = tables.collect_null(study)
    null = null[null["permutation"] < PERMUTATIONS]
    return null.assign(**{name: null[name].astype("float32").round(4) for name in ("pairwise", "margin")})


def draw_picture() -> Path:
    """Draw the difference between the methods in the recorded real run, for whoever reads the README."""
    real = recorded()
    tests = claims.task_table(claims.judge(real))
    path = FOLDER / "real" / "difference.svg"
    with store.atomic(path) as temporary:
        figures.difference_by_task(tests, real.study.margin).savefig(temporary, format="svg", metadata={"Date": None})
    return path


def main(words: list[str]) -> None:
    """Record the run of one profile, and draw its picture."""
    if len(words) != 1:
        raise BraintuneError("which run? give one profile: python -m braintune record reference")
    print(f"recorded: {keep_run(Study.load(words[0]))}")
    print(f"drawn: {draw_picture()}")
