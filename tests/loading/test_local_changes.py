"""Local shards that change under a dataset that is open."""

import os
import shutil

import pytest

import mlstac
from mlstac.errors import ChangedError


@pytest.fixture
def copy(tiny, tmp_path):
    shutil.copytree(tiny, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_shard_cut_short_under_the_map_is_an_error_and_no_crash(copy, arrays):
    ds = mlstac.load(copy, framework="numpy")
    assert (ds[0]["input"] == arrays["input"][0]).all()
    list(ds.batches(4))
    for shard in copy.glob("train/*.safetensors"):
        os.truncate(shard, 100)
    with pytest.raises(ChangedError, match=r"00000\.safetensors.*while reading"):
        ds[0]
    with pytest.raises(ChangedError, match="safetensors"):
        list(ds.batches(4))


def test_a_shard_written_to_in_place_is_an_error(copy):
    ds = mlstac.load(copy, framework="numpy")
    ds[0]
    shard = copy / "train" / "00000.safetensors"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    os.utime(shard, ns=(0, 1))
    with pytest.raises(ChangedError, match="put the file back"):
        ds[0]


def test_a_program_that_changes_its_folder_reads_on(copy, arrays, monkeypatch, tmp_path):
    monkeypatch.chdir(copy)
    ds = mlstac.load(".", framework="numpy")
    ds[0]
    monkeypatch.chdir(tmp_path)
    assert (ds[1]["input"] == arrays["input"][1]).all()
