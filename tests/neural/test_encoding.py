"""Encoding against scikit-learn, its ceiling against the definition."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV
from sklearn.preprocessing import StandardScaler
from small_brains import ALPHAS, make_brain, make_stimuli, make_study
from test_ridge import slow_scale_free

from braintune.core.base import BraintuneError
from braintune.core.study import Representation, Study
from braintune.datasets.brains.registry import load_brain
from braintune.neural import encoding
from braintune.neural.folds import make_folds
from braintune.neural.grams import gram_matrices

STUDY = make_study(blocks=4, gap=1)
UNTUNED = Representation("untuned", "untuned")


def story(n_participants=4, n=60, voxels=6, contiguous=True, seed=0):
    """Participants who share a response to a story, each with further noise; one dead voxel."""
    rng = np.random.default_rng(seed)
    embedding = rng.normal(size=(n, 5))
    shared = embedding @ rng.normal(size=(5, voxels))
    responses = {f"P{i}": {"a": (shared + 2 * rng.normal(size=shared.shape))} for i in range(n_participants)}
    for one in responses.values():
        one["a"][:, 0] = 3
    return make_brain(responses, make_stimuli(n, contiguous=contiguous), "story"), embedding


def targets(*responses):
    return gram_matrices(responses, least=1)


def pooled(predicted, truth):
    """Correlation over stimuli and voxels, each voxel centred."""
    p, t = predicted - predicted.mean(0), truth - truth.mean(0)
    return (p * t).sum() / np.sqrt((p**2).sum() * (t**2).sum())


def slow(embedding, target, folds, select):
    """scikit-learn's prediction of every fold, and the correlation."""
    scores, d = [], embedding.shape[1]
    for train, test, inner, _ in folds:
        scaler = StandardScaler().fit(embedding[train])
        known = scaler.transform(embedding[train])
        if select == "squared-error":
            alpha = RidgeCV(ALPHAS * d).fit(known, target[train]).alpha_
        else:
            alpha = ALPHAS[slow_scale_free(known, target[train], inner, ALPHAS * d).argmax()] * d
        predicted = Ridge(alpha).fit(known, target[train]).predict(scaler.transform(embedding[test]))
        scores.append(pooled(predicted.reshape(len(test), -1), target[test]))
    return scores


@pytest.mark.parametrize("select", ["scale-free", "squared-error"])
@pytest.mark.parametrize(("d", "v"), [(5, 7), (90, 7), (12, 1), (3, 200)])
def test_equals_scikit_learn(d, v, select):
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(50, d)) + 2
    responses = embedding @ rng.normal(size=(d, v)) + 3 * rng.normal(size=(50, v))
    folds = make_folds(make_stimuli(50), "shuffled", STUDY)
    found, *_ = encoding.encode([embedding], targets(responses, responses[::-1]), folds, ALPHAS, select)
    for place, values in enumerate((responses, responses[::-1])):
        expected = slow(embedding, StandardScaler().fit_transform(values), folds, select)
        np.testing.assert_allclose(found["correlation"][:, place, 0], expected, atol=1e-4)


def test_nuisance_is_regressed_out_of_both_sides_by_the_training_stimuli():
    rng = np.random.default_rng(4)
    nuisance, embedding = rng.normal(size=(60, 2)), rng.normal(size=(60, 8))
    responses = embedding @ rng.normal(size=(8, 3)) + 4 * nuisance @ rng.normal(size=(2, 3))
    embedding += nuisance @ rng.normal(size=(2, 8))
    folds = make_folds(replace(make_stimuli(60), nuisance=nuisance), "shuffled", STUDY)
    found, *_ = encoding.encode([embedding], targets(responses), folds, ALPHAS)
    standard = StandardScaler().fit_transform(responses)
    for fold, score in zip(folds, found["correlation"][:, 0, 0], strict=True):
        both = np.hstack([standard, embedding])
        left = both - LinearRegression().fit(nuisance[fold.train], both[fold.train]).predict(nuisance)
        plain = slow(left[:, 3:], left[:, :3], [fold._replace(nuisance=None)], "scale-free")
        assert score == pytest.approx(plain[0], abs=1e-4)


def test_without_standardising_dimensions_keep_their_scale():
    rng = np.random.default_rng(3)
    embedding = rng.normal(size=(60, 8)) * np.geomspace(0.01, 10, 8) + 100
    responses, folds = embedding @ rng.normal(size=(8, 2)), make_folds(make_stimuli(60), "shuffled", STUDY)
    found, *_ = encoding.encode([embedding], targets(responses), folds, ALPHAS, standardise=False)
    target = StandardScaler().fit_transform(responses)
    for (train, test, *_), choice, score in zip(
        folds, found["choice"][:, 0, 0].astype(int), found["correlation"][:, 0, 0], strict=True
    ):
        known = embedding[train] - embedding[train].mean(0)
        alpha = ALPHAS[choice] * (known**2).sum() / len(train)
        predicted = Ridge(alpha).fit(known, target[train]).predict(embedding[test] - embedding[train].mean(0))
        assert score == pytest.approx(pooled(predicted, target[test]), abs=1e-4)


def test_permuted_labels_and_readouts_repeat_the_whole_analysis():
    rng = np.random.default_rng(1)
    layers = [rng.normal(size=(48, d)) for d in (8, 20, 70)]
    responses = layers[1] @ rng.normal(size=(20, 3)) + 4 * rng.normal(size=(48, 3))
    folds, orders = make_folds(make_stimuli(48), "shuffled", STUDY), np.array([rng.permutation(48) for _ in range(3)])
    readouts = [np.array([0, 1, 2]), np.array([2])]
    scores, null, _ = encoding.encode(layers, targets(responses), folds, ALPHAS, "scale-free", orders, readouts)
    assert scores["correlation"][:, 0, 1].mean() > scores["correlation"][:, 0, 0].mean()
    for order, found in zip(orders, null, strict=True):
        direct, *_ = encoding.encode(layers, targets(responses[order]), folds, ALPHAS)
        best = direct["fit"][:, 0].argmax(1)
        assert found[0, 0] == pytest.approx(np.mean(direct["correlation"][range(4), 0, best]), abs=1e-5)
        assert found[0, 1] == pytest.approx(direct["correlation"][:, 0, 2].mean(), abs=1e-5)


def test_the_influence_of_stimuli_is_the_derivative_of_the_correlation():
    """Leaving one test stimulus out of a fold changes the correlation as its influence says."""
    rng = np.random.default_rng(2)
    embedding = rng.normal(size=(160, 10))
    responses = embedding @ rng.normal(size=(10, 4)) + 4 * rng.normal(size=(160, 4))
    folds = make_folds(make_stimuli(160), "shuffled", STUDY)
    inner, readout = targets(responses), [np.array([0])]
    scores, _, influence = encoding.encode([embedding], inner, folds, ALPHAS, readouts=readout, by_stimulus=True)
    for number, fold in enumerate(folds):
        whole = scores["correlation"][number, 0, 0]
        assert influence[0, 0, fold.test].mean() == pytest.approx(whole, abs=1e-5)
        for left_out in fold.test[:5]:
            rest = fold._replace(test=np.setdiff1d(fold.test, left_out))
            without = encoding.encode([embedding], inner, [rest], ALPHAS)[0]["correlation"][0, 0, 0]
            moved = (len(fold.test) - 1) * (whole - without)  # jackknife
            assert influence[0, 0, left_out] - whole == pytest.approx(moved, abs=0.15 * abs(moved) + 0.03)


def test_noise_is_not_predicted_and_dead_voxels_count_for_nothing():
    rng = np.random.default_rng(0)
    responses = rng.normal(size=(80, 300))
    responses[:, 7] = 0.1
    folds, embedding = make_folds(make_stimuli(80), "shuffled", STUDY), rng.normal(size=(80, 10))
    with_dead, without = (
        encoding.encode([embedding], targets(values), folds, ALPHAS)[0]["correlation"]
        for values in (responses, np.delete(responses, 7, 1))
    )
    np.testing.assert_allclose(with_dead, without, atol=1e-5)
    assert abs(without.mean()) < 0.05


def test_faults():
    folds = make_folds(make_stimuli(16), "shuffled", STUDY)
    wrong = {
        r"embedding of shape \(11, 3\): allowed are finite values \[16 stimuli": np.ones((11, 3)),
        r"embedding of shape .*finite": np.full((16, 3), np.nan),
    }
    for message, layer in wrong.items():
        with pytest.raises(BraintuneError, match=message):
            encoding.encode([layer], targets(np.eye(16)), folds, ALPHAS)
    small = make_folds(make_stimuli(11), "shuffled", STUDY)
    with pytest.raises(BraintuneError, match="a fold tests 2 stimuli; correlating needs 3: lower n_folds"):
        encoding.encode([np.eye(11)], targets(np.eye(11)), small, ALPHAS)


@given(st.integers(2, 6), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_the_ceiling_leaves_its_own_participant_out(n_participants, seed):
    brain, _ = story(n_participants, seed=seed)
    scaled = [StandardScaler().fit_transform(brain.load(name)["a"]) for name in brain.participants]
    found = encoding.story_ceiling(brain).set_index("participant")["ceiling"]
    for i, own in enumerate(scaled):
        others = np.mean([values for j, values in enumerate(scaled) if j != i], axis=0)
        expected = [np.corrcoef(own[:, v], others[:, v])[0, 1] for v in range(1, 6)]
        assert found[f"P{i}"] == pytest.approx(np.mean([0, *expected]))


def test_only_stories_of_several_participants_have_a_ceiling():
    assert list(encoding.story_ceiling(story()[0])["region"]) == ["a"] * 4
    assert encoding.story_ceiling(story(contiguous=False)[0]) is None
    assert encoding.story_ceiling(story(n_participants=1)[0]) is None


def test_the_tables_of_a_brain():
    brain, embedding = story()
    layers = {UNTUNED: np.stack([embedding[:, ::-1] * 0 + np.arange(5), embedding])}
    scores, null, groups = encoding.encode_brain(make_study(blocks=4, gap=1, permutations=20), brain, layers)
    assert set(scores["folds"]) == {"grouped"} and len(scores) == 4 * 4 * 2 and groups.empty
    assert (scores.query("layer == 1").groupby("participant")["correlation"].mean() > 0.3).all()
    assert (scores.query("layer == 0")["correlation"] == 0).all()
    assert list(null.query("permutation == -1")["participant"].unique()) == list(brain.participants)
    drawn = null[null["permutation"] >= 0]
    assert len(drawn) == 2 * 20 and abs(drawn["correlation"].mean()) < 0.15
    means = null[null["permutation"] == -1].groupby("readout")["correlation"].mean()
    np.testing.assert_allclose(drawn.groupby("readout")["correlation"].mean(), means, atol=1e-9)


def test_permutations_that_do_not_fit_into_memory_are_left_out_with_a_warning(monkeypatch):
    folds, orders = make_folds(make_stimuli(16), "shuffled", STUDY), np.tile(np.arange(16), (9, 1))
    assert len(encoding.fitting_orders(orders, 5, folds, torch.device("cpu"))) == 9
    monkeypatch.setitem(encoding.MOST_BYTES, "cpu", 4 * 5 * (12 * 13 // 2 + 12 * 4) * 4)
    with pytest.warns(UserWarning, match="permutations: 3 of 9 are used for encoding.*with 5 regions"):
        assert len(encoding.fitting_orders(orders, 5, folds, torch.device("cpu"))) == 3


def test_groups_of_stimuli_are_the_units_of_a_single_participant():
    brain, embedding = story(n_participants=1, n=60)
    scores, _, groups = encoding.encode_brain(STUDY, brain, {UNTUNED: embedding[None]})
    assert groups["group"].nunique() == 20 and set(groups["readout"]) == {"best", "analysis"}
    means = groups.groupby("readout")["correlation"].mean()
    np.testing.assert_allclose(means, scores["correlation"].mean(), atol=1e-6)


def test_listeners_share_their_responses(shared_data, monkeypatch):
    monkeypatch.setenv("BRAINTUNE_DATA", str(shared_data))
    brain = load_brain(Study.make({"brains": ["alice2016"]}), "alice2016")
    ceiling = encoding.story_ceiling(brain)
    assert ceiling.loc[ceiling["region"] == "language", "ceiling"].mean() > 0.05
