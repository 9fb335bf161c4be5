"""What the tests share: a tiny profile whose whole chain takes about a minute on one core."""

import fcntl
import os
import shutil
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from braintune.core import plugins

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"

TINY = {
    "profile": "tiny",
    "tasks": ["sentiment", "wsd"],
    "train_examples": 64,
    "test_examples": 32,
    "epochs": [1],
    "topics": 4,
    "passages": 12,
    "sentences_per_passage": 3,
    "simulated_participants": 2,
    "voxels_per_region": 24,
    "regions": ["language", "IFG", "visual"],
    "n_folds": 3,
    "n_alphas": 5,
    "permutations": 5,
    "bootstrap": 10,
    "controls": ["passage", "length", "zero-prefix"],
}


@pytest.fixture
def registries(monkeypatch):
    """The registries by kind; they are as before after the test, and no plugin counts as loaded."""
    found = {kind: getattr(import_module(module), name) for kind, (module, name) in plugins.REGISTRIES.items()}
    before = {kind: dict(registry) for kind, registry in found.items()}
    modules = set(sys.modules)
    monkeypatch.setattr(plugins, "_ADDED", {})
    monkeypatch.setattr(plugins, "_LOADED", {})
    yield found
    for kind, registry in found.items():
        registry.clear()
        registry.update(before[kind])
    for name in set(sys.modules) - modules:
        if name.startswith("braintune_plugin_"):
            del sys.modules[name]


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real data; tests that need it are skipped where it is not there."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the folder of real data is not there (shared/data beside the repository)")
    return SHARED_DATA


@pytest.fixture(scope="session")
def tiny_profile(tmp_path_factory):
    """The file of a tiny profile that keeps its results in a folder of its own."""
    folder = tmp_path_factory.mktemp("tiny")
    path = folder / "tiny.yml"
    path.write_text(yaml.safe_dump(TINY | {"runs": str(folder / "runs")}), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def built(tiny_profile, tmp_path_factory):
    """The tiny profile, run on this machine with its book: `run`, `profile` and what was `told`.

    The first test process that asks makes it, and each process gets a separate copy.
    """
    from braintune.core.study import Study

    folder = tmp_path_factory.getbasetemp()
    shared = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "chain"
    shared.mkdir(exist_ok=True)
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # freed when the file is closed
        if not (shared / "told.txt").is_file():
            _make_chain(shared)
    shutil.copytree(shared / "runs", tiny_profile.parent / "runs", symlinks=True, dirs_exist_ok=True)
    return SimpleNamespace(
        run=Study.load(tiny_profile), profile=tiny_profile, told=(shared / "told.txt").read_text(encoding="utf-8")
    )


def _make_chain(folder):
    from chain import run_chain

    profile = folder / "tiny.yml"
    profile.write_text(yaml.safe_dump(TINY | {"runs": str(folder / "runs")}), encoding="utf-8")
    done = run_chain(profile, "--quiet", "all")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (folder / "told.txt").write_text(done.stdout, encoding="utf-8")


def pytest_collection_modifyitems(items):
    """Begin with what takes long, so that no test process waits for another at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium that logs what its pages say and ask for; tests are skipped where it is not there."""
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("headless Chromium is not there: on Debian, apt install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                     "--disable-component-update", "--disable-sync", "--no-first-run"):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()
