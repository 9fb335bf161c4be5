"""The ledger: each claim of the paper, its test, and the verdict of the run at hand, one brain data set at a time.

A verdict is `supported`, `not supported` or `inconclusive`. That nothing is significant supports nothing: a claim of
"no worse" is supported by non-inferiority only, and only where something is decoded at all, since where both methods
are at chance neither can be worse. What cannot be tested is inconclusive, and its sentence says why. Level and margin
are the profile's (`fdr`, `margin`). Claims are judged in each brain's main region, unless a claim names more, and on
grouped folds where groups exist. What varies are participants (or tasks); the tuned models are taken as they are.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from braintune.core import store
from braintune.core.study import Study
from braintune.datasets.brains.registry import is_simulated
from braintune.results import statistics, tables
from braintune.results.statistics import Finding
from braintune.results.tables import ARMS

SUPPORTED, NOT_SUPPORTED, INCONCLUSIVE = "supported", "not supported", "inconclusive"
#: The tasks that the paper calls fine-grained in meaning, and the shallow one that it sets against them.
CONCEPT, FORM = ("wsd", "coreference"), "chunking"


@dataclass(frozen=True)
class Evidence:
    """What one brain data set says, ready to be tested.

    Attributes
    ----------
    run : Study
    brain : str
    scores : DataFrame
        Finite scores of the tuned representations, one row a participant, region, task, method and seed, in the
        design that claims are judged on.
    region, design : str
        The main region and that design.
    closeness, gain : DataFrames of tasks × methods
        Spearman similarity to the untuned model, and the task score as a part of the way from the trivial baseline
        to a perfect score; means over seeds, rows complete.
    low, high : DataFrames of tasks × methods
        The bounds of that similarity when passages are drawn anew; empty without a bootstrap.
    """

    run: Study
    brain: str
    scores: pd.DataFrame
    region: str
    design: str
    closeness: pd.DataFrame
    gain: pd.DataFrame
    low: pd.DataFrame
    high: pd.DataFrame

    @cached_property
    def cells(self) -> pd.DataFrame:
        """Scores averaged over seeds: one row a participant, region, task and method."""
        keys = ["participant", "region", "task", "method"]
        return self.scores.groupby(keys, sort=False)["pairwise"].mean().reset_index()

    @cached_property
    def main(self) -> pd.DataFrame:
        """The cells of the main region."""
        return self.cells[self.cells["region"] == self.region]

    @cached_property
    def above(self) -> list[str]:
        """The regions above chance, mean over tasks and methods, at the false-discovery rate over regions."""
        means = self.cells.groupby(["region", "participant"], sort=False)["pairwise"].mean()
        p = {region: statistics.above(values, tables.CHANCE) for region, values in means.groupby("region", sort=False)}
        return [region for region, q in zip(p, statistics.fdr(list(p.values())), strict=True) if q < self.run.fdr]

    @cached_property
    def decoding(self) -> pd.DataFrame:
        """Accuracy in the main region, mean over participants, tasks × methods."""
        return _wide(self.main, "pairwise")


@dataclass(frozen=True)
class Verdict:
    """The verdict on one claim for one brain data set.

    Attributes
    ----------
    claim, brain : str
    verdict : {"supported", "not supported", "inconclusive"}
    finding : braintune.results.statistics.Finding
        Effect with its interval, and the test that decides.
    measure : str
        What the effect is, in words.
    detectable : float or None
        Smallest effect that such a test would find with a probability of 80 %.
    power : float or None
        Probability of finding a difference as large as the margin.
    sentence : str
        Why, in words.
    """

    claim: str
    brain: str
    verdict: str
    finding: Finding
    measure: str
    sentence: str
    detectable: float | None = None
    power: float | None = None


@dataclass(frozen=True)
class Claim:
    """One claim of the paper.

    Attributes
    ----------
    paper : str
        What the paper claims.
    test : str
        How it is tested here.
    rule : str
        When it is supported, when not; everything else is inconclusive.
    judge : function of Evidence
        Returns (verdict, finding, measure, sentence, detectable, power).
    exploratory : bool
        Whether the paper only asks, or it is our own question.
    """

    paper: str
    test: str
    rule: str
    judge: Callable[[Evidence], tuple]
    exploratory: bool = False


# --- evidence ----------------------------------------------------------------------------------------------------


def evidence(run: Study, brain: str, at_layer: pd.DataFrame, closeness: pd.DataFrame, tuned: pd.DataFrame) -> Evidence:
    """Choose from the tables of a run what the claims are judged on for one brain data set.

    Parameters
    ----------
    run : Study
    brain : str
    at_layer : DataFrame
        Scores at the analysis layer, from :func:`braintune.results.tables.scores`.
    closeness : DataFrame
        Rows of the RSA table ``untuned`` at the analysis layer.
    tuned : DataFrame
        Metrics of the tuning runs, from :func:`braintune.models.tuning.tuning_table`.
    """
    here = at_layer[at_layer["brain"] == brain]
    design = tables.main_design(here["folds"])
    rows = here[(here["folds"] == design) & here["method"].isin(ARMS) & np.isfinite(here["pairwise"])]
    close = closeness[(closeness["brain"] == brain) & np.isfinite(closeness["spearman"])]
    return Evidence(
        run, brain, rows, tables.main_region(list(here["region"].unique())), design,
        _wide(close, "spearman"), _wide(tables.gain(tuned), "gain"),
        _wide(close, "low"), _wide(close, "high"),
    )  # fmt: skip


def _wide(rows: pd.DataFrame, values: str) -> pd.DataFrame:
    """Return tasks × methods (those of the two arms that there are), complete rows only."""
    rows = rows[rows["method"].isin(ARMS)]
    wide = rows.pivot_table(index="task", columns="method", values=values, sort=False)
    return wide[[method for method in ARMS if method in wide]].dropna()


def pairs(cells: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Return both arms' scores by `by` and participant, mean over the tasks that a participant has from both."""
    keys = list(dict.fromkeys([*by, "participant", "task"]))
    wide = cells.pivot_table(index=keys, columns="method", values="pairwise", sort=False)
    both = wide.reindex(columns=list(ARMS)).dropna().reset_index()
    return both.groupby([*by, "participant"], sort=False)[list(ARMS)].mean()


def comparisons(cells: pd.DataFrame, by: Sequence[str], run: Study) -> pd.DataFrame:
    """Compare prompt-tuned with fine-tuned accuracy in every group of cells, paired over participants.

    Parameters
    ----------
    cells : DataFrame
        One row a participant, region, task and method.
    by : sequence of str
        What makes a group: ``region``, ``task``, or both.
    run : Study
        Its `margin` and `fdr`.

    Returns
    -------
    DataFrame
        One row a group: `difference` (prompt-tuned minus fine-tuned), its interval `low` … `high`, `p` (two-sided),
        `q` (false-discovery rate over the groups), `p_margin` (non-inferiority), `p_equivalent`, `detectable`,
        `power` (at the margin) and `n` participants. Untestable values are NaN.
    """
    pair = pairs(cells, by)
    wide = (pair["prompt-tuned"] - pair["fine-tuned"]).unstack("participant", sort=False)
    found = statistics.paired_family(wide.to_numpy(), run.margin, run.fdr)
    return pd.concat([wide.index.to_frame(index=False), found], axis=1)


# --- the rules ---------------------------------------------------------------------------------------------------


def no_task_worse(e: Evidence) -> tuple:
    """Judge C1: on no task does fine-tuning significantly outperform prompt-tuning."""
    cells = comparisons(e.cells, ["task", "region"], e.run)
    main = cells[cells["region"] == e.region]
    if main.empty:
        return _cannot("no task was tuned by both methods", "lowest task")
    worse = cells[(cells["q"] < e.run.fdr) & (cells["difference"] < 0)]
    if len(worse):
        named = ", ".join(f"{row.task} in {row.region} ({row.difference:+.3f})" for row in worse.itertuples())
        told = f"Fine-tuning is significantly better on {named}: {len(worse)} of {len(cells)} task × region cells."
        return NOT_SUPPORTED, *_lowest(worse, "task", "q"), told, *_power(main)
    told = f"Fine-tuning is significantly better in none of {len(cells)} task × region cells (q < {e.run.fdr:g})"
    unsure = [task for task in e.main["task"].unique() if task not in _shown(main, "task", e.run)]
    effect, power = _lowest(main, "task", "p_margin"), _power(main)
    if unsure:
        told += (
            f", but that it is at most {e.run.margin:g} better is not shown for {', '.join(unsure)}{_untested(main)}."
        )
        return INCONCLUSIVE, *effect, told, *power
    if e.region not in e.above:
        return (
            INCONCLUSIVE,
            *effect,
            f"{told}, but {e.region} is not above chance, where no method can be better.",
            *power,
        )
    told += f", and in {e.region} it is at most {e.run.margin:g} better on each of the {len(main)} tasks."
    return SUPPORTED, *effect, told, *power


def no_region_worse(e: Evidence) -> tuple:
    """Judge C2: prompt-tuning matches or exceeds fine-tuning in every network and region."""
    cells = comparisons(e.cells, ["region"], e.run)
    if cells.empty:
        return _cannot("no task was tuned by both methods", "lowest region")
    shown = _shown(cells, "region", e.run)
    worse = cells[~cells["region"].isin(shown) & (cells["q"] < e.run.fdr) & (cells["difference"] < 0)]
    if len(worse):
        named = ", ".join(f"{row.region} ({row.difference:+.3f})" for row in worse.itertuples())
        told = f"Fine-tuning is significantly better in {named} (q < {e.run.fdr:g} over {len(cells)} regions)."
        return NOT_SUPPORTED, *_lowest(worse, "region", "q"), told, *_power(cells)
    decoded = cells[cells["region"].isin(e.above)]
    silent = [region for region in e.cells["region"].unique() if region not in e.above]
    aside = f" Not above chance, and so without a say: {', '.join(silent)}." if silent else ""
    if decoded.empty:
        told = f"No region is above chance, and where nothing is decoded no method can be better{_untested(cells)}."
        return INCONCLUSIVE, *_lowest(cells, "region", "p_margin"), told, *_power(cells)
    unsure = [region for region in e.above if region not in shown]
    effect, power = _lowest(decoded, "region", "p_margin"), _power(decoded)
    if unsure:
        told = f"That fine-tuning is at most {e.run.margin:g} better is not shown for {', '.join(unsure)}"
        return INCONCLUSIVE, *effect, f"{told}{_untested(decoded)}.{aside}", *power
    told = f"Fine-tuning is at most {e.run.margin:g} better in every region above chance: {', '.join(e.above)}.{aside}"
    return SUPPORTED, *effect, told, *power


def concept_over_form(e: Evidence) -> tuple:
    """Judge C3: concept-level tasks decode better than chunking."""
    wide = e.main.pivot_table(index=["participant", "method"], columns="task", values="pairwise", sort=False)
    concept = [task for task in CONCEPT if task in wide]
    measure = f"{' and '.join(concept or CONCEPT)} minus {FORM}"
    if not concept or FORM not in wide:
        return _cannot(f"it takes {FORM} and one of {', '.join(CONCEPT)} among the tasks of the profile", measure)
    both = wide[[*concept, FORM]].dropna().groupby("participant").mean()
    if both.empty:
        return _cannot("no participant has scores of all of them", measure)
    meaning, form = both[concept].mean(axis=1).to_numpy(), both[FORM].to_numpy()
    found = statistics.paired_difference(meaning, form, e.run.fdr)
    verdict = INCONCLUSIVE
    if found.p is not None and found.p < e.run.fdr and found.estimate > 0:
        verdict = SUPPORTED
    elif e.region in e.above and statistics.non_inferiority(form, meaning, e.run.margin, e.run.fdr).shown:
        verdict = NOT_SUPPORTED
    told = {
        SUPPORTED: "Concept-level tasks decode better",
        NOT_SUPPORTED: f"Concept-level tasks decode less than {e.run.margin:g} better, or worse",
        INCONCLUSIVE: f"Neither an advantage of concept-level tasks is shown nor that it is below {e.run.margin:g}",
    }[verdict]
    power = statistics.power_at(meaning - form, e.run.margin, e.run.fdr)
    return (
        verdict,
        found,
        measure,
        f"{told}: {found.sentence}",
        statistics.smallest_detectable(meaning - form, e.run.fdr),
        power,
    )


def closer_to_untuned(e: Evidence) -> tuple:
    """Judge C4: prompt-tuned representations stay closer to the untuned model."""
    measure = "prompt-tuned minus fine-tuned, Spearman RSA"
    if not set(ARMS) <= set(e.closeness) or e.closeness.empty:
        return _cannot("no task was tuned by both methods", measure)
    prompt, fine = e.closeness["prompt-tuned"].to_numpy(), e.closeness["fine-tuned"].to_numpy()
    found = statistics.paired_difference(prompt, fine, e.run.fdr, "tasks")
    verdict = _by_sign(found, e.run.fdr)
    told = {
        SUPPORTED: "Prompt-tuned representations stay closer",
        NOT_SUPPORTED: "Fine-tuned representations stay closer",
        INCONCLUSIVE: "Which method stays closer is not shown",
    }[verdict]
    return (
        verdict,
        found,
        measure,
        f"{told}: {found.sentence}",
        statistics.smallest_detectable(prompt - fine, e.run.fdr),
        None,
    )


def closeness_predicts(e: Evidence) -> tuple:
    """Judge C5: closeness to the untuned model predicts decoding across task × method."""
    return _predicts(e, e.closeness)


def score_predicts(e: Evidence) -> tuple:
    """Judge C6: the task score predicts decoding."""
    return _predicts(e, e.gain)


def _predicts(e: Evidence, x: pd.DataFrame) -> tuple:
    """Relate a property of the tuned models, tasks × methods, to their accuracy in the main region."""
    measure = "rank correlation"
    methods = [method for method in ARMS if method in x and method in e.decoding]
    tasks = [task for task in x.index if task in e.decoding.index]
    if not methods or not tasks:
        return _cannot("no tuned representation has both values", measure)
    one, other = (table.loc[tasks, methods].to_numpy() for table in (x, e.decoding))
    found = statistics.association(one, other, e.run.fdr, e.run.fold_seed)
    if found.p is None:
        return INCONCLUSIVE, found, measure, f"It {found.sentence}", None, None
    verdict = _by_sign(found, e.run.fdr)
    told = {SUPPORTED: "It does", NOT_SUPPORTED: "The relation is the reverse", INCONCLUSIVE: "No relation is shown"}
    together = pd.Series(one.ravel()).corr(pd.Series(other.ravel()), method="spearman")
    raw = f" Over all {one.size} points, methods mixed, the rank correlation is {together:+.2f}."
    sentence = f"{told[verdict]}: {found.sentence}{raw if np.isfinite(together) else ''}"
    return verdict, found, measure, sentence, statistics.detectable_correlation(found.n, e.run.fdr), None


def _by_sign(found: Finding, alpha: float) -> str:
    if found.p is None or found.p >= alpha:
        return INCONCLUSIVE
    return SUPPORTED if found.estimate > 0 else NOT_SUPPORTED


def _shown(cells: pd.DataFrame, name: str, run: Study) -> list[str]:
    return cells.loc[cells["p_margin"] < run.fdr, name].tolist()


def _lowest(cells: pd.DataFrame, name: str, p: str) -> tuple[Finding, str]:
    """Return the group in which prompt-tuning does worst; its p-value is the largest of column `p` over the groups."""
    row = cells.loc[cells["difference"].idxmin()]
    largest = None if cells[p].isna().any() else float(cells[p].max())
    low, high = (_number(row[side]) for side in ("low", "high"))
    told = f"{row['difference']:+.3f} ({row[name]})"
    found = Finding(estimate=float(row["difference"]), low=low, high=high, p=largest, n=int(row["n"]), sentence=told)
    return found, f"prompt-tuned minus fine-tuned, lowest {name} ({row[name]})"


def _power(cells: pd.DataFrame) -> tuple[float | None, float | None]:
    """Return the power of the least powerful group: its smallest detectable difference, its power at the margin."""
    return _number(cells["detectable"].max()), _number(cells["power"].min())


def _untested(cells: pd.DataFrame) -> str:
    if cells["p_margin"].notna().any():
        return ""
    alone = cells["n"].max() < 2
    return f"; it cannot be tested: {'there is only one participant' if alone else 'the differences do not vary'}"


def _cannot(why: str, measure: str) -> tuple:
    sentence = f"It cannot be tested: {why}."
    return INCONCLUSIVE, Finding(estimate=None, n=0, sentence=sentence), measure, sentence, None, None


def _number(value: Any) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None


_MARGIN = "by the margin of the profile"
CLAIMS: dict[str, Claim] = {
    "C1": Claim(
        "On no task does fine-tuning significantly outperform prompt-tuning.",
        "Per task and region, prompt-tuned minus fine-tuned accuracy, paired t test over participants; "
        "false-discovery rate over tasks × regions; non-inferiority per task in the main region.",
        "Not supported if fine-tuning is significantly better for any task and region; supported if prompt-tuning is "
        f"non-inferior {_MARGIN} on every task in the main region, and that is above chance.",
        no_task_worse,
    ),
    "C2": Claim(
        "Prompt-tuning matches or exceeds fine-tuning in every network and region.",
        "Per region, mean over tasks, paired over participants: non-inferiority; false-discovery rate over regions.",
        f"Supported if prompt-tuning is non-inferior {_MARGIN} in every region above chance; not supported if in a "
        "region where that is not shown fine-tuning is significantly better.",
        no_region_worse,
    ),
    "C3": Claim(
        "Tasks about the meaning of concepts (word sense, coreference) decode better than chunking.",
        "Their mean accuracy minus that of chunking, mean over methods, paired t test over participants.",
        "Supported if significantly above 0; not supported if the advantage is shown to be below the margin in a "
        "region above chance.",
        concept_over_form,
    ),
    "C4": Claim(
        "Prompt-tuned representations stay closer to the untuned model.",
        "Spearman RSA with the untuned model, prompt-tuned minus fine-tuned, paired t test over tasks.",
        "Supported if significantly above 0; not supported if significantly below.",
        closer_to_untuned,
    ),
    "C5": Claim(
        "Closeness to the untuned model predicts decoding.",
        "Rank correlation over tasks within each method, mean over methods; whole tasks are permuted.",
        "Supported if significantly positive; not supported if significantly negative.",
        closeness_predicts,
    ),
    "C6": Claim(
        "Exploratory: a better task score goes with better decoding.",
        "As C5, with the task score as a part of the way from the trivial baseline to a perfect score.",
        "As C5.",
        score_predicts,
        exploratory=True,
    ),
}


# --- the ledger --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ledger:
    """All verdicts of a run, with what they rest on.

    Attributes
    ----------
    evidence : dict of str to Evidence
        By brain data set.
    verdicts : tuple of Verdict
    """

    evidence: dict[str, Evidence]
    verdicts: tuple[Verdict, ...]

    @property
    def run(self) -> Study:
        """The run that is judged."""
        return next(iter(self.evidence.values())).run

    def of(self, brain: str) -> list[Verdict]:
        """Return the verdicts of one brain data set."""
        return [verdict for verdict in self.verdicts if verdict.brain == brain]


def judge(run: Study, at_layer: pd.DataFrame, closeness: pd.DataFrame, tuned: pd.DataFrame) -> Ledger:
    """Judge every claim for every brain data set of a run; for the tables see :func:`evidence`."""
    found = {brain: evidence(run, brain, at_layer, closeness, tuned) for brain in run.brains}
    verdicts = tuple(_verdict(name, claim, e) for e in found.values() for name, claim in CLAIMS.items())
    return Ledger(found, verdicts)


def _verdict(name: str, claim: Claim, e: Evidence) -> Verdict:
    verdict, finding, measure, sentence, detectable, power = claim.judge(e)
    return Verdict(name, e.brain, verdict, finding, measure, sentence, detectable, power)


def ledger_file(run: Study) -> Path:
    """Return the path of the ledger, `claims.json` in the folder of a run."""
    return run.folder / "claims.json"


def write(run: Study, ledger: Ledger, signs: Sequence[Any] = ()) -> None:
    """Write the ledger and the failure signatures of a run as JSON."""
    brains = {
        brain: {
            "simulated": is_simulated(brain),
            "participants": int(e.scores["participant"].nunique()),
            "region": e.region,
            "folds": e.design,
            "claims": {v.claim: asdict(v) | {"claim": CLAIMS[v.claim].paper} for v in ledger.of(brain)},
            "also": background(e),
        }
        for brain, e in ledger.evidence.items()
    }
    settings = {"alpha": run.fdr, "margin": run.margin}
    store.write_json(ledger_file(run), settings | {"brains": brains, "signatures": [asdict(sign) for sign in signs]})


def _apart(e: Evidence) -> str:
    """Say on how many tasks the methods' closeness differs by more than the choice of passages explains."""
    prompt, fine = (int((e.low[one] > e.high[other]).sum()) for one, other in (ARMS[::-1], ARMS))
    return (
        "Closeness to the untuned model with passages (or stimuli) drawn anew: the intervals of the two methods are "
        f"apart on {prompt + fine} of {len(e.low)} tasks, with prompt-tuning closer on {prompt} and fine-tuning on "
        f"{fine}."
    )


def by_seed(e: Evidence) -> pd.DataFrame:
    """Return prompt-tuned minus fine-tuned accuracy, mean over tasks: participants × (region, seed), complete ones."""
    keys = ["participant", "region", "seed", "task"]
    wide = e.scores.pivot_table(index=keys, columns="method", values="pairwise").reindex(columns=list(ARMS)).dropna()
    difference = (wide["prompt-tuned"] - wide["fine-tuned"]).groupby(keys[:3]).mean()
    if difference.empty:
        return pd.DataFrame()
    return difference.unstack(["region", "seed"]).dropna(axis=1)  # regions that every participant has


def background(e: Evidence) -> list[str]:
    """Say what stands behind the verdicts: the mixed model, where the variance lies, and what the seeds add."""
    several = e.scores["seed"].nunique() > 1
    told = [statistics.mixed_model(e.cells, e.run.fdr).sentence]
    whole = by_seed(e)
    if len(whole):
        regions, seeds = (whole.columns.get_level_values(name).unique() for name in ("region", "seed"))
        complete = len(regions) * len(seeds) == whole.shape[1]
        cube = (
            whole.to_numpy().reshape(len(whole), len(regions), len(seeds)) if complete else np.full((1, 1, 1), np.nan)
        )
        told.append(statistics.variance_split(cube).sentence)
        if several and e.region in whole:
            told.append(statistics.crossed_mean(whole[e.region].to_numpy(), e.run.fdr).sentence)
    if set(ARMS) <= set(e.low) & set(e.high):
        told.append(_apart(e))
    if not several:
        told.append("Every model was tuned with one seed, so a difference includes the luck of single training runs.")
    return told
