"""Tiny tokenisers and encoders with random weights, made on the spot: one of every family that the library serves."""

import string
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

_LETTERS = string.ascii_lowercase + string.digits + string.punctuation + "äöüß"
_BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())


def bert_tokenizer(words: tuple[str, ...] = ("the", "she", "play", "##ing", "river")) -> PreTrainedTokenizerFast:
    """WordPiece over letters: every word has a token, control characters and lone accents vanish."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = [*special, *_LETTERS, *(f"##{c}" for c in _LETTERS), *words]
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys(vocabulary))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        model_max_length=128,
        **names,
    )


def _byte_level(specials: list[str], prefix_space: bool) -> Tokenizer:
    vocabulary = {token: i for i, token in enumerate([*specials, *_BYTES, "Ġt", "he", "Ġthe"])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [("Ġ", "t"), ("h", "e"), ("Ġt", "he")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def roberta_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE, a space put before the text, offsets without that space."""
    tokenizer = _byte_level(["<s>", "<pad>", "</s>"], prefix_space=True)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", pad_token="<pad>", eos_token="</s>")


def gpt2_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE without padding, and with nothing around the texts."""
    tokenizer = _byte_level(["<|endoftext|>"], prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>")


def modernbert_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE with special tokens, no token types, and offsets that include the space before a word."""
    tokenizer = _byte_level(["[PAD]", "[CLS]", "[SEP]"], prefix_space=False)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_input_names=["input_ids", "attention_mask"],
    )


TOKENIZERS = {
    "bert": bert_tokenizer,
    "roberta": roberta_tokenizer,
    "gpt2": gpt2_tokenizer,
    "modernbert": modernbert_tokenizer,
}


def save_tiny_bert(folder: Path, seed: int = 0) -> str:
    """Save a BERT of two layers and width 16 with its tokeniser; return the folder's name."""
    tokenizer = bert_tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=128,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
