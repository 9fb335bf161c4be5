"""Which representation can be read off a brain: folds, permutations and tidy tables around the engine in `gram`."""

import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd

from braintune import gram
from braintune.brain import BrainData, Stimuli
from braintune.device import pick_device
from braintune.store import read_arrays
from braintune.study import BraintuneError, DecodingSettings, Representation, Study

Folds = list[tuple[np.ndarray, np.ndarray]]
Embeddings = Mapping[Representation, np.ndarray]

#: Streams of random numbers drawn from `fold_seed`.
_SHUFFLE, _GROUP, _PERMUTE = range(3)


# --- folds -------------------------------------------------------------------------------------------------------


def make_folds(stimuli: Stimuli, design: str, settings: DecodingSettings) -> Folds | None:
    """Divide stimuli into folds.

    Parameters
    ----------
    stimuli : Stimuli
    design : {"shuffled", "grouped"}
        ``shuffled`` draws stimuli at random. ``grouped`` never splits a passage (or a topic, where there are no
        passages); for a story it takes contiguous blocks and drops `settings.gap` stimuli on each side of the test
        block from training.
    settings : DecodingSettings

    Returns
    -------
    list of (train, test) sorted index arrays, or None
        Every stimulus is tested once. None if the stimuli know neither groups nor contiguity, so that no grouped
        design exists.

    Raises
    ------
    BraintuneError
        If there are too few stimuli or groups for the folds asked for.
    """
    n = len(stimuli.names)
    groups = _groups(stimuli)
    if design == "shuffled":
        tests = np.array_split(_dice(settings, _SHUFFLE).permutation(n), settings.n_folds)
    elif stimuli.contiguous:
        tests = np.array_split(np.arange(n), settings.blocks)
    elif groups is None:
        return None
    else:
        tests = _balanced(groups, settings)
    gap = settings.gap if design == "grouped" and stimuli.contiguous else 0
    folds = [_fold(np.sort(test), n, gap) for test in tests]
    smallest = min(min(len(test) for _, test in folds), min(len(train) for train, _ in folds) - 1)
    if smallest < 2:
        raise BraintuneError(
            f"{n} stimuli are too few for {len(tests)} {design} folds: a fold needs 2 stimuli to test and 3 to train "
            "on; lower n_folds, blocks or gap"
        )
    return folds


def _fold(test: np.ndarray, n: int, gap: int) -> tuple[np.ndarray, np.ndarray]:
    near = (test[:, None] + np.arange(-gap, gap + 1)).ravel()
    return np.setdiff1d(np.arange(n), near), test


def _groups(stimuli: Stimuli) -> np.ndarray | None:
    groups = stimuli.topic if stimuli.passage is None else stimuli.passage
    return None if groups is None else np.asarray(groups)


def topics(stimuli: Stimuli) -> np.ndarray | None:
    """Return numbers of the groups whose pairs are scored apart: topics, or passages where no topics are known."""
    groups = stimuli.passage if stimuli.topic is None else stimuli.topic
    return None if groups is None else np.unique(groups, return_inverse=True)[1]


def _balanced(groups: np.ndarray, settings: DecodingSettings) -> list[np.ndarray]:
    """Give whole groups, in random order but larger ones first, each to the smallest fold so far."""
    names, sizes = np.unique(groups, return_counts=True)
    if len(names) < settings.n_folds:
        raise BraintuneError(
            f"n_folds: {settings.n_folds} grouped folds need as many passages, and there are {len(names)}; "
            f"allowed are 2 … {len(names)}"
        )
    order = _dice(settings, _GROUP).permutation(len(names))
    members: list[list] = [[] for _ in range(settings.n_folds)]
    filled = np.zeros(settings.n_folds, dtype=int)
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        smallest = int(filled.argmin())
        members[smallest].append(names[group])
        filled[smallest] += sizes[group]
    return [np.flatnonzero(np.isin(groups, fold)) for fold in members]


def _dice(settings: DecodingSettings, stream: int) -> np.random.Generator:
    return np.random.default_rng([settings.fold_seed, stream])


# --- permutations ------------------------------------------------------------------------------------------------


def permutations(stimuli: Stimuli, design: str, settings: DecodingSettings) -> np.ndarray:
    """Draw orders of the stimulus labels under which brain and content are unrelated.

    What the test folds keep together moves together, since exchanging single stimuli would also destroy dependence
    that the null hypothesis allows:

    - ``shuffled``: stimuli are permuted one by one;
    - ``grouped`` by passage: whole passages are permuted, the order within each kept (with passages of unequal size
      the labels slide over their edges);
    - ``grouped`` story: the labels are shifted around in a circle, by more than the gap, and half the time reversed,
      so that autocorrelation stays. There are fewer than two such orders per stimulus; when more permutations are
      asked for, all there are come back.

    Returns
    -------
    array of shape (n_permutations, n_stimuli)
        The same for every participant, so that a null can be averaged over participants.
    """
    n, count = len(stimuli.names), settings.permutations
    dice = _dice(settings, _PERMUTE)
    if design == "shuffled":
        drawn = [dice.permutation(n) for _ in range(count)]
    elif stimuli.contiguous:
        forward = [np.roll(np.arange(n), shift) for shift in range(settings.gap + 1, n - settings.gap)]
        backward = [np.roll(np.arange(n)[::-1], shift) for shift in range(n)]
        circle = forward + backward
        drawn = [circle[i] for i in dice.permutation(len(circle))[:count]]
    else:
        groups = _groups(stimuli)
        members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
        place = np.concatenate(members)
        drawn = []
        for _ in range(count):
            order = np.empty(n, dtype=int)
            order[place] = np.concatenate([members[i] for i in dice.permutation(len(members))])
            drawn.append(order)
    return np.array(drawn, dtype=int).reshape(-1, n)


# --- what goes in ------------------------------------------------------------------------------------------------


def load_embeddings(study: Study, brain: str) -> dict[Representation, np.ndarray]:
    """Read the embeddings of a brain's stimuli, [layers, stimuli, width] each, for all representations of a run.

    A control that the stimuli do not allow (a passage code where there are no passages) has no file: the embeddings
    step says why on its page, and it is left out here.

    Raises
    ------
    BraintuneError
        If another representation is not there.
    """
    files = {wanted: study.embedding_file(brain, wanted.name) for wanted in study.representations()}
    present = {wanted: file for wanted, file in files.items() if wanted.method != "control" or file.is_file()}
    return {wanted: read_arrays(file)["embedding"] for wanted, file in present.items()}


def analysis_layer(n_layers: int, layer: int) -> int:
    """Return the index of the analysis layer; a representation with one layer has only that."""
    if n_layers == 1:
        return 0
    if not -n_layers <= layer < n_layers:
        raise BraintuneError(f"layer: {layer} is not among 0 … {n_layers - 1}, nor -1 … -{n_layers} from the last")
    return layer % n_layers


def layer_grams(embeddings: Embeddings, n_stimuli: int, study: Study) -> tuple[gram.Grams, pd.DataFrame]:
    """Turn every layer of every representation into a Gram matrix.

    Returns
    -------
    Grams, in the order of the table's rows
    DataFrame
        One row a representation and layer: representation, task, method, seed, layer, and `analysis`, whether it is
        the analysis layer.
    """
    rows, layers = [], []
    for representation, embedding in embeddings.items():
        if embedding.ndim != 3 or embedding.shape[1] != n_stimuli:
            raise BraintuneError(
                f"embedding of {representation.name!r} has shape {embedding.shape}; allowed is [layers, "
                f"{n_stimuli} stimuli, width]: embed the stimuli of this brain again"
            )
        at = analysis_layer(len(embedding), study.layer)
        rows += [
            (representation.name, representation.task, representation.method, representation.seed, layer, layer == at)
            for layer in range(len(embedding))
        ]
        layers += list(embedding)
    table = pd.DataFrame(rows, columns=["representation", "task", "method", "seed", "layer", "analysis"])
    names = [f"{name}, layer {layer}" for name, layer in zip(table["representation"], table["layer"], strict=True)]
    device = pick_device(study.device, float64=True)
    return gram.gram_matrices(layers, study.standardise, device, names), table


# --- one participant ---------------------------------------------------------------------------------------------


def alphas(settings: DecodingSettings) -> np.ndarray:
    """Return the ridge penalties to choose from, ascending."""
    return np.logspace(*settings.alpha_exponents, settings.n_alphas)


def decode_participant(
    study: Study, brain: BrainData, participant: str, embeddings: Embeddings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Decode every representation and layer from every region of one participant, under every fold design.

    Parameters
    ----------
    study : Study
    brain : BrainData
        As :func:`braintune.brain.load_brain` returns it: it checks the responses that it reads.
    participant : str
    embeddings : mapping of Representation to array of shape (n_layers, n_stimuli, width)

    Returns
    -------
    table : DataFrame
        One row a region, design, fold, representation and layer: `alpha` is the chosen penalty, `alpha_edge` whether
        it lies at an edge of the grid; for the scores see :func:`braintune.gram.scores`. Groups are the topics, or
        the passages where no topics are known; with neither, their two scores are NaN.
    null : DataFrame
        One row a region, design and permutation: the scores of the untuned representation at the analysis layer with
        permuted labels, penalty chosen anew, mean over folds. See :func:`permutations`.

    Raises
    ------
    BraintuneError
        If the embeddings cannot be analysed, or none of the designs exists for these stimuli.
    """
    regions = brain.load(participant)
    grams, items = layer_grams(embeddings, len(brain.stimuli.names), study)
    tables, nulls = [], []
    for design in study.designs:
        folds = make_folds(brain.stimuli, design, study)
        if folds is None:
            warnings.warn(
                f"{brain.name} has no {design} design: its stimuli have neither passages nor topics, and are no story",
                stacklevel=2,
            )
            continue
        source, order = _with_permutations(items, brain.stimuli, design, study)
        found = gram.decode(grams, regions, folds, alphas(study), source, order, topics(brain.stimuli))
        where = {"brain": brain.name, "participant": participant, "folds": design}
        tables.append(_score_table(where, list(regions), items, found, study))
        nulls.append(_null_table(where, list(regions), items, found))
    if not tables:
        raise BraintuneError(f"designs: {brain.name} knows none of {', '.join(study.designs)}; allowed here: shuffled")
    return pd.concat(tables, ignore_index=True), pd.concat(nulls, ignore_index=True)


def _with_permutations(
    items: pd.DataFrame, stimuli: Stimuli, design: str, study: Study
) -> tuple[np.ndarray, np.ndarray]:
    """Return what to decode: every Gram matrix as it is, then the untuned one at the analysis layer, permuted."""
    orders = permutations(stimuli, design, study)
    untuned = np.flatnonzero((items["method"] == "untuned") & items["analysis"])
    orders = orders[: len(orders) if len(untuned) else 0]
    source = np.concatenate([np.arange(len(items)), np.repeat(untuned[:1], len(orders))])
    return source, np.concatenate([np.tile(np.arange(orders.shape[1]), (len(items), 1)), orders])


def _score_table(
    where: Mapping[str, str], regions: list[str], items: pd.DataFrame, found: Mapping[str, np.ndarray], study: Study
) -> pd.DataFrame:
    n_folds, n_regions, _ = found["choice"].shape
    fold, region, item = (i.ravel() for i in np.indices((n_folds, n_regions, len(items))))
    choice = found["choice"][:, :, : len(items)].ravel().astype(int)
    columns = {
        "brain": where["brain"],
        "participant": where["participant"],
        "region": np.array(regions, dtype=object)[region],
        **{name: items[name].to_numpy()[item] for name in ("representation", "task", "method", "seed", "layer")},
        "folds": where["folds"],
        "fold": fold,
        "alpha": alphas(study)[choice],
        "alpha_edge": np.isin(choice, [0, study.n_alphas - 1]) & (study.n_alphas > 2),
    }
    values = {name: found[name][:, :, : len(items)].ravel() for name in (*gram.SCORES, *gram.GROUP_SCORES)}
    return pd.DataFrame(columns | values)


def _null_table(
    where: Mapping[str, str], regions: list[str], items: pd.DataFrame, found: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    scores = {name: found[name][:, :, len(items) :].mean(0) for name in gram.SCORES}
    region, permutation = (i.ravel() for i in np.indices(scores["pairwise"].shape))
    untuned = items[(items["method"] == "untuned") & items["analysis"]]
    columns = {
        "brain": where["brain"],
        "participant": where["participant"],
        "region": np.array(regions, dtype=object)[region],
        "representation": untuned["representation"].iloc[0] if len(untuned) else "",
        "layer": int(untuned["layer"].iloc[0]) if len(untuned) else 0,
        "folds": where["folds"],
        "permutation": permutation,
    }
    return pd.DataFrame(columns | {name: values.ravel() for name, values in scores.items()})
