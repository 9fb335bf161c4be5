"""The other direction, voxelwise encoding: from a representation to the response of every voxel, and noise ceilings.

The same engine as in decoding, with the parts exchanged: the embedding is regressed on, the voxels are predicted. One
penalty serves all voxels of a region and fold; it is chosen by exact leave-one-out inside the training fold.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch

from braintune.core.base import BraintuneError
from braintune.core.device import pick_device
from braintune.core.preprocess import zscored
from braintune.core.study import Study
from braintune.datasets.brains.base import BrainData
from braintune.neural.decoding import alphas
from braintune.neural.folds import Folds, make_folds
from braintune.neural.representations import Embeddings, analysis_layer
from braintune.neural.ridge import Ridge, fit_fold


def encode(
    embedding: np.ndarray,
    regions: Mapping[str, np.ndarray],
    folds: Folds,
    penalties: np.ndarray,
    device: str | torch.device = "cpu",
) -> dict[str, np.ndarray]:
    """Predict every voxel from an embedding, and correlate predictions with responses [1]_.

    Parameters
    ----------
    embedding : array of shape (n_stimuli, n_dimensions)
    regions : mapping of region name to array of shape (n_stimuli, n_voxels)
    folds : list of (train, test) index arrays
        With three or more stimuli to test: over two, every correlation is 1 or -1.
    penalties : array of shape (n_alphas,)
    device : str or torch.device

    Returns
    -------
    dict of region name to array of shape (n_voxels,)
        Pearson correlation over the stimuli of a test fold, mean over folds; 0 where a voxel does not vary.

    Raises
    ------
    BraintuneError
        For an embedding or responses that are not finite, do not go together, or folds that are too small.

    References
    ----------
    .. [1] Naselaris et al. (2011). Encoding and decoding in fMRI. NeuroImage 56, 400-410.
    """
    for name, values in {"embedding": embedding, **regions}.items():
        if values.ndim != 2 or len(values) != len(embedding) or not np.isfinite(values).all():
            raise BraintuneError(
                f"{name} of shape {values.shape}: allowed are finite values, {len(embedding)} stimuli by columns"
            )
    if (smallest := min(len(test) for _, test in folds)) < 3:
        raise BraintuneError(f"a fold tests {smallest} stimuli; correlating needs 3: lower n_folds or blocks")
    # Voxels are z-scored over all stimuli: no correlation sees that, and in the penalty all then count the same.
    alpha = torch.as_tensor(np.asarray(penalties, dtype=np.float64), device=device)
    targets = {name: torch.from_numpy(zscored(values)).float().to(device) for name, values in regions.items()}
    total = {name: np.zeros(values.shape[1]) for name, values in regions.items()}
    for train, test in folds:
        ridge = fit_fold(embedding, train, test, alpha)
        for name, target in targets.items():
            predicted = ridge.hat[_choice(ridge, target[train])] @ target[train]
            total[name] += correlate_columns(predicted.cpu().numpy(), target[test].cpu().numpy())
    return {name: values / len(folds) for name, values in total.items()}


def _choice(ridge: Ridge, target: torch.Tensor) -> int:
    """Return the penalty with the smallest leave-one-out error, summed over the voxels (n_train, n_voxels)."""
    errors = (ridge.left_out[:, :, : len(target)] * (target @ target.T)).sum((1, 2))
    return int(errors.argmin())


def correlate_columns(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation of each column of `one` with that of `other`, 0 where either is constant.

    Parameters
    ----------
    one, other : arrays of shape (n_stimuli, n_voxels)

    Returns
    -------
    array of shape (n_voxels,), float64
    """
    return (zscored(one) * zscored(other)).mean(0)


# --- noise ceilings ----------------------------------------------------------------------------------------------


def split_half_ceiling(repetitions: np.ndarray, random: np.random.Generator, splits: int = 100) -> np.ndarray:
    """Estimate how well a perfect model could predict the mean over repetitions of the same stimuli.

    Repetitions are halved at random; the correlation r between the means of the halves, averaged over splits, gives
    the reliability of the mean of all, 2r / (1 + r) [1]_, and its square root is the correlation that a model of the
    noiseless response would reach [2]_. With an odd number of repetitions each split leaves one out, which makes the
    ceiling a little too low.

    Parameters
    ----------
    repetitions : array of shape (n_repetitions, n_stimuli, n_voxels)
        At least two.
    random : numpy.random.Generator
    splits : int
        How often to halve.

    Returns
    -------
    array of shape (n_voxels,)
        From 0 (no reliable response) to 1.

    Raises
    ------
    BraintuneError
        For fewer than two repetitions.

    References
    ----------
    .. [1] Brown (1910). Some experimental results in the correlation of mental abilities. British Journal of
       Psychology 3, 296-322.
    .. [2] Hsu, Borst and Theunissen (2004). Quantifying variability in neural responses and its application for the
       validation of model predictions. Network 15, 91-109.
    """
    if repetitions.ndim != 3 or len(repetitions) < 2:
        raise BraintuneError(
            f"repetitions of shape {repetitions.shape}: a split-half ceiling needs [repetitions, stimuli, voxels] "
            "with at least 2 repetitions; across participants, use the inter-subject ceiling"
        )
    half, r = len(repetitions) // 2, np.zeros(repetitions.shape[2])
    for _ in range(splits):
        order = random.permutation(len(repetitions))
        r += correlate_columns(repetitions[order[:half]].mean(0), repetitions[order[half : 2 * half]].mean(0)) / splits
    r = np.clip(r, 0, 1)
    return np.sqrt(2 * r / (1 + r))


def inter_subject_ceiling(responses: Sequence[np.ndarray]) -> np.ndarray:
    """Correlate every participant's voxels with the mean of the other participants' at the same place [1]_.

    What participants share is all that a model of the stimuli alone can predict in common for them; the correlation
    with a mean of few others is below that, so it is a careful ceiling.

    Parameters
    ----------
    responses : sequence of arrays of shape (n_stimuli, n_voxels), one per participant
        The same column must be the same place in all.

    Returns
    -------
    array of shape (n_participants, n_voxels)

    Raises
    ------
    BraintuneError
        For fewer than two participants, or different shapes.

    References
    ----------
    .. [1] Nastase et al. (2019). Measuring shared responses across subjects using intersubject correlation. Social
       Cognitive and Affective Neuroscience 14, 667-685.
    """
    shapes = sorted({values.shape for values in responses})
    if len(responses) < 2 or len(shapes) > 1:
        raise BraintuneError(
            f"{len(responses)} participants with responses of shape {', '.join(map(str, shapes))}: an inter-subject "
            "ceiling needs at least 2 participants whose columns are the same places"
        )
    standard = np.stack([zscored(values) for values in responses])
    total = standard.sum(0)
    return np.stack([correlate_columns(own, total - own) for own in standard])


def story_ceiling(brain: BrainData, participant: str) -> dict[str, np.ndarray] | None:
    """Return one participant's inter-subject ceiling by region, for a story that several participants listened to.

    Returns
    -------
    dict of region to array of shape (n_voxels,), or None
        None where it cannot be had: the stimuli are no story, there is one participant only, or the participants'
        columns are not the same places.
    """
    if not brain.stimuli.contiguous or len(brain.participants) < 2:
        return None
    everyone = [brain.load(name) for name in brain.participants]
    if any(len({one[region].shape for one in everyone}) > 1 for region in brain.regions):
        return None
    place = brain.participants.index(participant)
    return {region: inter_subject_ceiling([one[region] for one in everyone])[place] for region in brain.regions}


def normalised(correlation: np.ndarray, ceiling: np.ndarray, least: float = 0.1) -> np.ndarray:
    """Divide correlations by their noise ceiling; NaN where the ceiling is below `least` and the ratio means nothing.

    Parameters
    ----------
    correlation, ceiling : arrays of shape (n_voxels,)
    least : float
        Smallest ceiling that is divided by.
    """
    there = ceiling >= least
    return np.divide(correlation, ceiling, out=np.full(correlation.shape, np.nan), where=there)


# --- one participant ---------------------------------------------------------------------------------------------


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
        One row a region, design and representation: number of `voxels`, mean `correlation` over them, mean `ceiling`
        (:func:`story_ceiling`; NaN where it cannot be had), and `normalised`, the mean of correlation / ceiling over
        the voxels that have one.
    """
    regions, ceiling, rows = brain.load(participant), story_ceiling(brain, participant), []
    device = pick_device(study.device, float64=True)
    designs = {design: make_folds(brain.stimuli, design, study) for design in study.designs}
    for design, folds in designs.items():
        for wanted, layers in embeddings.items() if folds else ():
            embedding = layers[analysis_layer(len(layers), study.layer)]
            for region, found in encode(embedding, regions, folds, alphas(study), device).items():
                where = {"brain": brain.name, "participant": participant, "region": region}
                where |= {"representation": wanted.name, "folds": design}
                rows.append(where | _summary(found, None if ceiling is None else ceiling[region]))
    return pd.DataFrame(rows)


def _summary(correlation: np.ndarray, ceiling: np.ndarray | None) -> dict[str, float]:
    found = {"voxels": len(correlation), "correlation": correlation.mean(), "ceiling": np.nan, "normalised": np.nan}
    if ceiling is not None:
        ratio = normalised(correlation, ceiling)
        found["ceiling"] = ceiling.mean()
        found["normalised"] = ratio[np.isfinite(ratio)].mean() if np.isfinite(ratio).any() else np.nan
    return found
