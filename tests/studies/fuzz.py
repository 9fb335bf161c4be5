"""Hostile input for the readers of files: ``python tests/studies/fuzz.py READER [SECONDS]``.

Hypothesis draws files: valid ones that are damaged, and such as are made to be odd. A reader may read a file or raise
BraintuneError. Anything else that comes out, a call that does not end or that ends the process, and memory that grows out
of proportion are findings; the smallest file of each is printed and kept, and the command ends with an error.
"""

import gzip
import io
import json
import logging
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import h5py
import nibabel
import numpy as np
import scipy.io
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import pereira_files
from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.datasets.brains import matlab, nifti, pereira
from braintune.datasets.brains.base import Stimuli, read_array, read_keys
from braintune.datasets.brains.folder import stimuli_of
from braintune.datasets.brains.story import Story, read_story
from braintune.datasets.brains.table import read_table
from braintune.datasets.rows import inputs_of, read_rows
from braintune.datasets.tags import read_scheme
from braintune.datasets.tasks import TASKS
from braintune.neural.folds import judged_design

logging.getLogger("nibabel").setLevel(logging.CRITICAL)  # it tells of every field that it mends

#: A call that takes longer (in seconds of processor time) is a finding.
PATIENCE = 20
#: A call whose peak memory grows by more is a finding; the process may take no more than this beyond what it has.
GROWTH_MB, LIMIT_MB = 512, 3072
#: Executions of one seed of Hypothesis.
ROUND = 200


class Hang(BaseException):
    """A call did not end; no reader's `except Exception` takes it for a damaged file."""


@dataclass
class Report:
    """What was seen: executions, how many files were read, and finding → smallest file."""

    executions: int = 0
    read: int = 0
    slowest: float = 0.0
    findings: dict[str, bytes] = field(default_factory=dict)
    last: Path | None = None  # where a file is kept while it is read

    def add(self, finding: str, content: bytes) -> None:
        """Keep the smallest file of a finding."""
        self.findings[finding] = min(self.findings.get(finding, content), content, key=len)


# --- damage ------------------------------------------------------------------------------------------------------

ODD = [
    b"\x00",
    b"\xff" * 4,
    b"\xff\xff\xff\x7f",
    b"\x00\x00\x00\x80",
    b"\x01" + b"\x00" * 7,
    b"\xff" * 8,
    b"\n",
    b"\r\n",
]


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Draw a damaged copy of a file."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        size = draw(st.integers(1, 64))
        piece = draw(st.sampled_from(ODD) | st.binary(min_size=1, max_size=8))
        kind = draw(st.sampled_from(["write", "write", "write", "cut", "insert", "remove", "repeat"]))
        if kind == "write":
            content[at : at + len(piece)] = piece
        elif kind == "cut":
            del content[at:]
        elif kind == "insert":
            content[at:at] = piece
        elif kind == "remove":
            del content[at : at + size]
        else:
            content[at:at] = content[at : at + size] * 3
    return bytes(content)


# --- JSONL -------------------------------------------------------------------------------------------------------

#: A row that fits, for each kind of task.
_ROWS = {
    "tokens": {"tokens": ["She", "plays"], "tags": ["B-NP", "O"]},
    "roles": {"tokens": ["She", "plays"], "tags": ["B-ARG0", "B-V"], "predicate_index": 1},
    "reference": {
        "text": "Ann met Eve and she left",
        **{"pronoun": "she", "pronoun_start": 16, "a": "Ann", "a_start": 0, "b": "Eve", "b_start": 8, "label": "A"},
    },
    "sense": {"sentence1": "a bank", "sentence2": "the bank pays", "index1": 1, "index2": 1, "label": "same"},
    "pair": {"sentence1": "a", "sentence2": "b", "premise": "a", "hypothesis": "b", "label": "c"},
    "span": {"context": "Ann met Eve", "question": "Who?", "answers": [{"text": "Ann", "answer_start": 0}]},
    "sentence": {"sentence": "a dull film", "label": "negative"},
}
_WORDS = st.sampled_from(
    ["She", "plays", "", "\ud800", "\u2028", "a" * 300, "river\x00", "ﬁ", "\u202e", "O", "B-V", "S-X", "I-X"]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _WORDS | st.just(10**400) | st.just(-1),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def jsonl(draw: st.DrawFn) -> bytes:
    """Draw a task file: the first byte says which task."""
    number = draw(st.integers(0, len(TASKS) - 1))
    task = list(TASKS.values())[number]
    row = dict(_ROWS[task.kind])
    for name in draw(st.lists(st.sampled_from([*task.fields, "word", "other"]), max_size=2)):
        row[name] = draw(_VALUES | _WORDS | st.integers(0, 3) | st.lists(_WORDS, min_size=2, max_size=2))
    lines = [json.dumps(row).encode(), b"", b"[" * draw(st.sampled_from([1, 10, 100_000])), b"9" * 5000]
    lines += [lines[0], b",".join(name.encode() for name in task.fields), json.dumps(row).encode("utf-16")]
    text = draw(st.sampled_from([b"\n", b"\r\n", b"\r"])).join(draw(st.lists(st.sampled_from(lines), max_size=3)))
    return bytes([number]) + draw(st.just(text) | damaged(text + b" ") | st.binary(max_size=40) | st.just(lines[0]))


def read_jsonl(path: Path) -> None:
    """Read a task file whose first byte says which task."""
    content = path.read_bytes()
    path.write_bytes(content[1:])
    task = list(TASKS.values())[content[0] % len(TASKS)]
    rows = read_rows(task, path)
    assert all(isinstance(inputs_of(task, row).encode(), bytes) for row in rows)
    if task.tags_are_spans:
        with suppress(BraintuneError):
            read_scheme({"train": [row["tags"] for row in rows[1:]], "test": [row["tags"] for row in rows[:1]]})


# --- tables ------------------------------------------------------------------------------------------------------

#: Reader of a table → its headings, and a row that fits.
_TABLES: dict[str, tuple[Callable[[Path], object], list[str], list[str]]] = {
    "stimuli": (
        stimuli_of,
        ["sentence", "stimulus", "experiment", "topic", "passage", "position"],
        ["A lamp.", "x", "1", "sea", "first", "0"],
    ),
    "averages": (read_table, ["sentence", "topic", "passage", "position", "IFG"], ["A lamp.", "sea", "1", "3", "0.5"]),
    "words": (read_story, ["word", "sentence", "onset_s", "offset_s"], ["She", "1", "0.5", "0.7"]),
}
_FIELDS_ODD = st.sampled_from(
    ["", " ", "n/a", "NA", "nan", "inf", "-1", "1e400", "9" * 400, "0x10", "1_0", "True", "1.5", "٣", "½", '"', '""',
     '"a,b"', '"a\nb"', "a,b", "a;b", "\x00", "\ufeff", "\u2028", "\xa0", "Sea", " sea", "é", "e\u0301", "=1+1", "a" * 300,
     "run", "S01", "paragraph", "roi", "value", "subject", "language", "-999", "sep=;", "S" + "9" * 300]
)  # fmt: skip


@st.composite
def csv_bytes(draw: st.DrawFn) -> bytes:
    """Draw a table: the first byte says for which reader."""
    number = draw(st.integers(0, len(_TABLES) - 1))
    _, heading, row = list(_TABLES.values())[number]
    needed = {0, len(heading) - 1} if number == 1 else set(range(len(heading))) if number == 2 else {0}
    kept = sorted(needed | draw(st.sets(st.sampled_from(range(len(heading))))))
    lines = [[heading[i] for i in kept]]
    for n in range(draw(st.integers(0, 14))):
        counted = {"sentence": f"A lamp {n}." if number < 2 else str(n // 3), "stimulus": f"x{n // 2}"}
        counted |= {"position": str(n), "onset_s": str(n), "offset_s": str(n + 1), "passage": str(n // 3)}
        lines.append([counted.get(heading[i], row[i]) for i in kept])
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2]))):  # odd headings and fields
        line = lines[draw(st.integers(0, len(lines) - 1))]
        line[draw(st.integers(0, len(kept) - 1))] = draw(_FIELDS_ODD)
        if not draw(st.integers(0, 9)):
            line.append("")
    text = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"])).join(
        map(draw(st.sampled_from([","] * 9 + [";", "\t"])).join, lines)
    )
    content = text.encode(draw(st.sampled_from(["utf-8"] * 6 + ["utf-8-sig", "utf-16", "utf-32"])))
    return bytes([number]) + draw(st.just(content) | st.just(content) | damaged(content) | st.binary(max_size=40))


def read_csv_file(path: Path) -> None:
    """Read a table whose first byte says by which reader; folds and groups come of it."""
    content = path.read_bytes()
    path.write_bytes(content[1:])
    read, *_ = list(_TABLES.values())[content[0] % len(_TABLES)]
    made = read(path)
    stimuli = made.stimuli if isinstance(made, Story) else made
    if isinstance(stimuli, Stimuli):
        assert len(stimuli.names) == stimuli.stimulus_of.max() + 1 and all(stimuli.sentences)
        for group in (stimuli.passage, stimuli.topic, stimuli.position):
            assert group is None or (len(group) == len(stimuli.names) and group.min() >= 0)
        with suppress(BraintuneError):
            judged_design(stimuli, Study.make({"n_folds": 2, "inner_folds": 2}))


# --- .npz --------------------------------------------------------------------------------------------------------


@cache
def _arrays(compressed: bool) -> bytes:
    file = io.BytesIO()
    save = np.savez_compressed if compressed else np.savez
    save(file, responses=np.arange(60.0).reshape(6, 10), IFG=np.eye(6, dtype=np.float32))
    return file.getvalue()


@st.composite
def odd_npz(draw: st.DrawFn) -> bytes:
    """Draw an .npz file whose array claims any shape and type."""
    size = st.sampled_from([0, 1, 6, -1, 2**31, 10**9, 10**12, 2**63, 10**30])
    shape = tuple(draw(st.lists(size, max_size=4)))
    kind = draw(st.sampled_from(["<f8", "<f4", "|O", "<c16", "|b1", "<i8", "<U9", "<m8[s]", "<f2", "?", "x", "|V8"]))
    header = f"{{'descr': '{kind}', 'fortran_order': {draw(st.booleans())}, 'shape': {shape}, }}"
    header = draw(st.sampled_from([header, header.replace("}", ""), "[" * 9000, "1+1", "{'descr': " + "(" * 200]))
    text = header.encode().ljust(118) + b"\n"
    array = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + draw(st.binary(max_size=100))
    file = io.BytesIO()
    how = draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]))
    with zipfile.ZipFile(file, "w", how) as archive:
        archive.writestr(draw(st.sampled_from(["responses.npy", "responses", "../responses.npy"])), array)
    return file.getvalue()


npz = odd_npz() | st.booleans().flatmap(lambda c: damaged(_arrays(c))) | st.binary(max_size=60)


def read_npz(path: Path) -> None:
    """Read the names and an array of an .npz file."""
    for key in read_keys(path)[:3]:
        found = read_array(path, key)
        found.astype(np.float32)


# --- .mat --------------------------------------------------------------------------------------------------------


@cache
def _matlab(kind: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.mat"
        if kind == "plain":
            scipy.io.savemat(path, {"examples": np.eye(4), "keySentences": pereira_files.cells(["a", "b"])})
        else:
            pereira_files.write(path, pereira_files.content(2), 5 if kind == "release" else 7.3)
        return path.read_bytes()


@st.composite
def odd_hdf5(draw: st.DrawFn) -> bytes:
    """Draw a file of version 7.3 whose matrix claims any shape, of which nothing is stored."""
    size = st.sampled_from([0, 1, 12, 90, 2**20, 2**31, 10**12])
    shape = tuple(draw(st.lists(size, min_size=1, max_size=3)))
    file = io.BytesIO()
    with h5py.File(file, "w") as content:
        kind = draw(st.sampled_from(["f8", "f4", "u2", "S5", "c16", "i1"]))
        found = content.create_dataset("examples", shape=shape, dtype=kind, maxshape=(None,) * len(shape))
        word = draw(st.sampled_from([b"double", b"cell", b"char", b"struct", b"\xff"]))
        found.attrs["MATLAB_class"] = np.bytes_(word)
        if draw(st.booleans()):
            found.attrs["MATLAB_empty"] = np.uint8(1)
    return file.getvalue()


mat = (
    odd_hdf5()
    | st.sampled_from(["plain", "release", "7.3"]).flatmap(lambda k: damaged(_matlab(k)))
    | st.binary(max_size=60)
)


def read_mat(path: Path) -> None:
    """Read a MATLAB file as the conversion does, and as the loader of sentences does."""
    with suppress(BraintuneError):
        pereira._responses(pereira._session(path), ["DMN", "language"])
    shapes = matlab.shapes(path)
    matlab.read(path, ["examples", "keySentences", "labelsConcept"])
    if len(shapes.get("examples", ())) == 2:
        matlab.read_columns(path, "examples", np.array([0, 3]))


# --- NIfTI -------------------------------------------------------------------------------------------------------


@cache
def _image() -> bytes:
    return nibabel.Nifti1Image(np.arange(48, dtype=np.int16).reshape(2, 3, 4, 2), np.eye(4)).to_bytes()


#: Place in the header → format of a field: sizes, type, bits, offset, scale, form of the affine.
_FIELDS = {
    40: "<h",
    42: "<h",
    44: "<h",
    46: "<h",
    48: "<h",
    70: "<h",
    72: "<h",
    108: "<f",
    112: "<f",
    252: "<h",
    280: "<f",
}


@st.composite
def nifti_bytes(draw: st.DrawFn) -> bytes:
    """Draw an image, packed or not, with odd fields or damage."""
    content = bytearray(_image())
    for at in draw(st.lists(st.sampled_from(list(_FIELDS)), max_size=5)):
        kind = _FIELDS[at]
        number = (
            draw(st.sampled_from([-1, 0, 1, 4, 7, 8, 16, 32, 64, 128, 256, 768, 1536, 2304, 32767, -32768]))
            if kind == "<h"
            else draw(st.floats(width=32))
        )
        content[at : at + (2 if kind == "<h" else 4)] = np.array(
            number, dtype=kind[0] + {"h": "i2", "f": "f4"}[kind[1]]
        ).tobytes()
    plain = bytes(content)
    packed = gzip.compress(plain, mtime=0)
    return draw(st.sampled_from([plain, packed]) | damaged(plain) | damaged(packed) | st.binary(max_size=60))


def read_nifti(path: Path) -> None:
    """Read an image as responses, and as a mask with places."""
    packed = path.read_bytes()[:2] == b"\x1f\x8b"
    named = path.with_name("P01_beta.nii" + (".gz" if packed else ""))
    path.rename(named)
    good = path.with_name("mask-IFG.nii")
    good.write_bytes(nibabel.Nifti1Image(np.ones((2, 3, 4), dtype=np.uint8), np.eye(4)).to_bytes())
    try:
        nifti.read_masked(named, {"IFG": good})
    except BraintuneError:
        nifti.coordinates({"IFG": named})


# --- profiles ----------------------------------------------------------------------------------------------------

_KEYS = st.sampled_from([*Study.model_fields, "n_fold", "1", "2001-99-99", "? [a]", "<<", "!!python/name:os.system"])
_ODD_VALUES = st.sampled_from(
    [
        "1", "-1", "1e400", ".nan", ".inf", "null", "~", "[]", "{}", "[1, 2]", "{a: 1}", "yes", "2001-99-99", "0x7f",
        "9" * 5000, "9" * 30, "'" + "a" * 500 + "'", "!!binary 1", "!!python/object/apply:os.system [ls]", "*a", "&a 1",
        "&a [*a]", "!!set {1}", "12:30:45", "[" * 2000, "{" * 2000, "\x00", "\ufeff", "\u2028", "- 1", "|\n  text", "0.5",
        "&b [x, x, x, x, x, x, x, x, x]\nb: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\nc: &d [*c, *c, *c, *c, *c, *c, *c, *c]",
        "folder", "auto", "[folder]", "\t", "!!timestamp 2001-13-01", "!!float x", "!!int x", "1_0", "%TAG", "'", '"\\ud800"',
    ]
)  # fmt: skip


@st.composite
def profile(draw: st.DrawFn) -> bytes:
    """Draw a profile."""
    pairs = draw(st.lists(st.tuples(_KEYS, _ODD_VALUES), max_size=4))
    text = "".join(f"{key}: {value}\n" for key, value in [("profile", "drawn"), *pairs])
    content = text.encode("utf-8")
    return draw(st.just(content) | damaged(content) | st.binary(max_size=60) | st.just(b"\xef\xbb\xbf" + content))


def read_profile(path: Path) -> None:
    """Load a profile, and ask it for everything it says."""
    named = path.rename(path.with_name("drawn.yml"))
    run = Study.load(named)
    json.dumps(run.model_dump(mode="json"))


# --- running -----------------------------------------------------------------------------------------------------

#: Reader → (strategy that draws a file, function of its path).
READERS: dict[str, tuple[st.SearchStrategy[bytes], Callable[[Path], None]]] = {
    "jsonl": (jsonl(), read_jsonl),
    "csv": (csv_bytes(), read_csv_file),
    "npz": (npz, read_npz),
    "mat": (mat, read_mat),
    "nifti": (nifti_bytes(), read_nifti),
    "profile": (profile(), read_profile),
}


@contextmanager
def patience() -> Iterator[None]:
    """Raise :class:`Hang` in a call that takes too long."""

    def ring(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def once(reader: Callable[[Path], None], content: bytes, report: Report) -> None:
    """Read one file, and report what comes out."""
    report.executions += 1
    if report.last:
        report.last.write_bytes(content)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "drawn"
        path.write_bytes(content)
        try:
            with patience():
                reader(path)
            report.read += 1
        except BraintuneError as error:
            if len(str(error)) > 10_000:
                report.add(f"a message of thousands of characters: {str(error)[:60]!r}", content)
        except Hang:
            report.add(f"no end after {PATIENCE} s", content)
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            place = next((f for f in reversed(frames) if "braintune" in f.filename), frames[-1])
            report.add(f"{type(error).__name__} from {Path(place.filename).name}: {place.line}", content)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    report.slowest = max(report.slowest, time.process_time() - started)
    if grown > GROWTH_MB:
        report.add(f"memory grows by {grown:.0f} MB", content)


def fuzz(name: str, number: int, report: Report, executions: int = ROUND) -> None:
    """Read as many files as are asked for, drawn from one seed."""
    strategy, reader = READERS[name]

    @seed(number)
    @settings(
        max_examples=executions,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def run(content: bytes) -> None:
        once(reader, content, report)

    run()


def round_apart(name: str, number: int, folder: Path, report: Report) -> None:
    """Fuzz with one seed in a process of its own, and add up what it reports; that it is killed is a finding."""
    told, last = folder / "told", folder / "last"
    told.unlink(missing_ok=True)
    if not (child := os.fork()):
        own = Report(last=last)
        fuzz(name, number, own)
        findings = {finding: content.hex() for finding, content in own.findings.items()}
        told.write_text(json.dumps([own.executions, own.read, own.slowest, findings]), encoding="utf-8")
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        end = signal.Signals(-code).name if code < 0 else f"exit {code}"
        report.add(f"the process ends by {end}", last.read_bytes())
        return
    executions, read, slowest, findings = json.loads(told.read_text(encoding="utf-8"))
    report.executions, report.read = report.executions + executions, report.read + read
    report.slowest = max(report.slowest, slowest)
    for finding, content in findings.items():
        report.add(finding, bytes.fromhex(content))


def main(words: list[str]) -> int:
    """Fuzz one reader for some seconds; tell what was found."""
    if not words or words[0] not in READERS:
        sys.exit(f"python tests/studies/fuzz.py READER [SECONDS]; readers: {', '.join(READERS)}")
    name, seconds = words[0], float(words[1]) if len(words) > 1 else 60.0
    in_use = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + LIMIT_MB * 2**20,) * 2)
    report, started, number = Report(), time.monotonic(), int(time.time())
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() - started < seconds:
            round_apart(name, number, Path(folder), report)
            number += 1
    print(
        f"{name}: {report.executions} executions in {time.monotonic() - started:.0f} s, {report.read} files read, "
        f"slowest {report.slowest:.2f} s of processor time, {len(report.findings)} findings"
    )
    for finding, content in report.findings.items():
        kept = Path(tempfile.gettempdir()) / f"fuzz-{name}-{zlib.crc32(content):08x}"
        kept.write_bytes(content)
        print(f"  {finding}\n    {len(content)} bytes, kept as {kept}: {content[:160]!r}")
    return int(bool(report.findings))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
