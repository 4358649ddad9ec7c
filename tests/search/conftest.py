"""The dataset that is searched, once for all tests."""

import pytest

import mlstac
from tests.search.datasets import write_scattered


@pytest.fixture(scope="session")
def scattered(tmp_path_factory):
    """Folder of samples all over the Earth."""
    return write_scattered(tmp_path_factory.mktemp("search") / "scattered")


@pytest.fixture(scope="session")
def everything(scattered):
    """Its two splits that have samples, as one dataset."""
    return mlstac.load(scattered, split="train+test", framework="numpy")


@pytest.fixture(scope="session")
def rows(everything):
    """Its rows as dicts, in order."""
    return everything.metadata.to_table().to_pylist()
