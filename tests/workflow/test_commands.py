"""What the commands say when something is missing."""

import os
import shutil
import subprocess

import pytest

from braintune.core import base


@pytest.fixture
def fresh(tmp_path):
    """A folder with what `make` reads, and no environment."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(base.REPOSITORY / name, tmp_path)
    return tmp_path


def make(folder, *words):
    """Run make as a user does, also where make runs these tests: it hands its options on by the environment."""
    surroundings = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    }
    done = subprocess.run(["make", *words], cwd=folder, capture_output=True, text=True, env=surroundings)
    return done.returncode, done.stdout + done.stderr


def test_an_unknown_target_lists_the_known(fresh):
    code, told = make(fresh, "boook")
    assert code != 0
    assert "no target 'boook'" in told and "make book" in told


def test_an_old_python_is_named_with_the_remedy(fresh):
    old = fresh / "old-python"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.1" && exit 0\nexit 1\n')
    old.chmod(0o755)
    code, told = make(fresh, "setup", f"PYTHON={old}")
    assert code != 0
    assert "Python 3.11 or newer is needed" in told and "Python 3.9.1" in told and "PYTHON=python3" in told


def test_a_python_without_venv_is_named_with_the_remedy(fresh):
    bare = fresh / "bare-python"
    bare.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\nexit 0\n')
    bare.chmod(0o755)
    code, told = make(fresh, "setup", f"PYTHON={bare}")
    assert code != 0
    assert "apt install python3-venv" in told


def test_a_failed_installation_says_what_to_do(fresh):
    broken = fresh / "broken-python"
    broken.write_text(
        '#!/bin/sh\n[ "$1" = -m ] && mkdir -p .venv/bin && printf "#!/bin/sh\\nexit 1\\n" > .venv/bin/python'
        " && chmod +x .venv/bin/python\nexit 0\n"
    )
    broken.chmod(0o755)
    code, told = make(fresh, "setup", f"PYTHON={broken}")
    assert code != 0
    assert "the installation failed" in told
    assert not (fresh / ".venv" / ".ready").exists()


def parrot(folder):
    """Put a python into the environment of a folder that says the words it is given, a line each time."""
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "<%s>" "$@"; echo\n')
    python.chmod(0o755)
    (folder / ".venv" / ".ready").touch()


def test_data_runs_the_script_of_a_data_set(fresh):
    parrot(fresh)
    folder = fresh / "data" / "get"
    folder.mkdir(parents=True)
    for name in ("fetching", "alice2016", "pereira2018_hub"):
        (folder / f"{name}.py").touch()
    code, printed = make(fresh, "data")
    assert code != 0 and "known: alice2016 pereira2018-hub" in printed
    begin, end = "<data/get/alice2016.py>", "\n"
    assert make(fresh, "data", "SET=alice2016", "FROM=a folder") == (0, f"{begin}<--from><a folder>{end}")
    printed = make(fresh, "data", "SET=pereira2018-hub", "FETCH=yes")[1]
    assert printed == f"<data/get/pereira2018_hub.py><--fetch><yes>{end}"


def test_with_options_no_book_is_promised(fresh):
    parrot(fresh)
    code, told = make(fresh, "book", "OPTIONS=--dry-run")
    assert code == 0 and "<--dry-run>" in told and "braintune.workflow.book.serve" not in told


def test_an_engine_is_handed_on(fresh):
    parrot(fresh)
    here = make(fresh, "book", "PROFILE=paper", "CORES=3")[1]
    assert here.splitlines()[-1] == "<-m><braintune.workflow.book.serve><paper>"  # tells where the book is
    assert "<run><paper><--cores><3>" in here and "<--quiet><rules><reason><host><progress>" in here
    there = make(fresh, "book", "PROFILE=paper", "ENGINE=my cluster.yml")[1]
    assert "<run><paper><--engine><my cluster.yml>" in there
    assert "--cores" not in there and "<host>\n" in there
    assert "<braintune.workflow.plan><paper><--cores><3>" in make(fresh, "plan", "PROFILE=paper", "CORES=3")[1]
    assert (
        "<braintune.workflow.plan><paper><--engine><slurm>" in make(fresh, "plan", "PROFILE=paper", "ENGINE=slurm")[1]
    )
