"""Representational similarity: which stimuli are alike in a representation or a region.

All comparisons use the Gram matrices of decoding, so they use the same (standardised) representations.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from scipy.stats import rankdata

from braintune.core.base import BraintuneError
from braintune.core.device import pick_device
from braintune.core.preprocess import zscore_varying
from braintune.core.study import Study
from braintune.datasets.brains.base import BrainData, Stimuli
from braintune.neural.grams import Grams
from braintune.neural.representations import Embeddings, layer_grams

#: Regions with fewer features than this get Euclidean distances: a correlation over so few says little.
FEATURES_FOR_CORRELATION = 10


# --- dissimilarities ---------------------------------------------------------------------------------------------


def rdm(embedding: np.ndarray) -> np.ndarray:
    """Return the correlation distances between stimuli.

    Parameters
    ----------
    embedding : array of shape (n_stimuli, n_dimensions)

    Returns
    -------
    array of shape (n_stimuli * (n_stimuli - 1) / 2,)
        1 - Pearson correlation over dimensions, for the pairs (0, 1), (0, 2), … A stimulus that does not vary over
        the dimensions has correlation 0 with all others.
    """
    values = np.asarray(embedding, dtype=np.float64)
    values = values - values.mean(1, keepdims=True)
    return _correlation_distance(values @ values.T)


def brain_rdm(responses: np.ndarray) -> np.ndarray:
    """Return the dissimilarities of one region's responses, voxels z-scored over the stimuli.

    Correlation distance over ten voxels or more, Euclidean distance below that.

    Parameters
    ----------
    responses : array of shape (n_stimuli, n_voxels)
    """
    values = zscore_varying(responses)
    if values.shape[1] == 0:
        raise BraintuneError(f"none of {responses.shape[1]} voxels varies over the stimuli; leave the region out")
    if values.shape[1] >= FEATURES_FOR_CORRELATION:
        return rdm(values)
    inner = values @ values.T
    norms = inner.diagonal()
    squared = norms[:, None] + norms - 2 * inner
    return np.sqrt(np.maximum(squared[np.triu_indices(len(values), 1)], 0))


def _correlation_distance(inner: np.ndarray) -> np.ndarray:
    """Turn inner products of centred vectors into condensed correlation distances."""
    norms = np.sqrt(np.maximum(inner.diagonal(), 0))
    scale = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 1e-6 * norms.max())
    one, other = np.triu_indices(len(inner), 1)
    return 1 - inner[one, other] * scale[one] * scale[other]


def gram_rdms(grams: Grams) -> np.ndarray:
    """Return the RDM of every representation, [n_representations, n_pairs], in float64."""
    mean, width = grams.mean.cpu().double().numpy(), grams.width.cpu().double().numpy()
    parts = zip(grams.inner.cpu(), mean, width, strict=True)
    return np.stack([_correlation_distance(inner.double().numpy() - d * np.outer(m, m)) for inner, m, d in parts])


# --- similarities ------------------------------------------------------------------------------------------------


def ranks(rdms: np.ndarray) -> np.ndarray:
    """Return RDMs as centred ranks of unit length (mean ranks for ties): inner products are Spearman correlations.

    Parameters
    ----------
    rdms : array of shape (n_rdms, n_pairs)

    Returns
    -------
    array of shape (n_rdms, n_pairs), float32
        An RDM without any differences becomes zero: its similarity to everything is 0.
    """
    ranked = rankdata(np.atleast_2d(rdms), axis=1)
    ranked -= ranked.mean(1, keepdims=True)
    norms = np.sqrt((ranked**2).sum(1, keepdims=True))
    return (ranked / np.where(norms > 0, norms, 1)).astype(np.float32)


def control_rdms(stimuli: Stimuli) -> np.ndarray:
    """Return the dissimilarities of stimuli in properties other than meaning.

    Parameters
    ----------
    stimuli : Stimuli

    Returns
    -------
    array of shape (n_controls, n_pairs)
        Differences in length (in words; for several sentences, their mean) and, if there are groups, whether two
        stimuli come from different passages (topics if no passages are known).
    """
    one, other = np.triu_indices(len(stimuli.names), 1)
    words = [len(sentence.split()) for sentence in stimuli.sentences]
    length = np.bincount(stimuli.stimulus_of, weights=words) / np.bincount(stimuli.stimulus_of)
    rdms = [np.abs(length[one] - length[other])]
    if (groups := stimuli.groups) is not None:
        rdms.append((groups[one] != groups[other]).astype(float))
    return np.stack(rdms)


def partial_out(ranked: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """Regress control RDMs out of ranked ones: inner products of the residuals are partial Spearman correlations.

    Parameters
    ----------
    ranked : array of shape (n_rdms, n_pairs)
        From :func:`ranks`.
    controls : array of shape (n_controls, n_pairs)
        RDMs; one without any differences has no effect.

    Returns
    -------
    array of shape (n_rdms, n_pairs), float32
        Of unit length; zero where nothing is left.
    """
    given = ranks(controls).astype(np.float64)
    left, size, _ = np.linalg.svd(given.T, full_matrices=False)
    basis = left[:, size > 1e-6]
    rest = ranked - (ranked @ basis) @ basis.T
    norms = np.linalg.norm(rest, axis=1, keepdims=True)
    return np.where(norms > 1e-4, rest / np.where(norms > 0, norms, 1), 0).astype(np.float32)


def u_centred(grams: np.ndarray) -> np.ndarray:
    """Return U-centred Gram matrices of unit length [2]_: their inner products are debiased linear CKA.

    Parameters
    ----------
    grams : array of shape (n_grams, n_stimuli, n_stimuli)
        Inner products between stimuli, Y Yᵀ.

    Returns
    -------
    array of shape (n_grams, n_pairs)
        Upper triangles. The product of two is HSIC(K, L) / √(HSIC(K, K) HSIC(L, L)) with the unbiased estimate of HSIC
        [1]_: around 0 for unrelated representations, whatever their width; it can be negative.

    Raises
    ------
    BraintuneError
        For fewer than four stimuli.

    References
    ----------
    .. [1] Song et al. (2012), Feature selection via dependence maximization. JMLR 13.
    .. [2] Székely & Rizzo (2014), Partial distance correlation with methods for dissimilarities. Ann. Stat. 42.
    """
    n = grams.shape[-1]
    if n < 4:
        raise BraintuneError(f"debiased CKA of {n} stimuli is not defined; at least 4 are needed")
    one, other = np.triu_indices(n, 1)
    rows = []
    for matrix in grams:
        kernel = np.array(matrix, dtype=np.float64)
        kernel -= kernel.mean()  # U-centring is blind to a constant, rounding is not
        np.fill_diagonal(kernel, 0)
        total = kernel.sum(1)
        shift = total / (n - 2)
        values = (kernel - shift[:, None] - shift + total.sum() / ((n - 1) * (n - 2)))[one, other]
        norm = np.sqrt((values**2).sum())
        rows.append(values / (norm if norm > 0 else 1))
    return np.stack(rows)


# --- bootstrap ---------------------------------------------------------------------------------------------------


def bootstrap_spearman(
    rdms: np.ndarray,
    reference: np.ndarray,
    groups: np.ndarray,
    samples: int,
    seed: int,
    device: str | torch.device = "cpu",
) -> np.ndarray:
    """Return Spearman similarities to a reference RDM over bootstrap samples of groups of stimuli.

    A pair of stimuli is weighted by how often it was drawn. No stimulus or group is paired with its own copy, because
    this would give pairs within a group too much weight. Ranks are those within the sample.

    Parameters
    ----------
    rdms : array of shape (n_rdms, n_pairs)
    reference : array of shape (n_pairs,)
    groups : array of shape (n_stimuli,)
        Stimuli with equal labels are resampled together.
    samples : int
        Bootstrap samples.
    seed : int
    device : str or torch.device
        Where to compute, in float64.

    Returns
    -------
    array of shape (n_rdms, samples)
        NaN for a sample without two different stimuli.
    """
    names, member = np.unique(groups, return_inverse=True)
    one, other = torch.triu_indices(len(groups), len(groups), 1, device=device)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=samples)[:, member]
    member = torch.as_tensor(member, device=device)
    within = member[one] == member[other]
    classes = [torch.as_tensor(np.unique(r, return_inverse=True)[1], device=device) for r in (reference, *rdms)]
    result = torch.empty(len(rdms), samples, dtype=torch.float64, device=device)
    for s, times in enumerate(torch.as_tensor(drawn, dtype=torch.float64, device=device)):
        weight = torch.where(within, times[one], times[one] * times[other])
        shared = weight * _weighted_ranks(classes[0], weight)
        for r, tied in enumerate(classes[1:]):
            torch.dot(shared, _weighted_ranks(tied, weight), out=result[r, s])
        result[:, s] += torch.where(weight.any(), 0, torch.nan)
    return result.cpu().numpy()


def _weighted_ranks(tied: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return mid-ranks of a sample in which pair i occurs ``weight[i]`` times, centred and scaled to unit length.

    The numbers are whole or halves, so sums of them are exact in any order.
    """
    counts = torch.zeros_like(weight).scatter_add_(0, tied, weight)
    ranked = (counts.cumsum(0) - counts / 2).index_select(0, tied)
    ranked -= weight @ ranked / weight.sum().clamp(min=1)
    norm = (weight @ ranked.square()).sqrt()
    return ranked / torch.where(norm > 0, norm, 1)


# --- tables ------------------------------------------------------------------------------------------------------


def rsa_tables(study: Study, brain: BrainData, embeddings: Embeddings) -> dict[str, pd.DataFrame]:
    """Compare representations with each other, with the untuned model, and with every region of every participant.

    Parameters
    ----------
    study : Study
    brain : BrainData
    embeddings : mapping of Representation to array of shape (n_layers, n_stimuli, width)

    Returns
    -------
    dict of tidy tables
        ``representations``: every pair at the analysis layer: spearman, cka.
        ``untuned``: every representation and layer with the untuned model at the same layer (a representation with
        a single layer: with the untuned model's analysis layer): spearman, partial, cka, and at the analysis layer the
        95 % bootstrap interval of spearman, `low` … `high`.
        ``brain``: every participant, region, representation and layer: spearman, partial.
        ``ceiling``: every region: the noise ceiling from the agreement between participants [1]_. `upper`: mean
        similarity of a participant with the mean of all; `lower`: with the mean of the others.

    Notes
    -----
    `partial` is the partial Spearman correlation, controlling for length and passage (:func:`control_rdms`).

    References
    ----------
    .. [1] Nili et al. (2014), A toolbox for representational similarity analysis. PLOS Comput. Biol. 10.
    """
    grams, items = layer_grams(embeddings, len(brain.stimuli.names), study)
    rdms = gram_rdms(grams)
    ranked, centred = ranks(rdms), u_centred(grams.inner.cpu().numpy())
    controls = control_rdms(brain.stimuli)
    rest = partial_out(ranked, controls)
    similarity = {
        "spearman": (ranked @ ranked.T).astype(float),
        "partial": (rest @ rest.T).astype(float),
        "cka": centred @ centred.T,
    }
    regions = _region_ranks(brain)
    return {
        "representations": _pair_table(brain.name, items, similarity),
        "untuned": _untuned_table(study, brain, items, similarity, rdms),
        "brain": _brain_table(brain.name, items, {"spearman": ranked, "partial": rest}, regions, controls),
        "ceiling": _ceiling_table(brain.name, regions),
    }


def _pair_table(brain: str, items: pd.DataFrame, similarity: Mapping[str, np.ndarray]) -> pd.DataFrame:
    at = np.flatnonzero(items["analysis"])
    one, other = (i.ravel() for i in np.meshgrid(at, at, indexing="ij"))
    names = items["representation"].to_numpy()
    columns = {
        "brain": brain,
        "representation_a": names[one],
        "representation_b": names[other],
        "layer": items["layer"].to_numpy()[one],
    }
    return pd.DataFrame(columns | {name: values[one, other] for name, values in similarity.items()})


def _untuned_table(
    study: Study, brain: BrainData, items: pd.DataFrame, similarity: Mapping[str, np.ndarray], rdms: np.ndarray
) -> pd.DataFrame:
    untuned = items[items["kind"] == "untuned"]
    if untuned.empty:
        raise BraintuneError("no representation 'untuned' among the embeddings; it is the reference of the analysis")
    at_layer = dict(zip(untuned["layer"], untuned.index, strict=True))
    analysed = untuned.index[untuned["analysis"]][0]
    single = items.groupby("representation")["layer"].transform("size") == 1
    rows = items[items["kind"] != "untuned"].copy()
    missing = set(rows.loc[~single, "layer"]) - set(at_layer)
    if missing:
        raise BraintuneError(f"the untuned model has no layer {min(missing)}; all must come from the same backbone")
    reference = np.where(single[rows.index], analysed, [at_layer.get(layer, -1) for layer in rows["layer"]]).astype(int)
    for name, values in similarity.items():
        rows[name] = values[rows.index, reference]
    rows[["low", "high"]] = np.nan
    judged = rows.index[rows["analysis"]]
    if study.bootstrap and len(judged):
        groups = brain.stimuli.groups
        drawn_together = np.arange(len(brain.stimuli.names)) if groups is None else np.asarray(groups)
        device = pick_device(study.device, float64=True)
        drawn = bootstrap_spearman(
            rdms[judged], rdms[analysed], drawn_together, study.bootstrap, study.fold_seed, device
        )
        rows.loc[judged, ["low", "high"]] = np.nanquantile(drawn, [0.025, 0.975], axis=1).T
    rows.insert(0, "brain", brain.name)
    return rows.drop(columns="analysis").reset_index(drop=True)


def _region_ranks(brain: BrainData) -> dict[str, tuple[Sequence[str], np.ndarray]]:
    """Return, by region, the participants that have it and their ranked RDMs; one participant is read at a time."""
    ranked: dict[str, dict[str, np.ndarray]] = {}
    for participant in brain.participants:
        for region, responses in brain.load(participant).items():
            ranked.setdefault(region, {})[participant] = ranks(brain_rdm(responses))[0]
    return {region: (list(stack), np.stack(list(stack.values()))) for region, stack in ranked.items()}


def _brain_table(
    brain: str,
    items: pd.DataFrame,
    ranked: Mapping[str, np.ndarray],
    regions: Mapping[str, tuple[Sequence[str], np.ndarray]],
    controls: np.ndarray,
) -> pd.DataFrame:
    parts = {}
    for region, (participants, stack) in regions.items():
        responses = {"spearman": stack, "partial": partial_out(stack, controls)}
        similarity = {name: (values @ ranked[name].T).astype(float) for name, values in responses.items()}
        for row, participant in enumerate(participants):
            parts[brain, participant, region] = items.assign(**{name: s[row] for name, s in similarity.items()})
    table = pd.concat(parts, names=["brain", "participant", "region"])
    return table.drop(columns="analysis").reset_index([0, 1, 2]).reset_index(drop=True)


def _ceiling_table(brain: str, regions: Mapping[str, tuple[Sequence[str], np.ndarray]]) -> pd.DataFrame:
    rows = []
    for region, (participants, stack) in regions.items():
        if len(participants) > 1:  # agreement needs two
            total = stack.sum(0)
            lower = (stack * ranks(total - stack)).sum(1).mean()
            upper = (stack @ ranks(total)[0]).mean()
            rows.append((brain, region, len(participants), float(lower), float(upper)))
    return pd.DataFrame(rows, columns=["brain", "region", "participants", "lower", "upper"])
