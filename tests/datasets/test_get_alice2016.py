import re
import sys
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from nilearn.glm.first_level import compute_regressor

from braintune.core.base import REPOSITORY, BraintuneError
from braintune.core.study import Study
from braintune.datasets.brains.registry import load_brain

sys.path.insert(0, str(REPOSITORY / "data" / "get"))
alice2016 = import_module("alice2016")

SCANS = 90
#: Seconds of the predictors at which the pieces begin: close together, and with a long pause.
STARTS = {1: 19.6, 2: 63.2, 3: 111.9, 4: 152.4}
HEADER = "Word,Segment,onset,offset,Order,LogFreq,Position,Sentence,IsLexical"


def made_words(rng):
    """The words of four pieces of 36 to 41 s, as the authors' table has them; sentences of about 8 words."""
    rows, sentence = [], 0
    for segment, length in zip(STARTS, (41, 36, 40, 38), strict=True):
        onset = 0.05
        while onset < length - 3:
            sentence += 1
            for position in range(1, rng.integers(5, 11)):
                offset = onset + rng.uniform(0.1, 0.6)
                rows.append((f"w{len(rows) % 97}", segment, round(onset, 6), round(offset, 6), position, sentence))
                onset = offset - 0.046
            onset += rng.uniform(0.2, 2.5)
    return pd.DataFrame(rows, columns=["word", "segment", "onset", "offset", "position", "sentence"])


def rate_of(words, rows, starts=STARTS):
    """The rate of the words, convolved by another route than the library's."""
    ends = (words["offset"] + words["segment"].map(starts)).to_numpy()
    events = np.array([ends, np.zeros(len(ends)), np.ones(len(ends))])
    return compute_regressor(events, "spm", 2.0 * np.arange(rows), min_onset=0)[0][:, 0]


def save(path, table, mark="%.7e"):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, table, fmt=mark)


@pytest.fixture
def official(tmp_path, monkeypatch):
    """The authors' files, small: s18 has everything, s22 no sound power and motion without the first ten, s33 is short."""
    monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path / "data"))
    rng, folder = np.random.default_rng(3), tmp_path / "authors"
    words = made_words(rng)
    others = 1e-5 * rng.normal(size=(SCANS + 10, 11))
    rate = rate_of(words, SCANS + 10)
    predictors = np.column_stack([rate + 0.02 * rate.std() * rng.normal(size=len(rate)), others])
    save(folder / alice2016.PREDICTOR_FILE, predictors)
    held = {who: 100 + rng.normal(size=(rows, 6)) for who, rows in (("s18", SCANS), ("s22", SCANS), ("s33", 70))}
    for who, scans in held.items():
        save(folder / "10mm" / f"{who}-timecourses.txt", scans)
        save(folder / "6mm" / f"{who}-timecourses.txt", scans + 1)
    held["power"], held["motion"] = rng.uniform(size=SCANS), rng.normal(size=(SCANS + 10, 6))
    save(folder / "s18-sndpwr.txt", held["power"])
    save(folder / "s18-rp_epi-s18-obl.txt", held["motion"])
    save(folder / "s22-rp_run05.e02.txt", held["motion"][10:] + 1)
    lines = [
        f"{w.word},{w.segment},{w.onset},{w.offset},{i},9.1,{w.position},{w.sentence},{'NaN' if i == 3 else 1}"
        for i, w in enumerate(words.itertuples())
    ]
    (folder / alice2016.WORD_FILE).write_text("\n".join([HEADER, *lines]))
    return folder, held | {"words": words, "predictors": predictors}


class TestTheFolder:
    def test_beginnings_come_back_and_the_loader_reads_it(self, official, tmp_path, capsys):
        folder, held = official
        alice2016.main(["--from", str(folder)])
        printed = capsys.readouterr().out
        assert "licence: CC BY 4.0" in printed and "10.7302/Z29C6VNH" in printed
        assert float(re.search(r"r = (\d\.\d+)", printed)[1]) > 0.99
        assert "left out s33: 70 of 90 scans" in printed and "s33.npz" not in printed
        made = pd.read_csv(tmp_path / "data" / "brain" / "alice2016" / "words.csv", keep_default_na=False)
        words = held["words"]
        assert list(made) == ["word", "sentence", "position", "onset_s", "offset_s"]
        for name in ("word", "sentence", "position"):
            assert (made[name] == words[name]).all()
        for ours, theirs in (("onset_s", "onset"), ("offset_s", "offset")):
            expected = words[theirs] + words["segment"].map(STARTS) - 20
            np.testing.assert_allclose(made[ours], expected, atol=0.3)
        lags = [2.0, 4.0]
        data = load_brain(Study.make({"brains": ["alice2016"], "lags": lags, "detrend_order": 3}), "alice2016")
        assert data.participants == ("s18", "s22")
        assert data.regions == ("language", *alice2016.REGIONS)
        assert data.load("s18")["LPTL"].shape == (words["sentence"].nunique(), len(lags))

    def test_arrays_are_the_authors(self, official, tmp_path):
        folder, held = official
        list(alice2016.convert(folder))
        made = tmp_path / "data" / "brain" / "alice2016"
        with np.load(made / "s18.npz") as full, np.load(made / "s22.npz") as partly:
            assert full["timecourses"].dtype == np.float32
            np.testing.assert_allclose(full["timecourses"], held["s18"], rtol=1e-6)  # of 10 mm, not of 6
            np.testing.assert_allclose(full["sound_power"], held["power"], rtol=1e-6)
            np.testing.assert_allclose(full["motion"], held["motion"][10:], rtol=1e-6)
            assert set(partly.files) == {"timecourses", "motion"}
            np.testing.assert_allclose(partly["motion"], held["motion"][10:] + 1, rtol=1e-5)
        table = pd.read_csv(made / "predictors.csv")
        assert list(table) == list(alice2016.PREDICTORS)
        np.testing.assert_allclose(table, held["predictors"][10:], rtol=1e-4)
        assert (made / "regions.txt").read_text().split() == ["LATL", "RATL", "LPTL", "LIPL", "LPreM", "LIFG"]


class TestFitting:
    def test_the_copy_fits_at_least_as_well_as_with_its_given_beginnings(self, shared_data):
        folder = shared_data / "brain" / "alice2016"
        given = np.array([19.8, 76.3, 138.0, 201.4, 271.6, 338.0, 401.9, 464.6, 522.0, 579.4, 640.6, 696.7])
        table = pd.read_csv(folder / "words.csv", keep_default_na=False)
        segment = np.searchsorted(given - 20, table["onset_s"], side="right")
        within = table[["onset_s", "offset_s"]] - (given - 20)[segment - 1][:, None]
        words = within.set_axis(["onset", "offset"], axis=1).assign(segment=segment)
        rate = np.concatenate([np.zeros(10), pd.read_csv(folder / "predictors.csv")["rate"]])
        as_given = np.corrcoef(rate_of(words, len(rate), dict(enumerate(given, 1))), rate)[0, 1]
        assert as_given == pytest.approx(0.983, abs=0.002)  # the copy's own figure
        starts, fit = alice2016.fit_starts(words, rate)
        assert fit > 0.99
        moved = np.abs(starts.to_numpy() - given)
        assert np.median(moved) <= 0.2 and np.sort(moved)[-2] <= 0.6
        # The copy has the second piece begin before the last word of the first has ended.
        assert moved.argmax() == 1 and starts[2] > starts[1] + words.loc[segment == 1, "offset"].max() > given[1]

    @pytest.mark.parametrize("seed", range(3))
    def test_beginnings_do_not_depend_on_how_the_pieces_lie(self, seed):
        rng = np.random.default_rng(seed)
        words = made_words(rng)
        lengths = words.groupby("segment")["offset"].max()
        starts = pd.Series(lengths.cumsum().shift(fill_value=0) + np.sort(rng.uniform(0, 30, 4)), lengths.index)
        rate = rate_of(words, 110, starts)
        rate = rate + 0.1 * rate.std() * rng.normal(size=len(rate))
        found, fit = alice2016.fit_starts(words, rate)
        np.testing.assert_allclose(found, starts, atol=0.4)
        assert 0.98 < fit < 1
        pieces = {k: alice2016.convolved_rate(own["offset"], 2.0) for k, own in words.groupby("segment")}
        for moved in [found, *(found + step * (found.index == k) for k in pieces for step in (-0.3, -0.1, 0.1, 0.3))]:
            laid = sum(np.interp(2.0 * np.arange(110) - moved[k], *own, left=0, right=0) for k, own in pieces.items())
            correlation = np.corrcoef(laid, rate)[0, 1]
            assert correlation == pytest.approx(fit) if moved is found else correlation < fit  # a maximum

    def test_the_convolved_rate_is_that_of_the_library(self):
        offsets = pd.Series([0.5, 1.1, 1.4, 6.3])
        times, rate = alice2016.convolved_rate(offsets, 2.0)
        events = np.array([offsets, np.zeros(4), np.ones(4)])
        theirs = compute_regressor(events, "spm", 2.0 * np.arange(20), oversampling=40, min_onset=0)[0][:, 0]
        ours = np.interp(2.0 * np.arange(20), times, rate, right=0)
        assert np.corrcoef(ours, theirs)[0, 1] > 0.9995

    def test_impossible_predictors_are_refused(self):
        words = made_words(np.random.default_rng(0))
        with pytest.raises(BraintuneError, match="predictor of the rate of the words is constant"):
            alice2016.fit_starts(words, np.ones(100))
        with pytest.raises(BraintuneError, match=r"4 pieces of audio last 1\d\d s, but the predictors only 100 s"):
            alice2016.fit_starts(words, np.arange(50.0))


def change(folder, name, old, new):
    path = folder / name
    text = path.read_text()
    assert re.search(old, text, re.MULTILINE)
    path.write_text(re.sub(old, new, text, count=1, flags=re.MULTILINE))


class TestFaults:
    @pytest.mark.parametrize(
        ("name", "old", "new", "message"),
        [
            ("10mm/s18-timecourses.txt", r"\A\S+ ", "", "cannot read .*s18-timecourses.*rows of 6 numbers are needed"),
            ("10mm/s18-timecourses.txt", r"^\S+ ", "NaN ", "s18-timecourses.txt: 1 of 540 values are NaN or infinite"),
            ("10mm/s18-timecourses.txt", r"^\S+ ", "none ", "cannot read .*s18-timecourses.txt .*'none'"),
            ("10mm/s18-timecourses.txt", r"\Z", "1 2 3 4 5 6\n", "has 91 rows, and the predictors go with 90 scans"),
            ("s18-sndpwr.txt", r"\A.*\n", "", "s18-sndpwr.txt has 89 rows"),
            ("s18-sndpwr.txt", r"(?s)\A.*\Z", "", "s18-sndpwr.txt has no numbers, and must have 1 columns"),
            ("s18-rp_epi-s18-obl.txt", r"\A.*\n", "", "s18-rp_epi-s18-obl.txt has 99 rows"),
            (alice2016.PREDICTOR_FILE, r"\A", "rate frq\n", "cannot read .*sept18.*rows of 12 numbers"),
            (alice2016.WORD_FILE, "Segment", "Part", "no column 'Segment'; it has 'Word', 'Part', 'onset'"),
            (alice2016.WORD_FILE, r"\n[\s\S]*", "\n", "AliceChapterOne-EEG.csv has no words"),
            (
                alice2016.WORD_FILE,
                r"^w1,1,",
                "w1,x,",
                "line 3, column 'Segment': 'x' is not allowed; get the file again",
            ),
            (
                alice2016.WORD_FILE,
                r"^w1,1,",
                "w1,1.5,",
                "line 3, column 'Segment': '1.5' is not allowed; a whole number is needed",
            ),
            (alice2016.WORD_FILE, r"^w1,1,[^,]*", "w1,1,NaN", "line 3, column 'onset': 'NaN' is not allowed; get"),
            (alice2016.WORD_FILE, r"^w1,1,[^,]*", "w1,1,30", "line 3, column 'offset': .* is before the onset"),
            (alice2016.WORD_FILE, r"^w1,", " ,", "line 3, column 'Word': '' is missing"),
        ],
    )
    def test_a_file_that_is_not_as_described(self, official, tmp_path, name, old, new, message):
        change(official[0], name, old, new)
        with pytest.raises(BraintuneError, match=message):
            list(alice2016.convert(official[0]))
        assert not (tmp_path / "data").exists()

    def test_other_columns(self, official):
        folder, held = official
        save(folder / "10mm" / "s22-timecourses.txt", held["s22"][:, :5])
        with pytest.raises(BraintuneError, match=r"s22-timecourses.txt has 5 columns, and must have 6"):
            list(alice2016.convert(folder))
        save(folder / alice2016.PREDICTOR_FILE, held["predictors"][:, :3])
        with pytest.raises(BraintuneError, match=r"sept18.* has 3 columns, and must have 12"):
            list(alice2016.convert(folder))
        save(folder / alice2016.PREDICTOR_FILE, held["predictors"][:11])
        with pytest.raises(BraintuneError, match=r"sept18.* has 11 rows; the first 10 precede the scans"):
            list(alice2016.convert(folder))

    @pytest.mark.parametrize("name", [alice2016.PREDICTOR_FILE, alice2016.WORD_FILE])
    def test_a_missing_file(self, official, name):
        (official[0] / name).unlink()
        with pytest.raises(BraintuneError, match=f"cannot read .*{name}.*No such file|cannot read .*{name} not found"):
            list(alice2016.convert(official[0]))

    def test_no_participant_left(self, official):
        folder, held = official
        for who in ("s18", "s22"):
            save(folder / "10mm" / f"{who}-timecourses.txt", held["s18"][:50])
        with pytest.raises(
            BraintuneError, match=r"no participant in .*10mm: .* of 90 scans .*too short: s18, s22, s33"
        ):
            list(alice2016.convert(folder))

    def test_two_files_of_motion(self, official):
        (official[0] / "s18-rp_other.txt").write_text("")
        with pytest.raises(
            BraintuneError, match=r"has s18-rp_epi-s18-obl.txt and s18-rp_other.txt; leave the right one"
        ):
            list(alice2016.convert(official[0]))

    @pytest.mark.parametrize("change", ["order of the pieces", "another predictor"])
    def test_words_that_do_not_follow_the_predictor(self, official, tmp_path, change):
        folder, held = official
        if change == "another predictor":
            save(folder / alice2016.PREDICTOR_FILE, np.roll(held["predictors"], 1, axis=1))
        else:
            table = pd.read_csv(folder / alice2016.WORD_FILE)
            table.assign(Segment=5 - table["Segment"]).to_csv(folder / alice2016.WORD_FILE, index=False)
        with pytest.raises(
            BraintuneError, match=r"follows the first column of .* with r = -?0\.\d+, and at least 0.95"
        ):
            list(alice2016.convert(folder))
        assert not (tmp_path / "data").exists()
