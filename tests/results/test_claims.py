"""The rules of the claims on made-up results: every verdict of every claim, the gates, and how often one is wrong."""

import json
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from braintune.core.study import Study
from braintune.results import checks, claims, meta_analysis
from braintune.results.claims import INCONCLUSIVE, NO_EVIDENCE, NOT_SUPPORTED, SUPPORTED
from made_up_results import TASKS, made_up, of_an_average

STUDY = Study()


def judged(claim, found, study=STUDY):
    """The verdict on one claim."""
    return next(v for v in claims.judge(replace(found, study=study)).verdicts if v.claim == claim)


def changed(found, table, **columns):
    """Made-up results with other columns in one table."""
    return replace(found, **{table: getattr(found, table).assign(**columns)})


class TestNoTaskWorse:
    def test_supported_where_non_inferiority_holds_on_every_task(self):
        found = judged("C1", made_up(noise=0.03))
        assert found.verdict == SUPPORTED and found.finding.p < 0.05
        assert "on each of the 6 learned tasks" in found.sentence and found.elsewhere == {
            "decoding, analysis": SUPPORTED
        }

    def test_not_supported_where_fine_tuning_is_better_in_a_decoded_region(self):
        found = judged("C1", made_up({("ner", "language"): -0.4}))
        assert found.verdict == NOT_SUPPORTED and "ner in language (-" in found.sentence
        assert found.finding.estimate == pytest.approx(-0.4, abs=0.1)

    def test_no_significance_is_no_support(self):
        found = judged("C1", made_up(noise=0.3))
        assert found.verdict == INCONCLUSIVE and "In none of the 12" in found.sentence
        assert found.power["no difference"] < 0.5

    def test_margin_and_level_are_those_of_the_profile(self):
        doubtful = made_up(noise=0.12)
        assert judged("C1", doubtful).verdict == INCONCLUSIVE
        assert judged("C1", doubtful, Study.make({"margin": 0.5})).verdict == SUPPORTED
        assert judged("C1", doubtful, Study.make({"absolute_margin": 0.05})).verdict == SUPPORTED


class TestNoRegionWorse:
    def test_a_union_does_not_count_beside_its_parts(self):
        found = judged("C2", made_up(noise=0.03, regions=("language", "LIFG", "LATL")))
        assert (
            found.verdict == SUPPORTED
            and "2 regions are decoded, not counting unions of regions (LIFG, LATL)" in found.sentence
        )
        assert "1 region is decoded (language)" in judged("C2", made_up(noise=0.03, regions=("language",))).sentence

    def test_not_supported(self):
        found = judged("C2", made_up({(None, "visual"): -0.4}, regions=("LIFG", "visual")))
        assert found.verdict == NOT_SUPPORTED and "better in visual (-" in found.sentence

    def test_trivially_worse_still_matches(self):
        found = judged("C2", made_up({(None, "visual"): -0.03}, noise=0.01))
        assert found.verdict == SUPPORTED and found.finding.high < 0


class TestGates:
    @pytest.mark.parametrize("control", ["length", "position", "random-weights"])
    def test_where_a_code_without_content_does_as_well_nothing_is_concluded(self, control):
        ledger = claims.judge(made_up(controls={control: 1.0}))
        assert {v.claim for v in ledger.verdicts if v.verdict == NO_EVIDENCE} == {
            "C1",
            "C2",
            "C3",
            "C5",
            "C6",
            "C7",
            "C8",
        }
        assert f"not shown to be decoded better than {control}" in ledger.verdicts[0].sentence
        assert claims.task_table(ledger).empty

    def test_above_a_control_that_is_below_permuted_labels_there_may_be_no_signal(self):
        levels = dict.fromkeys(("passage", "length", "position", "random-weights"), -1.0)
        found = made_up(controls=levels, tuning=0)
        pairwise = found.scores["pairwise"] - np.where(found.scores["kind"] == "control", 0, 0.1)
        assert (
            "not shown to be decoded better than permuted labels"
            in judged("C1", changed(found, "scores", pairwise=pairwise)).sentence
        )

    def test_a_prefix_is_no_code_without_content(self):
        assert judged("C1", made_up(noise=0.03, controls={"zero-prefix": 1.0})).verdict == SUPPORTED

    def test_without_controls_no_evidence_is_possible(self):
        found = made_up()
        bare = replace(found, scores=found.scores[found.scores["kind"] != "control"])
        assert (
            "has no content-free control" in judged("C1", bare).sentence and judged("C1", bare).verdict == NO_EVIDENCE
        )

    def test_a_difference_that_permuted_labels_give_too_is_none(self):
        bias = {f"{t}_prompt-tuned_seed-0": 0.03 for t in TASKS}
        assert judged("C7", made_up(tuning=0, bias=bias)).verdict != SUPPORTED
        assert judged("C7", made_up(tuning=0.4, bias=bias)).verdict == SUPPORTED

    def test_tasks_that_were_not_learned_are_left_out(self):
        found = made_up(noise=0.03, effect={("wsd", None): -0.5})
        scores = np.where(
            (found.tuned["task"] == "wsd") & (found.tuned["method"] == "fine-tuned"), 0.5, found.tuned["score"]
        )
        assert judged("C1", found).verdict == NOT_SUPPORTED
        without = claims.judge(changed(found, "tuned", score=scores))
        assert without.verdicts[0].verdict == SUPPORTED and "5 learned tasks" in without.verdicts[0].sentence
        assert "left out of every claim: wsd" in " ".join(claims.background(without.evidence["simulated"]))
        none = changed(found, "tuned", score=0.5)
        assert "no task was learned" in judged("C1", none).sentence

    def test_without_permuted_labels_the_t_test_stands_alone_and_is_said_to(self):
        found = made_up(tuning=0.5, permutations=0)
        assert judged("C7", found).verdict == SUPPORTED and "labels not permuted" in judged("C7", found).sentence
        lost = made_up({("ner", None): -0.5}, noise=0.03, permutations=0)
        assert judged("C1", lost).verdict == NOT_SUPPORTED

    def test_one_participant_is_judged_over_groups_of_stimuli_and_without_them_not_at_all(self):
        alone = made_up(participants=1, signal=0.5)
        assert judged("C7", alone).verdict == NO_EVIDENCE
        verdict = judged("C7", of_an_average(alone))
        assert verdict.verdict == SUPPORTED and "20 groups of stimuli" in verdict.sentence


class TestMeaningOverForm:
    LEVEL: ClassVar = {"chunking": 0, "wsd": 0.5, "coreference": 0.5, "ner": 0.5, "nli": 1, "qa": 1}

    @pytest.mark.parametrize(("slope", "verdict"), [(0.6, SUPPORTED), (-0.6, NOT_SUPPORTED), (0.0, NOT_SUPPORTED)])
    def test_verdicts(self, slope, verdict):
        task = {t: slope * level for t, level in self.LEVEL.items()}
        assert judged("C3", made_up(task=task, noise=0.02)).verdict == verdict

    def test_a_trend_that_the_task_score_explains_is_none(self):
        task = {t: 0.6 * level for t, level in self.LEVEL.items()}
        found = made_up(task=task, noise=0.02)
        score = (
            0.6 + 0.3 * found.tuned["task"].map(self.LEVEL) + np.random.default_rng(0).normal(0, 0.01, len(found.tuned))
        )
        assert judged("C3", changed(found, "tuned", score=score)).verdict == INCONCLUSIVE

    def test_what_is_missing_is_named(self):
        assert "needs 4 learned tasks" in judged("C3", made_up(tasks=("ner", "wsd"))).sentence


class TestCloseness:
    @pytest.mark.parametrize(("gain", "verdict"), [(0.1, SUPPORTED), (-0.1, NOT_SUPPORTED), (0.0, INCONCLUSIVE)])
    def test_closer(self, gain, verdict):
        found = made_up()
        noise = np.random.default_rng(2).normal(0, 0.02, len(found.closeness))
        close = 0.7 + gain * (found.closeness["method"] == "prompt-tuned") + noise
        verdicts = judged("C4", changed(found, "closeness", spearman=close))
        assert (
            verdicts.verdict == verdict
            and "With the task score controlled for" in verdicts.sentence
            and not verdicts.readout
        )

    @pytest.mark.parametrize(("sign", "verdict"), [(1, SUPPORTED), (-1, NOT_SUPPORTED)])
    def test_a_relation_over_tasks_is_found(self, sign, verdict):
        task = {t: 0.3 * i for i, t in enumerate(TASKS)}
        found = made_up(task=task, noise=0.02)
        assert (
            judged("C5", changed(found, "closeness", spearman=0.5 + sign * found.closeness["task"].map(task))).verdict
            == verdict
        )

    def test_the_task_score_counts_from_its_baseline(self):
        found = made_up(task={t: 0.3 * i for i, t in enumerate(TASKS)}, noise=0.02)
        place = found.tuned["task"].map({t: i for i, t in enumerate(TASKS)})
        falling = changed(found, "tuned", baseline=0.5 + 0.05 * place, score=0.8 + 0.01 * place)  # of higher baselines
        assert judged("C6", falling).verdict == NOT_SUPPORTED
        assert judged("C6", changed(falling, "tuned", baseline=0.5)).verdict == SUPPORTED

    def test_few_tasks_cannot_be_related(self):
        found = judged("C5", made_up(tasks=TASKS[:3]))
        assert found.verdict == INCONCLUSIVE and "3 tasks, and at least 4 are needed" in found.sentence


@pytest.mark.parametrize(("tuning", "verdict"), [(0.4, SUPPORTED), (-0.4, NOT_SUPPORTED), (0.0, NOT_SUPPORTED)])
def test_tuning_helps(tuning, verdict):
    assert judged("C7", made_up(tuning=tuning, noise=0.03)).verdict == verdict


@pytest.mark.parametrize(("level", "verdict"), [(0.5, SUPPORTED), (1.2, NOT_SUPPORTED), (2.0, NOT_SUPPORTED)])
def test_more_than_a_prefix(level, verdict):
    assert judged("C8", made_up(controls={"zero-prefix": level}, noise=0.03)).verdict == verdict


def test_a_claim_that_holds_at_one_readout_only_says_so():
    results = made_up(noise=0.03)
    worse = (results.scores["readout"] == "analysis") & (results.scores["method"] == "prompt-tuned")
    pairwise = 0.5 + (results.scores["pairwise"] - 0.5) * np.where(worse, 0.6, 1)
    found = judged("C1", changed(results, "scores", pairwise=pairwise))
    assert (found.verdict, found.readout, found.elsewhere) == (SUPPORTED, "best", {"decoding, analysis": NOT_SUPPORTED})


@pytest.mark.parametrize(
    "values",
    [{"participants": 1}, {"tasks": ("ner",)}, {"noise": 0.0, "participants": 2}, {"permutations": 0}, {"seeds": 2}],
    ids=str,
)
def test_every_claim_gets_a_verdict_without_nan(values):
    ledger = claims.judge(made_up(**values))
    assert [v.claim for v in ledger.verdicts] == list(claims.CLAIMS)
    for v in ledger.verdicts:
        numbers = [v.finding.estimate, v.finding.low, v.finding.p, *(v.power or {}).values()]
        assert v.sentence and "nan" not in v.sentence.replace("inan", "")
        assert all(number is None or np.isfinite(number) for number in numbers)
    assert all("nan" not in told for e in ledger.evidence.values() for told in claims.background(e))


def test_luck_of_seeds_widens_the_interval():
    calm, rough = (judged("C7", made_up(seeds=3, luck=luck, noise=0.02)).finding for luck in (0.0, 0.3))
    assert rough.high - rough.low > 3 * (calm.high - calm.low)


def test_each_brain_is_judged_alone_and_their_effects_are_combined():
    one, two = made_up(noise=0.03), made_up({(None, None): -0.4}, brain="alice2016", seed=1)
    study = Study.make({"brains": ["simulated", "alice2016"]})
    names = ("scores", "null", "closeness")
    both = replace(one, study=study, **{name: pd.concat([getattr(one, name), getattr(two, name)]) for name in names})
    ledger = claims.judge(both)
    assert [ledger.of(brain)[1].verdict for brain in study.brains] == [SUPPORTED, NOT_SUPPORTED]
    found = meta_analysis.overall(ledger)
    assert found.n == 2 and found.low < found.estimate < found.high and "further data set" in found.sentence
    assert "two brain data sets" in meta_analysis.overall(claims.judge(one)).sentence


@pytest.mark.slow
class TestCalibration:
    """With 200 studies and a true rate of 5 % or less, the observed one is below 9.6 % (99.9 %)."""

    FEW: ClassVar = {"tasks": TASKS[:4], "regions": ("language",), "participants": 6}

    def rate(self, claim, verdict, **values):
        evidence = [claims.evidence(made_up(**self.FEW | values, seed=1000 + i), "simulated")[0] for i in range(200)]
        return np.mean([claims.CLAIMS[claim](claim, e).verdict == verdict for e in evidence])

    @pytest.mark.parametrize("claim", ["C1", "C2"])
    def test_neither_method_is_called_worse_where_it_is_not(self, claim):
        assert self.rate(claim, NOT_SUPPORTED, noise=0.2) < 0.096

    @pytest.mark.parametrize(("claim", "effect"), [("C1", {("wsd", None): -0.1}), ("C2", {(None, None): -0.1})])
    def test_a_loss_of_the_margin_is_seldom_called_none(self, claim, effect):
        assert self.rate(claim, SUPPORTED, effect=effect) < 0.096

    def test_tuning_is_seldom_said_to_help_where_it_does_not(self):
        assert self.rate("C7", SUPPORTED, tuning=0, noise=0.2) < 0.096


def test_the_verdicts_are_written_and_read_back(tmp_path):
    study = Study.make({"runs": str(tmp_path)})
    claims.write(study, claims.judge(made_up(noise=0.03)))
    kept = json.loads(claims.ledger_file(study).read_text(encoding="utf-8"), parse_constant=pytest.fail)  # no NaN
    brain = kept["brains"]["simulated"]
    assert kept["margin"] == study.margin and brain["simulated"] and list(brain["claims"]) == list(claims.CLAIMS)
    assert brain["claims"]["C2"]["verdict"] == SUPPORTED and brain["decoded"] == ["language", "visual"]
    assert checks.read_summary(study).startswith("claims: simulated (simulated): C1 ")


def test_every_claim_has_its_words():
    assert list(claims.WORDS) == list(claims.CLAIMS)
    for words in claims.WORDS.values():
        assert {"paper", "test", "rule", SUPPORTED, NOT_SUPPORTED, INCONCLUSIVE} <= set(words)
        assert set(words.get("brief", claims.VERDICTS)) == set(claims.VERDICTS)


def test_the_task_table_finds_the_planted_gain_on_every_task():
    table = claims.task_table(claims.judge(made_up({(None, None): 0.5})))
    assert set(table["task"]) == set(TASKS) and (table["better"] == "yes").all()
    assert (table["low"] < table["difference"]).all() and (table["difference"] < table["high"]).all()
