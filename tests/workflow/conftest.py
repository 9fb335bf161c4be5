"""What the tests of the workflow share: a whole made-up run, and a copy of it to change."""

import shutil

import pytest

from braintune.core.study import Study
from made_up import make_run, write_profile


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def study(whole, tmp_path):
    """A copy of the run with new dates of its files, its profile in the same folder."""
    shutil.copytree(whole.root, tmp_path / "runs", copy_function=shutil.copyfile)
    return Study.load(write_profile(tmp_path / "runs"))
