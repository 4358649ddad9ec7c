"""Catalog parts of many row groups: what is asked for first is read alone, and says the same as all of them."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlstac
from mlstac.errors import CatalogError
from tests.loading.datasets import write_stacked

COUNT, GROUP = 26, 6


@pytest.fixture(scope="module")
def arrays():
    return {"image": np.arange(COUNT * 12, dtype=np.uint16).reshape(COUNT, 12), "number": np.arange(COUNT)}


@pytest.fixture(scope="module", params=[None, 3], ids=["one part", "two parts"])
def folder(request, tmp_path_factory, arrays):
    """26 samples in six shards; five row groups, of one part or of two."""
    folder = tmp_path_factory.mktemp("groups")
    return write_stacked(folder, {"train": arrays}, row_group_size=GROUP, part_shards=request.param)


@pytest.fixture
def groups_read(monkeypatch):
    read = []
    original = pq.ParquetFile.read_row_group

    def note(self, group, columns, **options):
        read.append((group, columns[0].split(".")[1]))
        return original(self, group, columns=columns, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", note)
    return read


KEYS = st.one_of(st.integers(0, COUNT - 1), st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=5))


@settings(max_examples=60)
@given(st.lists(KEYS, min_size=1, max_size=5))
def test_samples_are_the_same_in_whatever_order_row_groups_are_read(folder, arrays, keys):
    ds = mlstac.load(folder, framework="numpy")
    for key in keys:
        assert np.array_equal(ds[key]["image"], arrays["image"][key])
        assert np.array_equal(ds[key]["number"], arrays["number"][key])


def test_a_sample_reads_its_own_row_group_and_another_all(folder, groups_read):
    ds = mlstac.load(folder, framework="numpy")
    ds[7], ds[8], next(iter(ds.batches(2, prefetch=0)))
    if len(ds._reader.catalog.parts) == 1:
        assert groups_read[:2] == [(1, "image"), (1, "number")]
        assert sorted(groups_read[2:]) == [(group, name) for group in range(5) for name in ("image", "number")]
    known = len(groups_read)
    ds[9], ds[2]
    assert len(groups_read) == known


def test_the_first_batches_in_order_read_one_row_group(tmp_path, arrays, groups_read):
    folder = write_stacked(tmp_path, {"train": arrays}, row_group_size=GROUP)
    next(iter(mlstac.load(folder, framework="numpy").batches(4, prefetch=0)))
    assert groups_read == [(0, "image"), (0, "number")]


def test_a_bad_row_is_named_by_its_number_whichever_row_groups_are_read(tmp_path, arrays):
    folder = write_stacked(tmp_path, {"train": arrays}, row_group_size=GROUP)
    path = folder / "train" / "catalog-00000.parquet"
    rows = pq.read_table(path)
    assets = rows["assets"].to_pylist()
    assets[21]["image"]["ml:offset"] = 10**9
    column = pa.array(assets, rows.schema.field("assets").type)
    pq.write_table(rows.set_column(rows.schema.get_field_index("assets"), "assets", column), path, row_group_size=GROUP)
    document = json.loads((folder / "collection.json").read_text())
    document["assets"]["train-00000"]["file:size"] = path.stat().st_size
    (folder / "collection.json").write_text(json.dumps(document))
    wrong = r"row 21: assets\.image points at bytes 1000000000"
    with pytest.raises(CatalogError, match=wrong):
        mlstac.load(folder, framework="numpy")[20]
    ds = mlstac.load(folder, framework="numpy")
    assert np.array_equal(ds[3]["image"], arrays["image"][3])
    with pytest.raises(CatalogError, match=wrong):
        ds[12]
    with pytest.raises(CatalogError, match=wrong):
        list(mlstac.load(folder, framework="numpy").batches(4))
