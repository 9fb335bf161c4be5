"""Turn the stimuli of a brain data set into vectors: every layer of every representation, and the controls.

A sentence's vector is the mean of a layer's hidden states over the sentence's own tokens: no special tokens, and no
prefix, which adds keys and values but no position. A stimulus of several sentences is the mean of their vectors.
"""

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from braintune.core.base import BraintuneError, lookup
from braintune.core.device import pick_device
from braintune.core.store import write_arrays
from braintune.core.study import Representation, Study
from braintune.datasets.brains.base import BrainData, Stimuli, stimulus_means
from braintune.models.backbones import Backbone, load_backbone
from braintune.models.controls import CONTROLS, NotAvailable, user_vectors
from braintune.models.inputs import pad_rows
from braintune.models.tuning import load_tuned, reproducible

# --- sentences ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tokens:
    """Tokenised sentences, each different one once.

    Attributes
    ----------
    sequences : list of (tuple of int, tuple of int)
        The different sentences, longest first: token ids, and 1 for special tokens, 0 for the sentence's own.
    index : int array of shape (n_sentences,)
        Each sentence's index into `sequences`.
    truncated : int
        Sentences that were cut.
    fill : int
        Padding token.
    """

    sequences: list[tuple[tuple[int, ...], tuple[int, ...]]]
    index: np.ndarray
    truncated: int
    fill: int


def embed(
    backbone: Backbone,
    sentences: Sequence[str],
    *,
    pooling: str = "mean",
    batch: int = 64,
    max_tokens: int | None = None,
) -> np.ndarray:
    """Embed sentences at every layer, in one pass.

    Parameters
    ----------
    backbone : Backbone
    sentences : sequence of str, length n_sentences
        Neither order nor duplicates change a bit of a sentence's vectors.
    pooling : str
        A key of :data:`POOLINGS`.
    batch : int
        Sentences per forward pass.
    max_tokens : int, optional
        Longest input, special tokens included; by default, what the backbone can read.

    Returns
    -------
    array of shape (layers + 1, n_sentences, width), float32
        Layer 0 is the embedding layer.

    Raises
    ------
    BraintuneError
        For a sentence without tokens, and for `cls` where the tokeniser puts no token before a sentence.
    """
    limit = min(max_tokens or backbone.longest, backbone.longest)
    return embed_tokens(backbone.model, tokenise(backbone.tokenizer, sentences, limit), pooling, batch)


def tokenise(tokenizer: PreTrainedTokenizerBase, sentences: Sequence[str], max_tokens: int) -> Tokens:
    """Tokenise sentences, cut those that are too long, and sort the different ones by length.

    Warns
    -----
    UserWarning
        If sentences were cut.

    Raises
    ------
    BraintuneError
        For a sentence without any but special and unknown tokens.
    """
    encodings = tokenizer(list(sentences), truncation=True, max_length=max_tokens, verbose=False).encodings
    pairs = [(tuple(encoding.ids), tuple(encoding.special_tokens_mask)) for encoding in encodings]
    empty = {tokenizer.unk_token_id, *tokenizer.all_special_ids}
    for index, (ids, special) in enumerate(pairs):
        if all(masked or token in empty for token, masked in zip(ids, special, strict=True)):
            raise BraintuneError(
                f"sentence {index} ({sentences[index]!r}) has no token that the backbone knows, so its vector "
                "would say nothing about it; remove it from the stimuli, or give its text"
            )
    if cut := [sentence for sentence, encoding in zip(sentences, encodings, strict=True) if encoding.overflowing]:
        warnings.warn(
            f"{len(cut)} of {len(sentences)} sentences have more than {max_tokens} tokens and were cut; the first is "
            f"{cut[0][:40]!r}…; raise max_tokens if the backbone can read more",
            stacklevel=2,
        )
    sequences = sorted(set(pairs), key=lambda pair: (-len(pair[0]), pair))
    number = {pair: i for i, pair in enumerate(sequences)}
    return Tokens(sequences, np.array([number[pair] for pair in pairs]), len(cut), tokenizer.pad_token_id or 0)


@torch.inference_mode()
def embed_tokens(model: PreTrainedModel, tokens: Tokens, pooling: str, batch: int) -> np.ndarray:
    """Embed tokenised sentences; shapes and faults as in :func:`embed`."""
    weigh = lookup(POOLINGS, pooling, "pooling")
    model.eval()
    parts = []
    for start in range(0, len(tokens.sequences), batch):
        ids, special = zip(*tokens.sequences[start : start + batch], strict=True)
        real = pad_rows([[1] * len(row) for row in ids], 0).to(model.device)
        inputs = pad_rows(ids, tokens.fill).to(model.device)
        states = model(input_ids=inputs, attention_mask=real, output_hidden_states=True).hidden_states
        weights = weigh(real, pad_rows(special, 1).to(model.device)).to(states[0].dtype)[:, None]  # [b, 1, l]
        parts.append(torch.cat([weights @ state for state in states], dim=1).float().cpu().numpy())
    vectors = np.concatenate(parts).swapaxes(0, 1)  # [layers + 1, different sentences, width]
    return np.ascontiguousarray(vectors[:, tokens.index])


def _mean(real: Tensor, special: Tensor) -> Tensor:
    own = real * (1 - special)
    return own / own.sum(1, keepdim=True)


def _first(real: Tensor, special: Tensor) -> Tensor:
    if not special[:, 0].all():
        raise BraintuneError(
            "pooling 'cls': this backbone's tokeniser puts no special token before a sentence; set `pooling: mean`"
        )
    return (torch.arange(real.shape[1], device=real.device) == 0).expand_as(real)


#: Ways to make one vector of a sentence's tokens: name → function of (real, special), which returns weights (b, l).
POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mean": _mean, "cls": _first}


# --- all representations of a study ------------------------------------------------------------------------------


def embed_stimuli(study: Study, brain: BrainData, save: bool = True) -> pd.DataFrame:
    """Embed the stimuli of a brain data set with every representation of a study.

    If `save`, one file is written for each. It holds the array ``embedding`` (layers + 1, n_stimuli, width), float32;
    a control without a backbone has one layer. A control that the stimuli do not allow is left out, and the table
    says why. Nuisance regressors of the stimuli are regressed out of every layer.

    Returns
    -------
    DataFrame
        One row for each representation: ``representation``, ``kind``, ``method``, ``task``, ``seed``, ``layers`` (in
        the file), ``width``, ``seconds``, ``truncated`` (sentences), ``cosine`` (mean over the stimuli, to the untuned
        vector at the last layer) and ``skipped`` (the reason, or nothing).

    Raises
    ------
    BraintuneError
        For unknown controls, sentences without tokens, tunings that have not been run, and non-finite vectors.
    """
    for control in study.controls:
        lookup(CONTROLS, control, "control")
    device = pick_device(study.device)
    stimuli, rows, tokens, untuned = brain.stimuli, [], None, None
    with reproducible(study, study.world_seed, device):
        for representation in study.representations():
            started = time.perf_counter()
            named = {"representation": representation.name, "kind": representation.kind}
            named |= {"method": representation.method, "task": representation.task, "seed": str(representation.seed)}
            row: dict[str, Any] = named | {"seed": representation.seed, "layers": 0, "width": 0, "seconds": 0.0}
            row |= {"truncated": 0, "cosine": np.nan, "skipped": ""}
            rows.append(row)
            file = study.embedding_file(brain.name, representation.name)
            try:
                source = source_of(study, representation, stimuli, device)
            except NotAvailable as reason:
                if save:  # a file of an older run must not be taken for one of this run
                    file.unlink(missing_ok=True)
                row["skipped"] = str(reason)
                continue
            if isinstance(source, Backbone):
                if tokens is None:  # all representations of a study share one tokeniser
                    limit = min(study.max_tokens, source.longest)
                    tokens = tokenise(source.tokenizer, stimuli.sentences, limit)
                vectors = embed_tokens(source.model, tokens, study.pooling, study.embedding_batch)
                embedding = stimulus_means(vectors, stimuli)
                untuned = embedding[-1] if untuned is None else untuned  # the untuned representation is the first
                row |= {"truncated": tokens.truncated, "cosine": mean_cosine(embedding[-1], untuned)}
            else:
                embedding = source[None]
            if not np.isfinite(embedding).all():
                raise BraintuneError(
                    f"representation {representation.name!r} of {brain.name!r} holds non-finite values; its tuning "
                    "has diverged: lower the learning_rate and tune again"
                )
            if save:
                write_arrays(file, {"embedding": embedding}, _facts(study, brain, source) | named)
            row |= {"layers": len(embedding), "width": embedding.shape[2], "seconds": time.perf_counter() - started}
    return pd.DataFrame(rows)


def source_of(
    study: Study, representation: Representation, stimuli: Stimuli, device: torch.device
) -> np.ndarray | Backbone:
    """Return the backbone that makes a representation, or the representation [n_stimuli, width] itself.

    Raises
    ------
    BraintuneError
        If a tuning has not been run; :class:`braintune.models.controls.NotAvailable` if the stimuli do not allow a
        control.
    """
    if representation.kind == "untuned":
        return load_backbone(study.backbone, device=device)
    if representation.kind == "control":
        file = study.vectors.get(representation.name)
        return user_vectors(file, stimuli) if file else CONTROLS[representation.name](study, stimuli)
    return load_tuned(study, representation.task, representation.method, representation.seed)


def mean_cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean cosine between the rows of two arrays of shape (n_stimuli, width)."""
    first, second = first.astype(np.float64), second.astype(np.float64)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return float(np.mean(np.sum(first * second, axis=1) / np.maximum(lengths, np.finfo(np.float64).tiny)))


def _facts(study: Study, brain: BrainData, source: np.ndarray | Backbone) -> dict[str, str]:
    """Return what the file of an embedding says about its source and the brain data."""
    facts = {"backbone": "", "fingerprint": "", "pooling": ""}
    if isinstance(source, Backbone):
        facts = {"backbone": source.name, "fingerprint": source.fingerprint, "pooling": study.pooling}
    return facts | {"brain": brain.name, "simulated": str(brain.simulated).lower()}
