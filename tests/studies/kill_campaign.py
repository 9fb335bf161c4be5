"""Kill a run again and again at random moments, and compare what it comes to with a run that nobody disturbed.

``python tests/studies/kill_campaign.py PROFILE [TIMES] [SEED]`` takes the finished run of a profile in `runs/`, or makes
one, and runs the same profile in another folder. That run is killed TIMES times (20): the whole tree of processes,
Snakemake alone, one job alone, one kernel alone, or by Ctrl-C; each time it is started again. After each kill every file
under a final name must be whole and equal to the undisturbed run's, but for seconds; so must the whole run at the end.
"""

import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from braintune.core.base import REPOSITORY, BraintuneError
from braintune.core.study import Study
from braintune.workflow.jobs import STEPS, Job, all_jobs, executed_notebook, read_notebook
from kill_runs import PATIENCE, Part, copy_of, differences, disturb, done, faults, gone, kept, start, undisturbed

#: What a run does one after the other.
PHASES = (*STEPS, "book")
#: Ways to kill, and how often each is drawn.
WAYS = {"everything": 5, "Snakemake alone": 3, "one job alone": 2, "one kernel alone": 2, "Ctrl-C": 2}
#: Seconds that a start may take before its first job, and a book.
START, BOOK = 12.0, 30.0


@dataclass
class Campaign:
    """A run to be killed, and what it is compared with."""

    profile: Path
    wanted: Study
    options: tuple[str, ...]
    rng: random.Random

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
        return self.rng.uniform(0.2, START + 2 * work / (left + 1))

    def undo(self) -> str:
        """Take away the notebook of a job of the step that was hit least, so that a finished run has work again."""
        step = min(PHASES, key=lambda name: self.hit[name])
        if step == "book":
            self.run.book_page.unlink(missing_ok=True)
            return step
        job = self.rng.choice([job for job in self.jobs() if job.step == step])
        executed_notebook(self.run, job).unlink(missing_ok=True)
        return job.label

    def kills(self, times: int) -> Iterator[tuple[float, str, str, list[str]]]:
        """Kill and start again; yield the moment, the way, what was running, and the faults found after it."""
        left = times
        while left:
            delay, way = self.delay(left), self.rng.choices(list(WAYS), list(WAYS.values()))[0]
            root = start(self.profile, self.log, *self.options)
            try:
                code = root.wait(delay)
            except subprocess.TimeoutExpired:
                before, found, fault = disturb(root, way, self.rng)
            else:
                if code:
                    yield delay, "not at all", "", [f"the run ended by itself with {code}; its log: {self.log}"]
                    return
                print(f"     finished before the kill; {self.undo()} is to be done again", flush=True)
                continue
            left -= 1
            self.hit.update({word for word in re.findall(r"\w+", before) if word in PHASES})
            lines = self.outlived()
            self.orphans = found
            yield delay, way, before, [*lines, *([fault] if fault else []), *faults(self.wanted.folder, self.run)]

    def outlived(self) -> list[str]:
        """Return the processes of an earlier start that should have ended by now."""
        left = gone(self.orphans, PATIENCE)
        return [f"a process outlives its run: {part.kind} {part.job}" for part in left]

    def finish(self) -> list[str]:
        """Let the run come to its end; return what of it is not as in the undisturbed one."""
        if code := start(self.profile, self.log, *self.options).wait():
            return [f"the last start ended with {code}; its log: {self.log}"]
        return [*differences(self.wanted.folder, self.run), *self.outlived()]


def main(words: list[str]) -> int:
    """Kill the run of one profile; print what was running each time, and the outcome."""
    if not words or len(words) > 3 or not all(word.isdecimal() for word in words[1:]):
        sys.exit("python tests/studies/kill_campaign.py PROFILE [TIMES] [SEED]")
    times, seed = int(words[1]) if len(words) > 1 else 20, int(words[2]) if len(words) > 2 else int(time.time())
    folder, options = REPOSITORY / "runs" / "kill-campaign", ("--cores", str(os.cpu_count() or 1))
    wanted = undisturbed(words[0], folder / "undisturbed", options)
    shutil.rmtree(folder / "killed", ignore_errors=True)
    campaign = Campaign(copy_of(words[0], folder / "killed"), wanted, options, random.Random(seed))
    print(f"{times} kills of profile {wanted.profile}, seed {seed}; undisturbed: {wanted.folder}")
    print(f"{'':>3}  {'second':>6}  {'killed':<16}  outcome; what was running")
    found: list[str] = []
    for number, (moment, way, before, lines) in enumerate(campaign.kills(times), start=1):
        outcome = f"{len(kept(campaign.run.folder))} files as undisturbed" if not lines else f"{len(lines)} FAULTS"
        print(f"{number:>3}  {moment:>6.1f}  {way:<16}  {outcome}; {before}", flush=True)
        print("".join(f"     {line}\n" for line in lines), end="", flush=True)
        found += lines
    last = campaign.finish()
    print("".join(f"     {line}\n" for line in last), end="")
    print(f"killed while running: {', '.join(f'{step} {n}' for step, n in campaign.hit.items())}")
    print(f"the finished run {'differs' if last else 'equals the undisturbed one, bit for bit'}; {len(found)} faults")
    return int(bool(found or last))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BraintuneError as error:
        sys.exit(f"kill_campaign: {error}")
