"""Which tasks follow which: the orders of the tasks, the ways to learn one after another, and where stages are stored.

There are three ways (:data:`WAYS`), but two trainings. A prefix that is carried on and a prefix that begins as the last
one are the same vectors at the stage that trains them; with one prefix per task, an earlier task is answered with the
prefix of the stage that learned it, so that its score cannot change.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from braintune.core.base import BraintuneError, lookup
from braintune.core.store import checksum
from braintune.core.study import Study
from braintune.core.versions import source_files
from braintune.models.checkpoints import model_fingerprint, model_folder, other_sources


@dataclass(frozen=True)
class Way:
    """A way to learn one task after another.

    Attributes
    ----------
    method : str
        What is trained at every stage, a key of :data:`braintune.models.methods.METHODS`.
    keeps : bool
        Whether each task keeps what was trained for it; else it is answered with what the last stage has left.
    title : str
    """

    method: str
    keeps: bool
    title: str


#: The ways that are compared.
WAYS: dict[str, Way] = {
    "fine-tuned": Way("fine-tuned", False, "all weights are trained further"),
    "one prefix": Way("prompt-tuned", False, "one prefix is trained further"),
    "one prefix per task": Way("prompt-tuned", True, "each task gets a new prefix, initialised with the previous one"),
}


@dataclass(frozen=True)
class TaskSequence:
    """The tasks in one order, learned one after another by one method with one seed; orders count from 1."""

    order: int
    tasks: tuple[str, ...]
    method: str
    seed: int

    @property
    def name(self) -> str:
        """The sequence in a name: ``order-1_fine-tuned_seed-0``."""
        return f"order-{self.order}_{self.method}_seed-{self.seed}"

    def stage_name(self, stage: int) -> str:
        """Name of the encoder as a stage has left it."""
        return f"{self.name}_stage-{stage}"


# --- which sequences there are -----------------------------------------------------------------------------------


def task_orders(study: Study) -> list[tuple[str, ...]]:
    """Return `orders` of the tasks: rows of a Williams square [1]_, at equal distances.

    No task has the same place in two orders; with as many orders as tasks, each has every place once, and (for an even
    number) follows every other once. The tasks are first shuffled, by `world_seed`.

    Raises
    ------
    BraintuneError
        For a single task, and more orders than tasks.

    References
    ----------
    .. [1] Williams (1949). Experimental designs balanced for the estimation of residual effects of treatments.
       Australian Journal of Scientific Research A 2, 149-168.
    """
    n = len(study.tasks)
    if n < 2:
        raise BraintuneError(
            f"tasks: {study.tasks[0]!r} alone is not a sequence; name at least two tasks, or set orders: 0"
        )
    if not 1 <= study.orders <= n:
        raise BraintuneError(
            f"orders: {study.orders} must be between 1 and {n}, the number of tasks, since more would repeat "
            "positions; choose a number in this range, or name more tasks"
        )
    shuffled = np.random.default_rng(study.world_seed).permutation(study.tasks)
    first = [(i + 1) // 2 * (-1) ** (i + 1) for i in range(n)]  # 0, 1, -1, 2, -2, …
    shifts = [order * n // study.orders for order in range(study.orders)]
    return [tuple(str(shuffled[(place + shift) % n]) for place in first) for shift in shifts]


def sequence_of(study: Study, order: int, method: str, seed: int) -> TaskSequence:
    """Return one sequence.

    Raises
    ------
    BraintuneError
        If there is no such order, or no way with this method; and as :func:`task_orders`.
    """
    orders = task_orders(study)
    lookup({way.method: way for way in WAYS.values()}, method, "method of a sequence")
    if not 1 <= order <= len(orders):
        raise BraintuneError(f"order: {order} is not one of 1 to {len(orders)}; choose one of them, or raise `orders`")
    return TaskSequence(order, orders[order - 1], method, seed)


def ways_of(study: Study) -> dict[str, Way]:
    """Return the ways whose method is among those of a study.

    Raises
    ------
    BraintuneError
        If there is none.
    """
    found = {name: way for name, way in WAYS.items() if way.method in study.methods}
    if not found:
        known = ", ".join(dict.fromkeys(way.method for way in WAYS.values()))
        raise BraintuneError(
            f"methods: {', '.join(study.methods)} cannot learn tasks one after another; add one of {known}"
        )
    return found


def sequences(study: Study) -> list[TaskSequence]:
    """Return all sequences of a study: orders × methods × seeds; faults as :func:`task_orders`, :func:`ways_of`."""
    methods = dict.fromkeys(way.method for way in ways_of(study).values())
    orders = range(1, len(task_orders(study)) + 1)
    return [sequence_of(study, *parts) for parts in ((o, m, s) for o in orders for m in methods for s in study.seeds)]


# --- where they are stored ---------------------------------------------------------------------------------------


def sequence_folder(study: Study, sequence: TaskSequence) -> Path:
    """Return the folder of the stages that follow the first; its name has the fingerprint of what they depend on."""
    parts = {
        "code": sorted(checksum(file) for file in source_files("models.continual", stop=other_sources(study))),
        "models": [model_fingerprint(study, task, sequence.method) for task in sequence.tasks],
    }
    fingerprint = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
    folder = study.folder / "continual" / f"order-{sequence.order}" / sequence.method
    return folder / fingerprint / f"seed-{sequence.seed}"


def stage_folder(study: Study, sequence: TaskSequence, stage: int) -> Path:
    """Return the folder of a stage, counted from 0: of the first, that of the model that learned the task alone."""
    if stage == 0:
        return model_folder(study, sequence.tasks[0], sequence.method, sequence.seed)
    return sequence_folder(study, sequence) / f"stage-{stage}"
