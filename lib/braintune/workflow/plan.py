"""How long a run will take and where, before it is started: ``make plan PROFILE=…``, and the tables of the size page.

The seconds of a job are those of :mod:`braintune.workflow.cost`; here they are summed up over a run, and spread over machines:
jobs of one step side by side, and a step after the one that it needs.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from braintune.core import base, store
from braintune.core.base import BraintuneError
from braintune.core.study import Study
from braintune.workflow import cluster, cost
from braintune.workflow.jobs import Job, make_job, participants

#: Steps whose jobs run at the same time; each group waits for the one before.
GROUPS = (("tuning",), ("embeddings",), ("decoding", "rsa"), ("figures",))
#: Where the seconds of runs are kept that the predictions are checked against.
RECORDS = base.REPOSITORY / "data" / "reference" / "cost"
#: Seconds of the book at the end, and of each of its executed notebooks.
BOOK, PAGE = 30.0, 0.4


@dataclass(frozen=True)
class Place:
    """Where a run computes.

    Attributes
    ----------
    name : str
    jobs : int
        Jobs at a time.
    gpu_jobs : int
        Jobs at a time of the steps that take a GPU; 0 where there is none.
    queue : float
        Seconds from a job's turn to its start, and from its end to the next one's turn.
    """

    name: str
    jobs: int
    gpu_jobs: int = 0
    queue: float = 0.0


PLACES = (
    Place("two cores", 2),
    Place("eight cores and one GPU", 8, 1),
    Place("a cluster, 32 jobs at a time, tuning and embeddings each with a GPU", 32, 32, queue=60.0),
)
#: Steps that take a GPU where there is one: tuning and embedding.
ON_GPU = ("tuning", "embeddings")
#: What the page predicts beside `paper`: words, backbones (each of the size of the profile's), participants.
WIDER = (("", 1, None), (", 50 participants", 1, 50), (", 10 backbones", 10, None), (", both", 10, 50))


def jobs(run: Study) -> list[Job]:
    """Return the jobs of a run; where the data of a brain are not there, its participants are numbered."""
    found = [
        make_job("tuning", task=task, method=method, seed=seed)
        for task in run.tasks
        for method in run.methods
        for seed in run.seeds
    ]
    for name in run.brains:
        found += [make_job("embeddings", brain=name), make_job("rsa", brain=name)]
        found += [make_job("decoding", brain=name, participant=who) for who in _people(run, name)]
    return [*found, make_job("figures")]


def _people(run: Study, name: str) -> Sequence[str]:
    try:
        return participants(run, name)
    except BraintuneError:  # the data are not there, or not for all of them
        return run.participants or [f"P{i + 1:02d}" for i in range(cost.brain_size(run, name).participants)]


def forecast(run: Study, gpu_steps: Iterable[str] = ()) -> pd.DataFrame:
    """Return what each step costs: jobs, minutes of a job (mean, longest), hours in all, and GB of memory of a job.

    Parameters
    ----------
    run : Study
    gpu_steps : iterable of str
        Steps that have a GPU.
    """
    on_gpu = set(gpu_steps)
    rows = [
        (job.step, cost.seconds(run, job, gpu=job.step in on_gpu) / 60, cost.memory(run, job) / 1024)
        for job in jobs(run)
    ]
    table = pd.DataFrame(rows, columns=["step", "minutes", "memory"]).groupby("step", sort=False)
    found = table.agg(jobs=("minutes", "size"), mean=("minutes", "mean"), longest=("minutes", "max"),
                      hours=("minutes", lambda m: m.sum() / 60), memory=("memory", "max"))  # fmt: skip
    return found.reindex([step for group in GROUPS for step in group])


def hours(run: Study, place: Place, copies: int = 1) -> float:
    """Return the hours from the start to the book, for `copies` runs of the same size side by side."""
    everything, total = jobs(run), 0.0
    for group in GROUPS:
        taken = [job for job in everything if job.step in group] * copies
        on_gpu = bool(place.gpu_jobs) and group[0] in ON_GPU
        workers = place.gpu_jobs if on_gpu else place.jobs
        total += _side_by_side([cost.seconds(run, job, on_gpu) + place.queue for job in taken], workers)
    book = BOOK + PAGE * len(everything)
    return (total + book * -(-copies // place.jobs)) / 3600


def _side_by_side(lengths: Sequence[float], workers: int) -> float:
    """Return when the last of some jobs ends: the longest first, each to the worker that is free first."""
    free = [0.0] * workers
    for length in sorted(lengths, reverse=True):
        heapq.heappush(free, heapq.heappop(free) + length)
    return max(free)


# --- tables of the book ----------------------------------------------------------------------------------------------


def recorded() -> dict[str, dict]:
    """Return name → what a recorded run took (`profile`, `seconds` of each job): files of `data/reference`."""
    files = {"reference": RECORDS.parent / "real" / "provenance.json"}
    files |= {path.stem: path for path in sorted(RECORDS.glob("*.json"))}
    return {name: store.read_json(path) for name, path in files.items()}


def record(folder: Path) -> Path:
    """Keep what the jobs of a finished run took, for the check on the size page.

    Parameters
    ----------
    folder : Path
        Of the run, with its `provenance.json`.
    """
    facts = store.read_json(folder / "provenance.json")
    target = RECORDS / f"{facts['profile']['profile']}.json"
    store.write_json(target, {name: facts[name] for name in ("profile", "seconds", "code", "machine", "versions")})
    return target


def check_table() -> pd.DataFrame:
    """Compare what was predicted with what recorded runs took, step by step.

    Returns
    -------
    DataFrame
        One row a run, step and part: jobs, predicted and measured (seconds of all its jobs), and `low` and `high`, the
        range of predicted over measured for nine jobs in ten. Jobs that coefficients were fitted to are marked.
    """
    rows = []
    for name, facts in recorded().items():
        run = Study.make(facts["profile"], name)
        for label, measured in facts["seconds"].items():
            job = cost.read_label(label)
            if measured:
                rows.append((name, _part(name, job), cost.seconds(run, job), measured))
    table = pd.DataFrame(rows, columns=["run", "jobs of", "predicted", "measured"])
    table["ratio"] = table["predicted"] / table["measured"]
    grouped = table.groupby(["run", "jobs of"], sort=False)
    return grouped.agg(
        jobs=("ratio", "size"),
        predicted=("predicted", "sum"),
        measured=("measured", "sum"),
        low=("ratio", lambda r: r.quantile(0.05)),
        high=("ratio", lambda r: r.quantile(0.95)),
    ).reset_index()


def _part(name: str, job: Job) -> str:
    """Step of a job, and whether coefficients were fitted to it."""
    if job.step != "tuning":
        return f"{job.step} (fitted)" if name in ("reference", "real") else job.step
    if name != "reference":
        return job.step
    return "tuning, seed 0 (fitted)" if dict(job.parameters)["seed"] == 0 else "tuning, seed 1"


def pages() -> dict[str, str]:
    """Return name → Markdown of the tables that the size page includes."""
    return {
        "coefficients": _coefficients(),
        "check": _check(),
        "profiles": _profiles(),
        "wider": _wider(),
        "gpu": _gpu(),
    }


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _coefficients() -> str:
    return _rows(
        ["work", "one unit", "seconds", "faster on a GPU", "measured"],
        ([f"`{n}`", c.unit, f"{c.seconds:g}", "yes" if c.gpu else "", c.source] for n, c in cost.COEFFICIENTS.items()),
    )


def _check() -> str:
    return _rows(
        ["run", "jobs of", "jobs", "predicted", "measured", "one job: predicted / measured"],
        (
            [r["run"], r["jobs of"], str(r["jobs"]), f"{r['predicted']:.0f} s", f"{r['measured']:.0f} s",
             f"{r['low']:.2f} to {r['high']:.2f}"]
            for _, r in check_table().iterrows()
        ),
    )  # fmt: skip


def _gpu() -> str:
    return (
        f"What is measured are one core and two. **No GPU was available**, and no cluster of more than one node. The "
        f"columns with a GPU suppose that the work marked in the first table goes {cost.GPU_FACTOR:g} times as fast "
        f"there as on one core, and the rest no faster. The cluster's column supposes {PLACES[2].jobs} jobs at a time, "
        f"and {PLACES[2].queue:.0f} seconds of waiting for each.\n"
    )


def _profiles() -> str:
    rows = []
    for name in ("quick", "real", "reference", "paper"):
        run = Study.load(name)
        table = forecast(run)
        rows.append(
            [f"`{name}`", str(int(table["jobs"].sum())), f"{table['hours'].sum():.1f}",
             f"{table['memory'].max():.1f} GB",
             f"{cost.disk(run) / 1024:.1f} GB", told(hours(run, PLACES[0]))]
        )  # fmt: skip
    return _rows(["profile", "jobs", "core hours", "memory of the largest job", "disk", "on two cores"], rows)


def _wider() -> str:
    rows = []
    for words, backbones, people in WIDER:
        run = wider(Study.load("paper"), people)
        core_hours = backbones * forecast(run)["hours"].sum()
        rows.append([f"`paper`{words}", str(backbones * len(jobs(run))), f"{core_hours:,.0f}"])
        rows[-1] += [told(hours(run, place, backbones)) for place in PLACES]
    return _rows(["run", "jobs", "core hours without a GPU", *(place.name for place in PLACES)], rows)


def wider(run: Study, people: int | None) -> Study:
    """Return a run with so many participants, or the same run where `people` is None."""
    return run if people is None else run.model_copy(update={"participants": [f"P{i + 1:03d}" for i in range(people)]})


def told(time: float) -> str:
    """Return hours in words, as exactly as such a prediction is."""
    if time < 1.5:
        return f"{time * 60:.0f} minutes"
    return f"{time:.0f} hours" if time < 60 else f"{time / 24:.0f} days"


# --- command line ----------------------------------------------------------------------------------------------------


def tell(run: Study, cores: int = 2, engine: str = "") -> str:
    """Return what a run will cost, in words and a table."""
    options = cluster.read_engine(cluster.engine_path(engine), must_run=False) if engine else {}
    steps = cluster.gpu_steps(options)
    table = forecast(run, steps)
    lines = [
        f"{run.profile}, {run.backbone}: one core{' and for ' + ', '.join(steps) + ' a GPU' if steps else ''} a job"
    ]
    lines.append(f"{'step':<12}{'jobs':>6}{'minutes a job':>16}{'longest':>10}{'hours in all':>14}{'memory':>10}")
    for step, row in table.iterrows():
        lines.append(
            f"{step:<12}{row['jobs']:>6.0f}{row['mean']:>16.1f}{row['longest']:>10.1f}{row['hours']:>14.2f}"
            f"{row['memory']:>7.1f} GB"
        )
    lines.append(f"{'all':<12}{table['jobs'].sum():>6.0f}{'':>26}{table['hours'].sum():>14.2f}")
    lines += _asked(run, steps) if engine else _times(run, cores)
    lines.append(f"disk: {cost.disk(run) / 1024:.1f} GB in {run.folder}")
    lines.append("a job can take half or twice as long; GPUs were not measured, see book/size.md")
    return "\n".join(lines)


def _times(run: Study, cores: int) -> list[str]:
    workers = max(1, cores // run.threads)
    places = [Place(f"{workers} jobs at a time", workers), *PLACES[1:]]
    return [f"{told(hours(run, place)):>12}  {place.name}" for place in places]


def _asked(run: Study, gpu_steps: Iterable[str]) -> list[str]:
    """Say what the longest job of each step asks a cluster for."""
    lines = []
    for step in [step for group in GROUPS for step in group]:
        asked = [cost.request(run, job, step in set(gpu_steps)) for job in jobs(run) if job.step == step]
        most = {name: max(each[name] for each in asked) for name in asked[0]}
        lines.append(f"{step} asks for up to {most['runtime']} minutes and {most['mem_mb']} MB")
    return lines


def main(words: Sequence[str]) -> None:
    """Run the command: ``PROFILE [--cores N]``, ``PROFILE --engine ENGINE`` or ``--record FOLDER``."""
    match list(words):
        case ["--record", folder]:
            print(record(Path(folder)))
        case [profile]:
            print(tell(Study.load(profile)))
        case [profile, "--cores", cores] if cores.isdecimal():
            print(tell(Study.load(profile), int(cores)))
        case [profile, "--engine", engine]:
            print(tell(Study.load(profile), engine=engine))
        case _:
            raise BraintuneError("give `PROFILE [--cores N]`, `PROFILE --engine ENGINE` or `--record FOLDER OF A RUN`")
