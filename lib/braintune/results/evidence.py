"""The evidence for the claims about one brain data set, and the gates that it has to pass first.

No conclusion is drawn from a region where content-free controls score as well as the untuned model, or from a task that
a method did not learn.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from braintune.core.study import Study
from braintune.datasets.brains.registry import participants_label
from braintune.results import statistics, tables
from braintune.results.contrasts import Contrast, ScoreCube
from braintune.results.tables import ARMS, PREFIXES


@dataclass(frozen=True)
class Evidence:
    """The results of one brain data set in one direction at one readout."""

    study: Study
    brain: str
    design: str  #: The main fold design.
    direction: str  #: A key of :data:`braintune.results.tables.SCORE`.
    readout: str
    cube: ScoreCube  #: Of all representations in that design.
    scores: pd.DataFrame  #: The same scores, one row per participant, region and representation.
    closeness: pd.DataFrame  #: Finite rows of the RSA table ``untuned`` at the analysis layer.
    tuned: pd.DataFrame  #: Metrics of the tuning runs, from :func:`braintune.results.tables.gain`.

    @property
    def people(self) -> str:
        """Who took part, in words."""
        return participants_label(self.brain, self.scores["participant"].nunique())

    # --- what counts -----------------------------------------------------------------------------------------

    @property
    def region(self) -> str:
        """The main region."""
        return tables.main_region(self.cube.regions)

    @cached_property
    def learned(self) -> list[str]:
        """Tasks that both methods learned: mean over seeds above the bag of words and the trivial baseline."""
        return self.learned_by(ARMS)

    def learned_by(self, methods: Sequence[str]) -> list[str]:
        """Return the tasks that all of the given methods learned; the untuned model is ignored."""
        methods = [name for name in methods if name != "untuned"]
        rows = self.cube.representations
        tuned = rows[rows["method"].isin(methods)].groupby("task").size()  # decoded of all methods and all seeds
        n = len(methods) * len(self.cube.seeds)
        return [task for task in tables.learned(self.tuned, methods) if tuned.get(task) == n]

    @cached_property
    def not_learned(self) -> list[str]:
        """Tasks that one of the methods did not learn."""
        return [task for task in self.tuned["task"].unique() if task not in self.learned]

    @cached_property
    def content_free(self) -> list[str]:
        """Content-free controls that were decoded."""
        names = self.cube.representations.loc[self.cube.representations["kind"] == "control", "representation"]
        return [name for name in names if name not in PREFIXES and name not in self.study.vectors]

    @cached_property
    def gates(self) -> pd.DataFrame:
        """The untuned model minus permuted labels, and minus each control: region, control, estimate, p (one-sided)."""
        plain, rows = self.cube.only("untuned"), []
        for region in self.cube.regions:
            found = {"permuted labels": self.cube.contrast(plain, region)}
            for control in self.content_free:
                found[control] = self.cube.contrast(plain - self.cube.only(control), region)
            rows += [(region, name, contrast.estimate, contrast.shown()) for name, contrast in found.items()]
        return pd.DataFrame(rows, columns=["region", "control", "estimate", "p"])

    @cached_property
    def decoded(self) -> list[str]:
        """Regions in which the untuned model is shown to be above every content-free control and permuted labels."""
        worst = self.gates.fillna({"p": 1.0}).groupby("region", sort=False)["p"].max()
        return list(worst.index[worst < self.study.fdr])

    @cached_property
    def parts(self) -> list[str]:
        """Decoded regions, excluding unions of regions whose parts are also listed."""
        return [region for region in self.decoded if not tables.is_union(region, self.cube.regions)]

    @property
    def closed(self) -> str:
        """Why no conclusion is possible in the main region; empty if one is possible."""
        if not self.content_free:
            return "the run has no content-free control"
        if self.region not in self.decoded:
            rows = self.gates[self.gates["region"] == self.region].fillna({"p": 1.0})
            doing = " or ".join(rows.loc[rows["p"] >= self.study.fdr, "control"])
            does = {"decoding": "be decoded better than", "encoding": "predict the responses better than"}
            return f"in the region {self.region}, the untuned model is not shown to {does[self.direction]} {doing}"
        if not self.learned:
            return "no task was learned by both methods"
        return ""

    # --- effects ---------------------------------------------------------------------------------------------

    def signal(self, region: str) -> float:
        """Return the untuned model's score minus its mean with permuted labels, the unit of effects."""
        return self.cube.contrast(self.cube.only("untuned"), region).estimate

    def loss(self, region: str) -> float:
        """Return the largest loss considered too small to matter, as a fraction of the signal."""
        absolute = self.study.absolute_margin
        return self.study.margin if absolute is None else absolute / self.signal(region)

    def effect(self, weights: np.ndarray, region: str) -> Contrast:
        """Return a contrast as a fraction of the signal of the untuned model in that region."""
        found, signal = self.cube.contrast(weights, region), self.signal(region)
        return Contrast(values=found.values / signal, null=found.null / signal)

    def difference(self, region: str, tasks: Iterable[str] | None = None) -> Contrast:
        """Return prompt-tuned minus fine-tuned, mean over learned tasks, as a fraction of the signal."""
        return self.against("prompt-tuned", "fine-tuned", region, tasks or self.learned)

    def against(self, method: str, reference: str, region: str, tasks: Iterable[str]) -> Contrast:
        """Return one method minus another (or minus ``untuned``), mean over tasks, as a fraction of the signal."""
        tasks = list(tasks)
        other = self.cube.only(reference) if reference == "untuned" else self.cube.arm(reference, tasks)
        return self.effect(self.cube.arm(method, tasks) - other, region)

    def differences(self, cells: Iterable[tuple[str, str]]) -> pd.DataFrame:
        """Test prompt-tuned minus fine-tuned in cells of (task, region); the task `all` is the mean over learned tasks.

        Returns
        -------
        DataFrame
            task, region, `difference` as a fraction of the signal with its interval `low` … `high`, `shrunken` towards
            the mean over cells (:func:`braintune.results.statistics.shrunken`), `q` (two-sided t test, with
            false-discovery-rate correction over the cells), `permutation` (two-sided), `better` and `worse` (shown by
            both tests), `p_margin` (the loss is below the margin) and `not worse`.
        """
        rows, values = [], []
        for task, region in cells:
            found = self.difference(region, None if task == "all" else [task])
            values.append(found.values)
            low, high = found.interval(self.study.fdr)
            one_sided = min(found.above(0), 1 - found.above(0))
            tests = 2 * one_sided, found.permuted, found.above(-self.loss(region))
            rows.append((task, region, found.estimate, low, high, *tests))
        columns = ["task", "region", "difference", "low", "high", "p", "permutation", "p_margin"]
        table = pd.DataFrame(rows, columns=columns)
        table.insert(5, "shrunken", statistics.shrunken(np.array(values)))
        table["q"] = statistics.fdr(table["p"].to_numpy())
        level = self.study.fdr
        shown = (table["q"] < level) & ~(table["permutation"] >= level)
        table["better"], table["worse"] = shown & (table["difference"] > 0), shown & (table["difference"] < 0)
        table["not worse"] = table["p_margin"] < level
        return table
