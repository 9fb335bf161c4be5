"""The simulated studies that calibration rests on: what is planted is there, and nothing else."""

import calibrate
import numpy as np
import pytest
from calibrate import Chain, Each, Truth

from braintune.core.study import Study
from braintune.results import claims
from braintune.results.claims import INCONCLUSIVE
from braintune.results.tables import ARMS


def mean_difference(truth, count=30):
    drawn = (calibrate.draw_tables(truth, np.random.default_rng([k, 0]))[0] for k in range(count))
    means = [at.groupby("method")["pairwise"].mean() for at in drawn]
    return np.mean([m["prompt-tuned"] - m["fine-tuned"] for m in means])


class TestTables:
    @pytest.mark.parametrize("planted", [0.0, 0.03])
    def test_the_planted_difference_is_there(self, planted):
        assert mean_difference(Truth(difference=planted)) == pytest.approx(planted, abs=0.004)

    def test_concept_tasks_gain_and_prompt_tuned_models_stay_closer(self):
        at_layer, closeness, _ = calibrate.draw_tables(Truth(50, concept=0.05, closeness=0.3), np.random.default_rng(0))
        means = at_layer.groupby("task")["pairwise"].mean()
        assert means[["wsd", "coreference"]].mean() - means["chunking"] == pytest.approx(0.05, abs=0.01)
        close = closeness.groupby("method")["spearman"].mean()
        assert close["prompt-tuned"] - close["fine-tuned"] == pytest.approx(0.3, abs=0.06)

    def test_luck_is_shared_by_all_participants(self):
        at_layer, *_ = calibrate.draw_tables(Truth(luck=0.05), np.random.default_rng(0))
        wide = at_layer.pivot_table(index=["participant", "region"], columns=["task", "method"], values="pairwise")
        assert wide.mean().std() > 0.03

    def test_they_are_what_the_claims_are_judged_on(self):
        verdicts = calibrate.verdicts_of(
            calibrate.draw_tables(Truth(participants=5, seeds=2), np.random.default_rng(0))
        )
        assert set(verdicts) == set(claims.CLAIMS)


class TestChain:
    @pytest.fixture(scope="class")
    def base(self):
        return np.random.default_rng(0).standard_normal((192, 24))

    def test_a_brain_codes_what_it_is_given(self, base):
        def by_task(share):
            at_layer, *_ = calibrate.chain_study(Chain(syntax_share=share, content=2.0), base, 0)
            return at_layer[at_layer["region"] == "language"].groupby("task")["pairwise"].mean()

        concept, syntax = by_task(0.0), by_task(1.0)
        assert concept["wsd"] > concept["chunking"] + 0.1
        assert syntax["chunking"] > syntax["wsd"] + 0.1

    def test_an_empty_brain_is_at_chance_and_every_claim_about_it_open(self, base):
        found = calibrate.chain_study(Chain(signal=0.0), base, 3)
        assert found[0]["pairwise"].mean() == pytest.approx(0.5, abs=0.03)
        verdicts = calibrate.verdicts_of(found)
        assert verdicts["C1"] == verdicts["C2"] == INCONCLUSIVE

    def test_both_arms_are_alike_and_a_study_is_its_number(self, base):
        run = calibrate.chain_run(Chain(), 1)
        one, again, other = (calibrate.representations(Chain(), run, base, [k, 0]) for k in (1, 1, 2))
        names = [key for key in one if key.method in ARMS]
        assert len(names) == 2 * len(Study().tasks)
        assert all((one[key] == again[key]).all() and (one[key] != other[key]).any() for key in names)


def test_rates_power_and_coverage_of_a_few_studies(monkeypatch, capsys):
    monkeypatch.setattr(calibrate, "PARTICIPANTS", (5,))
    monkeypatch.setattr(calibrate, "DIFFERENCES", (0.0, 0.05))
    monkeypatch.setitem(calibrate.SCENARIOS, "chain", ())
    each = Each(share=0.002, cores=2)
    rates = calibrate.rates("table", each)
    assert rates["rate"].between(0, 1).all() and set(rates["claim"]) == set(claims.CLAIMS)
    power = calibrate.power(each)
    assert power.set_index("difference").loc[0.05, "found"] == 1
    coverage = calibrate.coverage(each)
    assert set(coverage["interval"]) >= set(calibrate.INTERVALS) and coverage["coverage"].between(0, 1).all()
    assert "studies" in capsys.readouterr().out


def test_the_number_of_processes_changes_nothing():
    truth = Truth(participants=5)
    one, two = (Each(share=0.004, cores=cores) for cores in (1, 2))
    job = calibrate.partial(calibrate._study, truth, None)
    assert one(job, 1000, "one") == two(job, 1000, "two")
