"""What tests of the whole chain share: running it, and comparing what two runs have written."""

import subprocess
import sys

import pandas as pd

from braintune import study


def run_chain(profile, *options, engine=None):
    """Run the workflow of a profile as `make book` does: on two cores, or on an engine."""
    where = ["--engine", str(engine)] if engine else ["--cores", "2"]
    words = [sys.executable, "-m", "braintune.workflow", "run", str(profile), *where, *options]
    return subprocess.run(words, capture_output=True, text=True)


def compare(first, second):
    """Assert that every table and array of one run is, bit for bit, that of another; return how many there were."""
    compared = 0
    for file in sorted([*second.folder.rglob("*.parquet"), *second.folder.rglob("*.safetensors")]):
        other = first.folder / file.relative_to(second.folder)
        if file.suffix == ".parquet":
            a, b = (pd.read_parquet(p).drop(columns=["seconds"], errors="ignore") for p in (other, file))
            pd.testing.assert_frame_equal(a, b, check_exact=True)
        else:
            a, b = study.read_arrays(other), study.read_arrays(file)
            assert {k: v.tobytes() for k, v in a.items()} == {k: v.tobytes() for k, v in b.items()}, file
        compared += 1
    return compared
