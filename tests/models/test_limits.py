"""Backbones as users bring them: what a model can read, what its tokenizer writes, and where they do not fit."""

import json
import re
import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BertConfig,
    BertForPreTraining,
    BertModel,
    CamembertConfig,
    CamembertForMaskedLM,
    CLIPConfig,
    CLIPModel,
    FunnelBaseModel,
    FunnelConfig,
    GPT2Config,
    GPT2Model,
    MPNetConfig,
    MPNetModel,
    PreTrainedTokenizerFast,
    ResNetConfig,
    ResNetModel,
    RobertaConfig,
    RobertaModel,
    T5Config,
    T5EncoderModel,
    ViTConfig,
    ViTModel,
    Wav2Vec2Config,
    Wav2Vec2Model,
)

from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.models.backbones import load_backbone
from braintune.models.embeddings import embed
from braintune.workflow.execute import check
from tiny_models import ENCODERS, SMALL, bert_tokenizer, gpt2_tokenizer, tiny_encoder

N = len(bert_tokenizer())
LONG = "the river " * 300


def bert(**values):
    return BertModel(BertConfig(**SMALL | {"vocab_size": N} | values))


def roberta(**values):
    return RobertaModel(RobertaConfig(**SMALL | {"vocab_size": N} | values))


def tokenizer(length=128):
    made = bert_tokenizer()
    made.model_max_length = length
    return made


@pytest.fixture
def save(tmp_path):
    def write(model, tokenizer, **options):
        model.save_pretrained(tmp_path, **options)
        tokenizer.save_pretrained(tmp_path)
        return str(tmp_path)

    return write


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    """The transformers library would make one that knows no word."""
    bert().save_pretrained(tmp_path)
    with pytest.raises(BraintuneError, match=r"holds no tokenizer \(none of tokenizer\.json, .*save_pretrained"):
        load_backbone(str(tmp_path))


# --- lengths -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "length", "longest"),
    [
        (lambda: roberta(max_position_embeddings=128, pad_token_id=0), 128, 127),
        (lambda: roberta(max_position_embeddings=66, pad_token_id=3), 64, 62),
        (lambda: roberta(max_position_embeddings=66, pad_token_id=3), 10**30, 62),
        (lambda: MPNetModel(MPNetConfig(vocab_size=N, **SMALL, max_position_embeddings=128)), 128, 126),
        (lambda: bert(max_position_embeddings=40), 10**30, 40),
        (lambda: bert(max_position_embeddings=40), 20, 20),
        (lambda: tiny_encoder("modernbert", words=N), 10**30, 8192),
        (lambda: tiny_encoder("deberta-v2", words=N), 10**30, 128),
    ],
)
def test_the_longest_input_follows_the_positions(save, model, length, longest):
    """In RoBERTa and MPNet they begin after the padding token's number."""
    backbone = load_backbone(save(model(), tokenizer(length)))
    assert backbone.longest == longest
    if longest < 1000:
        with pytest.warns(UserWarning, match=f"more than {longest} tokens"):
            assert embed(backbone, [LONG]).shape[1] == 1
    if backbone.model.config.model_type in ("roberta", "mpnet"):
        with pytest.raises((IndexError, RuntimeError)):
            backbone.model(input_ids=torch.full((1, longest + 1), 9))


def test_a_tokenizer_that_cuts_everything(save):
    with pytest.raises(
        BraintuneError, match=r"can read 5 tokens \(model_max_length .* 5\), but pairs need at least 11"
    ):
        load_backbone(save(bert(), tokenizer(5)))


# --- vocabularies ------------------------------------------------------------------------------------------------


def test_added_tokens_without_a_row(save):
    made = bert_tokenizer()
    made.add_tokens(["<harbour>"])
    made.add_special_tokens({"pad_token": "[FILL]"})
    message = (
        rf"has {N + 2} tokens and its embedding {N} rows; 2 .*'<harbour>' \({N}\).*resize_token_embeddings\({N + 2}\)"
    )
    with pytest.raises(BraintuneError, match=message):
        load_backbone(save(bert(), made))


def test_a_padding_token_without_a_row_and_the_check_of_a_profile(save):
    made = gpt2_tokenizer()
    model = GPT2Model(GPT2Config(vocab_size=len(made), n_embd=16, n_layer=2, n_head=2))
    made.add_special_tokens({"pad_token": "<|pad|>"})
    folder = save(model, made)
    for call in (lambda: load_backbone(folder), lambda: check(Study.make({"backbone": folder}))):
        with pytest.raises(BraintuneError, match=r"1 tokens have no row: '<\|pad\|>'"):
            call()


def test_a_mask_token_is_never_written(save):
    """Classes of tokenizers add it without being asked."""
    made = bert_tokenizer()
    made.add_special_tokens({"mask_token": "<mask>"})
    assert len(made) > N
    assert load_backbone(save(bert(), made)).layers == 3


def test_tokenizers_of_other_models(save):
    with pytest.raises(BraintuneError, match=rf"has {N} tokens and its embedding 100 rows.*fetch the right one"):
        load_backbone(save(bert(vocab_size=100), bert_tokenizer()))
    with pytest.warns(UserWarning, match=rf"has {N} tokens and its embedding 30522 rows"):
        load_backbone(save(bert(vocab_size=30522), bert_tokenizer()))


def test_a_tokenizer_without_special_tokens(save):
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "the": 1, "river": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    backbone = load_backbone(
        save(bert(vocab_size=3), PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]"))
    )
    with warnings.catch_warnings(action="error"):
        assert embed(backbone, ["the river", "river"]).shape == (4, 2, 32)
    with pytest.raises(BraintuneError, match="pooling: mean"):
        embed(backbone, ["the river"], pooling="cls")


# --- token types -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model",
    [
        lambda: bert(type_vocab_size=1),
        lambda: roberta(type_vocab_size=1, pad_token_id=0),
        *(lambda family=f: ENCODERS[family](N, 0) for f in ("distilbert", "mpnet", "modernbert", "gpt2")),
    ],
    ids=["bert", "roberta", "distilbert", "mpnet", "modernbert", "gpt2"],
)
def test_token_types_that_a_model_does_not_have_are_not_made(save, model):
    """GPT-2 would read them as words."""
    backbone = load_backbone(save(model(), bert_tokenizer()))
    pair = backbone.tokenizer("the river", "she", return_tensors="pt")
    assert set(pair) == {"input_ids", "attention_mask"}
    assert backbone.model(**pair).last_hidden_state.isfinite().all()


def test_token_types_that_a_model_has_are_made(save):
    assert "token_type_ids" in load_backbone(save(bert(), bert_tokenizer())).tokenizer("the", "she")


# --- weights -----------------------------------------------------------------------------------------------------


def test_weights_without_a_pooler_are_whole(save):
    """As CamemBERT is kept on the hub."""
    config = CamembertConfig(vocab_size=N, **SMALL, pad_token_id=0)
    folder = save(CamembertForMaskedLM(config), bert_tokenizer())
    first, second = load_backbone(folder), load_backbone(folder)
    assert first.fingerprint == second.fingerprint
    assert not any("pooler" in name for name, _ in first.model.named_parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_float32(save, dtype):
    model = bert().to(dtype)
    loaded = load_backbone(save(model, bert_tokenizer())).model
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    wanted = model.state_dict()
    assert all(torch.equal(value, wanted[name].float()) for name, value in loaded.state_dict().items())


def test_weights_in_several_files(save, tmp_path):
    model = bert()
    folder = save(model, bert_tokenizer(), max_shard_size="20KB")
    files = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(files) > 3
    loaded = load_backbone(folder).model.state_dict()
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in loaded.items())
    files[1].unlink()
    with pytest.raises(BraintuneError, match=f"cannot be loaded: .*{files[1].name}"):
        load_backbone(folder)


def test_old_names_of_normalisation(save, tmp_path):
    """As BERT is kept on the hub: gamma and beta, under `bert.`, with heads."""
    folder = save(BertForPreTraining(BertConfig(vocab_size=N, **SMALL)), bert_tokenizer())
    wanted = load_backbone(folder).fingerprint
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    state = load_file(tmp_path / "model.safetensors")
    for new, before in old.items():
        state = {name.replace(new, before): value.clone() for name, value in state.items()}
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    assert load_backbone(folder).fingerprint == wanted


def test_damaged_weights(save, tmp_path):
    folder = save(bert(), bert_tokenizer())
    state = load_file(tmp_path / "model.safetensors")
    state["encoder.layer.1.output.dense.weight"][0, 0] = torch.nan
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(BraintuneError, match=r"cannot read a short pair: .*not finite"):
        load_backbone(folder)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8")) | {"vocab_size": 999}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(BraintuneError, match=rf"word_embeddings.weight' has shape \({N}, 32\), .*requires \(999, 32\)"):
        load_backbone(folder)


# --- other kinds of model ----------------------------------------------------------------------------------------


def test_models_that_are_no_encoder_of_one_text(save):
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
    with pytest.raises(BraintuneError, match=r"'t5' have an encoder and a decoder.*choose an encoder"):
        load_backbone(save(T5EncoderModel(T5Config(vocab_size=N, **sizes)), bert_tokenizer()))


def test_models_that_shorten_the_text(save):
    config = FunnelConfig(vocab_size=N, block_sizes=[1, 1], d_model=32, n_head=4, d_head=8, d_inner=48)
    with pytest.raises(BraintuneError, match=r"cannot read a short pair: .*a hidden state has shape \(1, \d+, 32\)"):
        load_backbone(save(FunnelBaseModel(config), bert_tokenizer()))


IMAGES = {"image_size": 32, "patch_size": 8}
#: Models that read no text, or not text alone.
OTHERS = {
    "vit": lambda: ViTModel(ViTConfig(**SMALL, **IMAGES)),
    "resnet": lambda: ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1])),
    "clip": lambda: CLIPModel(CLIPConfig(text_config={"vocab_size": N, **SMALL}, vision_config=SMALL | IMAGES)),
    "wav2vec2": lambda: Wav2Vec2Model(
        Wav2Vec2Config(**SMALL, conv_dim=(8,), conv_stride=(5,), conv_kernel=(10,), num_conv_pos_embedding_groups=4)
    ),
}


@pytest.mark.parametrize("with_tokenizer", [False, True])
@pytest.mark.parametrize("kind", OTHERS)
def test_models_that_read_no_text(tmp_path, kind, with_tokenizer):
    OTHERS[kind]().save_pretrained(tmp_path)
    if with_tokenizer:
        bert_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(BraintuneError, match=rf"models of type '{kind}' have no token embeddings.*a text encoder"):
        load_backbone(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("config.json", "{}", 'config.json names no model_type, such as "bert"'),
        ("config.json", "[]", "config.json names no model_type"),
        ("tokenizer.json", "{", "its tokenizer cannot be read (Expecting property name"),
        ("tokenizer.json", "[]", "its tokenizer cannot be read ("),
        ("tokenizer.json", '{"version": "1.0", "model": {"type": "WordPiece"}}', "its tokenizer cannot be read ("),
        ("tokenizer_config.json", "{", "its tokenizer cannot be read ("),
    ],
)
def test_broken_files_are_named(tmp_path, name, content, fault):
    """The transformers library would guess a type from the name of the folder, and make another tokenizer."""
    folder = tmp_path / "bert-large"
    bert().save_pretrained(folder)
    bert_tokenizer().save_pretrained(folder)
    (folder / "vocab.txt").write_text("the\nriver\n", encoding="utf-8")
    (folder / name).write_text(content, encoding="utf-8")
    with pytest.raises(BraintuneError, match=re.escape(fault) + ".*fetch it again"):
        load_backbone(str(folder))
