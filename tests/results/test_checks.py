"""Every failure signature is found where it is planted, and nowhere else."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from braintune.core.study import Study
from braintune.results import checks
from made_up_results import made_up


def results(**values):
    """Results in which nothing is wrong, but for what is given."""
    made = made_up(**{"noise": 0.03} | values)
    columns = {"fold": 0, "alpha": 10.0, "alpha_edge": False, "pairwise_strict": 0.3, "mse": 1.0, "rank": 0.3}
    decoded = made.scores[made.scores["readout"] == "analysis"].drop(columns="readout").assign(**columns)
    return replace(made, decoded=decoded)


def signs(made):
    return {sign.name: sign for sign in checks.check(made)}


def found(made):
    return {name for name, sign in signs(made).items() if sign.found}


def test_a_good_run_shows_none():
    seen = signs(results())
    assert all(sign.found is False for sign in seen.values())
    assert checks.summary(list(seen.values())) == "0 of 8 checks found a sign of failure"


def test_everything_at_chance_and_not_above_controls():
    assert found(results(signal=0.0)) == {"chance", "controls"}
    assert found(results(controls={"length": 1.0})) == {"controls"}
    assert "above every control in language" in signs(results())["controls"].seen


@pytest.mark.parametrize(("region", "seen"), [("language", {"edge"}), ("visual", set())])
def test_penalties_at_the_edge_of_the_main_region(region, seen):
    made = results()
    made.decoded["alpha_edge"] = made.decoded["region"] == region
    assert found(made) == seen


@pytest.mark.parametrize("score", [0.5, 0.52, np.nan])
def test_a_task_that_was_not_learned(score):
    made = results()
    made.tuned.loc[made.tuned.index[2], "score"] = score
    assert "learned" in found(made) and signs(made)["learned"].seen == "fine-tuned on wsd"


def test_a_large_gap():
    assert found(results(effect={("wsd", None): -0.6})) == {"gap"}
    assert found(results(effect={(None, None): 0.5})) == {"gap"}
    assert not found(results(effect={("wsd", None): 0.2}))
    assert signs(results(controls={"length": 1.0}))["gap"].found is None


@pytest.mark.parametrize("value", [-0.1, 0.1])
def test_a_representation_that_has_moved_away(value):
    made = results()
    made.closeness.loc[made.closeness.index[0], "spearman"] = value
    assert found(made) == {"moved"} and "chunking_fine-tuned_seed-0" in signs(made)["moved"].seen


def test_a_passage_code_above_permuted_labels_with_grouped_folds():
    assert "leak" in found(results(controls={"passage": 0.5}))


@pytest.mark.parametrize(("table", "column"), [("decoded", "mse"), ("decoded", "pairwise"), ("closeness", "cka")])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite(table, column, value):
    made = results()
    getattr(made, table).iloc[3, getattr(made, table).columns.get_loc(column)] = value
    assert "finite" in found(made) and signs(made)["finite"].seen.startswith("1 ")


def test_what_cannot_be_checked_says_so():
    made = replace(results(permutations=0), decoded=pd.DataFrame())
    seen = {name: sign.seen for name, sign in signs(made).items() if sign.found is None}
    assert seen == {"chance": "labels were not permuted", "edge": "no scores of single folds were recorded"}
    assert "(2 could not be checked)" in checks.summary(checks.check(made))


def test_every_brain_is_checked():
    one, two = results(), results(signal=0.0, brain="alice2016")
    names = ("scores", "null", "closeness", "decoded")
    both = {name: pd.concat([getattr(one, name), getattr(two, name)], ignore_index=True) for name in names}
    every = checks.check(replace(one, study=Study.make({"brains": ["simulated", "alice2016"]}), **both))
    assert {(s.name, s.brain) for s in every if s.found} == {("chance", "alice2016"), ("controls", "alice2016")}
    assert "everything at chance (alice2016)" in checks.summary(every)


def test_every_signature_has_its_words():
    assert list(checks.SIGNATURES) == list(checks.WORDS) and set(checks.WORDS) > checks.ONCE
    assert all(list(words) == ["title", "meaning"] for words in checks.WORDS.values())
