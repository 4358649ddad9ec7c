"""Samples over HTTP: what is asked for, what it costs, and what happens when the network lies."""

import json
import pickle
import shutil
import uuid

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mlstac
from mlstac.errors import (
    ChangedError,
    ChecksumError,
    MissingFileError,
    RangeError,
    ShardError,
)
from mlstac.storage import Store
from tests.loading.datasets import write_stacked


@pytest.fixture(scope="module")
def chips(tmp_path_factory):
    """40 chips of 106 KB with a label, in four shards."""
    rng = np.random.default_rng(1)
    arrays = {
        "input": rng.integers(0, 60_000, (40, 13, 64, 64)).astype(np.uint16),
        "target": np.arange(40, dtype=np.int64),
    }
    folder = tmp_path_factory.mktemp("chips")
    write_stacked(folder, {"train": arrays}, shard_rows=10, input={"dims": "band y x"}, target={"role": "label"})
    return folder, arrays


CHIP = 13 * 64 * 64 * 2


OPEN = []


@pytest.fixture(autouse=True)
def _close(fault_server):
    """Close what a test opened while its server still runs."""
    yield
    while OPEN:
        OPEN.pop().close()


def load(server, **options):
    OPEN.append(mlstac.load(server.url, framework="numpy", **options))
    return OPEN[-1]


def test_opening_reads_the_collection_alone_and_an_index_past_the_end_nothing(chips, fault_server):
    server = fault_server(chips[0])
    ds = load(server)
    assert len(ds) == 40
    assert server.count == 1
    with pytest.raises(IndexError):
        ds[40]
    with pytest.raises(IndexError):
        ds[[0, -41]]
    assert server.count == 1


def test_one_sample_costs_its_bytes_and_not_its_shard(chips, fault_server):
    folder, arrays = chips
    server = fault_server(folder)
    ds = load(server)
    sample = ds[17]
    assert np.array_equal(sample["input"], arrays["input"][17])
    assert sample["target"] == 17
    catalog = (folder / "train" / "catalog-00000.parquet").stat().st_size
    collection = (folder / "collection.json").stat().st_size
    assert server.count == 4  # collection, catalog, image, and the labels that share a checksum
    assert server.bytes_sent <= collection + catalog + CHIP + 10 * 8 + 4 * 2000


@pytest.mark.parametrize("shuffle", [False, True, "block"])
def test_an_epoch_costs_its_bytes_and_few_requests(chips, fault_server, shuffle):
    folder, arrays = chips
    server = fault_server(folder)
    batches = load(server).batches(8, shuffle=shuffle, seed=1)
    seen = []
    for batch in batches:
        assert np.array_equal(batch["input"], arrays["input"][batch["target"]])
        seen += batch["target"].tolist()
    assert sorted(seen) == list(range(40))
    needed = 40 * (CHIP + 8)
    assert (
        batches.stats()["bytes"]
        <= 1.02 * needed
        + (folder / "collection.json").stat().st_size
        + (folder / "train" / "catalog-00000.parquet").stat().st_size
    )
    if shuffle is False:
        # neighbours are one request: two a shard that a batch begins in, and the labels
        assert server.count <= 2 + 8 + 12


def test_a_split_of_small_samples_is_a_range_a_shard(fault_server, tmp_path):
    arrays = {"x": np.random.default_rng(0).random((2000, 64), np.float32), "y": np.arange(2000, dtype=np.int64)}
    write_stacked(tmp_path, {"train": arrays}, shard_rows=1000)
    server = fault_server(tmp_path)
    ds = load(server)
    rows = []
    for batch in ds.batches(100, shuffle=False):
        assert np.array_equal(batch["x"], arrays["x"][batch["y"]])
        rows += batch["y"].tolist()
    assert rows == list(range(2000))
    # the plans of an epoch's beginning are short, so that it begins soon
    assert server.count <= 2 + 2 * 2 * 4


def test_a_list_of_samples_asks_for_each_byte_once(chips, fault_server):
    folder, arrays = chips
    server = fault_server(folder)
    ds = load(server)
    ds[0]
    before = ds.stats()
    batch = ds[[5, 5, 6, 7, 31, 5]]
    assert np.array_equal(batch["input"], arrays["input"][[5, 5, 6, 7, 31, 5]])
    assert batch["target"].tolist() == [5, 5, 6, 7, 31, 5]
    after = ds.stats()
    assert after["requests"] - before["requests"] == 4
    assert after["bytes"] - before["bytes"] <= 4 * CHIP + 2 * 80


def test_no_more_is_read_ahead_than_was_allowed(chips, fault_server):
    server = fault_server(chips[0])
    ds = load(server)
    iterator = iter(ds.batches(1, prefetch=1, max_in_flight_bytes=2 * CHIP))
    for _ in range(5):
        next(iterator)
    assert ds.stats()["bytes_in_flight_peak"] <= 3 * CHIP
    assert server.bytes_sent <= (5 + 1 + 1 + 3) * CHIP + 50_000


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("status", {"status": 503, "every": 5, "times": None}),
        ("reset", {"after": 20_000, "every": 4, "times": None}),
        ("cut", {"after": 20_000, "every": 4, "times": None}),
        ("close", {"every": 5, "times": None}),
    ],
)
def test_an_epoch_survives_a_server_that_fails_now_and_then(chips, fault_server, kind, options):
    folder, arrays = chips
    server = fault_server(folder)
    ds = load(server)
    ds[0]
    server.fail(kind, **options)
    batches = ds.batches(4, shuffle=True)
    for batch in batches:
        assert np.array_equal(batch["input"], arrays["input"][batch["target"]])
    assert batches.stats()["retries"] > 0


@pytest.mark.parametrize("how", ["sample", "batch", "batches"])
def test_a_changed_byte_is_refused_and_named(chips, fault_server, how, tmp_path):
    folder = shutil.copytree(chips[0], tmp_path / "copy")
    shard = folder / "train" / "00002.safetensors"
    raw = bytearray(shard.read_bytes())
    raw[-5] ^= 4
    shard.write_bytes(raw)
    ds = load(fault_server(folder))
    read = {
        "sample": lambda: [ds[row] for row in range(20, 30)],
        "batch": lambda: ds[20:30],
        "batches": lambda: list(ds.batches(7, shuffle=True)),
    }[how]
    with pytest.raises(ChecksumError, match=r"'(input|target)' of sample 2\d .*00002.safetensors"):
        read()
    for _ in load(fault_server(folder), verify=False).batches(7):
        pass


def test_a_server_that_ignores_ranges_is_refused(chips, fault_server):
    server = fault_server(chips[0])
    ds = load(server)
    server.fail("ignore_range", times=None)
    with pytest.raises(RangeError, match="sample 3"):
        ds[3]


def test_a_shard_that_is_gone_or_replaced_is_named(chips, fault_server, tmp_path):
    folder = shutil.copytree(chips[0], tmp_path / "copy")
    server = fault_server(folder)
    ds = load(server)
    ds[0]
    shard = folder / "train" / "00003.safetensors"
    shard.write_bytes(shard.read_bytes() + b"more")
    with pytest.raises((ChangedError, ShardError), match=r"00003.safetensors.*sample 35"):
        ds[35]
    server.fail("status", status=404, times=None)
    with pytest.raises(MissingFileError, match=r"00003.safetensors.*sample 35"):
        ds[35]


def test_no_collection_at_a_url_is_a_missing_file(fault_server):
    with pytest.raises(MissingFileError):
        mlstac.load(fault_server({"other.txt": b"x"}).url)


def test_urls_of_the_folder_and_of_the_collection_are_one(chips, fault_server):
    server = fault_server(chips[0])
    for url in (server.url, server.url.rstrip("/"), server.url.rstrip("/") + "/collection.json"):
        assert len(mlstac.load(url)) == 40


def test_a_split_downloads_and_is_read_from_disk(chips, fault_server, tmp_path):
    folder, arrays = chips
    server = fault_server(folder)
    ds = load(server, stream=False, data_dir=tmp_path / "here")
    before = server.count
    assert np.array_equal(ds[:]["input"], arrays["input"])
    assert server.count == before
    again = load(server, stream=False, data_dir=tmp_path / "here")
    assert server.count == before + 1  # the collection alone
    assert again.fingerprint == ds.fingerprint
    assert np.array_equal(mlstac.load(tmp_path / "here", framework="numpy")[3]["input"], arrays["input"][3])


def test_downloads_go_to_a_folder_of_their_own_by_default(chips, fault_server, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    load(fault_server(chips[0]), stream=False)
    (folder,) = (tmp_path / "mlstac").iterdir()
    assert folder.name.startswith("tiny-")
    assert (folder / "collection.json").exists()


def test_the_second_epoch_of_a_cache_reads_no_network(chips, fault_server, tmp_path):
    server = fault_server(chips[0])
    ds = load(server, cache_dir=tmp_path / "cache")
    for _ in ds.batches(8, shuffle=True):
        pass
    ds.close()
    before = server.count
    again = load(server, cache_dir=tmp_path / "cache")
    for batch in again.batches(8, shuffle=True, epoch=1):
        assert np.array_equal(batch["input"], chips[1]["input"][batch["target"]])
    assert server.count <= before + 2  # the collection and the catalog


def test_of_a_large_catalog_the_columns_that_are_needed_are_read(fault_server, tmp_path, monkeypatch):
    from mlstac.loading import _open, _ranged

    rng = np.random.default_rng(0)
    arrays = {"x": rng.integers(0, 9, (300, 4)).astype(np.uint16)}
    write_stacked(tmp_path, {"train": arrays}, shard_rows=100)
    part = tmp_path / "train" / "catalog-00000.parquet"
    table = pq.read_table(part).append_column("noise", pa.array([rng.bytes(2000) for _ in range(300)]))
    pq.write_table(table, part, row_group_size=100)
    document = json.loads((tmp_path / "collection.json").read_text())
    document["assets"]["train-00000"]["file:size"] = part.stat().st_size
    (tmp_path / "collection.json").write_text(json.dumps(document))
    monkeypatch.setattr(_open, "WHOLE_BYTES", 1000)
    monkeypatch.setattr(_ranged, "FOOTER_BYTES", 8000)
    server = fault_server(tmp_path)
    ds = load(server)
    assert np.array_equal(ds[[250, 3]]["x"], arrays["x"][[250, 3]])
    assert 4 * server.bytes_sent < part.stat().st_size
    assert ds.metadata.to_table(["noise"])["noise"][7].as_py() == table["noise"][7].as_py()
    assert ds.metadata[299]["id"] == "train-0000299"


def test_credentials_are_for_the_host_of_the_collection_alone(chips, fault_server, tmp_path):
    folder, arrays = chips
    other = fault_server(folder)
    document = json.loads((folder / "collection.json").read_text())
    for asset in document["assets"].values():
        asset["href"] = other.url + asset["href"].removeprefix("./")
    (tmp_path / "collection.json").write_text(json.dumps(document))
    server = fault_server(tmp_path, allow=lambda request: request.headers.get("authorization") == "Bearer secret")
    ds = load(
        server,
        storage_options={"headers": {"Authorization": "Bearer secret"}},
        allow_hosts=(f"127.0.0.1:{other.port}",),
    )
    for one in (ds, pickle.loads(pickle.dumps(ds))):
        assert (one[3]["input"] == arrays["input"][3]).all()
        OPEN.append(one)
    assert other.count
    assert not any("authorization" in request.headers for request in other.requests)


def test_options_of_an_object_store_do_not_go_to_a_web_server_that_it_names(chips, fault_server, moto_s3):
    folder, arrays = chips
    other = fault_server(folder)
    document = json.loads((folder / "collection.json").read_text())
    for asset in document["assets"].values():
        asset["href"] = other.url + asset["href"].removeprefix("./")
    url = f"s3://bucket/{uuid.uuid4().hex}"
    with Store(url, storage_options=moto_s3) as store:
        store.put("collection.json", json.dumps(document).encode())
    for options in (moto_s3, lambda: moto_s3):
        ds = mlstac.load(url, framework="numpy", storage_options=options, allow_hosts=(f"127.0.0.1:{other.port}",))
        OPEN.append(ds)
        assert (ds[3]["input"] == arrays["input"][3]).all()
    assert other.count
    assert not any("authorization" in request.headers for request in other.requests)
    assert moto_s3["secret"] not in str([(request.path, request.headers) for request in other.requests])


def test_options_may_be_a_callable_that_is_asked_again(chips, fault_server):
    folder, arrays = chips
    good = "first"
    server = fault_server(folder, allow=lambda request: request.headers.get("x-token") == good)
    ds = load(server, storage_options=lambda: {"headers": {"X-Token": good}})
    good = "second"
    assert (ds[3]["input"] == arrays["input"][3]).all()
    assert (
        mlstac.open(server.url, storage_options=lambda: {"headers": {"X-Token": good}}).tensors.keys() == arrays.keys()
    )


def test_no_text_of_a_dataset_shows_a_credential(chips, fault_server):
    server = fault_server(chips[0])
    ds = mlstac.load(
        server.url.replace("//", "//user:very-secret@") + "collection.json?sig=very-secret",
        framework="numpy",
        storage_options={"headers": {"Authorization": "very-secret"}},
    )
    OPEN.append(ds)
    for shown in (ds, ds._origin.config, vars(ds)):
        assert "very-secret" not in repr(shown) + str(shown)
    assert "127.0.0.1" in repr(ds._origin.config)
