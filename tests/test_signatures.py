"""Every failure signature is found where it is planted, and nowhere else."""

import numpy as np
import pandas as pd
import pytest

from braintune import report, signatures
from braintune.study import Study

RUN = Study()
TASKS = ("ner", "wsd", "qa", "nli")


def results(level=0.65, participants=5, seed=0, tasks=TASKS):
    """Tables of a run in which nothing is wrong."""
    random = np.random.default_rng(seed)
    tuned = [(f"{t}_{m}_seed-0", t, m) for t in tasks for m in report.ARMS]
    everything = [("untuned", "", "untuned"), *tuned, ("passage", "", "control")]
    rows = [
        ("simulated", f"S{p}", region, name, task, method, 0, 2, design, fold, 10.0, False)
        for p in range(participants)
        for region in ("language", "visual")
        for name, task, method in everything
        for design in ("shuffled", "grouped")
        for fold in range(2)
    ]
    columns = ["brain", "participant", "region", "representation", "task", "method", "seed", "layer", "folds", "fold",
               "alpha", "alpha_edge"]  # fmt: skip
    decoded = pd.DataFrame(rows, columns=columns)
    noise = random.normal(0, 0.005, len(decoded))
    decoded = decoded.assign(pairwise=np.where(decoded["method"] == "control", 0.49, level) + noise)
    decoded = decoded.assign(
        pairwise_strict=0.3, mse=1.0, rank=0.3, pairwise_same_group=0.55, pairwise_different_group=0.65
    )
    closeness = pd.DataFrame(tuned, columns=["representation", "task", "method"])
    closeness = closeness.assign(brain="simulated", seed=0, layer=2, spearman=0.8, cka=0.8)
    metrics = closeness[["task", "method", "seed"]].assign(score=0.8, baseline=0.5)
    return {"tuned": metrics, "decoded": decoded, "closeness": closeness}


def signs(tables, run=RUN):
    return {s.name: s for s in signatures.check(run, at_layer=report.scores(tables["decoded"], run), **tables)}


def found(tables, run=RUN):
    return {name for name, sign in signs(tables, run).items() if sign.found}


def test_a_good_run_shows_none():
    seen = signs(results())
    assert not found(results()) and all(sign.found is False for sign in seen.values())
    assert signatures.summary(list(seen.values())) == "0 of 7 failure signatures found"


def test_everything_at_chance():
    assert found(results(level=0.5)) == {"chance"}
    tables = results(level=0.5)
    tables["decoded"].loc[tables["decoded"]["region"] == "visual", "pairwise"] += 0.1
    assert "chance" not in found(tables), "one region is enough"


def test_penalties_at_the_edge():
    tables = results()
    tables["decoded"]["alpha_edge"] = tables["decoded"]["region"] == "language"
    assert found(tables) == {"edge"} and "100%" in signs(tables)["edge"].seen
    tables["decoded"]["alpha_edge"] = tables["decoded"]["region"] == "visual"
    assert not found(tables), "where nothing is to be found the largest penalty is right"


@pytest.mark.parametrize("score", [0.5, 0.4, np.nan])
def test_a_score_no_better_than_its_baseline(score):
    tables = results()
    tables["tuned"].loc[1, "score"] = score
    assert "baseline" in found(tables) and signs(tables)["baseline"].seen == "prompt-tuned on ner"


def test_a_gap_on_one_task_only():
    tables = results()
    one = (tables["decoded"]["task"] == "wsd") & (tables["decoded"]["method"] == "prompt-tuned")
    tables["decoded"].loc[one, "pairwise"] -= 0.08
    assert found(tables) == {"gap"} and "wsd -0.08" in signs(tables)["gap"].seen
    every = results()
    every["decoded"].loc[every["decoded"]["method"] == "prompt-tuned", "pairwise"] -= 0.08
    assert not found(every), "a gap on every task is a result"


def test_a_negative_correlation_with_the_untuned_model():
    tables = results()
    tables["closeness"].loc[0, "spearman"] = -0.1
    assert found(tables) == {"negative"} and "ner_fine-tuned_seed-0 -0.10" in signs(tables)["negative"].seen


def test_a_passage_code_above_chance_with_grouped_folds():
    tables = results()
    code = (tables["decoded"]["method"] == "control") & (tables["decoded"]["folds"] == "shuffled")
    tables["decoded"].loc[code, "pairwise"] += 0.2
    assert not found(tables), "with shuffled folds it is known to leak"
    tables["decoded"].loc[tables["decoded"]["method"] == "control", "pairwise"] += 0.05
    assert found(tables) == {"leak"}


@pytest.mark.parametrize(("table", "column"), [("decoded", "mse"), ("decoded", "pairwise"), ("closeness", "cka")])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite(table, column, value):
    tables = results()
    tables[table].loc[3, column] = value
    assert "finite" in found(tables) and signs(tables)["finite"].seen.startswith("1 ")


def test_what_cannot_be_looked_for_says_so():
    seen = signs(results(participants=1, tasks=("ner",)))
    assert seen["chance"].found is None and "one participant" in seen["chance"].seen
    assert seen["gap"].found is None and "at least 3" in seen["gap"].seen
    assert "could not be looked for" in signatures.summary(list(seen.values()))


def test_every_brain_is_looked_at():
    one, two = results(), results(level=0.5)
    for name in ("decoded", "closeness"):
        two[name] = two[name].assign(brain="alice2016")
    both = {name: pd.concat([one[name], two[name]], ignore_index=True) for name in ("decoded", "closeness")}
    run = Study.make({"brains": ["simulated", "alice2016"]})
    every = signatures.check(run, one["tuned"], both["decoded"], report.scores(both["decoded"], run), both["closeness"])
    assert [(s.name, s.brain) for s in every if s.found] == [("chance", "alice2016")]
    assert "everything at chance (alice2016)" in signatures.summary(every)
