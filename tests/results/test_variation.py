"""The answer of each training run, and with tasks as a sample."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy import stats

from braintune.core.study import Study
from braintune.results import claims, meta_analysis, prose, variation
from braintune.results.tables import ALL
from made_up_results import TASKS, made_up, of_several

LUCK = 0.1
BRAINS = "pereira2018-exp1", "alice2016"


def gathered(results, seeds):
    study = Study.make({"brains": list(BRAINS), "seeds": list(range(seeds))})
    return claims.gather(replace(results, study=study))


@pytest.fixture(scope="module")
def repeated():
    """Two brain data sets to which the same models were applied, with a known deviation of each training run."""
    each = [made_up(luck=LUCK, seeds=8, brain=brain, participants=n) for brain, n in zip(BRAINS, (6, 9), strict=True)]
    return gathered(of_several(*each), 8)


def test_the_mean_over_runs_is_the_answer_of_each_data_set_and_of_all(repeated):
    found = variation.by_run(repeated)
    assert list(found) == [*BRAINS, ALL] and {runs.shape for runs in found.values()} == {(len(TASKS), 8)}
    for brain, effect in meta_analysis.effects(repeated, "decoding", "best").items():
        assert found[brain].mean() == pytest.approx(effect.estimate)
    assert found[ALL].mean() == pytest.approx(meta_analysis.overall(repeated).estimate)
    assert variation.by_run(repeated, "encoding") == {}, "left out of this run"


def test_the_answers_that_favour_fine_tuning_are_counted(repeated):
    runs = variation.by_run(repeated)
    sets, single = variation.signs(repeated)
    below = sum(int((runs[brain] < 0).sum()) for brain in BRAINS)
    assert single == f"{below} of {2 * 8 * len(TASKS)}" and below > 0
    assert sets == f"{sum(int((runs[brain].mean(0) < 0).sum()) for brain in BRAINS)} of 16"


def test_over_tasks_the_interval_is_that_of_a_t_test_and_p_of_all_signs(repeated):
    table, runs = variation.over_tasks(repeated).set_index("brain"), variation.by_run(repeated)
    assert list(table.index) == list(runs)
    for brain, row in table.iterrows():
        tasks = runs[brain].mean(1)
        low, high = stats.ttest_1samp(tasks, 0).confidence_interval(0.95)
        assert row[["difference", "low", "high"]].tolist() == pytest.approx([tasks.mean(), low, high])
        flipped = np.array([np.dot(signs, tasks) for signs in product((-1, 1), repeat=len(tasks))])
        assert row["p"] == pytest.approx(np.mean(abs(flipped) >= abs(tasks.sum()) - 1e-12))


def test_the_answers_over_tasks_are_shown_with_their_intervals(repeated):
    shown, table = variation.tasks_in_words(repeated), variation.over_tasks(repeated)
    assert list(shown["brain data"]) == ["6 readers of concept words", "9 listeners to a story", "combined"]
    assert shown["p"].tolist() == table["p"].tolist()
    start = f"{table['difference'].iloc[-1]:+.1%} (".replace("-", "−")
    assert shown["prompt-tuned minus fine-tuned"].iloc[-1].startswith(start)


def test_a_single_task_is_no_sample_of_tasks():
    study = Study.make({"brains": [BRAINS[0]], "tasks": ["ner"]})
    alone = claims.gather(made_up({(None, None): 0.3}, brain=BRAINS[0], study=study, tasks=("ner",)))
    (row,) = variation.over_tasks(alone).to_dict("records")
    assert row["difference"] > 0 and np.isnan([row["low"], row["high"], row["p"]]).all()


def test_the_table_says_the_answer_of_all_seeds_and_of_each(repeated):
    shown = variation.seeds_in_words(repeated)
    assert list(shown["direction"]) == ["decoding"] * 3
    assert list(shown["brain data"]) == ["6 readers of concept words", "9 listeners to a story", "combined"]
    assert shown["all seeds"].iloc[-1] == prose.with_interval(meta_analysis.overall(repeated))
    assert shown["all seeds"].nunique() == 3 and shown["all seeds"].str.match(r"[+−]\d+\.\d% \(").all()
    assert shown["p"].iloc[:2].between(0, 1).all() and np.isnan(shown["p"].iloc[2])
    seeds = [name for name in shown if name.startswith("seed ")]
    assert seeds == [f"seed {k}" for k in range(8)]
    values = shown[seeds].map(lambda cell: float(cell.replace("−", "-").rstrip("%")))
    spread = shown["standard deviation"].str.rstrip("%").astype(float)
    np.testing.assert_allclose(values.std(axis=1), spread, atol=0.1)


def test_one_seed_has_no_standard_deviation():
    alone = gathered(of_several(*[made_up({(None, None): 0.3}, brain=brain) for brain in BRAINS]), 1)
    shown = variation.seeds_in_words(alone)
    assert list(shown) == ["direction", "brain data", "all seeds", "p", "seed 0"]
    assert len(shown) == 3 and shown["all seeds"].str.startswith("+").all()


def test_a_data_set_that_allows_no_conclusion_is_in_the_table():
    nothing_decoded = [made_up(seeds=2, brain=brain, signal=s) for brain, s in zip(BRAINS, (0.1, 0.0), strict=True)]
    shown = variation.seeds_in_words(gathered(of_several(*nothing_decoded), 2)).set_index("brain data")
    story = shown.loc["8 listeners to a story"]
    assert story["all seeds"] == "no evidence possible" and story[["standard deviation", "seed 0"]].isna().all()
    assert shown["seed 1"].notna().sum() == 1
