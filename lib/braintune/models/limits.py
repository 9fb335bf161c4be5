"""Does a tokenizer fit its model? Vocabulary, positions and token types, compared before any long work."""

import sys
import warnings

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from braintune.core.base import BraintuneError
from braintune.datasets.hub import first_line
from braintune.models.families import position_table

#: Tokens beside the special ones that a model must be able to read.
SHORTEST = 8
#: Longest input that is tried, in tokens.
TRIED = 1024


def longest_input(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return how many tokens a model can read, special ones included: by its positions and its tokenizer.

    In RoBERTa and MPNet the positions begin after the number of the padding token.
    """
    table = position_table(model)
    if table is None:
        positions = getattr(model.config, "max_position_embeddings", None) or -1  # XLNet has -1
        positions = positions if positions > 0 else sys.maxsize
    else:
        positions = table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)
    return min(tokenizer.model_max_length or sys.maxsize, positions)


def reads_token_types(model: PreTrainedModel) -> bool:
    """Return whether a model tells the first of two texts from the second by token types."""
    tables = (m for name, m in model.named_modules() if name.endswith("token_type_embeddings"))
    return any(getattr(table, "num_embeddings", 0) > 1 for table in tables)


def check_fit(name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Check that a model can read what its tokenizer writes: a short pair with padding, and a longest input.

    Raises
    ------
    BraintuneError
        If it cannot; the message names the backbone, the numbers and the remedy.

    Warns
    -----
    UserWarning
        If the tokenizer knows less than half of the model's vocabulary.
    """
    _check_vocabulary(name, model, tokenizer)
    longest = longest_input(model, tokenizer)
    if longest < (needed := SHORTEST + tokenizer.num_special_tokens_to_add(pair=True)):
        raise BraintuneError(
            f"backbone {name!r} can read {longest} tokens (model_max_length of its tokenizer: "
            f"{tokenizer.model_max_length}), but pairs need at least {needed}; correct model_max_length in "
            "tokenizer_config.json, or choose another backbone"
        )
    pair, fill = tokenizer("the old man sees", "a river", verbose=False), tokenizer.pad_token_id or 0
    ids = pair["input_ids"] or [fill]
    short = {"input_ids": [*ids, fill], "attention_mask": [1] * len(ids) + [0]}
    if "token_type_ids" in tokenizer.model_input_names:
        short["token_type_ids"] = [*pair["token_type_ids"], 0][-len(ids) - 1 :]
    _read(name, model, "a short pair", short)
    n = min(longest, TRIED)
    long = {"input_ids": (ids * n)[:n], "attention_mask": [1] * n}
    _read(name, model, f"{n} of the {longest} tokens that it should take", long)


def _check_vocabulary(name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Compare the numbers of the tokens with the rows of the embedding."""
    rows, vocabulary = model.get_input_embeddings().weight.shape[0], tokenizer.get_vocab()
    outside = sorted((number, token) for token, number in vocabulary.items() if number >= rows)
    if named := [
        f"{token!r} ({number})" for number, token in outside if token != tokenizer.mask_token
    ]:  # never written
        raise BraintuneError(
            f"backbone {name!r}: its tokenizer has {len(vocabulary)} tokens and its embedding {rows} rows; "
            f"{len(named)} tokens have no row: {', '.join(named[:3])}{' …' * (len(named) > 3)}. If tokens were added, "
            f"call `model.resize_token_embeddings({outside[-1][0] + 1})` and save the model again; otherwise the "
            "tokenizer belongs to another model: fetch the right one"
        )
    if 2 * len(vocabulary) < rows:
        warnings.warn(
            f"backbone {name!r}: its tokenizer has {len(vocabulary)} tokens and its embedding {rows} rows; if the "
            "tokenizer belongs to another model, every word is read as another one: fetch the right one",
            stacklevel=2,
        )


@torch.inference_mode()
def _read(name: str, model: PreTrainedModel, what: str, inputs: dict[str, list[int]]) -> None:
    """Read one input, and check that every layer returns a finite vector for every token."""
    batch = {key: torch.tensor([values], device=model.device) for key, values in inputs.items()}
    wanted = (*batch["input_ids"].shape, model.config.hidden_size)
    try:
        states = model(**batch, output_hidden_states=True).hidden_states
        if wrong := [state for state in states if state.shape != wanted]:
            raise ValueError(f"a hidden state has shape {tuple(wrong[0].shape)} instead of {wanted}")
        if not all(state[..., : len(inputs["input_ids"]) - 1, :].isfinite().all() for state in states):
            raise ValueError("hidden states are not finite; the weights are damaged")
    except Exception as error:  # each model has its errors
        table = position_table(model)
        raise BraintuneError(
            f"backbone {name!r} cannot read {what}: {type(error).__name__}: {first_line(error)}. Its configuration has "
            f"{model.config.vocab_size} tokens and {table.num_embeddings if table else 'no'} learned positions; "
            "choose a bare encoder with its own tokenizer, or correct model_max_length in tokenizer_config.json"
        ) from error
