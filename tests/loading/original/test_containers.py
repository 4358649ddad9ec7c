"""Containers of 0.1.x: members by range, from disk and over HTTP."""

import io
import json
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio

import mlstac
from mlstac.errors import AccessError, CatalogError, ShardError
from mlstac.storage import open_server
from tests.loading.original.old import write_containers


def geotiff(number):
    """A GeoTIFF of two bands of 16 bits."""
    array = np.random.default_rng(number).integers(0, 9000, (2, 8, 8), dtype=np.uint16)
    with rasterio.MemoryFile() as file:
        with file.open(
            driver="GTiff", width=8, height=8, count=2, dtype="uint16", crs="EPSG:32630", nodata=0,
            transform=rasterio.Affine(10, 0, 500000 + 80 * number, 0, -10, 4600000),
        ) as image:  # fmt: skip
            image.write(array)
        return file.read()


def splits(member=geotiff):
    members = {f"ROI_{number:03}": member(number) for number in range(9)}
    named = list(members.items())
    return {"train": [dict(named[:4]), dict(named[4:6])], "validation": [dict(named[6:8])], "test": [dict(named[8:])]}


@pytest.fixture
def server(tmp_path):
    with open_server(tmp_path) as found:
        yield found


@pytest.mark.parametrize("table", [True, False], ids=["table", "index"])
@pytest.mark.parametrize("remote", [False, True])
def test_members_are_read_by_their_ranges(remote, table, tmp_path, server):
    write_containers(tmp_path / "data", splits(), url=f"{server.url}data", table=table)
    ds = mlstac.load(f"{server.url}data/main.json" if remote else tmp_path / "data", framework="numpy")
    assert len(ds) == 6
    assert ds.tensors["data"].media_type == "image/tiff"
    assert [sample["data"] for sample in ds] == [geotiff(number) for number in range(6)]
    with rasterio.open(io.BytesIO(ds[5]["data"])) as image:
        assert image.crs == "EPSG:32630"
    assert [len(batch["data"]) for batch in ds.batches(4, shuffle=True)] == [4, 2]
    assert mlstac.load(tmp_path / "data", split="all", framework="numpy")[8]["data"] == geotiff(8)
    with pytest.raises(IndexError):
        ds[6]


def test_a_member_costs_its_own_bytes(tmp_path, server):
    write_containers(tmp_path / "data", splits(lambda number: bytes([number]) * 100_000), url=f"{server.url}data")
    ds = mlstac.load(f"{server.url}data", framework="numpy")
    before = server.bytes_sent
    assert ds[3]["data"] == bytes([3]) * 100_000
    assert server.bytes_sent - before == 100_000


def test_members_may_be_of_any_kind(tmp_path):
    write_containers(tmp_path / "data", splits(lambda number: b"\x89HDF\r\n\x1a\n" + bytes([number]) * number))
    ds = mlstac.load(tmp_path / "data", framework="numpy")
    assert ds.tensors["data"].media_type == "application/x-hdf5"
    assert ds[5]["data"] == b"\x89HDF\r\n\x1a\n" + b"\5" * 5


def test_the_collection_and_the_authors_columns_are_kept(tmp_path):
    write_containers(tmp_path / "data", splits())
    collection = mlstac.open(tmp_path / "data")
    assert {name: split.n_items for name, split in collection.splits.items()} == {
        "train": 6,
        "validation": 2,
        "test": 1,
    }
    assert (collection.id, collection.version, collection.tasks) == ("clouds", "2.0.0", ["semantic-segmentation"])
    assert [contact.name for contact in collection.contacts] == ["Ana Pérez"]
    rows = mlstac.load(tmp_path / "data", split="all").metadata.to_pandas()
    assert rows["id"].tolist()[4:7] == ["train-ROI_004", "train-ROI_005", "validation-ROI_006"]
    assert rows["label_type"].tolist() == [
        "scribble",
        "high",
        "high",
        "high",
        "scribble",
        "high",
        "scribble",
        "high",
        "scribble",
    ]


def test_equal_stems_have_ids_of_their_own(tmp_path):
    write_containers(tmp_path / "data", {"train": [{"a": b"one"}, {"a": b"two"}]})
    ds = mlstac.load(tmp_path / "data", framework="numpy")
    assert [sample["data"] for sample in ds] == [b"one", b"two"]
    assert ds.metadata.to_pandas()["id"].tolist() == ["train-a", "train-a-2"]


def test_it_downloads(tmp_path, server):
    write_containers(tmp_path / "data", splits(), url=f"{server.url}data")
    mlstac.load(f"{server.url}data", stream=False, data_dir=tmp_path / "here")
    server.close()
    ds = mlstac.load(tmp_path / "here", framework="numpy")
    assert [sample["data"] for sample in ds] == [geotiff(number) for number in range(6)]


def test_the_stored_length_of_the_index_counts(tmp_path):
    """An index that was not written by Python's json has other blanks, and its members still lie where it ends."""
    write_containers(tmp_path / "data", {"train": [{"a": b"one", "b": b"second"}]}, table=False)
    text = b'{"a":[0,3],  "b":[3,6]}      '
    (tmp_path / "data/train/mls/0000.mlstac").write_bytes(b"#y" + struct.pack("<Q", len(text)) + text + b"onesecond")
    assert mlstac.load(tmp_path / "data", framework="numpy")[1]["data"] == b"second"


def _retable(tmp_path, **columns):
    path = tmp_path / "data" / "train" / "mls" / "metadata.parquet"
    table = pq.read_table(path)
    for name, values in columns.items():
        table = table.drop_columns([name])
        if values is not None:
            table = table.append_column(name, pa.array(values))
    pq.write_table(table, path)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"begin": [0, 10**9]}, "points at bytes .* of a file of"),
        ({"begin": [0, -(10**6)]}, "ml:offset is -"),
        ({"begin": [0, 2**63 - 5]}, "ml:offset is -|points at bytes"),
        ({"length": [1, 2**62]}, "points at bytes"),
        ({"length": [1, None]}, "null"),
        ({"metadata_length": ["a", "b"]}, "no whole numbers"),
        ({"begin": None}, "lacks the column begin"),
        ({"url": None}, "lacks the column url"),
    ],
)
def test_a_table_that_points_nowhere_is_refused(columns, words, tmp_path):
    write_containers(tmp_path / "data", {"train": [{"a": b"one", "b": b"second"}]})
    _retable(tmp_path, **columns)
    with pytest.raises(CatalogError, match=words):
        list(mlstac.load(tmp_path / "data", framework="numpy"))


@pytest.mark.parametrize("url", ["file:///etc/passwd", "https://127.0.0.2/x.mlstac"])
def test_a_table_never_leads_elsewhere(url, tmp_path, server):
    write_containers(tmp_path / "data", {"train": [{"a": b"one"}]}, url=f"{server.url}data")
    _retable(tmp_path, url=[url])
    with pytest.raises(AccessError):
        mlstac.load(f"{server.url}data")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"PK" + bytes(20), "begins with '#y'"),
        (b"#y", "begins with '#y'"),
        (b"#y" + struct.pack("<Q", 10**10) + b"{}", "10,000,000,000 bytes of 12"),
        (b"#y" + struct.pack("<Q", 3) + b"{a}", "its index is not"),
        (b"#y" + struct.pack("<Q", 100_000) + b"[" * 100_000, "its index is not"),
        (b"#y" + struct.pack("<Q", 12) + b'{"a": [0,9]}', "'a' leaves the file"),
    ],
)
def test_a_file_that_is_no_container_is_named(data, words, tmp_path):
    write_containers(tmp_path / "data", {"train": [{"a": b"one"}]}, table=False)
    (tmp_path / "data/train/mls/0000.mlstac").write_bytes(data)
    with pytest.raises(ShardError, match=rf"0000.mlstac.*{words}"):
        mlstac.load(tmp_path / "data")


def test_a_document_without_containers_is_an_empty_dataset(tmp_path):
    (tmp_path / "main.json").write_text(json.dumps({"id": "x", "ml_catalog": {"train": {"data_files": []}}}))
    assert len(mlstac.load(tmp_path)) == 0
