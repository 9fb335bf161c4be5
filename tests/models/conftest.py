import pytest

from tiny_models import save_tiny_bert


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory):
    """The folder of a BERT of two layers with its tokeniser."""
    return save_tiny_bert(tmp_path_factory.mktemp("bert"))
