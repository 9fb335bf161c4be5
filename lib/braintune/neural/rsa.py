"""Representational similarity: which stimuli a representation, or a region, finds alike.

All comparisons run on the Gram matrices of `gram`, so they see the same (standardised) representations as decoding.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from braintune.core.base import BraintuneError
from braintune.core.preprocess import standardised
from braintune.core.study import Study
from braintune.datasets.brains.base import BrainData, Stimuli
from braintune.neural.representations import Embeddings, layer_grams
from braintune.neural.ridge import Grams

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
    values = standardised(responses)
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
    stack = []
    for inner, m, d in zip(grams.inner.cpu(), mean, width, strict=True):
        stack.append(_correlation_distance(inner.double().numpy() - d * np.outer(m, m)))
    return np.stack(stack)


# --- similarities ------------------------------------------------------------------------------------------------


def ranks(rdms: np.ndarray) -> np.ndarray:
    """Return RDMs as centred ranks of unit length (ties share their mean rank), so that Spearman is a product.

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


def spearman_rsa(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return Spearman correlations between two stacks of RDMs: ranked once, then one matrix product.

    Parameters
    ----------
    a, b : arrays of shape (n_a, n_pairs) and (n_b, n_pairs)

    Returns
    -------
    array of shape (n_a, n_b)
    """
    return ranks(a) @ ranks(b).T


def control_rdms(stimuli: Stimuli) -> np.ndarray:
    """Return the dissimilarities that stimuli have without being understood.

    Parameters
    ----------
    stimuli : Stimuli

    Returns
    -------
    array of shape (n_controls, n_pairs)
        Differences in length (words; of several sentences, their mean), and, where there are groups, whether two
        stimuli come from different passages (topics where no passages are known).
    """
    one, other = np.triu_indices(len(stimuli.names), 1)
    words = [len(sentence.split()) for sentence in stimuli.sentences]
    length = np.bincount(stimuli.stimulus_of, weights=words) / np.bincount(stimuli.stimulus_of)
    found = [np.abs(length[one] - length[other])]
    groups = stimuli.topic if stimuli.passage is None else stimuli.passage
    if groups is not None:
        groups = np.asarray(groups)
        found.append((groups[one] != groups[other]).astype(float))
    return np.stack(found)


def partial_out(ranked: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """Take control RDMs out of ranked ones, so that products of the rest are partial Spearman correlations.

    Parameters
    ----------
    ranked : array of shape (n_rdms, n_pairs)
        From :func:`ranks`.
    controls : array of shape (n_controls, n_pairs)
        RDMs; one without any differences takes nothing out.

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


def debiased_cka(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return debiased linear centred kernel alignment between two stacks of Gram matrices.

    Parameters
    ----------
    a, b : arrays of shape (n_a, n_stimuli, n_stimuli) and (n_b, n_stimuli, n_stimuli)
        Inner products between stimuli, Y Yᵀ.

    Returns
    -------
    array of shape (n_a, n_b)
        HSIC(K, L) / √(HSIC(K, K) HSIC(L, L)) with the unbiased estimate of HSIC [1]_, which is the inner product of
        U-centred matrices [2]_. Around 0 for unrelated representations, whatever their width; it can be negative.

    References
    ----------
    .. [1] Song et al. (2012), Feature selection via dependence maximization. JMLR 13.
    .. [2] Székely & Rizzo (2014), Partial distance correlation with methods for dissimilarities. Ann. Stat. 42.
    """
    return u_centred(a) @ u_centred(b).T


def u_centred(grams: np.ndarray) -> np.ndarray:
    """Return U-centred Gram matrices of unit length, as [n, n_pairs] of their upper triangles.

    Raises
    ------
    BraintuneError
        For fewer than four stimuli.
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
    rdms: np.ndarray, reference: np.ndarray, groups: np.ndarray, samples: int, seed: int
) -> np.ndarray:
    """Return Spearman similarities to a reference RDM when groups of stimuli are drawn anew.

    A pair of stimuli counts as often as both were drawn. Nothing is paired with its own copy, neither a stimulus nor
    its group, which would give pairs within a group more weight than they have. Ranks are those within the sample.

    Parameters
    ----------
    rdms : array of shape (n_rdms, n_pairs)
    reference : array of shape (n_pairs,)
    groups : array of shape (n_stimuli,)
        Stimuli with equal labels are drawn together.
    samples : int
        Bootstrap samples.
    seed : int

    Returns
    -------
    array of shape (n_rdms, samples)
        NaN for a sample without two different stimuli.
    """
    names, member = np.unique(groups, return_inverse=True)
    one, other = np.triu_indices(len(groups), 1)
    dice = np.random.default_rng(seed)
    drawn = dice.multinomial(len(names), np.full(len(names), 1 / len(names)), size=samples)[:, member]
    within = member[one] == member[other]
    classes = [np.unique(r, return_inverse=True)[1] for r in (reference, *rdms)]
    result = np.empty((len(rdms), samples))
    for s, times in enumerate(drawn.astype(np.float64)):
        weight = np.where(within, times[one], times[one] * times[other])
        standard = [_weighted_ranks(tied, weight) for tied in classes]
        shared = weight * standard[0]
        for r, ranked in enumerate(standard[1:]):
            result[r, s] = shared @ ranked if weight.any() else np.nan
    return result


def _weighted_ranks(tied: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return mid-ranks of a sample in which pair i occurs ``weight[i]`` times, centred and scaled to unit length."""
    counts = np.bincount(tied, weight)
    ranked = (np.cumsum(counts) - counts / 2)[tied]
    total = weight.sum()
    ranked -= weight @ ranked / total if total else 0
    norm = np.sqrt(weight @ ranked**2)
    return ranked / (norm if norm > 0 else 1)


def bootstrap_groups(stimuli: Stimuli) -> np.ndarray:
    """Return what is drawn together in the bootstrap: passages where there are some, else single stimuli."""
    return np.arange(len(stimuli.names)) if stimuli.passage is None else np.asarray(stimuli.passage)


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
        ``ceiling``: every region: what the participants' agreement allows [1]_. `upper`: mean similarity of a
        participant with the mean of all; `lower`: with the mean of the others.

    Notes
    -----
    `partial` is the Spearman correlation without what length and passage explain (:func:`control_rdms`).

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
    untuned = items[items["method"] == "untuned"]
    if untuned.empty:
        raise BraintuneError("no representation 'untuned' among the embeddings; it is the reference of the analysis")
    at_layer = dict(zip(untuned["layer"], untuned.index, strict=True))
    analysed = untuned.index[untuned["analysis"]][0]
    single = items.groupby("representation")["layer"].transform("size") == 1
    rows = items[items["method"] != "untuned"].copy()
    missing = set(rows.loc[~single, "layer"]) - set(at_layer)
    if missing:
        raise BraintuneError(f"the untuned model has no layer {min(missing)}; all must come from the same backbone")
    reference = np.where(single[rows.index], analysed, [at_layer.get(layer, -1) for layer in rows["layer"]]).astype(int)
    for name, values in similarity.items():
        rows[name] = values[rows.index, reference]
    rows[["low", "high"]] = np.nan
    judged = rows.index[rows["analysis"]]
    if study.bootstrap and len(judged):
        drawn = bootstrap_spearman(
            rdms[judged], rdms[analysed], bootstrap_groups(brain.stimuli), study.bootstrap, study.fold_seed
        )
        rows.loc[judged, ["low", "high"]] = np.nanquantile(drawn, [0.025, 0.975], axis=1).T
    rows.insert(0, "brain", brain.name)
    return rows.drop(columns="analysis").reset_index(drop=True)


def _region_ranks(brain: BrainData) -> dict[str, tuple[Sequence[str], np.ndarray]]:
    """Return, by region, the participants that have it and their ranked RDMs; one participant is read at a time."""
    found: dict[str, tuple[list[str], list[np.ndarray]]] = {}
    for participant in brain.participants:
        for region, responses in brain.load(participant).items():
            names, stack = found.setdefault(region, ([], []))
            names.append(participant)
            stack.append(ranks(brain_rdm(responses))[0])
    return {region: (names, np.stack(stack)) for region, (names, stack) in found.items()}


def _brain_table(
    brain: str,
    items: pd.DataFrame,
    ranked: Mapping[str, np.ndarray],
    regions: Mapping[str, tuple[Sequence[str], np.ndarray]],
    controls: np.ndarray,
) -> pd.DataFrame:
    parts = []
    for region, (participants, stack) in regions.items():
        theirs = {"spearman": stack, "partial": partial_out(stack, controls)}
        values = {name: (theirs[name] @ ranked[name].T).astype(float) for name in theirs}
        for place, participant in enumerate(participants):
            part = items.drop(columns="analysis").assign(**{name: rows[place] for name, rows in values.items()})
            part.insert(0, "region", region)
            part.insert(0, "participant", participant)
            parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    table.insert(0, "brain", brain)
    return table


def _ceiling_table(brain: str, regions: Mapping[str, tuple[Sequence[str], np.ndarray]]) -> pd.DataFrame:
    rows = []
    for region, (participants, stack) in regions.items():
        if len(participants) < 2:  # agreement needs two
            continue
        total = stack.sum(0)
        others = ranks(total - stack)
        rows.append(
            (
                brain,
                region,
                len(participants),
                float((stack * others).sum(1).mean()),
                float((stack @ ranks(total)[0]).mean()),
            )
        )
    return pd.DataFrame(rows, columns=["brain", "region", "participants", "lower", "upper"])
