import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from braintune.core.base import BraintuneError
from braintune.core.preprocess import detrend
from braintune.core.study import Study
from braintune.datasets.brains import base, concepts, registry, story
from braintune.datasets.brains.registry import load_brain

SCANS, PARTS = 60, ("LATL", "RATL")


def study(**values):
    return Study.make({"brains": ["pereira2018-exp1", "alice2016"], "nuisance": []} | values)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A small data folder of our own in the two layouts."""
    rng = np.random.default_rng(0)
    concepts = tmp_path / "brain" / "pereira2018_exp1"
    story = tmp_path / "brain" / "alice2016"
    concepts.mkdir(parents=True)
    story.mkdir()
    (concepts / "concepts.txt").write_text("null\nsea\nlamp\n")
    lines = [
        f'{row},{name},{k},"We saw, again, the {name}."'
        for row, name in enumerate(("null", "sea", "lamp"))
        for k in (1, 2)
    ]
    (concepts / "concept_sentences.csv").write_text("\n".join(["row,concept,sentence_nr,sentence", *lines]) + "\n")
    np.savez(concepts / "glove300_180concepts.npz", vectors=np.ones((3, 4)))
    for name in ("M01", "M02"):
        np.savez(concepts / f"{name}.npz", responses=rng.standard_normal((3, 5)).astype(np.float32))
    (story / "regions.txt").write_text("\n".join(PARTS) + "\n")
    words = [("They", 1, 0, 1), ("ve", 1, 1, 2), ("gone", 1, 2, 3)]
    words += [("Is", 2, 70, 71), ("it", 2, 71, 80), ("TRUE", 2, 80, 81)]
    pd.DataFrame(words, columns=["word", "sentence", "onset_s", "offset_s"]).to_csv(story / "words.csv", index=False)
    np.savez(story / "s07.npz", timecourses=rng.standard_normal((SCANS, 2)).astype(np.float32))
    monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path))
    return tmp_path / "brain"


def write_eight_sentences(folder):
    """Write another story: sentence s has 1 + s * s % 5 words."""
    rows = [("yes", s, 10 * s + k, 10 * s + k + 0.3 * s) for s in range(8) for k in range(1 + s * s % 5)]
    table = pd.DataFrame(rows, columns=["word", "sentence", "onset_s", "offset_s"])
    table.to_csv(folder / "alice2016" / "words.csv", index=False)


class TestConcepts:
    def test_each_concept_is_a_stimulus_with_its_sentences(self, folder):
        data = load_brain(study(), "pereira2018-exp1")
        assert data.participants == ("M01", "M02")
        assert data.stimuli.names == ["null", "sea", "lamp"]
        assert data.stimuli.sentences[0] == "We saw, again, the null."
        assert data.stimuli.stimulus_of.tolist() == [0, 0, 1, 1, 2, 2]
        assert data.stimuli.passage is None
        assert not data.stimuli.contiguous
        assert not data.simulated

    def test_responses_are_those_of_the_file_rotated(self, folder):
        loaded = load_brain(study(), "pereira2018-exp1").load("M02")["whole-brain"]
        assert loaded.dtype == np.float32
        file = np.load(folder / "pereira2018_exp1" / "M02.npz")["responses"]
        np.testing.assert_allclose(loaded @ loaded.T, file @ file.T, atol=1e-5)

    @pytest.mark.parametrize("count", [1, 3, 4, 179])
    def test_spread_components_keep_geometry_and_have_equal_variance(self, count):
        rng = np.random.default_rng(count)
        basis = np.linalg.qr(np.column_stack([np.ones(200), rng.standard_normal((200, count))]))[0][:, 1:]
        components = basis * np.geomspace(100, 1, count)  # uncorrelated, mean 0, very unequal
        columns = concepts.spread_components(components)
        np.testing.assert_allclose(columns @ columns.T, components @ components.T, atol=1e-8)
        np.testing.assert_allclose(columns.std(axis=0), columns.std(axis=0)[0])
        np.testing.assert_allclose(columns.mean(axis=1), 0, atol=1e-12)

    def test_real_copy(self, shared_data, monkeypatch):
        monkeypatch.setenv("BRAINTUNE_DATA", str(shared_data))
        data = load_brain(study(), "pereira2018-exp1")
        assert len(data.participants) == 10
        assert len(data.stimuli.names) == 180
        assert np.bincount(data.stimuli.stimulus_of).tolist() == [6] * 180
        assert data.load("M01")["whole-brain"].shape == (180, 256)
        assert all(
            name[:4].lower() in text.lower()
            for name, text in zip(data.stimuli.names[:3], data.stimuli.sentences[::6], strict=False)
        )


class TestStory:
    def test_sentences_as_spoken(self, folder):
        stimuli = load_brain(study(), "alice2016").stimuli
        assert stimuli.sentences == ["They've gone", "Is it true"]
        assert stimuli.contiguous
        assert stimuli.position.tolist() == [0, 1]

    def test_preprocessing_equals_the_slow_way(self, folder):
        """Detrend by least squares, z-score, and average scans picked one by one."""
        lags = [2.0, 5.0]
        loaded = load_brain(study(lags=lags, detrend_order=4), "alice2016").load("s07")
        scans = np.load(folder / "alice2016" / "s07.npz")["timecourses"].astype(float)
        drift = np.array([[np.cos(np.pi * k * (2 * i + 1) / (2 * SCANS)) for k in range(4)] for i in range(SCANS)])
        clean = scans - drift @ np.linalg.lstsq(drift, scans, rcond=None)[0]
        clean = (clean - clean.mean(0)) / clean.std(0)
        for row, (onset, offset) in enumerate([(0, 3), (70, 81)]):
            for column, lag in enumerate(lags):
                inside = [i for i in range(SCANS) if onset + lag <= 2 * i <= offset + lag]
                for part, region in enumerate(PARTS):
                    assert loaded[region][row, column] == pytest.approx(
                        np.mean([clean[i, part] for i in inside]), abs=1e-5
                    )
        np.testing.assert_array_equal(loaded["language"], np.hstack([loaded["LATL"], loaded["RATL"]]))

    def test_a_short_sentence_takes_the_nearest_scan(self):
        scans = np.arange(10.0)[:, None]
        out = story.sentence_responses(scans, np.array([[4.2, 5.0], [90.0, 99.0]]), [0.0], 2.0)
        assert out[:, 0, 0].tolist() == [2.0, 9.0]

    def test_detrending_removes_drift_and_keeps_the_rest(self):
        t = np.arange(100)
        slow, fast = np.cos(np.pi * 3 * (t + 0.5) / 100), np.cos(np.pi * 40 * (t + 0.5) / 100)
        out = detrend((5 + slow + fast)[:, None], 12)
        np.testing.assert_allclose(out[:, 0], fast, atol=1e-12)

    def test_real_copy(self, shared_data, monkeypatch):
        monkeypatch.setenv("BRAINTUNE_DATA", str(shared_data))
        data = load_brain(study(), "alice2016")
        assert (len(data.participants), len(data.stimuli.sentences)) == (20, 84)
        assert data.regions == ("language", "LATL", "RATL", "LPTL", "LIPL", "LPreM", "LIFG")
        loaded = data.load("s18")
        assert {region: x.shape[1] for region, x in loaded.items()} == {"language": 24} | dict.fromkeys(
            data.regions[1:], 4
        )
        assert data.stimuli.sentences[0].startswith("Alice was beginning to get very tired of sitting by her sister")

    def test_too_many_regressors(self, folder):
        with pytest.raises(BraintuneError, match="detrend_order: 60 must be below the 60 scans"):
            load_brain(study(detrend_order=60), "alice2016").load("s07")


class TestNuisance:
    def test_default_takes_what_varies(self, folder):
        write_eight_sentences(folder)
        stimuli = load_brain(study(nuisance=None), "alice2016").stimuli
        words = np.array([1 + s * s % 5 for s in range(8)])
        seconds = words - 1 + 0.3 * np.arange(8)
        np.testing.assert_allclose(stimuli.nuisance, np.column_stack([words, np.log(words), seconds]))
        assert load_brain(study(nuisance=None), "pereira2018-exp1").stimuli.nuisance is None  # several sentences each

    def test_characters_only_if_words_are_constant(self, folder):
        """A dash is no word."""
        sentences = ["We saw it.", "They - saw her."]
        made = base.varying_regressors(base.Stimuli(["a", "b"], sentences, np.arange(2)))
        assert {name: values.tolist() for name, values in made.items()} == {"characters": [10, 15]}
        mixed = base.varying_regressors(base.Stimuli(["a", "b"], [*sentences[:1], "They saw."], np.array([1, 0])))
        assert {name: values.tolist() for name, values in mixed.items()} == {
            "length": [2, 3], "log-length": np.log([2, 3]).tolist(), "characters": [9, 10],
        }  # fmt: skip

    def test_responses_are_returned_as_they_are(self, folder):
        """Nuisance is regressed out in each fold, from its training stimuli."""
        write_eight_sentences(folder)
        plain, noted = (load_brain(study(nuisance=wanted), "alice2016") for wanted in ([], ["length"]))
        assert plain.stimuli.nuisance is None
        assert noted.stimuli.nuisance.shape == (8, 1)
        np.testing.assert_array_equal(plain.load("s07")["language"], noted.load("s07")["language"])

    def test_a_name_may_be_meant_for_another_data_set_of_the_run(self, folder):
        write_eight_sentences(folder)
        run = study(nuisance=["duration"])
        assert load_brain(run, "pereira2018-exp1").stimuli.nuisance is None
        assert load_brain(run, "alice2016").stimuli.nuisance.shape == (8, 1)

    def test_what_no_data_set_has_is_an_error(self, folder):
        with pytest.raises(
            BraintuneError, match=r"nuisance: length: unknown.*'pereira2018-exp1'; allowed are none; .*\[\] uses none"
        ):
            load_brain(study(nuisance=["length"], brains=["pereira2018-exp1"]), "pereira2018-exp1")

    def test_too_few_sentences(self, folder):
        with pytest.raises(BraintuneError, match=r"nuisance: 1 regressors are too many for 2 .*set nuisance: \[\]"):
            load_brain(study(nuisance=["length"]), "alice2016")


class TestFaults:
    def test_a_missing_folder_says_where_data_come_from(self, tmp_path, monkeypatch):
        monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path))
        with pytest.raises(BraintuneError, match=r"no folder .*alice2016.*BRAINTUNE_DATA.*Brennan.*data/README"):
            load_brain(study(), "alice2016")

    def test_a_folder_without_participants(self, folder):
        (folder / "alice2016" / "s07.npz").unlink()
        with pytest.raises(BraintuneError, match="no participant in"):
            load_brain(study(), "alice2016")

    def test_unknown_names_list_those_present(self, folder):
        with pytest.raises(BraintuneError, match="unknown brain data set 'dreams'; known: simulated, pereira2018-exp1"):
            load_brain(study(), "dreams")
        with pytest.raises(BraintuneError, match=r"participants: 'M16' not in .*'pereira2018-exp1'; it has M01, M02"):
            load_brain(study(participants=["M01", "M16"]), "pereira2018-exp1")
        message = r"regions: 'cuneus' not in .*; it has whole-brain; sets of regions are language-left-8, language-8"
        with pytest.raises(BraintuneError, match=message):
            load_brain(study(regions=["whole-brain", "cuneus"]), "pereira2018-exp1")
        with pytest.raises(BraintuneError, match=r"participant 'M03' is unknown; .* has M01, M02"):
            load_brain(study(), "pereira2018-exp1").load("M03")

    @pytest.mark.parametrize(
        ("responses", "message"),
        [
            (np.full((3, 5), np.nan), "15 of 15 values are NaN or infinite"),
            (np.array([[1.0, 2], [3, np.inf], [5, 6]]), "1 of 6 values are NaN or infinite"),
            (np.ones((3, 5)), "every voxel is constant"),
            (np.ones((4, 5)), r"shape \(4, 8\) do not match 3 stimuli"),
            (np.ones(3), r"shape \(3,\).*a numeric array with two axes"),
            (np.array([[object()] * 2] * 3), "not a readable .npz file"),
            (np.array([["a", "b"]] * 3), "a numeric array with two axes"),
        ],
    )
    def test_bad_responses(self, folder, responses, message):
        np.savez(folder / "pereira2018_exp1" / "M01.npz", responses=responses)
        with pytest.raises(BraintuneError, match=message):
            load_brain(study(), "pereira2018-exp1").load("M01")

    def test_a_single_constant_voxel_is_left_to_the_decoder(self, folder):
        responses = np.random.default_rng(0).standard_normal((3, 5))
        responses[:, 2] = 0
        np.savez(folder / "pereira2018_exp1" / "M01.npz", responses=responses)
        assert load_brain(study(), "pereira2018-exp1").load("M01")["whole-brain"].shape == (3, 8)

    @pytest.mark.parametrize("content", [b"", b"not a zip file", b"PK\x03\x04 cut short"])
    def test_a_corrupt_file(self, folder, content):
        (folder / "pereira2018_exp1" / "M01.npz").write_bytes(content)
        with pytest.raises(BraintuneError, match=r"M01\.npz is not a readable"):
            load_brain(study(), "pereira2018-exp1").load("M01")

    def test_stimulus_files_that_do_not_fit(self, folder):
        (folder / "pereira2018_exp1" / "concepts.txt").write_text("sea\nnull\nlamp\n")
        with pytest.raises(BraintuneError, match=r"does not match concepts.txt"):
            load_brain(study(), "pereira2018-exp1")
        (folder / "alice2016" / "words.csv").write_text("word,sentence\nshe,1\n")
        with pytest.raises(BraintuneError, match="no column 'onset_s'; it has 'word', 'sentence'"):
            load_brain(study(), "alice2016")
        (folder / "alice2016" / "regions.txt").unlink()
        with pytest.raises(BraintuneError, match=r"cannot read .*regions\.txt"):
            load_brain(study(), "alice2016")


class TestChoice:
    def test_participants_and_regions_are_limited(self, folder):
        data = load_brain(study(participants=["M02"], brains=["pereira2018-exp1"]), "pereira2018-exp1")
        assert data.participants == ("M02",)
        with pytest.raises(BraintuneError, match="'M01'"):
            data.load("M01")
        data = load_brain(study(regions=["RATL"], brains=["alice2016"]), "alice2016")
        assert data.regions == ("RATL",)
        assert list(data.load("s07")) == ["RATL"]

    def test_a_name_may_be_meant_for_another_data_set_of_the_run(self, folder):
        run = study(regions=["language", "whole-brain"])
        assert load_brain(run, "alice2016").regions == ("language",)
        assert load_brain(run, "pereira2018-exp1").regions == ("whole-brain",)


def test_a_set_of_regions_means_its_members(folder, monkeypatch):
    monkeypatch.setitem(registry.REGION_SETS, "temporal", PARTS)
    data = load_brain(study(regions=["temporal"], brains=["alice2016"]), "alice2016")
    assert data.regions == tuple(data.load("s07")) == PARTS
    assert [len(members) for members in registry.REGION_SETS.values()] == [8, 8, 2]
    with pytest.raises(BraintuneError, match=r"regions: 'LIFGorb', .*'LAngG' not in brain data 'alice2016'"):
        load_brain(study(regions=["language-left-8"], brains=["alice2016"]), "alice2016")


def test_responses_are_read_on_demand_and_not_kept(folder):
    data = load_brain(study(), "pereira2018-exp1")
    np.savez(folder / "pereira2018_exp1" / "M01.npz", responses=np.arange(15.0).reshape(3, 5))
    first = data.load("M01")["whole-brain"]
    np.savez(folder / "pereira2018_exp1" / "M01.npz", responses=-np.arange(15.0).reshape(3, 5))
    np.testing.assert_array_equal(data.load("M01")["whole-brain"], -first)


def test_checksums_cover_what_is_read(folder):
    run = study(participants=["M01", "s07"])
    sums = registry.data_checksums(run, "pereira2018-exp1")
    assert list(sums) == ["concepts.txt", "concept_sentences.csv", "M01.npz"]
    shutil.copy(folder / "pereira2018_exp1" / "M02.npz", folder / "pereira2018_exp1" / "M01.npz")
    assert registry.data_checksums(run, "pereira2018-exp1")["M01.npz"] != sums["M01.npz"]
    assert registry.data_checksums(run, "simulated") == {}


def test_every_source_is_described():
    for name, source in registry.BRAINS.items():
        assert source.name == name
        assert all((source.title, source.size, source.licence, source.get, source.people))
    assert [name for name in registry.BRAINS if registry.is_simulated(name)] == ["simulated"]


def test_a_brain_data_set_can_be_added_at_run_time(folder, monkeypatch):
    source = replace(concepts.SOURCE, name="mine", make=lambda run: replace(concepts.concepts(run), name="mine"))
    monkeypatch.setitem(registry.BRAINS, "mine", source)
    run = study(brains=["mine"])
    assert load_brain(run, "mine").load("M01")["whole-brain"].shape == (3, 8)
    assert set(registry.data_checksums(run, "mine")) == {"concepts.txt", "concept_sentences.csv", "M01.npz", "M02.npz"}


def test_one_participant_is_no_plural():
    label = registry.participants_label
    assert [label("folder", n) for n in (1, 2, None)] == ["1 participant", "2 participants", "participants"]
