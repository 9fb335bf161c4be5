"""Passages in twelve languages, from files of the published layout with made-up words and scans."""

import numpy as np
import pytest

from braintune.core.base import BraintuneError
from braintune.core.preprocess import detrend, zscore
from braintune.core.study import Study
from braintune.datasets.brains import devarda, registry
from braintune.datasets.brains.registry import BRAINS, data_checksums, load_brain
from braintune.datasets.brains.story import sentence_responses

SCANS, SENTENCES, WORDS = 60, 12, 4
ROIS = [f"Lang_{side}H_{part}" for side in "LR" for part in ("IFGorb", "IFG", "MFG", "AntTemp", "PostTemp")]
#: End of a sentence, by the transcript.
ENDS = {"fr": ".", "ta": "।", "fa": "؟", "tr": "!»"}
PEOPLE = {"French": ("7", "8"), "Tamil": ("21", "22"), "Farsi": ("31", "32"), "Turkish": ("41", "42"), "Hebrew": ("1",)}


def study(**values):
    return Study.make({"brains": ["devarda-french"], "nuisance": [], "detrend_order": 4} | values)


def transcript(end):
    """Sentence s has four words from 8 s on."""
    times = [(s, k, 8 * s + 1.5 * k) for s in range(SENTENCES) for k in range(WORDS)]
    rows = [f"w{s}x{k}{end if k == WORDS - 1 else ''},{t:g},{t + 1.5:g}" for s, k, t in times]
    return "\n".join(["text,start,end", *rows, ""])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    rng, made = np.random.default_rng(0), tmp_path / "brain" / "devarda"
    for name in ("data", "transcribed"):
        (made / name).mkdir(parents=True)
    heading = ["Language", "UID", "Path", "Run", "IPS", "Network", "ROI", *(f"T_{i}" for i in range(1, SCANS + 1))]
    rows = [
        [
            language,
            who,
            f"folder {who}",
            "3",
            str(SCANS),
            "LangLoc",
            roi,
            *map(str, rng.standard_normal(SCANS).round(6)),
        ]
        for language, people in PEOPLE.items()
        for who in people
        for roi in ROIS
    ]
    (made / "data" / devarda.SCANS).write_text("\n".join(map(",".join, [heading, *rows])) + "\n")
    for code, end in ENDS.items():
        (made / "transcribed" / f"{code}.csv").write_text(transcript(end), encoding="utf-8")
    monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path))
    return made


def change(folder, old, new, file="transcribed/fr.csv", count=1):
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, count), encoding="utf-8")


def test_a_language_is_a_brain_data_set(folder):
    data = load_brain(study(), "devarda-french")
    assert data.name == "devarda-french" and data.participants == ("7", "8")
    assert data.regions == ("language", *(roi[5] + roi[8:] for roi in ROIS))
    assert data.stimuli.contiguous and len(data.stimuli.sentences) == SENTENCES
    assert data.stimuli.sentences[1] == "w1x0 w1x1 w1x2 w1x3."
    np.testing.assert_allclose(data.stimuli.duration, 6)
    assert not data.remarks
    assert registry.participants_label(data.name, 2) == "2 listeners to a passage in French"
    assert set(data_checksums(study(), data.name)) == {devarda.SCANS, "fr.csv"}


def test_time_0_of_the_words_is_after_the_silence(folder):
    loaded = load_brain(study(), "devarda-french").load("8")
    lines = (folder / "data" / devarda.SCANS).read_text().splitlines()
    rows = [line.split(",") for line in lines if line.startswith("French,8,")]
    scans = np.array([row[7:] for row in rows], dtype=float).T
    times = np.array([[12 + 8.0 * s, 12 + 8.0 * s + 6] for s in range(SENTENCES)])
    wanted = sentence_responses(zscore(detrend(scans, 4)), times, [2.0, 4.0, 6.0, 8.0], 2.0)
    np.testing.assert_allclose(loaded["RIFG"], wanted[:, :, 6], atol=1e-5)
    left = np.concatenate([loaded[part] for part in devarda.NETWORK], axis=1)
    np.testing.assert_array_equal(loaded["language"], left)


@pytest.mark.parametrize("language", ["tamil", "farsi", "turkish"])
def test_sentences_end_in_every_script(folder, language):
    stimuli = load_brain(study(brains=[f"devarda-{language}"]), f"devarda-{language}").stimuli
    assert len(stimuli.sentences) == SENTENCES and stimuli.sentences[0].startswith("w0x0 ")


def test_closing_marks_belong_to_the_sentence_that_ended(folder):
    change(folder, "w1x0,8,9.5", "»,8,8.1\n«,8.2,8.3\nw1x0,8.3,9.5")
    sentences = load_brain(study(), "devarda-french").stimuli.sentences
    assert sentences[:2] == ["w0x0 w0x1 w0x2 w0x3. »", "« w1x0 w1x1 w1x2 w1x3."]


def test_sentences_after_the_scans_are_left_out_and_named(folder):
    change(folder, "w11x3.,92.5,94", "w11x3.,92.5,97")
    data = load_brain(study(), "devarda-french")
    assert len(data.stimuli.sentences) == SENTENCES - 1
    assert data.remarks == ("1 of 12 sentences are left out: they end after the passage (96 s), in fr.csv",)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("text,start", "word,start", r"fr.csv, line 1: no column 'text'; it has 'word'"),
        ("w0x1,1.5,3\n", "w0x1,1.5\n", r"fr.csv, line 3: 2 fields .* for 3 headings"),
        ("w0x1,1.5,3\n", ",1.5,3\n", r"line 3, column 'text': '' is missing; write the word"),
        ("w0x1,1.5,3\n", "w0x1,1.5,nan\n", r"line 3, column 'end': 'nan' is not allowed; write seconds"),
        ("w0x1,1.5,3\n", "w0x1,1.5,1\n", r"line 3, column 'end': '1' is before the start of its word; correct"),
        ("w0x1,1.5,3\n", "w0x1,1.4,3\n", r"line 3, column 'start': '1.4' is before the end of the previous word; corr"),
        ("w0x0,0,1.5", "w0x0,-1,1.5", r"line 2, column 'start': '-1' is before the beginning"),
    ],
)  # fmt: skip
def test_a_faulty_transcript_is_an_error_with_its_line(folder, old, new, message):
    change(folder, old, new)
    with pytest.raises(BraintuneError, match=message):
        load_brain(study(), "devarda-french")


def test_text_without_ends_of_sentences(folder):
    change(folder, ".,", ",", count=-1)
    with pytest.raises(
        BraintuneError, match=r"fr.csv, column 'text': the words form fewer than two sentences; write \. ! or \?"
    ):
        load_brain(study(), "devarda-french")
    words = "\n".join(["text,start,end", "a.,0,1", *(f"w{i},{i},{i}" for i in range(1, 103)), ""])
    (folder / "transcribed" / "fr.csv").write_text(words)
    with pytest.raises(BraintuneError, match=r"line 3, column 'text': 'w1' begins a sentence of 102 words; write \. !"):
        load_brain(study(), "devarda-french")


def test_words_beyond_the_scans(folder):
    text = transcript(".").splitlines()
    rows = [f"{w},{float(a) * 1000:g},{float(b) * 1000:g}" for w, a, b in (line.split(",") for line in text[1:])]
    (folder / "transcribed" / "fr.csv").write_text("\n".join([text[0], *rows, ""]))
    with pytest.raises(
        BraintuneError,
        match=r"line 2, column 'end': '1500' is after the end of the passage \(96 s, from the scans\), as in 48 of 48",
    ):
        load_brain(study(), "devarda-french")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("UID", "Person", r"line 1: no column 'UID'; it has 'Language', 'Person'"),
        ("Path,Run,", "", r"line 2: 67 fields .* for 65 headings"),
        ("Path,Run,IPS,Network,ROI", "T_0,Run,IPS,Network,ROI", r"first 7 columns are .*'T_0'.*no scan.* download the file"),
        ("Path,Run,IPS,Network,ROI,T_1", "Path,Run,IPS,Network,T_1,ROI", r"first 7 columns are .*must include .*'ROI'"),
        ("French", "Frensh", r"participants 7, 8 must have the same regions.*LIFGorb is missing for some"),
        ("Lang_RH_IFG,", "Lang_LH_IFG,", r"column 'ROI': 'LIFG' is repeated for its participant; keep one row"),
        ("Lang_RH_MFG", "language", r"column 'ROI': 'language' is the name of LIFGorb, .*; rename the region"),
        ("French,7,", "French,,", r"line 2, column 'UID': '' is missing"),
    ],
)  # fmt: skip
def test_faulty_scans_are_an_error(folder, old, new, message):
    change(folder, old, new, f"data/{devarda.SCANS}")
    with pytest.raises(BraintuneError, match=message):
        load_brain(study(), "devarda-french")


def test_a_scan_that_is_no_number_is_named_by_line_and_column(folder):
    path = folder / "data" / devarda.SCANS
    lines = path.read_text().splitlines()
    fields = lines[3].split(",")
    for bad in ("NaN", ""):
        lines[3] = ",".join([*fields[:9], bad, *fields[10:]])
        path.write_text("\n".join(lines) + "\n")
        with pytest.raises(BraintuneError, match=rf"line 4, column 'T_3': '{bad}' is .*interpolate a missing one"):
            load_brain(study(), "devarda-french")
    lines[3] = ",".join(fields[:-1])
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(BraintuneError, match=rf"line 4: {len(fields) - 1} fields .* for {len(fields)} headings"):
        load_brain(study(), "devarda-french")


def test_copies_of_a_participant_are_an_error(folder):
    path = folder / "data" / devarda.SCANS
    lines = path.read_text().splitlines()
    copied = [line.replace("French,7,", "French,8,") for line in lines if line.startswith("French,7,")]
    path.write_text("\n".join([line for line in lines if not line.startswith("French,8,")] + copied) + "\n")
    with pytest.raises(BraintuneError, match=r"participants 7 and 8 have the same scans; .*remove one"):
        load_brain(study(), "devarda-french")


def test_unknown_languages_and_missing_files(folder):
    with pytest.raises(BraintuneError, match=r"'devarda-frensh'.*devarda-french"):
        load_brain(study(), "devarda-frensh")
    with pytest.raises(BraintuneError, match=r"no row of 'Dutch'; it has Farsi, French, Hebrew, Tamil, Turkish; leave"):
        load_brain(study(), "devarda-dutch")
    (folder / "transcribed" / "fr.csv").unlink()
    with pytest.raises(BraintuneError, match=r"cannot read .*fr.csv.*data/README.md"):
        load_brain(study(), "devarda-french")
    (folder / "data" / devarda.SCANS).unlink()
    with pytest.raises(BraintuneError, match=rf"cannot read .*{devarda.SCANS}"):
        load_brain(study(), "devarda-french")


def test_every_language_is_listed():
    assert {source.name for source in devarda.SOURCES} == {name for name in BRAINS if name.startswith("devarda-")}
    assert len(devarda.SOURCES) == 12 and all(source.folder == "devarda" for source in devarda.SOURCES)
