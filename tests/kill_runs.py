"""Kill a run again and again at random moments, and compare what it comes to with a run that nobody disturbed.

``python tests/kill_runs.py PROFILE [TIMES] [SEED]`` takes the finished run of a profile in `runs/`, or makes one, and
runs the same profile in another folder. That run is killed TIMES times (20): the whole tree of processes, Snakemake
alone, one job alone, one kernel alone, or by Ctrl-C; each time it is started again. After each kill every file under
a final name must be whole and equal to the undisturbed run's, but for seconds; so must the whole run be at the end.
A short version runs in `make test` (`test_kills.py`).
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import yaml

from braintune.core import store
from braintune.core.base import REPOSITORY, BraintuneError
from braintune.core.study import Study, profile_path
from braintune.workflow import verify
from braintune.workflow.fingerprints import fingerprints
from braintune.workflow.jobs import STEPS, Job, all_jobs, executed_notebook, outputs, read_notebook, stamp_of

#: What differs between two runs of the same, in tables and in facts.
TIMING = {"seconds", "examples_per_s", "peak_memory_mb"}
#: What a run does one after the other.
PHASES = (*STEPS, "book")
#: Ways to kill, and how often each is drawn.
WAYS = {"everything": 5, "Snakemake alone": 3, "one job alone": 2, "one kernel alone": 2, "Ctrl-C": 2}
#: Way to kill one process alone → which; where there is none of them yet, everything is killed.
KINDS = {"Snakemake alone": "Snakemake", "one job alone": "job", "one kernel alone": "kernel"}
#: Seconds within which nothing that a run has started may be left; within which a run that lost a process is watched.
PATIENCE, WATCH = 120.0, 20.0
#: Seconds that a start may take before its first job, and a book.
START, BOOK = 12.0, 30.0


# --- comparing ---------------------------------------------------------------------------------------------------


def kept(folder: Path) -> dict[str, Path]:
    """Return the files of a run that stand under a final name, by path; the built book is no part of it."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts) or "checkpoints" in name.parts
        if not (hidden or name.parts[0] == "book" or path.name.endswith(".failed.ipynb")) and path.is_file():
            found[name.as_posix()] = path
    return found


def difference(first: Path, second: Path) -> str:
    """Return in words what of the second file is not as in the first, timing left out; empty where nothing is."""
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
    notebook = read_notebook(path)
    sources = ["".join(cell["source"]) for cell in notebook["cells"] if "runs = " not in "".join(cell["source"])]
    return [notebook["metadata"]["braintune"]["fingerprint"], *sources]


_READERS: dict[str, Callable[[Path], Any]] = {
    ".parquet": _table,
    ".json": _facts,
    ".safetensors": lambda path: {name: array.tobytes() for name, array in store.read_arrays(path).items()},
    ".ipynb": _page,
}


def faults(undisturbed: Path, run: Study) -> list[str]:
    """Return what of a run is torn, or not as in the undisturbed one; files that are not there yet are no fault."""
    wanted, found = kept(undisturbed), kept(run.folder)
    told = [f"{name} is not made by an undisturbed run" for name in found.keys() - wanted.keys()]
    for name in sorted(found.keys() & wanted.keys()):
        if words := difference(wanted[name], found[name]):
            told.append(f"{name} {words}")
    for job in all_jobs(run):
        page = executed_notebook(run, job)
        if page.is_file():
            recorded = read_notebook(page)["metadata"]["braintune"]["outputs"]
            there = outputs(run, job)
            told += [f"{name} is not what {page.name} records" for name in there if recorded.get(name) != there[name]]
    return told


def differences(undisturbed: Path, run: Study) -> list[str]:
    """Return what of a finished run is missing, or is not as in another of the same, or not as its pages record it."""
    missing = [f"{name} is missing" for name in kept(undisturbed).keys() - kept(run.folder).keys()]
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
    """Let Ctrl-C do what it does by default: what a shell starts in the background is told to ignore it."""
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
        if step := re.search(r"-m braintune\.(?:workflow execute \S+ (.*)|(book) )", text):
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
    """Return in words what goes on: the jobs, and which of them have a kernel already."""
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


def kill(root: subprocess.Popen, way: str, dice: random.Random) -> list[Part]:
    """Kill a run in one way; return the processes that it had."""
    found = parts(root.pid)
    if way == "Ctrl-C":
        os.killpg(root.pid, signal.SIGINT)  # a terminal's foreground
        return found
    aims = [part for part in found if part.kind == KINDS.get(way)]
    for part in [dice.choice(aims)] if aims else found:
        with suppress(psutil.NoSuchProcess):
            part.process.kill()
    if root.pid in [part.process.pid for part in aims or found]:
        root.wait()
    return found


def end(root: subprocess.Popen, dice: random.Random) -> None:
    """Kill what is left of a run, until nothing is."""
    while found := [part for part in parts(root.pid) if _status(part.process) != psutil.STATUS_ZOMBIE]:
        kill(root, "everything", dice)
        gone(found, PATIENCE)
    root.wait()


def disturb(root: subprocess.Popen, way: str, dice: random.Random) -> tuple[str, list[Part], str]:
    """Kill a run in one way and see to its end; return what ran, what is left of it, and what was not as it should be.

    Where Snakemake alone is killed, nothing waits for what it had started: the next start must get along with it.
    """
    before = running(parts(root.pid))
    found = kill(root, way, dice)
    if way in ("Snakemake alone", "everything"):
        return before, found, ""
    if way == "Ctrl-C":
        left = gone(found, PATIENCE)
        fault = f"{len(left)} processes outlive Ctrl-C by {PATIENCE:.0f} s" if left else ""
    else:
        until = time.monotonic() + dice.uniform(0, WATCH)
        while root.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        fault = ""
        found = [*found, *parts(root.pid)]
    end(root, dice)
    return before, found, fault


# --- the campaign ------------------------------------------------------------------------------------------------


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


@dataclass
class Campaign:
    """A run to be killed, and what it is compared with."""

    profile: Path
    wanted: Study
    options: tuple[str, ...]
    dice: random.Random

    def __post_init__(self) -> None:
        self.run = Study.load(self.profile)
        self.log = self.profile.with_suffix(".log")
        self.orphans: list[Part] = []
        self.hit: Counter[str] = Counter()
        notes = {job: read_notebook(executed_notebook(self.wanted, job)) for job in self.jobs()}
        self.seconds = {job: note["metadata"]["braintune"]["seconds"] for job, note in notes.items()}

    def jobs(self) -> list[Job]:
        """Return the jobs of the run."""
        return all_jobs(self.run)

    def delay(self, left: int) -> float:
        """Draw the seconds until the next kill, so that the kills that are left spread over the work that is left."""
        work = BOOK + sum(self.seconds[job] for job in set(self.jobs()) - done(self.run)) / (os.cpu_count() or 1)
        return self.dice.uniform(0.2, START + 2 * work / (left + 1))

    def undo(self) -> str:
        """Take away the notebook of a job of the step that was hit least, so that a finished run has work again."""
        step = min(PHASES, key=lambda name: self.hit[name])
        if step == "book":
            self.run.book_page.unlink(missing_ok=True)
            return step
        job = self.dice.choice([job for job in self.jobs() if job.step == step])
        executed_notebook(self.run, job).unlink(missing_ok=True)
        return job.label

    def kills(self, times: int) -> Iterator[tuple[float, str, str, list[str]]]:
        """Kill and start again; yield the moment, the way, what was running, and the faults found after it."""
        left = times
        while left:
            delay, way = self.delay(left), self.dice.choices(list(WAYS), list(WAYS.values()))[0]
            root = start(self.profile, self.log, *self.options)
            try:
                code = root.wait(delay)
            except subprocess.TimeoutExpired:
                before, found, fault = disturb(root, way, self.dice)
            else:
                if code:
                    yield delay, "not at all", "", [f"the run ended by itself with {code}; its log: {self.log}"]
                    return
                print(f"     finished before the kill; {self.undo()} is to be done again", flush=True)
                continue
            left -= 1
            self.hit.update({word for word in re.findall(r"\w+", before) if word in PHASES})
            told = self.outlived()
            self.orphans = found
            yield delay, way, before, [*told, *([fault] if fault else []), *faults(self.wanted.folder, self.run)]

    def outlived(self) -> list[str]:
        """Tell of processes of an earlier start that should have ended by now."""
        left = gone(self.orphans, PATIENCE)
        return [f"a process outlives its run: {part.kind} {part.job}" for part in left]

    def finish(self) -> list[str]:
        """Let the run come to its end; return what of it is not as in the undisturbed one."""
        if code := start(self.profile, self.log, *self.options).wait():
            return [f"the last start ended with {code}; its log: {self.log}"]
        return [*differences(self.wanted.folder, self.run), *self.outlived()]


def main(words: list[str]) -> int:
    """Kill the run of one profile; tell what was running each time, and what came of it."""
    if not words or len(words) > 3 or not all(word.isdecimal() for word in words[1:]):
        sys.exit("python tests/kill_runs.py PROFILE [TIMES] [SEED]")
    times, seed = int(words[1]) if len(words) > 1 else 20, int(words[2]) if len(words) > 2 else int(time.time())
    folder, options = REPOSITORY / "runs" / "kill-runs", ("--cores", str(os.cpu_count() or 1))
    wanted = undisturbed(words[0], folder / "undisturbed", options)
    shutil.rmtree(folder / "killed", ignore_errors=True)
    campaign = Campaign(copy_of(words[0], folder / "killed"), wanted, options, random.Random(seed))
    print(f"{times} kills of profile {wanted.profile}, seed {seed}; undisturbed: {wanted.folder}")
    print(f"{'':>3}  {'second':>6}  {'killed':<16}  outcome; what was running")
    found: list[str] = []
    for number, (moment, way, before, told) in enumerate(campaign.kills(times), start=1):
        outcome = f"{len(kept(campaign.run.folder))} files as undisturbed" if not told else f"{len(told)} FAULTS"
        print(f"{number:>3}  {moment:>6.1f}  {way:<16}  {outcome}; {before}", flush=True)
        print("".join(f"     {line}\n" for line in told), end="", flush=True)
        found += told
    last = campaign.finish()
    print("".join(f"     {line}\n" for line in last), end="")
    print(f"killed while running: {', '.join(f'{step} {n}' for step, n in campaign.hit.items())}")
    print(f"the finished run {'differs' if last else 'equals the undisturbed one, bit for bit'}; {len(found)} faults")
    return int(bool(found or last))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BraintuneError as error:
        sys.exit(f"kill_runs: {error}")
