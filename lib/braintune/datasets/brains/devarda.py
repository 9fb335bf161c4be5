"""Listening to a passage of Alice in Wonderland in one of twelve languages: de Varda et al.

Each language is a brain data set, so that languages are decoded separately and combined over brain data sets.
"""

import re
import unicodedata
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.datasets.brains import base
from braintune.datasets.brains.base import BrainData, BrainSource
from braintune.datasets.brains.csv_file import labels, numbers, read_csv, refuse
from braintune.datasets.brains.story import Story, respond, story_of

#: Languages with scans and a transcript → name of the transcript file.
LANGUAGES = {
    **{"afrikaans": "af", "dutch": "nl", "farsi": "fa", "french": "fr", "lithuanian": "lt", "marathi": "mr"},
    **{"norwegian": "no", "romanian": "ro", "spanish": "es", "tamil": "ta", "turkish": "tr", "vietnamese": "vi"},
}
SCANS = "Alice_Story_TimeSeries.csv"
#: Number of columns before those of the scans, and the pattern of scan names, which none of them may match.
FACTS, SCAN_NAME = 7, re.compile(r"T_?\d+")
#: Repetition time, and the silence at the beginning and at the end of the scans, s.
SECONDS_PER_SCAN, SILENCE = 2.0, 12.0
#: Regions that form ``language`` together: those that the authors average.
NETWORK = ("LIFGorb", "LIFG", "LMFG", "LAntTemp", "LPostTemp")
#: What ends a sentence: full stops, question and exclamation marks of many scripts, then closing marks.
END = re.compile(r"[.!?…。．！？｡؟۔।॥։።፧]+[\"'”’»«)\]}」』》〉]*$")
#: In a longer sentence, ends of sentences must be missing.
MOST_WORDS = 100


def listen(study: Study, language: str) -> BrainData:
    """Return the responses of left and right language regions to the sentences of a passage.

    The response to a sentence is computed as in :func:`braintune.datasets.brains.story.respond`.

    Parameters
    ----------
    study : Study
    language : str
        A key of :data:`LANGUAGES`.

    Raises
    ------
    BraintuneError
        For a missing folder or file, rows and words that do not have the expected layout (with line and column), a
        language without scans, participants with different regions, and missing regions of :data:`NETWORK`.
    """
    source = BY_LANGUAGE[language]
    folder = base.data_set_folder(source)
    scans, words = folder / "data" / SCANS, folder / "transcribed" / f"{LANGUAGES[language]}.csv"
    series = _read_scans(scans, language)
    length = len(next(iter(series.values())))
    story, remarks = _read_passage(words, SECONDS_PER_SCAN * length - 2 * SILENCE)
    parts = tuple(next(iter(series.values())))

    def load(participant: str) -> dict[str, np.ndarray]:
        where = f"{scans}, {language}, participant {participant}"
        lagged = respond(story, series[participant].to_numpy(), study, SECONDS_PER_SCAN, where)
        each = {part: np.ascontiguousarray(lagged[:, :, i]) for i, part in enumerate(parts)}
        return {"language": np.concatenate([each[part] for part in NETWORK], axis=1)} | each

    texts = {path.name: path for path in (scans, words)}
    regions = "language", *parts
    return BrainData(source.name, tuple(series), regions, story.stimuli, False, load, texts=texts, remarks=remarks)


# --- scans -------------------------------------------------------------------------------------------------------


def _read_scans(path: Path, language: str) -> dict[str, pd.DataFrame]:
    """Return participant → time courses of one language, one row per scan and one column per region."""
    table = _kept(path, path.stat().st_mtime_ns if path.is_file() else 0)
    facts = list(table.columns[:FACTS])
    late = [name for name in ("Language", "UID", "ROI") if name not in facts]
    early = [name for name in facts if SCAN_NAME.fullmatch(name)]
    if late or early or len(table.columns) <= FACTS:
        raise BraintuneError(
            f"{path}, line 1: the first {FACTS} columns are {', '.join(map(repr, facts))}; they must include "
            "'Language', 'UID' and 'ROI' but no scan, and every later column must be a scan: download the file again"
        )
    rows = table[table["Language"].str.casefold() == language]
    if rows.empty:
        known = ", ".join(sorted(set(table["Language"]))) or "none"
        raise BraintuneError(
            f"{path}, column 'Language': no row of {language.title()!r}; it has {known}; leave the language out of "
            "`brains`, or download the file again"
        )
    person, region = (labels(path, rows[name], "download the file again") for name in ("UID", "ROI"))
    region = region.str.replace(r"^Lang_([LR])H_", r"\1", regex=True).rename("ROI")
    twice = pd.DataFrame({"UID": person, "ROI": region}).duplicated()
    refuse(path, region, twice, "keep one row for each participant and region", "is repeated for its participant")
    refuse(path, region, region == "language", "rename the region", f"is the name of {', '.join(NETWORK)} together")
    remedy = "every scan must be a number; interpolate a missing one, or remove its participant from the file"
    scans = pd.DataFrame({name: numbers(path, rows[name], remedy) for name in table.columns[FACTS:]})
    series = {str(who): scans[person == who].set_axis(region[person == who]).T for who in person.unique()}
    _require_regions(path, series)
    return series


@lru_cache(maxsize=1)
def _kept(path: Path, changed: int) -> pd.DataFrame:
    """Read the scans of all languages, once for each state of the file."""
    return read_csv(path, ("Language", "UID", "ROI"))


def _require_regions(path: Path, series: dict[str, pd.DataFrame]) -> None:
    """Raise an error for a partial network, and for participants whose regions differ or whose scans are the same."""
    first, *others = series
    regions = list(series[first])
    for who, scans in series.items():
        if missing := sorted({*NETWORK, *regions} - set(scans)) or sorted(set(scans) - set(regions)):
            raise BraintuneError(
                f"{path}: participants {', '.join(series)} must have the same regions, including "
                f"{', '.join(NETWORK)}, but {', '.join(missing)} is missing for some ({who} has {', '.join(scans)}); "
                "download the file again"
            )
    for who in others:
        series[who] = series[who][regions]
        if series[who].equals(series[first]):
            raise BraintuneError(f"{path}: participants {first} and {who} have the same scans; {base.COPIED}")


# --- the passage -------------------------------------------------------------------------------------------------


def _read_passage(path: Path, heard: float) -> tuple[Story, tuple[str, ...]]:
    """Read the words of a passage that was heard for `heard` seconds; also return remarks on sentences left out."""
    table = read_csv(path, ("text", "start", "end"))
    word = table["text"]
    refuse(path, word, word == "", "write the word, or remove the row")
    start, end = (
        numbers(path, table[name], "write seconds from the beginning of the audio") for name in ("start", "end")
    )
    remedy = "correct the times: words follow each other, in seconds from the beginning of the audio"
    refuse(path, table["start"], start < 0, remedy, "is before the beginning")
    refuse(path, table["end"], end < start, remedy, "is before the start of its word")
    refuse(path, table["start"], start < end.shift(), remedy, "is before the end of the previous word")
    sentence = _number_sentences(word)
    size = sentence.map(sentence.value_counts())
    ends = f"write . ! or ? at the end of each sentence (at most {MOST_WORDS} words), or leave the language out"
    if sentence.nunique() < 2:
        raise BraintuneError(f"{path}, column 'text': the words form fewer than two sentences; {ends}")
    refuse(path, word, size > MOST_WORDS, ends, f"begins a sentence of {size.max()} words")
    beyond = end > heard
    lost = sentence.isin(sentence[beyond])
    if beyond.mean() > 1 / 2 or lost.all():
        fault = (
            f"is after the end of the passage ({heard:g} s, from the scans), as in {beyond.sum()} of {len(word)} words"
        )
        refuse(path, table["end"], beyond, remedy, fault)
    found = pd.DataFrame({"word": word, "sentence": sentence, "onset": start + SILENCE, "offset": end + SILENCE})
    n = sentence[lost].nunique()
    remark = (
        f"{n} of {sentence.nunique()} sentences are left out: they end after the passage ({heard:g} s), in {path.name}"
    )
    return story_of(found[~lost], " ".join), (remark,) * bool(n)


def _number_sentences(word: pd.Series) -> pd.Series:
    """Number the sentences; punctuation after the end of one, such as a closing quote, still belongs to it."""
    number, ended, numbered = 0, False, []
    for text in word:
        closing = not any(map(str.isalnum, text)) and unicodedata.category(text[0]) not in ("Ps", "Pi")
        number += ended and not closing
        numbered.append(number)
        ended = bool(END.search(text)) or (ended and closing)
    return pd.Series(numbered, index=word.index, dtype=int)


# --- the data sets -----------------------------------------------------------------------------------------------


def _source(language: str) -> BrainSource:
    """Return the entry of one language."""

    def make(study: Study) -> BrainData:
        return listen(study, language)

    return BrainSource(
        name=f"devarda-{language}",
        title=f"de Varda et al.: listening to a passage of Alice in Wonderland in {language.title()}",
        make=make,
        size="2 participants per language, one passage of about 260 s; 2 MB for all languages",
        licence="none stated",
        get="a clone of the authors' repository in the folder `brain/devarda` of the data folder",
        folder="devarda",
        people=f"listeners to a passage in {language.title()}",
    )


BY_LANGUAGE = {language: _source(language) for language in LANGUAGES}
SOURCES = tuple(BY_LANGUAGE.values())
