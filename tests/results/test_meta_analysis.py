"""All brain data sets together: what enters the combined answer, and how it is combined."""

import re
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects

from braintune.core.study import Study
from braintune.results import claims, meta_analysis, prose, score_figures, statistics, style
from braintune.results.tables import ALL
from made_up_results import TASKS, made_up, of_an_average, of_several

READERS, LISTENERS, AVERAGE = "pereira2018-exp1", "alice2016", "tuckute2024-average"


@pytest.fixture(scope="module")
def ledger():
    """Readers (+30 %) and an average (-30 %) of three seeds in both directions; in listeners nothing is decoded."""
    shared = {"encoding": True, "seeds": 3, "tasks": ("ner", "wsd", "nli", "qa")}
    return claims.judge(
        of_several(
            made_up({(None, None): 0.3}, brain=READERS, **shared),
            made_up({(None, None): 0.3}, brain=LISTENERS, controls={"length": 1.0}, seed=1, **shared),
            of_an_average(made_up({(None, None): -0.3}, brain=AVERAGE, participants=1, seed=2, **shared)),
        )
    )


def rows(table, **where):
    return table[np.logical_and.reduce([table[name] == value for name, value in where.items()])]


@pytest.mark.parametrize("direction", ["decoding", "encoding"])
def test_the_combined_effect_is_that_of_statsmodels_over_the_sets_with_a_say(ledger, direction):
    known = [meta_analysis.effects(ledger, direction, "best")[brain] for brain in (READERS, AVERAGE)]
    estimates, errors = ([value(e) for e in known] for value in (lambda e: e.estimate, lambda e: e.error[0]))
    found = combine_effects(np.array(estimates), np.square(errors), method_re="iterated", use_t=True)
    frame = found.summary_frame().loc[["random effect", "random effect wls"]]
    half = stats.t.ppf(0.975, 1) * frame["sd_eff"].max()
    expected = frame["eff"].iloc[0] + np.array([0, -half, half])
    row = rows(meta_analysis.answer_table(ledger), direction=direction, readout="best", brain=ALL).iloc[0]
    assert row[["difference", "low", "high"]].to_numpy(dtype=float) == pytest.approx(expected)
    assert row["lowest"] < row["low"] and row["high"] < row["highest"] and row["n"] == 2
    whole = meta_analysis.overall(ledger, direction)
    assert (whole.estimate, whole.low, whole.high) == pytest.approx(tuple(expected))


def test_sets_that_happen_to_agree_are_no_surer_than_their_own_errors():
    found = statistics.combined([0.04, 0.04, 0.0401], [0.04, 0.05, 0.045], 0.05)
    least = stats.t.ppf(0.975, 2) / np.sqrt(np.sum(1 / np.square([0.04, 0.05, 0.045])))
    assert found.high - found.estimate == pytest.approx(least, rel=1e-3)


def test_an_effect_is_that_of_its_claim_and_a_closed_brain_has_no_say(ledger):
    table = meta_analysis.answer_table(ledger)
    assert len(table) == 2 * 2 * (3 + 1)
    readers = rows(table, direction="decoding", readout="best", brain=READERS).iloc[0]
    e = ledger.evidence[READERS]
    low, high = e.difference(e.region).interval(ledger.study.fdr)
    assert (readers["difference"], readers["low"], readers["high"]) == pytest.approx(
        (e.difference(e.region).estimate, low, high)
    )
    assert readers["difference"] == pytest.approx(0.3, abs=0.1) and readers["who"] == "8 readers of concept words"
    closed = rows(table, brain=LISTENERS)
    assert len(closed) == 4 and closed["difference"].isna().all() and closed["closed"].str.contains("length").all()
    assert LISTENERS not in meta_analysis.effects(ledger, "encoding", "analysis")


def test_the_units_of_an_average_are_groups_of_stimuli(ledger):
    row = rows(meta_analysis.answer_table(ledger), direction="encoding", readout="best", brain=AVERAGE).iloc[0]
    assert (row["n"], row["over"], row["who"]) == (20, "group of stimuli", "average over readers of 1,000 sentences")
    assert row["low"] < row["difference"] < row["high"] < 0


def test_each_data_set_task_and_seed_is_left_out(ledger):
    table = rows(meta_analysis.sensitivity(ledger), direction="decoding", readout="best").set_index("without")
    tasks = [f"task {task}" for task in ("ner", "wsd", "nli", "qa")]
    assert list(table.index) == tasks + [f"seed {seed}" for seed in ledger.study.seeds], "two sets are needed"
    open_ = [e for e in ledger.first("decoding") if not e.closed]
    fewer = [e.difference(e.region, ["wsd", "nli", "qa"]) for e in open_]
    assert table["difference"][tasks[0]] == meta_analysis.combine(fewer, ledger.study).estimate
    whole = meta_analysis.overall(ledger).estimate
    assert table["difference"][tasks].mean() == pytest.approx(whole, rel=0.05) and table["difference"].nunique() > 2
    without = [replace(e.difference(e.region), values=e.difference(e.region).values[:, 1:]) for e in open_]
    assert table["difference"]["seed 0"] == pytest.approx(meta_analysis.combine(without, ledger.study).estimate)
    third = of_several(
        *(made_up({(None, None): gain}, brain=brain, seed=seed) for seed, (brain, gain) in
          enumerate({READERS: 0.3, LISTENERS: 0.1, "pereira2018": 0.2}.items()))
    )  # fmt: skip
    left_out = rows(meta_analysis.sensitivity(claims.judge(third)), direction="decoding", readout="best")
    names = [READERS, LISTENERS, "pereira2018"]
    assert left_out["without"].tolist() == names + [f"task {task}" for task in TASKS], "one seed is not left out"
    assert left_out.set_index("without")["difference"][names].idxmin() == READERS


def test_the_score_that_is_not_judged_is_shown_beside_the_one_that_is():
    effects = {READERS: 0.3, LISTENERS: 0.1}
    both = of_several(*(made_up({(None, None): gain}, brain=brain) for brain, gain in effects.items()))
    both.scores["margin"] = np.where(both.scores["method"] == "prompt-tuned", 0.05, both.scores["margin"])
    judged = claims.judge(both)
    table = meta_analysis.by_score(judged, both).set_index(["who", "score"])
    known = meta_analysis.effects(judged, "decoding", "best")
    assert table.loc[("8 readers of concept words", "pairwise accuracy"), "difference"] == known[READERS].estimate
    whole = table.loc["2 data sets combined"]["difference"]
    assert whole["matching margin"] < 0 < whole["pairwise accuracy"] == meta_analysis.overall(judged).estimate
    words = meta_analysis.by_score_summary(judged, both)
    assert list(words) == ["brain data", "pairwise accuracy", "matching margin"] and len(words) == 3
    closed = of_several(*(made_up(controls={"length": 1.5}, brain=brain) for brain in effects))
    assert meta_analysis.by_score_summary(claims.judge(closed), closed).empty


def test_one_data_set_is_not_combined():
    study = Study.make({"brains": [READERS]})
    alone = claims.judge(made_up({(None, None): 0.3}, brain=READERS, study=study))
    assert meta_analysis.overall(alone).estimate is None and meta_analysis.overall(alone, "encoding").n == 0
    assert meta_analysis.sensitivity(alone).empty
    whole = rows(meta_analysis.answer_table(alone), brain=ALL)
    assert whole["difference"].isna().all() and set(whole["direction"]) == {"decoding"}
    assert set(meta_analysis.answer_summary(alone)["note"]) == {"", "two data sets are needed"}


class TestInWords:
    def test_the_answer_names_each_direction_with_its_numbers(self, ledger):
        said = prose.combined_answer(ledger)
        for direction in ("decoding", "encoding"):
            found = meta_analysis.overall(ledger, direction)
            numbers = f"is {found.estimate:+.1%} ({found.low:+.1%} to {found.high:+.1%})".replace("-", "−")
            beginning = f"{direction.capitalize()}, 2 brain data sets combined: the difference, "
            assert f"{beginning}prompt-tuned minus fine-tuned, {numbers}" in said
        further = f"expected to lie between {found.further[0]:+.1%} and {found.further[1]:+.1%}."
        assert further.replace("-", "−") in said

    def test_what_cannot_be_combined_is_said_plainly(self):
        study = Study.make({"brains": [READERS]})
        said = prose.combined_answer(claims.judge(made_up(brain=READERS, study=study)))
        assert said.startswith("Decoding results cannot be combined: this needs at least two brain data sets that")
        assert "and 1 of 1 allow one" in said
        assert said.endswith("Encoding is not included in these results.")

    def test_tables_give_effects_in_percent_over_their_units(self, ledger):
        table = meta_analysis.answer_summary(ledger).set_index(["analysis", "brain data"])
        row = table.loc[("encoding, best layer", "average over readers of 1,000 sentences")]
        assert row["units"] == "20 groups of stimuli"
        assert re.fullmatch(r"−\d+\.\d% \(−\d+\.\d% to −\d+\.\d%\)", row["prompt-tuned minus fine-tuned"])
        closed = table.loc[("decoding, best layer", "8 listeners to a story")]
        assert pd.isna(closed["prompt-tuned minus fine-tuned"]) and "length" in closed["note"]
        combined = table.xs("2 data sets combined", level="brain data")["note"]
        assert combined.str.fullmatch(r"expected in a further data set: .\d+\.\d% to .\d+\.\d%").all() and len(combined)
        assert meta_analysis.sensitivity_summary(ledger)["left out"].str.match("(task|seed) ").all()


class TestForest:
    def test_every_set_has_a_row_a_marker_where_its_effect_is_and_its_numbers(self, ledger):
        answers = meta_analysis.answer_table(ledger)
        figure = score_figures.forest(answers, 0.1)
        assert [axes.get_title(loc="left") for axes in figure.axes] == [
            "decoding: from brain to sentence", "encoding: from sentence to brain",
        ]  # fmt: skip
        for axes, direction in zip(figure.axes, ("decoding", "encoding"), strict=True):
            shown = rows(answers, direction=direction, readout="best")
            names = [text.get_text().replace("\n", " ") for text in axes.texts if text.get_ha() == "left"]
            assert names == shown["who"].tolist() and names[-1] == "2 data sets combined"
            markers = [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "s"]
            sets = shown[(shown["brain"] != ALL) & shown["difference"].notna()]
            assert markers == pytest.approx(sets["difference"].tolist())
            words = {text.get_text() for text in axes.texts}
            assert {
                "no evidence possible",
                *(style.percent_text(r.difference, r.low, r.high) for r in sets.itertuples()),
            } <= words
            diamond, whole = axes.patches[-1].get_path().vertices, shown.iloc[-1]
            assert (diamond[:, 0].min(), diamond[:, 0].max()) == pytest.approx((whole["low"], whole["high"]))

    def test_lines_that_leave_the_picture_end_in_an_arrow(self, ledger):
        answers = meta_analysis.answer_table(ledger)
        wide = answers.assign(highest=answers["highest"].where(answers["brain"] != ALL, 9.0))
        axes = score_figures.forest(wide, 0.1).axes[0]
        edge = axes.get_xlim()[1]
        arrows = [line for line in axes.lines if line.get_marker() == ">"]
        assert len(arrows) == 1 and edge < 1 and arrows[0].get_xdata()[0] == pytest.approx(edge)

    def test_where_the_best_layer_is_missing_the_other_readout_is_drawn(self, ledger):
        answers = meta_analysis.answer_table(ledger)
        axes = score_figures.forest(answers[answers["readout"] == "analysis"], 0.1).axes[0]
        assert len([text for text in axes.texts if text.get_ha() == "left"]) == 4

    def test_names_and_numbers_do_not_meet_on_the_width_of_a_phone(self, ledger):
        figure = score_figures.forest(meta_analysis.answer_table(ledger), 0.1)
        figure.draw_without_rendering()
        assert figure.get_figwidth() * 96 <= 342  # CSS pixels beside the margins of a page of 390
        for axes in figure.axes:
            boxes = [text.get_window_extent() for text in axes.texts]
            assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))

    def test_without_any_conclusion_the_reason_is_given(self):
        nothing = meta_analysis.answer_table(claims.judge(made_up(signal=0.0)))
        assert "anything be concluded" in style.why_nothing(score_figures.forest(nothing, 0.1))

    @pytest.mark.parametrize(
        ("numbers", "text"),
        [
            ((0.03, -0.012, 0.07), "+3 % (−1 to +7)"),
            ((-0.1, np.nan, np.nan), "−10 %"),
            ((0.001, -0.004, 0.204), "0 % (0 to +20)"),
        ],
    )
    def test_effects_are_written_in_whole_percent(self, numbers, text):
        assert style.percent_text(*numbers) == text
