from dataclasses import replace

import nibabel
import numpy as np
import pandas as pd
import pytest

from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.datasets.brains import nifti, registry, simulated
from braintune.datasets.brains.registry import load_brain

N = 6


def study(**values):
    return Study.make({"brains": ["folder"], "nuisance": []} | values)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A small study: six sentences, two participants, two regions."""
    monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path))
    own = tmp_path / "brain" / "own"
    own.mkdir(parents=True)
    table(own)
    rng = np.random.default_rng(0)
    for name in ("P01", "P02"):
        np.savez(own / f"{name}.npz", IFG=rng.normal(size=(N, 4)), AngG=rng.normal(size=(N, 3)))
    return own


def table(folder, **columns):
    pd.DataFrame({"sentence": [f"Sentence {i}." for i in range(N)]} | columns).to_csv(
        folder / "stimuli.csv", index=False
    )


def write_images(folder, data, participant):
    """Write a participant's responses as NIfTI: one volume a stimulus, one mask a region."""
    index, shape, affine = nifti.voxel_grid({region: data.coordinates[region] for region in data.regions})
    beta = np.zeros((*shape, len(data.stimuli.names)), dtype=np.float32)
    for region, responses in data.load(participant).items():
        mask = np.zeros(shape, dtype=np.uint8)
        mask[tuple(index[region].T)] = 1
        beta[tuple(index[region].T)] = responses.T
        nibabel.save(nibabel.Nifti1Image(mask, affine), folder / f"{participant}_mask-{region}.nii.gz")
    nibabel.save(nibabel.Nifti1Image(beta, affine), folder / f"{participant}_beta.nii.gz")


class TestArrays:
    def test_what_is_there(self, folder):
        data = load_brain(study(), "folder")
        assert data.participants == ("P01", "P02")
        assert data.regions == ("IFG", "AngG")
        assert data.stimuli.sentences[2] == "Sentence 2."
        assert data.stimuli.passage is None
        assert not data.stimuli.contiguous
        loaded = data.load("P02")
        np.testing.assert_array_equal(loaded["AngG"], np.load(folder / "P02.npz")["AngG"].astype(np.float32))
        assert list(registry.data_checksums(study(participants=["P02"]), "folder")) == ["stimuli.csv", "P02.npz"]

    def test_groups(self, folder):
        table(folder, passage=["b", "b", "a", "a", "c", "c"], topic=[2, 2, 1, 1, 1, 1], position=[0, 1] * 3)
        stimuli = load_brain(study(), "folder").stimuli
        assert stimuli.passage.tolist() == [0, 0, 1, 1, 2, 2]
        assert stimuli.topic.tolist() == [0, 0, 1, 1, 1, 1]
        assert stimuli.position.tolist() == [0, 1] * 3
        assert not stimuli.contiguous

    def test_a_story_is_known_by_its_positions(self, folder):
        table(folder, position=range(N))
        assert load_brain(study(), "folder").stimuli.contiguous

    def test_stimuli_of_several_sentences(self, folder):
        table(folder, stimulus=["x", "y", "x", "y", "z", "z"], passage=list("ababcc"))
        stimuli = load_brain(study(), "folder").stimuli
        assert stimuli.names == ["x", "y", "z"]
        assert stimuli.stimulus_of.tolist() == [0, 1, 0, 1, 2, 2]
        assert stimuli.passage.tolist() == [0, 1, 2]

    def test_only_wanted_regions_are_read(self, folder):
        np.savez(folder / "P02.npz", IFG=np.random.default_rng(0).normal(size=(N, 2)))
        loaded = load_brain(study(regions=["IFG"]), "folder").load("P02")  # it has no AngG
        assert {region: x.shape for region, x in loaded.items()} == {"IFG": (N, 2)}

    def test_another_folder(self, folder):
        folder.rename(folder.parent / "reading")
        assert load_brain(study(own_study="reading"), "folder").participants == ("P01", "P02")
        with pytest.raises(BraintuneError, match=r"no folder .*own\. Set BRAINTUNE_DATA"):
            load_brain(study(), "folder")


class TestStory:
    def test_scans_become_responses_to_sentences(self, folder):
        (folder / "stimuli.csv").unlink()
        words = [("She", 1, 0, 1), ("left", 1, 1, 4), ("He", 2, 30, 31), ("stayed", 2, 31, 45)]
        pd.DataFrame(words, columns=["word", "sentence", "onset_s", "offset_s"]).to_csv(
            folder / "words.csv", index=False
        )
        scans = np.random.default_rng(1).normal(size=(50, 3))
        np.savez(folder / "P01.npz", IFG=scans, AngG=scans[:, :2])
        run = study(seconds_per_scan=1.5, lags=[3.0, 6.0], detrend_order=1)
        data = load_brain(run, "folder")
        assert data.stimuli.contiguous
        assert data.stimuli.sentences == ["She left", "He stayed"]
        loaded = data.load("P01")
        assert loaded["IFG"].shape == (2, 6)
        clean = (scans - scans.mean(0)) / scans.std(0)
        inside = [i for i in range(50) if 36 <= 1.5 * i <= 51]
        np.testing.assert_allclose(loaded["IFG"][1, 3:], clean[inside].mean(0), atol=1e-5)
        with pytest.raises(BraintuneError, match=r"IFG: the 50 scans end after 25 s, but 1 sentences begin later"):
            load_brain(study(seconds_per_scan=0.5, detrend_order=1), "folder").load("P01")

    def test_scans_come_as_arrays(self, folder):
        (folder / "stimuli.csv").unlink()
        (folder / "words.csv").write_text("word,sentence,onset_s,offset_s\nShe,1,0,1\n")
        (folder / "P01_beta.nii.gz").write_bytes(b"")
        with pytest.raises(BraintuneError, match=r"words\.csv needs scans as arrays"):
            load_brain(study(), "folder")

    @pytest.mark.parametrize("times", [("soon", 3), (5, 3), ("", 3)])
    def test_times_that_are_not_numbers(self, folder, times):
        (folder / "stimuli.csv").unlink()
        (folder / "words.csv").write_text(f"word,sentence,onset_s,offset_s\nShe,1,{times[0]},{times[1]}\n")
        with pytest.raises(BraintuneError, match=r"words.csv: sentence 1 lasts from .*; both must be seconds"):
            load_brain(study(), "folder")


class TestImages:
    @pytest.fixture
    def written(self, folder):
        """Simulated participants, written as images with everybody's masks."""
        for file in folder.glob("*.npz"):
            file.unlink()
        run = Study.make({"topics": 2, "passages": 4, "sentences_per_passage": 2, "voxels_per_region": 9})
        data = replace(simulated.simulate(run), regions=("IFG", "visual"))
        data = replace(data, load=lambda p, load=data.load: {r: load(p)[r] for r in ("IFG", "visual")})
        for participant in ("S01", "S02"):
            write_images(folder, data, participant)
        pd.DataFrame({"sentence": data.stimuli.sentences}).to_csv(folder / "stimuli.csv", index=False)
        return data

    def test_images_hold_what_arrays_hold(self, folder, written):
        data = load_brain(study(), "folder")
        assert (data.participants, data.regions) == (("S01", "S02"), ("IFG", "visual"))
        assert data.coordinates is None  # each has separate masks
        for region, responses in data.load("S02").items():
            np.testing.assert_array_equal(responses, written.load("S02")[region])

    def test_masks_of_all_participants_give_coordinates(self, folder, written):
        for region in ("IFG", "visual"):
            (folder / f"S01_mask-{region}.nii.gz").rename(folder / f"mask-{region}.nii.gz")
            (folder / f"S02_mask-{region}.nii.gz").unlink()
        data = load_brain(study(), "folder")
        np.testing.assert_allclose(data.coordinates["IFG"], written.coordinates["IFG"])
        np.testing.assert_array_equal(data.load("S02")["visual"], written.load("S02")["visual"])
        assert set(registry.data_checksums(study(participants=["S02"]), "folder")) == {
            "stimuli.csv",
            "S02_beta.nii.gz",
            "mask-IFG.nii.gz",
            "mask-visual.nii.gz",
        }

    def test_voxels_off_a_grid_are_an_error(self):
        with pytest.raises(BraintuneError, match="regular grid"):
            nifti.voxel_grid({"a": np.array([[0.0, 0, 0], [3, 0, 0], [6, 3, 6]]), "b": np.array([[0.7, 9, 4.6]])})

    def test_voxels_need_not_be_cubes(self):
        xyz = np.array([[0.0, 0, 0], [2, 0, 0], [2, 3, 4], [0, 6, 8]])
        index, shape, affine = nifti.voxel_grid({"a": xyz})
        np.testing.assert_allclose(index["a"] @ affine[:3, :3] + affine[:3, 3], xyz)
        assert shape == (2, 3, 3)

    def test_faults(self, folder, written):
        beta, mask = folder / "S01_beta.nii.gz", folder / "S01_mask-IFG.nii.gz"
        image = nibabel.load(mask)
        grid = np.asarray(image.dataobj)
        nibabel.save(nibabel.Nifti1Image(grid[:-1], image.affine), mask)
        with pytest.raises(BraintuneError, match=r"mask-IFG\.nii\.gz lies on another grid .*resample"):
            load_brain(study(), "folder").load("S01")
        nibabel.save(nibabel.Nifti1Image(np.zeros_like(grid), image.affine), mask)
        with pytest.raises(BraintuneError, match="S01, region IFG: no voxels"):
            load_brain(study(), "folder").load("S01")
        (folder / "S02_mask-visual.nii.gz").unlink()
        with pytest.raises(
            BraintuneError, match=r"S02_beta\.nii\.gz has no region 'visual', which participant S01 has"
        ):
            load_brain(study(), "folder").load("S02")
        beta.write_bytes(beta.read_bytes()[:500])
        with pytest.raises(BraintuneError, match=r"S01_beta\.nii\.gz is not a whole NIfTI image"):
            load_brain(study(), "folder").load("S01")
        nibabel.save(nibabel.Nifti1Image(grid, image.affine), beta)
        with pytest.raises(BraintuneError, match=r"S01_beta\.nii\.gz has shape .*; four axes are needed"):
            load_brain(study(), "folder").load("S01")
        for file in folder.glob("*mask*"):
            file.unlink()
        with pytest.raises(BraintuneError, match=r"no mask for participant S01; .*mask-<region>\.nii\.gz"):
            load_brain(study(), "folder")


class TestFaults:
    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            (
                {"sentence": ["a", "b", "a", "d", "e", "f"]},
                r"row 3 is the same as row 1 \('a'\); average the responses",
            ),
            ({"sentence": ["a", "", "c", "d", "e", "f"]}, "sentence of row 2 is empty"),
            ({"stimulus": list("xxyyzz"), "passage": list("aabcdd")}, "row 4 has passage 'c', but another sentence of"),
            ({"stimulus": ["x"] * N}, "lists 1 stimuli; at least two are needed"),
            ({"position": list("abcdef")}, "column 'position' must hold whole numbers from 0"),
        ],
    )
    def test_a_table_that_does_not_fit(self, folder, columns, message):
        table(folder, **columns)
        with pytest.raises(BraintuneError, match=rf"stimuli\.csv.*{message}"):
            load_brain(study(), "folder")

    def test_tables(self, folder):
        (folder / "words.csv").write_text("word\n")
        with pytest.raises(BraintuneError, match=r"holds both stimuli\.csv and words\.csv; one is needed"):
            load_brain(study(), "folder")
        (folder / "words.csv").unlink()
        (folder / "stimuli.csv").write_text("text\nhello\n")
        with pytest.raises(BraintuneError, match=r"stimuli\.csv has no column 'sentence'; it has text"):
            load_brain(study(), "folder")
        (folder / "stimuli.csv").unlink()
        with pytest.raises(BraintuneError, match="holds neither"):
            load_brain(study(), "folder")

    def test_no_participant(self, folder):
        for file in folder.glob("*.npz"):
            file.unlink()
        with pytest.raises(BraintuneError, match=r"no participant in .*: no file '\*\.npz'"):
            load_brain(study(), "folder")

    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            ({"IFG": np.ones((N, 2))}, r"P02\.npz has no region 'AngG', which participant P01 has; it has IFG"),
            ({"IFG": np.eye(N), "AngG": np.ones((N, 0))}, "region AngG: no voxels"),
        ],
    )
    def test_arrays_that_do_not_fit(self, folder, arrays, message):
        np.savez(folder / "P02.npz", **arrays)
        with pytest.raises(BraintuneError, match=message):
            load_brain(study(), "folder").load("P02")
