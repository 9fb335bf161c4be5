import numpy as np
import pytest
import torch
from safetensors import safe_open
from transformers import GPT2Config, GPT2Model, ModernBertConfig, ModernBertModel

from braintune.core.base import BraintuneError
from braintune.core.store import read_arrays
from braintune.core.study import Study
from braintune.datasets.brains.base import BrainData, Stimuli, stimulus_means
from braintune.models.backbones import Backbone, load_backbone
from braintune.models.controls import (
    CONTROLS,
    NotAvailable,
    gaussian_basis,
    length_code,
    passage_code,
    position_code,
    user_vectors,
)
from braintune.models.embeddings import embed, embed_stimuli, tokenise
from braintune.models.prefix import attach_prefix
from braintune.models.tuning import tune
from tiny_models import TOKENIZERS

SENTENCES = [
    "The river rose after a week of rain.",
    "She plays.",
    "An old lighthouse keeper counted the ships that passed on foggy mornings, and wrote their names in a book.",
    "He doubted it.",
    "The committee postponed the vote because two members were ill.",
    "She plays.",
]


@pytest.fixture(scope="module")
def minilm():
    return load_backbone("all-MiniLM-L6-v2")


def slow(backbone, sentence):
    """One sentence at a time, its own tokens picked by hand: all but the first and the last."""
    ids = backbone.tokenizer(sentence, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        states = backbone.model(input_ids=ids, output_hidden_states=True).hidden_states
    return np.stack([state[0, 1:-1].mean(0).numpy() for state in states])


# --- sentences ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 2, 64])
def test_means_over_own_tokens_at_every_layer(minilm, batch):
    found = embed(minilm, SENTENCES, batch=batch)
    assert found.shape == (7, len(SENTENCES), 384)
    assert found.dtype == np.float32
    wanted = np.stack([slow(minilm, sentence) for sentence in SENTENCES], axis=1)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_the_embedding_layer_knows_no_neighbours(minilm):
    """Layer 0 of one word is its own vector: nothing of [CLS] and [SEP] is in it."""
    found = embed(minilm, ["river"])[0, 0]
    ids = minilm.tokenizer("river", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        np.testing.assert_allclose(found, minilm.model.embeddings(ids)[0, 1].numpy(), atol=1e-6)


def test_cls_is_the_first_token(minilm):
    ids = minilm.tokenizer(SENTENCES[0], return_tensors="pt")["input_ids"]
    with torch.no_grad():
        wanted = minilm.model(input_ids=ids).last_hidden_state[0, 0].numpy()
    found = embed(minilm, SENTENCES, pooling="cls")
    np.testing.assert_allclose(found[-1, 0], wanted, atol=1e-5)


def test_order_and_duplicates_change_no_bit(tiny_bert):
    backbone, order = load_backbone(tiny_bert), [3, 1, 1, 0, 5, 4, 2, 2]
    found = embed(backbone, SENTENCES, batch=2)
    assert np.array_equal(embed(backbone, [SENTENCES[i] for i in order], batch=2), found[:, order])
    assert np.array_equal(found[:, 1], found[:, 5])


def test_a_prefix_is_attended_to_but_not_averaged(tiny_bert):
    backbone = load_backbone(tiny_bert)
    plain = embed(backbone, SENTENCES)
    attach_prefix(backbone.model, 7, std=1.0)
    found = embed(backbone, SENTENCES)
    wanted = np.stack([slow(backbone, sentence) for sentence in SENTENCES], axis=1)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert np.array_equal(found[0], plain[0])
    assert np.abs(found[1:] - plain[1:]).max() > 1e-2


def test_training_mode_is_left(tiny_bert):
    backbone = load_backbone(tiny_bert)
    wanted = embed(backbone, SENTENCES)
    backbone.model.train()
    assert np.array_equal(embed(backbone, SENTENCES), wanted)


@pytest.mark.parametrize("family", ["gpt2", "modernbert"])
def test_other_families(family):
    tokenizer = TOKENIZERS[family]()
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    torch.manual_seed(0)
    if family == "gpt2":
        model = GPT2Model(GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=2, n_head=2))
    else:
        size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
        special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
        model = ModernBertModel(ModernBertConfig(vocab_size=len(tokenizer), **size, **special))
    backbone = Backbone(family, model.eval(), tokenizer, 2, 16, "")
    found = embed(backbone, SENTENCES, batch=3)
    assert found.shape == (3, len(SENTENCES), 16)
    own = slice(None) if family == "gpt2" else slice(1, -1)
    for i, sentence in enumerate(SENTENCES):
        ids = tokenizer(sentence, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            wanted = model(input_ids=ids).last_hidden_state[0, own].mean(0).numpy()
        np.testing.assert_allclose(found[-1, i], wanted, atol=1e-5)
    if family == "gpt2":
        with pytest.raises(BraintuneError, match="no special token before a sentence; set `pooling: mean`"):
            embed(backbone, SENTENCES, pooling="cls")


def test_long_sentences_are_cut_counted_and_told(tiny_bert):
    backbone = load_backbone(tiny_bert)
    with pytest.warns(UserWarning, match=r"2 of 6 sentences have more than 32 tokens .* 'The river|raise max_tokens"):
        tokens = tokenise(backbone.tokenizer, [*SENTENCES[:4], SENTENCES[2], "x"], 32)
    assert tokens.truncated == 2
    assert max(len(ids) for ids, _ in tokens.sequences) == 32
    cut, _ = tokens.sequences[tokens.index[2]]
    assert (cut[0], cut[-1]) == (backbone.tokenizer.cls_token_id, backbone.tokenizer.sep_token_id)
    with pytest.warns(UserWarning, match="1 of 1 sentences"):  # the backbone reads 128, whatever is asked for
        embed(backbone, ["x " * 300], max_tokens=10_000)


@pytest.mark.parametrize("empty", ["", "   ", "\u200b", "[SEP] [CLS]", "\U0001f9ff", "[UNK] [PAD]"])
def test_sentences_without_tokens_are_named(minilm, empty):
    with pytest.raises(BraintuneError, match=r"sentence 2 \(.*\) has no token that the backbone knows"):
        embed(minilm, ["a", "b", empty])


def test_unknown_pooling(tiny_bert):
    with pytest.raises(BraintuneError, match="unknown pooling 'max'; known: mean, cls"):
        embed(load_backbone(tiny_bert), ["a"], pooling="max")


# --- stimuli and controls ----------------------------------------------------------------------------------------


def passages(n=6, each=4, seed=0):
    random = np.random.default_rng(seed)
    words = ["river", "play", "the", "ship", "a", "lighthouse"]
    sentences = [" ".join(random.choice(words, random.integers(2, 9))) for _ in range(n * each)]
    where = np.repeat(np.arange(n), each)
    names = [f"s{i}" for i in range(n * each)]
    return Stimuli(names, sentences, np.arange(n * each), where, where % 3, np.tile(np.arange(each), n))


def story(n=84):
    sentences = [f"Then the word number {i} came" + "." * (i % 5) for i in range(n)]
    return Stimuli([f"{i}" for i in range(n)], sentences, np.arange(n), position=np.arange(n), contiguous=True)


def concepts(n=8):
    sentences = ["a " * (i % 4) + f"thing {i}" for i in range(2 * n)]
    return Stimuli([f"c{i}" for i in range(n)], sentences, np.arange(2 * n) // 2)


def test_a_stimulus_is_the_mean_of_its_sentences():
    random = np.random.default_rng(0)
    vectors = random.standard_normal((3, 7, 5)).astype(np.float32)
    of = np.array([2, 0, 0, 1, 2, 2, 0])
    found = stimulus_means(vectors, Stimuli(["a", "b", "c"], [""] * 7, of))
    wanted = np.stack([vectors[:, of == k].mean(1) for k in range(3)], axis=1)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert found.dtype == np.float32
    single = Stimuli(list("abcdefg"), [""] * 7, np.arange(7))
    assert np.array_equal(stimulus_means(vectors, single), vectors)
    with pytest.raises(BraintuneError, match="every stimulus needs a sentence"):
        stimulus_means(vectors, Stimuli(["a", "b", "c", "d"], [""] * 7, of))


def test_bumps_by_hand():
    values = np.array([3.0, 3.0, 10.0, 5.5, 25.0])
    found = gaussian_basis(values, 12)
    for i, value in enumerate(values):
        for k in range(12):
            assert found[i, k] == pytest.approx(np.exp(-0.5 * ((value - (3 + 2 * k)) / 2) ** 2), abs=1e-6)
    with pytest.raises(NotAvailable, match="it is 4 for all 3 stimuli"):
        gaussian_basis(np.full(3, 4))


def alike(code):
    return np.corrcoef(code)


def test_the_passage_code_knows_passages_and_nothing_else():
    stimuli = passages(n=10)
    code = passage_code(Study.make({}), stimuli)
    assert code.shape == (40, 64)
    same = stimuli.passage[:, None] == stimuli.passage
    np.fill_diagonal(same, False)
    assert alike(code)[same].min() > 0.99
    assert np.abs(alike(code)[stimuli.passage[:, None] != stimuli.passage]).max() < 0.6
    assert len(np.unique(code, axis=0)) == 40  # no ties
    silent = Stimuli(stimuli.names, ["x"] * 40, stimuli.stimulus_of, stimuli.passage)
    assert np.array_equal(passage_code(Study.make({}), silent), code)
    assert not np.array_equal(passage_code(Study.make({"world_seed": 1}), stimuli), code)


def test_the_passage_code_of_a_story_drifts():
    study = Study.make({"blocks": 6})
    close = alike(passage_code(study, story()))
    by_distance = [np.diagonal(close, offset).mean() for offset in (1, 7, 14, 40)]
    assert by_distance[0] > 0.95
    assert by_distance == sorted(by_distance, reverse=True)
    assert abs(by_distance[-1]) < 0.4


def test_length_and_position_codes():
    study, stimuli = Study.make({}), passages()
    code = length_code(study, stimuli)
    assert code.shape == (24, 24)
    words = np.array([len(s.split()) for s in stimuli.sentences])
    close = alike(code[:, :12])
    assert close[words[:, None] == words].min() == pytest.approx(1)
    assert close[words == 2][:, words == 8].max() < 0
    two = concepts()
    counts = np.array([len(s.split()) for s in two.sentences]).reshape(-1, 2).mean(1)
    np.testing.assert_allclose(length_code(study, two)[:, :12], gaussian_basis(counts), atol=1e-6)

    code = position_code(study, stimuli)
    assert code.shape == (24, 12)
    assert len(np.unique(code, axis=0)) == 4
    neighbours = alike(position_code(study, story()))
    assert neighbours[0, 1] > 0.95 > neighbours[0, 10] > neighbours[0, 30]


def test_the_length_code_needs_stimuli_that_differ_in_words_or_characters():
    def code(*sentences):
        return length_code(Study.make({}), Stimuli(list(sentences), list(sentences), np.arange(len(sentences))))

    characters = ["One long word.", "A short one.", "No dull film."]
    np.testing.assert_array_equal(code(*characters), gaussian_basis(np.array([14.0, 12, 13])))
    assert code("港口很旧。", "剧院有两扇大门。").shape == (2, 12)
    assert code("One.", "A b.").shape == (2, 12)  # words differ, characters do not
    with pytest.raises(NotAvailable, match="all of the same length"):
        code("One of us.", "All of us.")


@pytest.mark.parametrize("control", [passage_code, position_code])
def test_codes_that_the_stimuli_do_not_allow(control):
    with pytest.raises(NotAvailable, match="these stimuli"):
        control(Study.make({}), concepts())


# --- a whole study -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def study(tmp_path_factory, tiny_bert):
    run = Study.make(
        {
            "runs": str(tmp_path_factory.mktemp("runs")),
            "backbone": tiny_bert,
            "device": "cpu",
            "tasks": ["sentiment"],
            "epochs": [1],
            "learning_rates": {"fine-tuned": [1e-2], "prompt-tuned": [1e-1]},
            "train_examples": 24,
            "test_examples": 12,
            "batch_size": 4,
            "prefix_length": 3,
        }
    )
    for method in run.methods:
        tune(run, "sentiment", method, 0)
    return run


def brain(stimuli, name="made", simulated=True):
    return BrainData(name, ("S01",), ("language",), stimuli, simulated, lambda who: {})


def metadata(study, name, representation):
    with safe_open(study.embedding_file(name, representation), "np") as file:
        return file.metadata()


def test_every_representation_has_its_file_and_its_row(study):
    stimuli = passages()
    table = embed_stimuli(study, brain(stimuli))
    names = [r.name for r in study.representations()]
    assert table["representation"].tolist() == names
    assert (table["skipped"] == "").all()
    assert (table["seconds"] > 0).all()
    folder = study.embedding_file("made", "untuned").parent
    assert sorted(f.stem for f in folder.iterdir()) == sorted(names)
    table = table.set_index("representation")
    for name in names:
        arrays = read_arrays(study.embedding_file("made", name))
        shape = (table.loc[name, "layers"], 24, table.loc[name, "width"])
        assert arrays["embedding"].shape == shape
        assert arrays["embedding"].dtype == np.float32
        assert shape[0] == (1 if name in ("passage", "length", "position") else 3)
    assert table.loc["untuned", "cosine"] == pytest.approx(1)
    assert table.loc[["passage", "length", "position"], "cosine"].isna().all()
    moved = table["cosine"].drop(["untuned", "passage", "length", "position"])
    assert (moved < 1 - 1e-7).all()
    assert moved["random-weights"] == moved.min()

    facts = metadata(study, "made", "sentiment_prompt-tuned_seed-0")
    assert facts["fingerprint"] == metadata(study, "made", "untuned")["fingerprint"]
    wanted = {"simulated": "true", "pooling": "mean", "method": "prompt-tuned", "seed": "0"}
    assert facts | wanted == facts
    assert metadata(study, "made", "random-weights")["fingerprint"] != facts["fingerprint"]
    assert metadata(study, "made", "length")["backbone"] == ""


def test_the_files_are_what_embed_gives_and_equal_each_time(study, tiny_bert):
    stimuli = concepts()
    table = embed_stimuli(study, brain(stimuli, "again", simulated=False)).set_index("representation")
    folder = study.embedding_file("again", "untuned").parent
    before = {file.name: read_arrays(file)["embedding"] for file in folder.iterdir()}
    wanted = stimulus_means(embed(load_backbone(tiny_bert), stimuli.sentences), stimuli)
    assert np.array_equal(read_arrays(study.embedding_file("again", "untuned"))["embedding"], wanted)
    assert metadata(study, "again", "untuned")["simulated"] == "false"

    assert table.loc["passage", "skipped"] == "these stimuli have neither passages nor an order"
    assert table.loc["position", "skipped"] == "these stimuli were presented in no fixed order"
    assert not study.embedding_file("again", "passage").exists()
    study.embedding_file("again", "passage").write_bytes(b"of an older run")
    embed_stimuli(study, brain(stimuli, "again", simulated=False))
    after = {file.name: read_arrays(file)["embedding"] for file in folder.iterdir()}
    assert set(after) == set(before)
    assert all(np.array_equal(after[name], before[name]) for name in before)


def test_the_prefix_controls_differ_by_what_they_hold(study):
    stimuli = passages()
    made = {name: CONTROLS[name](study, stimuli) for name in ("zero-prefix", "random-prefix", "random-weights")}
    assert [len(b.model.deep_prompts[0].vectors) for b in list(made.values())[:2]] == [3, 3]
    vectors = {name: embed(b, stimuli.sentences) for name, b in made.items()}
    assert not np.array_equal(vectors["zero-prefix"], vectors["random-prefix"])
    assert np.array_equal(vectors["zero-prefix"][0], vectors["random-prefix"][0])
    assert "zero prefix" in made["zero-prefix"].name


def test_faults(study):
    missing = study.model_copy(update={"seeds": [5]})
    with pytest.raises(BraintuneError, match=r"weights\.safetensors does not exist"):
        embed_stimuli(missing, brain(passages(), "faults"))
    unknown = study.model_copy(update={"controls": ["nothing"]})
    with pytest.raises(BraintuneError, match="unknown control 'nothing'; known: passage, length, position"):
        embed_stimuli(unknown, brain(passages(), "faults2"))
    assert not study.embedding_file("faults2", "untuned").exists()
    empty = passages()
    empty.sentences[3] = " "
    with pytest.raises(BraintuneError, match="sentence 3 "):
        embed_stimuli(study, brain(empty, "faults3"))


def test_vectors_from_a_file_are_a_control(study, tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path))
    stimuli = passages()
    n = len(stimuli.names)
    np.savez(tmp_path / "mine.npz", vectors=np.arange(4.0 * n).reshape(n, 4))
    np.savez(tmp_path / "other.npz", vectors=np.zeros((n + 1, 4)))
    np.savez(tmp_path / "bad.npz", vectors=np.full((n, 4), np.nan))
    found = user_vectors("mine.npz", stimuli)
    assert found.shape == (n, 4) and found.dtype == np.float32 and found[1, 0] == 4
    with pytest.raises(NotAvailable, match=f"other.npz has {n + 1} rows, and there are {n} stimuli"):
        user_vectors("other.npz", stimuli)
    with pytest.raises(BraintuneError, match="NaN"):
        user_vectors("bad.npz", stimuli)
    with pytest.raises(BraintuneError, match=r"gone.npz is not a readable"):
        user_vectors("gone.npz", stimuli)
    run = study.model_copy(update={"vectors": {"mine": "mine.npz"}})
    assert run.representations()[-1].name == "mine"
