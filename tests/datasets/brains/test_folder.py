import shutil
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
    """Write a participant's responses as NIfTI: one volume per stimulus, one mask per region."""
    index, shape, affine = nifti.voxel_grid({region: data.coordinates()[region] for region in data.regions})
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

    def test_edges_of_names_do_not_matter(self, folder):
        table(folder, **{"\u200btopic ": ["sea", "sea ", " sea", "sea\u200b", "\ufeffsea", "sand"]})
        assert load_brain(study(), "folder").stimuli.topic.tolist() == [0] * 5 + [1]

    def test_repeated_sentences_are_trials_if_stimulus_names_them(self, folder):
        table(folder, sentence=["One.", "Two."] * 3, stimulus=[f"trial {k}" for k in range(N)])
        assert load_brain(study(), "folder").stimuli.names[-1] == "trial 5"

    def test_topics_within_experiments(self, folder):
        table(folder, experiment=[2, 2, 2, 3, 3, 3], topic=["sea", "sea", "sand"] * 2, position=range(N))
        stimuli = load_brain(study(), "folder").stimuli
        assert stimuli.topic.tolist() == [0, 0, 1, 2, 2, 3] and not stimuli.contiguous

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


def write_words(folder, rows):
    """Write a story in place of the table of stimuli."""
    (folder / "stimuli.csv").unlink(missing_ok=True)
    pd.DataFrame(rows, columns=["word", "sentence", "onset_s", "offset_s"]).to_csv(folder / "words.csv", index=False)


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

    @pytest.mark.parametrize(
        ("scans", "seconds", "fits"),
        [(600, 2.0, 0.17), (120, 2.0, 0.86), (170, 1.0, 0.61), (40, 2.9, None), (150, 1.0, None), (90, 1.5, None)],
    )
    def test_scans_that_go_on_long_after_the_story_are_refused(self, folder, scans, seconds, fits):
        """At most a minute and a third of the scans may follow the response to the last word, here at 103 s."""
        write_words(folder, [("She", 1, 0, 1), ("left", 1, 1, 4), ("He", 2, 90, 91), ("stayed", 2, 91, 97)])
        np.savez(folder / "P01.npz", IFG=np.random.default_rng(1).normal(size=(scans, 3)))
        data = load_brain(study(seconds_per_scan=seconds, lags=[3.0, 6.0], detrend_order=1, regions=["IFG"]), "folder")
        if fits is None:
            assert data.load("P01")["IFG"].shape == (2, 6)
            return
        message = (
            rf"IFG: the {scans} scans take {scans * seconds:g} s, but the last word ends at 97 s .*{fits} s would fit"
        )
        with pytest.raises(BraintuneError, match=message):
            data.load("P01")

    def test_scans_come_as_arrays(self, folder):
        (folder / "stimuli.csv").unlink()
        (folder / "words.csv").write_text("word,sentence,onset_s,offset_s\nShe,1,0,1\n")
        for name in ("P01", "P02"):
            (folder / f"{name}.npz").rename(folder / f"{name}_beta.nii.gz")
        with pytest.raises(BraintuneError, match=r"a story \(words\.csv\) needs scans as arrays"):
            load_brain(study(), "folder")

    def test_sentences_follow_time_whatever_their_labels(self, folder):
        labels = ["b10", "b9", "a lamp", "Chapter 2"]
        write_words(
            folder, [(f"w{s}{k}", label, 10 * s + k, 10 * s + k + 1) for s, label in enumerate(labels) for k in (0, 1)]
        )
        stimuli = load_brain(study(), "folder").stimuli
        assert stimuli.names == [f"sentence {label}" for label in labels]
        assert stimuli.sentences == ["w00 w01", "w10 w11", "w20 w21", "w30 w31"]
        assert stimuli.duration.tolist() == [2] * 4

    @pytest.mark.parametrize(
        ("line", "row", "message"),
        [
            (4, ("lay", 2, "soon", 13), "column 'onset_s': 'soon' is not allowed; write seconds from scan 0; interpolate"),
            (4, ("lay", 2, "n/a", "n/a"), "column 'onset_s': 'n/a' is not allowed; .*interpolate"),
            (4, ("lay", 2, 12, ""), "column 'offset_s': '' is missing; write seconds"),
            (4, ("lay", 2, "inf", "inf"), "column 'onset_s': 'inf' is not allowed; write seconds"),
            (4, ("lay", 2, "0:12", 13), "column 'onset_s': '0:12' is not allowed; write seconds"),
            (4, ("lay", 2, 14, 13), "column 'offset_s': '13' is before the onset of its word; correct"),
            (4, ("lay", "", 12, 13), "column 'sentence': '' is missing; write the number of its sentence"),
            (4, (" ", 2, 12, 13), "column 'word': '' is missing; write the word, or remove the row"),
            (4, ("lay", 2, 9, 13), "column 'onset_s': '9' is before the onset of the previous word; sort .*; if another run begins"),
            (5, ("there", 1, 13, 14), "column 'sentence': '1' occurs again after another sentence; .*continue sentence numbers"),
        ],
    )  # fmt: skip
    def test_words_that_do_not_fit(self, folder, line, row, message):
        rows = [("She", 1, 0, 1), ("it", 2, 11, 12), ("lay", 2, 12, 13), ("there", 2, 13, 14)]
        rows[line - 2] = row
        write_words(folder, rows)
        with pytest.raises(BraintuneError, match=rf"words\.csv, line {line}, {message}"):
            load_brain(study(), "folder")

    def test_words_that_begin_again_in_a_second_run(self, folder):
        run = [("She", 1, 0, 1), ("left", 1, 1, 2), ("He", 2, 2, 3)]
        write_words(folder, run * 2)
        with pytest.raises(
            BraintuneError, match=r"line 5, column 'onset_s': '0' is before the onset .*join the scans of all runs"
        ):
            load_brain(study(), "folder")

    @pytest.mark.parametrize("rows", [[], [("She", 1, -9, -8), ("left", 2, 1, 2)]])
    def test_no_words_and_words_before_the_first_scan(self, folder, rows):
        write_words(folder, rows)
        message = "1 sentences begin before scan 0 .the first at -9 s.; measure the times" if rows else "lists no words"
        with pytest.raises(BraintuneError, match=message):
            load_brain(study(detrend_order=1), "folder").load("P01")

    def test_a_lost_scan_is_named(self, folder):
        write_words(folder, [("She", 1, 0, 1), ("left", 2, 1, 2)])
        scans = np.random.default_rng(0).normal(size=(9, 4))
        scans[6] = np.nan
        np.savez(folder / "P01.npz", IFG=scans, AngG=scans)
        for non_finite in ("error", "zero"):
            with pytest.raises(
                BraintuneError, match=r"P01\.npz: IFG: no response in 1 of 9 rows \(scan 7\).*interpolate"
            ):
                load_brain(study(detrend_order=1, non_finite=non_finite), "folder").load("P01")


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
        np.testing.assert_allclose(data.coordinates()["IFG"], written.coordinates()["IFG"])
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
        with pytest.raises(BraintuneError, match=r"mask-IFG\.nii\.gz is not on the same grid .*resample"):
            load_brain(study(), "folder").load("S01")
        nibabel.save(nibabel.Nifti1Image(np.zeros_like(grid), image.affine), mask)
        with pytest.raises(BraintuneError, match="S01, region IFG: no voxels"):
            load_brain(study(), "folder").load("S01")
        (folder / "S02_mask-visual.nii.gz").unlink()
        with pytest.raises(
            BraintuneError, match=r"S02_beta\.nii\.gz has no region 'visual', which participant S01 has"
        ):
            load_brain(study(), "folder").load("S02")
        assert load_brain(study(regions=["IFG"]), "folder").regions == ("IFG",)
        (folder / "S01_mask-visual.nii.gz").unlink()
        beta.write_bytes(beta.read_bytes()[:500])
        with pytest.raises(BraintuneError, match=r"S01_beta\.nii\.gz is not a complete NIfTI image"):
            load_brain(study(), "folder").load("S01")
        nibabel.save(nibabel.Nifti1Image(grid, image.affine), beta)
        with pytest.raises(BraintuneError, match=r"S01_beta\.nii\.gz has shape .*; four axes are needed"):
            load_brain(study(), "folder").load("S01")
        for file in folder.glob("*mask*"):
            file.unlink()
        with pytest.raises(BraintuneError, match=r"no mask for participant S01; .*mask-<region>\.nii\.gz"):
            load_brain(study(), "folder")


class TestNamesOfImages:
    """Images as other programs name and store them."""

    @pytest.fixture
    def image(self, folder):
        """Write an image of the first participant in place of the arrays, and a mask, under other names and forms."""
        for file in folder.glob("*.npz"):
            file.unlink()
        values = np.random.default_rng(0).normal(size=(3, 3, 2, N)).astype(np.float32)
        inside = np.zeros((3, 3, 2), dtype=np.uint8)
        inside[:2, 1] = 1

        def write(
            name="P01_beta.nii.gz", mask="mask-IFG.nii.gz", form=lambda x: x, affine=None, kind=nibabel.Nifti1Image
        ):
            nibabel.save(kind(values, np.diag([2.0, 2, 2, 1])), folder / name)
            grid = np.diag([2.0, 2, 2, 1]) if affine is None else affine
            nibabel.save(nibabel.Nifti1Image(form(inside), grid), folder / mask)
            return values[inside > 0].T

        return write

    @pytest.mark.parametrize(
        ("names", "participant"),
        [
            ({"name": "P01_Beta.nii"}, "P01"),
            ({"name": "P01_betas.NII.gz", "mask": "Mask-IFG.nii"}, "P01"),
            ({"name": "P01_beta.img", "kind": nibabel.Nifti1Pair}, "P01"),
            ({"name": "sub-3_desc-trial_beta.nii", "mask": "sub-3_space-own_mask-IFG.nii"}, "sub-3_desc-trial"),
            ({"form": lambda x: x[..., None]}, "P01"),
            ({"form": lambda x: np.where(x, 7.5, np.nan)}, "P01"),
        ],
    )
    def test_what_is_read(self, folder, image, names, participant):
        expected = image(**names)
        (folder / f"._{names.get('name', 'P01_beta.nii.gz')}").write_bytes(b"what a Mac leaves")
        data = load_brain(study(), "folder")
        assert data.participants == (participant,)
        np.testing.assert_array_equal(data.load(participant)["IFG"], expected)

    def test_the_header_beside_an_image_is_part_of_the_data(self, folder, image):
        image(name="P01_beta.img", kind=nibabel.Nifti1Pair)
        assert {"P01_beta.img", "P01_beta.hdr", "mask-IFG.nii.gz"} < set(registry.data_checksums(study(), "folder"))

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            ({"affine": np.diag([-2.0, 2, 2, 1])}, r"not on the same grid \(affine \[\[-2.0, .*\) as .*\(\[\[2.0, .*resample"),
            ({"form": lambda x: np.repeat(x, 2, axis=2)}, r"not on the same grid \(shape \(3, 3, 4\)\) as .*\(\(3, 3, 2\)\)"),
            ({"form": lambda x: x * np.uint8([1, 2])}, r"several values .*\(1 … 2\)"),
            ({"form": lambda x: x + np.random.default_rng(0).random(x.shape)}, "several values .*threshold"),
            ({"form": lambda x: np.stack([x, x], axis=-1)}, r"shape \(3, 3, 2, 2\); a mask must have three axes"),
            ({"mask": "P01_desc-brain_mask.nii.gz"}, "P01_desc-brain_mask.nii.gz is not read: responses are named"),
            ({"name": "sub-1_task-read_desc-preproc_bold.nii.gz"}, "_bold.nii.gz is not read: a time series must first"),
            ({"name": "P01.nii.gz"}, "P01.nii.gz is not read: .*rename it, or move it out"),
        ],
    )  # fmt: skip
    def test_what_is_refused(self, image, names, message):
        image(**names)
        with pytest.raises(BraintuneError, match=message):
            load_brain(study(), "folder").load("P01")

    def test_two_kinds_of_responses_and_two_images_of_one_name(self, folder, image):
        image()
        np.savez(folder / "P02.npz", IFG=np.eye(N))
        with pytest.raises(
            BraintuneError, match=r"arrays \(P02\.npz\) and images \(P01_beta\.nii\.gz\); .*move the others"
        ):
            load_brain(study(), "folder")
        (folder / "P02.npz").unlink()
        image(name="P01_beta.nii")
        with pytest.raises(
            BraintuneError, match=r"P01_beta\.nii and P01_beta\.nii\.gz have the same participant or region"
        ):
            load_brain(study(), "folder")

    def test_two_masks_of_one_subject(self, folder, image):
        image(name="sub-1_beta.nii", mask="sub-1_space-a_mask-IFG.nii")
        image(name="sub-1_beta.nii", mask="sub-1_space-b_mask-IFG.nii")
        with pytest.raises(
            BraintuneError, match=r"are masks of the same region and subject; .*sub-1_mask-IFG\.nii\.gz"
        ):
            load_brain(study(), "folder")


class TestMissingResponses:
    @pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
    def test_a_stimulus_without_a_response(self, folder, value):
        responses = np.random.default_rng(0).normal(size=(N, 12))
        responses[3] = value
        np.savez(folder / "P01.npz", IFG=responses, AngG=responses)
        for non_finite in ("error", "zero"):
            message = (
                r"P01, region IFG: no response in 1 of 6 rows \(stimulus 4\), .*; remove these stimuli from the table"
            )
            with pytest.raises(BraintuneError, match=message):
                load_brain(study(non_finite=non_finite), "folder").load("P01")

    def test_the_remedy_for_single_voxels_works(self, folder):
        responses = np.random.default_rng(0).normal(size=(N, 12))
        responses[2, 5], responses[4, 7] = np.nan, 1e300
        np.savez(folder / "P01.npz", IFG=responses, AngG=responses)
        with pytest.raises(
            BraintuneError, match=r"2 of 72 values are NaN or infinite; .*non_finite: zero leaves out such"
        ):
            load_brain(study(), "folder").load("P01")
        with pytest.warns(UserWarning, match="2 of 12 voxels"):
            loaded = load_brain(study(non_finite="zero"), "folder").load("P01")["IFG"]
        assert (np.flatnonzero(~loaded.any(axis=0)) == [5, 7]).all()

    def test_it_is_not_offered_where_it_would_leave_nothing(self, folder):
        responses = np.where(np.eye(N), np.nan, 1.0)
        np.savez(folder / "P01.npz", IFG=responses, AngG=responses)
        for non_finite in ("error", "zero"):
            with pytest.raises(BraintuneError, match=r"6 of 36 values are NaN or infinite; .*create its file again$"):
                load_brain(study(non_finite=non_finite), "folder").load("P01")


class TestPeople:
    @pytest.mark.parametrize(
        ("one", "other"),
        [("sub-01_ses-1", "sub-01_ses-2"), ("P7", "P7_run-2"), ("P7 session1", "P7 session2"), ("P7", "p7"),
         ("sub-01_task-read", "sub-01_task-listen")],
    )  # fmt: skip
    def test_two_files_of_a_person(self, folder, one, other):
        (folder / "P01.npz").rename(folder / f"{one}.npz")
        (folder / "P02.npz").rename(folder / f"{other}.npz")
        with pytest.raises(
            BraintuneError,
            match=r"are one participant, judging by their names, .*name one file per participant in `parti",
        ):
            load_brain(study(), "folder")
        assert load_brain(study(participants=[other]), "folder").participants == (other,)

    def test_names_of_different_people(self, folder):
        names, rng = ["sub-01_ses-1", "sub-02_ses-1", "P-3", "P-4_L", "P-5_R", "day", "left"], np.random.default_rng(1)
        for name in names:
            np.savez(folder / f"{name}.npz", IFG=rng.normal(size=(N, 2)), AngG=rng.normal(size=(N, 2)))
        assert set(names) < set(load_brain(study(), "folder").participants)

    @pytest.mark.parametrize(
        ("name", "given"), [("101", 101), ("01", 1), ("1e3", 1000.0), ("007", "007"), ("True", True)]
    )
    def test_a_name_that_papermill_takes_for_a_number(self, folder, name, given):
        (folder / "P01.npz").rename(folder / f"{name}.npz")
        data = load_brain(study(), "folder")
        assert registry.find_participant(data, given) == name
        assert data.load(given).keys() == {"IFG", "AngG"}

    def test_a_number_that_may_be_two_names(self, folder):
        (folder / "P01.npz").rename(folder / "1e1.npz")
        (folder / "P02.npz").rename(folder / "010.npz")
        data = load_brain(study(), "folder")
        with pytest.raises(BraintuneError, match=r"participant 10 may be 010 or 1e1; .*papermill -r participant NAME"):
            registry.find_participant(data, 10)
        with pytest.raises(
            BraintuneError, match=r"participant 2 is unknown; brain data 'folder' has 010, 1e1; .*-r participant"
        ):
            registry.find_participant(data, 2)
        assert registry.find_participant(data, "010") == "010"

    def test_the_same_file_twice_and_other_cases(self, folder):
        (folder / "P02.npz").rename(folder / "P02.NPZ")
        assert load_brain(study(), "folder").participants == ("P01", "P02")
        shutil.copy(folder / "P02.NPZ", folder / "P02.npz")
        with pytest.raises(BraintuneError, match=r"P02\.npz and P02\.NPZ belong to the same participant; remove one"):
            load_brain(study(), "folder")


class TestFaults:
    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            (
                {"sentence": ["a", "b", "a", "d", "e", "f"]},
                r", line 4, column 'sentence': 'a' is the same as in line 2; average the responses",
            ),
            (
                {"sentence": ["a", "", "c", "d", "e", "f"]},
                r", line 3, column 'sentence': '' is missing; write the sentence",
            ),
            (
                {"stimulus": list("xxyyzz"), "passage": list("aabcdd")},
                "line 5, column 'passage': 'c', but another sentence of its stimulus has 'b'",
            ),
            (
                {"passage": [*"aabb", None, None]},
                "line 6, column 'passage': '' is missing; fill it in, or leave the column",
            ),
            ({"passage": [*"aabb", "NA", "NA"]}, "line 6, column 'passage': 'NA' is not a name"),
            (
                {"passage": ["sea", "Sea", *"abcd"]},
                "line 3, .*'Sea' and 'sea' in line 2 are the same name",
            ),
            ({"stimulus": ["x", "x", "y", "", "z", "z"]}, "line 5, column 'stimulus': '' is missing"),
            (
                {"passage": ["1", "1.0", *"2345"]},
                "line 3, .*'1.0' and '1' in line 2 are the same name, written in two ways",
            ),
            (
                {"passage_nr": list("aabbcc")},
                "line 1: heading 'passage_nr' is unknown; rename it to 'passage' if that is meant",
            ),
            ({"Passages": list("aabbcc")}, "column 2: heading 'Passages' must be written 'passage'"),
            (
                {"position": [0, 1, 2, 0, 1, 2]},
                "line 5, column 'position': 0 is out of order; .*continue the positions from part to part",
            ),
            (
                {"position": [0, 1, 3, 2, 4, 5]},
                "line 5, column 'position': 2 is out of order; .*sort the rows .and the resp",
            ),
            ({"position": [0, 1, 2, 3, 4, -1]}, "line 7, column 'position': '-1' is not allowed"),
            ({"stimulus": ["x"] * N}, "lists 1 stimuli; at least two are needed"),
            ({"position": list("abcdef")}, "line 2, column 'position': 'a' is not allowed; write whole numbers from 0"),
        ],
    )
    def test_a_table_that_does_not_fit(self, folder, columns, message):
        table(folder, **columns)
        with pytest.raises(BraintuneError, match=rf"stimuli\.csv.*{message}"):
            load_brain(study(), "folder")

    def test_tables(self, folder):
        (folder / "words.csv").write_text("word\n")
        with pytest.raises(BraintuneError, match=r"holds both stimuli\.csv and words\.csv; exactly one is needed"):
            load_brain(study(), "folder")
        (folder / "words.csv").unlink()
        (folder / "stimuli.csv").write_text("text\nhello\n")
        with pytest.raises(BraintuneError, match=r"stimuli\.csv, line 1: no column 'sentence'; it has 'text'"):
            load_brain(study(), "folder")
        (folder / "stimuli.csv").unlink()
        with pytest.raises(BraintuneError, match="holds neither"):
            load_brain(study(), "folder")

    def test_no_region(self, folder):
        np.savez(folder / "P01.npz")
        with pytest.raises(BraintuneError, match=r"P01\.npz holds no array; write one array per region"):
            load_brain(study(), "folder")

    def test_no_participant(self, folder):
        for file in folder.glob("*.npz"):
            file.unlink()
        with pytest.raises(
            BraintuneError,
            match=r"neither <participant>\.npz nor <participant>_beta.*it has stimuli\.csv; .*extend\.md",
        ):
            load_brain(study(), "folder")

    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            (
                {"IFG": np.ones((N, 2))},
                r"P02\.npz has no region 'AngG', which participant P01 has .*; all .* have IFG: name",
            ),
            ({"IFG": np.eye(N), "AngG": np.ones((N, 0))}, "region AngG: no voxels"),
            ({"IFG": np.eye(N) * 1j, "AngG": np.eye(N)}, r"P02\.npz: IFG has .*complex128; a numeric array"),
        ],
    )
    def test_arrays_that_do_not_fit(self, folder, arrays, message):
        np.savez(folder / "P02.npz", **arrays)
        with pytest.raises(BraintuneError, match=message):
            load_brain(study(), "folder").load("P02")
