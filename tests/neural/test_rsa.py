"""Dissimilarities against rsatoolbox, CKA against its definition, the bootstrap against copying stimuli."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist, squareform
from scipy.stats import rankdata, spearmanr

from braintune.core.base import BraintuneError
from braintune.core.preprocess import zscore_varying
from braintune.core.study import Representation, Study
from braintune.datasets.brains.base import BrainData, Stimuli
from braintune.neural import rsa
from braintune.neural.grams import gram_matrices

UNTUNED = Representation("untuned", "untuned")
TUNED = Representation("wsd_fine-tuned_seed-0", "tuned", "fine-tuned", "wsd", 0)
LENGTH = Representation("length", "control")


def spearman_rsa(a, b):
    return rsa.ranks(a) @ rsa.ranks(b).T


def debiased_cka(a, b):
    return rsa.u_centred(a) @ rsa.u_centred(b).T


def embeddings_of(n, count=3, d=12, seed=0):
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n, d))
    return [(shared + rng.normal(size=(n, d)) + rng.normal(size=d)).astype(np.float32) for _ in range(count)]


def test_equals_rsatoolbox():
    import rsatoolbox

    one, other, third = embeddings_of(18)
    kept = rsatoolbox.rdm.calc_rdm(
        [rsatoolbox.data.Dataset(values.astype(float)) for values in (one, other, third)], method="correlation"
    )
    ours = np.stack([rsa.rdm(values) for values in (one, other, third)])
    np.testing.assert_allclose(ours, kept.dissimilarities, atol=1e-6)
    reference = rsatoolbox.rdm.compare(kept, kept, method="spearman")
    np.testing.assert_allclose(spearman_rsa(ours, ours), reference, atol=1e-6)


def test_rdm_equals_scipy_and_the_gram_route():
    values = embeddings_of(15)[0]
    np.testing.assert_allclose(rsa.rdm(values), pdist(values, "correlation"), atol=1e-6)
    from_gram = rsa.gram_rdms(gram_matrices([values], standardise=True))[0]
    np.testing.assert_allclose(from_gram, pdist(zscore_varying(values), "correlation"), atol=1e-5)
    few = embeddings_of(15, d=4)[0]
    np.testing.assert_allclose(rsa.brain_rdm(few), pdist(zscore_varying(few)), atol=1e-5)
    constant = np.vstack([values[:4], np.ones((1, values.shape[1]))])
    assert np.isfinite(rsa.rdm(constant)).all() and squareform(rsa.rdm(constant))[4, :4] == pytest.approx(1)
    with pytest.raises(BraintuneError, match="none of 4 voxels varies"):
        rsa.brain_rdm(np.ones((9, 4)))


def test_spearman_shares_ranks_among_ties():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, (3, 40)).astype(float), rng.integers(0, 4, (2, 40)).astype(float)
    expected = [[spearmanr(x, y).statistic for y in b] for x in a]
    np.testing.assert_allclose(spearman_rsa(a, b), expected, atol=1e-6)
    assert spearman_rsa(np.ones(40), b[0])[0, 0] == 0


def unbiased_hsic(k, m):
    """The definition, as sums over distinct stimuli."""
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    one = np.ones(n)
    first = np.trace(k @ m) + (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
    return (first - 2 / (n - 2) * (one @ k @ m @ one)) / (n * (n - 3))


def test_cka_equals_definition():
    grams = np.stack([y.astype(float) @ y.T for y in embeddings_of(14)])
    expected = [
        [unbiased_hsic(k, m) / np.sqrt(unbiased_hsic(k, k) * unbiased_hsic(m, m)) for m in grams] for k in grams
    ]
    np.testing.assert_allclose(debiased_cka(grams, grams), expected, atol=1e-9)
    rng = np.random.default_rng(0)
    unrelated = [rng.normal(size=(40, 300)) for _ in range(12)]
    stack = np.stack([y @ y.T for y in unrelated])
    values = debiased_cka(stack, stack)[~np.eye(12, dtype=bool)]
    assert abs(values.mean()) < 0.03
    with pytest.raises(BraintuneError, match="at least 4"):
        debiased_cka(grams[:, :3, :3], grams[:, :3, :3])


def test_bootstrap_equals_copying_stimuli():
    one, other = embeddings_of(12, 2)
    groups = np.repeat(np.arange(4), 3)
    found = rsa.bootstrap_spearman(rsa.rdm(one)[None], rsa.rdm(other), groups, 6, 3)[0]
    drawn = np.random.default_rng(3).multinomial(4, np.full(4, 0.25), size=6)[:, groups]
    for value, times in zip(found, drawn, strict=True):
        chosen = np.repeat(np.arange(12), times)
        copy = np.concatenate([np.arange(t) for t in times])
        i, j = np.triu_indices(len(chosen), 1)
        apart = (groups[chosen[i]] != groups[chosen[j]]) | ((chosen[i] != chosen[j]) & (copy[i] == copy[j]))
        i, j = chosen[i][apart], chosen[j][apart]
        expected = spearmanr(squareform(rsa.rdm(one))[i, j], squareform(rsa.rdm(other))[i, j]).statistic
        assert value == pytest.approx(expected, abs=1e-9)
    tied = np.round(np.stack([rsa.rdm(one)]), 1)
    assert np.isfinite(rsa.bootstrap_spearman(tied, rsa.rdm(other), groups, 6, 3)).all()


def test_the_bootstrap_lies_around_the_estimate():
    difference = []
    for k in range(12):
        rng = np.random.default_rng(k)
        groups = np.repeat(np.arange(24), 4)
        one = rng.normal(size=(24, 20))[groups] + rng.normal(size=(96, 20))
        rdms = rsa.rdm(one), rsa.rdm(one + rng.normal(size=one.shape))
        drawn = rsa.bootstrap_spearman(rdms[0][None], rdms[1], groups, 60, k)
        difference.append(drawn.mean() - spearman_rsa(*rdms)[0, 0])
    assert abs(np.mean(difference)) < 0.004  # pairs within copies of one passage would lift it by 0.016


def test_partial_similarity_equals_the_correlation_of_residuals():
    one, other = (rsa.rdm(y) for y in embeddings_of(20, 2))
    stimuli = Stimuli([f"s{i}" for i in range(20)], ["a " * (i % 5 + 1) for i in range(20)], np.arange(20),
                      passage=np.arange(20) // 4)  # fmt: skip
    controls = rsa.control_rdms(stimuli)
    assert controls.shape == (2, 190) and controls[0].max() == 4 and set(controls[1]) == {0, 1}
    design = np.column_stack([np.ones(190), *rankdata(controls, axis=1)])
    left = [r - design @ np.linalg.lstsq(design, r, rcond=None)[0] for r in rankdata(np.stack([one, other]), axis=1)]
    ours = rsa.partial_out(rsa.ranks(np.stack([one, other])), controls)
    assert ours[0] @ ours[1] == pytest.approx(np.corrcoef(left)[0, 1], abs=1e-5)


def test_a_control_takes_itself_out_and_a_constant_one_nothing():
    stimuli = Stimuli(["a", "b", "c", "d", "e"], ["w"] * 5, np.arange(5))
    (constant,) = rsa.control_rdms(stimuli)
    ranked = rsa.ranks(rsa.rdm(embeddings_of(5, 1)[0])[None])
    np.testing.assert_allclose(rsa.partial_out(ranked, constant[None]), ranked, atol=1e-6)
    assert not rsa.partial_out(ranked, ranked).any()


def make_run(n=24, regions=("language", "visual"), participants=("P1", "P2", "P3"), **values):
    rng = np.random.default_rng(0)
    base = rng.normal(size=(3, n, 12))
    embeddings = {
        UNTUNED: base.astype(np.float32),
        TUNED: (base + 0.5 * rng.normal(size=base.shape)).astype(np.float32),
        LENGTH: np.eye(4, dtype=np.float32)[np.arange(n) % 4][None],
    }
    responses = {}
    for p in participants:
        voxels = base[-1] @ rng.normal(size=(12, 30)) + rng.normal(size=(n, 30))
        noise = rng.normal(size=(n, 4))
        responses[p] = dict(zip(regions, (voxels.astype(np.float32), noise.astype(np.float32)), strict=True))
    names = [f"s{i}" for i in range(n)]
    stimuli = Stimuli(names, names, np.arange(n), np.arange(n) // 3)
    brain = BrainData("small", tuple(participants), regions, stimuli, True, responses.get)
    return Study.make({"profile": "t", "device": "cpu", "bootstrap": 30} | values), brain, embeddings


def test_tables():
    tables = rsa.rsa_tables(*make_run())
    assert set(tables) == {"representations", "untuned", "brain", "ceiling"}
    pairs = tables["representations"].pivot(index="representation_a", columns="representation_b", values="spearman")
    assert pairs.shape == (3, 3)
    np.testing.assert_allclose(np.diag(pairs), 1, atol=1e-5)
    closeness = tables["untuned"].set_index(["representation", "layer"])
    assert list(closeness.index) == [(TUNED.name, 0), (TUNED.name, 1), (TUNED.name, 2), ("length", 0)]
    last = closeness.loc[(TUNED.name, 2)]
    assert last["low"] < last["spearman"] < last["high"] and last["spearman"] > 0.5 > abs(
        closeness.loc[("length", 0), "cka"]
    )
    assert closeness["low"].isna().tolist() == [True, True, False, False]
    assert last["spearman"] == pytest.approx(pairs.loc["untuned", TUNED.name])
    assert len(tables["brain"]) == 3 * 2 * (3 + 3 + 1)
    mean = tables["brain"].groupby(["region", "representation", "layer"])["spearman"].mean()
    assert mean["language", "untuned", 2] > 0.3 > abs(mean["visual", "untuned", 2])
    ceiling = tables["ceiling"].set_index("region")
    assert (ceiling["lower"] < ceiling["upper"]).all() and ceiling.loc["language", "lower"] > 0.3


def test_tables_repeat_and_bend_to_their_settings():
    one, again = rsa.rsa_tables(*make_run()), rsa.rsa_tables(*make_run())
    for name, table in one.items():
        pd.testing.assert_frame_equal(table, again[name])
    assert rsa.rsa_tables(*make_run(bootstrap=0))["untuned"]["low"].isna().all()
    alone = rsa.rsa_tables(*make_run(participants=("P1",)))
    assert len(alone["ceiling"]) == 0 and "lower" in alone["ceiling"] and len(alone["brain"])
    middle = rsa.rsa_tables(*make_run(layer=1))["untuned"]
    assert middle.loc[middle["low"].notna(), "layer"].tolist() == [1, 0]


def test_untuned_alone_still_meets_the_brain():
    run, brain, embeddings = make_run()
    tables = rsa.rsa_tables(run, brain, {UNTUNED: embeddings[UNTUNED]})
    assert len(tables["untuned"]) == 0 and {"spearman", "low"} <= set(tables["untuned"]) and len(tables["brain"]) == 18


def test_reference_must_be_there():
    run, brain, embeddings = make_run()
    with pytest.raises(BraintuneError, match="no representation 'untuned'"):
        rsa.rsa_tables(run, brain, {TUNED: embeddings[TUNED]})
    with pytest.raises(BraintuneError, match="no layer 2"):
        rsa.rsa_tables(run, brain, {**embeddings, UNTUNED: embeddings[UNTUNED][:2]})
