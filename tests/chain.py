"""What tests of the whole chain share: running it, as `make book` does."""

import subprocess
import sys


def run_chain(profile, *options, engine=None):
    """Run the workflow of a profile as `make book` does: on two cores, or on an engine."""
    where = ["--engine", str(engine)] if engine else ["--cores", "2"]
    words = [sys.executable, "-m", "braintune", "run", str(profile), *where, *options]
    return subprocess.run(words, capture_output=True, text=True)
