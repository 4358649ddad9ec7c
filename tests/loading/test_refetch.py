"""Bytes wrong on their way, or in the cache, are fetched once more; bytes that are wrong at home are refused."""

import json
import shutil

import numpy as np
import pytest

import mlstac
from mlstac.errors import ChecksumError
from mlstac.loading import _open

SHARD = "train/00001.safetensors"


def spot(folder):
    """A byte of the pictures of the second shard."""
    return (folder / SHARD).stat().st_size - 3 * 6144 - 17


@pytest.mark.parametrize("read", ["sample", "batch", "epoch"])
def test_a_byte_changed_once_on_its_way_is_fetched_again(tiny, arrays, fault_server, read):
    server = fault_server(tiny)
    server.fail("change_byte", path=SHARD, after=spot(tiny), times=None)
    ds = mlstac.load(server.url, "train", framework="numpy")
    with pytest.raises(ChecksumError):
        ds[5:10]
    server.heal()
    server.fail("change_byte", path=SHARD, after=spot(tiny), times=1)
    ds = mlstac.load(server.url, "train", framework="numpy")
    if read == "sample":
        found = np.stack([ds[row]["input"] for row in range(17)])
    elif read == "batch":
        found = ds[:]["input"]
    else:
        found = np.concatenate([batch["input"] for batch in ds.batches(4)])
    assert np.array_equal(found, arrays["input"])


def test_of_a_batch_only_what_was_wrong_is_fetched_again(tmp_path, fault_server):
    """One sample of a batch of twenty: its bytes come twice, those of the others once."""
    values = np.random.default_rng(5).integers(0, 60_000, (40, 3, 64, 64)).astype(np.uint16)
    mlstac.write(({"x": value} for value in values), tmp_path / "out", id="out", license="CC0-1.0")
    (shard,) = (tmp_path / "out" / "train").glob("*.safetensors")
    first = shard.stat().st_size - values.nbytes
    server = fault_server(tmp_path / "out")
    rows = list(range(0, 40, 2))  # each is a request of its own
    # once for each of the batch's requests, of which one holds the byte
    server.fail("change_byte", path=f"train/{shard.name}", after=first + 10 * values[0].nbytes + 99, times=20)
    ds = mlstac.load(server.url, framework="numpy")
    len(ds)
    ds.metadata[0]
    before = ds.stats()["bytes"]
    assert np.array_equal(ds[rows]["x"], values[rows])
    fetched = ds.stats()["bytes"] - before
    assert (len(rows) + 1) * values[0].nbytes <= fetched < (len(rows) + 2) * values[0].nbytes


def test_a_byte_changed_in_the_cache_is_fetched_again_and_kept_right(tiny, arrays, range_server, tmp_path):
    server = range_server(tiny)
    first = mlstac.load(server.url, "train", framework="numpy", cache_dir=tmp_path / "cache")
    assert np.array_equal(first[:]["input"], arrays["input"])
    first.close()
    wanted = arrays["input"][7].tobytes()
    spoiled = 0
    for path in (tmp_path / "cache").rglob("*"):
        if path.is_file() and (at := path.read_bytes().find(wanted)) >= 0:
            data = bytearray(path.read_bytes())
            data[at + 9] ^= 0xFF
            path.write_bytes(data)
            spoiled += 1
    assert spoiled == 1
    for _ in range(2):
        ds = mlstac.load(server.url, "train", framework="numpy", cache_dir=tmp_path / "cache")
        assert np.array_equal(ds[:]["input"], arrays["input"])
        fetched = ds.stats()["bytes"]
        ds.close()
    assert fetched < arrays["input"][:1].nbytes  # the second time all came from the cache


def test_bytes_that_are_wrong_at_home_are_fetched_twice_and_refused(tiny, fault_server, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "bad")
    server = fault_server(folder)
    data = bytearray((folder / SHARD).read_bytes())
    data[spot(folder)] ^= 0xFF
    (folder / SHARD).write_bytes(data)
    ds = mlstac.load(server.url, "train", framework="numpy")
    ds[0]
    before = ds.stats()["requests"]
    with pytest.raises(ChecksumError, match=r"tensor 'input' of sample \d \('train-000000\d'\)"):
        ds.select(["input"])[5:10]
    assert ds.stats()["requests"] - before == 2


def catalog_path(folder):
    return folder / "train" / "catalog-00000.parquet"


def forget_checksums(folder):
    """As other writers may have it: no checksum of any part."""
    document = json.loads((folder / "collection.json").read_text())
    for asset in document["assets"].values():
        asset.pop("file:checksum", None)
    (folder / "collection.json").write_text(json.dumps(document))


@pytest.mark.parametrize("whole_bytes", [4 * 1024 * 1024, 1000], ids=["whole", "columns"])
@pytest.mark.parametrize("has_checksums", [True, False], ids=["checksums", "no-checksums"])
def test_a_dataset_written_anew_at_the_same_place_is_not_read_from_the_cache_of_the_old(
    tmp_path, range_server, monkeypatch, has_checksums, whole_bytes
):
    monkeypatch.setattr(_open, "WHOLE_BYTES", whole_bytes)
    folder = tmp_path / "here"

    def write(value):
        shutil.rmtree(folder, ignore_errors=True)
        samples = [{"x": np.full((2, 40, 40), value + row, np.uint16)} for row in range(4)]
        tensors = {"x": mlstac.Tensor(dims="band y x", bands=["B02", "B03"])}
        mlstac.write(samples, folder, id="here", license="CC0-1.0", tensors=tensors)
        if not has_checksums:
            forget_checksums(folder)
        return (folder / "train" / "00000.safetensors").stat().st_size, catalog_path(folder).stat().st_size

    folder.mkdir()
    server = range_server(folder)
    sizes, values = [], []
    for value in (10, 70):
        sizes.append(write(value))
        ds = mlstac.load(server.url, framework="numpy", cache_dir=tmp_path / "cache")
        # of bands there is no checksum that would tell
        values.append(ds.select(bands=["B03"])[:]["x"][:, 0, 0, 0].tolist() + ds[:]["x"][:, 1, 0, 0].tolist())
        ds.close()
    assert sizes[0] == sizes[1]
    assert values == [[10, 11, 12, 13] * 2, [70, 71, 72, 73] * 2]
    ds = mlstac.load(server.url, framework="numpy", cache_dir=tmp_path / "cache")
    pictures = ds[:]["x"].nbytes
    catalog = 0 if catalog_path(folder).stat().st_size < whole_bytes else catalog_path(folder).stat().st_size
    assert pictures <= ds.stats()["cache_bytes"] <= pictures + catalog
    ds.close()
