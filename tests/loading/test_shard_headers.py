"""A shard whose header is damaged is refused through `mlstac.load`, though its samples could be read without it."""

import json
import shutil
import struct

import numpy as np
import pytest
import safetensors.numpy

import mlstac
from mlstac.errors import ShardError


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written") / "pair"
    samples = [{"aa": np.full((40, 40), i, "uint16"), "bb": np.full((40, 40), i + 7, "uint16")} for i in range(3)]
    mlstac.write(samples, folder, id="pair", license="CC0-1.0")
    return folder


@pytest.fixture
def shard(written, tmp_path):
    """A copy's only shard: its path, and its header to damage."""
    return shutil.copytree(written, tmp_path / "pair") / "train/00000.safetensors"


def rewrite(shard, damage):
    """Put another header of the same length into a shard."""
    data = shard.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = damage(data[8 : 8 + length])
    assert len(header) <= length
    shard.write_bytes(data[:8] + header.ljust(length) + data[8 + length :])


def overlap(header):
    found = json.loads(header)
    found["bb"]["data_offsets"] = found["aa"]["data_offsets"]
    return json.dumps(found, separators=(",", ":")).encode()


def leave_the_file(header):
    found = json.loads(header)
    last = max((name for name in found if name != "__metadata__"), key=lambda name: found[name]["data_offsets"])
    found[last]["data_offsets"][1] += 8
    return json.dumps(found, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "damage",
    [overlap, leave_the_file, lambda header: header.replace(b'"bb"', b'"aa"'), lambda header: b"!" + header[1:]],
    ids=["overlap", "outside", "twice", "no JSON"],
)
def test_a_damaged_header_is_refused_by_name(shard, damage):
    rewrite(shard, damage)
    with pytest.raises(ShardError, match=r"00000\.safetensors"):
        mlstac.load(shard.parents[1], framework="numpy")[0]


def test_a_header_longer_than_the_file_is_refused(shard):
    data = shard.read_bytes()
    shard.write_bytes(struct.pack("<Q", 1 << 40) + data[8:])
    with pytest.raises(ShardError, match=r"00000\.safetensors"):
        mlstac.load(shard.parents[1], framework="numpy")[[0, 2]]


def test_an_undamaged_shard_is_read_as_the_stock_library_reads_it(shard):
    stock = safetensors.numpy.load_file(shard)
    sample = mlstac.load(shard.parents[1], framework="numpy")[2]
    assert np.array_equal(sample["aa"], stock["aa"][2])
    assert np.array_equal(sample["bb"], stock["bb"][2])
