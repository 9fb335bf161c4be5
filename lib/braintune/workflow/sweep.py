"""Run all variants of a sweep, and its base, in one graph of Snakemake: `make sweep SWEEP=…`."""

from collections.abc import Iterable
from contextlib import ExitStack

from braintune.core import store
from braintune.core.base import BraintuneError
from braintune.core.sweep import Sweep
from braintune.datasets.hub import Unreachable
from braintune.workflow.execute import check
from braintune.workflow.fingerprints import comparison_is_current, fingerprints, stale_jobs
from braintune.workflow.jobs import Job
from braintune.workflow.run import Batch, all_options, become_snakemake, locked, read_words


def run_sweep(name: str, options: Iterable[str] = (), engine: str = "") -> None:
    """Check the base and every variant of a sweep, then become Snakemake and run every job that is not up to date.

    Variants whose backbone is not in the hub cache and cannot be downloaded are named, and left out. The base has to be
    available, since the variants are compared with it.

    Parameters
    ----------
    name : str
        Name or path of the sweep.
    options, engine
        As :func:`braintune.workflow.run.run_chain` takes them.

    Raises
    ------
    BraintuneError
        As :func:`braintune.workflow.run.run_chain`, the message with the name of the variant.
    """
    sweep, options = Sweep.load(name), all_options(options, engine)
    batch = Batch(sweep.name, sweep.path, sweep.folder, sweep.page, sweep.profiles, sweep.studies, "compare")
    with ExitStack() as locks:
        locks.enter_context(locked(sweep.folder, sweep.name))
        for study in sweep.studies.values():
            locks.enter_context(locked(study.folder, study.profile))
        todo, missing = _check_all(sweep)
        current = comparison_is_current(sweep, missing)
        if not {"-n", "--dry-run", "--dryrun"} & set(options):
            store.write_json(sweep.folder / "missing.json", missing)
        become_snakemake(batch, todo, current, options)


def _check_all(sweep: Sweep) -> tuple[dict[str, list[Job]], dict[str, str]]:
    """Return run → its stale jobs, and of those that are left out, run → why."""
    todo: dict[str, list[Job]] = {}
    missing: dict[str, str] = {}
    said: set[str] = set()  # runs of a sweep often share their data
    for name, study in sweep.studies.items():
        try:
            jobs = stale_jobs(study, fingerprints(study))
            if jobs:
                print(f"checking  {name}", flush=True)
                for remark in check(study):
                    if remark not in said:
                        print(remark, flush=True)
                    said.add(remark)
            todo[name] = jobs
        except Unreachable as reason:
            if name == sweep.base:
                raise BraintuneError(
                    f"{sweep.path.name}: variants are compared with the base, {name!r}, which cannot be run: {reason}"
                ) from None
            missing[name] = str(reason)
            print(f"left out  {name}: {reason}", flush=True)
        except BraintuneError as fault:
            raise BraintuneError(f"{sweep.path.name}: {name}: {fault}") from None
    return todo, missing


def main(words: Iterable[str]) -> None:
    """Run the command ``SWEEP [--engine ENGINE] [OPTION …]``."""
    run_sweep(*read_words(words, "sweep", "sweep SWEEP"))
