import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_predict

from braintune.core.base import BraintuneError
from braintune.core.preprocess import zscore
from braintune.core.study import Representation, Study
from braintune.datasets.brains import simulated
from braintune.datasets.brains.registry import load_brain
from braintune.datasets.microworld import passages
from braintune.models import controls
from braintune.neural import decoding

SMALL = {
    "topics": 8,
    "passages": 60,
    "sentences_per_passage": 3,
    "voxels_per_region": 30,
    "simulated_participants": 3,
    "signal": {"language": 1.0, "DMN": 0.7, "task-positive": 0.4, "visual": 0.0},
}


def study(**values):
    return Study.make(SMALL | values)


def column_scores(x, y):
    """Cross-validated correlation of each column of y with its prediction from x."""
    predicted = cross_val_predict(Ridge(30.0), x, y, cv=5)
    return np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(predicted.T, y.T, strict=True)])


@pytest.fixture(scope="module")
def data():
    return simulated.simulate(study())


@pytest.fixture(scope="module")
def world():
    return passages.stimuli(study())


def test_layout(data, world):
    assert data.simulated
    assert data.participants == ("S01", "S02", "S03")
    assert data.stimuli.sentences == world.sentences
    assert data.stimuli.stimulus_of.tolist() == list(range(180))
    assert not data.stimuli.contiguous
    for group in ("passage", "topic", "position"):
        np.testing.assert_array_equal(getattr(data.stimuli, group), getattr(world, group))
    loaded = data.load("S01")
    sizes = dict.fromkeys(simulated.LANGUAGE_REGIONS, 30) | dict.fromkeys(simulated.NETWORKS, 60) | {"language": 240}
    assert {region: x.shape for region, x in loaded.items()} == {r: (180, sizes[r]) for r in sizes}
    assert {x.dtype for x in loaded.values()} == {np.dtype(np.float32)}
    assert set(loaded) == set(data.regions)
    parts = np.concatenate([loaded[region] for region in simulated.LANGUAGE_REGIONS], axis=1)
    np.testing.assert_array_equal(loaded["language"], parts)


def test_the_same_seed_gives_the_same_brain_whatever_the_others(data):
    again = simulated.simulate(study(simulated_participants=2))
    for region, responses in data.load("S02").items():
        np.testing.assert_array_equal(again.load("S02")[region], responses)
    other = simulated.simulate(study(simulation_seed=8)).load("S02")
    assert not np.allclose(other["visual"], data.load("S02")["visual"])
    assert not np.allclose(data.load("S01")["visual"], data.load("S02")["visual"])


def test_the_signal_does_not_change_the_noise(data):
    loud = simulated.simulate(study(signal={"language": 3.0, "visual": 0.0})).load("S01")
    np.testing.assert_array_equal(loud["visual"], data.load("S01")["visual"])
    quiet = simulated.simulate(study(signal={"language": 0.0})).load("S01")["IFG"]
    np.testing.assert_allclose(loud["IFG"] - quiet, 3 * (data.load("S01")["IFG"] - quiet), atol=1e-4)


def test_what_is_in_comes_out(data, world):
    concepts, loaded = zscore(world.concepts), data.load("S01")
    score = {
        region: column_scores(concepts, loaded[region]).mean() for region in ("IFG", "DMN", "task-positive", "visual")
    }
    assert score["IFG"] > score["DMN"] > score["task-positive"] > 0.1
    assert abs(score["visual"]) < 0.05


def test_syntax_share_decides_what_is_coded(world):
    syntax = zscore(world.syntax)
    scores = []
    for share in (0.0, 1.0):
        responses = simulated.simulate(study(syntax_share=share, signal={"language": 1.0})).load("S01")["AngG"]
        scores.append(column_scores(syntax, responses).mean())
    assert scores[1] > scores[0] + 0.2


def test_signal_has_the_size_that_was_asked_for(data):
    silent = simulated.simulate(study(signal={})).load("S01")
    for region, level in (("PostTemp", 1.0), ("DMN", 0.7), ("task-positive", 0.4), ("visual", 0.0)):
        signal = data.load("S01")[region] - silent[region]
        np.testing.assert_allclose(signal.std(axis=0), level, atol=1e-5)
        assert silent[region].std() == pytest.approx(1, abs=0.03)


def test_a_region_may_differ_from_its_network():
    run = study(signal={"language": 1.0, "IFG": 0.0})
    loaded = simulated.simulate(run).load("S01")
    assert loaded["IFG"].std() == pytest.approx(1, abs=0.03)
    assert loaded["MFG"].std() > 1.3


def test_participants_see_the_stimuli_alike(data):
    upper = np.triu_indices(180, 1)
    rdm = {p: {r: 1 - np.corrcoef(x)[upper] for r, x in data.load(p).items()} for p in ("S01", "S02")}
    alike = {region: np.corrcoef(rdm["S01"][region], rdm["S02"][region])[0, 1] for region in ("language", "visual")}
    assert alike["language"] > 0.4
    assert abs(alike["visual"]) < 0.05


def test_weights_are_shared_in_part():
    """Averaged over stimuli there is nothing to share, but voxels of one place answer alike across participants."""
    run = study(signal={"language": 5.0})
    one, two = (simulated.simulate(run).load(p)["IFG"] for p in ("S01", "S02"))
    same = [np.corrcoef(a, b)[0, 1] for a, b in zip(one.T, two.T, strict=True)]
    assert 0.25 < np.mean(same) < 0.75


def test_passage_drift_is_the_same_for_a_whole_passage():
    drifting, still = (simulated.simulate(study(passage_drift=d)).load("S01")["visual"] for d in (2.0, 0.0))
    drift = (drifting - still).reshape(60, 3, -1)
    np.testing.assert_allclose(drift[:, 0], drift[:, 2], atol=1e-5)
    assert drift[:, 0].std() == pytest.approx(2, rel=0.1)


def test_drift_without_content_leaks_into_shuffled_folds_and_not_into_grouped_ones():
    run = study(signal={}, passage_drift=1.0, permutations=0, bootstrap=0)
    data = simulated.simulate(run)
    world = passages.stimuli(run)
    codes = {
        Representation("untuned", "untuned"): world.concepts,  # what sentences say, which nothing in this brain codes
        Representation("passage", "control"): controls.CONTROLS["passage"](run, data.stimuli),
    }
    codes = {name: np.asarray(code, dtype=np.float32)[None] for name, code in codes.items()}
    tables = [decoding.decode_participant(run, data, who, codes)[0] for who in data.participants]
    found = pd.concat(tables).groupby(["folds", "representation"])["pairwise"].mean()
    assert found["shuffled", "passage"] > 0.95 and found["shuffled", "untuned"] > 0.6
    assert found["grouped", "passage"] == pytest.approx(0.5, abs=0.03)
    assert found["grouped", "untuned"] == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ("signal", "message"),
    [
        ({"languages": 1.0}, "unknown network or region 'languages'; known: language, DMN"),
        ({"visual": -1.0}, "signal.visual: .*greater than or equal to 0; got -1"),
    ],
)
def test_a_bad_signal_is_an_error_before_anything_is_generated(signal, message):
    with pytest.raises(BraintuneError, match=message):
        simulated.simulate(study(signal=signal))


class TestCoordinates:
    def test_voxels_do_not_overlap_and_lie_inside_the_brain(self, data):
        from nilearn.datasets import load_mni152_brain_mask

        loaded, coordinates = data.load("S01"), data.coordinates()
        assert {r: len(xyz) for r, xyz in coordinates.items()} == {r: x.shape[1] for r, x in loaded.items()}
        every = np.concatenate([coordinates[r] for r in data.regions if r != "language"])
        assert len(np.unique(every, axis=0)) == len(every)
        mask = load_mni152_brain_mask(resolution=4)
        index = np.rint((every - mask.affine[:3, 3]) / 4).astype(int)
        assert (mask.get_fdata()[tuple(index.T)] > 0).all()

    def test_language_regions_are_compact_and_left(self, data):
        for region, centre in simulated.LANGUAGE_REGIONS.items():
            xyz = data.coordinates()[region]
            assert np.linalg.norm(xyz - np.array(centre), axis=1).max() < 25
            assert (xyz[:, 0] < 0).all()

    def test_many_voxels_lie_on_a_finer_grid(self):
        places = simulated.place_voxels(600)
        assert {len(places[r]) for r in simulated.LANGUAGE_REGIONS} == {600}


def test_load_brain_limits_it():
    data = load_brain(study(participants=["S02"], regions=["IFG", "visual"]), "simulated")
    assert data.participants == ("S02",)
    assert list(data.load("S02")) == ["visual", "IFG"]
