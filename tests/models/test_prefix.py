from copy import deepcopy

import pytest
import torch
from peft import PrefixTuningConfig, get_peft_model
from transformers import ModernBertConfig, ModernBertModel, RoFormerConfig, RoFormerModel

from braintune.core.base import BraintuneError
from braintune.models.prefix import attach_prefix, attention_calls, vocabulary_tokens
from tiny_models import ENCODERS, HEADS, LAYERS, SMALL, SPECIAL, WIDTH, WITHOUT_PREFIX, WORDS
from tiny_models import hidden_states as states
from tiny_models import tiny_encoder as make
from tiny_models import token_batch as batch

LENGTH = 5


def prefix_state(model):
    return {name: value.clone() for name, value in model.deep_prompts.state_dict().items()}


@pytest.fixture(params=[family for family in ENCODERS if family not in WITHOUT_PREFIX])
def model(request):
    return make(request.param)


@pytest.mark.parametrize(("layers", "carrying"), [("upper", [1, 2]), ("lower", [0])])
def test_half_of_the_layers_can_carry_the_prefix(model, layers, carrying):
    """Also of ALBERT, whose layers share one module; a hidden state before the first prefix is that of no prefix."""
    ids = batch()
    before, every = states(model, ids), deepcopy(model)
    prompts = attach_prefix(model, LENGTH, std=0.5, layers=layers)
    attach_prefix(every, LENGTH, std=0.5)
    after, with_every = states(model, ids), states(every, ids)
    first = carrying[0]
    assert torch.equal(before[: first + 1], after[: first + 1])
    assert (before[first + 1 :] - after[first + 1 :]).abs().amax((1, 2, 3)).min() > 1e-3
    assert (after[-1] - with_every[-1]).abs().max() > 1e-3
    model(input_ids=ids).last_hidden_state[..., 0].square().sum().backward()
    assert [n for n, prompt in enumerate(prompts) if list(prompt.parameters())] == carrying
    assert all(prompts[n].vectors.grad.abs().sum() > 0 for n in carrying)
    trained = [name for name, p in model.named_parameters() if p.grad is not None]
    assert trained == [f"deep_prompts.{n}.vectors" for n in carrying]


def test_a_single_layer_has_no_lower_half():
    torch.manual_seed(0)
    single = ModernBertModel(ModernBertConfig(**SMALL | {"num_hidden_layers": 1}, **SPECIAL, vocab_size=WORDS))
    with pytest.raises(BraintuneError, match="prompt_layers: 'lower' selects none of 1 layer; set it to all or upper"):
        attach_prefix(single, LENGTH, layers="lower")


# --- what a prefix does ------------------------------------------------------------------------------------------


def test_a_prefix_changes_every_layer_and_no_shape(model):
    ids = batch()
    before = states(model, ids)
    prompts = attach_prefix(model, LENGTH, std=0.5)
    after = states(model, ids)
    assert len(prompts) == LAYERS
    assert before.shape == after.shape == (LAYERS + 1, 3, 16, WIDTH)
    assert torch.equal(before[0], after[0])  # the embedding layer has no attention
    assert all((before[k] - after[k]).abs().max() > 1e-3 for k in range(1, LAYERS + 1))


def test_a_prefix_of_zeros_takes_its_share_of_attention_and_changes_the_output(model):
    ids = batch()
    before = states(model, ids)
    assert all((prompt.vectors == 0).all() for prompt in attach_prefix(model, LENGTH, std=0.0))
    assert (states(model, ids) - before).abs().max() > 1e-3


def test_a_prefix_of_length_zero_is_none(model):
    """So the way through the registered attention function adds nothing of its own, with every kind of mask."""
    ids = batch()
    mask = torch.ones_like(ids)
    mask[1:, 11:] = 0
    before = [states(model, ids), states(model, ids, mask)]
    attach_prefix(model, 0)
    for wanted, found in zip(before, [states(model, ids), states(model, ids, mask)], strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_an_invisible_prefix_is_none(model):
    """Keys that no query attends to leave the real tokens what they are: positions and masks stay in place."""
    ids = batch()
    mask = torch.ones_like(ids)
    mask[0, 9:] = 0
    before = states(model, ids), states(model, ids, mask)
    attach_prefix(model, LENGTH)
    real = torch.nn.functional.scaled_dot_product_attention

    def without_prefix(query, key, value, attn_mask=None, **options):
        hide = torch.zeros(query.shape[2], key.shape[2], dtype=torch.bool)
        hide[:, :LENGTH] = True
        mask = torch.ones(()).bool() if attn_mask is None else attn_mask
        return real(query, key, value, attn_mask=mask & ~hide, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.functional, "scaled_dot_product_attention", without_prefix)
        after = states(model, ids), states(model, ids, mask)
    for wanted, found in zip(before, after, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_padding_changes_nothing(model):
    """A sentence alone gives what it gives beside longer ones, whatever the form of its mask."""
    attach_prefix(model, LENGTH, std=0.5)
    ids = batch()
    lengths = [4, 16, 9]
    mask = (torch.arange(16) < torch.tensor(lengths)[:, None]).long()
    together = states(model, ids * mask, mask)
    for i, length in enumerate(lengths):
        alone = ids[i : i + 1, :length]
        for given in (None, torch.ones_like(alone), torch.ones_like(alone).bool()):
            torch.testing.assert_close(together[:, i, :length], states(model, alone, given)[:, 0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_additive_masks_are_extended_by_zeros(family):
    model = make(family)
    attach_prefix(model, LENGTH, std=0.5)
    ids = batch()
    seen = torch.ones(3, 1, 16, 16, dtype=torch.bool)
    seen[0, ..., 9:] = False
    seen = seen.tril() if family == "gpt2" else seen
    additive = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
    torch.testing.assert_close(states(model, ids, additive), states(model, ids, seen), atol=1e-5, rtol=1e-5)
    padded = (torch.arange(16) < torch.tensor([9, 16, 16])[:, None]).long()
    torch.testing.assert_close(states(model, ids, padded), states(model, ids, seen), atol=1e-5, rtol=1e-5)


def test_causal_models_stay_causal():
    model = make("gpt2")
    attach_prefix(model, LENGTH, std=0.5)
    ids = batch()
    other = ids.clone()
    other[:, 10:] = batch(seed=2)[:, 10:]
    mask = torch.ones_like(ids)
    mask[0, 12:] = 0
    for given in (None, mask):
        before, after = states(model, ids, given), states(model, other, given)
        torch.testing.assert_close(before[:, :, :10], after[:, :, :10], atol=1e-5, rtol=1e-5)
        assert (before[:, :, 10:] - after[:, :, 10:]).abs().max() > 1e-3


def test_windows_stay_windows():
    """One layer of local attention: a token out of reach has no influence, the prefix always has."""
    torch.manual_seed(0)
    config = ModernBertConfig(
        **SMALL | {"num_hidden_layers": 1},
        **SPECIAL,
        vocab_size=WORDS,
        local_attention=6,
        layer_types=["sliding_attention"],
    )
    model = ModernBertModel(config).eval()
    ids = batch()
    other = ids.clone()
    other[:, 12] = 1
    free = states(model, ids)
    attach_prefix(model, LENGTH, std=0.5)
    before, after = states(model, ids), states(model, other)
    torch.testing.assert_close(before[:, :, :8], after[:, :, :8], atol=1e-6, rtol=1e-6)
    assert (before[1] - free[1]).abs().amax(-1).min() > 1e-3


# --- against slow and foreign references -------------------------------------------------------------------------


@torch.no_grad()
def test_bert_attention_by_hand():
    model = make("bert")
    prompts = attach_prefix(model, LENGTH, std=0.5)
    ids = batch()
    mask = torch.ones_like(ids)
    mask[0, 7:] = 0
    found = {}
    attention = model.encoder.layer[1].attention.self
    attention.register_forward_hook(lambda module, given, out: found.update(given=given[0], out=out[0]))
    states(model, ids, mask)

    x, dim = found["given"], WIDTH // HEADS
    vectors = prompts[1].vectors.view(LENGTH, 2, WIDTH)
    wanted = torch.zeros_like(x)
    for i in range(len(x)):
        real = x[i][mask[i].bool()]
        keys = torch.cat([vectors[:, 0], attention.key(real)])
        values = torch.cat([vectors[:, 1], attention.value(real)])
        for head in range(HEADS):
            part = slice(head * dim, (head + 1) * dim)
            for t, query in enumerate(attention.query(x[i])):
                weights = (keys[:, part] @ query[part] / dim**0.5).softmax(0)
                wanted[i, t, part] = weights @ values[:, part]
    torch.testing.assert_close(found["out"], wanted, atol=1e-5, rtol=1e-5)


def with_pefts_prefix(family):
    """Return a model with our prefix and PEFT's model with the same numbers."""
    ours, base = make(family), make(family)
    theirs = get_peft_model(base, PrefixTuningConfig(task_type="FEATURE_EXTRACTION", num_virtual_tokens=LENGTH)).eval()
    weight = theirs.prompt_encoder["default"].embedding.weight  # [length, layers * (keys, values) * width]
    for prompt, part in zip(attach_prefix(ours, LENGTH), weight.detach().chunk(LAYERS, dim=1), strict=True):
        prompt.vectors.data.copy_(part)
    return ours, theirs


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2"])
@pytest.mark.parametrize("padded", [False, True])
def test_equal_to_peft_where_both_work_position_shift_allowed_for(family, padded):
    """The same numbers give the same states, once our tokens stand where PEFT's cache has moved its own."""
    ours, theirs = with_pefts_prefix(family)
    ids, mask = batch(), torch.ones(3, 16, dtype=torch.long)
    if padded:
        mask[0, 10:] = 0
    first = LENGTH + (1 if family == "roberta" else 0)  # RoBERTa counts from pad_token_id + 1
    if family == "roberta":
        ids = ids * mask
    places = (torch.arange(16) + first).expand(3, -1)
    wanted = states(theirs, ids, mask)
    found = states(ours, ids, mask, position_ids=places)
    for i in range(3):
        real = mask[i].bool()
        torch.testing.assert_close(found[:, i, real], wanted[:, i, real], atol=1e-5, rtol=1e-5)


def test_reparameterised_prefix_by_hand():
    prompt = attach_prefix(make("bert"), LENGTH, hidden=7)[0]
    first, _, second = prompt.network
    wanted = second(torch.tanh(first(prompt.vectors)))
    keys, values = prompt()
    assert prompt.vectors.shape == (LENGTH, WIDTH)
    assert keys.shape == (HEADS, LENGTH, WIDTH // HEADS)
    torch.testing.assert_close(keys.transpose(0, 1).reshape(LENGTH, WIDTH), wanted[:, :WIDTH])
    torch.testing.assert_close(values.transpose(0, 1).reshape(LENGTH, WIDTH), wanted[:, WIDTH:])


# --- where it starts ---------------------------------------------------------------------------------------------


@torch.no_grad()
def test_a_prefix_of_words_holds_the_keys_and_values_of_those_words():
    """In BERT by hand: what the layer's own projections make of its inputs for these words."""
    model, found = make("bert"), []
    torch.manual_seed(3)
    words = vocabulary_tokens(model, LENGTH)
    for module, _ in attention_calls(model):
        module.register_forward_hook(lambda module, given, out: found.append((module, given[0][0])))
    states(model, words[None])
    wanted = [torch.cat([module.key(x), module.value(x)], dim=1) for module, x in found]
    for prompt, vectors in zip(attach_prefix(model, LENGTH, tokens=True, seed=3), wanted, strict=True):
        torch.testing.assert_close(prompt.vectors, vectors)


def test_a_causal_model_reads_a_prefix_of_words_as_it_reads_the_words():
    """GPT-2's words do not look ahead, so their keys and values in the prefix are those in the text."""
    model, ids = make("gpt2"), batch()
    torch.manual_seed(0)
    words = vocabulary_tokens(model, LENGTH)
    wanted = states(model, torch.cat([words.expand(3, -1), ids], dim=1))[:, :, LENGTH:]
    attach_prefix(model, LENGTH, tokens=True)
    found = states(model, ids, position_ids=torch.arange(LENGTH, LENGTH + 16).expand(3, -1))
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_a_prefix_of_words_follows_the_seed_and_leaves_the_model_alone(model):
    twin, other = deepcopy(model), deepcopy(model)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    attach_prefix(model, 40, tokens=True, seed=1)  # longer than one row of words, and than the window of ModernBERT
    assert torch.equal(torch.rand(4), wanted)
    assert model.training
    assert all(torch.equal(model.state_dict()[name], value) for name, value in weights.items())
    attach_prefix(twin, 40, tokens=True, seed=1)
    attach_prefix(other, 40, tokens=True, seed=2)
    first, same, different = (prefix_state(m) for m in (model, twin, other))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not any(torch.equal(first[name], different[name]) for name in first)
    assert all(vectors.shape == (40, 2 * WIDTH) and vectors.unique(dim=0).shape[0] > 10 for vectors in first.values())


def test_words_are_no_special_tokens():
    model = make("modernbert")
    words = vocabulary_tokens(model, 2000)
    assert set(words.tolist()) == set(range(3, WORDS))


# --- training ----------------------------------------------------------------------------------------------------


def test_training_moves_a_reparameterised_prefix_and_leaves_the_backbone_bit_identical(model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    attach_prefix(model, LENGTH, hidden=6, dropout=0.1)
    start = prefix_state(model)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert all(name.startswith("deep_prompts.") for name in trained)
    assert len(trained) == len(start)
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    for step in range(3):
        optimiser.zero_grad()
        model(input_ids=batch(seed=step)).last_hidden_state[..., 0].square().mean().backward()
        optimiser.step()
    assert all(p.grad is None for name, p in model.named_parameters() if name not in trained)
    assert all(p.grad.abs().sum() > 0 for p in trained.values())
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(not torch.equal(start[name], value) for name, value in prefix_state(model).items())


# --- copied --------------------------------------------------------------------------------------------------------


def test_copies_live_their_own_lives(model):
    attach_prefix(model, LENGTH)
    wanted = states(model, batch())
    copy = deepcopy(model)
    assert torch.equal(states(copy, batch()), wanted)
    for parameter in copy.deep_prompts.parameters():
        parameter.data.add_(1.0)
    assert torch.equal(states(model, batch()), wanted)
    assert not torch.equal(states(copy, batch()), wanted)


def test_models_of_one_configuration_do_not_meddle(model):
    """Attention is chosen by the configuration object, which these three share."""
    plain, second = (type(model)(model.config).eval() for _ in range(2))
    for other in (plain, second):
        other.load_state_dict(model.state_dict(), strict=False)  # they have a pooler, which is not read
    ids = batch()
    untouched = states(plain, ids)
    attach_prefix(model, LENGTH, seed=1)
    attach_prefix(second, LENGTH + 2, seed=2)
    wanted = states(model, ids), states(second, ids)
    assert torch.equal(states(plain, ids), untouched)
    assert plain.config._attn_implementation == "sdpa"
    assert not torch.equal(wanted[0], wanted[1])


# --- faults ------------------------------------------------------------------------------------------------------


def test_faults_name_the_remedy():
    model = make("bert")
    attach_prefix(model, LENGTH)
    with pytest.raises(BraintuneError, match="already has a prefix; load the backbone again"):
        attach_prefix(model, LENGTH)
    with pytest.raises(BraintuneError, match=r"network of width 6 .* `prefix_hidden: 0` or `prefix_init: normal`"):
        attach_prefix(make("bert"), LENGTH, tokens=True, hidden=6)


def test_every_layer_of_albert_has_a_prefix():
    """Its layers are calls of one module; each call takes the next prefix, and a broken pass does not shift them."""
    model, ids = make("albert"), batch()
    prompts = attach_prefix(model, LENGTH, std=0.5)
    wanted = states(model, ids)
    assert len(prompts) == LAYERS
    assert len({id(module) for module, _ in attention_calls(make("albert"))}) == 1
    for layer in range(LAYERS):
        changed = deepcopy(model)
        changed.deep_prompts[layer].vectors.data += 1.0
        moved = (states(changed, ids) - wanted).abs().amax((1, 2, 3)) > 1e-4
        assert moved.tolist() == [k > layer for k in range(LAYERS + 1)]
    hook = model.encoder.albert_layer_groups[0].albert_layers[0].register_forward_hook(lambda *given: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        states(model, ids)
    hook.remove()
    assert torch.equal(states(model, ids), wanted)


def test_a_prefix_without_effect_is_an_error():
    """The second layer's attention is computed, and dropped."""
    model = make("bert")
    model.encoder.layer[1].attention.register_forward_hook(lambda module, given, out: (given[0], *out[1:]))
    with pytest.raises(
        BraintuneError, match=r"layer 2 of 3 has no effect .*'bert'.*to some of fine-tuned, prompt-shallow, lora"
    ):
        attach_prefix(model, LENGTH)
    assert len(attach_prefix(make("bert"), LENGTH)) == LAYERS


def test_attaching_leaves_the_random_state_and_no_gradient(model):
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    model.train()
    attach_prefix(model, LENGTH, dropout=0.1)
    assert torch.equal(torch.rand(4), wanted)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_unknown_types_are_named():
    config = RoFormerConfig(**SMALL, vocab_size=WORDS)
    with pytest.raises(
        BraintuneError, match=r"type 'roformer'; known: bert, roberta, .*gpt2. Choose .*fine-tuned.*a plugin"
    ):
        attach_prefix(RoFormerModel(config), LENGTH)
