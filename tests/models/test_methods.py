"""Every method on every family and kind of task: what it trains, what it leaves alone, what it saves."""

from copy import deepcopy
from dataclasses import replace
from functools import cache

import pytest
import torch
from peft import PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertModel,
    BloomConfig,
    BloomModel,
    GPTNeoXConfig,
    GPTNeoXModel,
    LlamaConfig,
    LlamaModel,
    MobileBertConfig,
    MobileBertModel,
    OPTConfig,
    OPTModel,
    Qwen2Config,
    Qwen2Model,
    RoFormerConfig,
    RoFormerModel,
)

from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.datasets.tasks import TASKS, load_task
from braintune.models.backbones import load_backbone
from braintune.models.checkpoints import model_folder
from braintune.models.embeddings import embed
from braintune.models.families import FAMILIES, Family
from braintune.models.heads import TunedModel
from braintune.models.inputs import collate, encode
from braintune.models.methods import METHODS, Method, check_methods, prepare, restore, trained_state
from braintune.models.prefix import vocabulary_tokens
from braintune.models.soft_prompt import attach_prompt
from braintune.models.tuning import load_tuned, tune
from tiny_models import (
    ENCODERS,
    HEADS,
    LAYERS,
    SMALL,
    TOKENIZER_OF,
    TOKENIZERS,
    WIDTH,
    WITHOUT_PREFIX,
    WORDS,
    hidden_states,
    save_tiny_bert,
    tiny_encoder,
    token_batch,
)

LENGTH, RANK = 5, 3
SETTINGS = Study.make({"prefix_length": LENGTH, "lora_rank": RANK, "train_examples": 20, "test_examples": 10})
WITHOUT_BIASES = "modernbert"
REFUSED = {
    ("bitfit", WITHOUT_BIASES),
    ("upper-half", "albert"),
    *(("prompt-tuned", family) for family in WITHOUT_PREFIX),
}
PAIRS = [(m, f) for m in METHODS for f in ENCODERS if (m, f) not in REFUSED]
#: Kind of the registered tasks → one of them; for masked words see `test_language`.
TASK_OF = {task.kind: name for name, task in reversed(TASKS.items())}


def kinds_of(method, family):
    """Return all kinds of task for the most used families, and a pair and a sequence of tags for the others."""
    return TASK_OF if family in ("bert", "roberta", "modernbert", "gpt2") else ("pair", "tokens")


def prepared(method, family, settings=SETTINGS, seed=0, **given):
    model = tiny_encoder(family, **given)
    prepare(model, method, settings, seed)
    return model


def train(model, steps=3, rate=1e-2):
    """Take some steps of gradient descent on the backbone alone."""
    trained = [p for p in model.parameters() if p.requires_grad]
    if not trained:
        return
    optimiser = torch.optim.AdamW(trained, lr=rate)
    model.train()
    for step in range(steps):
        optimiser.zero_grad()
        ids = token_batch(seed=step)
        model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[..., 0].square().mean().backward()
        optimiser.step()
    model.eval()


@cache
def encoded_rows(family, kind):
    tokenizer = TOKENIZERS[TOKENIZER_OF.get(family, "bert")]()
    if family in ("distilbert", "mpnet", "deberta-v2"):  # take no token types
        tokenizer.model_input_names = ["input_ids", "attention_mask"]
    data = load_task(SETTINGS, TASK_OF[kind])
    encoded = encode(data.task, data.train[:3], data.labels, tokenizer, 64)
    return len(data.labels), len(tokenizer), tokenizer.pad_token_id or 0, encoded.features


# --- methods x families x kinds ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "family", "kind"), [(*pair, kind) for pair in PAIRS for kind in kinds_of(*pair)])
def test_every_method_serves_every_family_and_kind(method, family, kind):
    n_labels, words, pad, features = encoded_rows(family, kind)
    torch.manual_seed(0)
    model = TunedModel(prepared(method, family, words=words, pad=pad), kind, n_labels).eval()
    batch = collate(features, pad)
    found = model(**batch)
    assert found["loss"].isfinite()
    if kind in ("tokens", "roles", "span"):
        assert found["logits"].shape[1] == batch["input_ids"].shape[1]  # no position more than the words
    found["loss"].backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) <= parameter.requires_grad, name
    assert model.head.weight.grad.abs().sum() > 0
    trained = [p for p in model.backbone.parameters() if p.requires_grad]
    assert bool(trained) == (method != "head-only")
    assert not trained or sum(p.grad.abs().sum() for p in trained if p.grad is not None) > 0
    with torch.inference_mode():  # alone, without padding: the same
        for feature, both in zip(features, found["logits"], strict=True):
            alone = model(**collate([feature], pad))["logits"][0]
            torch.testing.assert_close(both[: len(alone)], alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("method", "family"), PAIRS)
def test_training_leaves_what_is_frozen_bit_identical(method, family):
    model = prepared(method, family)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    train(model)
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            assert parameter.grad is None
            assert torch.equal(parameter, before[name]), name
    trained = trained_state(model)
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert len(moved) == len(trained)
    if method in ("prompt-tuned", "prompt-shallow", "lora"):  # and what is new lies beside the pre-trained weights
        plain = tiny_encoder(family).state_dict()
        names = {name.replace("base_layer.", ""): value for name, value in model.state_dict().items()}
        assert all(torch.equal(names[name], value) for name, value in plain.items())


@pytest.mark.parametrize("family", [family for method, family in PAIRS if method == "upper-half"])
def test_the_upper_half_alone_is_trained_and_the_lower_hidden_states_stay(family):
    """Of three layers, the second and the third."""
    model, ids = prepared("upper-half", family), token_batch()
    before = hidden_states(model, ids)
    train(model)
    after = hidden_states(model, ids)
    assert torch.equal(before[:2], after[:2])
    assert all((before[k] - after[k]).abs().max() > 1e-3 for k in (2, 3))


@pytest.mark.parametrize(("method", "family"), PAIRS)
def test_saved_and_loaded_gives_identical_outputs(method, family, tmp_path):
    model, ids = prepared(method, family), token_batch()
    start = hidden_states(model, ids)
    train(model)
    mask = (torch.arange(16) < torch.tensor([[16], [4], [9]])).long()
    wanted = hidden_states(model, ids), hidden_states(model, ids, mask)
    assert torch.equal(wanted[0], start) == (method == "head-only")
    save_file({name: value.detach() for name, value in trained_state(model).items()}, tmp_path / "weights")
    loaded = prepared(method, family)
    restore(loaded, load_file(tmp_path / "weights"))
    assert torch.equal(hidden_states(loaded, ids), wanted[0])
    assert torch.equal(hidden_states(loaded, ids, mask), wanted[1])
    assert torch.equal(hidden_states(deepcopy(loaded), ids), wanted[0])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("init", ["normal", "tokens"])
def test_equal_seeds_start_alike_and_leave_the_global_random_state(method, init):
    settings = Study.make(SETTINGS.values(Study) | {"prefix_init": init})
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    first, same, other = (trained_state(prepared(method, "bert", settings, seed)) for seed in (0, 0, 1))
    assert torch.equal(torch.rand(4), wanted)
    assert all(torch.equal(first[name], same[name]) for name in first)
    drawn = method in ("prompt-tuned", "prompt-shallow", "lora")
    assert any(not torch.equal(first[name], other[name]) for name in first) == drawn


# --- sizes -------------------------------------------------------------------------------------------------------

BERT_BASE = {
    "fine-tuned": 108_891_648,  # 30,522 words, 512 positions, 2 types; 12 layers; no pooler
    "prompt-tuned": 20 * 18_432,  # 12 layers x (key, value) x 768 for each vector
    "prompt-shallow": 20 * 768,
    "lora": 12 * 2 * 8 * (768 + 768),  # layers x (query, value) x rank x (in + out)
    "bitfit": 12 * (6 * 768 + 3072 + 2 * 768 - 768) + 768,  # 5 biases of 768, one of 3,072, 2 norms; embedding norm
    "upper-half": 6 * 7_087_872,  # layers; see the first line
    "head-only": 0,
}


@pytest.mark.parametrize("method", METHODS)
def test_the_number_of_trained_parameters_follows_the_formula(method):
    """On BERT-base, which exists on the meta device only: shapes without numbers."""
    with torch.device("meta"):
        model = BertModel(BertConfig(), add_pooling_layer=False)
        METHODS[method].prepare(model, Study(), 0)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == BERT_BASE[method]


# --- shallow prompts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ENCODERS)
def test_a_shallow_prompt_changes_every_layer_but_no_shape_and_no_embedding(family):
    model, ids = tiny_encoder(family), token_batch()
    before = hidden_states(model, ids)
    attach_prompt(model, LENGTH, std=0.5)
    after = hidden_states(model, ids)
    assert before.shape == after.shape == (LAYERS + 1, 3, 16, WIDTH)
    torch.testing.assert_close(before[0], after[0])  # the words themselves: no position has moved
    assert all((before[k] - after[k]).abs().max() > 1e-3 for k in range(1, LAYERS + 1))
    assert torch.equal(model(input_ids=ids).last_hidden_state, after[-1])


@pytest.mark.parametrize("family", [family for family in ENCODERS if family not in WITHOUT_PREFIX])
def test_an_invisible_shallow_prompt_is_none(family):
    """Words that cannot attend to the prompt are what they are without it: positions and masks stay in place."""
    model, ids = tiny_encoder(family), token_batch()
    mask = torch.ones_like(ids)
    mask[0, 9:] = 0
    before = hidden_states(model, ids), hidden_states(model, ids, mask)
    attach_prompt(model, LENGTH, std=0.5)
    real = torch.nn.functional.scaled_dot_product_attention

    def without_prompt(query, key, value, attn_mask=None, is_causal=False, **options):
        everything = torch.ones(query.shape[2], query.shape[2], dtype=torch.bool)
        seen = (everything.tril() if is_causal else everything) if attn_mask is None else attn_mask.clone()
        seen[..., LENGTH:, :LENGTH] = False
        return real(query, key, value, attn_mask=seen, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.functional, "scaled_dot_product_attention", without_prompt)
        after = hidden_states(model, ids), hidden_states(model, ids, mask)
    for wanted, found in zip(before, after, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ENCODERS)
@pytest.mark.parametrize("padded", [False, True])
def test_shallow_prompts_equal_pefts_prompt_tuning_position_shift_allowed_for(family, padded):
    """The same vectors give the same states, without the rows that PEFT leaves in front."""
    ours, base = tiny_encoder(family), tiny_encoder(family)
    width = base.get_input_embeddings().weight.shape[1]
    config = PromptTuningConfig(
        task_type="FEATURE_EXTRACTION", num_virtual_tokens=LENGTH, token_dim=width, num_attention_heads=HEADS
    )
    theirs = get_peft_model(base, config).eval()
    vectors = theirs.prompt_encoder["default"].embedding.weight.detach()
    prompt = attach_prompt(ours, LENGTH)
    ids, mask, given = token_batch(), torch.ones(3, 16, dtype=torch.long), {}
    if padded:
        mask[0, 10:] = 0
        ids = ids * mask
    if family in ("modernbert", "deberta-v2"):  # only distances count
        prompt.data.copy_(vectors)
    else:  # learned positions: theirs stand at 0, 1, 2 … and ours all at the first place
        table = next(m for name, m in ours.named_modules() if name.endswith(("position_embeddings", "wpe"))).weight
        # these count from pad_token_id + 1
        first = {"roberta": 1, "xlm-roberta": 1, "camembert": 1, "mpnet": 2}.get(family, 0)
        prompt.data.copy_(vectors + table[first : first + LENGTH] - table[first])
        given = {"position_ids": torch.arange(first + LENGTH, first + LENGTH + 16)[None]}
    wanted = hidden_states(theirs, ids, mask)[:, :, LENGTH:]
    found = hidden_states(ours, ids, mask, **given)
    for i in range(3):
        real = mask[i].bool()
        torch.testing.assert_close(found[:, i, real], wanted[:, i, real], atol=1e-5, rtol=1e-5)


def test_texts_are_not_taken_for_packed_ones():
    """Without a mask the library reads positions that do not rise by one as several texts that do not see each other."""
    model, ids = tiny_encoder("gpt2"), token_batch()
    attach_prompt(model, LENGTH, std=0.5)
    wanted = hidden_states(model, ids, torch.ones_like(ids))
    assert torch.equal(hidden_states(model, ids, use_cache=False), wanted)  # with a cache it does not look


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2"])
def test_a_shallow_prompt_takes_no_room_from_the_longest_input(family):
    model = tiny_encoder(family)
    longest = {"bert": 512, "roberta": 511, "gpt2": 128}[family]  # RoBERTa's positions begin at pad_token_id + 1
    attach_prompt(model, LENGTH)
    assert hidden_states(model, token_batch(1, longest)).shape == (LAYERS + 1, 1, longest, WIDTH)


def test_a_shallow_prompt_of_words_holds_their_embeddings():
    model = tiny_encoder("bert")
    torch.manual_seed(4)
    words = vocabulary_tokens(model, LENGTH)
    prompt = attach_prompt(model, LENGTH, tokens=True, seed=4)
    assert torch.equal(prompt, model.embeddings.word_embeddings.weight[words])
    assert prompt.data_ptr() != model.embeddings.word_embeddings.weight.data_ptr()


# --- LoRA, biases, dropout ---------------------------------------------------------------------------------------


def test_lora_by_hand():
    """W + lora_alpha / lora_rank · B A in place of the query and value matrices, and nowhere else."""
    settings = Study.make(SETTINGS.values(Study) | {"lora_alpha": 6.0})
    model, plain, ids = prepared("lora", "bert", settings), tiny_encoder("bert"), token_batch()
    assert torch.equal(hidden_states(model, ids), hidden_states(plain, ids))  # B is zero at first
    train(model)
    state = trained_state(model)
    for k in range(LAYERS):
        for name in ("query", "value"):
            path = f"encoder.layer.{k}.attention.self.{name}"
            a, b = (state.pop(f"{path}.lora_{letter}.default.weight") for letter in "AB")
            assert (a.shape, b.shape) == ((RANK, WIDTH), (WIDTH, RANK))
            plain.get_submodule(path).weight.data += 6.0 / RANK * (b @ a)
    assert not state
    torch.testing.assert_close(hidden_states(model, ids), hidden_states(plain, ids), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", [f for f in ENCODERS if f != WITHOUT_BIASES])
def test_bitfit_trains_every_bias_and_nothing_else(family):
    model = prepared("bitfit", family)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    biases = ("bias", "q_bias", "v_bias")  # the latter in DeBERTa
    assert trained == {name for name, _ in model.named_parameters() if name.rsplit(".", 1)[-1] in biases}
    assert len(trained) >= 6 * (1 if family == "albert" else LAYERS)  # ALBERT's layers share their weights


def test_the_pooler_is_never_trained():
    """It lies behind the hidden states that are read."""
    for method in METHODS:
        model = BertModel(BertConfig(**SMALL, vocab_size=WORDS))
        METHODS[method].prepare(model, SETTINGS, 0)
        assert not any(p.requires_grad for p in model.pooler.parameters()), method


def test_the_profiles_dropout_reaches_the_prefix():
    settings = Study.make(SETTINGS.values(Study) | {"prefix_dropout": 0.5})
    model = prepared("prompt-tuned", "bert", settings).train()
    assert not torch.equal(model.deep_prompts[0](), model.deep_prompts[0]())
    model.eval()
    assert torch.equal(model.deep_prompts[0](), model.deep_prompts[0]())


# --- from end to end ---------------------------------------------------------------------------------------------


@pytest.fixture
def make_study(tmp_path):
    backbone = save_tiny_bert(tmp_path / "bert")

    def make(**values):
        base = {"runs": str(tmp_path / "runs"), "backbone": backbone, "tasks": ["chunking"], "methods": list(METHODS),
                "epochs": [1], "learning_rates": {m: [1e-2] for m in METHODS}, "device": "cpu",
                "train_examples": 16, "test_examples": 10, "batch_size": 8, "prefix_length": LENGTH}  # fmt: skip
        return Study.make(base | values)

    return make


@pytest.mark.parametrize("method", ["prompt-shallow", "lora", "bitfit"])
def test_tuned_saved_loaded_embedded(make_study, method):
    study = make_study()
    metrics = tune(study, "chunking", method, 0)
    file = model_folder(study, "chunking", method, 0) / "weights.safetensors"
    saved = load_file(file)
    assert sum(value.numel() for value in saved.values()) == metrics["parameters"]
    assert file.stat().st_size < 4 * metrics["parameters"] + 10_000  # float32 and names, and no backbone
    loaded, untuned = load_tuned(study, "chunking", method, 0), load_backbone(study.backbone)
    sentences = ["she plays", "the river is wide"]
    vectors = embed(loaded, sentences)
    assert vectors.shape == (loaded.layers + 1, 2, loaded.width)
    assert abs(vectors - embed(untuned, sentences))[-1].max() > 1e-4
    direct = load_backbone(study.backbone).model  # the saved numbers, put in by hand
    METHODS[method].prepare(direct, study, 0)
    state = {name.removeprefix("backbone."): v for name, v in saved.items() if name.startswith("backbone.")}
    restore(direct, state)
    batch = loaded.tokenizer(sentences[:1], return_tensors="pt")
    with torch.inference_mode():
        hidden = torch.stack(direct(**batch, output_hidden_states=True).hidden_states)[:, 0, 1:-1]
    torch.testing.assert_close(torch.from_numpy(vectors[:, 0]), hidden.mean(1), atol=1e-5, rtol=1e-5)


# --- faults ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "change", "message"),
    [
        (
            "prompt-tuned",
            {"prefix_length": 6},
            r"'deep_prompts.0.vectors' is of shape \(5, 64\) in the file and of shape \(6, 64\)",
        ),
        ("prompt-tuned", {"prompt_layers": "upper"}, r"'deep_prompts.0.vectors' is of .* in the file and missing in"),
        ("prompt-tuned", {"prefix_hidden": 4}, r"'deep_prompts.0.network.0.bias' is missing in the file"),
        ("prompt-shallow", {"prefix_length": 6}, r"'shallow_prompt' is of shape \(5, 32\) in the file and of .*6, 32"),
        ("lora", {"lora_rank": 4}, r"lora_A.default.weight' is of shape \(3, 32\) in the file and of shape \(4, 32\)"),
    ],
)
def test_weights_of_other_settings_are_refused(method, change, message):
    state = trained_state(prepared(method, "bert"))
    other = prepared(method, "bert", Study.make(SETTINGS.values(Study) | change))
    with pytest.raises(BraintuneError, match=message + r".*\(prefix_length, prefix_hidden, prompt_layers, lora_rank\)"):
        restore(other, state)


@pytest.mark.parametrize("family", WITHOUT_PREFIX)
def test_no_prefix_where_attention_does_not_go_through_the_registry(family):
    """Refused, with what does work, also where a plugin says that it works; by the check of a profile as well."""
    works = "fine-tuned, prompt-shallow, lora, bitfit, upper-half, head-only"
    message = rf"type '{family}': .* 3 of 3 layers .*registry.*`methods` to some of {works}, and leave zero-prefix"
    with pytest.raises(BraintuneError, match=message):
        prepared("prompt-tuned", family)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FAMILIES, family, replace(FAMILIES[family], deep=True))
        with pytest.raises(BraintuneError, match=message):
            prepared("prompt-tuned", family)
    others = [method for method in METHODS if method != "prompt-tuned"]
    study = Study.make(SETTINGS.values(Study) | {"methods": others, "learning_rates": {m: [1e-3] for m in others}})
    model = tiny_encoder(family)
    with pytest.raises(BraintuneError, match=message):
        check_methods(model, study)
    check_methods(model, Study.make(study.values(Study) | {"controls": ["length"]}))


def test_what_is_trained_without_effect_is_an_error(monkeypatch):
    def add_nothing(model, settings, seed):
        model.requires_grad_(False)
        model.idle = torch.nn.Parameter(torch.ones(3))

    def train_the_pooler(model, settings, seed):
        model.requires_grad_(False)
        model.pooler = torch.nn.Linear(WIDTH, WIDTH)

    monkeypatch.setitem(METHODS, "idle", Method("nothing", add_nothing))
    monkeypatch.setitem(METHODS, "pooler", Method("the pooler", train_the_pooler))
    for method, name in (("idle", "idle"), ("pooler", "pooler.weight")):
        with pytest.raises(BraintuneError, match=rf"{method} trains '{name}', but the output .*'bert' does not depend"):
            prepared(method, "bert")
    with pytest.raises(BraintuneError, match="unknown method 'non'; known: "):
        prepared("non", "bert")
    monkeypatch.setitem(FAMILIES, "bert", Family(lora=("nope",)))
    with pytest.raises(BraintuneError, match=r"lora cannot update nope in models of type 'bert': .*FAMILIES"):
        prepared("lora", "bert")


def test_a_shallow_prompt_must_leave_the_words_alone(monkeypatch):
    """OPT has a position table that is not known; MobileBERT mixes the embeddings of neighbours."""
    config = OPTConfig(
        vocab_size=WORDS, **SMALL | {"ffn_dim": 48}, max_position_embeddings=64, word_embed_proj_dim=WIDTH
    )
    wide = MobileBertConfig(vocab_size=WORDS, **SMALL, embedding_size=16, intra_bottleneck_size=16)
    for model in (OPTModel(config), MobileBertModel(wide)):
        monkeypatch.setitem(FAMILIES, kind := model.config.model_type, Family(lora=()))
        with pytest.raises(
            BraintuneError, match=rf"prompt-shallow cannot .* '{kind}'.*; choose another .*`methods` to some of fine"
        ):
            attach_prompt(model.eval(), LENGTH)


def test_weights_of_another_method_are_refused():
    state = trained_state(prepared("lora", "bert"))
    with pytest.raises(BraintuneError, match=r"do not fit: .* is missing in the file and of shape .* in the model"):
        restore(prepared("bitfit", "bert"), state)


def test_faults_name_the_remedy():
    with pytest.raises(BraintuneError, match=r"'modernbert' has none; choose a backbone with .* or set `methods` to"):
        prepared("bitfit", WITHOUT_BIASES)
    with pytest.raises(BraintuneError, match=r"'albert' share their weights; choose a .* or set `methods` to some of"):
        prepared("upper-half", "albert")
    for method in ("lora", "prompt-shallow", "prompt-tuned"):
        with pytest.raises(
            BraintuneError, match=rf"^{method} .* 'roformer'; known: bert, .*gpt2.*fine-tuned, .*FAMILIES"
        ):
            prepare(RoFormerModel(RoFormerConfig(**SMALL, vocab_size=WORDS)), method, SETTINGS, 0)
    model = prepared("prompt-shallow", "bert")
    with pytest.raises(BraintuneError, match="already has a shallow prompt; load the backbone again"):
        attach_prompt(model, LENGTH)
    ids = token_batch()
    for wrong in (lambda: model(ids), lambda: model(input_ids=ids, attention_mask=torch.ones(3, 1, 16, 16))):
        with pytest.raises(BraintuneError, match=r"`input_ids` and `attention_mask`, both of shape \(b, l\), by name"):
            wrong()


def decoder(family):
    """Return a tiny decoder; Llama's has fewer heads for keys and values, and no biases."""
    sizes = {"vocab_size": WORDS, **SMALL}
    made = {
        "llama": lambda: LlamaModel(LlamaConfig(**sizes, num_key_value_heads=2)),
        "qwen2": lambda: Qwen2Model(Qwen2Config(**sizes, num_key_value_heads=2)),
        "gpt_neox": lambda: GPTNeoXModel(GPTNeoXConfig(**sizes)),
        "bloom": lambda: BloomModel(BloomConfig(vocab_size=WORDS, hidden_size=WIDTH, n_layer=LAYERS, n_head=HEADS)),
        "opt": lambda: OPTModel(OPTConfig(**sizes, ffn_dim=48, word_embed_proj_dim=WIDTH)),
    }
    return made[family]().eval()


def settings_of(message):
    """Return the settings that a message names: methods, and which controls must go."""
    methods = message.partition("`methods` to some of ")[2].partition(", and leave")[0].partition("; or")[0]
    controls = ["length"] if "leave zero-prefix and random-prefix out" in message else ["zero-prefix", "random-prefix"]
    return {"methods": methods.split(", "), "controls": controls}


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt_neox", "bloom", "opt", *ENCODERS])
@pytest.mark.parametrize("known", [False, True])
def test_the_remedy_of_a_refusal_is_not_refused(family, known, monkeypatch):
    """Also for decoders, unknown or made known by a plugin: the settings that a message names serve the model."""
    if family in ENCODERS:
        model = tiny_encoder(family)
    else:
        model = decoder(family)
        if known:
            lora = ("query_key_value",) if family in ("gpt_neox", "bloom") else ("q_proj", "v_proj")
            monkeypatch.setitem(FAMILIES, family, Family(lora=lora))
    alone = [{"methods": [method], "controls": ["length"]} for method in METHODS]
    for values in (*alone, {"methods": ["fine-tuned"]}):
        try:
            check_methods(model, Study.make(values))
        except BraintuneError as error:
            remedy = settings_of(str(error))
            assert set(remedy["methods"]) <= set(METHODS) - ({*values["methods"]} if "controls" in values else set())
            assert set(remedy["methods"]) >= {"fine-tuned", "head-only"} - {*values["methods"]}
            if family == "bloom" and known and "prompt-tuned" in remedy["methods"]:
                remedy["methods"].remove("prompt-tuned")  # refused in turn, with what works instead
            check_methods(model, Study.make(remedy))
