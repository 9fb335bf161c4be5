"""Every family of encoders by every method that serves it, from its folder to the decoding of a simulated participant."""

import numpy as np
import pytest

from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.datasets.brains.registry import load_brain
from braintune.models.backbones import load_backbone
from braintune.models.checkpoints import model_folder
from braintune.models.embeddings import embed_stimuli
from braintune.models.methods import METHODS, check_methods
from braintune.models.tuning import tune
from braintune.neural.decoding import decode_participant
from braintune.neural.representations import load_embeddings
from tiny_models import ENCODERS, LAYERS, WIDTH, WITHOUT_PREFIX, save_tiny_encoder

pytestmark = pytest.mark.slow

LENGTH = 5
SMALL = {"tasks": ["nli"], "train_examples": 16, "test_examples": 10, "batch_size": 8, "epochs": [1], "device": "cpu",
         "prefix_length": LENGTH, "max_tokens": 24, "stride": 8, "scored_only": [], "topics": 4, "passages": 12,
         "sentences_per_passage": 3, "simulated_participants": 1, "voxels_per_region": 12, "regions": ["language"],
         "n_folds": 3, "n_alphas": 3, "permutations": 2}  # fmt: skip


def serving(model, methods):
    """Return the methods that are not refused for a model."""
    served = []
    for method in methods:
        try:
            check_methods(model, Study.make({"methods": [method], "controls": ["length"]}))
        except BraintuneError:
            continue
        served.append(method)
    return served


@pytest.mark.parametrize("family", ENCODERS)
def test_every_family_from_a_folder_to_decoding(tmp_path, family):
    """Tuned on pairs that are cut, saved, loaded, embedded and decoded; a second run gives the same numbers."""
    backbone = save_tiny_encoder(tmp_path / family, family)
    methods = serving(load_backbone(backbone).model, METHODS)
    assert {"fine-tuned", "prompt-shallow", "lora", "head-only"} <= set(methods)
    assert ("prompt-tuned" in methods) == (family not in WITHOUT_PREFIX)
    controls = ["zero-prefix"] if "prompt-tuned" in methods else ["length"]
    runs = [
        Study.make(
            SMALL | {"runs": str(tmp_path / name), "backbone": backbone, "controls": controls, "methods": some}
            | {"learning_rates": {method: [1e-2] for method in METHODS}}
        )
        for name, some in (("one", methods), ("two", methods[1:2]))
    ]  # fmt: skip
    for study in runs:
        for method in study.methods:
            metrics = tune(study, "nli", method, 0)
            assert metrics["truncated"] > 0
            if method == "prompt-tuned":
                assert metrics["parameters"] == LAYERS * 2 * LENGTH * WIDTH + (4 * WIDTH + 1) * len(metrics["labels"])
    brain = load_brain(runs[0], "simulated")
    with pytest.warns(UserWarning, match="have more than 24 tokens"):
        for study in runs:
            assert np.isfinite(embed_stimuli(study, brain)["cosine"].iloc[: 1 + len(study.methods)]).all()
    found, again = ({one.name: of for one, of in load_embeddings(study, "simulated").items()} for study in runs)
    for name in set(again) - {"length", "zero-prefix"}:
        assert np.array_equal(found[name], again[name]), name
    for method in methods:
        moved = abs(found[f"nli_{method}_seed-0"] - found["untuned"]).max(axis=(1, 2))
        assert (moved[-1] > 1e-4) == (method != "head-only"), method
        if method in ("prompt-tuned", "prompt-shallow"):
            assert moved[0] < 1e-6 and (moved[1:] > 1e-5).all()  # every layer, but not the words themselves
        assert (model_folder(runs[0], "nli", method, 0) / "weights.safetensors").is_file()
    table, null, _ = decode_participant(runs[0], brain, "S01", load_embeddings(runs[0], "simulated"))
    same, *_ = decode_participant(runs[0], brain, "S01", load_embeddings(runs[0], "simulated"))
    assert table.equals(same) and len(null) > 0
    assert set(table["representation"]) == set(found)
    assert np.isfinite(table[["pairwise", "margin", "alpha"]]).all(axis=None)
