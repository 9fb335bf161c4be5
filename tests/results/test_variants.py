"""The comparison of variants: effects, verdicts and methods as the runs have them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from braintune.core.base import BraintuneError
from braintune.core.sweep import Sweep
from braintune.results import claims, meta_analysis, style, tables, variants
from made_up_results import made_up, of_several

BRAINS = ("pereira2018-exp1", "alice2016")


@pytest.fixture(scope="module")
def results():
    found = {"base": made_up(), "better": made_up(effect={(None, None): 0.4}), "nothing": made_up(signal=0.0)}
    return {name: replace(of, tuned=of.tuned.assign(parameters=10, seconds=2.5)) for name, of in found.items()}


@pytest.fixture(scope="module")
def ledgers(results):
    return {name: claims.judge(of) for name, of in results.items()}


@pytest.fixture(scope="module")
def effects(ledgers):
    return variants.effects(ledgers)


def test_every_claim_of_every_variant_has_its_effect(ledgers, effects):
    assert set(effects["claim"]) == {*claims.CLAIMS, "answer, decoding"}
    for name, ledger in ledgers.items():
        rows = effects[effects["variant"] == name].set_index("claim")
        for verdict in ledger.verdicts:
            assert rows.loc[verdict.claim, "verdict"] == verdict.verdict
            wanted = np.nan if verdict.finding.estimate is None else verdict.finding.estimate
            assert np.array_equal(rows.loc[verdict.claim, "estimate"], wanted, equal_nan=True)
    answers = effects[effects["claim"] == "answer, decoding"].set_index("variant")["estimate"]
    assert answers["better"] > answers["base"] + 0.2 and np.isnan(answers["nothing"])
    table = variants.verdict_table(effects).set_index("variant")
    assert table.loc["better", "C1"] == claims.SUPPORTED and table.loc["nothing", "C1"] == claims.NO_EVIDENCE


def test_methods_are_compared_with_the_untuned_model(results):
    table = variants.methods(results)
    assert len(table) == 9
    base = table[table["variant"] == "base"].set_index("method")
    assert base.loc["fine-tuned", ["trained parameters", "seconds of tuning"]].tolist() == [10, 2]
    assert np.isnan(base.loc["untuned", "task score"])
    own = results["base"].primary
    own = own[(own["region"] == "language") & (own["method"] == "fine-tuned")]
    assert base.loc["fine-tuned", "decoding accuracy"] == pytest.approx(own["pairwise"].mean())


def test_the_forest_has_a_panel_a_claim_and_a_row_a_variant(effects):
    figure = variants.forest(effects, 0.1)
    assert len(figure.axes) == len(claims.CLAIMS) + 1
    for axes in figure.axes:
        assert [label.get_text() for label in axes.get_yticklabels()] == ["base", "better", "nothing"]
    assert "no evidence possible" in {text.get_text() for axes in figure.axes for text in axes.texts}


@pytest.fixture(scope="module")
def on_brains():
    """Ledgers of two variants on two brain data sets each; fine-tuning is the same in both, and prompts differ."""

    def ledger(effect):
        brains = [made_up({(None, None): effect}, brain=name, seed=k, encoding=True) for k, name in enumerate(BRAINS)]
        results = of_several(*brains)
        tuned = results.tuned.assign(score=0.8 + (results.tuned["method"] == "prompt-tuned") * effect / 10)
        return claims.judge(replace(results, tuned=tuned))

    return {"base": ledger(0.1), "short": ledger(-0.3)}


def test_each_way_of_tuning_is_combined_over_brains_and_compared_with_the_untuned_model(on_brains):
    found = variants.method_effects(on_brains)
    differing = found[found["estimate"].notna()]
    assert set(differing["n"]) == {2} and (differing["low"] < differing["estimate"]).all()
    assert len(found) - len(differing) == 2, "fine-tuning is that of the base, in both directions"
    rows = found[found["direction"] == "decoding"].set_index(["variant", "method", "reference"])["estimate"]
    assert set(rows.index) == {
        ("base", "fine-tuned", "untuned"),
        ("short", "fine-tuned", variants.BASE),
        ("short", "prompt-tuned", variants.BASE),
        *((name, "prompt-tuned", other) for name in ("base", "short") for other in ("untuned", "fine-tuned")),
    }, "fine-tuning is the same in both variants, and is listed once"
    assert rows["base", "fine-tuned", "untuned"] == pytest.approx(0.2, abs=0.1)
    assert rows["base", "prompt-tuned", "fine-tuned"] == pytest.approx(0.1, abs=0.1)
    assert rows["short", "prompt-tuned", "untuned"] == pytest.approx(-0.1, abs=0.1)
    answers = {v: meta_analysis.overall(ledger).estimate for v, ledger in on_brains.items()}
    assert rows["short", "prompt-tuned", "fine-tuned"] == pytest.approx(answers["short"])


def test_a_variant_is_paired_with_the_base(on_brains):
    found = variants.method_effects(on_brains).set_index(["variant", "method", "direction", "reference"])
    here = found.loc["short", "prompt-tuned", "decoding"]
    assert here.loc[variants.BASE, "estimate"] == pytest.approx(-0.4, abs=0.1)
    of_base = found.loc["base", "prompt-tuned", "decoding"]
    change = here["estimate"] - of_base["estimate"]
    assert here.loc[variants.BASE, "estimate"] == pytest.approx(change["untuned"], abs=0.02)


def test_a_brain_with_other_participants_or_seeds_is_not_paired(on_brains):
    (e, *_), (other, *_) = (ledger.first("decoding") for ledger in on_brains.values())
    assert variants._is_paired(e, other)
    for changed in (replace(e.cube, units=e.cube.units[:-1]), replace(e.cube, kind="group of stimuli")):
        assert not variants._is_paired(replace(e, cube=changed), other)
    assert not variants._is_paired(replace(e, design="shuffled"), other)


def test_each_way_of_tuning_is_one_row_in_words_with_a_column_a_reference(on_brains, results):
    against = variants.method_effects(on_brains)
    methods = pd.concat([variants.methods(results).assign(variant=name) for name in on_brains])
    table = variants.in_words(against, methods).set_index(["variant", "method", "direction"])
    assert list(table) == [
        "task score",
        "closeness",
        "tasks learned",
        *("minus " + name for name in variants.REFERENCES),
    ]
    cell = table.loc[("short", "prompt-tuned", "decoding"), "minus the base"]
    row = against.set_index(["variant", "method", "direction", "reference"])
    row = row.loc["short", "prompt-tuned", "decoding", variants.BASE]
    assert cell == f"{row['estimate']:+.1%} ({row['low']:+.1%} to {row['high']:+.1%})".replace("-", "−")
    assert pd.isna(table.loc[("base", "prompt-tuned", "decoding"), "minus the base"])
    assert set(table["tasks learned"]) == {against["tasks"].str.split(", ").map(len).max()}
    tested = variants.in_words(against.assign(permutation=0.2), methods)
    assert tested["minus untuned"].dropna().str.endswith("), p = 0.200").all()
    nothing = variants.in_words(against.assign(estimate=np.nan), methods)
    assert nothing.empty


def test_ways_of_tuning_are_named_by_method_and_what_differs_from_the_base(on_brains):
    figure = variants.method_forest(variants.method_effects(on_brains), 0.1)
    panels = [axes for axes in figure.axes if axes.get_title("left")]
    titles = {f"{direction}, minus {reference}" for direction in tables.SCORE for reference in variants.REFERENCES}
    assert {axes.get_title("left") for axes in panels} == titles
    names = [label.get_text() for label in panels[0].get_yticklabels()]
    assert names == ["fine-tuned", "prompt-tuned", "prompt-tuned, short"]


def test_a_variant_with_the_same_models_but_other_results_is_kept_and_named(on_brains):
    found = variants.method_effects(on_brains)
    other = found[found["variant"] == "base"].assign(variant="layer-3", estimate=lambda table: table["estimate"] + 0.1)
    closed = pd.concat([found[found["variant"] == "base"].assign(estimate=np.nan), other], ignore_index=True)
    names = {label.get_text() for label in variants.method_forest(closed, 0.1).axes[0].get_yticklabels()}
    assert names == {"fine-tuned, layer-3", "prompt-tuned, layer-3"}, "the base, in which nothing is decoded, has none"


def test_with_one_brain_the_effects_are_those_of_its_participants(ledgers):
    table = variants.method_effects(ledgers)
    found = table[table["direction"] == "decoding"].set_index(["variant", "method", "reference"])
    (e,) = ledgers["better"].first("decoding")
    alone = e.against("prompt-tuned", "fine-tuned", e.region, e.learned)
    row = found.loc["better", "prompt-tuned", "fine-tuned"]
    assert row["estimate"] == alone.estimate and row["n"] == len(e.cube.units)
    assert (row["low"], row["high"]) == alone.interval(0.05) and row["permutation"] == alone.permuted
    assert 0 < found.loc["better", "prompt-tuned", variants.BASE]["permutation"] <= 1
    same = found.loc["better", "fine-tuned", variants.BASE]
    assert np.isnan(same["estimate"]), "fine-tuning is that of the base"
    assert not style.why_nothing(variants.method_forest(table, 0.1))


def test_where_a_single_brain_allows_no_conclusion_nothing_is_compared(ledgers):
    found = variants.method_effects({"nothing": ledgers["nothing"]})
    assert found["estimate"].isna().all()
    assert "no brain data set, or only one of several" in style.why_nothing(variants.method_forest(found, 0.1))


def test_unfinished_variants_are_listed_with_the_reason(tmp_path, monkeypatch):
    sweep = Sweep.load("ablation")
    monkeypatch.setattr(Sweep, "missing", {"length-1": "not there"})
    table = variants.overview(sweep, {"quick": None}).set_index("variant")
    assert table.loc["quick", "state"] == "finished" and table.loc["length-5", "parameters"] == "prefix_length: 5"
    assert table.loc["trained", "parameters"].startswith("methods: fine-tuned, upper-half, ")
    assert table.loc["quick", "parameters"] == (
        "the base: prefix_length: 20; prefix_init: normal; prompt_layers: all; methods: fine-tuned, prompt-tuned"
    )
    assert table.loc["length-1", "state"] == "left out: not there"
    assert table.loc["length-5", "state"] == "left out: not finished"
    monkeypatch.setattr(claims, "ledger_file", lambda study: tmp_path / "none")
    with pytest.raises(
        BraintuneError, match=r"'quick', the base of 'ablation', is not finished, and .* `make sweep SWEEP=ablation`"
    ):
        variants.read(sweep)
