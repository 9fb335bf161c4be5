"""Contrasts between representations in one brain, compared with their values for permuted labels.

The score is the pairwise accuracy of decoding (:func:`braintune.neural.matching.scores`), or the correlation of
encoding.
With permuted labels, the score is not at chance for every representation, and it differs between representations:
slowly varying responses match slowly varying representations. So each contrast has its own null mean, which is
subtracted, and its own permutation p-value. Two tests answer two questions. The t test over participants (and over
seeds, if there are several) asks whether the contrast generalises to new participants. For a single participant, or an
average of participants, it is a test over groups of stimuli (:mod:`braintune.neural.units`) and asks whether the
contrast generalises to new stimuli. The permutation test asks whether the contrast depends on the relation between
these stimuli and their responses. A difference counts as shown if both tests are significant.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from braintune.results.statistics import standard_error
from braintune.results.tables import REPRESENTATION


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A weighted difference of scores.

    Attributes
    ----------
    values : array of shape (n_units, n_seeds)
        The contrast of every participant, or group of stimuli, minus its mean with permuted labels.
    null : array of shape (n_permutations,)
        The contrast with permuted labels, mean over participants and seeds, minus its mean.
    """

    values: np.ndarray
    null: np.ndarray

    @property
    def estimate(self) -> float:
        """Mean over units and seeds."""
        return float(self.values.mean())

    @cached_property
    def error(self) -> tuple[float, float]:
        """Standard error of the estimate and its degrees of freedom; NaN where it cannot be tested."""
        return standard_error(self.values)

    def interval(self, alpha: float) -> tuple[float, float]:
        """Return the t interval that covers 1 - alpha; NaN where there is none."""
        error, degrees = self.error
        half = stats.t.ppf(1 - alpha / 2, degrees) * error
        return float(self.estimate - half), float(self.estimate + half)

    def above(self, level: float) -> float:
        """Return the one-sided p-value of the t test that the contrast is above `level`; NaN if it cannot be tested."""
        error, degrees = self.error
        return float(stats.t.sf((self.estimate - level) / error, degrees)) if error > 0 else np.nan

    def by_permutation(self, sign: int = 1) -> float:
        """Return the one-sided permutation p-value that the contrast is above (below) its permuted values."""
        if not len(self.null):
            return np.nan
        at_least = (sign * self.null >= sign * self.estimate).sum()
        return float((1 + at_least) / (1 + len(self.null)))

    @property
    def permuted(self) -> float:
        """The two-sided permutation p-value; NaN where labels were not permuted."""
        return float(np.minimum(1, 2 * min(self.by_permutation(), self.by_permutation(-1))))

    def shown(self, sign: int = 1) -> float:
        """Return the one-sided p-value that it is above (below) zero by both tests: the larger one.

        Where labels were not permuted, it is that of the t test.
        """
        t = self.above(0) if sign > 0 else 1 - self.above(0)
        return float(np.maximum(t, self.by_permutation(sign))) if len(self.null) else t


@dataclass(frozen=True)
class ScoreCube:
    """Scores of all representations in one brain, direction and fold design, at one readout.

    Attributes
    ----------
    regions : tuple of str
    units : tuple
        The units of inference: participants, or groups of stimuli if there is only one participant.
    kind : {"participant", "group of stimuli"}
    representations : DataFrame
        Columns representation, kind, task, method, seed; one row per representation.
    observed, expected : arrays of shape (n_regions, n_units, n_representations)
        Scores, and their means with permuted labels.
    null : array of shape (n_permutations, n_regions, n_representations)
        Scores with permuted labels, mean over participants.
    """

    regions: tuple[str, ...]
    units: tuple[Any, ...]
    kind: str
    representations: pd.DataFrame
    observed: np.ndarray
    expected: np.ndarray
    null: np.ndarray

    @classmethod
    def read(
        cls, scores: pd.DataFrame, null: pd.DataFrame, groups: pd.DataFrame | None = None, value: str = "pairwise"
    ) -> "ScoreCube":
        """Read the scores of one brain, direction, fold design and readout.

        Parameters
        ----------
        scores : DataFrame
            One row per participant, region and representation.
        null : DataFrame
            Scores with permuted labels, from :func:`braintune.results.tables.null_means`.
        groups : DataFrame, optional
            The contributions of groups of stimuli, one row per group, region and representation; used if there is only
            one participant.
        value : {"pairwise", "margin", "correlation"}
            The score that is read.
        """
        representations = scores[REPRESENTATION].drop_duplicates("representation").reset_index(drop=True)
        names = representations["representation"].to_list()
        regions, people = list(scores["region"].unique()), list(scores["participant"].unique())
        orders = sorted(set(null["permutation"]) - {-1})

        def cube(rows: pd.DataFrame, by: list[Any], column: str) -> np.ndarray:
            index = pd.MultiIndex.from_product([regions, by], names=["region", column])
            wide = rows.pivot(index=index.names, columns="representation", values=value)
            return wide.reindex(index=index, columns=names).to_numpy().reshape(len(regions), len(by), len(names))

        means = null[null["permutation"] == -1]
        expected = (
            cube(means, people, "participant") if len(means) else np.zeros((len(regions), len(people), len(names)))
        )
        drawn = cube(null[null["permutation"] >= 0], orders, "permutation").swapaxes(0, 1)
        units, kind, observed = people, "participant", cube(scores, people, "participant")
        if len(people) == 1 and groups is not None and len(groups):
            units, kind = sorted(groups["group"].unique()), "group of stimuli"
            observed = cube(groups, units, "group")
            expected = np.broadcast_to(expected, observed.shape)
        return cls(tuple(regions), tuple(units), kind, representations, observed, expected, drawn)

    @cached_property
    def seeds(self) -> list[int]:
        """Seeds of the tuned representations."""
        return sorted(self.representations.loc[self.representations["kind"] == "tuned", "seed"].unique())

    @cached_property
    def _tuned(self) -> list[tuple[str, str, int]]:
        """Method, task and seed of every representation, as plain values."""
        r = self.representations
        return list(zip(r["method"], r["task"], r["seed"], strict=True))

    def only(self, name: str) -> np.ndarray:
        """Return weights [n_seeds, n_representations] that select one representation, the same for every seed."""
        chosen = (self.representations["representation"] == name).to_numpy(dtype=float)
        if not chosen.any():
            return np.full((max(1, len(self.seeds)), len(chosen)), np.nan)
        return np.tile(chosen, (max(1, len(self.seeds)), 1))

    def arm(self, method: str, tasks: Iterable[str]) -> np.ndarray:
        """Return weights [n_seeds, n_representations] that take the mean over tasks of one tuning method."""
        tasks = list(tasks)
        rows = np.array(
            [[m == method and t in tasks and s == seed for m, t, s in self._tuned] for seed in self.seeds], dtype=float
        ).reshape(len(self.seeds), len(self._tuned))
        complete = rows.sum(1, keepdims=True) == max(1, len(tasks))
        return np.where(complete, rows / max(1, len(tasks)), rows * np.nan)

    def contrast(self, weights: np.ndarray, region: str) -> Contrast:
        """Contrast the representations of a region.

        Parameters
        ----------
        weights : array of shape (n_seeds, n_representations)
            Difference of :meth:`only` and :meth:`arm`.
        """
        at, used = self.regions.index(region), (weights != 0).any(0)  # NaN is not 0
        used_weights = weights[:, used].T
        expected = self.expected[at][:, used] @ used_weights
        null = (self.null[:, at][:, used] @ used_weights).mean(1)
        return Contrast(values=self.observed[at][:, used] @ used_weights - expected, null=null - expected.mean())
