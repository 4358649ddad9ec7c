"""The demo's dataset, for the code on the pages."""

import shutil

import pytest

from mlstac.cli.demo import author_scene


@pytest.fixture(scope="session")
def demo_dataset(tmp_path_factory):
    """What `make demo` leaves in demo/clay."""
    folder = tmp_path_factory.mktemp("demo") / "clay"
    author_scene(folder)
    return folder


@pytest.fixture
def demo_folder(demo_dataset, tmp_path):
    """A working folder in which `make demo` seems to have been run."""
    shutil.copytree(demo_dataset, tmp_path / "demo" / "clay")
    return tmp_path
