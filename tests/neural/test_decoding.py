"""The engine against scikit-learn and double loops; folds and permutations by property; controls and faults."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.preprocessing import StandardScaler

from braintune.core.base import BraintuneError
from braintune.core.preprocess import detrend, zscore_varying
from braintune.core.study import Representation, Study
from braintune.datasets.brains.base import BrainData, Stimuli
from braintune.datasets.brains.registry import load_brain
from braintune.models.controls import user_vectors
from braintune.neural import decoding
from braintune.neural.folds import make_folds, permutations, topics
from braintune.neural.representations import analysis_layer, load_embeddings
from braintune.neural.ridge import (
    BLOCK_BYTES,
    GROUP_SCORES,
    SCORES,
    TIE,
    decode,
    fit_ridge,
    gram_matrices,
    scores,
    zscore_voxels,
)

ALPHAS = np.logspace(-1, 4, 9)
UNTUNED = Representation("untuned", "untuned")
PASSAGE = Representation("passage", "control")


def make_stimuli(n, passage=None, topic=None, contiguous=False):
    names = [f"s{i}" for i in range(n)]
    return Stimuli(names, names, np.arange(n), passage, topic, None, contiguous)


def make_brain(responses, stimuli, name="small"):
    """A brain whose responses are a mapping participant -> region -> array."""
    regions = tuple(next(iter(responses.values())))
    return BrainData(name, tuple(responses), regions, dict.fromkeys(regions, "all"), stimuli, True, responses.get)


def make_study(**values):
    return Study.make({"profile": "t", "device": "cpu", "n_alphas": 5, "permutations": 0, "n_folds": 4} | values)


def noisy_pair(n, v, d, rank=6, seed=0):
    """Voxels and an embedding that share `rank` latent features."""
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(n, rank))
    voxels = latent @ rng.normal(size=(rank, v)) + 2 * rng.normal(size=(n, v)) + rng.normal(size=v)
    embedding = latent @ rng.normal(size=(rank, d)) + rng.normal(size=(n, d)) + rng.normal(size=d)
    return voxels.astype(np.float32), embedding.astype(np.float32)


# --- the slow, obvious version -----------------------------------------------------------------------------------


def slow_scores(predicted, truth, group=None):
    m = len(truth)
    r = np.corrcoef(predicted, truth)[:m, m:]
    r = np.nan_to_num(r)

    def won(x):
        return 1.0 if x > TIE else 0.5 if x >= -TIE else 0.0

    pairs = [(i, j) for i in range(m) for j in range(i + 1, m)]
    ordered = [(i, j) for i in range(m) for j in range(m) if i != j]
    wins = {(i, j): won(r[i, i] + r[j, j] - r[i, j] - r[j, i]) for i, j in pairs}
    inside = [] if group is None else [win for (i, j), win in wins.items() if group[i] == group[j]]
    across = [] if group is None else [win for (i, j), win in wins.items() if group[i] != group[j]]
    return {
        "pairwise": np.mean(list(wins.values())),
        "pairwise_same_group": np.mean(inside) if inside else np.nan,
        "pairwise_different_group": np.mean(across) if across else np.nan,
        "pairwise_strict": np.mean([won(r[i, i] - r[i, j]) * won(r[j, j] - r[j, i]) for i, j in pairs]),
        "rank": np.mean([1 - won(r[i, i] - r[i, j]) for i, j in ordered]),
        "mse": np.mean((predicted - truth) ** 2),
    }


@pytest.mark.parametrize(("n", "v", "d"), [(60, 12, 20), (60, 28, 9), (48, 200, 30), (40, 39, 70)])
@pytest.mark.parametrize("standardise", [True, False])
def test_equals_scikit_learn(n, v, d, standardise):
    voxels, embedding = noisy_pair(n, v, d)
    embeddings = [embedding, np.roll(embedding, 3, 0)]
    folds = make_folds(make_stimuli(n), "shuffled", make_study())
    found = decode(gram_matrices(embeddings, standardise), {"a": voxels, "b": voxels[::-1]}, folds, ALPHAS)
    for g, responses in enumerate((voxels, voxels[::-1])):
        for i, raw in enumerate(embeddings):
            target = StandardScaler().fit_transform(raw.astype(float)) if standardise else raw.astype(float)
            for f, (train, test) in enumerate(folds):
                scaler = StandardScaler().fit(responses[train].astype(float))
                ridge = RidgeCV(ALPHAS).fit(scaler.transform(responses[train].astype(float)), target[train])
                assert ALPHAS[int(found["choice"][f, g, i])] == pytest.approx(ridge.alpha_)
                expected = slow_scores(ridge.predict(scaler.transform(responses[test].astype(float))), target[test])
                assert found["mse"][f, g, i] == pytest.approx(expected["mse"], rel=1e-4)
                for name in ("pairwise", "pairwise_strict", "rank"):
                    assert found[name][f, g, i] == pytest.approx(expected[name], abs=1e-6), name


@pytest.mark.parametrize("v", [10, 90])
def test_leave_one_out_error_is_exact(v):
    voxels, embedding = noisy_pair(40, v, 8)
    train, test = (torch.from_numpy(part.astype(float)) for part in (voxels[:30], voxels[30:]))
    train, test = zscore_voxels(train, test)
    ridge = fit_ridge(train, test, torch.as_tensor(ALPHAS))
    target = embedding[:30].astype(float)
    inner = torch.from_numpy(embedding[:30] @ embedding.T)
    standard = train.numpy()
    for a, alpha in enumerate(ALPHAS):
        error = 0.0
        for i in range(30):
            rest = np.delete(np.arange(30), i)
            x, y = standard[rest] - standard[rest].mean(0), target[rest] - target[rest].mean(0)
            weights = np.linalg.solve(x.T @ x + alpha * np.eye(v), x.T @ y)
            guess = (standard[i] - standard[rest].mean(0)) @ weights + target[rest].mean(0)
            error += ((guess - target[i]) ** 2).sum()
        assert float((ridge.left_out[a] * inner).sum()) == pytest.approx(error, rel=2e-4)


@pytest.mark.parametrize(("n", "v"), [(60, 1), (60, 12), (60, 28), (40, 39), (40, 300)])
def test_predictions_are_those_of_ridge(n, v):
    voxels, embedding = noisy_pair(n, v, 9)
    cut, target = n - 10, zscore_varying(embedding)
    train, test = zscore_voxels(*(torch.from_numpy(part.astype(float)) for part in (voxels[:cut], voxels[cut:])))
    hats = fit_ridge(train, test, torch.as_tensor(ALPHAS)).hat
    for alpha, hat in zip(ALPHAS, hats, strict=True):
        expected = Ridge(alpha, solver="svd").fit(train.numpy(), target[:cut]).predict(test.numpy())
        assert np.abs(hat.numpy() @ target[:cut] - expected).max() < 1e-5 * np.abs(expected).max()


# --- what must not matter, and what must -------------------------------------------------------------------------


def rotation(size, rng, fixed=None):
    """A random rotation; with `fixed`, one that leaves that direction where it is."""
    free = size if fixed is None else size - 1
    turned = np.linalg.qr(rng.normal(size=(free, free)))[0]
    if fixed is None:
        return turned
    basis = np.linalg.qr(np.column_stack([fixed, rng.normal(size=(size, free))]))[0]
    return basis @ np.block([[np.ones((1, 1)), np.zeros((1, free))], [np.zeros((free, 1)), turned]]) @ basis.T


def decode_one(voxels, embedding, folds, standardise=True):
    return decode(gram_matrices([embedding], standardise), {"a": voxels}, folds, ALPHAS)


@given(st.sampled_from([1, 2, 8, 20, 50]), st.integers(0, 999))
@settings(max_examples=15, deadline=None)
def test_rotating_voxels_changes_nothing(v, seed):
    rng = np.random.default_rng(seed)
    train, test = rng.normal(size=(24, v)), rng.normal(size=(6, v))
    train, test, turn = train - train.mean(0), test - train.mean(0), rotation(v, rng)
    one, other = (
        fit_ridge(torch.from_numpy(train @ by), torch.from_numpy(test @ by), torch.as_tensor(ALPHAS))
        for by in (np.eye(v), turn)
    )
    np.testing.assert_allclose(one.hat, other.hat, atol=1e-5)
    inner = rng.normal(size=(24, 5))  # the error of five dimensions: W is only ever seen through inner products
    inner = torch.from_numpy(np.pad(inner @ inner.T, ((0, 0), (0, 6)))).float()
    np.testing.assert_allclose((one.left_out * inner).sum((1, 2)), (other.left_out * inner).sum((1, 2)), rtol=1e-4)


@given(st.sampled_from([4, 12, 40]), st.integers(0, 999))
@settings(max_examples=15, deadline=None)
def test_rotating_dimensions_changes_nothing(d, seed):
    """Correlation takes the mean over dimensions away, so for it a rotation must leave the mean's direction."""
    rng = np.random.default_rng(seed)
    voxels, embedding = noisy_pair(40, 15, d, seed=seed)
    folds = make_folds(make_stimuli(40), "shuffled", make_study())
    plain = decode_one(voxels, embedding, folds, standardise=False)
    for turn, names in ((rotation(d, rng), ["mse"]), (rotation(d, rng, np.ones(d)), SCORES)):
        turned = decode_one(voxels, (embedding @ turn).astype(np.float32), folds, standardise=False)
        for name in names:
            np.testing.assert_allclose(turned[name], plain[name], rtol=1e-3, atol=1e-3, err_msg=name)


@given(st.sampled_from([1, 6, 70]), st.integers(0, 999))
@settings(max_examples=15, deadline=None)
def test_the_order_of_stimuli_does_not_matter(v, seed):
    voxels, embedding = noisy_pair(40, v, 12, seed=seed)
    order = np.random.default_rng(seed).permutation(40)
    folds = make_folds(make_stimuli(40), "shuffled", make_study())
    moved = [tuple(np.argsort(order)[part] for part in fold) for fold in folds]
    one, other = decode_one(voxels, embedding, folds), decode_one(voxels[order], embedding[order], moved)
    for name in SCORES:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-3, atol=1e-3, err_msg=name)


@given(st.integers(0, 999))
@settings(max_examples=10, deadline=None)
def test_a_perfect_code_is_decoded_perfectly_and_noise_is_not(seed):
    rng = np.random.default_rng(seed)
    embedding = rng.normal(size=(60, 10)).astype(np.float32)
    folds = make_folds(make_stimuli(60), "shuffled", make_study())
    perfect = decode_one(embedding @ rng.normal(size=(10, 80)).astype(np.float32), embedding, folds)
    np.testing.assert_array_equal(perfect["pairwise"], 1)
    np.testing.assert_array_equal(perfect["rank"], 0)
    codes = gram_matrices([rng.normal(size=(60, 10)) for _ in range(30)])
    noise = decode(codes, {"a": rng.normal(size=(60, 80)).astype(np.float32)}, folds, ALPHAS)
    assert noise["pairwise"].mean() == pytest.approx(0.5, abs=0.06)


def test_rows_without_variance_are_no_fault():
    voxels, embedding = noisy_pair(40, 20, 12)
    folds = make_folds(make_stimuli(40), "shuffled", make_study())
    embedding[3], voxels[5] = 0.5, 0
    for standardise in (True, False):
        found = decode_one(voxels, embedding, folds, standardise)
        assert all(np.isfinite(found[name]).all() for name in SCORES)
        assert found["pairwise"].mean() > 0.7


@given(st.integers(2, 9), st.integers(0, 999), st.booleans())
@settings(max_examples=40, deadline=None)
def test_scores_equal_double_loop_with_ties(m, seed, coarse):
    rng = np.random.default_rng(seed)
    draw = (lambda s: rng.integers(0, 2, s).astype(float)) if coarse else (lambda s: rng.normal(size=s))
    predicted, truth, group = draw((m, 5)), draw((m, 5)), rng.integers(0, 3, m)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = slow_scores(predicted, truth, group)
        r = np.nan_to_num(np.corrcoef(predicted, truth)[:m, m:])
    found = scores(torch.from_numpy(r)[None], torch.from_numpy(group)[None])
    assert set(found) | {"mse"} == {*SCORES, *GROUP_SCORES}
    for name, values in found.items():
        assert float(values[0]) == pytest.approx(expected[name], abs=1e-6, nan_ok=True)


def test_predictions_that_do_not_vary_are_at_chance():
    found = scores(torch.zeros(1, 6, 6))
    assert {name: float(value[0]) for name, value in found.items()} == {
        "pairwise": 0.5,
        "pairwise_strict": 0.25,
        "rank": 0.5,
    }


def test_constant_voxels_change_nothing():
    voxels, embedding = noisy_pair(40, 30, 12)
    folds = make_folds(make_stimuli(40), "shuffled", make_study())
    padded = np.concatenate([voxels, np.full((40, 5), 0.1, np.float32)], 1)
    grams = gram_matrices([embedding])
    one = decode(grams, {"a": voxels}, folds, ALPHAS)
    other = decode(grams, {"a": padded}, folds, ALPHAS)
    for name in SCORES:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-4)
    dead = decode(grams, {"a": np.ones((40, 5), np.float32)}, folds, ALPHAS)
    assert all(np.isfinite(dead[name]).all() for name in SCORES)
    np.testing.assert_allclose(dead["pairwise"], 0.5)


def test_chunks_and_companions_do_not_matter(monkeypatch):
    voxels, embedding = noisy_pair(40, 20, 12)
    embeddings = [np.roll(embedding, k, 0) for k in range(5)]
    folds = make_folds(make_stimuli(40), "shuffled", make_study())
    whole = decode(gram_matrices(embeddings), {"a": voxels}, folds, ALPHAS)
    monkeypatch.setitem(BLOCK_BYTES, "cpu", 1)
    single = decode(gram_matrices(embeddings), {"a": voxels}, folds, ALPHAS)
    for name in whole:
        np.testing.assert_allclose(whole[name], single[name], rtol=1e-5)


def test_permuted_gram_is_the_permuted_embedding():
    voxels, embedding = noisy_pair(40, 20, 12)
    order = np.random.default_rng(1).permutation(40)
    folds = make_folds(make_stimuli(40), "shuffled", make_study())
    direct = decode(gram_matrices([embedding[order]]), {"a": voxels}, folds, ALPHAS)
    found = decode(gram_matrices([embedding]), {"a": voxels}, folds, ALPHAS, np.zeros(1, int), order[None])
    for name in direct:
        np.testing.assert_allclose(direct[name], found[name], rtol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_gpu_equals_cpu():
    voxels, embedding = noisy_pair(60, 80, 20)
    folds = make_folds(make_stimuli(60), "shuffled", make_study())
    cpu, gpu = (decode(gram_matrices([embedding], device=d), {"a": voxels}, folds, ALPHAS) for d in ("cpu", "cuda"))
    for name in cpu:
        np.testing.assert_allclose(cpu[name], gpu[name], rtol=1e-4)


# --- folds and permutations --------------------------------------------------------------------------------------


@given(st.integers(12, 60), st.integers(2, 5), st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_shuffled_folds_test_every_stimulus_once(n, n_folds, seed):
    folds = make_folds(make_stimuli(n), "shuffled", make_study(n_folds=n_folds, fold_seed=seed))
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(n))
    assert all(not set(train) & set(test) and len(train) + len(test) == n for train, test in folds)
    sizes = [len(test) for _, test in folds]
    assert max(sizes) - min(sizes) <= 1


@given(st.lists(st.integers(2, 6), min_size=5, max_size=20), st.integers(2, 5), st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_grouped_folds_never_split_a_passage(sizes, n_folds, seed):
    passage = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    stimuli = make_stimuli(len(passage), passage)
    folds = make_folds(stimuli, "grouped", make_study(n_folds=n_folds, fold_seed=seed))
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(len(passage)))
    assert all(not set(passage[train]) & set(passage[test]) for train, test in folds)
    tested = [len(test) for _, test in folds]
    assert max(tested) - min(tested) <= max(sizes)


@given(st.integers(40, 90), st.integers(2, 6), st.integers(0, 4))
@settings(max_examples=40, deadline=None)
def test_story_blocks_keep_their_distance(n, blocks, gap):
    folds = make_folds(make_stimuli(n, contiguous=True), "grouped", make_study(blocks=blocks, gap=gap))
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(n))
    for train, test in folds:
        assert (np.diff(test) == 1).all()
        assert np.abs(train[:, None] - test).min() == gap + 1


def test_designs_that_do_not_exist():
    assert make_folds(make_stimuli(30), "grouped", make_study()) is None
    by_topic = make_folds(make_stimuli(30, topic=np.arange(30) // 5), "grouped", make_study())
    assert len(by_topic) == 4
    with pytest.raises(BraintuneError, match=r"n_folds: 4 grouped folds.*there are 3"):
        make_folds(make_stimuli(30, np.arange(30) // 10), "grouped", make_study())
    with pytest.raises(BraintuneError, match="6 stimuli are too few for 4 shuffled folds"):
        make_folds(make_stimuli(6), "shuffled", make_study())
    with pytest.raises(BraintuneError, match="lower n_folds, blocks or gap"):
        make_folds(make_stimuli(12, contiguous=True), "grouped", make_study(blocks=2, gap=9))


def test_permutations_move_what_folds_keep_together():
    passage = np.random.default_rng(0).permutation(np.repeat(np.arange(8), 3))
    run = make_study(permutations=30, gap=2)
    for stimuli, design in (
        (make_stimuli(24), "shuffled"),
        (make_stimuli(24, passage), "grouped"),
        (make_stimuli(24, contiguous=True), "grouped"),
    ):
        orders = permutations(stimuli, design, run)
        assert (np.sort(orders, 1) == np.arange(24)).all()
        np.testing.assert_array_equal(orders, permutations(stimuli, design, run))
        assert len(np.unique(orders, axis=0)) > 25
    for order in permutations(make_stimuli(24, passage), "grouped", run):
        assert all(len(set(passage[order[passage == p]])) == 1 for p in range(8))
    for order in permutations(make_stimuli(24, contiguous=True), "grouped", run):
        assert set(np.diff(order) % 24) in ({1}, {23})
        forward = (np.diff(order) % 24 == 1).all()
        assert not forward or gap_of(order) > 2
    many = permutations(make_stimuli(24, contiguous=True), "grouped", make_study(permutations=999))
    assert len(np.unique(many, axis=0)) == len(many) < 48
    assert permutations(make_stimuli(24), "shuffled", make_study()).shape == (0, 24)


def gap_of(order):
    return min(order[0], len(order) - order[0])


# --- a participant -----------------------------------------------------------------------------------------------


def one_hot(groups):
    return np.eye(groups.max() + 1, dtype=np.float32)[groups][None]


def drift_only(seed=0, n_passages=24, size=4):
    """Voxels that know the passage and nothing else; embeddings that know nothing."""
    rng = np.random.default_rng(seed)
    passage = np.repeat(np.arange(n_passages), size)
    voxels = rng.normal(size=(n_passages, 40))[passage] + rng.normal(size=(len(passage), 40))
    embeddings = {
        UNTUNED: rng.normal(size=(3, len(passage), 20)).astype(np.float32),
        PASSAGE: one_hot(passage),
    }
    return make_brain({"P1": {"language": voxels.astype(np.float32)}}, make_stimuli(len(passage), passage)), embeddings


def test_passage_code_wins_on_shuffled_and_is_at_chance_on_grouped():
    brain, embeddings = drift_only()
    table, null = decoding.decode_participant(make_study(permutations=40), brain, "P1", embeddings)
    means = table.groupby(["representation", "folds"])["pairwise"].mean()
    assert means["passage", "shuffled"] > 0.7
    assert means["passage", "grouped"] == pytest.approx(0.5, abs=0.05)
    assert means["untuned", "shuffled"] == pytest.approx(0.5, abs=0.1)
    for design in ("shuffled", "grouped"):
        assert null.loc[null["folds"] == design, "pairwise"].mean() == pytest.approx(0.5, abs=0.02)


def test_removing_drift_turns_a_slow_code_against_itself_with_shuffled_folds():
    """Why slow controls can be far below chance in a story: not the decoder, but detrending over training and test."""
    rng, n = np.random.default_rng(0), 80
    code = np.exp(-0.5 * ((np.arange(n)[:, None] - np.linspace(0, n, 12)) / 7) ** 2).astype(np.float32)
    grams, folds = gram_matrices([code]), make_folds(make_stimuli(n), "shuffled", make_study())

    def accuracy(order):
        noise = {str(i): detrend(rng.normal(size=(n, 24)), order).astype(np.float32) for i in range(20)}
        return decode(grams, noise, folds, ALPHAS)["pairwise"].mean()

    assert accuracy(1) == pytest.approx(0.5, abs=0.06)
    assert accuracy(12) < 0.3


def test_a_passage_code_tells_passages_apart_and_not_their_sentences():
    brain, embeddings = drift_only()
    table, _ = decoding.decode_participant(make_study(), brain, "P1", embeddings)
    means = table[(table["representation"] == "passage") & (table["folds"] == "shuffled")].mean(numeric_only=True)
    assert means["pairwise_same_group"] == pytest.approx(0.5, abs=1e-6)
    assert means["pairwise_different_group"] > means["pairwise"] > 0.7


def test_pairs_are_grouped_by_topic_where_there_is_one():
    passage, topic = np.repeat(np.arange(6), 2), np.repeat(["a", "b", "c"], 4)
    np.testing.assert_array_equal(topics(make_stimuli(12, passage, topic)), np.repeat(np.arange(3), 4))
    np.testing.assert_array_equal(topics(make_stimuli(12, passage)), passage)
    assert topics(make_stimuli(12)) is None


def test_content_is_found_and_stands_above_its_null():
    voxels, embedding = noisy_pair(96, 60, 20)
    passage = np.repeat(np.arange(24), 4)
    brain = make_brain({"P1": {"language": voxels}}, make_stimuli(96, passage))
    run = make_study(permutations=20, alpha_exponents=(0.0, 4.0))
    table, null = decoding.decode_participant(run, brain, "P1", {UNTUNED: embedding[None]})
    observed = table.groupby("folds")["pairwise"].mean()
    assert (observed > null.groupby("folds")["pairwise"].max() + 0.1).all()


def test_tables_are_tidy_and_repeatable():
    brain, embeddings = drift_only()
    tuned = Representation("wsd_fine-tuned_seed-1", "tuned", "fine-tuned", "wsd", 1)
    embeddings = {**embeddings, tuned: embeddings[UNTUNED][:, ::-1]}
    run = make_study(permutations=3, layer=1)
    table, null = decoding.decode_participant(run, brain, "P1", embeddings)
    assert set(table) == {
        "brain", "participant", "region", "representation", "kind", "task", "method", "seed", "layer", "folds", "fold",
        "alpha", "alpha_edge", "pairwise", "pairwise_strict", "mse", "rank", "pairwise_same_group",
        "pairwise_different_group",
    }  # fmt: skip
    assert len(table) == 2 * 4 * (3 + 3 + 1)
    assert not table.isna().any().any()
    assert table.groupby("representation")["layer"].nunique().to_dict() == {
        "untuned": 3,
        "passage": 1,
        "wsd_fine-tuned_seed-1": 3,
    }
    row = table[table["representation"] == tuned.name].iloc[0]
    assert (row["kind"], row["task"], row["method"], row["seed"]) == ("tuned", "wsd", "fine-tuned", 1)
    assert table.groupby("kind")["method"].unique().map(list).to_dict() == {
        "untuned": [""],
        "control": [""],
        "tuned": ["fine-tuned"],
    }
    assert set(table["alpha"]) <= set(decoding.alphas(run))
    edges = table["alpha"].isin(decoding.alphas(run)[[0, -1]])
    pd.testing.assert_series_equal(edges, table["alpha_edge"], check_names=False)
    assert len(null) == 2 * 3 and set(null["layer"]) == {1}
    again, null_again = decoding.decode_participant(run, brain, "P1", embeddings)
    pd.testing.assert_frame_equal(table, again)
    pd.testing.assert_frame_equal(null, null_again)


def test_design_without_groups_is_skipped_with_a_reason():
    _, embeddings = drift_only()
    rng = np.random.default_rng(0)
    brain = make_brain({"P1": {"a": rng.normal(size=(96, 9)).astype(np.float32)}}, make_stimuli(96))
    with pytest.warns(UserWarning, match="has no grouped design"):
        table, null = decoding.decode_participant(make_study(), brain, "P1", {UNTUNED: embeddings[UNTUNED]})
    assert set(table["folds"]) == {"shuffled"} and len(null) == 0 and "permutation" in null
    with pytest.warns(UserWarning), pytest.raises(BraintuneError, match="knows none of grouped"):
        decoding.decode_participant(make_study(designs=["grouped"]), brain, "P1", embeddings)


@pytest.mark.parametrize(
    ("embedding", "message"),
    [
        (np.ones((2, 95, 8), np.float32), "'untuned' has shape .*96 stimuli"),
        (np.full((1, 96, 8), np.nan, np.float32), "untuned, layer 0.*finite"),
        (np.arange(96, dtype=np.float32).reshape(1, 96, 1), "untuned, layer 0 has 1 dimensions.*basis code"),
        (np.zeros((1, 96, 8), np.float32), "0 dimensions"),
    ],
)
def test_faulty_embeddings(embedding, message):
    brain, _ = drift_only()
    with pytest.raises(BraintuneError, match=message):
        decoding.decode_participant(make_study(), brain, "P1", {UNTUNED: embedding})


def test_the_analysis_layer_must_exist():
    brain, embeddings = drift_only()
    with pytest.raises(BraintuneError, match=r"layer: 9 is not among 0 … 2"):
        decoding.decode_participant(make_study(layer=9), brain, "P1", embeddings)
    assert analysis_layer(7, -1) == 6 and analysis_layer(1, 5) == 0


def test_word_vectors_decode_as_an_independent_script_found(shared_data, monkeypatch):
    """GloVe of 180 concepts, ten participants: 0.636 on average, with folds of its own; participants 0.51 … 0.91."""
    monkeypatch.setenv("BRAINTUNE_DATA", str(shared_data))
    file = "brain/pereira2018_exp1/glove300_180concepts.npz"
    run = Study.make({"brains": ["pereira2018-exp1"], "designs": ["shuffled"], "permutations": 0, "device": "cpu"})
    brain = load_brain(run, "pereira2018-exp1")
    glove = {Representation("GloVe", "control"): user_vectors(file, brain.stimuli)[None]}
    tables = [decoding.decode_participant(run, brain, name, glove)[0] for name in brain.participants]
    means = [table["pairwise"].mean() for table in tables]
    assert len(means) == 10 and np.mean(means) == pytest.approx(0.636, abs=0.015)


def test_embeddings_are_read_from_the_run(tmp_path):
    from braintune.core.store import write_arrays

    run = make_study(runs=str(tmp_path), tasks=["wsd"], controls=[])
    for place, representation in enumerate(run.representations()):
        values = np.full((2, 5, 3), place, np.float32)
        write_arrays(run.embedding_file("small", representation.name), {"embedding": values})
    found = load_embeddings(run, "small")
    assert [r.name for r in found] == ["untuned", "wsd_fine-tuned_seed-0", "wsd_prompt-tuned_seed-0"]
    assert [float(values.mean()) for values in found.values()] == [0, 1, 2]
    run.embedding_file("small", "wsd_fine-tuned_seed-0").unlink()
    with pytest.raises(BraintuneError, match="wsd_fine-tuned_seed-0"):
        load_embeddings(run, "small")


def test_a_control_that_the_stimuli_do_not_allow_is_left_out(tmp_path):
    from braintune.core.store import write_arrays

    run = make_study(runs=str(tmp_path), tasks=["wsd"], controls=["passage", "length"])
    for representation in run.representations():
        if representation != PASSAGE:
            write_arrays(
                run.embedding_file("small", representation.name), {"embedding": np.zeros((1, 5, 3), np.float32)}
            )
    names = [r.name for r in load_embeddings(run, "small")]
    assert "passage" not in names and "length" in names
