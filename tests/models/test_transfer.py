import torch

from braintune.core.study import Study
from braintune.models import transfer as transfers
from braintune.models.backbones import load_backbone
from braintune.models.transfer import transfer, transfer_table
from braintune.models.tuning import tune


def test_a_head_on_the_frozen_prompts_of_another_task(tmp_path, tiny_bert, monkeypatch):
    rates = {"prompt-tuned": [3e-2], "head-only": [1e-2]}
    study = Study.make({"runs": str(tmp_path), "backbone": tiny_bert, "tasks": ["sentiment", "nli"], "device": "cpu",
                        "methods": list(rates), "learning_rates": rates, "epochs": [1], "train_examples": 30,
                        "test_examples": 20, "batch_size": 8, "prefix_length": 3})  # fmt: skip
    for task in study.tasks:
        tune(study, task, "prompt-tuned", 0)
    loaded = []
    real = transfers.load_tuned

    def load(*job):
        loaded.append((job[1:], real(*job)))
        return loaded[-1][1]

    monkeypatch.setattr(transfers, "load_tuned", load)
    table = transfer_table(study)
    assert table[["source", "target"]].to_numpy().tolist() == [["sentiment", "nli"], ["nli", "sentiment"]]
    assert (table["gain"] == table["score"] - table["head_only"]).all() and table["score"].between(0, 1).all()
    for job, backbone in loaded:  # after training, the prompts are still those of the source
        assert job[1:] == ("prompt-tuned", 0) and hasattr(backbone.model, "deep_prompts")
        kept = dict(real(study, *job).model.named_parameters())
        assert all(torch.equal(value, kept[name]) for name, value in backbone.model.named_parameters())
    # on the untuned encoder the same training gives head-only itself
    monkeypatch.setattr(transfers, "load_tuned", lambda *job: untuned(study))
    found = transfer(study, "sentiment", "nli")
    assert found["score"] == found["head_only"] == tune(study, "nli", "head-only", 0)["score"]


def untuned(study):
    backbone = load_backbone(study.backbone)
    torch.manual_seed(9)  # what came before does not matter
    backbone.model.requires_grad_(False)
    return backbone
