"""Write the paper's own setting in its true size, without its data and weights, and a profile that runs it:

PYTHONPATH=tests .venv/bin/python tests/studies/full_size.py FOLDER
BRAINTUNE_DATA=FOLDER make book PROFILE=FOLDER/paper-size.yml

One participant's files of Pereira et al. (2018): 384 + 243 sentences × 180,000 voxels, all 15 atlases, in the official
layout. The sentences come from the microworld, and some of what they mean is planted in the voxels of the language
network. An encoder of the size and shape of bert-base-cased (12 layers, width 768, 28,996 tokens, 108 million
parameters) with random weights, whose tokeniser knows the words of the stimuli. The profile is `paper` with what needs
the net, or a GPU, overridden: tasks, examples, epochs, seeds and participants.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import yaml
from transformers import BertConfig, BertModel

import pereira_files
from braintune.core.preprocess import zscore
from braintune.core.study import Study, profile_path
from braintune.datasets.microworld import passages
from tiny_models import bert_tokenizer

VOXELS = 180_000
#: Experiment → passages, sentences.
SIZES = {2: (96, 384), 3: (72, 243)}
#: Atlas → parts, voxels of a part: about those of the data.
ATLASES = {
    "aal_1ofN": (116, 1_300), "languageParcelsConservative_aal": (16, 150), "languageParcels_aal": (16, 300),
    "semantic_aal": (20, 1_000), "multipleDemand_aal": (18, 300), "MD": (20, 320), "DMN": (10, 600),
    "languageLH": (8, 350), "languageRH": (8, 350), "visual_body": (4, 400), "visual_face": (4, 300),
    "visual_object": (4, 500), "visual_scene": (4, 400), "visual": (4, 1_500), "gordon": (333, 350),
}  # fmt: skip
OVERRIDES = {
    "profile": "paper-size",
    "tasks": ["sentiment", "chunking"],
    "task_source": "microworld",
    "train_examples": 200,
    "test_examples": 100,
    "seeds": [0],
    "learning_rates": {"fine-tuned": [1e-4], "prompt-tuned": [1e-2]},
    "epochs": [1],
    "participants": ["P01"],
}


def atlases(random):
    """Columns of every part of every atlas, counted from 1; the language network comes first, so signal meets it."""
    first = {"languageLH": 0, "languageRH": 8 * 350}
    found = {}
    for atlas, (parts, size) in ATLASES.items():
        start = first.get(atlas)
        columns = np.arange(start, start + parts * size) if start is not None else random.permutation(VOXELS)
        found[atlas] = {f"{atlas}_{p + 1}": columns[p * size : (p + 1) * size] + 1 for p in range(parts)}
    return found


def content(experiment, random):
    """What the file of one experiment holds."""
    n_passages, n = SIZES[experiment]
    world = passages.stimuli(Study.make({"world_seed": experiment, "passages": n_passages, "topics": 24}))
    kept = np.sort(random.permutation(len(world.sentences))[:n])
    features = zscore(world.concepts[kept])
    responses = random.standard_normal((n, VOXELS), dtype=np.float32).astype(float)
    language = 2 * 8 * 350
    weights = np.random.default_rng(0).standard_normal((features.shape[1], language))  # the same in both experiments
    responses[:, :language] += 0.3 * zscore(features @ weights)
    return {
        "responses": responses,
        "keySentences": [f"{world.sentences[i]}" for i in kept],
        "labelsSentences": np.arange(1, n + 1),
        "labelsPassageForEachSentence": np.unique(world.passage[kept], return_inverse=True)[1] + 1,
        "labelsPassageCategory": np.arange(n_passages) // (n_passages // 24) + 1,
        "keyPassages": [f"passage {p}" for p in range(n_passages)],
        "keyPassageCategory": [f"Experiment {experiment}, topic {t}" for t in range(24)],
        "atlases": atlases(np.random.default_rng(1)),
        "colToCoord": np.column_stack(np.unravel_index(np.arange(VOXELS), (88, 125, 85))) + 1,
    }


def write_encoder(folder, sentences):
    """Write an encoder of the size of bert-base-cased, with random weights."""
    words = sorted({word.strip(".,!?").lower() for sentence in sentences for word in sentence.split()})
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=28_996)).save_pretrained(folder)
    bert_tokenizer(tuple(words)).save_pretrained(folder)


def main(folder):
    """Write the files, the encoder and the profile."""
    sentences = []
    for experiment, name in pereira_files.NAMES.items():
        held = content(experiment, np.random.default_rng(experiment))
        pereira_files.write(folder / "brain" / "pereira2018" / "P01" / name, held)
        sentences += held["keySentences"]
    write_encoder(folder / "encoder", sentences)
    paper = yaml.safe_load(profile_path("paper").read_text(encoding="utf-8"))
    (folder / "paper-size.yml").write_text(
        yaml.safe_dump(paper | OVERRIDES | {"backbone": str(folder / "encoder")}, sort_keys=False), encoding="utf-8"
    )
    print(f"BRAINTUNE_DATA={folder} make book PROFILE={folder / 'paper-size.yml'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
