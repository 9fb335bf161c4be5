"""The simulated studies that calibration rests on: what is planted is there, and nothing else."""

from dataclasses import replace

import calibrate
import numpy as np
import pytest
from calibrate import SCENARIOS, Each, Scenario

from braintune.results import claims, tables
from braintune.results.claims import NO_EVIDENCE
from braintune.results.claims import NOT_SUPPORTED as SHOWN
from braintune.results.tables import ARMS
from made_up_results import made_up

FEW = {"passages": 12, "topics": 12, "permutations": 20}


@pytest.fixture
def small(monkeypatch):
    """Studies of few sentences and permutations, of a model that is made up."""
    base = np.random.default_rng(0).standard_normal((48, 24)).astype(np.float32)
    whole = calibrate.small_study
    monkeypatch.setattr(calibrate, "untuned", lambda: base)
    monkeypatch.setattr(calibrate, "small_study", lambda *given: whole(*given).model_copy(update=FEW))
    monkeypatch.setattr(calibrate, "story", lambda *given, story=calibrate.story: story(*given, n=48, people=3))


@pytest.mark.parametrize("level", ["brain", "story"])
def test_an_empty_brain_is_at_chance_and_gives_no_evidence(level, small):
    found = calibrate.participants(3, level, signal=0.0)
    assert found.primary["pairwise"].mean() == pytest.approx(0.5, abs=0.05)
    assert set(found.scores["kind"]) == {"untuned", "tuned", "control"} and set(found.scores["readout"]) == set(
        tables.READOUTS
    )
    verdicts = {v.claim: v.verdict for v in claims.judge(replace(found, study=claims.Study())).verdicts}
    assert verdicts["C1"] == verdicts["C2"] == NO_EVIDENCE


def test_a_brain_codes_what_it_is_given(small):
    def by_task(share):
        rows = calibrate.participants(0, "brain", signal=3.0, syntax_share=share, content=2.0).primary
        return rows[rows["region"] == "language"].groupby("task")["pairwise"].mean()

    concept, syntax = by_task(0.0), by_task(1.0)
    assert concept["wsd"] - concept["chunking"] > 0.02 + syntax["wsd"] - syntax["chunking"]


def test_a_study_is_its_number(small):
    one, again, other = (calibrate.participants(k, "story", signal=1.0).primary for k in (1, 1, 2))
    assert one.equals(again) and not one["pairwise"].equals(other["pairwise"])
    assert set(one.loc[one["kind"] == "tuned", "method"]) == set(ARMS)


def test_rates_power_and_coverage_of_a_few_studies(monkeypatch, capsys):
    monkeypatch.setattr(calibrate, "PARTICIPANTS", (5,))
    monkeypatch.setattr(calibrate, "DIFFERENCES", (0.0, 0.4))
    each = Each(share=0.005, cores=2)
    lost = Scenario("lost", "table", {"effect": {(None, None): -0.4}}, {"C1": (("supported",), 0.05)}, {"C2": SHOWN})
    found = calibrate.rates(each, [*[s for s in SCENARIOS if s.level == "table"][:2], lost])
    rates, right = found["rates"], found["found"]
    assert rates["rate"].between(0, 1).all() and set(rates["studies"]) == {2}
    assert rates.iloc[-1]["rate"] == 0 and right[["claim", "rate"]].to_numpy().tolist() == [["C2", 1.0]]
    power = calibrate.power(each).set_index("difference")
    assert power.loc[0.4, ["C2 supported", "C2 not supported"]].tolist() == [1, 1]
    coverage = calibrate.coverage(each)
    assert set(coverage["participants"]) == {5, 0} and coverage["coverage"].between(0, 1).all()
    assert "studies" in capsys.readouterr().out


def test_the_rules_are_the_same_in_both_directions():
    """The rates of tables are those of encoding as well as of decoding: equal scores get equal verdicts."""
    everything = claims.evidence(made_up(noise=0.2, tuning=0.05, seed=4, encoding=True), "simulated")
    given = {
        (e.direction, e.readout): [rule(claim, e).verdict for claim, rule in claims.CLAIMS.items()] for e in everything
    }
    assert {direction for direction, _ in given} == {"decoding", "encoding"}
    assert len({tuple(verdicts) for verdicts in given.values()}) == 1


def test_the_number_of_processes_changes_nothing():
    one, two = (Each(share=0.01, cores=cores) for cores in (1, 2))
    job = calibrate.partial(calibrate.verdicts, SCENARIOS[0])
    assert one(job, 400, "one") == two(job, 400, "two")
