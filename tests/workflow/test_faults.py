"""What a user sees, fault by fault: profiles, task files, brain files, environment, folders, commands, backbones.

A message names the key or the file, the value, and what is allowed or what to do. Faults of the authors' MATLAB files
are in `test_pereira.py` and `test_matlab.py`, those of the hub's data sets in `test_hub.py`.
"""

import errno
import os
import re
import subprocess
import sys
import zipfile

import nibabel
import numpy as np
import pytest

from braintune.core import store
from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.datasets import tasks
from braintune.datasets.brains import registry
from braintune.models import backbones
from braintune.workflow import execute
from braintune.workflow import run as runner
from braintune.workflow.jobs import make_job
from braintune.workflow.run import run_chain


def message_of(call, *arguments):
    """Return the message of a fault; it is short and no traceback."""
    with pytest.raises(BraintuneError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert "Traceback" not in message and len(message) < 1500
    return message


def holds(message, *fragments):
    """Assert that a message holds regular expressions, in this order."""
    assert re.search(".*".join(fragments), message, flags=re.DOTALL), message


def rows(table):
    """Parametrize a test by a table: name of a fault → what makes it, then what its message holds."""
    return pytest.mark.parametrize(("made_by", "fragments"), [(m, f) for m, *f in table.values()], ids=list(table))


# --- profiles ----------------------------------------------------------------------------------------------------

INVALID = "mine.yml is not valid YAML: "


@rows({
    "empty": (b"# nothing yet\n", "mine.yml must hold `key: value` lines, not NoneType"),
    "a list": (b"- profile: mine\n", "mine.yml must hold `key: value` lines, not list"),
    "a text": (b"profile mine\n", "mine.yml must hold `key: value` lines, not str"),
    "not UTF-8": (b"profile: m\xfcller\n", INVALID, "byte 0xfc in position 10"),
    "UTF-16": ("profile: mine\n".encode("utf-16"), INVALID, "byte 0xff in position 0"),
    "brackets without end": (b"tasks: " + b"[" * 5000, INVALID, "brackets are nested too deeply"),
    "an open bracket": (b"tasks: [ner\n", INVALID, "line 1, column 8"),
    "a tab for spaces": (b"signal:\n\tlanguage: 1\n", INVALID, "line 2, column 1"),
    "an alias to nothing": (b"tasks: *mine\n", INVALID, "undefined alias 'mine'"),
    "an object of Python": (b"tasks: !!python/object/apply:os.system [ls]\n", INVALID, "python/object/apply:os.system"),
    "a control character": (b"profile: mine\x07\n", INVALID, "#x0007"),
    "a date": (b"profile: 2001-99-99\n", "profile: '2001-99-99' must be the file's name, 'mine'; change"),
    "a key twice": (b"n_folds: 4\nlayer: 2\nn_folds: 5\n", INVALID, "key 'n_folds' is given on lines 1 and 3; keep one"),
    "a method twice": (b"learning_rates:\n  lora: [1]\n  lora: [2]\n", INVALID, "'lora' is given on lines 2 and 3"),
    "an integer of 5000 digits": (b"threads: " + b"9" * 5000, INVALID, "4300 digits"),
    "minutes and seconds": (b"n_folds: 1:30\n", "n_folds: .*valid integer.*; got '1:30'"),
    "yes for a number": (b"layer: yes\n", "layer: .*valid integer.*; got 'yes' .analysis layer"),
    "true for a number": (b"seeds: [true]\n", r"seeds: true and false are not values.*; got \[True\]"),
    "a key that is no word": (b"1: mine\n", "mine.yml: key 1 must be a word, as in `key: value`"),
    "a key that is nothing": (b"?", "mine.yml: key None must be a word"),
    "the name of another file": (b"profile: yours\n", "profile: 'yours' must be the file's name, 'mine'"),
    "a null": (b"n_folds: null\n", "mine.yml: n_folds: .*integer; got None .folds of the shuffled design"),
    "false for a text": (b"tasks: [false]\n", "mine.yml: tasks: true and false .* in quotes; got .False. .tasks to tune on."),
    "a participant that is a number": (b"participants: [7]\n", "participants.0: .*string; got 7 .*; put it in quotes"),
    "a text for a list": (b"tasks: ner\n", "tasks: a list is needed, as in tasks: .*; got 'ner'"),
    "a number for a text": (b"backbone: 5\n", "backbone: .*string; got 5 .pre-trained encoder"),
    "a broken number": (b"n_folds: 2.5\n", "n_folds: .*integer.*; got 2.5"),
    "a number below": (b"learning_rates: {fine-tuned: [1e-4x]}\n", "learning_rates.fine-tuned.0: .*number.*'1e-4x'"),
    "infinity": (b"margin: .inf\n", "margin: .*finite number; got inf"),
    "too large": (b"threads: 1000\n", "threads: .*256; got 1000 .CPU threads per job"),
    "a fraction of 1": (b"validation_fraction: 1.0\n", "validation_fraction: .*less than or equal to 0.5; got 1.0"),
    "none of the allowed": (b"nuisance: [loudness]\n", "nuisance.0: .*'length', 'log-length', 'characters' or 'duration'; got 'loud"),
    "a folder outside": (b"own_study: ../../etc\n", "own_study: .*pattern.*; got '../../etc'"),
    "three exponents": (b"alpha_exponents: [0, 1, 2]\n", r"alpha_exponents: .*at most 2.*; got \[0, 1, 2\]"),
    "a seed below 0": (b"seeds: [0, -1]\n", "seeds.1: .*greater than or equal to 0; got -1"),
    "a seed that NumPy refuses": (b"seeds: [4294967296]\n", "seeds.0: .*less than 4294967296; got 4294967296"),
    "runs in the home of nobody": (b"runs: ~nobody-here/x\n", "runs: the home folder in '~nobody-here/x' is unknown"),
    "runs in a variable": (b"runs: $HOME/x\n", r"runs: '\$HOME/x' must be a path; ~ is expanded in it, shell variables are not"),
    "runs nowhere": (b"runs: ''\n", "runs: '' must be a path"),
    "no seed": (b"seeds: []\n", r"seeds: .*at least 1.*; got \[\] .one tuning run per seed"),
    "no rates": (b"learning_rates: {fine-tuned: [], prompt-tuned: []}\n", "learning_rates.fine-tuned: .*at least 1"),
    "folder of models": (b"profile: models\n", "profile: 'models' must be the file's name"),
})  # fmt: skip
def test_a_profile(tmp_path, made_by, fragments):
    path = tmp_path / "mine.yml"
    path.write_bytes(made_by)
    holds(message_of(Study.load, path), *fragments)


def test_a_profile_may_begin_with_a_byte_order_mark_and_end_its_lines_as_windows_does(tmp_path):
    path = tmp_path / "mine.yml"
    path.write_bytes(b"\xef\xbb\xbfprofile: mine\r\nn_folds: 4\r\n")
    assert Study.load(path).n_folds == 4


@pytest.mark.parametrize("name", ["", "a\0b", "../../pyproject", "{folder}/none.yml", "{folder}/folder.yml"])
def test_a_profile_that_is_not_there(tmp_path, name):
    (tmp_path / "folder.yml").mkdir()
    name = name.format(folder=tmp_path)
    holds(
        message_of(Study.load, name), re.escape(f"no profile {name!r}; known: "), "quick", "or give the path of a .yml"
    )


# --- task files --------------------------------------------------------------------------------------------------

NO_JSON = r"line 1: not a JSON object in UTF-8 \("
REMOVE = "correct or remove the line"


def sentiment(text):
    return "sentiment", text


@rows({
    "empty": (sentiment(b"\n \r\n\n"), "holds no rows; write at least one"),
    "brackets without end": (sentiment(b"[" * 100_000), NO_JSON, "recursion depth", REMOVE),
    "cut in the middle": (sentiment(b'{"sentence": "a", "label": "b"}\n{"sentence": "a", "la'), "line 2: not a", REMOVE),
    "one JSON list": (sentiment(b'[{"sentence": "a"}]'), "line 1: a row must be a JSON object, not list"),
    "a table": (sentiment(b"sentence,label\na,b\n"), NO_JSON, r"a table \(CSV\); convert it: `python -c"),
    "UTF-16": (sentiment('{"sentence": "a"}'.encode("utf-16")), "line 1, field 'label': missing; .* sentence, label"),
    "Latin-1": (sentiment(b'{"sentence": "caf\xe9", "label": "b"}'), NO_JSON, "byte 0xe9", REMOVE),
    "single quotes": (sentiment(b"{'sentence': 'a'}"), NO_JSON, "double quotes", REMOVE),
    "two rows on a line": (sentiment(b'{"sentence": "a", "label": "b"} {}'), NO_JSON, "Extra data", REMOVE),
    "a null": (sentiment(b'{"sentence": null, "label": "b"}'), "field 'sentence': None must be a string"),
    "a truth value as a label": (
        sentiment(b'{"sentence": "a", "label": true}'), "field 'label': True must be a string", 'write "label": "true"'),
    "a number of 5000 digits": (("wsd", b'{"index1": ' + b"9" * 5000 + b"}"), NO_JSON, "4300 digits", REMOVE),
    "a word that is a number": (
        ("ner", b'{"tokens": ["a", 1], "tags": ["O", "O"]}'),
        r"field 'tokens': \['a', 1\] must be a non-empty list of strings",
    ),
    "an answer without a place": (
        ("qa", b'{"context": "a", "question": "b", "answers": [{"text": "a"}]}'),
        "field 'answers': .* must be a list of {text, answer_start}",
    ),
    "an answer beyond the context": (
        ("qa", b'{"context": "a", "question": "b", "answers": [{"text": "a", "answer_start": 9}]}'),
        "field 'answers': 'a' is not at character 9 of the context",
    ),
    "a place of 1.0": (
        ("wsd", b'{"sentence1": "a", "sentence2": "b", "index1": 1.0, "index2": 0, "label": "x"}'),
        "field 'index1': 1.0 must be a whole number",
    ),
})  # fmt: skip
def test_a_task_file(tmp_path, made_by, fragments):
    task, content = made_by
    file = tmp_path / "train.jsonl"
    file.write_bytes(content)
    holds(message_of(tasks.read_rows, tasks.TASKS[task], file), re.escape(str(file)), *fragments)


def test_rows_may_end_as_windows_ends_them_and_begin_with_a_byte_order_mark(tmp_path):
    file = tmp_path / "train.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"sentence": "a", "label": "b"}\r\n\r\n{"sentence": "c", "label": "d"}')
    assert [row["sentence"] for row in tasks.read_rows(tasks.TASKS["sentiment"], file)] == ["a", "c"]


# --- environment and folders -------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["file", "none", "file/below"])
def test_a_data_folder_that_is_none(tmp_path, monkeypatch, where):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path / where))
    study = Study.make({"brains": ["folder"], "task_source": "folder", "tasks": ["sentiment"]})
    place = re.escape(str(tmp_path / where))
    brain = message_of(registry.load_brain, study, "folder")
    holds(brain, "brain data 'folder'", f"{place}/brain/own", "BRAINTUNE_DATA", "`data/README.md` says how")
    task = message_of(tasks.load_task, study, "sentiment")
    holds(task, f"{place}/nlu/sentiment/train.jsonl", "BRAINTUNE_DATA", "task_source: hub or microworld")


@pytest.mark.parametrize("runs", ["{folder}/file", "{folder}/file/runs", "/proc/runs"])
def test_results_that_cannot_be_written(tmp_path, runs):
    (tmp_path / "file").write_text("")
    runs = runs.format(folder=tmp_path)
    profile = tmp_path / "mine.yml"
    profile.write_text(f"runs: {runs}\n", encoding="utf-8")
    message = message_of(run_chain, str(profile))
    holds(
        message,
        f"cannot write to {re.escape(runs)}/mine: ",
        "free some space or allow writing there, or .* with `runs`",
    )


def test_a_notebook_that_cannot_be_saved(tmp_path, monkeypatch):
    """Papermill saves it after each cell; nothing of the job remains that would be taken for a result."""
    import papermill

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(papermill, "execute_notebook", full)
    profile = tmp_path / "mine.yml"
    profile.write_text(f"runs: {tmp_path}\n", encoding="utf-8")
    message = message_of(execute.execute, str(profile), make_job("figures", source="run"))
    holds(
        message,
        f"figures · run: cannot write {re.escape(str(tmp_path))}/mine/notebooks/figures/run.failed",
        "No space",
        "free some space",
    )
    assert not list(tmp_path.rglob("*.ipynb"))


def test_a_full_disk_leaves_earlier_results_intact(tmp_path):
    """A limit on the size of files acts as the disk: a write beyond it fails as on a full one."""
    code = (
        "import resource, sys, numpy as np; from pathlib import Path; from braintune.core import base, store\n"
        "path = Path(sys.argv[1])\n"
        "store.write_arrays(path, {'x': np.zeros(8)})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: store.write_json(path, list(range(9999)))\n"
        "except base.BraintuneError as error: print(error)\n"
        "print(store.read_arrays(path)['x'].shape, sorted(p.name for p in path.parent.iterdir()))\n"
    )
    path = tmp_path / "kept.safetensors"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"cannot write {path}: File too large; earlier results are untouched; check the free"), (
        done.stderr
    )
    assert lines[-1] == "(8,) ['kept.safetensors']"


@pytest.mark.parametrize(
    ("read", "content", "kind"),
    [
        (store.read_table, b"PAR1" + b"x" * 20, "ArrowInvalid"),
        (store.read_table, b"", "ArrowInvalid"),
        (store.read_json, b'{"score": 0.', "JSONDecodeError"),
        (store.read_json, b"\xff\xfe\x00", "UnicodeDecodeError"),
        (store.read_arrays, b"\x40\x00\x00\x00\x00\x00\x00\x00{", "SafetensorError"),
        (store.read_arrays, b"\xff" * 8 + b"{}", "SafetensorError"),  # it claims more memory than there is
        (store.read_tensors, b"\x08\x00\x00\x00\x00\x00\x00\x00{}", "SafetensorError"),
    ],
)
def test_a_result_that_is_torn(tmp_path, read, content, kind):
    path = tmp_path / "result"
    path.write_bytes(content)
    holds(
        message_of(read, path),
        re.escape(str(path)),
        rf"is damaged \({kind}: ",
        "`make verify PROFILE=…` shows which job",
    )


# --- commands ----------------------------------------------------------------------------------------------------

TUNING = ["quick", "tuning", "task=ner", "method=fine-tuned"]


@rows({
    "no job": ([], "which job.* python -m braintune execute PROFILE STEP"),
    "no step": (["quick"], "which job"),
    "no equals sign": (["quick", "rsa", "simulated"], "which job"),
    "an unknown step": (["quick", "desicion"], "unknown step 'desicion'; known: decoding, "),
    "too few parameters": (TUNING, "parameter 'seed' is missing; tuning takes task=… method=… seed=…"),
    "too many": (["quick", "figures", "source=run", "task=ner"], "parameter 'task' is unknown; figures takes source=…"),
    "a seed that is none": ([*TUNING, "seed=zero"], "seed: 'zero' must be a whole number"),
    "a negative seed": ([*TUNING, "seed=-1"], "seed: '-1' must be a whole number"),
    "an unknown profile": (["quik", "figures", "source=run"], "no profile 'quik'; known: quick, "),
})  # fmt: skip
def test_the_words_that_name_a_job(monkeypatch, made_by, fragments):
    monkeypatch.delenv("BRAINTUNE_PARENT", raising=False)
    holds(message_of(execute.main, made_by), *fragments)


def test_a_run_without_a_profile():
    holds(message_of(runner.main, []), r"which profile\? python -m braintune run PROFILE")


# --- brain files -------------------------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A small study of one's own."""
    monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path))
    folder = tmp_path / "brain" / "own"
    folder.mkdir(parents=True)
    (folder / "stimuli.csv").write_text("sentence\nOne.\nTwo.\nThree.\n", encoding="utf-8")
    np.savez(folder / "P01.npz", IFG=np.eye(3))
    return folder


def stimuli(content):
    """Write another table of stimuli."""
    return lambda folder: (folder / "stimuli.csv").write_bytes(content)


def region(values):
    """Write other responses of one region."""
    return lambda folder: np.savez(folder / "P01.npz", IFG=values)


def images(type_="i2", claimed=None):
    """Write an image of the participant and a mask; its header may claim two longer axes."""

    def write(folder):
        (folder / "P01.npz").unlink()
        path = folder / "P01_beta.nii"
        nibabel.save(nibabel.Nifti1Image(np.zeros((2, 2, 2, 3), dtype=type_), np.eye(4)), path)
        nibabel.save(nibabel.Nifti1Image(np.ones((2, 2, 2), dtype=np.uint8), np.eye(4)), folder / "mask-IFG.nii")
        if claimed:
            content = bytearray(path.read_bytes())
            content[42:46] = np.array([claimed, claimed], dtype="<i2").tobytes()
            path.write_bytes(content)

    return write


@rows({
    "an empty table": (stimuli(b""), "{folder}/stimuli.csv, line 1: no column 'sentence'; it has nothing"),
    "a table in Latin-1": (stimuli(b"sentence\ncaf\xe9\n"), r"{folder}/stimuli.csv, line 2: byte b'.xe9' is not UTF-8 text"),
    "a broken quote": (stimuli(b'sentence\n"One\n'), "{folder}/stimuli.csv, line 2: ", "close every double quote"),
    "a heading alone": (stimuli(b"sentence\n"), "{folder}/stimuli.csv lists 0 stimuli; at least two"),
    "a folder for a table": (
        lambda folder: ((folder / "stimuli.csv").unlink(), (folder / "stimuli.csv").mkdir()),
        "{folder} holds .*stimuli.csv .*words.csv; exactly one is needed",
    ),
    "texts in an array": (region(np.array([["a"], ["b"], ["c"]])), "{folder}/P01.npz: IFG", "<U1", "numeric"),
    "truth values": (region(np.eye(3) > 0), "{folder}/P01.npz: IFG", "bool; a numeric array with two axes"),
    "a number alone": (region(np.float64(3)), r"{folder}/P01.npz: IFG has shape \(\)", "a numeric array with two axes"),
    "no array": (
        lambda folder: zipfile.ZipFile(folder / "P01.npz", "w").writestr("IFG", b"words"),
        "{folder}/P01.npz: IFG has shape .*; a numeric array with two axes is needed",
    ),
    "a name that is markup": (
        lambda folder: (folder / "P01.npz").rename(folder / "P<b>01.npz"),
        "the name of participant 'P<b>01' may hold only letters, digits", "rename the participant's files",
    ),
    "an image whose header claims more": (
        images(claimed=30_000), "{folder}/P01_beta.nii is not a complete NIfTI image", "10,800,000,000", "again",
    ),
    "an image of colours": (
        images([("R", "u1"), ("G", "u1"), ("B", "u1")]), "{folder}/P01_beta.nii is not a complete NIfTI", "real numbers",
    ),
})  # fmt: skip
def test_a_study_of_ones_own(own, made_by, fragments):
    made_by(own)
    study = Study.make({"brains": ["folder"], "nuisance": []})
    message = message_of(lambda: registry.load_brain(study, "folder").load("P01"))
    holds(message, *(fragment.replace("{folder}", re.escape(str(own))) for fragment in fragments))


# --- backbones ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "fragment"),
    [
        (None, "model_type"),
        (b"", "not a valid JSON"),
        (b"[]", "model_type"),
        (b'{"model_type": "mine"}', "model type `mine`"),
        (b'{"model_type": "bert"}', "no file named model.safetensors"),
    ],
    ids=str,
)
def test_a_folder_that_holds_no_backbone(tmp_path, config, fragment):
    if config is not None:
        (tmp_path / "config.json").write_bytes(config)
    message = message_of(backbones.load_backbone, str(tmp_path))
    holds(
        message, f"backbone '{tmp_path}' cannot be loaded", fragment, "config.json, tokenizer.json and model.safetens"
    )
