"""Folds and permutations by property."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_brains import decode_one, make_stimuli, make_study, shuffled

from braintune.core.base import BraintuneError
from braintune.datasets.brains.base import Stimuli
from braintune.neural.folds import make_folds, permutations, topics


def check_folds(folds, groups, gap=0):
    """Every stimulus is tested once; what belongs together, or is within the gap, is never on both sides; same inside."""
    n = len(groups)
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(n))
    for train, test, inner, _ in folds:
        assert sorted(np.concatenate([tested for _, tested in inner])) == list(range(len(train)))
        for kept, tested in [(train, test), *((train[k], train[t]) for k, t in inner)]:
            assert not set(groups[kept]) & set(groups[tested]) and (np.diff(kept) > 0).all()
            assert np.abs(kept[:, None] - tested).min() > gap


@given(st.integers(20, 60), st.integers(2, 5), st.integers(2, 4), st.integers(0, 50))
@settings(max_examples=30, deadline=None)
def test_shuffled_folds_test_every_stimulus_once(n, n_folds, inner_folds, seed):
    folds = shuffled(n, n_folds=n_folds, inner_folds=inner_folds, fold_seed=seed)
    check_folds(folds, np.arange(n))
    assert [len(fold.inner) for fold in folds] == [inner_folds] * n_folds
    assert all(len(fold.train) + len(fold.test) == n for fold in folds)
    sizes = [len(fold.test) for fold in folds]
    assert max(sizes) - min(sizes) <= 1


@given(st.lists(st.integers(3, 6), min_size=5, max_size=20), st.integers(2, 5), st.integers(0, 50))
@settings(max_examples=30, deadline=None)
def test_grouped_folds_never_split_a_passage(sizes, n_folds, seed):
    passage = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    stimuli = make_stimuli(len(passage), passage)
    folds = make_folds(stimuli, "grouped", make_study(n_folds=n_folds, inner_folds=2, fold_seed=seed))
    check_folds(folds, passage)
    tested = [len(fold.test) for fold in folds]
    assert max(tested) - min(tested) <= max(sizes)


@given(st.integers(60, 99), st.integers(2, 6), st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_story_blocks_keep_their_distance(n, blocks, gap):
    folds = make_folds(make_stimuli(n, contiguous=True), "grouped", make_study(blocks=blocks, gap=gap))
    check_folds(folds, np.arange(n), gap)
    for train, test, *_ in folds:
        assert (np.diff(test) == 1).all() and np.abs(train[:, None] - test).min() == gap + 1


@given(st.sampled_from(["shuffled", "grouped", "story"]), st.integers(0, 50))
@settings(max_examples=30, deadline=None)
def test_equal_sentences_are_never_on_both_sides(design, seed):
    rng = np.random.default_rng(seed)
    text = rng.integers(0, 80, 96)
    sentences = [f"  It is\t{t}. " if i % 2 else f"it IS {t}" for i, t in enumerate(text)]
    passage = None if design == "story" else np.repeat(np.arange(24), 4)
    stimuli = make_stimuli(96, passage, contiguous=design == "story", sentences=sentences)
    study = make_study(fold_seed=seed, n_folds=3, blocks=4)
    check_folds(make_folds(stimuli, "shuffled" if design == "shuffled" else "grouped", study), text)


def test_stimuli_of_the_same_sentences_are_the_same_text_in_any_order():
    sentences = [
        f"{what} {k % 12}." for k in range(24) for what in (("It is", "She saw") if k < 12 else ("she saw", "IT IS"))
    ]
    stimuli = Stimuli([f"trial {k}" for k in range(24)], sentences, np.repeat(np.arange(24), 2))
    check_folds(make_folds(stimuli, "shuffled", make_study(n_folds=3, inner_folds=2)), np.arange(24) % 12)


def test_the_leave_one_out_error_is_refused_where_nuisance_is_regressed_out():
    stimuli = replace(make_stimuli(20), nuisance=np.arange(20.0)[:, None])
    with pytest.raises(BraintuneError, match=r"select: squared-error.*nuisance: \[\]"):
        make_folds(stimuli, "shuffled", make_study(select="squared-error"))


@pytest.mark.parametrize("design", ["shuffled", "grouped"])
def test_repeated_sentences_are_not_decoded_by_their_identity(design):
    """Forty sentences, three times each; voxels know which sentence it was, and nothing of what it says."""
    accuracy = {True: [], False: []}
    for seed in range(4):
        rng = np.random.default_rng(seed)
        text = rng.permutation(np.repeat(np.arange(40), 3))
        voxels = (rng.normal(size=(40, 60))[text] + rng.normal(size=(120, 60))).astype(np.float32)
        embedding = rng.normal(size=(40, 20))[text]
        for aware, found in accuracy.items():
            sentences = [f"sentence {t}" for t in text] if aware else None
            stimuli = make_stimuli(120, np.arange(120) // 3, sentences=sentences)
            folds = make_folds(stimuli, design, make_study(n_folds=5, inner_folds=3, fold_seed=seed))
            found.append(decode_one(voxels, embedding, folds)["pairwise"].mean())
    assert np.mean(accuracy[False]) > 0.75
    assert np.mean(accuracy[True]) == pytest.approx(0.5, abs=0.05)


def test_designs_that_do_not_exist():
    assert make_folds(make_stimuli(30), "grouped", make_study()) is None
    assert len(make_folds(make_stimuli(40, topic=np.arange(40) // 5), "grouped", make_study())) == 4


@pytest.mark.parametrize(
    ("stimuli", "design", "message"),
    [
        (make_stimuli(30, np.arange(30) // 10), "grouped", r"4 folds of whole groups.*there are 3; allowed.*2 … 3"),
        (
            make_stimuli(30, np.arange(30) // 6),
            "grouped",
            r"4 inner folds .* there are 3; allowed for inner_folds are 2 … 3",
        ),
        (make_stimuli(30, np.arange(30) // 15), "grouped", r"there are 2; too few for any: set designs: \[shuffled\]"),
        (
            make_stimuli(9, sentences=["Yes."] * 9),
            "shuffled",
            "4 folds .* different texts, and there are 1; .*add stimuli",
        ),
        (make_stimuli(6), "shuffled", "6 stimuli are too few for 4 folds"),
        (make_stimuli(9), "shuffled", "too few for 4 folds.*lower n_folds, inner_folds, blocks or gap"),
        (make_stimuli(40, contiguous=True), "grouped", "40 stimuli are too few for 2 folds.*gap"),
    ],
)
def test_too_few_stimuli_or_groups(stimuli, design, message):
    with pytest.raises(BraintuneError, match=message):
        make_folds(stimuli, design, make_study(blocks=2, gap=30))


def test_permutations_move_what_folds_keep_together():
    passage = np.random.default_rng(0).permutation(np.repeat(np.arange(8), 3))
    study = make_study(permutations=30, gap=2)
    kinds = {
        "single": (make_stimuli(24), "shuffled"),
        "passages": (make_stimuli(24, passage), "grouped"),
        "story": (make_stimuli(24, contiguous=True), "grouped"),
    }
    orders = {kind: permutations(*what, study) for kind, what in kinds.items()}
    for kind, what in kinds.items():
        assert (np.sort(orders[kind], 1) == np.arange(24)).all()
        np.testing.assert_array_equal(orders[kind], permutations(*what, study))
        assert len(np.unique(orders[kind], axis=0)) > 25
    for order in orders["passages"]:
        assert all(len(set(passage[order[passage == p]])) == 1 for p in range(8))
    for order in orders["story"]:
        step = set(np.diff(order) % 24)
        assert step == {23} or (step == {1} and min(order[0], 24 - order[0]) > 2)
    text = np.random.default_rng(1).permutation(np.repeat(np.arange(8), 3))
    repeated = make_stimuli(24, sentences=[f"sentence {t}" for t in text])
    for order in permutations(repeated, "shuffled", study):  # labels of one text stay together
        assert all(len(set(text[order[text == t]])) == 1 for t in range(8))
    many = permutations(*kinds["story"], make_study(permutations=999))
    assert len(np.unique(many, axis=0)) == len(many) < 48
    assert permutations(*kinds["single"], make_study()).shape == (0, 24)


def test_pairs_are_grouped_by_topic_where_there_is_one():
    passage, topic = np.repeat(np.arange(6), 2), np.repeat(["a", "b", "c"], 4)
    np.testing.assert_array_equal(topics(make_stimuli(12, passage, topic)), np.repeat(np.arange(3), 4))
    np.testing.assert_array_equal(topics(make_stimuli(12, passage)), passage)
    assert topics(make_stimuli(12)) is None
