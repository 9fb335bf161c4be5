"""Voxelwise encoding against scikit-learn, ceilings against their definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.preprocessing import StandardScaler
from small_brains import ALPHAS, make_stimuli
from test_ridge import slow_scale_free

from braintune.core.base import BraintuneError
from braintune.core.study import Representation, Study
from braintune.datasets.brains.base import BrainData
from braintune.datasets.brains.registry import load_brain
from braintune.neural import encoding
from braintune.neural.folds import make_folds

STUDY = Study.make({"device": "cpu", "n_folds": 4, "n_alphas": 5, "blocks": 4, "gap": 1})


def story(n_participants=4, n=60, voxels=6, contiguous=True, seed=0):
    """Participants who share a response to a story, each with noise of its own; one dead voxel."""
    rng = np.random.default_rng(seed)
    embedding = rng.normal(size=(n, 5))
    shared = embedding @ rng.normal(size=(5, voxels))
    responses = {f"P{i}": {"a": (shared + 2 * rng.normal(size=shared.shape))} for i in range(n_participants)}
    for one in responses.values():
        one["a"][:, 0] = 3
    brain = BrainData(
        "story",
        tuple(responses),
        ("a",),
        {"a": "a"},
        make_stimuli(n, contiguous=contiguous),
        True,
        responses.__getitem__,
    )
    return brain, embedding


@pytest.mark.parametrize("select", ["scale-free", "squared-error"])
@pytest.mark.parametrize(("d", "v"), [(5, 7), (90, 7), (12, 1), (3, 200)])
def test_equals_scikit_learn(d, v, select):
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(50, d)) + 2
    responses = embedding @ rng.normal(size=(d, v)) + 3 * rng.normal(size=(50, v))
    folds = make_folds(make_stimuli(50), "shuffled", STUDY)
    expected, target = np.zeros(v), StandardScaler().fit_transform(responses)
    for train, test, inner in folds:
        scaler = StandardScaler().fit(embedding[train])
        known = scaler.transform(embedding[train])
        if select == "squared-error":
            alpha = RidgeCV(ALPHAS * d).fit(known, target[train]).alpha_
        else:
            alpha = ALPHAS[slow_scale_free(known, target[train], inner, ALPHAS * d).argmax()] * d
        ridge = Ridge(alpha).fit(known, target[train])
        predicted = ridge.predict(scaler.transform(embedding[test])).reshape(len(test), v)
        expected += [np.corrcoef(predicted[:, i], target[test, i])[0, 1] / len(folds) for i in range(v)]
    found = encoding.encode(embedding, {"a": responses, "b": responses[:, ::-1]}, folds, ALPHAS, select)
    np.testing.assert_allclose(found["a"], expected, atol=1e-4)
    np.testing.assert_allclose(found["b"], expected[::-1], atol=1e-4)


def test_noise_is_not_predicted_and_dead_voxels_are_zero():
    rng = np.random.default_rng(0)
    responses = rng.normal(size=(80, 300))
    responses[:, 7] = 0.1
    folds = make_folds(make_stimuli(80), "shuffled", STUDY)
    found = encoding.encode(rng.normal(size=(80, 10)), {"a": responses}, folds, ALPHAS)["a"]
    assert found[7] == 0 and abs(found.mean()) < 0.05


def test_faults():
    folds = make_folds(make_stimuli(16), "shuffled", STUDY)
    with pytest.raises(BraintuneError, match=r"region of shape \(11, 4\): allowed are finite values, 16 stimuli"):
        encoding.encode(np.ones((16, 3)), {"region": np.ones((11, 4))}, folds, ALPHAS)
    with pytest.raises(BraintuneError, match=r"embedding of shape .*finite"):
        encoding.encode(np.full((16, 3), np.nan), {"a": np.ones((16, 4))}, folds, ALPHAS)
    small = make_folds(make_stimuli(11), "shuffled", STUDY)
    with pytest.raises(BraintuneError, match="a fold tests 2 stimuli; correlating needs 3"):
        encoding.encode(np.ones((11, 3)), {"a": np.ones((11, 4))}, small, ALPHAS)


@given(st.integers(2, 6), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_the_ceiling_leaves_its_own_participant_out(n_participants, seed):
    brain, _ = story(n_participants, seed=seed)
    scaled = [StandardScaler().fit_transform(brain.load(name)["a"]) for name in brain.participants]
    for i, own in enumerate(scaled):
        others = np.mean([values for j, values in enumerate(scaled) if j != i], axis=0)
        expected = [np.corrcoef(own[:, v], others[:, v])[0, 1] for v in range(1, 6)]
        found = encoding.story_ceiling(brain, brain.participants[i])["a"]
        np.testing.assert_allclose(found, [0, *expected], atol=1e-9)


def test_only_stories_of_several_participants_have_a_ceiling():
    assert set(encoding.story_ceiling(story()[0], "P1")) == {"a"}
    assert encoding.story_ceiling(story(contiguous=False)[0], "P1") is None
    assert encoding.story_ceiling(story(n_participants=1)[0], "P0") is None


def test_a_participants_table():
    brain, embedding = story()
    untuned = Representation("untuned", "untuned")
    table = encoding.encode_participant(STUDY, brain, "P1", {untuned: np.stack([embedding * 0 + 1, embedding])})
    assert list(table["folds"]) == ["shuffled", "grouped"] and set(table["voxels"]) == {6}
    assert (table["correlation"] > 0.3).all()
    np.testing.assert_allclose(table["ceiling"], encoding.story_ceiling(brain, "P1")["a"].mean())
    plain = encoding.encode_participant(STUDY, story(contiguous=False)[0], "P1", {untuned: embedding[None]})
    assert list(plain["folds"]) == ["shuffled"] and plain["ceiling"].isna().all()


def test_listeners_share_their_responses(shared_data, monkeypatch):
    monkeypatch.setenv("BRAINTUNE_DATA", str(shared_data))
    brain = load_brain(Study.make({"brains": ["alice2016"]}), "alice2016")
    ceilings = [np.mean(encoding.story_ceiling(brain, name)["language"]) for name in brain.participants[:4]]
    assert np.mean(ceilings) > 0.05
