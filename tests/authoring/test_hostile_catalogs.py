"""A catalog that somebody else made is read with the same bounds by those who write as by those who load."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mlstac
from mlstac.errors import CatalogError
from mlstac.sample import _unfolded

PART = "train/catalog-00000.parquet"
COUNT = 2_000
LONG = 10_000


@pytest.fixture
def small_bounds(monkeypatch):
    """Bounds that 20 MB go past; a real attack has gigabytes."""
    monkeypatch.setattr(_unfolded, "PIECE_BYTES", 1024**2)
    monkeypatch.setattr(_unfolded, "MAX_TEXT_BYTES", 5 * 1024**2)


@pytest.fixture
def folder(tmp_path):
    samples = ({"x": np.full(2, number, np.int16)} for number in range(COUNT))
    mlstac.write(samples, tmp_path / "set", id="set", license="CC0-1.0", card=False)
    return tmp_path / "set"


def put(folder, table):
    pq.write_table(table, folder / PART, compression="zstd")
    path = folder / "collection.json"
    document = json.loads(path.read_text())
    for asset in document["assets"].values():
        if asset["href"].endswith(PART):
            asset["file:size"] = (folder / PART).stat().st_size
            asset.pop("file:checksum")
    path.write_text(json.dumps(document))


def add_long_texts(folder, name):
    """One text of 10 kB, which a dictionary gives to every row."""
    texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(COUNT, np.int32)), pa.array(["a" * LONG]))
    put(folder, pq.read_table(folder / PART).append_column(name, texts.cast(pa.string())))
    assert (folder / PART).stat().st_size < 200_000


def lengthen_hrefs(folder):
    """The same shard by a path of 10 kB."""
    table = pq.read_table(folder / PART)
    rows = table.to_pylist()
    for row in rows:
        row["assets"]["x"]["href"] = "./" * (LONG // 2) + row["assets"]["x"]["href"]
    put(folder, pa.Table.from_pylist(rows, schema=table.schema))
    assert (folder / PART).stat().st_size < 200_000


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: mlstac.append(folder, [{"x": np.zeros(2, np.int16)}]),
        lambda folder: mlstac.gc(folder),
        lambda folder: mlstac.publish(folder, "memory://bucket/set"),
    ],
    ids=["append", "gc", "publish"],
)
def test_hrefs_that_a_dictionary_gives_to_every_row_are_not_unfolded(folder, small_bounds, write):
    lengthen_hrefs(folder)
    with pytest.raises(CatalogError, match=r"assets\.x\.href.* unfold to more than"):
        write(folder)


@pytest.mark.parametrize(
    ("column", "write"),
    [
        ("word", lambda folder: mlstac.append(folder, [{"x": np.zeros(2, np.int16)}])),
        ("proj:code", lambda folder: mlstac.card(folder)),
    ],
    ids=["append", "card"],
)
def test_texts_that_a_dictionary_gives_to_every_row_are_not_unfolded(folder, small_bounds, column, write):
    add_long_texts(folder, column)
    with pytest.raises(CatalogError, match="unfold to more than"):
        write(folder)


def test_a_part_that_would_fill_the_memory_is_rebuilt(folder, small_bounds):
    wanted = [int(sample["x"][0]) for sample in mlstac.load(folder, framework="numpy")]
    add_long_texts(folder, "word")
    mlstac.rebuild(folder)
    ds = mlstac.load(folder, framework="numpy")
    assert "word" not in ds.metadata.columns
    assert [int(sample["x"][0]) for sample in ds] == wanted


def test_an_id_of_a_megabyte_is_refused_unread(folder):
    table = pq.read_table(folder / PART)
    ids = ["a" * 8_000_000, *table["id"].to_pylist()[1:]]
    put(folder, table.set_column(0, "id", pa.array(ids)))
    for write in (mlstac.gc, lambda folder: mlstac.append(folder, [{"x": np.zeros(2, np.int16)}])):
        with pytest.raises(CatalogError, match="the column id takes"):
            write(folder)
