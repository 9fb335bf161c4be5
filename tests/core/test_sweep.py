"""Sweeps: what a file may hold, and that a variant is a run like any other."""

import pytest
import yaml

from braintune.core import store
from braintune.core.base import BraintuneError
from braintune.core.study import PLAN, SWEEPS, Study, read_settings
from braintune.core.sweep import Sweep


@pytest.fixture
def write(tmp_path):
    """Write a small base, and a sweep of it; return the path of the sweep."""
    (tmp_path / "small.yml").write_text(yaml.safe_dump({"runs": str(tmp_path / "runs"), "tasks": ["wsd"]}))

    def write(variants, name="lengths", **more):
        values = {"base": "small.yml", "variants": variants} | more
        path = tmp_path / f"{name}.yml"
        path.write_text(
            variants if isinstance(variants, str) else yaml.safe_dump(values, sort_keys=False), encoding="utf-8"
        )
        return path

    return write


@pytest.mark.parametrize("path", sorted(SWEEPS.glob("*.yml")), ids=lambda p: p.stem)
def test_every_sweep_is_valid_and_changes_what_it_names(path, registries):
    sweep = Sweep.load(path.stem)
    base, *variants = sweep.studies.values()
    assert base == Study.load(read_settings(sweep.path)["base"]) and len(variants) == len(sweep.differing) >= 2
    for name, study in sweep.studies.items():
        changed = {key for key in Study.model_fields if getattr(study, key) != getattr(base, key)}
        assert changed - {"profile"} == set(sweep.differing.get(name, {}))


def test_a_variant_is_a_run_with_a_folder_in_that_of_the_sweep(write, tmp_path):
    path = write({"short": {"prefix_length": 5, "participants": None}, "long": {"prefix_length": 64}})
    sweep = Sweep.load(path)
    assert list(sweep.studies) == ["small", "short", "long"]
    short = Study.load(f"{path}/short")
    assert short == sweep.studies["short"] == Study.load(sweep.profiles["short"])
    assert (short.profile, short.prefix_length, short.tasks) == ("lengths/short", 5, ["wsd"])
    assert short.folder == tmp_path / "runs" / "lengths" / "short"
    assert short.root == sweep.studies["small"].root  # so models are shared
    assert sweep.folder == tmp_path / "runs" / "lengths"
    assert Study.load(f"{path}/short", prefix_length=7).prefix_length == 7
    assert Study.load("ablation/length-1").prefix_length == 1


SHORT = {"prefix_length": 5}


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ({"short": {"prefix_lenght": 5}}, r"lengths\.yml: short: unknown parameter 'prefix_lenght'; known: prefix_length"),
        ({"short": {"prefix_length": 0}}, r"lengths\.yml: short: prefix_length: .* got 0"),
        ({"short": {"tasks": ["wsd"]}}, "variant 'short' has the same parameters as 'small'"),
        ({"one": SHORT, "two": SHORT}, "variant 'two' has the same parameters as 'one'; change one of them, or remove the variant"),
        ("base: small.yml\nvariants:\n  a: {prefix_length: 5}\n  a: {prefix_length: 6}\n", "'a' is given on lines 3 and 4"),
        ({"short": {}}, r"lengths\.yml: short: \{\} must hold the parameters that differ"),
        ({"short": SHORT | {"runs": "elsewhere"}}, "must hold the parameters .* without profile, runs"),
        ({"short": {5: 5}}, "must hold the parameters that differ"),
        ({"a/b": SHORT}, "variant 'a/b' must be a name of at most 100 letters"),
        ({5: SHORT}, "variant 5 must be a name"),
        ({"small": SHORT}, "variant 'small' must be a name .*, other than book and small"),
        ({"book": SHORT}, "variant 'book' must be"),
        ("base: small\nvariants: {}\n", r"it holds base: 'small', variants: \{\}"),
        ({}, r"must hold two keys, .* `variants:` with lines `short: \{prefix_length: 5\}`"),
        ("variants: {short: {prefix_length: 5}}\n", "must hold two keys, `base: quick` .* it holds variants"),
        ("base: quik\nvariants: {short: {prefix_length: 5}}\n", "no profile 'quik'; known: quick"),
        ("base: ablation/length-1\nvariants: {short: {prefix_length: 5}}\n", "is a variant of a sweep; name a profile"),
    ],
)  # fmt: skip
def test_a_faulty_sweep_is_refused_before_anything_runs(write, variants, message):
    with pytest.raises(BraintuneError, match=message):
        Sweep.load(write(variants))


def test_unknown_names_list_the_known_ones(write):
    with pytest.raises(BraintuneError, match=r"no sweep 'ablations'; known: ablation, .*or give the path"):
        Sweep.load("ablations")
    with pytest.raises(BraintuneError, match="or run the profile of this name with `make book PROFILE=quick`"):
        Sweep.load("quick")
    with pytest.raises(BraintuneError, match="with `make sweep SWEEP=ablation`; a variant is ablation/<variant>"):
        Study.load("ablation")
    path = write({"short": SHORT})
    with pytest.raises(BraintuneError, match=r"unknown variant of lengths\.yml 'shrt'; known: short"):
        Study.load(f"{path}/shrt")


def test_a_sweep_has_a_folder_that_no_other_file_uses(write, tmp_path):
    for name in ("quick", "small", "models"):
        values = {"base": "small.yml", "variants": {"short": SHORT}}
        (tmp_path / "sweeps").mkdir(exist_ok=True)
        path = tmp_path / "sweeps" / f"{name}.yml"
        path.write_text(yaml.safe_dump(values | {"base": str(tmp_path / "small.yml")}))
        with pytest.raises(BraintuneError, match=f"'{name}' is the name of another folder in `runs`; rename the file"):
            Sweep.load(path)
    path, other = write({"short": SHORT}), tmp_path / "sweeps" / "lengths.yml"
    other.write_text(path.read_text().replace("small.yml", str(tmp_path / "small.yml")))
    (tmp_path / "runs" / "lengths").mkdir(parents=True)
    store.write_json(tmp_path / "runs" / "lengths" / PLAN, {"profile": "../../lengths.yml"})
    with pytest.raises(BraintuneError, match=r"holds the results of .*lengths\.yml, and .* has the same name"):
        Sweep.load(other)
    assert Sweep.load(path).missing == {}
