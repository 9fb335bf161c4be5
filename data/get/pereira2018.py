"""Download Pereira et al. (2018), Experiments 2 and 3: ``python data/get/pereira2018.py [--fetch yes]``.

The loader reads the authors' MATLAB files as they are.
"""

from collections.abc import Iterator

import fetching

from braintune.core import base

#: The participants who did both experiments.
PARTICIPANTS = ("P01", "M02", "M04", "M07", "M15")
MEMBERS = ("data_384sentences.mat", "data_243sentences.mat")
ARCHIVES = {who: fetching.PEREIRA[who] for who in PARTICIPANTS}
ADDRESSES = {address: f"{who}.tar, several hundred MB" for who, address in ARCHIVES.items()} | {
    fetching.PEREIRA_PAGE: "by hand: M03, M08, M09, M14, who did only one of the two experiments",
    fetching.PEREIRA_MATERIALS: "by hand: Pereira_Materials.zip, 290 MB: stimuli_*sentences.txt, only for wording: "
    "dereferenced",
}


def fetch() -> Iterator[str]:
    """Download the archives, and unpack the files of the two experiments to the folder that the loader reads."""
    folder = base.data_folder() / "brain" / "pereira2018"
    return fetching.fetch_archives(ARCHIVES, MEMBERS, fetching.downloads("pereira2018"), folder)


def main(words: list[str] | None = None) -> None:
    """Run the command line."""
    fetching.command("pereira2018", ADDRESSES, words, fetch)


if __name__ == "__main__":
    main()
