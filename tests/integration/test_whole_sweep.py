"""A sweep from its file to its page, on the tiny profile: the base is finished, one variant runs, one is left out."""

import subprocess
import sys

import pytest
import yaml

from braintune.core import store
from braintune.core.sweep import Sweep
from braintune.workflow import verify
from braintune.workflow.jobs import executed_notebook, make_job

pytestmark = pytest.mark.slow


def run_sweep(path, *options):
    words = [sys.executable, "-m", "braintune", "sweep", str(path), "--cores", "2", *options]
    return subprocess.run(words, capture_output=True, text=True)


def test_variants_are_run_and_compared_and_what_is_done_is_kept(built):
    path = built.profile.with_name("prompts.yml")
    variants = {"upper": {"prompt_layers": "upper"}, "gone": {"backbone": "nobody/nothing"}}
    path.write_text(yaml.safe_dump({"base": built.profile.name, "variants": variants}), encoding="utf-8")
    sweep = Sweep.load(path)
    shared = executed_notebook(built.run, make_job("tuning", task="wsd", method="fine-tuned", seed=0))
    made = shared.stat().st_mtime_ns
    done = run_sweep(path, "--quiet", "all")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "left out  gone: " in done.stdout and f"the comparison is built: {sweep.page}" in done.stdout
    assert shared.stat().st_mtime_ns == made and done.stdout.count("tuning · ") == 2
    page = sweep.page.read_text(encoding="utf-8")
    assert all(words in page for words in ("prompt_layers: upper", "not in the hub cache", "Sweep: prompts"))
    effects, methods = (store.read_table(sweep.folder / f"{name}.parquet") for name in ("effects", "methods"))
    assert set(effects["variant"]) == {"tiny", "upper"} == set(methods["variant"])
    tuned = methods[(methods["variant"] == "upper") & (methods["method"] != "untuned")]
    assert len(tuned) == 2 and tuned[["closeness", "decoding accuracy", "task score"]].notna().all(axis=1).sum() == 2
    assert all(found.state == "as made" for found in verify.verify(sweep.studies["upper"])[:-1])
    (sweep.folder / "old.parquet").write_bytes(b"of another version")
    (sweep.folder / "effects.parquet").write_bytes(b"altered")  # the comparison is made again, and nothing else is
    mended = run_sweep(path, "--quiet", "all")
    assert mended.returncode == 0 and "tuning" not in mended.stdout and "decoding" not in mended.stdout
    assert f"the comparison is built: {sweep.page}" in mended.stdout
    assert store.read_table(sweep.folder / "effects.parquet").equals(effects)
    assert not (sweep.folder / "old.parquet").exists()
    again = run_sweep(path)
    assert (
        again.returncode == 0 and "nothing to do: all 20 jobs and the book of 'prompts' are up to date" in again.stdout
    )
