"""The picture of the workflow: which step follows which and how many jobs each has, as Snakemake reads the Snakefile.

Snakemake tells the graph of a profile's jobs (`--dag`); it is drawn here, since the usual program for that (Graphviz)
is not part of Python.
"""

import re
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from braintune.core import base
from braintune.core.base import BraintuneError
from braintune.core.study import profile_path
from braintune.results import style

SNAKEFILE = base.REPOSITORY / "Snakefile"
#: The rule that asks for everything and computes nothing.
_TARGET = "all"
_JOB = re.compile(r'^\s*(\d+)\[label = "([^"\\]+)')
_EDGE = re.compile(r"^\s*(\d+) -> (\d+)\s*$")


@dataclass(frozen=True)
class Workflow:
    """The rules of a run.

    Attributes
    ----------
    jobs : dict of str to int
        Rule → number of its jobs.
    edges : frozenset of (str, str)
        A rule, and one that reads what it makes.
    """

    jobs: dict[str, int]
    edges: frozenset[tuple[str, str]]

    @cached_property
    def depth(self) -> dict[str, int]:
        """Rule → length of the longest way to it."""
        depth = dict.fromkeys(self.jobs, 0)
        for _ in depth:  # as often as the longest way could be
            for before, after in self.edges:
                depth[after] = max(depth[after], depth[before] + 1)
        return depth

    @cached_property
    def direct(self) -> frozenset[tuple[str, str]]:
        """The edges that no longer way says already."""
        return frozenset(
            (before, after)
            for before, after in self.edges
            if not any((before, between) in self._ways and (between, after) in self._ways for between in self.jobs)
        )

    @cached_property
    def _ways(self) -> set[tuple[str, str]]:
        ways = set(self.edges)
        for between in self.jobs:
            ways |= {(a, b) for a in self.jobs for b in self.jobs if {(a, between), (between, b)} <= ways}
        return ways

    def words(self) -> str:
        """Return the graph in words, for who cannot see the picture."""
        rules = sorted(self.jobs, key=lambda rule: (self.depth[rule], rule))
        told = []
        for rule in rules:
            before = sorted((a for a, b in self.direct if b == rule), key=rules.index)
            told.append(f"{rule} ({count(self.jobs[rule])})" + (f" after {' and '.join(before)}" if before else ""))
        return "; ".join(told)


def count(jobs: int) -> str:
    """Return a number of jobs in words."""
    return f"{jobs} job{'s' if jobs != 1 else ''}"


def workflow_of(profile: str | Path, snakefile: Path = SNAKEFILE) -> Workflow:
    """Ask Snakemake for the rules of a profile.

    Parameters
    ----------
    profile : str or Path
        Name or path.
    snakefile : Path

    Raises
    ------
    BraintuneError
        If Snakemake cannot read the Snakefile.
    """
    tool = str(Path(sys.executable).parent / "snakemake")
    with tempfile.TemporaryDirectory() as folder:  # what Snakemake notes down must not meet the notes of a run
        words = [tool, "--snakefile", str(snakefile), "--directory", folder, "--nolock", "--forceall", "--dag", "dot"]
        words += ["--config", f"profile={profile_path(str(profile)).resolve()}"]
        done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise BraintuneError(f"Snakemake cannot read {snakefile}:\n{done.stderr[-2000:]}")
    return parse(done.stdout)


def parse(dag: str) -> Workflow:
    """Read the graph of jobs that Snakemake prints, and count the jobs of each rule."""
    lines = dag.splitlines()
    rule = {found[1]: found[2] for line in lines if (found := _JOB.match(line)) and found[2] != _TARGET}
    pairs = [found.groups() for line in lines if (found := _EDGE.match(line))]
    edges = {(rule[a], rule[b]) for a, b in pairs if a in rule and b in rule}
    return Workflow(dict(Counter(rule.values())), frozenset(edges))


def draw(workflow: Workflow) -> Figure:
    """Draw the rules from left to right, each with its number of jobs; what is said by a longer way is left out."""
    columns: dict[int, list[str]] = {}
    for rule, depth in workflow.depth.items():
        columns.setdefault(depth, []).append(rule)
    tallest = max(map(len, columns.values()))
    place = {
        rule: (1.5 * depth, (len(rules) - 1) / 2 - row)
        for depth, rules in columns.items()
        for row, rule in enumerate(sorted(rules))
    }
    figure, axes = plt.subplots(figsize=(1.5 * len(columns) + 0.1, 0.9 * tallest), layout="constrained")
    axes.set(xlim=(-0.65, 1.5 * len(columns) - 0.85), ylim=(-tallest / 2, tallest / 2))
    axes.set_axis_off()
    for rule, (x, y) in place.items():
        look = {"boxstyle": "round,pad=0,rounding_size=0.1", "facecolor": "#eef3f7", "edgecolor": "#33556e"}
        axes.add_patch(FancyBboxPatch((x - 0.55, y - 0.3), 1.1, 0.6, **look))
        axes.text(x, y + 0.1, rule, ha="center", va="center", fontsize=10, fontweight="bold")
        axes.text(x, y - 0.14, count(workflow.jobs[rule]), ha="center", va="center", fontsize=9)
    for before, after in workflow.direct:
        (x, y), (to_x, to_y) = place[before], place[after]
        arrow = {"arrowstyle": "-|>", "color": "#33556e", "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (to_x - 0.55, to_y), (x + 0.55, y), arrowprops=arrow)
    return figure


def write(workflow: Workflow, name: str, folder: Path) -> dict[str, str]:
    """Draw a workflow as `<name>.svg` in a folder; return its caption and what it shows in words."""
    with plt.rc_context(style.STYLE):
        figure = draw(workflow)
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
        plt.close(figure)
    return {
        "caption": "The steps of this run in the order of the Snakefile, each with its number of jobs. A step waits "
        "for all that its arrows come from; jobs of one step do not wait for each other.",
        "alt": f"The steps of this run: {workflow.words()}.",
    }
