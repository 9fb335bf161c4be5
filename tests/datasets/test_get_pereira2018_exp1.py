import sys
from importlib import import_module

import numpy as np
import pytest
from scipy import io

from braintune.core.base import REPOSITORY, BraintuneError
from braintune.core.study import Study
from braintune.datasets.brains.registry import load_brain

sys.path.insert(0, str(REPOSITORY / "data" / "get"))
exp1 = import_module("pereira2018_exp1")

N, VOXELS = 7, 40


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Experiment 1 as its authors publish it, small: three paradigms of different strength, one in another order."""
    monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path / "data"))
    rng = np.random.default_rng(0)
    held = {}
    for who in ("P01", "M02"):
        held[who] = [5.0**k * rng.normal(size=(N, VOXELS)) for k in range(3)]
        held[who][0][:, 3] = np.nan
        for own in held[who]:
            own[:, 5] = 2.0
        for paradigm, own in zip(exp1.PARADIGMS, held[who], strict=True):
            order = rng.permutation(N) if paradigm == "pictures" else np.arange(N)
            path = tmp_path / "published" / who / f"data_180concepts_{paradigm}.mat"
            path.parent.mkdir(parents=True, exist_ok=True)
            io.savemat(path, {"examples": own[order], "labelsConcept": order[:, None] + 1.0}, do_compression=True)
    (tmp_path / "published" / "M03").mkdir()
    return tmp_path / "published", held


def z_scored_mean(paradigms):
    mean = (paradigms[0] + paradigms[1] + paradigms[2]) / 3
    mean = np.delete(mean, [3, 5], axis=1)  # not finite, and constant
    return (mean - mean.mean(0)) / mean.std(0)


@pytest.mark.parametrize("block", [7, 4096])
def test_distances_are_those_of_the_mean_of_three(published, block):
    paradigms = published[1]["P01"]
    found = exp1.principal_components(paradigms, "P01", block)
    expected = z_scored_mean(paradigms)
    assert found.shape == (N, N - 1)
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-9)
    wrong = z_scored_mean([3 * paradigms[0], 3 * paradigms[1], paradigms[2]])  # a + b + c / 3
    assert not np.allclose(found @ found.T, wrong @ wrong.T, atol=1)
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-9)
    inner = found.T @ found
    np.testing.assert_allclose(inner, np.diag(np.diag(inner)), atol=1e-9)  # uncorrelated
    assert (np.diff(np.diag(inner)) < 0).all()  # strongest first


def test_what_is_made_is_what_the_loader_reads(published, tmp_path, capsys):
    exp1.main(["--from", str(published[0])])
    printed = capsys.readouterr().out
    assert "licence: none stated" in printed and "P01.npz" in printed and "M03.npz" not in printed
    folder = tmp_path / "data" / "brain" / "pereira2018_exp1"
    (folder / "concepts.txt").write_text("\n".join(f"c{i}" for i in range(N)))
    lines = [f"{i},c{i},A sentence on c{i}." for i in range(N)]
    (folder / "concept_sentences.csv").write_text("\n".join(["row,concept,sentence", *lines]))
    data = load_brain(Study.make({"brains": ["pereira2018-exp1"]}), "pereira2018-exp1")
    assert data.participants == ("M02", "P01")
    for who in data.participants:
        found, expected = data.load(who)["whole-brain"], z_scored_mean(published[1][who])
        np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-3)


def test_faults(published, tmp_path):
    with pytest.raises(
        BraintuneError, match=r"no participant's folder in .*nowhere has data_180concepts_.*found no folder"
    ):
        list(exp1.convert(tmp_path / "nowhere"))
    path = published[0] / "M02" / "data_180concepts_pictures.mat"
    for held, message in [
        ({"examples": np.ones((N, 3))}, r"participant M02: the paradigms have different shapes \(sentences \(7, 40\)"),
        ({"examples": np.ones((N, 3)), "labelsConcept": np.ones(N)}, r"labelsConcept must hold each of 1 … 7 once"),
        ({"meta": 1.0}, "has no matrix 'examples'"),
    ]:
        io.savemat(path, held)
        with pytest.raises(BraintuneError, match=message):
            list(exp1.convert(published[0]))
    with pytest.raises(BraintuneError, match="participant M09: no voxel varies"):
        exp1.principal_components([np.ones((N, 3))] * 3, "M09")
