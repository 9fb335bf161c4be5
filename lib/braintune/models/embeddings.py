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
from braintune.core.preprocess import regress_out
from braintune.core.store import write_arrays
from braintune.core.study import Representation, Study
from braintune.datasets.brains.base import BrainData, Stimuli, stimulus_means
from braintune.models.backbones import Backbone, load_backbone
from braintune.models.controls import (
    CONTROLS,
    NotAvailable,
    user_vectors,
)
from braintune.models.tuning import load_tuned, longest_input, reproducible

# --- sentences ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tokens:
    """Tokenised sentences, each different one once.

    Attributes
    ----------
    ids : list of tuple of int
        The different token sequences, longest first; equal lengths in the order of their ids.
    special : list of tuple of int
        1 where the tokeniser put a token that is not the sentence's own.
    place : int array of shape (n_sentences,)
        Each sentence's index into `ids`.
    truncated : int
        Sentences that were cut.
    pad : int
        Padding token.
    """

    ids: list[tuple[int, ...]]
    special: list[tuple[int, ...]]
    place: np.ndarray
    truncated: int
    pad: int


def embed(
    backbone: Backbone,
    sentences: Sequence[str],
    *,
    pooling: str = "mean",
    batch: int = 64,
    max_tokens: int | None = None,
    device: str | torch.device | None = None,
) -> np.ndarray:
    """Embed sentences at every layer, in one pass.

    Parameters
    ----------
    backbone : Backbone
    sentences : sequence of str, length n_sentences
        In any order, duplicates included: neither changes a bit of a sentence's vectors.
    pooling : str
        A key of :data:`POOLINGS`.
    batch : int
        Sentences per forward pass.
    max_tokens : int, optional
        Longest input, special tokens included; by default, what the backbone can read.
    device : str or torch.device, optional
        By default, where the backbone is.

    Returns
    -------
    array of shape (layers + 1, n_sentences, width), float32
        Layer 0 is the embedding layer.

    Raises
    ------
    BraintuneError
        For a sentence without tokens, and for `cls` where the tokeniser puts no token before a sentence.
    """
    limit = min(max_tokens or longest_input(backbone), longest_input(backbone))
    tokens = tokenise(backbone.tokenizer, sentences, limit)
    return embed_tokens(backbone.model.to(device or backbone.model.device), tokens, pooling, batch)


def tokenise(tokenizer: PreTrainedTokenizerBase, sentences: Sequence[str], max_tokens: int) -> Tokens:
    """Tokenise sentences, cut those that are too long, and order them by length.

    Warns
    -----
    UserWarning
        If sentences were cut.

    Raises
    ------
    BraintuneError
        For a sentence that is empty or has no token of its own.
    """
    options = {"return_special_tokens_mask": True, "return_attention_mask": False, "verbose": False}
    found = tokenizer(list(sentences), **options)
    pairs = [(tuple(i), tuple(s)) for i, s in zip(found["input_ids"], found["special_tokens_mask"], strict=True)]
    for index, (_, special) in enumerate(pairs):
        if all(special):
            raise BraintuneError(
                f"sentence {index} ({sentences[index]!r}) has no token of its own, so it has no vector; remove it from "
                "the stimuli, or give its text"
            )
    long = [index for index, (ids, _) in enumerate(pairs) if len(ids) > max_tokens]
    for index in long:  # cut by the tokeniser, which keeps the special tokens
        cut = tokenizer(sentences[index], truncation=True, max_length=max_tokens, **options)
        pairs[index] = tuple(cut["input_ids"]), tuple(cut["special_tokens_mask"])
    if long:
        warnings.warn(
            f"{len(long)} of {len(pairs)} sentences have more than {max_tokens} tokens and were cut, the first is "
            f"{sentences[long[0]][:40]!r}…; raise max_tokens if the backbone can read more",
            stacklevel=2,
        )
    different = sorted(set(pairs), key=lambda pair: (-len(pair[0]), pair))
    number = {pair: place for place, pair in enumerate(different)}
    place = np.array([number[pair] for pair in pairs], dtype=np.int64)
    return Tokens([i for i, _ in different], [s for _, s in different], place, len(long), tokenizer.pad_token_id or 0)


@torch.inference_mode()
def embed_tokens(model: PreTrainedModel, tokens: Tokens, pooling: str, batch: int) -> np.ndarray:
    """Embed tokenised sentences; shapes and faults as in :func:`embed`."""
    weigh = lookup(POOLINGS, pooling, "pooling")
    model.eval()
    parts = []
    for start in range(0, len(tokens.ids), batch):
        ids, real, special = _pad(tokens, slice(start, start + batch), model.device)
        states = model(input_ids=ids, attention_mask=real, output_hidden_states=True).hidden_states
        weights = weigh(real, special).to(states[0].dtype)[:, None]  # [b, 1, l]
        parts.append(torch.cat([weights @ state for state in states], dim=1).float().cpu().numpy())
    vectors = np.concatenate(parts).swapaxes(0, 1)  # [layers + 1, different sentences, width]
    return np.ascontiguousarray(vectors[:, tokens.place])


def _pad(tokens: Tokens, rows: slice, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return ids, which of them are real, and which are special, each of shape (b, l)."""
    ids, special = tokens.ids[rows], tokens.special[rows]
    shape = len(ids), len(ids[0])
    padded = np.full((3, *shape), [[[tokens.pad]], [[0]], [[1]]], dtype=np.int64)
    for row, (sequence, mask) in enumerate(zip(ids, special, strict=True)):
        padded[:, row, : len(sequence)] = sequence, (1,) * len(sequence), mask
    return tuple(torch.from_numpy(padded).to(device))


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
    """Embed the stimuli of a brain data set with every representation of a study; if `save`, write one file
    for each.

    A file holds the array ``embedding`` (layers + 1, n_stimuli, width), float32; a control that is no backbone has one
    layer. A control that the stimuli do not allow is left out, and the table says why. Nuisance regressors of the
    stimuli are taken out of every layer.

    Returns
    -------
    DataFrame
        One row for each representation: ``representation``, ``method``, ``task``, ``seed``, ``layers`` (in the file),
        ``width``, ``seconds``, ``truncated`` (sentences), ``cosine`` (mean over the stimuli, to the untuned vector at
        the last layer) and ``skipped`` (the reason, or nothing).

    Raises
    ------
    BraintuneError
        For unknown controls, sentences without tokens, tunings that have not been run, and non-finite vectors.
    """
    for control in study.controls:
        lookup(CONTROLS, control, "control")
    device = pick_device(study.device)
    rows, tokens, untuned = [], None, None
    with reproducible(study, study.world_seed, device):
        for wanted in study.representations():
            started = time.perf_counter()
            file = study.embedding_file(brain.name, wanted.name)
            row: dict[str, Any] = {
                "representation": wanted.name, "method": wanted.method, "task": wanted.task, "seed": wanted.seed,
                "layers": 0, "width": 0, "seconds": 0.0, "truncated": 0, "cosine": np.nan, "skipped": "",
            }  # fmt: skip
            rows.append(row)
            try:
                source = _source(study, wanted, brain.stimuli, device)
            except NotAvailable as reason:
                if save:
                    file.unlink(missing_ok=True)  # an older run's must not pass for this one's
                row["skipped"] = str(reason)
                continue
            if isinstance(source, Backbone):
                if tokens is None:  # all representations of a study share one tokeniser
                    limit = min(study.max_tokens, longest_input(source))
                    tokens = tokenise(source.tokenizer, brain.stimuli.sentences, limit)
                vectors = embed_tokens(source.model, tokens, study.pooling, study.embedding_batch)
                embedding = stimulus_means(vectors, brain.stimuli)
                untuned = embedding[-1] if untuned is None else untuned  # the untuned representation is the first
                row |= {"truncated": tokens.truncated, "cosine": _cosine(embedding[-1], untuned)}
            else:
                embedding = source[None]
            if brain.stimuli.nuisance is not None:  # it was taken out of the responses too
                embedding = regress_out(embedding.swapaxes(0, 1), brain.stimuli.nuisance).swapaxes(0, 1)
            _check_finite(brain, wanted, embedding)
            if save:
                _write(study, brain, wanted, source, embedding)
            row |= {"layers": len(embedding), "width": embedding.shape[2], "seconds": time.perf_counter() - started}
    return pd.DataFrame(rows)


def _source(study: Study, wanted: Representation, stimuli: Stimuli, device: torch.device) -> np.ndarray | Backbone:
    """Return the backbone that makes a representation, or the representation itself."""
    if wanted.method == "untuned":
        return load_backbone(study.backbone, device=device)
    if wanted.method == "control":
        own = study.vectors.get(wanted.name)
        return user_vectors(own, stimuli) if own else CONTROLS[wanted.name](study, stimuli)
    return load_tuned(study, wanted.task, wanted.method, wanted.seed)


def _cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean cosine between the rows of two arrays of shape (n_stimuli, width)."""
    first, second = first.astype(np.float64), second.astype(np.float64)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return float(np.mean(np.sum(first * second, axis=1) / np.maximum(lengths, np.finfo(np.float64).tiny)))


def _check_finite(brain: BrainData, wanted: Representation, embedding: np.ndarray) -> None:
    if not np.isfinite(embedding).all():
        raise BraintuneError(
            f"representation {wanted.name!r} of {brain.name!r} holds non-finite values; its tuning has diverged: lower "
            "the learning_rate and tune again"
        )


def _write(
    study: Study, brain: BrainData, wanted: Representation, source: np.ndarray | Backbone, embedding: np.ndarray
) -> None:
    facts = {"backbone": "", "fingerprint": "", "pooling": ""}
    if isinstance(source, Backbone):
        facts = {"backbone": source.name, "fingerprint": source.fingerprint, "pooling": study.pooling}
    facts |= {
        "brain": brain.name,
        "simulated": str(brain.simulated).lower(),
        "representation": wanted.name,
        "method": wanted.method,
        "task": wanted.task,
        "seed": str(wanted.seed),
    }
    write_arrays(study.embedding_file(brain.name, wanted.name), {"embedding": embedding}, facts)
