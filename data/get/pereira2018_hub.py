"""Download the copy of Pereira et al. (2018), Experiment 2, on the hub: ``python data/get/pereira2018_hub.py``.

With ``--fetch yes`` the hub's client downloads it into its cache. A run does the same when it first needs the data.
"""

from collections.abc import Iterator

import fetching

from braintune.core import store
from braintune.core.base import BraintuneError
from braintune.datasets import hub
from braintune.datasets.brains.pereira_hub import ENTRY

PAGE = f"https://huggingface.co/datasets/{ENTRY.repository}/tree/{ENTRY.revision}"


def fetch() -> Iterator[str]:
    """Download into the hub cache, and compare the checksums with those of the first download."""
    folder = fetching.downloads("pereira2018-hub")
    kept, now = fetching.kept_checksums(folder), hub.checksums(ENTRY)
    for file, checksum in now.items():
        if kept.get(file, checksum) != checksum:
            raise BraintuneError(
                f"{file}: its SHA-256 is {checksum}, and was {kept[file]} at the first download; fetch it again with "
                f"`{ENTRY.command} --force-download`, or, if the new one is right, delete {folder / fetching.CHECKSUMS}"
            )
        yield f"{file} is in the hub cache, with SHA-256 {checksum}"
    store.write_json(folder / fetching.CHECKSUMS, kept | now)


def main(words: list[str] | None = None) -> None:
    """Run the command line."""
    fetching.command("pereira2018-hub", {PAGE: "three Parquet files, 6.6 GB (card and file list)"}, words, fetch)


if __name__ == "__main__":
    main()
