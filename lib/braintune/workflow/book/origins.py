"""Where each figure and table of the pages comes from: the function, the notebook and the profile that made it."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from braintune.core.base import lookup
from braintune.core.study import Study
from braintune.datasets.brains import registry
from braintune.results import recorded

#: Place of the page that shows the profiles.
PROFILE_PAGE = "book/profile"
_PROFILE = """# The profile of this run

(run-profile)=
Results of this run were made with the profile `{name}`. Where it differs from [the defaults](parameters.md):

```yaml
{values}```

**Edit it:** save these lines as `notebooks/profiles/mine.yml`, change one, and run `make book PROFILE=mine`. Only \
what depends on the changed line is computed; see [](run.md).
"""
_RECORDED = """
({label})=
## {heading}

These results were made with the profile `{name}` as it was then, {made_by}. Where the profile differs from the \
current defaults:

```yaml
{values}```

`{command}` records them again, with the profile `{name}` as it is now.
"""
#: Smaller recorded sets → the headings of their profiles.
SMALL = {
    "continual": "The recorded task sequences",
    "ablation": "The recorded variants",
}
#: Name of a quoted table, or its beginning → the function that made it; all others are those of any results.
_MAKERS = {
    **dict.fromkeys(("matrix", "rules", "tuning_notebooks", "tuning_costs"), "quotes.of_run"),
    "calibration": "quotes.of_calibration",
    "continual": "quotes.of_continual",
    "ablation": "quotes.of_ablation",
    "costs": "quotes.of_costs",
}
_DRAWN = re.compile(r'\bdraw\(\s*"([\w-]+)", (\w+\.\w+)\(')
#: Which executed notebook shows a source.
_PAGES = {"run": "results/figures/run", "recorded": "results/figures/recorded", "supplement": "results/supplement"}


@dataclass(frozen=True)
class Origins:
    """What made the results that the pages of a run show.

    Attributes
    ----------
    profile : str
        Name of the run's profile.
    recorded : mapping of str to str
        Recorded set → the name of its profile.
    is_simulated : bool
        The brain of the run is simulated, so that the recorded run answers the question of the book.
    drawn_by : mapping of str to (str, str)
        Figure → the notebook that draws it, and the function, ``module.function`` in `braintune.results`.
    has_reference : bool
        The reference of the library is among the pages.
    """

    profile: str
    recorded: Mapping[str, str]
    is_simulated: bool
    drawn_by: Mapping[str, tuple[str, str]]
    has_reference: bool = True

    @property
    def answering(self) -> str:
        """The source that answers the question of the book: the run, or if it is simulated, the recorded run."""
        return "recorded" if self.is_simulated else "run"

    def named(self, label: str) -> tuple[str, str]:
        """Return the source and the name of a figure: ``answer-forest`` is ``forest`` of the source that answers.

        Raises
        ------
        BraintuneError
            If no notebook draws it.
        """
        first, _, rest = label.partition("-")
        source = {"recorded": "recorded", "answer": self.answering}.get(first, "run")
        name = rest if first in ("recorded", "answer") else label
        notebook, _ = lookup(self.drawn_by, name, "figure")
        return ("supplement" if notebook == "supplement" else source), name

    def figure(self, label: str, facts: Mapping[str, Any], labels: Collection[str] = ()) -> str:
        """Return a figure with its caption as the pages include it (`{include} results/figures/<label>.md`).

        Where there was nothing to draw, a sentence says so; where another one of the `labels` on the pages is the same
        figure, a sentence refers to it.
        """
        source, name = self.named(label)
        if reason := facts.get("nothing"):
            where = " in this run" if source == "run" else ""
            return f"*Left out{where}, since {reason}: {facts['alt'][:1].lower()}{facts['alt'][1:]}*\n"
        same = f"answer-{name}"
        if same in labels and same != label and source == self.answering:
            return f"*{{ref}}`Another figure <fig-{same}>` shows the same results. {facts['alt']}*\n"
        _, maker = self.drawn_by[name]
        code = f"{{py:func}}`{maker} <braintune.results.{maker}>`" if self.has_reference else f"`{maker}`"
        words = f"Drawn by {code} in the [{_PAGES[source].split('/')[1]} notebook]({_PAGES[source]}.ipynb)"
        if profile := self._profile(source, name):
            words += f" with the profile [{profile[0]}]({profile[1]})"
        which = "From the recorded run on real brain data. " if source == "recorded" else ""
        head = f"```{{figure}} results/figures/{label}.svg\n:name: fig-{label}\n:alt: {which}{facts['alt']}"
        return f"{head}\n\n{which}{facts['caption']} {words}.\n```\n"

    def quotes(self, found: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
        """Return what the pages can quote, by name, from what each source holds; below a table it says what made it."""
        made = {source: {n: self.table(source, n, of) for n, of in held.items()} for source, held in found.items()}
        recorded = {f"recorded_{name}": value for name, value in made["recorded"].items()}
        answers = {f"answer_{name}": value for name, value in made[self.answering].items()}
        return made["run"] | made["supplement"] | recorded | answers

    def table(self, source: str, name: str, quoted: str) -> str:
        """Return what a page quotes; below a table it says what made it."""
        if not re.match(r"<table|<p class='caption'", quoted):
            return quoted
        maker = _MAKERS.get(name) or _MAKERS.get(name.partition("_")[0], "quotes.of_results")
        code, page = f"<code>{maker}</code>", _PAGES[source]
        if self.has_reference:
            code = f"<a href='api/results.html#braintune.results.{maker}'>{code}</a>"
        words = f"Made by {code} in the <a href='{page}.html'>{page.split('/')[1]} notebook</a>"
        sources = ["run", "recorded"] if name == "matrix" and self.is_simulated else [source]
        profiles = [profile for of in sources if (profile := self._profile(of, name))]
        if profiles:
            links = " and ".join(f"<a href='profile.html#{anchor}'>{profile}</a>" for profile, anchor in profiles)
            words += f" with the profile{'s' * (len(profiles) > 1)} {links}"
        return f"{quoted}<p class='made-by'>{words}</p>"

    def _profile(self, source: str, name: str) -> tuple[str, str] | None:
        """Return the name of the profile behind a figure or table, and its anchor; None for the calibration."""
        if source == "run":
            return self.profile, "run-profile"
        if source == "recorded":
            return self.recorded["real"], "recorded-profile"
        kind = re.split("[-_]", name)[0]
        return (self.recorded[kind], f"recorded-{kind}") if kind in SMALL else None


def origins(study: Study, notebooks: Mapping[str, Mapping[str, Any]], has_reference: bool = True) -> Origins:
    """Return what made the results of a run; `notebooks` holds those that draw, ``figures`` and ``supplement``."""
    drawn_by: dict[str, tuple[str, str]] = {}
    for step, notebook in notebooks.items():
        code = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
        drawn_by |= {name: (step, maker) for name, maker in _DRAWN.findall(code)}
    is_simulated = any(registry.is_simulated(name) for name in study.brains)
    made = {name: _recorded(name).profile for name in ("real", *SMALL)}
    return Origins(study.profile, made, is_simulated, drawn_by, has_reference)


def profile_page(study: Study) -> str:
    """Return the page that shows the profile of a run, and those of the recorded ones."""
    page = _PROFILE.format(name=study.profile, values=_values(study))
    for name, heading in {"real": "The recorded run on real brain data", **SMALL}.items():
        made, label = _recorded(name), "recorded-profile" if name == "real" else f"recorded-{name}"
        command = recorded.MADE_BY[name]
        page += _RECORDED.format(
            label=label,
            heading=heading,
            name=made.profile,
            values=_values(made),
            command=command,
            made_by=_made_by_code(name),
        )
    return page


def _values(study: Study) -> str:
    """Return the parameters of a study that differ from their defaults, as YAML; its name and folder are left out.

    Each parameter begins a new line.
    """
    values = study.model_dump(mode="json", exclude_defaults=True, exclude={"profile", "runs"})
    lines = (f"{name}: {_in_flow(value)}\n" for name, value in values.items())
    return "".join(lines) or "{}\n"


def _in_flow(value: Any) -> str:
    """Return a value as YAML in the style of ``[a, b]``, on lines of at most 88 characters where possible."""
    return yaml.safe_dump(value, sort_keys=False, default_flow_style=True, width=88).removesuffix("...\n").strip()


def _recorded(name: str) -> Study:
    return Study.make(recorded.facts_of(name)["profile"])


def _made_by_code(name: str) -> str:
    """Say which code, libraries and machine made a recorded set."""
    facts = recorded.facts_of(name)
    code, versions, machine = facts["code"], facts["versions"], facts["machine"]
    changed = " and changes that were not committed" if code["changed"] else ""
    libraries = ", ".join(f"{library} {versions[library]}" for library in ("torch", "transformers", "python"))
    return f"by commit `{(code['commit'] or 'unknown')[:12]}`{changed} ({libraries}; {machine['cores']} cores)"
