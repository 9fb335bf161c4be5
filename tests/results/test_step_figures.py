"""What the notebooks show of single steps: marked tokens, folds, and figures with nothing to draw."""

import re
from html import unescape

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest

from braintune.core.study import Study
from braintune.datasets.brains.base import Stimuli
from braintune.datasets.tasks import NO_ANSWER, TASKS
from braintune.models.inputs import encode
from braintune.neural.folds import make_folds
from braintune.results import step_figures, style
from tiny_models import bert_tokenizer

WORDS = ("the", "bank", "by", "river", "closed", "where", "was", "it", "?")


def marked(task, row, labels=()):
    """Return the marked tokens of a row with their notes."""
    tokenizer = bert_tokenizer(WORDS)
    encoded = encode(TASKS[task], [row], labels, tokenizer, 64)
    shown = step_figures.model_input(encoded.features[0], tokenizer, labels)
    return [(unescape(token), note) for token, note in re.findall(r"<mark>(.*?)<sub>(.*?)</sub></mark>", shown.data)]


class TestModelInput:
    def test_the_tokens_of_each_span_carry_its_number(self):
        row = {"sentence1": "the river", "sentence2": "by the river", "index1": 1, "index2": 2, "label": "same"}
        assert marked("wsd", row, ("same",)) == [("river", "1"), ("river", "2")]
        pair = {"premise": "the bank", "hypothesis": "closed", "label": "a"}
        assert marked("nli", pair, ("a",)) == [("the", "1"), ("bank", "1"), ("closed", "2")]

    def test_the_first_token_of_a_word_carries_its_tag(self):
        row = {"tokens": ["the", "bank", "xy"], "tags": ["B-NP", "I-NP", "O"]}
        assert marked("chunking", row, ("B-NP", "I-NP", "O")) == [("the", "B-NP"), ("bank", "I-NP"), ("x", "O")]

    def test_an_answer_is_marked_and_a_question_without_one_has_none(self):
        row = {"context": "the bank by the river", "question": "where ?", "answers": []}
        unanswered = dict(marked("qa", row, (NO_ANSWER,)))
        assert unanswered["[CLS]"].split() == ["2", "answer"]
        row["answers"] = [{"text": "the river", "answer_start": 12}]
        assert [token for token, note in marked("qa", row) if "answer" in note] == ["the", "river"]

    def test_text_from_data_is_escaped(self):
        assert "<b>" not in step_figures.show_tokens(["<b>", "a"], ["<b>", ""]).data


def test_a_map_of_folds_has_a_row_for_each_and_leaves_the_gap_of_a_story_out():
    stimuli = Stimuli([f"s{i}" for i in range(24)], [f"word {i}" for i in range(24)], np.arange(24), contiguous=True)
    study = Study.make({"blocks": 3, "gap": 1, "inner_folds": 2})
    folds = make_folds(stimuli, "grouped", study)
    figure = step_figures.fold_map(folds, fold=1)
    outer, inner = (axes.collections[0].get_array().reshape(-1, 24) for axes in figure.axes)
    assert [len(outer), len(inner)] == [3, 2]
    assert outer[1].tolist() == [1] * 7 + [0] + [2] * 8 + [0] + [1] * 7
    assert not inner[:, outer[1] != 1].any()


def test_the_best_penalty_is_filled_in_both_panels():
    figure = step_figures.fit_by_penalty([0.1, 1, 10], {"scale-free": [0, 2, 1], "squared-error": [-3, -2, -1]})
    assert [axes.lines[1].get_xdata().item() for axes in figure.axes] == [1, 10]


@pytest.mark.parametrize("figure", [step_figures.null_histogram([], 0.1, "margin"), step_figures.cosine_by_layer({})])
def test_what_is_missing_is_named(figure):
    assert style.why_nothing(figure)
