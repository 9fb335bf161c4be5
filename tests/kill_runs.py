"""Start a run, kill it in several ways, and compare what is left with a run that nobody disturbed.

`integration/test_kills.py` does a little of it; ``python tests/studies/kill_campaign.py`` kills a run many times.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import yaml

from braintune.core import store
from braintune.core.base import BraintuneError
from braintune.core.study import Study, profile_path
from braintune.workflow import verify
from braintune.workflow.fingerprints import fingerprints
from braintune.workflow.jobs import Job, all_jobs, executed_notebook, outputs, read_notebook, stamp_of

#: What differs between two runs of the same, in tables and in facts.
TIMING = {"seconds", "examples_per_s", "peak_memory_mb"}
#: Way to kill one process alone → which; where there is none of them yet, everything is killed.
KINDS = {"Snakemake alone": "Snakemake", "one job alone": "job", "one kernel alone": "kernel"}
#: Seconds within which nothing that a run has started may be left; within which a run that lost a process is watched.
PATIENCE, WATCH = 120.0, 20.0


# --- comparing ---------------------------------------------------------------------------------------------------


def kept(folder: Path) -> dict[str, Path]:
    """Return the files of a run and of what it shares that have a final name, by path; the book is left out."""
    found = {}
    shared = [path for name in ("models", "shared") for path in (folder.parent / name).rglob("*")]
    for path in sorted([*folder.rglob("*"), *shared]):
        name = path.relative_to(folder.parent)
        hidden = any(part.startswith(".") for part in name.parts) or "checkpoints" in name.parts
        timing = path.name.endswith((".failed.ipynb", ".benchmark.tsv"))
        if path.is_file() and not (hidden or timing or name.parts[1] == "book"):
            found[name.as_posix()] = path
    return found


def difference(first: Path, second: Path) -> str:
    """Return how the second file differs from the first, timing left out; empty where it does not."""
    try:
        same = _READERS.get(second.suffix, Path.read_bytes)
        if same(first) == same(second):
            return ""
    except Exception as error:  # torn files make readers raise anything
        return f"cannot be read ({type(error).__name__}: {error})" if second.exists() else ""
    return "differs"


def _untimed(facts: Any) -> Any:
    """Leave out the timing of facts, however deep."""
    if isinstance(facts, dict):
        return {name: _untimed(value) for name, value in facts.items() if name not in TIMING}
    return [_untimed(value) for value in facts] if isinstance(facts, list) else facts


def _facts(path: Path) -> Any:
    facts = json.loads(path.read_text(encoding="utf-8"))
    return facts["fingerprints"] if path.name == "provenance.json" else _untimed(facts)


def _table(path: Path) -> bytes:
    table = pd.read_parquet(path).drop(columns=list(TIMING), errors="ignore")
    return b"".join([str(table.dtypes.to_dict()).encode(), *(column_bytes(table[name]) for name in table)])


def column_bytes(column: pd.Series) -> bytes:
    """Return every bit of a column."""
    return column.to_numpy().tobytes() if column.dtype.kind in "biuf" else repr(column.tolist()).encode()


def _page(path: Path) -> list[Any]:
    """The stamp and the sources of a page, without the cell that names the profile's file."""
    notebook = read_notebook(path)
    cells = [cell for cell in notebook["cells"] if "injected-parameters" not in cell["metadata"].get("tags", ())]
    return [notebook["metadata"]["braintune"]["fingerprint"], *("".join(cell["source"]) for cell in cells)]


_READERS: dict[str, Callable[[Path], Any]] = {
    ".parquet": _table,
    ".json": _facts,
    ".safetensors": lambda path: {name: array.tobytes() for name, array in store.read_arrays(path).items()},
    ".ipynb": _page,
}


def faults(undisturbed: Path, run: Study) -> list[str]:
    """Return what of a run is torn, or not as in the undisturbed one; files that are not there yet are no fault."""
    wanted, found = kept(undisturbed), kept(run.folder)
    lines = [f"{name} is not made by an undisturbed run" for name in found.keys() - wanted.keys()]
    for name in sorted(found.keys() & wanted.keys()):
        if words := difference(wanted[name], found[name]):
            lines.append(f"{name} {words}")
    for job in all_jobs(run):
        page = executed_notebook(run, job)
        if page.is_file():
            recorded = read_notebook(page)["metadata"]["braintune"]["outputs"]
            there = outputs(run, job)
            lines += [f"{name} is not what {page.name} records" for name in there if recorded.get(name) != there[name]]
    return lines


def differences(undisturbed: Path, run: Study) -> list[str]:
    """Return what of a finished run is missing, or is not as in another of the same, or not as its pages record it."""
    own = (name for name in kept(undisturbed).keys() - kept(run.folder).keys() if not name.startswith("models/"))
    missing = [f"{name} is missing" for name in own]  # of its models, `verify` knows which
    stale = [str(found) for found in verify.verify(run) if found.state != "as made"]
    return missing + faults(undisturbed, run) + stale


# --- processes ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """A process of a run: what it is (`Snakemake`, `job`, `kernel`, `other`), and of which job."""

    process: psutil.Process
    kind: str
    job: str


def start(profile: Path, log: Path, *options: str) -> subprocess.Popen:
    """Start a run in a session of its own, as a terminal would; it listens to Ctrl-C, also where we do not."""
    words = [sys.executable, "-m", "braintune", "run", str(profile), "--quiet", "all", *options]
    with log.open("a", encoding="utf-8") as file:
        return subprocess.Popen(
            words, stdout=file, stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=_listen
        )


def _listen() -> None:
    """Let Ctrl-C do what it does by default: a shell lets what it starts in the background ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def parts(root: int) -> list[Part]:
    """Return the processes of a run that go on, the first one first; a kernel belongs to its job."""
    found: list[Part] = []
    try:
        processes = [psutil.Process(root), *psutil.Process(root).children(recursive=True)]
    except psutil.NoSuchProcess:
        return found
    jobs: dict[int, str] = {}
    for process in processes:
        try:
            words, parent = process.cmdline(), process.ppid()
        except psutil.Error:
            continue
        text = " ".join(words)
        if step := re.search(r"-m braintune (?:execute \S+ (.*)|(book) )", text):
            jobs[process.pid] = (step[1] or step[2]).strip()
            kind = "job" if words and words[0] != "/bin/sh" and "bash" not in words[0] else "other"
            found.append(Part(process, kind, jobs[process.pid]))
        elif process.pid == root:
            found.append(Part(process, "Snakemake", ""))
        elif words:
            jobs[process.pid] = jobs.get(parent, "")
            found.append(Part(process, "kernel" if "ipykernel_launcher" in text else "other", jobs[process.pid]))
    return found


def running(found: list[Part]) -> str:
    """Return which jobs are running, and which of them have no kernel yet."""
    with_kernel = {part.job for part in found if part.kind == "kernel"}
    jobs = sorted({part.job for part in found if part.kind == "job"})
    named = [re.sub(r"\w+=", "", job) + ("" if job in with_kernel or job == "book" else " (starting)") for job in jobs]
    return ", ".join(named) or "Snakemake, no job"


def gone(found: list[Part], within: float) -> list[Part]:
    """Wait for the end of processes; return those that are left."""
    until = time.monotonic() + within
    while left := [p for p in found if p.process.is_running() and _status(p.process) != psutil.STATUS_ZOMBIE]:
        if time.monotonic() > until:
            return left
        time.sleep(0.05)
    return []


def _status(process: psutil.Process) -> str:
    try:
        return process.status()
    except psutil.NoSuchProcess:
        return psutil.STATUS_ZOMBIE


def kill(root: subprocess.Popen, way: str, rng: random.Random) -> list[Part]:
    """Kill a run in one way; return the processes that it had."""
    found = parts(root.pid)
    if way == "Ctrl-C":
        os.killpg(root.pid, signal.SIGINT)  # a terminal's foreground
        return found
    aims = [part for part in found if part.kind == KINDS.get(way)]
    for part in [rng.choice(aims)] if aims else found:
        with suppress(psutil.NoSuchProcess):
            part.process.kill()
    if root.pid in [part.process.pid for part in aims or found]:
        root.wait()
    return found


def end(root: subprocess.Popen, rng: random.Random) -> None:
    """Kill what is left of a run, until nothing is."""
    while found := [part for part in parts(root.pid) if _status(part.process) != psutil.STATUS_ZOMBIE]:
        kill(root, "everything", rng)
        gone(found, PATIENCE)
    root.wait()


def disturb(root: subprocess.Popen, way: str, rng: random.Random) -> tuple[str, list[Part], str]:
    """Kill a run in one way and see to its end; return what ran, what is left of it, and what was not as it should be.

    Where Snakemake alone is killed, nothing waits for what it had started: the next start must get along with it.
    """
    before = running(parts(root.pid))
    found = kill(root, way, rng)
    if way in ("Snakemake alone", "everything"):
        return before, found, ""
    if way == "Ctrl-C":
        left = gone(found, PATIENCE)
        fault = f"{len(left)} processes outlive Ctrl-C by {PATIENCE:.0f} s" if left else ""
    else:
        until = time.monotonic() + rng.uniform(0, WATCH)
        while root.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        fault = ""
        found = [*found, *parts(root.pid)]
    end(root, rng)
    return before, found, fault


# --- whole runs --------------------------------------------------------------------------------------------------


def copy_of(profile: str, folder: Path) -> Path:
    """Write a profile that differs in the folder of its runs alone."""
    run = Study.load(profile)
    values = yaml.safe_load(profile_path(profile).read_text(encoding="utf-8")) | {"runs": str(folder)}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{run.profile}.yml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def done(run: Study) -> set[Job]:
    """Return the jobs of a run that are up to date."""
    stamps = fingerprints(run).items()
    return {job for job, stamp in stamps if stamp_of(executed_notebook(run, job)) == stamp}


def undisturbed(profile: str, folder: Path, options: tuple[str, ...]) -> Study:
    """Return the finished run of a profile; it is made where it is not there."""
    for path in (profile, copy_of(profile, folder)):
        run = Study.load(path)
        if run.folder.is_dir() and all(finding.state == "as made" for finding in verify.verify(run)):
            return run
    print(f"no finished run of {profile}: making one in {run.folder}", flush=True)
    if start(path, folder / "log.txt", *options).wait():
        raise BraintuneError(f"the undisturbed run does not end well; its log: {folder / 'log.txt'}")
    return run
