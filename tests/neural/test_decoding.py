"""Decoding against the slow, obvious version; what must not matter; controls, nulls, tables and faults."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.preprocessing import StandardScaler
from small_brains import ALPHAS, decode_one, make_brain, make_stimuli, make_study, noisy_pair, shuffled
from test_matching import slow_scores
from test_ridge import slow_scale_free

from braintune.core.base import BraintuneError
from braintune.core.preprocess import detrend
from braintune.core.store import write_arrays
from braintune.core.study import Representation
from braintune.datasets.brains.registry import load_brain
from braintune.models.controls import user_vectors
from braintune.neural import decoding, grams
from braintune.neural.decoding import NULL_SCORES, decode
from braintune.neural.folds import make_folds
from braintune.neural.grams import gram_matrices
from braintune.neural.matching import SCORES
from braintune.neural.representations import analysis_layer, load_embeddings

UNTUNED = Representation("untuned", "untuned")
PASSAGE = Representation("passage", "control")


def assert_same(one, other, names=SCORES, tolerance=1e-3):
    for name in names:
        np.testing.assert_allclose(one[name], other[name], rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.parametrize(
    ("n", "v", "d"), [(60, 1, 20), (60, 4, 20), (60, 12, 20), (60, 28, 9), (48, 200, 30), (40, 39, 70)]
)
@pytest.mark.parametrize("standardise", [True, False])
def test_equals_the_slow_version(n, v, d, standardise):
    voxels, embedding = noisy_pair(n, v, d)
    embeddings, folds = [embedding, np.roll(embedding, 3, 0)], shuffled(n)
    found, *_ = decode(gram_matrices(embeddings, standardise), {"a": voxels, "b": voxels[::-1]}, folds, ALPHAS)
    for g, responses in enumerate((voxels.astype(float), voxels[::-1].astype(float))):
        for i, raw in enumerate(embeddings):
            target = StandardScaler(with_std=standardise).fit_transform(raw.astype(float))
            for f, (train, test, inner, _) in enumerate(folds):
                scaler = StandardScaler().fit(responses[train])
                x, y = scaler.transform(responses[train]), target[train]
                fit = slow_scale_free(x, y, inner, ALPHAS * v)
                ridge = Ridge(ALPHAS[fit.argmax()] * v, solver="svd").fit(x, y)
                predicted = ridge.predict(scaler.transform(responses[test]))
                expected = slow_scores(predicted - y.mean(0), target[test] - y.mean(0))
                for name, value in (expected | {"choice": fit.argmax(), "fit": fit.max()}).items():
                    if not np.isnan(value):
                        assert found[name][f, g, i] == pytest.approx(value, rel=1e-4, abs=1e-5), name


def test_products_at_once_as_on_a_gpu_give_the_same(monkeypatch):
    regions = {f"{v} voxels": noisy_pair(60, v, 20)[0] for v in (4, 28, 200)}
    vectors = gram_matrices([np.roll(noisy_pair(60, 3, d)[1], d, 0) for d in (9, 20, 70)])
    orders, readouts = np.stack([np.random.default_rng(p).permutation(60) for p in range(3)]), [np.arange(3), np.r_[1]]
    given = vectors, regions, shuffled(60), ALPHAS, "scale-free", None, orders, readouts, True
    one_by_one = decode(*given)
    monkeypatch.setattr(decoding, "_products", decoding._products_at_once)
    for found, expected in zip(decode(*given), one_by_one, strict=True):
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, atol=2e-5, err_msg=name)


def slow_fit_without(nuisance, x, y, inner, alphas):
    """The scale-free fit, with nuisance regressed out by the stimuli that an inner fold trains on."""
    shared, power, truth = np.zeros((3, len(alphas)))
    for train, test in inner:
        both = np.hstack([x, y])
        left = both - LinearRegression().fit(nuisance[train], both[train]).predict(nuisance)
        known, wanted = left[:, : x.shape[1]], left[:, x.shape[1] :]
        wanted_here = wanted[test] - wanted[test].mean(0)
        for a, alpha in enumerate(alphas):
            predicted = Ridge(alpha, solver="svd").fit(known[train], wanted[train]).predict(known[test])
            predicted -= predicted.mean(0)
            shared[a] += (predicted * wanted_here).sum()
            power[a] += (predicted**2).sum()
            truth[a] += (wanted_here**2).sum()
    return shared / np.sqrt(power * truth)


@pytest.mark.parametrize("v", [12, 90])
def test_nuisance_is_regressed_out_of_both_sides_by_the_training_stimuli(v):
    voxels, embedding = noisy_pair(60, v, 9)
    rng = np.random.default_rng(5)
    stimuli = replace(make_stimuli(60), nuisance=rng.normal(size=(60, 2)))
    voxels = voxels + 3 * stimuli.nuisance @ rng.normal(size=(2, v))
    embedding = embedding + stimuli.nuisance @ rng.normal(size=(2, 9))
    folds = make_folds(stimuli, "shuffled", make_study())
    found = decode_one(voxels, embedding, folds, standardise=False)
    for f, fold in enumerate(folds):
        fitted = LinearRegression().fit(stimuli.nuisance[fold.train], np.hstack([voxels, embedding])[fold.train])
        left = np.hstack([voxels, embedding]) - fitted.predict(stimuli.nuisance)
        x, y = StandardScaler().fit(left[fold.train, :v]).transform(left[:, :v]), left[:, v:]
        fit = slow_fit_without(stimuli.nuisance[fold.train], x[fold.train], y[fold.train], fold.inner, ALPHAS * v)
        assert found["choice"][f, 0, 0] == fit.argmax()
        assert found["fit"][f, 0, 0] == pytest.approx(fit.max(), rel=1e-4)
        at = ALPHAS[[fit.argmax()]]
        plain = decode(gram_matrices([y], False), {"a": left[:, :v]}, [fold._replace(nuisance=None)], at)[0]
        for name in ("pairwise", "margin"):
            assert found[name][f, 0, 0] == pytest.approx(plain[name][0, 0, 0], rel=1e-3, abs=1e-4), name


def test_a_code_without_content_is_not_lifted_by_nuisance():
    """A regression fitted on all stimuli would take the same directions from both sides, and tell their order."""
    rng, n = np.random.default_rng(0), 96
    stimuli = replace(make_stimuli(n, np.arange(n) // 4), nuisance=rng.normal(size=(n, 3)))
    folds, code = make_folds(stimuli, "grouped", make_study()), rng.normal(size=(n, 30))
    found = [decode_one(rng.normal(size=(n, 60)), code, folds)["pairwise"].mean() for _ in range(20)]
    assert abs(np.mean(found) - 0.5) < 3 * np.std(found) / 20**0.5


def test_a_response_to_length_alone_is_not_decoded():
    scores: dict[str, list[float]] = {"raw": [], "clean": []}
    for seed in range(12):
        rng, n = np.random.default_rng(seed), 96
        length = rng.integers(3, 15, n).astype(float)
        voxels = np.outer(length, rng.normal(size=40)) + rng.normal(size=(n, 40))
        code = np.exp(-((length[:, None] - np.arange(3, 15)) ** 2))
        for name, nuisance in {"raw": None, "clean": length[:, None]}.items():
            folds = make_folds(replace(make_stimuli(n), nuisance=nuisance), "shuffled", make_study())
            scores[name].append(decode_one(voxels, code, folds)["pairwise"].mean())
    assert np.mean(scores["raw"]) > 0.65
    assert abs(np.mean(scores["clean"]) - 0.5) < 3 * np.std(scores["clean"]) / 12**0.5


def test_strong_shrinkage_leaves_the_margin_as_it_is():
    """Shrunk predictions are short, but they point the same way, and nothing that all share drowns them."""
    voxels, embedding = noisy_pair(60, 80, 20)
    margins = [
        decode(gram_matrices([embedding]), {"a": voxels}, shuffled(60), np.array([alpha]))[0]["margin"].mean()
        for alpha in (1e2, 1e4, 1e6)
    ]
    assert margins[0] > 0.3
    np.testing.assert_allclose(margins[1:], margins[0], rtol=0.03)


# --- what must not matter, and what must -------------------------------------------------------------------------


def test_margins_grow_where_a_representation_collapses_though_it_tells_less():
    rng = np.random.default_rng(8)
    features = rng.normal(size=(120, 40))
    voxels = features @ rng.normal(size=(40, 60)) + 12 * rng.normal(size=(120, 60))
    rich = features @ rng.normal(size=(40, 64))
    flat = features[:, :3] @ rng.normal(size=(3, 64)) + 0.2 * rich
    found, *_ = decode(gram_matrices([rich, flat], standardise=False), {"a": voxels}, shuffled(120), ALPHAS)
    accuracy, margin = (found[name].mean((0, 1)) for name in ("pairwise", "margin"))
    assert accuracy[0] > accuracy[1] + 0.05 and margin[0] < margin[1]


def test_offsets_of_an_embedding_do_not_matter():
    voxels, embedding = noisy_pair(40, 20, 12)
    embedding = np.round(embedding * 256) / 256  # exact in float32 with the offset, too
    one, other = (decode_one(voxels, embedding + add, shuffled(40), standardise=False) for add in (0, 1000))
    assert_same(one, other, [*SCORES, "fit", "choice"], 1e-5)
    assert one["pairwise"].mean() > 0.7


def test_constant_voxels_change_nothing():
    voxels, embedding = noisy_pair(40, 30, 12)
    padded = np.concatenate([voxels, np.full((40, 5), 0.1, np.float32)], 1)
    assert_same(decode_one(voxels, embedding, shuffled(40)), decode_one(padded, embedding, shuffled(40)))


@pytest.mark.parametrize("standardise", [True, False])
def test_rows_without_variance_are_no_fault(standardise):
    voxels, embedding = noisy_pair(40, 20, 12)
    embedding[3], voxels[5] = 0.5, 0
    found = decode_one(voxels, embedding, shuffled(40), standardise)
    assert all(np.isfinite(found[name]).all() for name in SCORES)
    assert found["pairwise"].mean() > 0.7


def test_chunks_and_companions_do_not_matter(monkeypatch):
    voxels, embedding = noisy_pair(40, 20, 12)
    several = gram_matrices([np.roll(embedding, k, 0) for k in range(5)])
    whole, *_ = decode(several, {"b": voxels[::-1], "a": voxels}, shuffled(40), ALPHAS)
    monkeypatch.setitem(decoding.BLOCK_BYTES, "cpu", 1)
    monkeypatch.setitem(grams.PRODUCT_BYTES, "cpu", 1)
    single, *_ = decode(several, {"a": voxels}, shuffled(40), ALPHAS)
    assert_same({name: values[:, 1:] for name, values in whole.items()}, single, [*SCORES, "fit", "choice"], 1e-5)


@pytest.mark.parametrize("select", ["scale-free", "squared-error"])
def test_permuted_labels_are_those_of_the_permuted_embedding(select):
    """At both readouts, of which one chooses among layers by their fit in every fold."""
    voxels, embedding = noisy_pair(40, 20, 12)
    rng, folds = np.random.default_rng(1), shuffled(40)
    layers = [embedding + 3 * rng.normal(size=embedding.shape) for _ in range(4)]
    orders = np.array([rng.permutation(40) for _ in range(3)])
    readouts = [np.array([0, 1, 3]), np.array([2])]
    options = folds, ALPHAS, select, None
    _, null, _ = decode(gram_matrices(layers), {"a": voxels, "b": voxels[::-1]}, *options, orders, readouts)
    for p, order in enumerate(orders):
        direct, *_ = decode(
            gram_matrices([layer[order] for layer in layers]), {"a": voxels, "b": voxels[::-1]}, *options
        )
        best = readouts[0][direct["fit"][:, :, readouts[0]].argmax(2)]
        assert len(np.unique(best)) > 1
        for name in NULL_SCORES:
            chosen = np.take_along_axis(direct[name], best[:, :, None], 2)[:, :, 0]
            np.testing.assert_allclose(null[name][p, :, 0], chosen.mean(0), atol=1e-5)
            np.testing.assert_allclose(null[name][p, :, 1], direct[name][:, :, 2].mean(0), atol=1e-5)


def test_responses_that_are_not_finite_are_named():
    voxels, embedding = noisy_pair(40, 20, 12)
    voxels[3, 4] = np.nan
    with pytest.raises(BraintuneError, match=r"responses of region a, shape \(40, 20\): allowed are finite values"):
        decode_one(voxels, embedding, shuffled(40))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_gpu_equals_cpu():
    voxels, embedding = noisy_pair(60, 80, 20)
    order = np.random.default_rng(0).permutation(60)[None]
    options = {"a": voxels}, shuffled(60), ALPHAS, "scale-free", None, order, [np.array([0])]
    cpu, gpu = (decode(gram_matrices([embedding], device=device), *options) for device in ("cpu", "cuda"))
    assert_same(cpu[0], gpu[0], [*SCORES, "fit", "choice"], 1e-4)
    assert_same(cpu[1], gpu[1], NULL_SCORES, 1e-4)


# --- a participant -----------------------------------------------------------------------------------------------


def drift_only():
    """Voxels that know the passage and nothing else; embeddings that know nothing, or the passage."""
    rng = np.random.default_rng(0)
    passage = np.repeat(np.arange(24), 4)
    voxels = rng.normal(size=(24, 40))[passage] + rng.normal(size=(96, 40))
    embeddings = {
        UNTUNED: rng.normal(size=(3, 96, 20)).astype(np.float32),
        PASSAGE: np.eye(24, dtype=np.float32)[passage][None],
    }
    return make_brain({"P1": {"language": voxels.astype(np.float32)}}, make_stimuli(96, passage)), embeddings


def test_passage_code_wins_on_shuffled_and_is_at_chance_on_grouped():
    brain, embeddings = drift_only()
    table, null, _ = decoding.decode_participant(make_study(permutations=40), brain, "P1", embeddings)
    means = table.groupby(["representation", "folds"]).mean(numeric_only=True)
    shuffled = means.loc["passage", "shuffled"]
    assert shuffled["pairwise_different_group"] > shuffled["pairwise"] > 0.7
    assert shuffled["pairwise_same_group"] == pytest.approx(0.5, abs=1e-6)
    assert means.loc[("passage", "grouped"), "pairwise"] == pytest.approx(0.5, abs=0.05)
    assert means.loc[("untuned", "shuffled"), "pairwise"] == pytest.approx(0.5, abs=0.1)
    nulls = null.groupby(["representation", "readout", "folds"])[["pairwise", "margin"]].mean()
    assert len(nulls) == 4 and set(null["folds"]) == {"grouped"}, "the design that is judged"
    np.testing.assert_allclose(nulls, [[0.5, 0]] * 4, atol=0.03)


def test_removing_drift_turns_a_slow_code_against_itself_with_shuffled_folds():
    """Why slow controls can be far below chance in a story: not the decoder, but detrending over training and test."""
    rng, n = np.random.default_rng(0), 80
    code = np.exp(-0.5 * ((np.arange(n)[:, None] - np.linspace(0, n, 12)) / 7) ** 2).astype(np.float32)
    grams, folds = gram_matrices([code]), shuffled(n)

    def accuracy(order):
        noise = {str(i): detrend(rng.normal(size=(n, 24)), order).astype(np.float32) for i in range(20)}
        return decode(grams, noise, folds, ALPHAS)[0]["pairwise"].mean()

    assert accuracy(1) == pytest.approx(0.5, abs=0.06)
    assert accuracy(12) < 0.3


def test_content_is_above_its_null():
    voxels, embedding = noisy_pair(96, 60, 20)
    brain = make_brain({"P1": {"language": voxels}}, make_stimuli(96, np.repeat(np.arange(24), 4)))
    table, null, _ = decoding.decode_participant(make_study(permutations=20), brain, "P1", {UNTUNED: embedding[None]})
    for score in ("pairwise", "margin"):
        assert table.groupby("folds")[score].mean()["grouped"] > null[score].max() + 0.1


def test_tables_are_tidy_and_repeatable():
    brain, embeddings = drift_only()
    tuned = Representation("wsd_fine-tuned_seed-1", "tuned", "fine-tuned", "wsd", 1)
    embeddings = {**embeddings, tuned: embeddings[UNTUNED][:, ::-1]}
    study = make_study(permutations=3, layer=1)
    table, null, _ = decoding.decode_participant(study, brain, "P1", embeddings)
    assert list(table) == [
        "brain", "participant", "region", "folds", "representation", "kind", "task", "method", "seed", "layer", "fold",
        "alpha", "alpha_edge", "fit", "pairwise", "margin", "pairwise_strict", "mse", "rank", "pairwise_same_group",
        "pairwise_different_group",
    ]  # fmt: skip
    assert len(table) == 2 * 4 * (3 + 3 + 1) and not table.isna().any().any()
    layers = {"untuned": 3, "passage": 1, "wsd_fine-tuned_seed-1": 3}
    assert table.groupby("representation")["layer"].nunique().to_dict() == layers
    row = table[table["representation"] == tuned.name].iloc[0]
    assert (row["task"], row["method"], row["seed"]) == ("wsd", "fine-tuned", 1)
    assert set(table["alpha"]) <= set(decoding.alphas(study))
    edges = table["alpha"].isin(decoding.alphas(study)[[0, -1]])
    pd.testing.assert_series_equal(edges, table["alpha_edge"], check_names=False)
    columns = ["brain", "participant", "region", "folds", "representation", "readout", "permutation"]
    assert list(null) == [*columns, "pairwise", "margin"] and not null.duplicated(columns).any()
    assert len(null) == 3 * 3 * 2 and set(null["readout"]) == {"best", "analysis"}
    again, null_again, _ = decoding.decode_participant(study, brain, "P1", embeddings)
    pd.testing.assert_frame_equal(table, again)
    pd.testing.assert_frame_equal(null, null_again)


def test_design_without_groups_is_skipped_with_a_reason():
    _, embeddings = drift_only()
    rng = np.random.default_rng(0)
    brain = make_brain({"P1": {"a": rng.normal(size=(96, 9)).astype(np.float32)}}, make_stimuli(96))
    with pytest.warns(UserWarning, match="has no grouped design"):
        table, null, _ = decoding.decode_participant(make_study(), brain, "P1", {UNTUNED: embeddings[UNTUNED]})
    assert set(table["folds"]) == {"shuffled"} and len(null) == 0 and "permutation" in null
    with pytest.raises(BraintuneError, match="have no grouped design; allowed here: shuffled"):
        decoding.decode_participant(make_study(designs=["grouped"]), brain, "P1", embeddings)


def test_faulty_embeddings():
    brain, embeddings = drift_only()
    for values, message in (
        (np.ones((2, 95, 8), np.float32), "'untuned' has shape .*96 stimuli"),
        (np.full((1, 96, 8), np.nan, np.float32), "untuned, layer 0.*finite"),
    ):
        with pytest.raises(BraintuneError, match=message):
            decoding.decode_participant(make_study(), brain, "P1", {UNTUNED: values})
    with pytest.raises(BraintuneError, match=r"layer: 9 is not among 0 … 2"):
        decoding.decode_participant(make_study(layer=9), brain, "P1", embeddings)
    assert analysis_layer(7, -1) == 6 and analysis_layer(1, 5) == 0


@pytest.mark.parametrize(("select", "accuracy"), [("squared-error", 0.636), ("scale-free", 0.75)])
def test_word_vectors_decode_as_an_independent_script_found(shared_data, monkeypatch, select, accuracy):
    """GloVe of 180 concepts, ten participants: 0.636 by leave-one-out error, and far better by a scale-free fit."""
    monkeypatch.setenv("BRAINTUNE_DATA", str(shared_data))
    study = make_study(brains=["pereira2018-exp1"], designs=["shuffled"], select=select, n_folds=5, n_alphas=13)
    brain = load_brain(study, "pereira2018-exp1")
    words = user_vectors("brain/pereira2018_exp1/glove300_180concepts.npz", brain.stimuli)[None]
    glove = {Representation("GloVe", "control"): words}
    means = [
        decoding.decode_participant(study, brain, name, glove)[0]["pairwise"].mean() for name in brain.participants
    ]
    assert len(means) == 10 and np.mean(means) == pytest.approx(accuracy, abs=0.015)


def test_embeddings_are_read_from_the_run(tmp_path):
    """A control without a file is left out, since the stimuli may not allow it; any other is missed."""
    study = make_study(runs=str(tmp_path), tasks=["wsd"], controls=["passage"])
    for place, representation in enumerate(study.representations()):
        file = study.embedding_file("small", representation.name)
        write_arrays(file, {"embedding": np.full((2, 5, 3), place, np.float32)})
    study.embedding_file("small", "passage").unlink()
    found = load_embeddings(study, "small")
    assert [r.name for r in found] == ["untuned", "wsd_fine-tuned_seed-0", "wsd_prompt-tuned_seed-0"]
    assert [float(values.mean()) for values in found.values()] == [0, 1, 2]
    study.embedding_file("small", "wsd_fine-tuned_seed-0").unlink()
    with pytest.raises(BraintuneError, match="wsd_fine-tuned_seed-0"):
        load_embeddings(study, "small")
