"""Tiny tokenisers and encoders with random weights, made on the spot: one of every family that the library serves."""

import string
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (
    AlbertConfig,
    AlbertModel,
    BertConfig,
    BertModel,
    CamembertConfig,
    CamembertModel,
    DebertaConfig,
    DebertaModel,
    DebertaV2Config,
    DebertaV2Model,
    DistilBertConfig,
    DistilBertModel,
    ElectraConfig,
    ElectraModel,
    GPT2Config,
    GPT2Model,
    ModernBertConfig,
    ModernBertModel,
    MPNetConfig,
    MPNetModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

_LETTERS = string.ascii_lowercase + string.digits + string.punctuation + "äöüß"
_BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())


def bert_tokenizer(
    words: tuple[str, ...] = ("the", "she", "play", "##ing", "river"), letters: str = _LETTERS
) -> PreTrainedTokenizerFast:
    """WordPiece over letters: every word has a token, control characters and lone accents vanish."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = [*special, *letters, *(f"##{c}" for c in letters), *words]
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

LAYERS, HEADS, WIDTH, WORDS = 3, 4, 32, 60
SMALL = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": 48,
}
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
_RELATIVE = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "max_position_embeddings": 128}
#: Family → function of the vocabulary's size and the padding token, which returns a bare encoder.
ENCODERS = {
    "bert": lambda n, pad: BertModel(BertConfig(vocab_size=n, **SMALL), add_pooling_layer=False),
    "roberta": lambda n, pad: RobertaModel(
        RobertaConfig(vocab_size=n, **SMALL, pad_token_id=pad), add_pooling_layer=False
    ),
    "xlm-roberta": lambda n, pad: XLMRobertaModel(
        XLMRobertaConfig(vocab_size=n, **SMALL, pad_token_id=pad), add_pooling_layer=False
    ),
    "distilbert": lambda n, pad: DistilBertModel(
        DistilBertConfig(vocab_size=n, dim=WIDTH, n_layers=LAYERS, n_heads=HEADS, hidden_dim=48)
    ),
    # a window of 3 tokens on each side, and the second layer sees everything
    "modernbert": lambda n, pad: ModernBertModel(
        ModernBertConfig(
            vocab_size=n,
            **SMALL,
            **SPECIAL,
            local_attention=6,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        )
    ),
    "gpt2": lambda n, pad: GPT2Model(
        GPT2Config(vocab_size=n, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, n_positions=128)
    ),
    "camembert": lambda n, pad: CamembertModel(
        CamembertConfig(vocab_size=n, **SMALL, pad_token_id=pad), add_pooling_layer=False
    ),
    "electra": lambda n, pad: ElectraModel(ElectraConfig(vocab_size=n, **SMALL, embedding_size=16)),
    "albert": lambda n, pad: AlbertModel(
        AlbertConfig(vocab_size=n, **SMALL, embedding_size=16), add_pooling_layer=False
    ),
    "mpnet": lambda n, pad: MPNetModel(MPNetConfig(vocab_size=n, **SMALL), add_pooling_layer=False),
    "deberta": lambda n, pad: DebertaModel(DebertaConfig(vocab_size=n, **SMALL, **_RELATIVE, type_vocab_size=2)),
    "deberta-v2": lambda n, pad: DebertaV2Model(
        DebertaV2Config(vocab_size=n, **SMALL, **_RELATIVE, position_biased_input=False, norm_rel_ebd="layer_norm")
    ),
}
#: Families whose attention does not go through the registry, and cannot be given a prefix.
WITHOUT_PREFIX = ("mpnet", "deberta", "deberta-v2")


def tiny_encoder(family: str, seed: int = 0, words: int = WORDS, pad: int = 0) -> PreTrainedModel:
    """Return an encoder of three layers in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = ENCODERS[family](words, pad).eval()
        for parameter in model.parameters():  # the usual 0.02 makes attention almost uniform, which hides mistakes
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.25)
    return model


#: Family → whose tokenizer it gets; BERT's, unless it is named here.
TOKENIZER_OF = {"xlm-roberta": "roberta", "camembert": "roberta", **{family: family for family in TOKENIZERS}}


def save_tiny_encoder(folder: Path, family: str) -> str:
    """Save an encoder of a family with a tokenizer that fits; return the folder's name."""
    tokenizer = TOKENIZERS[TOKENIZER_OF.get(family, "bert")]()
    tiny_encoder(family, words=len(tokenizer), pad=tokenizer.pad_token_id or 0).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def token_batch(n: int = 3, length: int = 16, seed: int = 1) -> torch.Tensor:
    """Return random tokens of shape (n, length)."""
    return torch.randint(3, WORDS, (n, length), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def hidden_states(model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor | None = None, **given) -> torch.Tensor:
    """Return all hidden states, shape (layers + 1, n, length, width)."""
    return torch.stack(model(input_ids=ids, attention_mask=mask, output_hidden_states=True, **given).hidden_states)


def save_tiny_bert(folder: Path, seed: int = 0, letters: str = _LETTERS) -> str:
    """Save a BERT of two layers and width 16 with its tokeniser; return the folder's name."""
    tokenizer = bert_tokenizer(letters=letters)
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
