"""A sweep: a base profile and variants of it. Every command accepts a variant in place of a profile."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from braintune.core import store
from braintune.core.base import BraintuneError
from braintune.core.study import PROFILES, SHARED, Study, read_sweep, require_same_file, sweep_path


@dataclass(frozen=True)
class Sweep:
    """A sweep, validated.

    Attributes
    ----------
    path : Path
        Its file.
    profiles : dict of str to Path
        The base, by its name, and every variant → what :meth:`braintune.core.study.Study.load` takes.
    studies : dict of str to Study
        The same names → their parameters.
    differing : dict of str to dict
        Variant → the parameters that differ from the base.
    """

    path: Path
    profiles: dict[str, Path]
    studies: dict[str, Study]
    differing: dict[str, dict[str, Any]]

    @classmethod
    def load(cls, sweep: str | Path) -> "Sweep":
        """Load a sweep, by its name in `notebooks/sweeps` or the path of a YAML file.

        Raises
        ------
        BraintuneError
            If there is no such sweep, it has the name of a profile, a variant is not a valid profile or equals another
            one, or the folder of the sweep belongs to another file.
        """
        path = sweep_path(sweep)
        base, differing = read_sweep(path)
        if path.stem in (base.stem, *SHARED) or (PROFILES / f"{path.stem}.yml").exists():
            raise BraintuneError(f"{path.name}: {path.stem!r} is the name of another folder in `runs`; rename the file")
        profiles = {base.stem: base} | {variant: path / variant for variant in differing}
        studies = {name: Study.load(profile) for name, profile in profiles.items()}
        seen: dict[str, str] = {}
        for name, study in studies.items():
            same = seen.setdefault(study.model_dump_json(exclude={"profile"}), name)
            if same != name:
                raise BraintuneError(
                    f"{path.name}: variant {name!r} has the same parameters as {same!r}; change one of them, or "
                    "remove the variant"
                )
        made = cls(path, profiles, studies, differing)
        require_same_file(made.folder, path)
        return made

    @property
    def name(self) -> str:
        """Name of the sweep: that of its file."""
        return self.path.stem

    @property
    def base(self) -> str:
        """Name of the base, with which the variants are compared."""
        return next(iter(self.studies))

    @property
    def folder(self) -> Path:
        """Folder of the comparison, with a subfolder for each variant; the folder of the base is beside it."""
        return self.studies[self.base].root / self.name

    @property
    def page(self) -> Path:
        """The page of the comparison."""
        return self.folder / "book" / "html" / "index.html"

    @property
    def notebook(self) -> Path:
        """The executed notebook of the comparison."""
        return self.folder / "sweep.ipynb"

    @property
    def missing(self) -> dict[str, str]:
        """Variants that the last run left out because their backbone was not available → why."""
        file = self.folder / "missing.json"
        return store.read_json(file) if file.is_file() else {}
