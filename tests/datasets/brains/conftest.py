"""An empty folder for a study of the user."""

import pytest


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The folder of the own study in a data folder that holds nothing else."""
    monkeypatch.setenv("BRAINTUNE_DATA", str(tmp_path))
    folder = tmp_path / "brain" / "own"
    folder.mkdir(parents=True)
    return folder
