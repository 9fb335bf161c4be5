"""Functions that the scripts of this folder share: their command line, and downloads with stored checksums.

No checksum is published for any of these files. The checksum of the first download is stored in `checksums.json` beside
the archives, and every later download is compared with it.
"""

import argparse
import json
import shutil
import sys
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pooch
import requests

from braintune.core import base, store
from braintune.core.base import BraintuneError
from braintune.datasets.brains.registry import BRAINS

CHECKSUMS = "checksums.json"
#: Seconds without a byte after which a download is given up.
PATIENCE = 60

#: Participants of Pereira et al. (2018) and the keys of the archives that the authors' page links to.
_PEREIRA = {
    **{"P01": "5duv9fgigrzx817", "M01": "j2cpre3cay563ip", "M02": "n5yfb2cupd9zmwk", "M03": "4pr8slvkrpxaeek"},
    **{"M04": "q8qeuf5johz0ic1", "M05": "ti94eu0zbsdpt7n", "M06": "w3hbmlx18yl5e93", "M07": "jvtxgv4oplqgmix"},
    **{"M08": "ch2j6feyahcc3l5", "M09": "l8bou2bn7qzjucy", "M10": "vslld466lpn5eqg", "M13": "s9mf67eh5ohrwew"},
    **{"M14": "9chvc7rofyvb4gr", "M15": "xlijoxhgcm39z6v", "M16": "s23wk0p6xuhpx4z", "M17": "wln7hgmb4jx88is"},
}
#: Their addresses, several hundred MB each, and the page and the materials of the study.
PEREIRA = {who: f"https://www.dropbox.com/s/{key}/{who}.tar?dl=1" for who, key in _PEREIRA.items()}
PEREIRA_PAGE = "https://web.mit.edu/evlab/sites/default/files/documents/index2.html"
PEREIRA_MATERIALS = "https://osf.io/download/hmgv2/"


def command(
    name: str,
    addresses: Mapping[str, str],
    words: list[str] | None = None,
    fetch: Callable[[], Iterable[str]] | None = None,
    convert: Callable[[Path], Iterable[str]] | None = None,
    fetched: Path | None = None,
) -> None:
    """Describe a data set; download it if requested; convert it if its files are there.

    Parameters
    ----------
    name : str
        Key of :data:`braintune.datasets.brains.registry.BRAINS`.
    addresses : mapping of str to str
        Address → what is there.
    words : list of str, optional
        The command line.
    fetch, convert : callable, optional
        Do the work and yield lines to print. ``convert`` is called with the folder of the authors' files.
    fetched : Path, optional
        Folder of the authors' files after ``fetch``.
    """
    source = BRAINS[name]
    parser = argparse.ArgumentParser(description=source.title)
    parser.add_argument("--from", dest="folder", type=Path, help="folder of the authors' files, which are converted")
    parser.add_argument("--fetch", choices=["yes"], help="download the files; nothing is downloaded otherwise")
    asked = parser.parse_args(words)
    print(f"{source.title}\n  size: {source.size}\n  licence: {source.licence}\n  where: {source.get}")
    print("addresses (read in stored public code and pages; none was checked):")
    for address, what in addresses.items():
        print(f"  {address}\n    {what}; licence: {source.licence}", flush=True)
    try:
        if asked.fetch and asked.folder:
            raise BraintuneError("give FETCH=yes to download, or FROM=<folder> to convert files you have, not both")
        if asked.fetch and not fetch:
            raise BraintuneError(f"{name}: no address of the files is known; get them by hand, then use FROM=<folder>")
        for line in fetch() if asked.fetch else ():
            print(line, flush=True)
        folder = asked.folder or (fetched if asked.fetch else None)
        if folder and not convert:
            print("nothing to convert; data/README.md says what goes where")
        elif folder:
            for line in convert(folder.expanduser()):
                print(line, flush=True)
        elif not asked.fetch:
            print(
                "FETCH=yes downloads, " * bool(fetch)
                + "FROM=<folder> converts; " * bool(convert)
                + "see data/README.md"
            )
    except BraintuneError as error:
        sys.exit(f"braintune: {error}")


def kept_checksums(folder: Path) -> dict[str, str]:
    """Return file name → SHA-256 of the first downloads into a folder.

    Raises
    ------
    BraintuneError
        If the file of checksums is damaged.
    """
    path = folder / CHECKSUMS
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
    except (ValueError, TypeError) as error:
        raise BraintuneError(f"{path} is damaged ({error}); delete it, and the checksums are taken again") from None


def fetch_archives(archives: Mapping[str, str], members: tuple[str, ...], folder: Path, target: Path) -> Iterator[str]:
    """Download the participants' archives, and extract the files named `members` from each, whatever their folder.

    An archive that is in the folder with the right checksum, or that was saved there by hand, is not downloaded again.

    Parameters
    ----------
    archives : mapping of participant to address
    members : tuple of str
    folder : Path
        Receives the archives and their checksums.
    target : Path
        Receives a folder for each participant.

    Yields
    ------
    str
        What was done.

    Raises
    ------
    BraintuneError
        If an archive cannot be downloaded, has another checksum, is damaged, or lacks the files.
    """
    pooch.get_logger().setLevel("WARNING")
    get = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=PATIENCE)
    for who, address in archives.items():
        path, kept = folder / f"{who}.tar", kept_checksums(folder)
        known, before = kept.get(path.name), path.is_file()
        try:
            pooch.retrieve(address, known and f"sha256:{known}", path.name, folder, downloader=get)
        except (requests.RequestException, OSError, ValueError) as error:
            raise BraintuneError(
                f"{address}: {str(error).rstrip('.')}. Try again, or open the address in a browser and save what it "
                f"gives as {path}. If the authors changed the file, take {path.name} out of {folder / CHECKSUMS}"
            ) from None
        if not tarfile.is_tarfile(path):
            if not before:
                path.unlink()
            raise BraintuneError(
                f"{path} is no tar archive: what {address} gives may be a page that asks for something. Open it in a "
                "browser, and save the archive under that name"
            )
        yield f"{path} is there"
        yield from _take(path, members, target / who)
        store.write_json(folder / CHECKSUMS, kept | {path.name: store.checksum(path)})


def _take(path: Path, members: tuple[str, ...], target: Path) -> Iterator[str]:
    """Copy the named files out of an archive; pooch.Untar would unpack all of it, wherever its names point."""
    try:
        with tarfile.open(path) as archive:
            files = [entry for entry in archive if entry.isfile()]
            wanted = [entry for entry in files if Path(entry.name).name in members]
            if not wanted or len({Path(entry.name).name for entry in wanted}) < len(wanted):
                listed = ", ".join(sorted(entry.name for entry in files)[:10]) or "nothing"
                raise BraintuneError(
                    f"{path} must have one or more of {', '.join(members)}, each once; it has {listed}. Unpack the "
                    f"right ones by hand into {target}"
                )
            for entry in wanted:
                copy = target / Path(entry.name).name
                with store.atomic(copy) as temporary, temporary.open("wb") as out:
                    shutil.copyfileobj(archive.extractfile(entry), out)
                yield f"unpacked {copy}"
    except (tarfile.TarError, EOFError) as error:
        raise BraintuneError(f"{path} is not a whole archive ({error}); delete it, and run this again") from None


def downloads(name: str) -> Path:
    """Return the folder of downloads of a data set."""
    return base.data_folder() / "downloads" / name
