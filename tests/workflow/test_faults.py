"""What a user sees, fault by fault: profiles, task files, brain files, environment, folders, notebooks, commands.

One fault a row, with the whole message. Faults of the authors' MATLAB files stand in `test_brain_faults.py`, those of
the hub's data sets in `test_hub.py`.
"""

import subprocess
import sys
import zipfile

import nibabel
import numpy as np
import pytest

from braintune.core import store
from braintune.core.base import BraintuneError
from braintune.core.study import PROFILES, Study, is_engine
from braintune.datasets import tasks
from braintune.datasets.brains import registry
from braintune.models import backbones
from braintune.workflow.chain import main, run_chain

KNOWN = ", ".join(sorted(path.stem for path in PROFILES.glob("*.yml") if not is_engine(path)))
PARAMETERS = ", ".join(Study.model_fields)


def told(call, *arguments, **named):
    """Return the message of a fault."""
    with pytest.raises(BraintuneError) as caught:
        call(*arguments, **named)
    return str(caught.value)


# --- profiles ----------------------------------------------------------------------------------------------------

#: Content of `mine.yml` → message; `{folder}` is where it lies.
PROFILES = {
    "empty": (b"", "mine.yml must hold `key: value` lines, not NoneType"),
    "only a comment": (b"# nothing yet\n", "mine.yml must hold `key: value` lines, not NoneType"),
    "a list": (b"- profile: mine\n", "mine.yml must hold `key: value` lines, not list"),
    "a text": (b"profile mine\n", "mine.yml must hold `key: value` lines, not str"),
    "a number": (b"12\n", "mine.yml must hold `key: value` lines, not int"),
    "not UTF-8": (
        b"profile: m\xfcller\n",
        "mine.yml is not valid YAML: 'utf-8' codec can't decode byte 0xfc in position 10: invalid start byte",
    ),
    "UTF-16": (
        "profile: mine\n".encode("utf-16"),
        "mine.yml is not valid YAML: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
    ),
    "brackets without end": (b"tasks: " + b"[" * 5000, "mine.yml is not valid YAML: its brackets are too deep"),
    "a date that there is not": (
        b"profile: 2001-99-99\n",
        "mine.yml is not valid YAML: month must be in 1..12",
    ),
    "a key that is no word": (b"1: mine\n", "mine.yml: key 1 must be a word, as in `key: value`"),
    "a key that is nothing": (b"?", "mine.yml: key None must be a word, as in `key: value`"),
    "a tab for spaces": (
        b"signal:\n\tlanguage: 1\n",
        "mine.yml is not valid YAML: while scanning for the next token\nfound character '\\t' that cannot start any token\n  in \"<unicode string>\", line 2, column 1:\n    \tlanguage: 1\n    ^",
    ),
    "an open bracket": (
        b"tasks: [ner\n",
        "mine.yml is not valid YAML: while parsing a flow sequence\n  in \"<unicode string>\", line 1, column 8:\n    tasks: [ner\n           ^\nexpected ',' or ']', but got '<stream end>'\n  in \"<unicode string>\", line 2, column 1:\n    \n    ^",
    ),
    "an alias to nothing": (
        b"tasks: *mine\n",
        "mine.yml is not valid YAML: found undefined alias 'mine'\n  in \"<unicode string>\", line 1, column 8:\n    tasks: *mine\n           ^",
    ),
    "an object of Python": (
        b"tasks: !!python/object/apply:os.system [ls]\n",
        "mine.yml is not valid YAML: could not determine a constructor for the tag 'tag:yaml.org,2002:python/object/apply:os.system'\n  in \"<unicode string>\", line 1, column 8:\n    tasks: !!python/object/apply:os.system [ls]\n           ^",
    ),
    "a control character": (
        b"profile: mine\x07\n",
        'mine.yml is not valid YAML: unacceptable character #x0007: special characters are not allowed\n  in "<unicode string>", position 13',
    ),
    "the name of another file": (b"profile: yours\n", "mine.yml: profile: 'yours' must be the file's name, 'mine'"),
    "no name": (b"n_folds: 5\n", "mine.yml: profile: 'quick' must be the file's name, 'mine'"),
    "a name that is no word": (
        b"profile: mine?\n",
        "mine.yml: profile: String should match pattern '^[A-Za-z0-9_-]+$'; got 'mine?' (name of the run; results go to `runs/<profile>`)",
    ),
    "a null": (
        b"profile: mine\nn_folds: null\n",
        "mine.yml: n_folds: Input should be a valid integer; got None (folds of the shuffled design, and of the grouped one over passages)",
    ),
    "yes and no are truth values": (
        b"profile: mine\ntasks: [no]\n",
        "mine.yml: tasks.0: Input should be a valid string; got False (tasks to tune on)",
    ),
    "a text for a list": (
        b"profile: mine\ntasks: ner\n",
        "mine.yml: tasks: Input should be a valid list; got 'ner' (tasks to tune on)",
    ),
    "a number for a text": (
        b"profile: mine\nbackbone: 5\n",
        "mine.yml: backbone: Input should be a valid string; got 5 (pre-trained encoder: a registered name, a folder, or a hub id)",
    ),
    "a list for a number": (
        b"profile: mine\nseeds: 5\n",
        "mine.yml: seeds: Input should be a valid list; got 5 (one tuning run per seed, task and method)",
    ),
    "a broken number": (
        b"profile: mine\nn_folds: 2.5\n",
        "mine.yml: n_folds: Input should be a valid integer, got a number with a fractional part; got 2.5 (folds of the shuffled design, and of the grouped one over passages)",
    ),
    "a number in exponents": (
        b"profile: mine\nlearning_rates: {fine-tuned: [1e-4x], prompt-tuned: [1.0]}\n",
        "mine.yml: learning_rates.fine-tuned.0: Input should be a valid number, unable to parse string as a number; got '1e-4x' (peak learning rates to try, by method: as many for each method)",
    ),
    "infinity": (
        b"profile: mine\nmargin: .inf\n",
        "mine.yml: margin: Input should be a finite number; got inf (equivalence margin in pairwise accuracy)",
    ),
    "too many folds": (
        b"profile: mine\nn_folds: 51\n",
        "mine.yml: n_folds: Input should be less than or equal to 50; got 51 (folds of the shuffled design, and of the grouped one over passages)",
    ),
    "too many threads": (
        b"profile: mine\nthreads: 1000\n",
        "mine.yml: threads: Input should be less than or equal to 256; got 1000 (CPU threads of one job (results are bit-identical for equal numbers))",
    ),
    "a fraction of 1": (
        b"profile: mine\nvalidation_fraction: 1.0\n",
        "mine.yml: validation_fraction: Input should be less than 1; got 1.0 (part of the training data held out to choose the best epoch)",
    ),
    "an experiment that there is not": (
        b"profile: mine\nexperiments: [1]\n",
        "mine.yml: experiments.0: Input should be 2 or 3; got 1 (pereira2018: experiments, joined for the participants who did all of them)",
    ),
    "a nuisance that there is not": (
        b"profile: mine\nnuisance: [loudness]\n",
        "mine.yml: nuisance.0: Input should be 'length', 'log-length' or 'duration'; got 'loudness' (story listening: what of a sentence is regressed out of responses and embeddings: words, their log, seconds)",
    ),
    "a folder outside": (
        b"profile: mine\nown_study: ../../etc\n",
        "mine.yml: own_study: String should match pattern '^[A-Za-z0-9_.-]+$'; got '../../etc' (folder: where your own study lies, under `brain` in the data folder)",
    ),
    "three exponents": (
        b"profile: mine\nalpha_exponents: [0, 1, 2]\n",
        "mine.yml: alpha_exponents: Tuple should have at most 2 items after validation, not 3; got [0, 1, 2] (smallest and largest ridge penalty, as powers of ten)",
    ),
    "no seed": (
        b"profile: mine\nseeds: []\n",
        "mine.yml: seeds: List should have at least 1 item after validation, not 0; got [] (one tuning run per seed, task and method)",
    ),
    "no rate for a method": (
        b"profile: mine\nlearning_rates: {fine-tuned: [], prompt-tuned: []}\n",
        "mine.yml: learning_rates: {'fine-tuned': [], 'prompt-tuned': []} must be lists of numbers above 0",
    ),
}


@pytest.mark.parametrize("fault", PROFILES)
def test_a_profile_and_what_is_said_of_it(tmp_path, fault):
    content, message = PROFILES[fault]
    path = tmp_path / "mine.yml"
    path.write_bytes(content)
    assert told(Study.load, path) == message


def test_a_profile_may_begin_with_a_byte_order_mark_and_end_its_lines_as_windows_does(tmp_path):
    path = tmp_path / "mine.yml"
    path.write_bytes(b"\xef\xbb\xbfprofile: mine\r\nn_folds: 4\r\n")
    assert Study.load(path).n_folds == 4


#: What is given as a profile → message.
NAMES = {
    "unknown": ("slow", f"no profile 'slow'; known: {KNOWN}, or give the path of a .yml file"),
    "empty": ("", f"no profile ''; known: {KNOWN}, or give the path of a .yml file"),
    "a path that is not there": (
        "{folder}/none.yml",
        f"no profile '{{folder}}/none.yml'; known: {KNOWN}, or give the path of a .yml file",
    ),
    "a folder": (
        "{folder}/folder.yml",
        f"no profile '{{folder}}/folder.yml'; known: {KNOWN}, or give the path of a .yml file",
    ),
    "another kind of file": (
        "{folder}/mine.json",
        f"no profile '{{folder}}/mine.json'; known: {KNOWN}, or give the path of a .yml file",
    ),
    "a way out of the folder": (
        "../../pyproject",
        f"no profile '../../pyproject'; known: {KNOWN}, or give the path of a .yml file",
    ),
    "a byte that no name holds": ("a\0b", f"no profile 'a\\x00b'; known: {KNOWN}, or give the path of a .yml file"),
}


@pytest.mark.parametrize("fault", NAMES)
def test_the_name_of_a_profile(tmp_path, fault):
    (tmp_path / "folder.yml").mkdir()
    (tmp_path / "mine.json").write_text("{}")
    name, message = NAMES[fault]
    assert told(Study.load, name.format(folder=tmp_path)) == message.format(folder=tmp_path)


# --- task files --------------------------------------------------------------------------------------------------

#: Task, content of its file → message; `{file}` is the file.
ROWS = {
    "empty": ("sentiment", b"", "{file} holds no rows; a task needs at least one"),
    "brackets without end": (
        "sentiment",
        b"[" * 100_000,
        "{file}, line 1: not a JSON object in UTF-8 (maximum recursion depth exceeded while decoding a JSON array from a unicode string); correct or remove the line",
    ),
    "blank lines": ("sentiment", b"\n \r\n\n", "{file} holds no rows; a task needs at least one"),
    "cut in the middle": (
        "sentiment",
        b'{"sentence": "a", "label": "b"}\n{"sentence": "a", "la',
        "{file}, line 2: not a JSON object in UTF-8 (Unterminated string starting at: line 1 column 19 (char 18)); correct or remove the line",
    ),
    "one JSON list": (
        "sentiment",
        b'[{"sentence": "a", "label": "b"}]',
        "{file}, line 1: a row must be a JSON object, not list",
    ),
    "a table": (
        "sentiment",
        b"sentence,label\na,b\n",
        "{file}, line 1: not a JSON object in UTF-8 (Expecting value: line 1 column 1 (char 0)); correct or remove the line",
    ),
    "UTF-16": (
        "sentiment",
        '{"sentence": "a"}'.encode("utf-16"),
        "{file}, line 1, field 'label': missing; sentiment needs sentence, label",
    ),
    "Latin-1": (
        "sentiment",
        b'{"sentence": "caf\xe9", "label": "b"}',
        "{file}, line 1: not a JSON object in UTF-8 ('utf-8' codec can't decode byte 0xe9 in position 17: invalid continuation byte); correct or remove the line",
    ),
    "a null": (
        "sentiment",
        b'{"sentence": null, "label": "b"}',
        "{file}, line 1, field 'sentence': None must be a text",
    ),
    "a number as a label": (
        "sentiment",
        b'{"sentence": "a", "label": 1}',
        "{file}, line 1, field 'label': 1 must be a text",
    ),
    "a number of 5000 digits": (
        "wsd",
        b'{"index1": ' + b"9" * 5000 + b"}",
        "{file}, line 1: not a JSON object in UTF-8 (Exceeds the limit (4300 digits) for integer string conversion: value has 5000 digits; use sys.set_int_max_str_digits() to increase the limit); correct or remove the line",
    ),
    "single quotes": (
        "sentiment",
        b"{'sentence': 'a', 'label': 'b'}",
        "{file}, line 1: not a JSON object in UTF-8 (Expecting property name enclosed in double quotes: line 1 column 2 (char 1)); correct or remove the line",
    ),
    "two rows on a line": (
        "sentiment",
        b'{"sentence": "a", "label": "b"} {}',
        "{file}, line 1: not a JSON object in UTF-8 (Extra data: line 1 column 33 (char 32)); correct or remove the line",
    ),
    "a word that is a number": (
        "ner",
        b'{"tokens": ["a", 1], "tags": ["O", "O"]}',
        "{file}, line 1, field 'tokens': ['a', 1] must be a list of texts, not empty",
    ),
    "an answer without a place": (
        "qa",
        b'{"context": "a", "question": "b", "answers": [{"text": "a"}]}',
        "{file}, line 1, field 'answers': [{'text': 'a'}] must be a list of {text, answer_start}, not empty",
    ),
    "an answer beyond the context": (
        "qa",
        b'{"context": "a", "question": "b", "answers": [{"text": "a", "answer_start": 9}]}',
        "{file}, line 1, field 'answers': 'a' is not at character 9 of the context",
    ),
    "a place of 1.0": (
        "wsd",
        b'{"sentence1": "a", "sentence2": "b", "index1": 1.0, "index2": 0, "label": "x"}',
        "{file}, line 1, field 'index1': 1.0 must be a whole number, at least 0",
    ),
}


@pytest.mark.parametrize("fault", ROWS)
def test_a_task_file_and_what_is_said_of_it(tmp_path, fault):
    task, content, message = ROWS[fault]
    file = tmp_path / "train.jsonl"
    file.write_bytes(content)
    assert told(tasks.read_rows, tasks.TASKS[task], file) == message.replace("{file}", str(file))


def test_rows_may_end_as_windows_ends_them_and_begin_with_a_byte_order_mark(tmp_path):
    file = tmp_path / "train.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"sentence": "a", "label": "b"}\r\n\r\n{"sentence": "c", "label": "d"}')
    assert [row["sentence"] for row in tasks.read_rows(tasks.TASKS["sentiment"], file)] == ["a", "c"]


# --- environment and folders -------------------------------------------------------------------------------------

NO_STUDY = (
    "brain data 'folder': no folder HERE/brain/own. Set BRAINTUNE_DATA to the folder that holds "
    "`brain/own`, or make it: A study of your own; `data/README.md` says how"
)
NO_TASK = (
    "HERE/nlu/sentiment/train.jsonl does not exist; set BRAINTUNE_DATA to the folder that holds nlu/sentiment/train.jsonl "
    "(data/README.md says how to get it), or set task_source: hub or microworld"
)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("{folder}/file", NO_STUDY.replace("HERE", "{folder}/file")),
        ("{folder}/none", NO_STUDY.replace("HERE", "{folder}/none")),
        ("{folder}/file/below", NO_STUDY.replace("HERE", "{folder}/file/below")),
    ],
)
def test_a_data_folder_that_is_none(tmp_path, monkeypatch, where, message):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BRAINTUNE_DATA", where.format(folder=tmp_path))
    assert told(registry.load_brain, Study.make({"brains": ["folder"]}), "folder") == message.format(folder=tmp_path)


@pytest.mark.parametrize(
    ("where", "message"),
    [(where, NO_TASK.replace("HERE", where)) for where in ("{folder}/file", "{folder}/none")],
)
def test_tasks_in_a_data_folder_that_is_none(tmp_path, monkeypatch, where, message):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BRAINTUNE_DATA", where.format(folder=tmp_path))
    run = Study.make({"task_source": "folder", "tasks": ["sentiment"]})
    assert told(tasks.load_task, run, "sentiment") == message.format(folder=tmp_path)


#: Where the results are to go → message.
RUNS = {
    "a file": (
        "{folder}/file",
        "cannot write to {folder}/file/mine: Not a directory; make room or give rights there, or name another folder with `runs`",
    ),
    "below a file": (
        "{folder}/file/runs",
        "cannot write to {folder}/file/runs/mine: Not a directory; make room or give rights there, or name another folder with `runs`",
    ),
    "a file system that takes no files": (
        "/proc/runs",
        "cannot write to /proc/runs/mine: No such file or directory; make room or give rights there, or name another folder with `runs`",
    ),
}


@pytest.mark.parametrize("fault", RUNS)
def test_results_that_cannot_be_written(tmp_path, fault):
    (tmp_path / "file").write_text("")
    where, message = RUNS[fault]
    profile = tmp_path / "mine.yml"
    profile.write_text(f"profile: mine\nruns: {where.format(folder=tmp_path)}\n", encoding="utf-8")
    assert told(run_chain, str(profile)) == message.format(folder=tmp_path)


def test_a_full_disk_leaves_earlier_results_intact(tmp_path):
    """A limit on the size of files stands for the disk: a write beyond it fails as on a full one."""
    code = (
        "import resource, sys, numpy as np; from pathlib import Path; from braintune.core import store; from braintune.core.study import PROFILES, is_engine; from braintune.core import base\n"
        "path = Path(sys.argv[1])\n"
        "store.write_arrays(path, {'x': np.zeros(8)})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "for write, what in ((store.write_json, list(range(9999))),):\n"
        "    try: write(path, what)\n"
        "    except base.BraintuneError as error: print(error)\n"
        "print(store.read_arrays(path)['x'].shape, sorted(p.name for p in path.parent.iterdir()))\n"
    )
    path = tmp_path / "kept.safetensors"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert lines[0] == f"cannot write {path}: File too large; earlier results are untouched", done.stderr
    assert lines[-1] == "(8,) ['kept.safetensors']"


#: A result of the run's own that is torn: its name, and what stands in it → what is said of it.
RESULTS = {
    "a table cut short": ("decoding.parquet", b"PAR1" + b"x" * 20, "ArrowInvalid"),
    "a table that is empty": ("null.parquet", b"", "ArrowInvalid"),
    "facts cut short": ("metrics.json", b'{"score": 0.', "JSONDecodeError"),
    "facts that are no text": ("claims.json", b"\xff\xfe\x00", "UnicodeDecodeError"),
    "arrays cut short": ("0.safetensors", b"\x40\x00\x00\x00\x00\x00\x00\x00{", "SafetensorError"),
    "arrays that claim more memory than there is": ("1.safetensors", b"\xff" * 8 + b"{}", "SafetensorError"),
    "weights cut short": ("weights.safetensors", b"\x08\x00\x00\x00\x00\x00\x00\x00{}", "SafetensorError"),
}
READERS = {"parquet": store.read_table, "json": store.read_json, "safetensors": store.read_arrays}


@pytest.mark.parametrize("fault", RESULTS)
def test_a_result_that_is_torn(tmp_path, fault):
    name, content, kind = RESULTS[fault]
    path = tmp_path / name
    path.write_bytes(content)
    read = store.read_tensors if name == "weights.safetensors" else READERS[path.suffix[1:]]
    message = told(read, path)
    assert message.startswith(f"{path} is damaged ({kind}: "), message
    assert message.endswith("; `make verify PROFILE=…` names the job that makes it, and says how to compute it again")


# --- commands ----------------------------------------------------------------------------------------------------

#: Words after `python -m braintune.workflow.jobs` → message.
USAGE = "give `run PROFILE [--engine ENGINE] [OPTION …]` or `execute PROFILE STEP [NAME=VALUE …]`"
COMMANDS = {
    "nothing": ([], USAGE),
    "an unknown command": (["walk", "quick"], USAGE),
    "no profile": (["run"], USAGE),
    "no step": (["execute", "quick"], USAGE),
    "an unknown step": (
        ["execute", "quick", "dance"],
        "unknown step 'dance'; known: tuning, embeddings, decoding, rsa, figures",
    ),
    "a parameter too few": (
        ["execute", "quick", "tuning", "task=ner", "seed=0"],
        "parameter 'method' is missing; tuning takes task=… method=… seed=…",
    ),
    "a parameter too many": (
        ["execute", "quick", "figures", "task=ner"],
        "parameter 'task' is unknown; figures takes none",
    ),
    "no equals sign": (
        ["execute", "quick", "rsa", "simulated"],
        USAGE,
    ),
    "a seed that is none": (
        ["execute", "quick", "tuning", "task=ner", "method=fine-tuned", "seed=zero"],
        "seed: 'zero' must be a whole number from 0",
    ),
    "a negative seed": (
        ["execute", "quick", "tuning", "task=ner", "method=fine-tuned", "seed=-1"],
        "seed: '-1' must be a whole number from 0",
    ),
}


@pytest.mark.parametrize("fault", COMMANDS)
def test_the_words_of_a_command(fault):
    words, message = COMMANDS[fault]
    assert told(main, words) == message


# --- a notebook's parameters -------------------------------------------------------------------------------------

#: What papermill puts into a notebook → message.
NOTEBOOKS = {
    "a name that is none": (
        {"profile": "quick", "n_fold": 3},
        f"notebook parameters: unknown parameter 'n_fold'; known: {PARAMETERS}",
    ),
    "a value out of range": (
        {"profile": "quick", "n_folds": 1},
        "notebook parameters: n_folds: Input should be greater than or equal to 2; got 1 (folds of the shuffled design, and of the grouped one over passages)",
    ),
    "a text for a number": (
        {"profile": "quick", "permutations": "few"},
        "notebook parameters: permutations: Input should be a valid integer, unable to parse string as an integer; got 'few' (label permutations of the untuned representation, per region)",
    ),
    "a parameter of another notebook": (
        {"profile": "quick", "participant": "S01"},
        f"notebook parameters: unknown parameter 'participant'; known: {PARAMETERS}",
    ),
    "a profile that is a number": (
        {"profile": 5},
        "notebook parameters: profile: Input should be a valid string; got 5 (name of the run; results go to `runs/<profile>`)",
    ),
    "a profile that is a path": (
        {"profile": "../quick"},
        "notebook parameters: profile: String should match pattern '^[A-Za-z0-9_-]+$'; got '../quick' (name of the run; results go to `runs/<profile>`)",
    ),
}


@pytest.mark.parametrize("fault", NOTEBOOKS)
def test_the_parameters_of_a_notebook(fault):
    values, message = NOTEBOOKS[fault]
    assert told(Study.from_notebook, values, own=("brain",)) == message


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


def image(path, values):
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)


def claim(path, size):
    """Let the header of an image say that two of its axes are so long."""
    content = bytearray(path.read_bytes())
    content[42:46] = np.array([size, size], dtype="<i2").tobytes()
    path.write_bytes(content)


#: What becomes of the folder of one's own study → message; `{folder}` is that folder.
STUDIES = {
    "an empty table": (
        lambda f: (f / "stimuli.csv").write_bytes(b""),
        "cannot read {folder}/stimuli.csv (No columns to parse from file); `data/README.md` says how to make it",
    ),
    "a table in Latin-1": (
        lambda f: (f / "stimuli.csv").write_bytes(b"sentence\ncaf\xe9\n"),
        "cannot read {folder}/stimuli.csv ('utf-8' codec can't decode byte 0xe9 in position 3: unexpected end of data); `data/README.md` says how to make it",
    ),
    "a table with a broken quote": (
        lambda f: (f / "stimuli.csv").write_bytes(b'sentence\n"One\n'),
        "cannot read {folder}/stimuli.csv (Error tokenizing data. C error: EOF inside string starting at row 1); `data/README.md` says how to make it",
    ),
    "a heading alone": (
        lambda f: (f / "stimuli.csv").write_bytes(b"sentence\n"),
        "{folder}/stimuli.csv lists 0 stimuli; at least two are needed",
    ),
    "a folder for a table": (
        lambda f: ((f / "stimuli.csv").unlink(), (f / "stimuli.csv").mkdir()),
        "{folder} holds neither stimuli.csv and words.csv; one is needed: stimuli.csv where each stimulus has a response, words.csv where scans of a story are to be divided",
    ),
    "texts in an array": (
        lambda f: np.savez(f / "P01.npz", IFG=np.array([["a"], ["b"], ["c"]])),
        "{folder}/P01.npz: IFG has shape (3, 1) and type <U1; two numeric axes are needed",
    ),
    "truth values in an array": (
        lambda f: np.savez(f / "P01.npz", IFG=np.eye(3) > 0),
        "{folder}/P01.npz: IFG has shape (3, 3) and type bool; two numeric axes are needed",
    ),
    "a row too many": (
        lambda f: np.savez(f / "P01.npz", IFG=np.eye(4)),
        "folder, participant P01, region IFG: responses of shape (4, 4) do not go with 3 stimuli; a row per stimulus is needed, so get the responses and the stimulus files from the same release",
    ),
    "a number alone": (
        lambda f: np.savez(f / "P01.npz", IFG=np.float64(3)),
        "{folder}/P01.npz: IFG has shape () and type float64; two numeric axes are needed",
    ),
    "something else than an array": (
        lambda f: zipfile.ZipFile(f / "P01.npz", "w").writestr("IFG", b"words"),
        "{folder}/P01.npz: IFG has shape () and type |S5; two numeric axes are needed",
    ),
    "infinite values": (
        lambda f: np.savez(f / "P01.npz", IFG=np.full((3, 2), np.inf)),
        "folder, participant P01, region IFG: 6 of 6 values are NaN or infinite; leave the participant or the region out (`participants`, `regions`), make its file again, or set non_finite: zero, which leaves out such voxels",
    ),
    "a participant whose name is markup": (
        lambda f: (f / "P01.npz").rename(f / "P<b>01.npz"),
        "brain data 'folder': participant 'P<b>01' must be named by letters, digits, spaces and `_ . + -` alone, since files are named by it; rename the participant's files",
    ),
    "an empty image": (
        lambda f: (f / "P01_beta.nii.gz").write_bytes(b""),
        "{folder}: no mask for participant P01; a region's mask is mask-<region>.nii.gz (of all participants) or P01_mask-<region>.nii.gz",
    ),
    "an image whose header claims more than there is": (
        lambda f: (
            image(f / "mask-IFG.nii", np.ones((2, 2, 2), dtype=np.uint8)),
            image(f / "P01_beta.nii", np.zeros((2, 2, 2, 3), dtype=np.int16)),
            claim(f / "P01_beta.nii", 30_000),
        ),
        "{folder}/P01_beta.nii is not a whole NIfTI image (its header claims 10,800,000,000 bytes, but the file has 400); write or copy it again",
    ),
    "an image of colours": (
        lambda f: (
            image(f / "mask-IFG.nii", np.ones((2, 2, 2), dtype=np.uint8)),
            image(f / "P01_beta.nii", np.zeros((2, 2, 2, 3), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])),
        ),
        "{folder}/P01_beta.nii is not a whole NIfTI image (its values are of type [('R', 'u1'), ('G', 'u1'), ('B', 'u1')]; real numbers are needed); write or copy it again",
    ),
    "an image without masks": (
        lambda f: image(f / "P01_beta.nii", np.zeros((2, 2, 2, 3))),
        "{folder}: no mask for participant P01; a region's mask is mask-<region>.nii.gz (of all participants) or P01_mask-<region>.nii.gz",
    ),
}


@pytest.mark.parametrize("fault", STUDIES)
def test_a_study_of_ones_own(own, fault):
    change, message = STUDIES[fault]
    change(own)
    run = Study.make({"brains": ["folder"]})
    assert told(lambda: registry.load_brain(run, "folder").load("P01")) == message.format(folder=own)


# --- backbones ---------------------------------------------------------------------------------------------------

REST = (
    "Its folder must hold config.json, tokenizer.json and model.safetensors of an encoder that the transformers library "
    "knows by itself; fetch it again"
)
#: File of the backbone's folder, its content → message; `{folder}` is the folder.
BACKBONES = {
    "an empty folder": (
        {},
        "backbone '{folder}' cannot be loaded: Unrecognized model in {folder}. Should have a `model_type` key in its config.json.. {rest}",
    ),
    "an empty description": (
        {"config.json": b""},
        "backbone '{folder}' cannot be loaded: It looks like the config file at '{folder}/config.json' is not a valid JSON file.. {rest}",
    ),
    "a list as a description": (
        {"config.json": b"[]"},
        "backbone '{folder}' cannot be loaded: Unrecognized model in {folder}. Should have a `model_type` key in its config.json.. {rest}",
    ),
    "an unknown kind of model": (
        {"config.json": b'{"model_type": "mine"}'},
        "backbone '{folder}' cannot be loaded: The checkpoint you are trying to load has model type `mine` but Transformers does not recognize this architecture. This could be because of an issue with the checkpoint, or because your version of Transformers is out of date.. {rest}",
    ),
    "no weights": (
        {"config.json": b'{"model_type": "bert"}'},
        "backbone '{folder}' cannot be loaded: Error no file named model.safetensors found in directory {folder}.. {rest}",
    ),
}


@pytest.mark.parametrize("fault", BACKBONES)
def test_a_folder_that_holds_no_backbone(tmp_path, fault):
    files, message = BACKBONES[fault]
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert told(backbones.load_backbone, str(tmp_path)) == message.format(folder=tmp_path, rest=REST)


# --- the table itself --------------------------------------------------------------------------------------------

TABLES = (PROFILES, NAMES, ROWS, RUNS, COMMANDS, NOTEBOOKS, STUDIES, BACKBONES)


def test_the_table_is_long_and_every_message_is_short_and_says_what_to_do():
    messages = [entry[-1] for table in TABLES for entry in table.values()]
    assert len(messages) >= 85
    assert not [m for m in messages if "Traceback" in m or len(m) > 700 + len(PARAMETERS)]
