"""The chain through a real SLURM of one machine gives what it gives without."""

import shutil
import tempfile
from pathlib import Path

import pytest

import kill_runs
import slurm_daemons
from braintune.core.study import Study
from chain import run_chain

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def slurm():
    """An engine's file for a SLURM that lasts as long as the tests of this module."""
    if reason := slurm_daemons.why_not():
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # a short path: that of a socket has at most 107 characters
    try:
        with slurm_daemons.loopback_slurm(folder / "daemons"):
            yield slurm_daemons.loopback_engine(folder / "loopback.yml")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_the_tables_equal_those_of_a_local_run_bit_for_bit(built, slurm, tmp_path):
    """A model, embeddings, decoding and similarity: five jobs of SLURM; the other models are given."""
    profile = kill_runs.copy_of(str(built.profile), tmp_path / "runs")
    target = Study.load(profile)
    shutil.copytree(built.run.root / "models", target.root / "models")
    shutil.rmtree(target.root / "models" / "wsd" / "prompt-tuned")
    done = run_chain(profile, "--until", "decoding", "rsa", "--quiet", "rules", "reason", "host", engine=slurm)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stderr.count("has been submitted with SLURM jobid") == 5
    assert kill_runs.faults(built.run.folder, target) == []
    assert len(kill_runs.kept(target.folder)) > 15
