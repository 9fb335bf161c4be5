"""Voxelwise encoding, the other direction: from a representation to the response of every voxel, and its ceiling.

Ridge regression as in decoding, from the embedding to the voxels. One penalty serves all voxels of a region and fold;
it is chosen inside the training fold by the same measure as in decoding.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch

from braintune.core.base import BraintuneError
from braintune.core.device import pick_device
from braintune.core.preprocess import zscore
from braintune.core.study import Study
from braintune.datasets.brains.base import BrainData
from braintune.neural.decoding import alphas
from braintune.neural.folds import Fold, make_folds
from braintune.neural.representations import Embeddings, analysis_layer
from braintune.neural.ridge import Select, fit_fold, lower_triangle


def encode(
    embedding: np.ndarray,
    regions: Mapping[str, np.ndarray],
    folds: Sequence[Fold],
    penalties: np.ndarray,
    select: Select = "scale-free",
    device: str | torch.device = "cpu",
) -> dict[str, np.ndarray]:
    """Predict every voxel from an embedding, and correlate predictions with responses [1]_.

    Parameters
    ----------
    embedding : array of shape (n_stimuli, n_dimensions)
    regions : mapping of region name to array of shape (n_stimuli, n_voxels)
    folds : sequence of Fold
        With three or more stimuli to test: over two, every correlation is 1 or -1.
    penalties : array of shape (n_alphas,)
    select : {"scale-free", "squared-error"}
    device : str or torch.device

    Returns
    -------
    dict of region name to array of shape (n_voxels,)
        Pearson correlation over the stimuli of a test fold, mean over folds; 0 where a voxel does not vary.

    Raises
    ------
    BraintuneError
        For an embedding or responses that are not finite or differ in stimuli, and folds that are too small.

    References
    ----------
    .. [1] Naselaris et al. (2011). Encoding and decoding in fMRI. NeuroImage 56, 400-410.
    """
    for name, values in {"embedding": embedding, **regions}.items():
        if values.ndim != 2 or len(values) != len(embedding) or not np.isfinite(values).all():
            raise BraintuneError(
                f"{name} of shape {values.shape}: allowed are finite values, {len(embedding)} stimuli by columns"
            )
    if (smallest := min(len(fold.test) for fold in folds)) < 3:
        raise BraintuneError(f"a fold tests {smallest} stimuli; correlating needs 3: lower n_folds or blocks")
    # Voxels are z-scored over all stimuli: that changes no correlation, and all count the same in choosing a penalty.
    alpha = torch.as_tensor(np.asarray(penalties, dtype=np.float64), device=device)
    targets = {name: torch.from_numpy(zscore(values)).float().to(device) for name, values in regions.items()}
    total = {name: np.zeros(values.shape[1]) for name, values in regions.items()}
    for fold in folds:
        ridge = fit_fold(embedding, fold[:2], fold.inner, alpha, select)
        for name, target in targets.items():
            known = target[fold.train]
            gram = (known @ known.T).view(-1)[lower_triangle(torch.arange(len(known), device=device), len(known))]
            choice = int(ridge.fit((ridge.terms @ gram)[None])[0].argmax())
            predicted = ridge.hat[choice] @ known
            total[name] += correlate_columns(predicted.cpu().numpy(), target[fold.test].cpu().numpy())
    return {name: values / len(folds) for name, values in total.items()}


def correlate_columns(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation of each column of `one` with that of `other`, 0 where either is constant.

    Parameters
    ----------
    one, other : arrays of shape (n_stimuli, n_voxels)

    Returns
    -------
    array of shape (n_voxels,), float64
    """
    return (zscore(one) * zscore(other)).mean(0)


def story_ceiling(brain: BrainData, participant: str) -> dict[str, np.ndarray] | None:
    """Correlate one participant's voxels with the mean of the other listeners' at the same place [1]_.

    A mean over few others is noisy itself, so this is a lower bound of the noise ceiling: a model can exceed it, and
    no score is divided by it.

    Returns
    -------
    dict of region to array of shape (n_voxels,), or None
        None if the stimuli are no story, there is one participant only, or the participants' columns are not the same
        places.

    References
    ----------
    .. [1] Nastase et al. (2019). Measuring shared responses across subjects using intersubject correlation. Social
       Cognitive and Affective Neuroscience 14, 667-685.
    """
    if not brain.stimuli.contiguous or len(brain.participants) < 2:
        return None
    everyone = [brain.load(name) for name in brain.participants]
    if any(len({one[region].shape for one in everyone}) > 1 for region in brain.regions):
        return None
    place, ceiling = brain.participants.index(participant), {}
    for region in brain.regions:
        standard = np.stack([zscore(one[region]) for one in everyone])
        ceiling[region] = correlate_columns(standard[place], standard.sum(0) - standard[place])
    return ceiling


def encode_participant(study: Study, brain: BrainData, participant: str, embeddings: Embeddings) -> pd.DataFrame:
    """Predict one participant's voxels from representations at the analysis layer, under every fold design.

    Parameters
    ----------
    study : Study
    brain : BrainData
        As :func:`braintune.datasets.brains.registry.load_brain` returns it.
    participant : str
    embeddings : mapping of Representation to array of shape (n_layers, n_stimuli, width)

    Returns
    -------
    DataFrame
        One row per region, design and representation: number of `voxels`, mean `correlation` over them, and mean
        `ceiling` (:func:`story_ceiling`, a lower bound; NaN where there is none).
    """
    regions, ceiling, rows = brain.load(participant), story_ceiling(brain, participant), []
    device = pick_device(study.device, float64=True)
    designs = {design: make_folds(brain.stimuli, design, study) for design in study.designs}
    for design, folds in designs.items():
        if folds is None:
            continue
        for wanted, layers in embeddings.items():
            embedding = layers[analysis_layer(len(layers), study.layer)]
            for region, found in encode(embedding, regions, folds, alphas(study), study.select, device).items():
                rows.append(
                    {
                        "brain": brain.name,
                        "participant": participant,
                        "region": region,
                        "representation": wanted.name,
                        "kind": wanted.kind,
                        "folds": design,
                        "voxels": len(found),
                        "correlation": found.mean(),
                        "ceiling": ceiling[region].mean() if ceiling else np.nan,
                    }
                )
    return pd.DataFrame(rows)
