"""The built book on a local address."""

import threading
import urllib.request

import pytest
import yaml

from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.workflow.book import serve


@pytest.fixture
def profile(tmp_path):
    """A profile with a book of one page, not in the folder where runs usually are."""
    path = tmp_path / "mine.yml"
    path.write_text(yaml.safe_dump({"profile": "mine", "runs": str(tmp_path / "elsewhere")}), encoding="utf-8")
    page = Study.load(path).book_page
    page.parent.mkdir(parents=True)
    page.write_text("<h1>The question</h1>", encoding="utf-8")
    return path


def test_the_book_is_served_to_this_machine_alone(profile):
    with serve.server(serve.built(str(profile)), 0) as served:
        assert served.server_address[0] == "127.0.0.1"
        threading.Thread(target=served.serve_forever, daemon=True).start()
        with urllib.request.urlopen(f"http://127.0.0.1:{served.server_port}/") as answer:
            assert answer.read() == b"<h1>The question</h1>"
        with pytest.raises(BraintuneError, match=rf"port {served.server_port} cannot be used .*in use.*PORT=8080"):
            serve.server(serve.built(str(profile)), served.server_port)
        served.shutdown()


def test_where_the_book_is(profile, capsys):
    serve.main([str(profile)])
    assert f"the book: {Study.load(profile).book_page} " in capsys.readouterr().out


def test_a_book_that_is_not_built_names_the_command(profile):
    Study.load(profile).book_page.unlink()
    with pytest.raises(BraintuneError, match=rf"no book of '{profile}' yet: make book PROFILE={profile}"):
        serve.main([str(profile)])


@pytest.mark.parametrize("words", [[], ["quick", "http"], ["quick", "8000", "more"]])
def test_other_words_name_the_command(words):
    with pytest.raises(BraintuneError, match="make serve PROFILE=quick PORT=8000"):
        serve.main(words)


def test_a_port_beyond_all_ports(profile):
    with pytest.raises(BraintuneError, match="port 70000 cannot be used"):
        serve.main([str(profile), "70000"])
