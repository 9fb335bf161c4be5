import tracemalloc

import numpy as np
import pytest

from braintune.core.base import BraintuneError
from braintune.core.study import Representation, Study
from braintune.datasets.brains import matlab, pereira, registry
from braintune.datasets.brains.registry import load_brain
from braintune.neural.decoding import decode_participant
from braintune.neural.folds import make_folds
from pereira_files import ATLASES, NAMES, OLDER, VOXELS, content, write

ROWS = 12
PARTS = ("LMidPost", "LAntTemp", "languageLH-AngG", "RMidPost", "RAntTemp", "languageRH-AngG")


def study(**values):
    regions = ["language", "DMN", "visual", *PARTS]
    return Study.make({"brains": ["pereira2018"], "regions": regions, "nuisance": []} | values)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path))
    return tmp_path / "brain" / "pereira2018"


def fill(folder, version=5, older=False, participants=("M02", "P01")):
    for participant in participants:
        for experiment, name in (OLDER if older else NAMES).items():
            write(folder / participant / name, content(experiment), version, older)
    return folder


def voxels(responses, row=0, experiment=2):
    """Which voxels, counted from 1, a row of responses comes from."""
    return (responses[row] - row % ROWS / 1024 - 100 * (experiment - 2)).tolist()


def load(participant="P01", **values):
    return load_brain(study(**values), "pereira2018").load(participant)


class TestLayouts:
    """Both versions of MATLAB's format and both layouts give the same."""

    @pytest.fixture(scope="class", params=[(5, False), (5, True), (7.3, False), (7.3, True)], autouse=True)
    def filled(self, request, tmp_path_factory):
        data = tmp_path_factory.mktemp("data")
        fill(data / "brain" / "pereira2018", *request.param)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("BRAINTUNE_DATA", str(data))
            yield

    def test_columns_count_from_one(self):
        found = load()
        assert voxels(found["LMidPost"]) == [1, 30, 31]  # the first voxel is column 1
        assert voxels(found["languageRH-AngG"]) == [45, 46, VOXELS]  # and the last is not beyond the matrix
        assert voxels(found["DMN"]) == [16, 17, 18]  # each once, in the order of the columns
        assert voxels(found["visual"]) == [50, 51, 52, 53]

    def test_each_hemisphere_has_the_columns_of_its_own_atlas(self):
        found = load()
        for atlas in ("languageLH", "languageRH"):
            for part, columns in ATLASES[atlas].items():
                region = f"{atlas}-{part}" if part == "AngG" else part
                assert voxels(found[region]) == columns

    def test_a_network_holds_the_voxels_of_both_hemispheres_and_no_mean(self):
        both = [c for atlas in ("languageLH", "languageRH") for part in ATLASES[atlas].values() for c in part]
        assert voxels(load()["language"]) == sorted(both)

    def test_nothing_is_scaled(self):
        """Scaling belongs in the training folds: here are the numbers of the file."""
        found = load()["language"]
        assert found.dtype == np.float32
        columns = np.array(voxels(found), dtype=int)
        files = np.concatenate([content(e)["responses"] for e in (2, 3)])
        np.testing.assert_array_equal(found, files[:, columns - 1].astype(np.float32))

    def test_experiments_are_joined(self):
        data = load_brain(study(), "pereira2018")
        assert data.participants == ("M02", "P01")
        assert len(data.stimuli.sentences) == 2 * ROWS
        assert data.stimuli.sentences[1] == "Experiment 2: the 1th – über – sentence."
        assert data.stimuli.sentences[ROWS] == "Experiment 3: the 0th – über – sentence."
        assert data.stimuli.names[-1] == "experiment 3, passage 4, sentence 12"
        assert data.stimuli.passage.tolist() == np.repeat(np.arange(8), 3).tolist()  # distinct in the two experiments
        assert data.stimuli.topic.tolist() == np.repeat([0, 1, 1, 2], 6).tolist()  # one topic is in both
        assert data.stimuli.position.tolist() == [0, 1, 2] * 8
        assert not data.stimuli.contiguous
        assert voxels(data.load("M02")["visual"], row=ROWS, experiment=3) == [50, 51, 52, 53]


class TestData:
    def test_grouped_folds_never_split_a_passage(self, folder):
        fill(folder)
        stimuli = load_brain(study(), "pereira2018").stimuli
        for train, test, *_ in make_folds(stimuli, "grouped", study(n_folds=4)):
            assert not set(stimuli.passage[train]) & set(stimuli.passage[test])

    def test_regions_are_read_from_the_file(self, folder):
        fill(folder)
        data = load_brain(study(regions=None), "pereira2018")
        assert data.regions == ("language", "task-positive", "DMN", "visual", *PARTS)
        with pytest.raises(BraintuneError, match=r"regions: 'IFG' not in .*; it has language, .*, RMidPost"):
            load_brain(study(regions=["IFG"]), "pereira2018")

    def test_participants_who_did_all_of_the_experiments(self, folder):
        fill(folder)
        write(folder / "M08" / NAMES[2], content(2))
        write(folder / "M03" / OLDER[3], content(3), older=True)
        assert load_brain(study(), "pereira2018").participants == ("M02", "P01")
        only = load_brain(study(experiments=[2]), "pereira2018")
        assert (only.participants, len(only.stimuli.names)) == (("M02", "M08", "P01"), ROWS)
        assert len(load_brain(study(experiments=[3]), "pereira2018").load("M03")["DMN"]) == ROWS
        with pytest.raises(
            BraintuneError, match="participants: 'M08' not in brain data 'pereira2018'; it has M02, P01"
        ):
            load_brain(study(participants=["M08"]), "pereira2018")

    def test_the_release_is_preferred_to_the_older_layout(self, folder):
        fill(folder)
        (folder / "P01" / OLDER[2]).write_bytes(b"not read")
        assert list(registry.data_checksums(study(participants=["P01"]), "pereira2018")) == [
            "P01/data_384sentences.mat",
            "P01/data_243sentences.mat",
        ]
        assert len(load()["DMN"]) == 2 * ROWS

    def test_wording(self, folder):
        fill(folder)
        for experiment, name in pereira.DEREFERENCED.items():
            lines = [f"Beekeepers keep bees, {experiment}.{k}." for k in range(ROWS)]
            (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        data = load_brain(study(wording="dereferenced"), "pereira2018")
        assert data.stimuli.sentences[ROWS] == "Beekeepers keep bees, 3.0."
        assert list(data.texts) == ["stimuli_384sentences.txt", "stimuli_243sentences.txt"]
        assert load_brain(study(), "pereira2018").stimuli.sentences[0].startswith("Experiment 2")

    def test_real_sentences_fit_the_layout(self, folder, shared_data):
        for experiment, name in pereira.DEREFERENCED.items():
            held = content(experiment, passages=96 if experiment == 2 else 81, sentences=4 if experiment == 2 else 3)
            held["keySentences"] = (shared_data / "stimuli" / name).read_text(encoding="utf-8").splitlines()
            held["labelsPassageCategory"] = np.arange(96 if experiment == 2 else 81) % 2 + 1
            write(folder / "P01" / NAMES[experiment], held)
        stimuli = load_brain(study(), "pereira2018").stimuli
        assert len(stimuli.sentences) == 627
        assert len(set(stimuli.sentences)) == 627

    def test_voxels_are_matched_by_their_places(self, folder):
        fill(folder)
        held = content(3)
        held["colToCoord"] = held["colToCoord"][::-1]  # the same brain, its voxels listed backwards
        held["responses"] = held["responses"][:, ::-1]
        held["atlases"] = {a: {p: [VOXELS + 1 - i for i in c] for p, c in q.items()} for a, q in ATLASES.items()}
        held["atlases"]["DMN"]["R_PCC"] = []  # column 18 is missing in this session
        write(folder / "P01" / NAMES[3], held)
        with pytest.warns(
            UserWarning, match="participant P01, region DMN: .* the 2 that they share are kept, of 3 and 2"
        ):
            found = load()
        assert voxels(found["DMN"]) == voxels(found["DMN"], row=ROWS, experiment=3) == [16, 17]
        assert voxels(found["language"], row=ROWS, experiment=3) == voxels(found["language"])

    def test_only_wanted_columns_are_read_from_hdf5(self, folder, monkeypatch):
        fill(folder, version=7.3)
        asked = []
        read = matlab.read_columns
        monkeypatch.setattr(matlab, "read_columns", lambda p, n, c: asked.append(c.tolist()) or read(p, n, c))
        found = load_brain(study(regions=["DMN", "RAntTemp"]), "pereira2018").load("P01")
        assert asked == [[15, 16, 17, 42, 43]] * 2
        assert voxels(found["RAntTemp"]) == [43, 44]

    def test_memory_does_not_grow_with_participants(self, folder):
        def peak(participants):
            data = load_brain(study(participants=participants), "pereira2018")
            tracemalloc.start()
            for participant in participants:
                data.load(participant)
            highest = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return highest

        names = [f"P{i:02d}" for i in range(6)]
        for name in names:
            for experiment in (2, 3):
                held = content(experiment, voxels=5000)
                held["atlases"] = ATLASES | {"visual": {"all": list(range(100, 4000))}}
                write(folder / name / NAMES[experiment], held)
        load_brain(study(), "pereira2018").load("P00")  # what is kept once for each file, before counting
        assert peak(names) < 1.2 * peak(names[:1])


class TestFaults:
    """Every message has the path, what is wrong, and what to do."""

    @pytest.mark.parametrize("version", [5, 7.3])
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                {"keySentences": ["a", "b"]},
                r"examples_passagesentences has 12 rows for 2 sentences; download the file again",
            ),
            ({"keySentences": ["a", "b"] + list("abcdefghij")}, r"sentence of row 3 is the same as row 1 \('a'\)"),
            ({"keySentences": ["a", ""] + list("cdefghijkl")}, "sentence of row 2 is empty"),
            ({"labelsPassageForEachSentence": np.full(12, 5)}, "Sentence holds 5; allowed are whole numbers 1 … 4"),
            ({"labelsPassageForEachSentence": np.ones(11)}, "11 passage labels for 12 sentences"),
            ({"labelsPassageCategory": np.array([1, 2, 0, 1])}, "Category holds 0; allowed are whole numbers 1 … 2"),
            (
                {"labelsSentences": np.arange(12, 0, -1)},
                "labelsSentences is not 1 … 12, so the order of the rows is unknown",
            ),
            ({"without": ["meta"]}, "has no variable 'meta'; it has examples_passages,"),
            ({"without": ["examples_passagesentences"]}, "has no variable 'examples_passagesentences'; it has"),
            ({"atlases": {"MD": {"x": [1]}}}, "meta.atlases has no 'languageLH'; it has MD; download the file again"),
        ],
    )
    def test_a_file_that_is_not_as_described(self, folder, version, change, message):
        fill(folder, participants=["P01"])
        write(folder / "P01" / NAMES[2], content(2) | change, version)
        with pytest.raises(BraintuneError, match=rf"data_384sentences\.mat.*{message}"):
            load_brain(study(), "pereira2018")

    @pytest.mark.parametrize("version", [5, 7.3])
    @pytest.mark.parametrize("column", [0, VOXELS + 1, 2.5])
    def test_a_column_out_of_range(self, folder, version, column):
        fill(folder)
        held = content(2)
        held["atlases"]["DMN"]["L_PCC"] = [16, column]
        write(folder / "P01" / NAMES[2], held, version)
        message = f"meta.roiColumns of DMN, L_PCC, holds {column:g}; allowed are whole numbers 1 … {VOXELS}"
        with pytest.raises(BraintuneError, match=message):
            load()

    @pytest.mark.parametrize("version", [5, 7.3])
    @pytest.mark.parametrize("part", [0.0, 0.02, 0.5, 0.9, 0.999])
    def test_a_file_cut_short(self, folder, version, part):
        fill(folder, version, participants=["P01"])
        path = folder / "P01" / NAMES[3]
        path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
        with pytest.raises(
            BraintuneError, match=r"data_243sentences\.mat (is not a complete MATLAB file|has no variable)"
        ):
            load()

    @pytest.mark.parametrize("where", [300, 2000])
    def test_a_damaged_file(self, folder, where):
        fill(folder, participants=["P01"])
        path = folder / "P01" / NAMES[2]
        bytes_ = bytearray(path.read_bytes())
        bytes_[where : where + 200] = b"\xff" * 200
        path.write_bytes(bytes_)
        with pytest.raises(
            BraintuneError, match=r"data_384sentences\.mat (is not a complete MATLAB file|has no variable)"
        ):
            load()

    def test_an_empty_region(self, folder):
        fill(folder)
        held = content(2)
        held["atlases"]["languageLH"]["LAntTemp"] = []
        write(folder / "P01" / NAMES[2], held)
        write(
            folder / "P01" / NAMES[3],
            held | {"responses": content(3)["responses"], "keySentences": content(3)["keySentences"]},
        )
        with pytest.raises(BraintuneError, match="participant P01, region LAntTemp: no voxels; leave the region or"):
            load()

    def test_voxels_that_are_not_finite(self, folder):
        fill(folder)
        held = content(2)
        held["responses"][3, 49] = np.nan
        held["responses"][4, 50] = np.inf
        write(folder / "P01" / NAMES[2], held)
        with pytest.raises(
            BraintuneError, match=r"region visual: 2 of 96 values are NaN or infinite; .*non_finite: zero"
        ):
            load()
        with pytest.warns(
            UserWarning, match="region visual: 2 of 4 voxels hold NaN or infinite values and are not used"
        ):
            found = load(non_finite="zero")
        assert (found["visual"][:, :2] == 0).all()
        assert voxels(found["visual"])[2:] == [52, 53]

    def test_constant_voxels(self, folder):
        fill(folder)
        for experiment in (2, 3):
            held = content(experiment)
            held["responses"][:, 49] = 1
            held["responses"][:, [15, 16, 17]] = 0
            write(folder / "P01" / NAMES[experiment], held)
        assert load(regions=["visual"])["visual"].shape == (2 * ROWS, 4)  # one constant voxel is left to the decoder
        with pytest.raises(BraintuneError, match="region DMN: every voxel is constant"):
            load()

    def test_other_sentences_than_the_first_participant(self, folder):
        fill(folder)
        held = content(3)
        held["keySentences"][5] = "Another sentence."
        write(folder / "P01" / NAMES[3], held)
        with pytest.raises(BraintuneError, match="sentences differ from those of the first participant from row 6 on"):
            load()

    def test_another_number_of_voxels_without_places(self, folder):
        fill(folder)
        held = content(3)
        held["colToCoord"] = np.zeros((0, 3))
        held["atlases"]["DMN"]["R_PCC"] = []
        write(folder / "P01" / NAMES[3], held)
        with pytest.raises(
            BraintuneError, match="P01, region DMN: the experiments have 3 and 2 voxels, and their coordinates"
        ):
            load()

    def test_no_participant_with_all_files(self, folder):
        write(folder / "M08" / NAMES[2], content(2))
        with pytest.raises(BraintuneError, match=r"no participant in .*data_243sentences.*it has M08 \(data_384"):
            load_brain(study(), "pereira2018")

    def test_wording_that_does_not_fit(self, folder):
        fill(folder)
        with pytest.raises(BraintuneError, match=r"cannot read .*stimuli_384sentences\.txt"):
            load_brain(study(wording="dereferenced"), "pereira2018")
        for name in pereira.DEREFERENCED.values():
            (folder / name).write_text("one line\n")
        with pytest.raises(BraintuneError, match=r"stimuli_384sentences\.txt has 1 lines for 12 sentences; .*wording"):
            load_brain(study(wording="dereferenced"), "pereira2018")


def test_the_paper_profile_reads_these_files(folder):
    fill(folder, participants=["P01", "M02", "M04", "M07", "M15", "M08"])
    run = Study.load("paper")
    assert set(load_brain(run.model_copy(update={"regions": ["language"]}), "pereira2018").participants) == {
        "P01",
        "M02",
        "M04",
        "M07",
        "M15",
    }


def test_a_planted_signal_is_decoded_from_its_region(folder):
    """From the file to the score: one region carries the embedding, another noise; whole passages are left out."""
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(2, 60, 3))
    for experiment in (2, 3):
        held = content(experiment, passages=20)
        held["labelsPassageCategory"] = np.arange(20) % 2 + 1
        held["responses"] = rng.normal(size=(60, VOXELS))
        columns = np.array([c for part in ATLASES["languageRH"].values() for c in part]) - 1
        held["responses"][:, columns] += latent[experiment - 2] @ rng.normal(size=(3, len(columns)))
        write(folder / "P01" / NAMES[experiment], held)
    run = study(regions=["language", "visual"], designs=["grouped"], permutations=0, device="cpu")
    found, *_ = decode_participant(
        run,
        load_brain(run, "pereira2018"),
        "P01",
        {Representation("untuned", "untuned"): np.concatenate(latent)[None].astype(np.float32)},
    )
    score = found.groupby("region")["pairwise"].mean()
    assert score["language"] > 0.8
    assert abs(score["visual"] - 0.5) < 0.15
