"""MDS shards, written byte by byte; the facts of the format are MosaicML's."""

import gzip
import json
import pickle
import struct

import numpy as np
import pytest
import zstandard

import mlstac
from mlstac.errors import FormatError, MissingFileError
from tests.conversion.sources import array, dynamic, write_mds, write_tif

COLUMNS = {
    "image": ("ndarray", None),
    "mask": ("ndarray:uint8:16,16", 256),
    "label": ("int", 8),
    "cloud": ("float32", 4),
    "caption": ("str", None),
    "scene_id": ("str", None),
    "words": ("json", None),
    "big": ("str_int", None),
}


def row(number):
    return {
        "image": dynamic(array(number)),
        "mask": array(number, bands=1, dtype="uint8")[0].tobytes(),
        "label": struct.pack("<q", number % 3),
        "cloud": struct.pack("<f", number / 2),
        "caption": f"río {number}".encode(),
        "scene_id": f"s{number}".encode(),
        "words": json.dumps({"country": "ES", "datetime": "2020-06-01T00:00:00Z"}).encode(),
        "big": str(number * 7).encode(),
    }


def check(ds, count):
    assert len(ds) == count
    for number, sample in enumerate(ds):
        np.testing.assert_array_equal(sample["image"], array(number))
        np.testing.assert_array_equal(sample["mask"], array(number, bands=1, dtype="uint8")[0])
        assert (int(sample["label"]), sample["caption"]) == (number % 3, f"río {number}")
    frame = ds.metadata.to_pandas()
    assert frame["cloud"].tolist() == [number / 2 for number in range(count)]
    assert frame["scene_id"].tolist() == [f"s{number}" for number in range(count)]
    assert frame["country"].tolist() == ["ES"] * count
    assert frame["big"].tolist() == [number * 7 for number in range(count)]


@pytest.mark.parametrize(
    "pack",
    [None, ("gz", gzip.compress), ("zstd", zstandard.ZstdCompressor().compress)],
    ids=["plain", "gz", "zstd"],
)
def test_shards_become_a_dataset(pack, tmp_path):
    write_mds(tmp_path / "in", COLUMNS, [row(number) for number in range(7)], pack=pack)
    collection = mlstac.convert(tmp_path / "in", tmp_path / "out")
    check(mlstac.load(tmp_path / "out", framework="numpy"), 7)
    assert collection.tensors["label"].role == "label"
    assert collection.tensors["mask"].role == "label"


def test_folders_of_splits_are_splits(tmp_path):
    for split, count in (("train", 4), ("val", 2)):
        write_mds(tmp_path / "in" / split, COLUMNS, [row(number) for number in range(count)])
    collection = mlstac.convert(tmp_path / "in", tmp_path / "out")
    assert (collection.train.n_items, collection.validation.n_items) == (4, 2)


@pytest.mark.parametrize("values", [array(1), array(1, side=300), array(1, dtype="float32"), array(1, dtype="int16")])
def test_arrays_that_say_their_own_form(values, tmp_path):
    write_mds(tmp_path / "in", {"x": ("ndarray", None)}, [{"x": dynamic(values)}])
    mlstac.convert(tmp_path / "in", tmp_path / "out")
    found = mlstac.load(tmp_path / "out", framework="numpy")[0]["x"]
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


def test_arrays_of_one_dtype_and_any_shape(tmp_path):
    rows = [{"x": dynamic(array(number)[:, : 12 + number])[1:]} for number in range(3)]
    write_mds(tmp_path / "in", {"x": ("ndarray:uint16", None)}, rows)
    mlstac.convert(tmp_path / "in", tmp_path / "out")
    assert [sample["x"].shape for sample in mlstac.load(tmp_path / "out")] == [(3, rows, 16) for rows in (12, 13, 14)]


def test_pictures_and_images_among_bytes(tmp_path):
    tif = write_tif(tmp_path / "a.tif", array(3), names=("a", "b", "c")).read_bytes()
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    raw = struct.pack("<3I", 4, 2, 3) + b"RGB" + pixels.tobytes()
    write_mds(tmp_path / "in", {"scene": ("bytes", None), "rgb": ("pil", None)}, [{"scene": tif, "rgb": raw}])
    mlstac.convert(tmp_path / "in", tmp_path / "out")
    ds = mlstac.load(tmp_path / "out", framework="numpy")
    np.testing.assert_array_equal(ds[0]["rgb"], pixels.transpose(2, 0, 1))
    np.testing.assert_array_equal(ds[0]["scene"], array(3))
    assert [band.name for band in ds.collection.tensors["scene"].bands] == ["a", "b", "c"]
    assert ds.metadata[0]["proj:code"] == "EPSG:32630"


def test_a_pickle_is_refused_and_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    write_mds(tmp_path / "in", {"x": ("pkl", None)}, [{"x": pickle.dumps(Bomb())}])
    with pytest.raises(FormatError, match=r"column 'x' .* is pickled"):
        mlstac.convert(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "ran").exists()


def _index(tmp_path, change):
    path = tmp_path / "in" / "index.json"
    said = json.loads(path.read_text())
    change(said["shards"][0])
    path.write_text(json.dumps(said))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda shard: shard["raw_data"].update(basename="../x.mds"), "leads out of its folder"),
        (lambda shard: shard["raw_data"].update(basename="/etc/passwd"), "leads out of its folder"),
        (lambda shard: shard.update(samples=99), "does not hold the 99 samples"),
        (lambda shard: shard.update(column_encodings=["zfp"] * 8), "known are bytes, str"),
        (lambda shard: shard.update(column_names=["a"]), "no index of MDS"),
        (lambda shard: shard.pop("raw_data"), "no index of MDS"),
        (lambda shard: shard["column_sizes"].__setitem__(2, 10**9), "leaves the sample"),
    ],
)
def test_an_index_that_lies_is_refused(change, words, tmp_path):
    write_mds(tmp_path / "in", COLUMNS, [row(number) for number in range(2)])
    _index(tmp_path, change)
    with pytest.raises(FormatError, match=words):
        mlstac.convert(tmp_path / "in", tmp_path / "out")


def test_a_shard_that_is_damaged_or_gone_is_named(tmp_path):
    write_mds(tmp_path / "in", COLUMNS, [row(number) for number in range(2)])
    path = tmp_path / "in" / "shard.00000.mds"
    data = path.read_bytes()
    for bad in (data[: len(data) // 2], b"", data[:8] + b"\xff\xff\xff\xff" + data[12:]):
        path.write_bytes(bad)
        with pytest.raises(FormatError, match=r"shard\.00000\.mds.*copy it again"):
            mlstac.convert(tmp_path / "in", tmp_path / "out")
    path.unlink()
    with pytest.raises(MissingFileError, match=r"shard\.00000\.mds"):
        mlstac.convert(tmp_path / "in", tmp_path / "out")
