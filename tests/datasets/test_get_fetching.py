"""Downloading brain data: from a server on the loopback, and its faults."""

import io
import json
import socket
import sys
import tarfile
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module

import huggingface_hub
import pytest
import requests
from scipy import io as matlab

from braintune.core.base import REPOSITORY, BraintuneError
from braintune.core.store import checksum
from braintune.datasets import hub
from braintune.datasets.brains.pereira_hub import ENTRY
from braintune.datasets.brains.registry import BRAINS

GET = REPOSITORY / "data" / "get"
sys.path.insert(0, str(GET))
fetching = import_module("fetching")
SCRIPTS = {path.stem: import_module(path.stem) for path in sorted(GET.glob("*.py")) if path.stem != "fetching"}
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
    """A server on the loopback: `files` by path, `short` paths that break off, `asked` how often each was requested."""
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
    running.root = f"http://127.0.0.1:{running.server_port}"
    yield running
    running.shutdown()
    running.server_close()


@pytest.fixture
def fetch(server, tmp_path, monkeypatch):
    """Download two archives, their files in a folder and without one; returns the lines."""
    monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path / "data"))
    server.files["/P01"] = tar_of({"P01/one.mat": b"1" * 2000, "P01/two.mat": b"2" * 30, "P01/junk.txt": b"?"})
    server.files["/M02"] = tar_of({"one.mat": b"3" * 20, "../../two.mat": b"4"})
    archives = {who: f"{server.root}/{who}" for who in ("P01", "M02")}
    return lambda: list(fetching.fetch_archives(archives, MEMBERS, tmp_path / "downloads", tmp_path / "brain"))


def files_of(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


DOWNLOADS = {f"downloads/{name}" for name in ("P01.tar", "M02.tar", "checksums.json")}
UNPACKED = {f"brain/{who}/{name}" for who in ("P01", "M02") for name in MEMBERS}


class TestFetching:
    def test_only_the_wanted_files_are_taken(self, fetch, tmp_path):
        fetch()
        assert files_of(tmp_path) == DOWNLOADS | UNPACKED  # nothing beside, nothing outside
        assert (tmp_path / "brain/P01/one.mat").read_bytes() == b"1" * 2000
        assert (tmp_path / "brain/M02/two.mat").read_bytes() == b"4"
        kept = json.loads((tmp_path / "downloads/checksums.json").read_text())
        assert kept == {f"{who}.tar": checksum(tmp_path / f"downloads/{who}.tar") for who in ("P01", "M02")}

    def test_a_file_with_the_right_checksum_is_not_downloaded_again(self, fetch, server, tmp_path):
        fetch()
        (tmp_path / "brain/P01/two.mat").unlink()
        fetch()
        assert set(server.asked.values()) == {1} and files_of(tmp_path) == DOWNLOADS | UNPACKED

    def test_a_damaged_file_is_replaced(self, fetch, server, tmp_path):
        fetch()
        path = tmp_path / "downloads/P01.tar"
        whole = path.read_bytes()
        path.write_bytes(whole[:-1])
        fetch()
        assert path.read_bytes() == whole and server.asked == {"/P01": 2, "/M02": 1}

    def test_a_file_fetched_by_hand_is_taken(self, fetch, server, tmp_path):
        (tmp_path / "downloads").mkdir()
        (tmp_path / "downloads/P01.tar").write_bytes(server.files["/P01"])
        fetch()
        assert server.asked == {"/M02": 1} and files_of(tmp_path) == DOWNLOADS | UNPACKED

    def test_a_changed_file_is_refused_and_the_remedy_works(self, fetch, server, tmp_path):
        fetch()
        (tmp_path / "downloads/P01.tar").unlink()
        server.files["/P01"] = tar_of({"one.mat": b"9" * 2000})  # of the same size
        before = files_of(tmp_path)
        with pytest.raises(BraintuneError, match=r"(?s)/P01: .*SHA256.*take P01.tar out of .*checksums.json"):
            fetch()
        assert files_of(tmp_path) == before
        path = tmp_path / "downloads/checksums.json"
        path.write_text(json.dumps({"M02.tar": json.loads(path.read_text())["M02.tar"]}))
        fetch()
        assert (tmp_path / "brain/P01/one.mat").read_bytes() == b"9" * 2000


class TestFaults:
    """Every fault names the address and the remedy, and no half-written file stays."""

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (None, r"/P01: 404 .*open the address in a browser.*P01\.tar"),
            (b"<!DOCTYPE html><title>Please sign in</title>", "is no tar archive: what .*/P01 gives may be a page"),
        ],
    )
    def test_an_address_that_gives_no_archive(self, fetch, server, tmp_path, content, message):
        server.files["/P01"] = content
        with pytest.raises(BraintuneError, match=message):
            fetch()
        assert not files_of(tmp_path)

    def test_no_connection(self, tmp_path):
        with socket.socket() as taken:  # bound and not listening: nobody answers
            taken.bind(("127.0.0.1", 0))
            archives = {"P01": f"http://127.0.0.1:{taken.getsockname()[1]}/P01"}
            with pytest.raises(BraintuneError, match=r"127.*/P01: .*Try again.*browser"):
                list(fetching.fetch_archives(archives, MEMBERS, tmp_path, tmp_path))
        assert not files_of(tmp_path)

    def test_a_transfer_that_breaks_off(self, fetch, server, tmp_path):
        server.short.add("/P01")
        with pytest.raises(BraintuneError, match=r"/P01: .*Try again"):
            fetch()
        assert not files_of(tmp_path)

    def test_a_disk_that_cannot_be_written(self, fetch, monkeypatch):
        def full(*words, **settings):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(fetching.pooch, "retrieve", full)
        with pytest.raises(BraintuneError, match=r"No space left on device.*P01\.tar"):
            fetch()

    @pytest.mark.parametrize(
        ("files", "listed"),
        [({"P01/three.mat": b"3"}, "P01/three.mat"), ({"new/one.mat": b"3", "old/one.mat": b"4"}, "new/one.mat, old/")],
    )
    def test_an_archive_without_the_files_or_with_one_twice(self, fetch, server, tmp_path, files, listed):
        server.files["/P01"] = tar_of(files)
        with pytest.raises(BraintuneError, match=f"one or more of one.mat, two.mat, each once; it has {listed}"):
            fetch()
        assert files_of(tmp_path) == {"downloads/P01.tar"}

    def test_an_archive_that_ends_early(self, fetch, server, tmp_path):
        whole = server.files["/P01"]
        server.files["/P01"] = whole[:1024]
        with pytest.raises(BraintuneError, match=r"P01.tar is not a whole archive .*delete it"):
            fetch()
        (tmp_path / "downloads/P01.tar").unlink()
        server.files["/P01"] = whole
        fetch()  # the remedy
        assert files_of(tmp_path) == DOWNLOADS | UNPACKED

    @pytest.mark.parametrize("content", ["{", "[1]"])
    def test_damaged_checksums(self, fetch, tmp_path, content):
        (tmp_path / "downloads").mkdir()
        (tmp_path / "downloads/checksums.json").write_text(content)
        with pytest.raises(BraintuneError, match=r"checksums.json is damaged .*delete it"):
            fetch()


class TestCommands:
    def test_every_measured_data_set_has_a_script_with_its_addresses(self, monkeypatch, capsys):
        monkeypatch.setattr(fetching.pooch, "retrieve", lambda *words, **settings: pytest.fail("downloaded"))
        monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *words, **settings: pytest.fail("downloaded"))
        sources = {"devarda" if name.startswith("devarda-") else name: source for name, source in BRAINS.items()}
        assert {name.replace("_", "-") for name in SCRIPTS} == set(sources) - {"simulated", "folder", "table"}
        for name, script in SCRIPTS.items():
            script.main([])
            source, printed = sources[name.replace("_", "-")], capsys.readouterr().out
            assert f"licence: {source.licence}" in printed and "none was checked" in printed
            lines = [line.strip() for line in printed.splitlines() if "://" in line]
            assert lines and all(requests.utils.urlparse(line).scheme == "https" for line in lines)

    def test_experiment_1_is_converted_at_once(self, server, tmp_path, monkeypatch):
        exp1, out = SCRIPTS["pereira2018_exp1"], io.BytesIO()
        monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path))
        matlab.savemat(out, {"examples": [[1.0, 2.0, 5.0], [2.0, 1.0, 4.0], [9.0, 3.0, 1.0]]})
        server.files["/P01"] = tar_of({f"P01/{member}": out.getvalue() for member in exp1.MEMBERS})
        monkeypatch.setattr(fetching, "PEREIRA", {"P01": f"{server.root}/P01"})
        exp1.main(["--fetch", "yes"])
        assert "brain/pereira2018_exp1/P01.npz" in files_of(tmp_path)

    def test_faults_end_the_command_with_a_message(self, capsys):
        with pytest.raises(SystemExit, match=r"alice2016: no address .*FROM=<folder>"):
            SCRIPTS["alice2016"].main(["--fetch", "yes"])
        with pytest.raises(SystemExit, match="FROM=<folder> to convert files you have, not both"):
            SCRIPTS["pereira2018"].main(["--fetch", "yes", "--from", "somewhere"])
        with pytest.raises(SystemExit):
            SCRIPTS["pereira2018"].main(["--fetch", "no"])
        assert "invalid choice: 'no'" in capsys.readouterr().err
        SCRIPTS["pereira2018"].main(["--from", "somewhere"])
        assert "nothing to convert" in capsys.readouterr().out

    def test_checksums_of_the_hub_are_kept_and_compared(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path / "data"))
        file = tmp_path / ENTRY.revision / "data" / "train-00000-of-00001.parquet"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"first")
        monkeypatch.setattr(
            huggingface_hub, "snapshot_download", lambda *words, **wanted: str(tmp_path / ENTRY.revision)
        )
        for _ in range(2):
            SCRIPTS["pereira2018_hub"].main(["--fetch", "yes"])
            assert f"{ENTRY.repository}/tree/{ENTRY.revision}" in (printed := capsys.readouterr().out)
            assert checksum(file) in printed
        kept = tmp_path / "data/downloads/pereira2018-hub/checksums.json"
        assert json.loads(kept.read_text()) == hub.checksums(ENTRY)
        file.write_bytes(b"something else")
        with pytest.raises(SystemExit, match=r"its SHA-256 is \w+, and was \w+ .*--force-download.*checksums.json"):
            SCRIPTS["pereira2018_hub"].main(["--fetch", "yes"])
