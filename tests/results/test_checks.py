"""Every failure signature is found where it is planted, and nowhere else."""

import numpy as np
import pandas as pd
import pytest

from braintune.core.study import Study
from braintune.results import checks, tables

RUN = Study()
TASKS = ("ner", "wsd", "qa", "nli")


def results(level=0.65, participants=5, seed=0, tasks=TASKS):
    """Tables of a run in which nothing is wrong."""
    rng = np.random.default_rng(seed)
    tuned = [(f"{t}_{m}_seed-0", "tuned", t, m, 0) for t in tasks for m in tables.ARMS]
    everything = [("untuned", "untuned", "", "", -1), *tuned, ("passage", "control", "", "", -1)]
    rows = [
        ("simulated", f"S{p}", region, *representation, 2, design, fold, 10.0, False)
        for p in range(participants)
        for region in ("language", "visual")
        for representation in everything
        for design in ("shuffled", "grouped")
        for fold in range(2)
    ]
    decoded = pd.DataFrame(rows, columns=[*tables.MEAN_OVER_FOLDS, "fold", "alpha", "alpha_edge"])
    noise = rng.normal(0, 0.005, len(decoded))
    decoded = decoded.assign(pairwise=np.where(decoded["kind"] == "control", 0.49, level) + noise)
    decoded = decoded.assign(
        pairwise_strict=0.3, mse=1.0, rank=0.3, pairwise_same_group=0.55, pairwise_different_group=0.65
    )
    closeness = pd.DataFrame(tuned, columns=tables.REPRESENTATION)
    closeness = closeness.assign(brain="simulated", layer=2, spearman=0.8, cka=0.8)
    metrics = closeness[["task", "method", "seed"]].assign(score=0.8, baseline=0.5)
    return {"tuned": metrics, "decoded": decoded, "closeness": closeness}


def signs(found, run=RUN):
    at_layer = tables.scores(found["decoded"], run)
    return {s.name: s for s in checks.check(tables.Results(run, at_layer=at_layer, **found))}


def found(made, run=RUN):
    return {name for name, sign in signs(made, run).items() if sign.found}


def test_a_good_run_shows_none():
    seen = signs(results())
    assert not found(results()) and all(sign.found is False for sign in seen.values())
    assert checks.summary(list(seen.values())) == "0 of 7 failure signatures found"


def test_everything_at_chance():
    assert found(results(level=0.5)) == {"chance"}
    made = results(level=0.5)
    made["decoded"].loc[made["decoded"]["region"] == "visual", "pairwise"] += 0.1
    assert "chance" not in found(made), "one region is enough"


def test_penalties_at_the_edge():
    made = results()
    made["decoded"]["alpha_edge"] = made["decoded"]["region"] == "language"
    assert found(made) == {"edge"} and "100%" in signs(made)["edge"].seen
    made["decoded"]["alpha_edge"] = made["decoded"]["region"] == "visual"
    assert not found(made), "where nothing is to be found the largest penalty is right"


@pytest.mark.parametrize("score", [0.5, 0.4, np.nan])
def test_a_score_no_better_than_its_baseline(score):
    made = results()
    made["tuned"].loc[1, "score"] = score
    assert "baseline" in found(made) and signs(made)["baseline"].seen == "prompt-tuned on ner"


def test_a_gap_on_one_task_only():
    made = results()
    one = (made["decoded"]["task"] == "wsd") & (made["decoded"]["method"] == "prompt-tuned")
    made["decoded"].loc[one, "pairwise"] -= 0.08
    assert found(made) == {"gap"} and "wsd -0.08" in signs(made)["gap"].seen
    every = results()
    every["decoded"].loc[every["decoded"]["method"] == "prompt-tuned", "pairwise"] -= 0.08
    assert not found(every), "a gap on every task is a result"


def test_a_negative_correlation_with_the_untuned_model():
    made = results()
    made["closeness"].loc[0, "spearman"] = -0.1
    assert found(made) == {"negative"} and "ner_fine-tuned_seed-0 -0.10" in signs(made)["negative"].seen


def test_a_passage_code_above_chance_with_grouped_folds():
    made = results()
    code = (made["decoded"]["kind"] == "control") & (made["decoded"]["folds"] == "shuffled")
    made["decoded"].loc[code, "pairwise"] += 0.2
    assert not found(made), "with shuffled folds it is known to leak"
    made["decoded"].loc[made["decoded"]["kind"] == "control", "pairwise"] += 0.05
    assert found(made) == {"leak"}


@pytest.mark.parametrize(("table", "column"), [("decoded", "mse"), ("decoded", "pairwise"), ("closeness", "cka")])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite(table, column, value):
    made = results()
    made[table].loc[3, column] = value
    assert "finite" in found(made) and signs(made)["finite"].seen.startswith("1 ")


def test_what_cannot_be_checked_says_so():
    seen = signs(results(participants=1, tasks=("ner",)))
    assert seen["chance"].found is None and "one participant" in seen["chance"].seen
    assert seen["gap"].found is None and "at least 3" in seen["gap"].seen
    assert "could not be checked" in checks.summary(list(seen.values()))


def test_every_brain_is_checked():
    one, two = results(), results(level=0.5)
    for name in ("decoded", "closeness"):
        two[name] = two[name].assign(brain="alice2016")
    both = {name: pd.concat([one[name], two[name]], ignore_index=True) for name in ("decoded", "closeness")}
    run = Study.make({"brains": ["simulated", "alice2016"]})
    at_layer = tables.scores(both["decoded"], run)
    every = checks.check(tables.Results(run, at_layer, both["closeness"], one["tuned"], both["decoded"]))
    assert [(s.name, s.brain) for s in every if s.found] == [("chance", "alice2016")]
    assert "everything at chance (alice2016)" in checks.summary(every)


def test_every_signature_has_its_words():
    assert list(checks.SIGNATURES) == list(checks.WORDS) and set(checks.WORDS) > checks.ONCE
    assert all(list(words) == ["title", "meaning"] for words in checks.WORDS.values())
