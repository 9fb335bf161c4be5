"""Convert the average responses to Pereira et al. (2018): ``python data/get/pereira2018_average.py --from FOLDER``.

The folder holds `pereira_averaged.csv`, a public table of average responses in alphabetical order, and the public lists
`384_category.txt` and `243_category.txt`: the topic and the dereferenced wording of each sentence, in the order of the
data set.
"""

from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path

import fetching
import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from braintune.core import base, store
from braintune.core.base import BraintuneError
from braintune.datasets.brains.base import read_text
from braintune.datasets.brains.csv_file import numbers, read_csv

RESPONSES = "pereira_averaged.csv"
LISTS = {2: "384_category.txt", 3: "243_category.txt"}
#: Sentences of a passage in Experiment 2; in Experiment 3 the bounds of the passages are not given.
PASSAGE = 4
ADDRESSES = {
    "https://github.com/Andrea-de-Varda/multilingual-models-brain": "by hand: additional_analyses/pereira/"
    f"{RESPONSES}, 627 responses of the left language network, 54 KB",
    "https://github.com/subbareddy248/neural-encoding-and-decoding": f"by hand: {', '.join(LISTS.values())}, 51 KB",
    fetching.PEREIRA_MATERIALS: "the study's own materials, 290 MB",
}


def convert(source: Path) -> Iterator[str]:
    """Write `brain/pereira2018_average/sentences.csv`; responses are rounded to four decimal places.

    Parameters
    ----------
    source : Path
        Folder with `pereira_averaged.csv` (`Sentence`, as presented; `EffectSize`) and the two lists (one line per
        sentence: the topic, white space, the sentence with pronouns replaced).

    Yields
    ------
    str
        What was written, and each pair of wordings that differ.

    Raises
    ------
    BraintuneError
        If a file is missing or not as described, or sentences and responses do not match.
    """
    table = read_csv(source / RESPONSES, ("Sentence", "EffectSize"))
    effects = numbers(source / RESPONSES, table["EffectSize"], "a response must be a number; get the file again")
    responses = dict(zip(map(_plain, table["Sentence"]), effects, strict=True))
    rows = pd.DataFrame(
        [(e, *row) for e, name in LISTS.items() for row in _listed(source / name, passages=e == 2)],
        columns=["experiment", "topic", "passage", "dereferenced"],
    )
    if len({len(responses), len(table), len(rows)}) > 1:
        raise BraintuneError(
            f"{source}: {len(table)} rows ({len(responses)} sentences) in {RESPONSES} for {len(rows)} lines in "
            f"{', '.join(LISTS.values())}; get the files again"
        )
    presented = _pair(list(rows["dereferenced"]), list(responses))
    rows.insert(3, "sentence", presented)
    rows["language"] = [round(responses[sentence], 4) for sentence in presented]
    path = base.data_folder() / "brain" / "pereira2018_average" / "sentences.csv"
    with store.atomic(path) as temporary:
        rows.to_csv(temporary, index=False)
    yield f"wrote {path}: {len(rows)} sentences. Of these, the presented and the dereferenced wording differ:"
    for _, row in rows[rows["sentence"] != rows["dereferenced"]].iterrows():
        yield f"  {row['sentence']}\n    {row['dereferenced']}"


def _plain(sentence: str) -> str:
    return " ".join(sentence.split())


def _listed(path: Path, passages: bool) -> Iterator[tuple[str, str, str]]:
    """Yield topic, passage and sentence of each line."""
    for i, line in enumerate(line for line in read_text(path).splitlines() if line.strip()):
        topic, *words = line.split()
        if not words:
            raise BraintuneError(f"{path}, line {i + 1}: {line!r} has no sentence after the topic; get the file again")
        yield topic, str(i // PASSAGE) if passages else "", " ".join(words)


def _pair(wanted: list[str], sentences: list[str]) -> list[str]:
    """Return for each wanted wording the sentence that equals it, or else the most similar one that is left."""
    left = sorted(set(sentences) - set(wanted))
    changed = [i for i, wording in enumerate(wanted) if wording not in set(sentences)]
    alike = [[SequenceMatcher(None, wanted[i].split(), other.split()).ratio() for other in left] for i in changed]
    if len(changed) != len(left):
        raise BraintuneError(f"{len(changed)} sentences of the lists and {len(left)} responses go with no other; a "
                             "sentence is listed twice: get the files again")  # fmt: skip
    if not changed:
        return wanted
    paired = list(wanted)
    for i, j in zip(*linear_sum_assignment(-np.array(alike)), strict=True):
        if alike[i][j] < 0.5:
            raise BraintuneError(
                f"no response for the sentence {wanted[changed[i]]!r}; the nearest that is left is {left[j]!r}; get "
                "the files again"
            )
        paired[changed[i]] = left[j]
    return paired


def main(words: list[str] | None = None) -> None:
    """Run the command line."""
    fetching.command("pereira2018-average", ADDRESSES, words, convert=convert)


if __name__ == "__main__":
    main()
