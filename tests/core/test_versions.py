"""Which source files a result depends on, and that folders import only what is above them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from braintune.core import base, versions
from braintune.core.versions import LIBRARY, code_and_versions, imported_modules, source_files


def names(*modules, **options):
    return {path.relative_to(LIBRARY).as_posix() for path in source_files(*modules, **options)}


def test_imports_are_followed_from_module_to_module():
    reached = names("neural.rsa")
    assert {"neural/rsa.py", "neural/representations.py", "core/store.py", "core/base.py"} <= reached
    assert not [name for name in reached if name.startswith(("results/", "workflow/"))]


def test_a_module_to_stop_at_is_reached_but_not_its_imports():
    registry = "datasets.brains.registry"
    assert "datasets/brains/pereira.py" in names(registry)
    assert names(registry, stop=frozenset({registry})) == {"datasets/brains/registry.py"}


def test_a_yaml_file_that_a_module_names_belongs_to_it(tmp_path, monkeypatch):
    monkeypatch.setattr(versions, "LIBRARY", tmp_path)
    source_files.cache_clear()
    (tmp_path / "words.py").write_text('FILE = "words.yml"; OTHER = "none.yml"\nfrom braintune.more import x\n')
    (tmp_path / "more.py").write_text("x = 1\n")
    (tmp_path / "words.yml").write_text("- a\n")
    assert {path.name for path in source_files("words")} == {"words.py", "words.yml", "more.py"}
    source_files.cache_clear()


def test_imports_within_functions_count_and_other_libraries_do_not():
    code = "import numpy\nfrom pandas import x\ndef f():\n    from braintune.models import heads, inputs\n"
    assert imported_modules(code) == {"models", "models.heads", "models.inputs"}


def test_commit_and_versions_are_recorded():
    facts = code_and_versions()
    assert set(facts) == {"code", "versions"} and {"commit", "changed"} == set(facts["code"])
    assert {"python", "torch", "numpy", "snakemake"} <= set(facts["versions"])


def test_the_order_of_the_imports_holds():
    pytest.importorskip("importlinter", reason="import-linter is not installed: pip install import-linter")
    program = Path(sys.executable).parent / "lint-imports"
    surroundings = os.environ | {"PYTHONPATH": str(base.REPOSITORY / "lib")}
    done = subprocess.run([program], cwd=base.REPOSITORY, capture_output=True, text=True, env=surroundings)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
