"""Absolute scores beside controls, what is missing, and the matrix of verdicts, on made-up results."""

import re

import numpy as np
import pytest

from braintune.core.study import Study
from braintune.results import answer, claims, prose, style, tables
from made_up_results import made_up


def results_of(brain="alice2016", **changes):
    return made_up({(None, None): 0.5}, noise=0.02, brain=brain, study=Study.make({"brains": [brain]}), **changes)


def test_scores_are_means_over_participants_beside_controls_and_permuted_labels():
    found = results_of()
    table = answer.scores_beside_controls(found).set_index("representation")
    assert list(table.index[:3]) == ["untuned", *tables.ARMS] and {"length", "passage", answer.PERMUTED} <= {
        *table.index
    }
    rows = tables.judged(found.primary)
    values = rows[rows["method"] == "prompt-tuned"].groupby("participant")["pairwise"].mean()
    row = table.loc["prompt-tuned"]
    assert (row["mean"], row["low"], row["high"]) == pytest.approx((values.mean(), *style.t_interval(values)))
    assert table.loc[answer.PERMUTED, "mean"] == pytest.approx(0.5, abs=0.01)
    summary = answer.score_summary(found).set_index("representation")
    assert list(summary) == ["8 listeners to a story, language"]
    assert summary.loc["prompt-tuned"].item().startswith(f"{values.mean():.3f} (")
    alone = answer.score_summary(results_of(participants=1)).set_index("representation")
    assert re.fullmatch(r"0\.\d{3}", alone.loc["untuned"].item()), "one participant has no interval"


def test_what_a_recorded_run_lacks_is_named():
    bare = results_of(permutations=0, readouts=("analysis",))
    assert answer.missing(bare) == ["encoding", "best", "permuted", "permuted tuned", "layers"]
    assert answer.missing(results_of(encoding=True)) == ["layers"]
    assert answer.scores_beside_controls(bare, "encoding").empty
    assert set(answer.missing(bare)) == set(prose.SENTENCES["missing"])


def test_the_matrix_has_real_brains_first_and_every_claim():
    own, real = claims.judge(made_up()), claims.judge(results_of())
    columns = answer.columns_of(own, real)
    assert [heading for heading, *_ in columns] == ["8 listeners to a story (recorded)", "8 simulated participants"]
    table = answer.verdict_matrix(columns)
    assert len(table) == 2 * len(claims.CLAIMS)
    closed = answer.verdict_matrix(answer.columns_of(own, claims.judge(results_of(controls={"length": 1.0}))))
    assert "no evidence" in set(closed["verdict"]) and claims.NO_EVIDENCE not in set(closed["verdict"])
    html = answer.matrix(columns, "Nothing & more").data
    assert html.count("<span class='verdict ") == len(table) and "Nothing &amp; more" in html
    assert [heading for heading, *_ in answer.columns_of(real, own)] == ["8 listeners to a story"], (
        "a real run is alone"
    )


def test_an_effect_is_written_in_the_unit_of_its_claim():
    verdicts = {v.claim: v for v in claims.judge(results_of()).verdicts}
    assert re.fullmatch(r"[+−]\d+ % \([+−]?\d+ to [+−]?\d+\)", answer.effect_text(verdicts["C2"].finding, "C2"))
    assert re.match(r"[+−]0\.\d{3} \(", answer.effect_text(verdicts["C4"].finding, "C4"))
    assert answer.effect_text(claims.statistics.cannot("too few"), "C1") == ""


def test_a_number_that_rounds_to_zero_has_no_sign():
    assert [style.signed(x, ".1f") for x in (-0.04, 0.04, -0.06)] == ["0.0", "0.0", "−0.1"]
    shown = prose.show(claims.pd.DataFrame({"x": [-0.0001], "p": [0.0004], "p_margin": [np.nan]})).data
    assert re.findall("<td>(.*?)</td>", shown) == ["0.000", "&lt;0.001", "–"]
    names = ["untuned", "ner_fine-tuned_seed-0", "ner_fine-tuned_seed-1"]
    assert tables.readable(names) == ["untuned", "ner, fine-tuned, seed 0", "ner, fine-tuned, seed 1"]
    assert tables.readable(names[:2]) == ["untuned", "ner, fine-tuned"]
