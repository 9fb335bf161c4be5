import re
import warnings

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from braintune.core.base import BraintuneError
from braintune.core.store import read_json
from braintune.core.study import Study
from braintune.datasets.brains import simulated
from braintune.results import brain_maps, claims, figures, score_figures, style, tables
from braintune.workflow.book.origins import Origins
from made_up_results import made_up

SMALL = {"topics": 4, "passages": 8, "sentences_per_passage": 2, "voxels_per_region": 10}
TASKS = ("ner", "wsd", "sentiment")


def decoding_table(
    brains=None, methods=tables.ARMS, designs=("shuffled", "grouped"), participants=3, layers=3, tasks=TASKS
):
    """A made-up tidy table of decoding scores: prompt-tuned is 0.02 above fine-tuned."""
    rng = np.random.default_rng(0)
    tuned = [(f"{t}_{m}_seed-0", "tuned", t, m, 0) for t in tasks for m in methods]
    everything = [("untuned", "untuned", "", "", -1), *tuned, ("passage", "control", "", "", -1)]
    rows = [
        (brain, f"S{p}", region, *representation, design, layer, fold, 10.0)
        for brain, regions in (brains or {"simulated": ("language", "visual", "IFG")}).items()
        for p in range(participants)
        for region in regions
        for representation in everything
        for layer in range(1 if "control" in representation else layers)
        for design in designs
        for fold in range(2)
    ]
    table = pd.DataFrame(rows, columns=[*tables.MEAN_OVER_FOLDS, "layer", "fold", "alpha"])
    levels = {"untuned": 0.61, "fine-tuned": 0.60, "prompt-tuned": 0.62, "passage": 0.5}
    level = tables.labelled(table)["method"].map(levels)
    level = level + table["participant"].str[1:].astype(int) * 0.01 + rng.normal(0, 1e-6, len(table))
    values = {"pairwise": level, "margin": level - 0.5, "pairwise_strict": level - 0.2, "mse": 1.0, "rank": 0.3}
    return table.assign(**values, pairwise_same_group=level, pairwise_different_group=level, fit=0.0)


def closeness_table(at_layer):
    table = at_layer[["brain", *tables.REPRESENTATION]].drop_duplicates().assign(layer=2)
    levels = {"untuned": 1.0, "fine-tuned": 0.7, "prompt-tuned": 0.9, "passage": 0.1}
    close = tables.labelled(table)["method"].map(levels)
    return table.assign(spearman=close, cka=close, low=close - 0.1, high=close + 0.05)


def tuning_tables(tasks=TASKS, methods=tables.ARMS):
    pairs = [(t, m) for t in tasks for m in methods]
    table = pd.DataFrame(
        [(t, m, 0, "accuracy", 0.8, 0.5, 0.6) for t, m in pairs],
        columns=["task", "method", "seed", "metric", "score", "baseline", "bag_of_words"],
    )
    epochs = [(t, m, 0, e, 1 / e, 0.5 + 0.1 * e) for t, m in pairs for e in (1, 2, 3)]
    return table, pd.DataFrame(epochs, columns=["task", "method", "seed", "epoch", "train_loss", "score"])


def differences():
    """Differences by task where prompt-tuned is better by a fifth of the signal."""
    return claims.task_table(claims.judge(made_up({(None, None): 0.2}, noise=0.01, tasks=TASKS)))


def texts(figure):
    """Every word in a figure."""
    figure.draw_without_rendering()
    found = [t.get_text() for t in figure.findobj(matplotlib.text.Text)]
    return {word for word in found if word}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture
def run(tmp_path):
    return Study.make(SMALL | {"runs": str(tmp_path)})


def every_figure(table, run, tuned):
    at_layer = tables.first_readout(tables.scores(table, run))
    scores, history = tuned
    yield figures.tuning_scores(scores)
    yield figures.learning_curves(history)
    yield score_figures.by_region(at_layer)
    yield score_figures.decoding_by_task(at_layer)
    yield score_figures.difference_map(at_layer)
    yield score_figures.difference_by_task(differences(), run.margin)
    yield score_figures.task_ranking(at_layer)
    yield score_figures.layer_curves(table)
    yield score_figures.leakage(at_layer)
    yield figures.closeness(closeness_table(at_layer))
    yield figures.closeness_by_layer(closeness_table(at_layer))
    yield figures.closeness_and_decoding(at_layer, closeness_table(at_layer))
    yield figures.score_and_decoding(at_layer, scores)


@pytest.mark.parametrize(
    "some",
    [
        {},
        {"participants": 1, "designs": ("shuffled",)},
        {"designs": ("grouped",), "methods": ("prompt-tuned",)},
        {"methods": ()},
        {"layers": 1, "tasks": ("ner",)},
        {"brains": {"pereira2018-exp1": ("whole-brain",), "alice2016": ("language", "LATL")}},
    ],
    ids=["whole", "one participant, one design", "one method", "no method", "one task and layer", "two brains"],
)
def test_every_figure_copes_with_what_there_is_in_one_colour_a_method(some, run):
    tuned = tuning_tables(**{k: v for k, v in some.items() if k in ("tasks", "methods")})
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("error", RuntimeWarning)
        for figure in every_figure(decoding_table(**some), run, tuned):
            assert texts(figure)
            lines = [line for axes in figure.axes for line in axes.get_lines() if line.get_label() in tables.ARMS]
            assert all(line.get_color() == style.COLOURS[line.get_label()] for line in lines)


class TestContent:
    @pytest.fixture
    def at_layer(self, run):
        return tables.first_readout(tables.scores(decoding_table(), run))

    def test_networks_tasks_and_methods_are_named(self, at_layer):
        words = texts(score_figures.decoding_by_task(at_layer))
        assert {*TASKS, *tables.ARMS, "untuned", "one half", "pairwise accuracy"} <= words
        titles = {word.split("\n")[0] for word in words}
        assert {"language", "visual"} <= titles
        assert "IFG" not in titles, "a part of a network is no network"

    def test_the_difference_is_prompt_tuned_minus_fine_tuned(self, at_layer):
        words = texts(score_figures.difference_map(at_layer))
        assert {"+2.0*", "language", "IFG", *TASKS} <= words, "a star: found over participants"

    def test_differences_stand_beside_the_margin(self):
        axes = score_figures.difference_by_task(differences(), 0.1).axes[0]
        assert [label.get_text() for label in axes.get_yticklabels()] == list(TASKS)
        assert axes.lines[1].get_xdata() == pytest.approx([0.2] * len(TASKS), abs=0.03)
        assert "within the margin" in axes.get_legend_handles_labels()[1]
        assert all(label.get_text().endswith(" %") for label in axes.get_xticklabels())

    def test_closeness_is_drawn_task_by_task_with_its_bootstrap_interval(self, at_layer):
        axes = figures.closeness(closeness_table(at_layer)).axes[0]
        assert [label.get_text() for label in axes.get_yticklabels()] == list(TASKS)
        bars = {container.get_label(): container for container in axes.containers}
        assert bars["prompt-tuned"][0].get_xdata() == pytest.approx([0.9] * len(TASKS))
        low, high = bars["prompt-tuned"][2][0].get_segments()[0][:, 0]
        assert (low, high) == pytest.approx((0.8, 0.95))

    def test_closeness_by_layer_shows_both_methods_and_the_controls_that_learned_nothing(self, at_layer):
        rows = closeness_table(at_layer)
        zero = rows[rows["kind"] == "untuned"].assign(representation="zero-prefix", kind="control", spearman=0.98)
        axes = figures.closeness_by_layer(pd.concat([rows, rows.assign(layer=1), zero])).axes[0]
        drawn = {of.get_label(): np.round(np.asarray(of[0].get_ydata(), float), 9).tolist() for of in axes.containers}
        assert drawn == {"fine-tuned": [0.7, 0.7], "prompt-tuned": [0.9, 0.9], "zero-prefix": [0.98]}

    def test_tasks_are_ranked(self, at_layer):
        at_layer.loc[at_layer["task"] == "wsd", "pairwise"] += 0.1
        axes = score_figures.task_ranking(at_layer).axes[0]
        assert axes.get_yticklabels()[0].get_text() == "wsd"
        assert axes.yaxis_inverted()

    def test_every_design_is_shown_where_leakage_is(self, at_layer):
        assert {"shuffled folds", "grouped folds", "passage", "untuned"} <= texts(score_figures.leakage(at_layer))

    def test_intervals_are_t_intervals_over_participants_up_to_1(self):
        low, high = stats.ttest_1samp([0.5, 0.6, 0.7], 0).confidence_interval(0.95)
        assert style.t_interval([0.5, 0.6, 0.7]) == pytest.approx((low, high))
        assert style.t_interval([0.7, 1.0])[1] == 1 and style.t_interval([0.7]) == (0.7, 0.7)

    def test_points_and_bars_are_where_the_participants_are(self, at_layer):
        axes = score_figures.by_region(at_layer).axes[0]
        rows = at_layer[(at_layer["method"] == "fine-tuned") & (at_layer["region"] == "language")]
        values = tables.in_main_design(rows).groupby("participant")["pairwise"].mean()
        drawn = [line for line in axes.lines if line.get_color() == style.COLOURS["fine-tuned"]]
        assert drawn[0].get_xdata()[0] == pytest.approx(values.mean())
        assert [min(drawn[1].get_xdata()), max(drawn[1].get_xdata())] == pytest.approx(style.t_interval(values))

    def test_a_figure_that_cannot_be_says_why(self, run):
        at_layer = tables.scores(decoding_table(methods=("prompt-tuned",)), run)
        assert "nothing to draw: only one tuning method was run" in texts(score_figures.difference_map(at_layer))
        nothing = claims.task_table(claims.judge(made_up(signal=0.0)))
        reason = style.why_nothing(score_figures.difference_by_task(nothing, 0.1))
        assert reason.startswith("nothing is decoded beyond content-free controls")


@pytest.mark.parametrize("draw", [score_figures.by_region, score_figures.layer_curves])
def test_encoding_is_drawn_as_a_correlation_and_its_absence_is_said(draw, run):
    table = decoding_table().rename(columns={"margin": "correlation"}).drop(columns="pairwise")
    rows = tables.first_readout(tables.scores(table, run)) if draw is score_figures.by_region else table
    words = texts(draw(rows, "correlation"))
    assert "correlation of predicted with measured" in words and "one half" not in words
    assert style.NOT_RUN in style.why_nothing(draw(pd.DataFrame(), "correlation"))


def test_power_curves_show_every_verdict_and_number_of_participants():
    power = pd.DataFrame({"participants": [5, 5, 20, 20], "difference": [0.0, 0.1] * 2})
    figure = figures.power_curves(
        power.assign(**{"C1 supported": [0.0, 0.1, 0.2, 0.6], "C7 supported": 0, "studies": 9})
    )
    titles = {"C1 supported\nno task worse", "C7 supported\ntuning helps"}
    assert titles <= texts(figure) and "studies" not in texts(figure)
    lines = {line.get_label(): list(line.get_ydata()) for line in figure.axes[0].lines}
    assert lines["20 participants"] == [0.2, 0.6] and lines["5 participants"] == [0.0, 0.1]


@pytest.mark.slow
class TestBrainMap:
    def test_voxels_show_the_score_of_their_region(self, run):
        data = simulated.simulate(run)
        scores = pd.Series({"language": 0.7, "IFG": 0.9, "visual": 0.4})
        image = brain_maps.region_image(data, scores.clip(lower=tables.CHANCE + 1e-3))
        values = image.get_fdata()
        drawn = {round(float(v), 3): int((np.abs(values - v) < 1e-4).sum()) for v in np.unique(values)}
        assert drawn[0.9] == 10
        assert drawn[0.7] == 70, "the network without its part"
        assert drawn[0.501] == 20, "below chance is drawn as chance"

    def test_one_row_a_method(self, run):
        figure = brain_maps.brain_map(simulated.simulate(run), tables.scores(decoding_table(), run))
        words = texts(figure)
        assert all(f"{method}: pairwise accuracy (grouped folds)" in words for method in ("untuned", *tables.ARMS))

    def test_the_difference_has_both_signs(self, run):
        table = decoding_table()
        worse = (table["region"] == "visual") & (table["method"] == "prompt-tuned")
        table.loc[worse, "pairwise"] -= 0.1
        figure = brain_maps.brain_difference(simulated.simulate(run), tables.scores(table, run))
        assert "prompt-tuned minus fine-tuned pairwise accuracy (grouped folds)" in texts(figure)
        alone = tables.scores(decoding_table(methods=("prompt-tuned",)), run)
        assert "nothing to draw: only one tuning method was run" in texts(
            brain_maps.brain_difference(simulated.simulate(run), alone)
        )

    def test_the_surface_has_one_row_a_method_and_both_sides(self, run):
        figure = brain_maps.brain_surface(simulated.simulate(run), tables.scores(decoding_table(), run))
        picture = np.asarray(figure.axes[0].images[0].get_array())[..., :3].astype(int)
        coloured = np.ptp(picture, axis=-1) > 60  # the cortex is grey
        panels = [half for row in np.array_split(coloured, 3) for half in np.array_split(row, 2, axis=1)]
        assert len(figure.axes) == 2 and all(panel.sum() > 100 for panel in panels)  # the picture, and the colour bar
        assert {"prompt-tuned: pairwise accuracy (grouped folds)", "left, lateral", "right, medial"} <= set(
            texts(figure)
        )

    def test_the_view_is_one_page_without_a_link_to_another_host(self, run):
        data, at_layer = simulated.simulate(run), tables.scores(decoding_table(), run)
        shown = brain_maps.brain_view(data, at_layer, "prompt-tuned").data
        assert "title='simulated, prompt-tuned: pairwise accuracy (grouped folds), by region'" in shown
        assert not re.search(r"(src|href)=.{0,6}https?:", shown) and len(shown) < 3e6
        assert "lora was not decoded" in brain_maps.brain_view(data, at_layer, "lora").data

    def test_unknown_coordinates_are_named(self, run):
        from dataclasses import replace

        data = replace(simulated.simulate(run), coordinates=None)
        words = texts(brain_maps.brain_map(data, tables.scores(decoding_table(), run)))
        assert any("coordinates of the voxels of simulated are unknown" in word for word in words)


class TestKeeping:
    def test_svg_png_and_caption_are_written(self, run):
        figures.draw(run, "tuning-scores", figures.tuning_scores(tuning_tables()[0]))
        svg = run.figure_file("tuning-scores").read_text(encoding="utf-8")
        assert ">prompt-tuned</text>" in svg, "text stays text"
        assert "simulated brain" not in svg, "no brain in it"
        assert run.figure_file("tuning-scores", "png").stat().st_size > 1000
        facts = read_json(run.figure_file("tuning-scores", "json"))
        assert facts["caption"] and facts["alt"] and not facts["simulated"]

    def test_two_drawings_are_identical_and_name_a_simulated_brain_once(self, run, tmp_path):
        at_layer, drawn = tables.scores(decoding_table(designs=("grouped",)), run), []
        measured = Study.make({"runs": str(tmp_path), "profile": "measured", "brains": ["alice2016"]})
        for study, times in ((measured, 1), (run, 2), (run, 2)):
            figure = score_figures.leakage(at_layer)
            for _ in range(times):
                figures.draw(study, "leakage", figure)
            drawn.append(study.figure_file("leakage").read_bytes())
        assert drawn[1] == drawn[2]
        assert [svg.count(b">simulated brain</text>") for svg in drawn] == [0, 1, 1], "a measured brain is not named"

    def test_where_nothing_is_drawn_the_reason_is_kept_and_no_picture(self, run):
        figures.draw(run, "difference", figures.tuning_scores(tuning_tables()[0]))
        figures.draw(run, "difference", style.nothing("only one tuning method was run"))
        facts = read_json(run.figure_file("difference", "json"))
        assert facts["nothing"] == "only one tuning method was run"
        assert not [s for s in ("svg", "png") if run.figure_file("difference", s).exists()]
        drawn_by = {"difference": ("figures", "score_figures.difference_map")}
        block = Origins("run", {"real": "reference"}, True, drawn_by).figure("difference", facts)
        assert (
            block.startswith("*Left out in this run, since only one tuning method was run: ") and "figure}" not in block
        )

    def test_by_hand_nothing_is_written(self, run):
        figures.draw(run, "task-score", figures.tuning_scores(tuning_tables()[0]), save=False)
        assert not run.figure_file("task-score", "json").exists()

    def test_what_is_recorded_is_kept_beside_the_runs_and_names_no_simulated_brain(self, run):
        table = decoding_table(designs=("grouped",))
        figures.draw(run, "leakage", score_figures.leakage(tables.scores(table, run)), source="recorded")
        file = run.root / "shared" / "recorded" / "figures" / "leakage.svg"
        assert file == run.figure_file("leakage", source="recorded") and "simulated brain" not in file.read_text()
        with pytest.raises(BraintuneError, match="unknown source 'record'; known: recorded, run, supplement"):
            figures.draw(run, "leakage", style.nothing("x"), source="record")

    def test_a_dollar_in_a_name_is_a_dollar(self, run):
        figures.draw(run, "tuning-scores", figures.tuning_scores(tuning_tables(tasks=(r"$\frac$",))[0]))
        assert r">$\frac$</text>" in run.figure_file("tuning-scores").read_text(encoding="utf-8")

    def test_every_figure_has_its_words(self, run):
        assert all(words["text"] and words["alt"] for words in figures.CAPTIONS.values())
        with pytest.raises(BraintuneError, match="unknown figure 'bare'; known: tuning-scores"):
            figures.draw(run, "bare", figures.tuning_scores(tuning_tables()[0]))
