"""Record the tables of a finished real run under `data/reference`, and draw its picture for the README."""

from pathlib import Path

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


def keep_run(run: Study) -> Path:
    """Keep the small tables of a finished run as the recorded real one.

    Raises
    ------
    BraintuneError
        If a job of the run is missing or stale, or its brains are simulated.
    """
    if simulated := [name for name in run.brains if is_simulated(name)]:
        raise BraintuneError(
            f"profile {run.profile!r} decodes {simulated[0]!r}; what is recorded is a run on real brains"
        )
    for job, stamp in fingerprints(run).items():
        if job.step != "figures" and stamp_of(executed_notebook(run, job)) != stamp:
            raise BraintuneError(f"{job.label} is missing or stale; `make book PROFILE={run.profile}` makes it")
    decoded = tables.collect(run, "decoding")
    at_layer = tables.scores(decoded, run)
    where = ["brain", "region", "representation", "task", "method", "seed", "layer", "folds"]
    layers = decoded.groupby(where, sort=False, dropna=False)["pairwise"].mean().reset_index()
    metrics = ["task", "method", "seed", "metric", "score", "baseline", "bag_of_words", "parameters", "n_train"]
    metrics += ["n_test", "learning_rate", "epochs", "seconds"]
    found = {
        "at_layer": at_layer,
        "closeness": tables.at_analysis_layer(tables.collect(run, "untuned"), run),
        "tuned": tuning.tuning_table(run)[metrics],
        "null": tables.null_summary(at_layer, tables.collect(run, "null")),
        "layers": layers,
        "ceiling": tables.collect(run, "ceiling"),
    }
    return keep("real", found, provenance(run))


def draw_picture() -> Path:
    """Draw the difference between the methods in the recorded real run, for whoever reads the README."""
    real = recorded()
    tests = claims.task_table(claims.judge(real.run, real.at_layer, real.closeness, real.tuned))
    path = FOLDER / "real" / "difference.svg"
    with store.atomic(path) as temporary:
        figures.difference_by_task(tests, real.run.margin).savefig(temporary, format="svg", metadata={"Date": None})
    return path


def main(words: list[str]) -> None:
    """Record the run of one profile, and draw its picture."""
    if len(words) != 1:
        raise BraintuneError("which run? give one profile: python -m braintune record reference")
    print(f"recorded: {keep_run(Study.load(words[0]))}")
    print(f"drawn: {draw_picture()}")
