"""Errors of reading name the sample, once."""

import re
import shutil

import pytest

import mlstac
from mlstac.errors import MlstacError


@pytest.fixture
def broken(tiny, tmp_path):
    """A dataset in a folder whose name has the word sample in it, and whose second shard is cut short."""
    folder = shutil.copytree(tiny, tmp_path / "samples" / "tiny")
    path = folder / "train" / "00001.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    return folder


@pytest.mark.parametrize("place", ["local", "remote"])
def test_an_error_names_its_sample_whatever_the_folder_is_called(broken, place, request):
    source = broken if place == "local" else request.getfixturevalue("range_server")(broken.parents[1]).url
    source = source if place == "local" else f"{source.rstrip('/')}/samples/tiny/"
    ds = mlstac.load(source, framework="numpy")
    for read in (lambda: ds[7], lambda: ds[[7]], lambda: list(ds.batches(17))):
        with pytest.raises(MlstacError, match=r"sample \d+ \('train-000000\d'\)") as caught:
            read()
        assert len(re.findall(r"sample \d+", str(caught.value))) == 1
