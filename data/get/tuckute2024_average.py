"""Convert the average responses of Tuckute et al. (2024): ``python data/get/tuckute2024_average.py --from FOLDER``.

The folder holds `bold_response_LH.csv`, a public copy of the average over the five participants of the baseline set.
"""

from collections.abc import Iterator
from pathlib import Path

import fetching

from braintune.core import base, store
from braintune.datasets.brains.csv_file import numbers, read_csv

FILE = "bold_response_LH.csv"
REGIONS = ("AntTemp", "IFG", "IFGorb", "MFG", "PostTemp")
#: Column of the public copy → column of the table.
COLUMNS = {f"lang_LH_{region}": region for region in REGIONS} | {"lang_LH_netw": "language"}
ADDRESSES = {
    "https://github.com/flawreen/LLM2vec": f"by hand: {FILE}, 1,000 sentences, 0.14 MB, which --from converts",
    "https://github.com/gretatuckute/drive_suppress_brains": "the authors' code, which names the next address",
    "https://evlabwebapps.mit.edu/public_data/tuckute2024_driving_suppressing/data.tar": "by hand: the release, 28 MB, "
    "with single participants; its columns are not known here, so it is not converted: write sentences.csv yourself, "
    "with the mean of the five participants who read the baseline sentences",
}


def convert(source: Path) -> Iterator[str]:
    """Write `brain/tuckute2024_average/sentences.csv`; values are rounded to six decimal places.

    Parameters
    ----------
    source : Path
        Folder with `bold_response_LH.csv`: `sentence` and the columns of :data:`COLUMNS`.

    Yields
    ------
    str
        What was written.

    Raises
    ------
    BraintuneError
        If the file or a column is missing, or a value is not a number.
    """
    table = read_csv(source / FILE, ("sentence", *COLUMNS))[["sentence", *COLUMNS]]
    for name in COLUMNS:
        table[name] = numbers(source / FILE, table[name], "a response must be a number; get the file again")
    path = base.data_folder() / "brain" / "tuckute2024_average" / "sentences.csv"
    with store.atomic(path) as temporary:
        table.rename(columns=COLUMNS).round(6).to_csv(temporary, index=False)
    yield f"wrote {path}: {len(table)} sentences"


def main(words: list[str] | None = None) -> None:
    """Run the command line."""
    fetching.command("tuckute2024-average", ADDRESSES, words, convert=convert)


if __name__ == "__main__":
    main()
