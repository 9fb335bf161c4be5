import io
import json
import re
import socket
import tarfile
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from scipy import io as matlab

from braintune.core.base import BraintuneError
from braintune.core.store import checksum
from braintune.datasets import hub
from braintune.datasets.brains import convert, download
from braintune.datasets.brains.download import Published, Remote
from braintune.datasets.brains.pereira_hub import ENTRY
from braintune.datasets.brains.registry import BRAINS

MEMBERS = ("one.mat", "two.mat")


def tar_of(files):
    """A tar archive with these files."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return held.getvalue()


@pytest.fixture
def server(monkeypatch):
    """A server on the loopback: `files` by path, `short` paths that break off, `asked` how often each was asked for."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked[self.path] += 1
            content = files.get(self.path)
            self.send_response(200 if content is not None else 404)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write((content or b"")[: 700 if self.path in short else None])

        def log_message(self, *words):
            pass

    files, short, asked = {}, set(), Counter()
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
    running.files, running.short, running.asked = files, short, asked
    yield running
    running.shutdown()
    running.server_close()


@pytest.fixture
def published(server, tmp_path, monkeypatch):
    """`pereira2018` as if it were published by the server: two archives, their files in a folder and without one."""
    monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path / "data"))
    root = f"http://127.0.0.1:{server.server_port}"
    server.files["/P01"] = tar_of({"P01/one.mat": b"1" * 2000, "P01/two.mat": b"2" * 30, "P01/junk.txt": b"?"})
    server.files["/M02"] = tar_of({"one.mat": b"3" * 20, "../../two.mat": b"4"})
    archives = (Remote("P01", f"{root}/P01", "3 kB"), Remote("M02", f"{root}/M02", "1 kB"))
    own = Published(archives, MEMBERS, folder="downloads/pereira2018", place="brain/pereira2018")
    monkeypatch.setitem(download.PUBLISHED, "pereira2018", own)
    return tmp_path / "data"


def files_of(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


DOWNLOADS = {f"downloads/pereira2018/{name}" for name in ("P01.tar", "M02.tar", "checksums.json")}
UNPACKED = {f"brain/pereira2018/{who}/{name}" for who in ("P01", "M02") for name in MEMBERS}


class TestFetching:
    def test_nothing_is_downloaded_unless_it_is_asked_for(self, published, server, capsys):
        convert.main(["pereira2018"])
        told = capsys.readouterr().out
        for archive in download.PUBLISHED["pereira2018"].archives:
            assert f"{archive.address}\n    {archive.file}; {archive.size}; licence: none stated" in told
        assert "none was checked from here" in told
        assert not server.asked and not published.exists()
        for other in ("no", "1", "YES"):
            with pytest.raises(BraintuneError, match=f"FETCH={other}: only FETCH=yes downloads"):
                convert.main(["pereira2018", "--fetch", other])
        with pytest.raises(BraintuneError, match="or FROM=<folder> for files that are there, not both"):
            convert.main(["pereira2018", "somewhere", "--fetch", "yes"])
        assert not server.asked

    def test_addresses_are_told_first_and_the_files_are_where_the_loader_looks(self, published, server, capsys):
        convert.main(["pereira2018", "--fetch", "yes"])
        told = capsys.readouterr().out
        assert told.index("licence: none stated") < told.index("fetched")
        assert files_of(published) == DOWNLOADS | UNPACKED  # nothing beside, nothing outside
        folder = published / "brain" / "pereira2018"
        assert (folder / "P01" / "one.mat").read_bytes() == b"1" * 2000
        assert (folder / "M02" / "two.mat").read_bytes() == b"4"
        kept = json.loads((published / "downloads" / "pereira2018" / "checksums.json").read_text())
        assert kept == {
            f"{who}.tar": checksum(published / "downloads/pereira2018" / f"{who}.tar") for who in ("P01", "M02")
        }

    def test_what_is_there_with_the_right_checksum_is_not_downloaded_again(self, published, server):
        list(download.fetch("pereira2018"))
        lines = list(download.fetch("pereira2018"))
        assert set(server.asked.values()) == {1}
        assert len(lines) == 2 and all("is there already" in line for line in lines)
        (published / "brain/pereira2018/P01/two.mat").unlink()
        assert any("unpacked" in line and "two.mat" in line for line in download.fetch("pereira2018"))
        assert set(server.asked.values()) == {1} and files_of(published) == DOWNLOADS | UNPACKED

    def test_a_damaged_file_is_replaced(self, published, server):
        list(download.fetch("pereira2018"))
        path = published / "downloads/pereira2018/P01.tar"
        whole = path.read_bytes()
        path.write_bytes(whole[:-1])
        list(download.fetch("pereira2018"))
        assert path.read_bytes() == whole and server.asked == {"/P01": 2, "/M02": 1}

    def test_a_file_fetched_by_hand_is_taken(self, published, server):
        path = published / "downloads/pereira2018/P01.tar"
        path.parent.mkdir(parents=True)
        path.write_bytes(server.files["/P01"])
        list(download.fetch("pereira2018"))
        assert server.asked == {"/M02": 1} and files_of(published) == DOWNLOADS | UNPACKED

    def test_experiment_1_is_converted_at_once(self, published, server, monkeypatch, capsys):
        held = {}
        for paradigm in convert.PARADIGMS:
            out = io.BytesIO()
            matlab.savemat(out, {"examples": [[1.0, 2.0, 5.0], [2.0, 1.0, 4.0], [9.0, 3.0, 1.0]]})
            held[f"P01/data_180concepts_{paradigm}.mat"] = out.getvalue()
        server.files["/P01"] = tar_of(held)
        own = download.PUBLISHED["pereira2018-exp1"]
        archives = (Remote("P01", f"http://127.0.0.1:{server.server_port}/P01"),)
        here = Published(archives, own.members, folder=own.folder, place=own.place)
        monkeypatch.setitem(download.PUBLISHED, "pereira2018-exp1", here)
        convert.main(["pereira2018-exp1", "--fetch", "yes"])
        assert "brain/pereira2018_exp1/P01.npz" in files_of(published)


class TestFaults:
    def test_a_changed_file_is_refused_and_the_old_one_stays(self, published, server):
        list(download.fetch("pereira2018"))
        folder = published / "downloads/pereira2018"
        (folder / "P01.tar").unlink()
        server.files["/P01"] = tar_of({"one.mat": b"9" * 2000})  # of the same size
        before = files_of(published)
        with pytest.raises(
            BraintuneError, match=r"(?s)http://127.*/P01: .*SHA256.*take P01.tar out of .*checksums.json"
        ):
            list(download.fetch("pereira2018"))
        assert files_of(published) == before
        kept = json.loads((folder / "checksums.json").read_text())
        (folder / "checksums.json").write_text(json.dumps({"M02.tar": kept["M02.tar"]}))
        list(download.fetch("pereira2018"))  # the remedy
        assert (published / "brain/pereira2018/P01/one.mat").read_bytes() == b"9" * 2000

    def test_a_known_checksum_is_compared(self, published, server):
        address, path = f"http://127.0.0.1:{server.server_port}/P01", published / "P01.tar"
        with pytest.raises(BraintuneError, match="does not match the known hash"):
            download.retrieve(Remote("P01", address, sha256="0" * 64), path)
        assert not files_of(published)
        path.write_bytes(server.files["/P01"])
        right = checksum(path)
        path.unlink()
        assert download.retrieve(Remote("P01", address, sha256=right), path)
        assert not download.retrieve(Remote("P01", address, sha256=right), path)
        assert files_of(published) == {"P01.tar"}

    def test_an_address_that_is_gone(self, published, server):
        del server.files["/M02"]
        with pytest.raises(BraintuneError, match=r"/M02 answers 404 .*address may have changed: .*browser.*M02\.tar"):
            list(download.fetch("pereira2018"))
        assert "downloads/pereira2018/M02.tar" not in files_of(published)
        assert {name for name in files_of(published) if "P01" in name} <= DOWNLOADS | UNPACKED  # what was done is kept

    def test_no_connection(self, published, monkeypatch):
        with socket.socket() as taken:  # bound and not listening: nobody answers
            taken.bind(("127.0.0.1", 0))
            archive = Remote("P01", f"http://127.0.0.1:{taken.getsockname()[1]}/P01")
            with pytest.raises(
                BraintuneError, match=r"127.*/P01 is not to be had from here \(ConnectionError\).*browser"
            ):
                download.retrieve(archive, published / "P01.tar")
        assert not files_of(published)

    def test_a_transfer_that_breaks_off(self, published, server):
        server.short.add("/P01")
        with pytest.raises(BraintuneError, match=r"/P01 is not to be had from here .*try again"):
            list(download.fetch("pereira2018"))
        assert not files_of(published)

    def test_a_page_in_place_of_the_archive(self, published, server):
        server.files["/P01"] = b"<!DOCTYPE html><title>Please sign in</title>"
        with pytest.raises(BraintuneError, match=r"P01.tar is no tar archive: what http.*/P01 gives may be a page"):
            list(download.fetch("pereira2018"))
        assert not files_of(published)

    def test_a_disk_that_cannot_be_written(self, published, monkeypatch):
        def full(*words, **settings):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(download.pooch, "retrieve", full)
        with pytest.raises(BraintuneError, match=r"cannot write .*P01.tar \(No space left on device\)"):
            list(download.fetch("pereira2018"))

    def test_an_archive_without_the_files(self, published, server):
        server.files["/P01"] = tar_of({"P01/three.mat": b"3"})
        with pytest.raises(BraintuneError, match=r"P01.tar has none of one.mat, two.mat; it has three.mat"):
            list(download.fetch("pereira2018"))

    def test_an_archive_with_a_file_twice(self, published, server):
        server.files["/P01"] = tar_of({"new/one.mat": b"3", "old/one.mat": b"4"})
        with pytest.raises(BraintuneError, match=r"P01.tar has a file more than once \(new/one.mat, old/one.mat\)"):
            list(download.fetch("pereira2018"))
        assert files_of(published) == {"downloads/pereira2018/P01.tar"}

    def test_an_archive_that_ends_early(self, published, server):
        whole = server.files["/P01"]
        server.files["/P01"] = whole[:1024]
        with pytest.raises(BraintuneError, match=r"P01.tar is no whole archive .*delete it"):
            list(download.fetch("pereira2018"))
        assert files_of(published) == {"downloads/pereira2018/P01.tar"}
        (published / "downloads/pereira2018/P01.tar").unlink()
        server.files["/P01"] = whole
        list(download.fetch("pereira2018"))  # the remedy
        assert files_of(published) == DOWNLOADS | UNPACKED

    @pytest.mark.parametrize("content", ["{", "[1]"])
    def test_damaged_checksums(self, published, content):
        path = published / "downloads/pereira2018/checksums.json"
        path.parent.mkdir(parents=True)
        path.write_text(content)
        with pytest.raises(BraintuneError, match=r"checksums.json is damaged .*delete it"):
            list(download.fetch("pereira2018"))

    def test_what_has_to_be_fetched_by_hand(self, capsys):
        with pytest.raises(BraintuneError, match=r"by hand from https://sites.lsa.umich.edu.*10.7302/Z29C6VNH .*FROM="):
            convert.main(["alice2016", "--fetch", "yes"])
        with pytest.raises(BraintuneError, match=r"simulated: there is no address .*leave FETCH out"):
            convert.main(["simulated", "--fetch", "yes"])


class TestTheHub:
    @pytest.fixture
    def snapshot(self, tmp_path, monkeypatch):
        """A snapshot as the hub's client leaves it."""
        monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path / "data"))
        file = tmp_path / ENTRY.revision / "data" / "train-00000-of-00001.parquet"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"first")
        monkeypatch.setattr(hub, "snapshot_download", lambda *words, **wanted: str(tmp_path / ENTRY.revision))
        return file

    def test_checksums_are_kept_and_compared(self, snapshot, tmp_path, capsys):
        convert.main(["pereira2018-hub", "--fetch", "yes"])
        told = capsys.readouterr().out
        assert f"huggingface.co/datasets/{ENTRY.repository}/tree/{ENTRY.revision}\n    8 participants" in told
        assert told.index("not checked from here") < told.index(checksum(snapshot))
        kept = tmp_path / "data/downloads/pereira2018-hub/checksums.json"
        assert json.loads(kept.read_text()) == hub.checksums(ENTRY)
        convert.main(["pereira2018-hub", "--fetch", "yes"])
        snapshot.write_bytes(b"something else")
        with pytest.raises(BraintuneError, match=r"its SHA-256 is \w+, and was \w+ .*--force-download.*checksums.json"):
            convert.main(["pereira2018-hub", "--fetch", "yes"])

    def test_without_fetch_the_hub_is_not_asked(self, monkeypatch, capsys):
        monkeypatch.setattr(hub, "snapshot_download", lambda *words, **wanted: pytest.fail("asked"))
        convert.main(["pereira2018-hub"])
        assert "6.6 GB; licence: none stated" in capsys.readouterr().out


def test_every_measured_data_set_has_its_addresses():
    assert set(download.PUBLISHED) == set(BRAINS) - {"simulated", "folder"}
    for own in download.PUBLISHED.values():
        named = [archive.address for archive in own.archives] + [page for page, _ in own.by_hand]
        assert all(requests.utils.urlparse(address).scheme == "https" for address in named)
        assert "checked from here" in own.checked
        assert bool(own.archives) == bool(own.members) and (named or own.hub)
        assert all(re.search(rf"/{archive.file}\b", archive.address) for archive in own.archives)
