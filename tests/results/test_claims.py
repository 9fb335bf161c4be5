"""The rules of the claims on made-up tables: every verdict of every claim, and how often a verdict is wrong."""

import json

import numpy as np
import pandas as pd
import pytest

from braintune.core.study import Study
from braintune.results import checks, claims, tables
from braintune.results.claims import INCONCLUSIVE, NOT_SUPPORTED, SUPPORTED
from braintune.results.tables import ARMS, Results

TASKS = ("chunking", "wsd", "coreference", "ner", "nli", "qa")
RUN = Study()


def made_up_tables(effect=None, task=None, noise=0.004, participants=8, regions=("language", "visual"), seed=0, seeds=1,
           tasks=TASKS, level=0.65, brain="simulated", person=0.02):  # fmt: skip
    """Return scores, closeness and tuning metrics.

    `effect` maps (task, region) to prompt-tuned minus fine-tuned, with None for any; `task` shifts a task in both arms.
    """
    rng = np.random.default_rng(seed)
    effect, task = effect or {}, task or {}
    people = rng.normal(0, person, participants)
    rows = []
    for t in tasks:
        for r in regions:
            gain = sum(value for key, value in effect.items() if key[0] in (None, t) and key[1] in (None, r))
            shared = rng.normal(0, noise, participants)
            for m in ARMS:
                for k in range(seeds):
                    score = level + people + shared + task.get(t, 0) + gain * (m == "prompt-tuned")
                    score = score + rng.normal(0, noise, participants)
                    name = f"{t}_{m}_seed-{k}"
                    rows += [(brain, f"S{p}", r, name, "tuned", t, m, k, 2, "grouped", s) for p, s in enumerate(score)]
    at_layer = pd.DataFrame(rows, columns=[*tables.MEAN_OVER_FOLDS, "pairwise"])
    models = at_layer[["brain", *tables.REPRESENTATION, "layer"]].drop_duplicates()
    closeness = models.assign(spearman=rng.uniform(0.5, 0.9, len(models)), cka=0.5, low=0.4, high=0.9)
    tuned = models[["task", "method", "seed"]].assign(
        score=rng.uniform(0.6, 0.9, len(models)), baseline=0.5, bag_of_words=0.55
    )
    return at_layer.reset_index(drop=True), closeness, tuned


def judged(claim, found, run=RUN):
    """The verdict on one claim."""
    return next(v for v in claims.judge(Results(run, *found)).verdicts if v.claim == claim)


def closeness_by(found, values):
    """Replace closeness by a function of task and method."""
    at_layer, closeness, tuned = found
    spearman = [values(row.task, row.method) for row in closeness.itertuples()]
    return at_layer, closeness.assign(spearman=spearman), tuned


AT_CHANCE = {"level": 0.5, "person": 0.004, "noise": 0.002}


@pytest.mark.parametrize(
    ("claim", "truth", "verdict", "words"),
    [
        ("C1", {"noise": 0.002}, SUPPORTED, "in language it is at most 0.01 better on each of the 6 tasks"),
        ("C1", {"effect": {("ner", "visual"): -0.04}}, NOT_SUPPORTED, "ner in visual (-0.0"),
        ("C1", {"noise": 0.03}, INCONCLUSIVE, "significantly better in none of 12"),
        ("C1", AT_CHANCE, INCONCLUSIVE, "language is not above chance"),
        ("C2", {}, SUPPORTED, "every region above chance: language, visual"),
        ("C2", {"effect": {(None, "visual"): -0.03}}, NOT_SUPPORTED, "significantly better in visual (-0.03"),
        ("C2", {"noise": 0.06}, INCONCLUSIVE, "is not shown for"),
        ("C2", AT_CHANCE, INCONCLUSIVE, "no region is above chance"),
        ("C3", {"task": {"chunking": -0.02}}, SUPPORTED, "decode better: +0.0"),
        ("C3", {"task": {"chunking": 0.02}}, NOT_SUPPORTED, "less than 0.01 better, or worse: -0.01"),
        ("C3", {"noise": 0.002}, NOT_SUPPORTED, "less than 0.01 better, or worse"),
        ("C3", {"noise": 0.05}, INCONCLUSIVE, "Neither an advantage"),
        ("C3", AT_CHANCE, INCONCLUSIVE, "Neither an advantage"),
        ("C3", {"tasks": ("ner", "wsd")}, INCONCLUSIVE, "cannot be tested: it needs chunking"),
        ("C5", {"tasks": TASKS[:3]}, INCONCLUSIVE, "3 tasks, and at least 4 are needed"),
    ],
)
def test_the_verdict_is_what_is_true(claim, truth, verdict, words):
    found = judged(claim, made_up_tables(**truth))
    assert found.verdict == verdict and words in found.sentence


def test_effects_p_values_and_power_are_those_of_the_verdict():
    assert judged("C1", made_up_tables(noise=0.002)).finding.p < 0.05
    worse = judged("C1", made_up_tables({("ner", "visual"): -0.04}))
    assert "1 of 12" in worse.sentence and worse.finding.estimate == pytest.approx(-0.04, abs=0.01)
    unsure = judged("C1", made_up_tables(noise=0.03))
    assert unsure.detectable > RUN.margin and unsure.power < 0.5
    trivial = judged("C2", made_up_tables({(None, "visual"): -0.003}, noise=0.001))
    assert trivial.verdict == SUPPORTED and trivial.finding.high < 0, "significantly but trivially worse still matches"
    half = judged("C3", made_up_tables(tasks=("chunking", "wsd"), task={"wsd": 0.05}))
    assert half.verdict == SUPPORTED and half.measure == "wsd minus chunking"


def test_one_unsure_task_is_enough_for_doubt():
    at_layer, *rest = made_up_tables(noise=0.002)
    wild = (at_layer["task"] == "qa") & (at_layer["method"] == "fine-tuned")
    shake = np.random.default_rng(1).normal(0, 0.05, wild.sum())
    at_layer.loc[wild, "pairwise"] += shake - shake.mean()
    found = judged("C1", (at_layer, *rest))
    assert found.verdict == INCONCLUSIVE and "is not shown for qa." in found.sentence
    lacking = at_layer[~wild]
    assert "not shown for qa" in judged("C1", (lacking, *rest)).sentence, "a task that one method lacks is unsure"


def test_margin_and_level_are_those_of_the_profile():
    doubtful = made_up_tables(noise=0.01)
    assert judged("C1", doubtful).verdict == INCONCLUSIVE
    assert judged("C1", doubtful, Study.make({"margin": 0.05})).verdict == SUPPORTED
    better = made_up_tables({("ner", "language"): -0.012}, noise=0.004)
    assert judged("C1", better).verdict == NOT_SUPPORTED
    assert judged("C1", better, Study.make({"fdr": 1e-6})).verdict == INCONCLUSIVE


def test_a_region_at_chance_is_excluded():
    at_layer, *rest = made_up_tables()
    silent = at_layer["region"] == "visual"
    at_layer.loc[silent, "pairwise"] = 0.5 + np.random.default_rng(0).normal(0, 0.05, silent.sum())
    found = judged("C2", (at_layer, *rest))
    assert found.verdict == SUPPORTED and "Excluded (at chance): visual" in found.sentence


class TestCloseness:
    @pytest.mark.parametrize(("gain", "verdict"), [(0.1, SUPPORTED), (-0.1, NOT_SUPPORTED), (0.0, INCONCLUSIVE)])
    def test_closer(self, gain, verdict):
        rng = np.random.default_rng(2)
        found = closeness_by(made_up_tables(), lambda t, m: 0.7 + gain * (m == "prompt-tuned") + rng.normal(0, 0.02))
        assert judged("C4", found).verdict == verdict

    @pytest.mark.parametrize(("sign", "verdict"), [(1, SUPPORTED), (-1, NOT_SUPPORTED)])
    def test_a_relation_over_tasks_is_found(self, sign, verdict):
        task = {t: 0.03 * i for i, t in enumerate(TASKS)}
        found = closeness_by(made_up_tables(task=task, noise=0.002), lambda t, m: 0.5 + sign * task[t])
        assert judged("C5", found).verdict == verdict

    def test_a_difference_of_methods_is_no_relation_over_tasks(self):
        shifted = made_up_tables({(None, None): 0.05})
        found = closeness_by(shifted, lambda t, m: 0.5 + 0.3 * (m == "prompt-tuned") + 0.001 * len(t))
        relation = judged("C5", found)
        assert relation.verdict == INCONCLUSIVE and "methods mixed, the rank correlation is +0." in relation.sentence


def test_the_task_score_counts_from_its_baseline():
    at_layer, closeness, tuned = made_up_tables(task={t: 0.03 * i for i, t in enumerate(TASKS)}, noise=0.002)
    place = tuned["task"].map({t: i for i, t in enumerate(TASKS)})
    # the higher the score, the higher the baseline; what is gained falls
    tuned = tuned.assign(baseline=0.5 + 0.05 * place, score=0.8 + 0.01 * place)
    assert judged("C6", (at_layer, closeness, tuned)).verdict == NOT_SUPPORTED
    assert judged("C6", (at_layer, closeness, tuned.assign(baseline=0.5))).verdict == SUPPORTED


class TestDegenerate:
    @pytest.mark.parametrize(
        "found",
        [
            made_up_tables(participants=1),
            made_up_tables(tasks=("ner",)),
            made_up_tables(noise=0.0),
            tuple(t[t["method"] == "prompt-tuned"] for t in made_up_tables()),
        ],
        ids=["one participant", "one task", "no noise", "one method"],
    )
    def test_every_claim_gets_a_verdict_without_nan(self, found):
        ledger = claims.judge(Results(RUN, *found))
        assert [v.claim for v in ledger.verdicts] == list(claims.CLAIMS)
        for v in ledger.verdicts:
            assert "nan" not in v.sentence.lower().replace("inan", "") and v.sentence
            numbers = [v.finding.estimate, v.finding.low, v.finding.p, v.detectable, v.power]
            assert all(number is None or np.isfinite(number) for number in numbers)
        assert all("nan" not in sentence for e in ledger.evidence.values() for sentence in claims.background(e))

    def test_what_cannot_be_tested_says_so(self):
        alone = claims.judge(Results(RUN, *made_up_tables(participants=1))).verdicts
        assert all(v.verdict == INCONCLUSIVE for v in alone if v.claim in ("C1", "C2", "C3"))
        assert all("cannot be tested" in v.sentence and "one participant" in v.sentence for v in alone[:3])
        single = claims.judge(Results(RUN, *(t[t["method"] == "prompt-tuned"] for t in made_up_tables()))).verdicts
        assert all("no task was tuned by both methods" in v.sentence for v in single if v.claim in ("C1", "C2", "C4"))

    def test_scores_that_are_not_finite_are_left_out(self):
        at_layer, *rest = made_up_tables()
        at_layer.loc[::7, "pairwise"] = np.nan
        at_layer.loc[::11, "pairwise"] = np.inf
        assert judged("C2", (at_layer, *rest)).verdict == SUPPORTED


def test_only_grouped_folds_are_judged_where_groups_exist():
    at_layer, *rest = made_up_tables()
    shuffled = at_layer.assign(folds="shuffled")
    shuffled.loc[shuffled["method"] == "fine-tuned", "pairwise"] += 0.1
    assert judged("C2", (pd.concat([at_layer, shuffled]), *rest)).verdict == SUPPORTED
    assert judged("C2", (shuffled, *rest)).verdict == NOT_SUPPORTED


def test_each_brain_is_judged_alone():
    one, two = made_up_tables(), made_up_tables({(None, None): -0.05}, brain="alice2016", seed=1)
    run = Study.make({"brains": ["simulated", "alice2016"]})
    both = (*(pd.concat([a, b]) for a, b in zip(one[:2], two[:2], strict=True)), one[2])
    ledger = claims.judge(Results(run, *both))
    assert [ledger.of(brain)[1].verdict for brain in run.brains] == [SUPPORTED, NOT_SUPPORTED]


def test_several_seeds_give_an_interval_over_seeds():
    ledger = claims.judge(Results(RUN, *made_up_tables(seeds=3)))
    sentences = " ".join(claims.background(ledger.evidence["simulated"]))
    assert "interval over participants and seeds" in sentences and "seed " in sentences and "luck" not in sentences
    once = " ".join(claims.background(claims.judge(Results(RUN, *made_up_tables())).evidence["simulated"]))
    assert "luck of single training runs" in once


def test_intervals_over_passages_are_counted_where_there_are_some():
    at_layer, closeness, tuned = made_up_tables()
    prompt = closeness["method"] == "prompt-tuned"
    apart = closeness.assign(low=np.where(prompt, 0.8, 0.4), high=np.where(prompt, 0.9, 0.7))
    sentences = claims.background(claims.judge(Results(RUN, at_layer, apart, tuned)).evidence["simulated"])
    assert any("do not overlap on 6 of 6 tasks, with prompt-tuning closer on 6" in sentence for sentence in sentences)
    without = closeness.assign(low=np.nan, high=np.nan)
    sentences = claims.background(claims.judge(Results(RUN, at_layer, without, tuned)).evidence["simulated"])
    assert not any("bootstrapping" in sentence for sentence in sentences)


# --- how often a verdict is wrong --------------------------------------------------------------------------------

STUDIES = 300


def alone(claim, found, run=RUN):
    """The verdict on one claim, without judging the others."""
    return claims.CLAIMS[claim](claim, claims.evidence(Results(run, *found), "simulated")).verdict


@pytest.fixture(scope="module")
def no_difference():
    """Evidence of studies in which no method, no task and no relation differs."""
    return [
        claims.evidence(
            Results(RUN, *made_up_tables(noise=0.01, participants=6, regions=("language",), seed=1000 + i)), "simulated"
        )
        for i in range(STUDIES)
    ]


@pytest.mark.slow
class TestCalibration:
    """With 300 studies and a true rate of 5 %, the observed one lies between 1.7 and 9 % (99.8 %)."""

    @pytest.mark.parametrize("claim", ["C3", "C4", "C5", "C6"])
    def test_p_values_below_the_level_come_at_its_rate(self, no_difference, claim):
        p = np.array([claims.CLAIMS[claim](claim, e).finding.p for e in no_difference])
        assert 0.017 < (p < RUN.fdr).mean() < 0.09

    def test_fine_tuning_is_seldom_called_better_where_it_is_not(self, no_difference):
        assert np.mean([claims.CLAIMS["C2"]("C2", e).verdict == NOT_SUPPORTED for e in no_difference]) < 0.06
        assert np.mean([claims.CLAIMS["C1"]("C1", e).verdict == NOT_SUPPORTED for e in no_difference[:150]]) < 0.07

    @pytest.mark.parametrize(
        ("claim", "effect"),
        [("C1", {("ner", "language"): -RUN.margin}), ("C2", {(None, "language"): -RUN.margin})],
    )
    def test_a_difference_of_the_margin_is_seldom_called_none(self, claim, effect):
        few = {"tasks": TASKS[:4], "regions": ("language",), "participants": 6, "noise": 0.004}
        wrong = [alone(claim, made_up_tables(effect, **few, seed=i)) == SUPPORTED for i in range(150)]
        assert np.mean(wrong) < 0.11  # 5 % at most

    @pytest.mark.parametrize("claim", ["C1", "C2"])
    def test_what_is_planted_is_found(self, claim):
        few = {"tasks": TASKS[:4], "regions": ("language",)}
        worse, same = (
            [alone(claim, made_up_tables({(None, None): gap}, noise=noise, **few, seed=i)) for i in range(10)]
            for gap, noise in ((-0.03, 0.01), (0.0, 0.002))
        )
        assert set(worse) == {NOT_SUPPORTED} and set(same) == {SUPPORTED}


# --- what is written ---------------------------------------------------------------------------------------------


def test_the_verdicts_are_written_and_read_back(tmp_path):
    run = Study.make({"runs": str(tmp_path)})
    claims.write(run, claims.judge(Results(run, *made_up_tables())))
    kept = json.loads(claims.ledger_file(run).read_text(encoding="utf-8"))
    assert kept["margin"] == run.margin and kept["alpha"] == run.fdr
    brain = kept["brains"]["simulated"]
    assert brain["simulated"] and list(brain["claims"]) == list(claims.CLAIMS)
    assert brain["claims"]["C2"]["verdict"] == SUPPORTED and brain["claims"]["C2"]["finding"]["p"] < 0.05
    assert checks.read_summary(run).startswith("claims: simulated (simulated): C1 ")
    assert "\nchecks: 0 of 0" in checks.read_summary(run)


def test_every_claim_has_its_words():
    assert list(claims.WORDS) == list(claims.CLAIMS)
    for words in claims.WORDS.values():
        assert {"paper", "test", "rule", *claims.VERDICTS} <= set(words)
        assert set(words.get("brief", claims.VERDICTS)) == set(claims.VERDICTS)


def test_task_table_finds_the_planted_gain_on_every_task():
    table = claims.task_table(claims.judge(Results(RUN, *made_up_tables({(None, None): 0.05}))))
    assert table["task"].tolist() == list(TASKS)
    assert (table["differs"] == "yes").all() and (table["q"] >= table["p"]).all()
    assert (table["low"] < table["difference"]).all() and (table["difference"] < table["high"]).all()
