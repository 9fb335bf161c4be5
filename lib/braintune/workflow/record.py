"""Record the tables of finished runs on real brains under `data/reference`, and draw the picture for the README.

The recorded sets are the real run, task sequences, and variants of a run (:mod:`braintune.results.recorded`).
"""

from pathlib import Path

import pandas as pd

from braintune.core import store
from braintune.core.base import BraintuneError
from braintune.core.study import SWEEPS, Study
from braintune.core.sweep import Sweep
from braintune.datasets.brains.registry import is_simulated
from braintune.models import checkpoints
from braintune.results import claims, meta_analysis, score_figures, tables
from braintune.results.recorded import FOLDER, keep, mean_over_seeds, recorded
from braintune.workflow.fingerprints import comparison_is_current, fingerprints
from braintune.workflow.jobs import CONTINUAL, artefacts, executed_notebook, make_job, stamp_of
from braintune.workflow.provenance import provenance

#: The profile whose run is recorded.
PROFILE = "reference"


def keep_run(study: Study) -> Path:
    """Keep the small tables of a finished run of :data:`PROFILE`.

    Raises
    ------
    BraintuneError
        If it is the run of another profile, one of its jobs is missing or stale, or its brains are simulated.
    """
    if study.profile != PROFILE:
        raise BraintuneError(
            f"profile {study.profile!r} is not recorded; recorded are {PROFILE}, profiles with `orders`, and sweeps"
        )
    _require_finished(study, {"tuning", "embeddings", "decoding", "encoding", "rsa"})
    results = tables.read_results(study, checkpoints.tuning_table(study))
    metrics = ["task", "method", "seed", "metric", "score", "baseline", "bag_of_words", "parameters", "n_train"]
    metrics += ["n_test", "learning_rate", "epochs", "seconds"]
    found = {
        "scores": small(results.scores),
        "null": small(mean_over_seeds(results.null, results.scores)),
        "closeness": results.closeness,
        "groups": small(results.groups),
        "tuned": results.tuned[metrics],
    }
    return keep("real", found, provenance(study))


def keep_sequences(study: Study) -> Path:
    """Keep the tables of a finished run with `orders` as the recorded task sequences; faults as :func:`keep_run`."""
    _require_finished(study, {"tuning", "embeddings", CONTINUAL})
    (folder,) = artefacts(study, make_job(CONTINUAL))
    found = {file.stem: small(store.read_table(file)) for file in sorted(folder.glob("*.parquet"))}
    return keep("continual", found, provenance(study))


def keep_sweep(sweep: Sweep) -> Path:
    """Keep the tables that compare the variants of a finished sweep.

    Raises
    ------
    BraintuneError
        If the brains of the base are simulated, a variant was left out, or the comparison is missing or stale.
    """
    base = sweep.studies[sweep.base]
    _require_real(base)
    if sweep.missing:
        raise BraintuneError(f"{sweep.name}: left out: {', '.join(sweep.missing)}; a sweep is recorded as a whole")
    if not comparison_is_current(sweep, {}):
        raise BraintuneError(f"{sweep.name} is missing, stale or altered; `make sweep SWEEP={sweep.name}` makes it")
    found = {file.stem: small(store.read_table(file)) for file in sorted(sweep.folder.glob("*.parquet"))}
    return keep("ablation", found, provenance(base) | {"variants": sweep.differing})


def _require_real(study: Study) -> None:
    if simulated := [name for name in study.brains if is_simulated(name)]:
        raise BraintuneError(
            f"profile {study.profile!r} decodes {simulated[0]!r}, which is simulated; only a run on real brain data "
            "can be recorded: choose another profile"
        )


def _require_finished(study: Study, steps: set[str]) -> None:
    """Refuse simulated brains, and runs in which a job of one of these steps is missing or stale."""
    _require_real(study)
    for job, stamp in fingerprints(study).items():
        if job.step in steps and stamp_of(executed_notebook(study, job)) != stamp:
            raise BraintuneError(f"{job.label} is missing or stale; `make book PROFILE={study.profile}` makes it")


def small(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table small enough to be kept: scores rounded to four digits."""
    return table.assign(**{name: table[name].astype("float32").round(4) for name in table.select_dtypes("float")})


def draw_picture() -> Path:
    """Draw the answer of the recorded real run, for whoever reads the README."""
    real = recorded()
    answers = meta_analysis.answer_table(claims.judge(real))
    path = FOLDER / "real" / "answer.svg"
    with store.atomic(path) as temporary:
        score_figures.forest(answers, real.study.margin).savefig(
            temporary, format="svg", bbox_inches="tight", metadata={"Date": None}
        )
    return path


def main(words: list[str]) -> None:
    """Record a run: the comparison of a sweep, the sequences of a profile with `orders`, or scores with a picture."""
    if len(words) != 1:
        raise BraintuneError("which run? give one profile or sweep: python -m braintune record reference")
    if (SWEEPS / f"{words[0]}.yml").is_file():
        print(f"recorded: {keep_sweep(Sweep.load(words[0]))}")
    elif (study := Study.load(words[0])).orders:
        print(f"recorded: {keep_sequences(study)}")
    else:
        print(f"recorded: {keep_run(study)}")
        print(f"drawn: {draw_picture()}")
