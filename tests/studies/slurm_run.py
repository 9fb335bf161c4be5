"""Run a profile through a SLURM of one machine, and compare every table and array with a run without it.

``python tests/studies/slurm_run.py [PROFILE [FOLDER]]``: both runs have folders of their own in FOLDER (default: a new
folder for temporary files).
"""

import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import kill_runs
from braintune.core.study import Study
from chain import run_chain
from slurm_daemons import loopback_engine, loopback_slurm, why_not


def main(profile="quick", kept=None):
    """Run a profile through SLURM, and compare every table and array with its run here, made where it is not there."""
    folder = Path(kept or tempfile.mkdtemp(prefix="slurm-")).resolve()
    here = kill_runs.undisturbed(profile, folder / "here", ("--cores", str(os.cpu_count())))
    path = kill_runs.copy_of(profile, folder / "slurm")
    with loopback_slurm(folder / "daemons", cpus=os.cpu_count()):
        begun = time.monotonic()
        done = run_chain(path, "--quiet", "rules", "reason", "host", engine=loopback_engine(folder / "loopback.yml"))
        spent = time.monotonic() - begun
    print(done.stdout[-2000:], done.stderr[-2000:], f"exit {done.returncode}", sep="\n")
    if done.returncode:
        sys.exit(f"the run is kept in {folder}")
    run, jobs = Study.load(path), done.stderr.count("has been submitted with SLURM jobid")
    if lines := kill_runs.differences(here.folder, run):
        sys.exit("\n".join([*lines, f"the run is kept in {folder}"]))
    files = len(kill_runs.kept(run.folder))
    print(
        f"{files} files as in the run here, bit for bit but for seconds; {jobs} jobs, {spent:.0f} s; kept in {folder}"
    )


if __name__ == "__main__":
    if reason := why_not():
        sys.exit(f"no SLURM can be started: {reason}")
    main(*sys.argv[1:])
