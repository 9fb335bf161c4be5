"""Do the prompts of one task help another? A head for the second is trained on the frozen prompts of the first."""

from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import torch

from braintune.core.device import pick_device
from braintune.core.study import Study
from braintune.datasets.tasks import load_task
from braintune.models.heads import TunedModel
from braintune.models.training import Conditions, Recipe, reproducible, train
from braintune.models.tuning import encode_parts, load_tuned, main_score, tune


def transfer(study: Study, source: str, target: str, method: str = "prompt-tuned", seed: int = 0) -> dict[str, Any]:
    """Train a head for one task on the encoder that was tuned on another and is frozen.

    The comparison is `head-only` on the target, the same head on the untuned encoder, which is tuned if it is not
    stored: seed, examples and the recipe it chose are the same.

    Parameters
    ----------
    study : Study
    source, target : str
        Tasks. The model of the source has to be stored.
    method : str
        How the source was tuned.
    seed : int

    Returns
    -------
    dict
        ``source``, ``target``, ``method``, ``seed``; test scores by the target's metric: ``score``, ``head_only`` and
        ``gain``, their difference.

    Raises
    ------
    BraintuneError
        If the source has not been tuned, and as :func:`braintune.models.tuning.tune`.
    """
    plain = tune(study, target, "head-only", seed)
    data, device = load_task(study, target), pick_device(study.device)
    with reproducible(study, seed, device), TemporaryDirectory() as folder:
        tuned = load_tuned(study, source, method, seed)
        parts = encode_parts(study, data, tuned)
        torch.manual_seed(seed)
        model = TunedModel(tuned.model, data.task.kind, len(data.labels)).to(device)
        conditions = Conditions(study, seed, device, parts["validation"])
        recipe = Recipe(plain["learning_rate"], plain["epochs"])
        trainer, _ = train(conditions, model, parts["train"], recipe, Path(folder), f"{target} after {source}")
        found = main_score(trainer, data, parts["test"])
    named = {"source": source, "target": target, "method": method, "seed": seed}
    return named | {"score": found, "head_only": plain["score"], "gain": found - plain["score"]}


def transfer_table(study: Study, method: str = "prompt-tuned") -> pd.DataFrame:
    """Return :func:`transfer` for every pair of different tasks and every seed of a study; each trains one head."""
    pairs = ((a, b, seed) for a, b, seed in product(study.tasks, study.tasks, study.seeds) if a != b)
    return pd.DataFrame([transfer(study, a, b, method, seed) for a, b, seed in pairs])
