"""What the commands say when something is missing."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec

import pytest

from braintune.core import base
from braintune.workflow.cli import VERBS


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
    code, output = make(fresh, "boook")
    assert code != 0
    assert "no target 'boook'" in output and "make book" in output


@pytest.mark.parametrize(
    ("script", "messages"),
    [
        (
            '[ "$1" = --version ] && echo "Python 3.9.1" && exit 0\nexit 1',
            ["Python 3.11 or newer is needed", "Python 3.9.1", "PYTHON=python3"],
        ),
        ('case "$2" in *ensurepip*) exit 1;; esac\nexit 0', ["apt install python3-venv"]),
        (
            '[ "$1" = -m ] && mkdir -p .venv/bin && printf "#!/bin/sh\\nexit 1\\n" > .venv/bin/python'
            " && chmod +x .venv/bin/python\nexit 0",
            ["the installation failed", "no network, or a full disk"],
        ),
    ],
    ids=["too old", "without venv", "failed installation"],
)
def test_a_python_that_will_not_do_is_named_with_the_remedy(fresh, script, messages):
    python = fresh / "other-python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    code, output = make(fresh, "setup", f"PYTHON={python}")
    assert code != 0
    assert all(message in output for message in messages), output
    assert not (fresh / ".venv" / ".ready").exists()


def parrot(folder):
    """Put a python into the environment of a folder that prints the words it is given, a line each time."""
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
    code, output = make(fresh, "book", "OPTIONS=--dry-run")
    assert code == 0 and "<--dry-run>" in output and "<serve>" not in output


def test_profile_cores_and_engine_are_passed_on(fresh):
    parrot(fresh)
    here = make(fresh, "book", "PROFILE=paper", "CORES=3")[1]
    assert here.splitlines()[-1] == "<-m><braintune><serve><paper>"  # says where the book is
    assert "<run><paper><--cores><3>" in here and "<--quiet><rules><reason><host><progress>" in here
    there = make(fresh, "book", "PROFILE=paper", "ENGINE=my cluster.yml")[1]
    assert "<run><paper><--engine><my cluster.yml>" in there
    assert "--cores" not in there and "<host>\n" in there


def test_a_sweep_is_run_as_a_profile_is(fresh):
    parrot(fresh)
    assert "<-m><braintune><sweep><ablation><--cores>" in make(fresh, "sweep")[1]
    there = make(fresh, "sweep", "SWEEP=my sweep.yml", "ENGINE=slurm", "OPTIONS=--dry-run")[1]
    assert "<sweep><my sweep.yml><--engine><slurm><--dry-run>" in there


@pytest.mark.parametrize("name", ["a #1 {x}", "it's", 'a "b"', "a$b", "a;b", "`a`", "a,b", "*", "a  b", ""])
def test_a_name_with_signs_reaches_the_command_as_it_is(fresh, name):
    parrot(fresh)
    assert make(fresh, "verify", f"PROFILE={name}") == (0, f"<-m><braintune><verify><{name}>\n")
    assert make(fresh, "serve", f"PROFILE={name}", f"PORT={name}")[1] == f"<-m><braintune><serve><{name}><{name}>\n"
    printed = make(fresh, "book", f"PROFILE={name}", f"CORES={'' if '$' in name else name}")[1]
    assert f"<run><{name}><--cores><{'' if '$' in name else name}>" in printed
    assert f"<run><quick><--engine><x {name}>" in make(fresh, "book", f"ENGINE=x {name}")[1]


@pytest.mark.parametrize(("target", "words"), [("verify", "<verify><quick>"), ("serve", "<serve><quick><8000>")])
def test_each_target_calls_its_verb(fresh, target, words):
    parrot(fresh)
    assert make(fresh, target) == (0, f"<-m><braintune>{words}\n")


def test_every_verb_has_a_command_and_an_unknown_one_lists_them():
    for verb, module in VERBS.items():
        assert find_spec(module), verb
    done = subprocess.run([sys.executable, "-m", "braintune", "boook"], capture_output=True, text=True)
    assert done.returncode == 1 and "unknown verb 'boook'; known: book, run" in done.stderr
