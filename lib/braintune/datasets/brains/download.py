"""Where brain data sets are published, and fetching them from there.

Nothing is fetched unless it is asked for. What is known of a file's checksum is compared; of a file without a known
one, the checksum of its first download is kept in `checksums.json` beside it, and every later one is compared.
"""

import json
import shutil
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests

from braintune.core import base, store
from braintune.core.base import BraintuneError
from braintune.core.store import checksum
from braintune.datasets import hub
from braintune.datasets.brains.registry import BRAINS
from braintune.datasets.hub import HubData

CHECKSUMS = "checksums.json"
#: Seconds without a byte after which a server is given up.
PATIENCE = 60


@dataclass(frozen=True)
class Remote:
    """One archive (tar) at its address.

    Attributes
    ----------
    name : str
        The folder, named after the participant, that its files go to.
    address : str
    size : str
    sha256 : str
        Empty where it is not known.
    """

    name: str
    address: str
    size: str = "several hundred MB"
    sha256: str = ""

    @property
    def file(self) -> str:
        """Name of the archive in the folder of downloads."""
        return f"{self.name}.tar"


@dataclass(frozen=True)
class Published:
    """Where a data set is published.

    Attributes
    ----------
    archives : tuple of Remote
        What can be fetched.
    members : tuple of str
        Names of the files that are taken out of each archive.
    by_hand : tuple of (str, str)
        Address, and what is to be taken from there by hand: a page, or an archive that is not unpacked here.
    hub : callable or None
        Returns the entry of a data set of the hub, whose client fetches it.
    checked : str
        How the addresses are known.
    folder : str
        Folder, within the data folder, of the archives and their checksums; data sets may share one.
    place : str
        Folder, within the data folder, of the participants' folders.
    """

    archives: tuple[Remote, ...] = ()
    members: tuple[str, ...] = ()
    by_hand: tuple[tuple[str, str], ...] = ()
    hub: Callable[[], HubData] | None = None
    checked: str = "read in stored public code and pages; none was checked from here"
    folder: str = ""
    place: str = ""


#: Participants of Pereira et al. (2018) and the keys of the archives that the authors' page links to.
_PEREIRA = {
    **{"P01": "5duv9fgigrzx817", "M01": "j2cpre3cay563ip", "M02": "n5yfb2cupd9zmwk", "M03": "4pr8slvkrpxaeek"},
    **{"M04": "q8qeuf5johz0ic1", "M05": "ti94eu0zbsdpt7n", "M06": "w3hbmlx18yl5e93", "M07": "jvtxgv4oplqgmix"},
    **{"M08": "ch2j6feyahcc3l5", "M09": "l8bou2bn7qzjucy", "M10": "vslld466lpn5eqg", "M13": "s9mf67eh5ohrwew"},
    **{"M14": "9chvc7rofyvb4gr", "M15": "xlijoxhgcm39z6v", "M16": "s23wk0p6xuhpx4z", "M17": "wln7hgmb4jx88is"},
}
_PEREIRA_PAGE = "https://web.mit.edu/evlab/sites/default/files/documents/index2.html"
_MATERIALS = "https://osf.io/download/hmgv2/"


def _pereira(*names: str) -> tuple[Remote, ...]:
    return tuple(Remote(name, f"https://www.dropbox.com/s/{_PEREIRA[name]}/{name}.tar?dl=1") for name in names)


def _pereira_hub() -> HubData:
    from braintune.datasets.brains.pereira_hub import ENTRY

    return ENTRY


#: Where each data set is published, by its name.
PUBLISHED: dict[str, Published] = {
    "pereira2018-exp1": Published(
        archives=_pereira(*_PEREIRA),
        members=tuple(f"data_180concepts_{paradigm}.mat" for paradigm in ("sentences", "pictures", "wordclouds")),
        by_hand=((_MATERIALS, "Pereira_Materials.zip, 290 MB: stimuli, for concepts.txt and concept_sentences.csv"),),
        folder="downloads/pereira2018",
        place="downloads/pereira2018",
    ),
    "pereira2018": Published(
        archives=_pereira("P01", "M02", "M04", "M07", "M15"),
        members=("data_384sentences.mat", "data_243sentences.mat"),
        by_hand=(
            (_PEREIRA_PAGE, "M03, M08, M09, M14, who did only one of the two experiments; several hundred MB each"),
            (_MATERIALS, "Pereira_Materials.zip, 290 MB: stimuli_*sentences.txt, only for wording: dereferenced"),
        ),
        folder="downloads/pereira2018",
        place="brain/pereira2018",
    ),
    "pereira2018-hub": Published(
        hub=_pereira_hub,
        checked="card and file list of the commit; not checked from here",
        folder="downloads/pereira2018-hub",
    ),
    "alice2016": Published(
        by_hand=(
            (
                "https://sites.lsa.umich.edu/cnllab/2016/06/11/data-sharing-fmri-timecourses-story-listening/",
                "10mm, s##-sndpwr.txt, s##-rp_*.txt, sept18-generic-predictors-….txt; a few MB",
            ),
            (
                "https://doi.org/10.7302/Z29C6VNH",
                "AliceChapterOne-EEG.csv, to be put beside them; 0.2 MB",
            ),
        ),
    ),
}


def place(name: str) -> Path:
    """Return the folder that the participants' folders of a data set are unpacked into."""
    return base.data_folder() / PUBLISHED[name].place


def addresses(name: str) -> Iterator[str]:
    """Yield a line for each address of a data set: what is there, its size and licence, and that it is not checked."""
    if name not in PUBLISHED:
        return
    own, source = PUBLISHED[name], BRAINS[name]
    yield f"addresses ({own.checked}):"
    for archive in own.archives:
        yield f"  {archive.address}\n    {archive.file}; {archive.size}; licence: {source.licence}"
    if own.hub:
        entry = own.hub()
        where = f"https://huggingface.co/datasets/{entry.repository}/tree/{entry.revision}"
        yield f"  {where}\n    {source.size}; licence: {source.licence}"
    for page, what in own.by_hand:
        yield f"  {page}\n    to be fetched by hand: {what}; licence: {source.licence}"


def fetch(name: str) -> Iterator[str]:
    """Fetch what can be fetched of a data set, and take its files out of the archives.

    Parameters
    ----------
    name : str

    Yields
    ------
    str
        What was fetched, was there already, or was unpacked.

    Raises
    ------
    BraintuneError
        If an address is not known or does not answer, or a checksum is not the known one. Nothing half-written stays.
    """
    own = PUBLISHED.get(name, Published())
    if own.hub:
        yield from _fetch_from_hub(own.hub(), base.data_folder() / own.folder)
        return
    if not own.archives:
        pages = "; ".join(f"{page} ({what})" for page, what in own.by_hand)
        by_hand = f"fetch it by hand from {pages}. Then: make data SET={name} FROM=<folder>"
        remedy = by_hand if pages else "leave FETCH out"
        raise BraintuneError(f"{name}: there is no address of a file that FETCH=yes could take; {remedy}")
    for archive in own.archives:
        path = base.data_folder() / own.folder / archive.file
        new = retrieve(archive, path)
        yield f"fetched {path}" if new else f"{path} is there already"
        yield from unpack(path, own.members, place(name) / archive.name, new)
        if not archive.sha256:
            store.write_json(path.parent / CHECKSUMS, _kept(path.parent) | {path.name: checksum(path)})


# --- from an address ---------------------------------------------------------------------------------------------


def retrieve(archive: Remote, path: Path) -> bool:
    """Download an archive unless it is there with the right checksum; tell whether it was downloaded.

    Raises
    ------
    BraintuneError
        If it cannot be had, is no archive, or has another checksum than is known.
    """
    known = archive.sha256 or _kept(path.parent).get(path.name, "")
    there = path.is_file() and (not known or checksum(path) == known)
    if not there:
        _download(archive, path, known)
    if not known and not tarfile.is_tarfile(path):
        if not there:
            path.unlink()
        raise BraintuneError(
            f"{path} is no tar archive: what {archive.address} gives may be a page that asks for something. Open it in "
            "a browser, and save the archive under that name"
        )
    return not there


def _download(archive: Remote, path: Path, known: str) -> None:
    """Let pooch download a file: to a temporary name, which becomes its own if the checksum is the known one."""
    pooch.get_logger().setLevel("WARNING")
    get = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=PATIENCE)
    by_hand = f"try again, or open it in a browser and save what it gives as {path}"
    try:
        pooch.retrieve(archive.address, f"sha256:{known}" if known else None, path.name, path.parent, downloader=get)
    except requests.HTTPError as error:
        told = f"{error.response.status_code} {error.response.reason}"
        raise BraintuneError(f"{archive.address} answers {told}; the address may have changed: {by_hand}") from None
    except requests.RequestException as error:
        told = type(error).__name__
        raise BraintuneError(
            f"{archive.address} is not to be had from here ({told}); check the connection and {by_hand}"
        ) from None
    except ValueError as error:  # the checksum
        raise BraintuneError(
            f"{archive.address}: {error} If it is damaged again, the authors may have changed it: see their page, and "
            f"if the new file is wanted, take {path.name} out of {path.parent / CHECKSUMS} and run this again"
        ) from None
    except OSError as error:
        told = error.strerror or error
        raise BraintuneError(f"cannot write {path} ({told}); make room, and run this again") from None


def _kept(folder: Path) -> dict[str, str]:
    """Return the checksums that were kept in a folder."""
    path = folder / CHECKSUMS
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise BraintuneError(f"{path} is damaged ({error}); delete it, and the checksums are taken again") from None


def unpack(path: Path, members: tuple[str, ...], target: Path, again: bool = False) -> Iterator[str]:
    """Take the files named `members` out of an archive, wherever in it they lie.

    Parameters
    ----------
    path : Path
    members : tuple of str
    target : Path
        Folder that they go to.
    again : bool
        Take those too that are in `target` with their full size.

    Yields
    ------
    str
        What was unpacked.

    Raises
    ------
    BraintuneError
        If the archive is damaged, has none of them, or one twice.
    """
    try:
        with tarfile.open(path) as archive:
            files = [entry for entry in archive if entry.isfile()]
            found = [entry for entry in files if Path(entry.name).name in members]
            wanted = {Path(entry.name).name: entry for entry in found}
            if len(wanted) < len(found):
                raise BraintuneError(
                    f"{path} has a file more than once ({', '.join(entry.name for entry in found)}); unpack by hand "
                    f"those that are wanted into {target}"
                )
            for name, entry in wanted.items():
                own = target / name
                if not again and own.is_file() and own.stat().st_size == entry.size:
                    continue
                with store.atomic(own) as temporary, temporary.open("wb") as out:
                    shutil.copyfileobj(archive.extractfile(entry), out)
                yield f"unpacked {own}"
    except (tarfile.TarError, EOFError) as error:
        raise BraintuneError(f"{path} is no whole archive ({error}); delete it, and run this again") from None
    if not wanted:
        others = ", ".join(sorted(Path(entry.name).name for entry in files)[:10]) or "nothing"
        raise BraintuneError(
            f"{path} has none of {', '.join(members)}; it has {others}. Unpack by hand what is wanted into {target}"
        )


# --- from the hub ------------------------------------------------------------------------------------------------


def _fetch_from_hub(entry: HubData, folder: Path) -> Iterator[str]:
    """Let the hub's client fetch a data set into its cache, and compare the checksums with those kept in `folder`."""
    kept, found = _kept(folder), hub.checksums(entry)
    for file, now in found.items():
        if kept.get(file, now) != now:
            raise BraintuneError(
                f"{file}: its SHA-256 is {now}, and was {kept[file]} at the first download; fetch it again with "
                f"`{entry.command} --force-download`, or, if the new one is wanted, delete {folder / CHECKSUMS}"
            )
        yield f"{file} is in the hub cache, with SHA-256 {now}"
    store.write_json(folder / CHECKSUMS, kept | found)
