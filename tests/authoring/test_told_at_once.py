"""What an author would notice late, or never: told at once, or decided the same whatever the shards."""

import json
import warnings

import numpy as np
import pytest

import mlstac
from mlstac.collection import Collection, Tensor
from mlstac.errors import ExistsError, InvalidSampleError
from mlstac.sample import Sample
from tests.authoring._read import read_collection, read_rows, read_shards


def boxes_around_the_dateline():
    """Fiji, Hawaii and Kamchatka: the shortest arc around them crosses 180 degrees, and not all of them do."""
    spans = [(177, 178), (179.5, -179.5), (-160, -155), (160, 163), (-170, -169), (170, 171)]
    for number, (west, east) in enumerate(spans):
        yield Sample({"x": np.full((4, 8, 8), number, np.int32)}, id=f"s{number}", bbox=(west, 10, east, 11))


@pytest.mark.parametrize("shard_size", [1100, 2100, 3200, "1MB"])
def test_the_extent_does_not_depend_on_where_shards_end(tmp_path, shard_size):
    mlstac.write(boxes_around_the_dateline(), tmp_path, id="x", shard_size=shard_size)
    assert read_collection(tmp_path)["extent"]["spatial"]["bbox"] == [[160, 10, -155, 11]]


def test_the_extent_of_parts_is_that_of_their_samples(tmp_path):
    samples = list(boxes_around_the_dateline())
    mlstac.write_parts([lambda at=at: [samples[at]] for at in range(len(samples))], tmp_path, id="x")
    assert read_collection(tmp_path)["extent"]["spatial"]["bbox"] == [[160, 10, -155, 11]]


@pytest.mark.parametrize("split", ["train", "holdout"])
@pytest.mark.parametrize("text", ['{"my": "catalog"}', "no JSON", '{"type": "Catalog", "links": [{"rel": "item"}]}'])
def test_a_foreign_catalog_is_left_alone(tmp_path, split, text):
    (tmp_path / split).mkdir()
    (tmp_path / split / "catalog.json").write_text(text)
    for overwrite in (False, True):
        with pytest.raises(ExistsError, match=r"catalog\.json is in the way"):
            mlstac.write({split: [{"x": 1}]}, tmp_path, id="x", overwrite=overwrite)
    assert (tmp_path / split / "catalog.json").read_text() == text
    assert not (tmp_path / "collection.json").exists()


def test_a_dataset_over_a_foreign_catalog_of_an_unused_name_is_written(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "catalog.json").write_text("mine")
    mlstac.write([{"x": 1}], tmp_path, id="x")
    mlstac.write([{"x": 2}], tmp_path, id="x", overwrite=True)
    assert (tmp_path / "other" / "catalog.json").read_text() == "mine"
    assert json.loads((tmp_path / "train" / "catalog.json").read_text())["type"] == "Catalog"


def test_a_grid_outside_of_its_crs_is_told_with_its_sample_and_leaves_no_trace(tmp_path):
    def sample(number, y):
        return Sample(
            {"x": np.full((1, 8, 8), number, np.int32)},
            id=f"s{number}",
            crs="EPSG:32630",
            transform=(10, 0, 300_000, 0, -10, y),
        )

    with mlstac.Writer(tmp_path, Collection(id="x")) as writer:
        writer.add(sample(0, 4_200_000))
        with pytest.raises(InvalidSampleError, match=r"'s1'.*(far from|domain)"):
            writer.add(sample(1, 42_000_000))
        writer.add(sample(1, 4_300_000))
    assert read_rows(tmp_path)["id"].to_pylist() == ["s0", "s1"]


def test_an_empty_list_fixes_no_dtype(tmp_path):
    with pytest.raises(InvalidSampleError, match=r"'boxes'.*empty list.*Tensor\(dtype"):
        mlstac.write([{"boxes": []}, {"boxes": [1, 2]}], tmp_path / "a", id="x")
    assert not (tmp_path / "a").exists()
    collection = Collection(id="x", tensors={"boxes": Tensor(dtype="I32", shape=(None,))})
    mlstac.write([{"boxes": []}, {"boxes": [1, 2]}], tmp_path / "b", collection)
    assert read_shards(tmp_path / "b", "train")[0]["boxes"].tolist() == [1, 2]
    mlstac.write([{"boxes": [1]}, {"boxes": []}], tmp_path / "c", id="x")
    assert read_shards(tmp_path / "c", "train")[0]["boxes"].tolist() == [1]


@pytest.mark.parametrize(
    ("layout", "other"), [("stacked", (3, 8)), ("stacked", (2, 9)), ("jagged", (2, 9))], ids=["first", "last", "jagged"]
)
@pytest.mark.parametrize("by", ["argument", "tensor"])
@pytest.mark.parametrize("where", ["the next shard", "another split", "a rerun"])
def test_a_layout_by_decree_holds_over_all_shards(tmp_path, layout, other, by, where):
    collection = Collection(id="x", tensors={"x": Tensor(layout=layout)} if by == "tensor" else {})
    options = {"shard_size": 256, "layout": layout if by == "argument" else "auto"}
    good = [Sample({"x": np.full((2, 8), number, np.int32)}, id=f"s{number}") for number in range(8)]
    bad = Sample({"x": np.zeros(other, np.int32)}, id="bad")

    def failing():
        yield from good
        raise RuntimeError

    if where == "a rerun":
        with pytest.raises(RuntimeError):
            mlstac.write(failing(), tmp_path, collection, **options)
    given = {"train": good, "test": [bad]} if where == "another split" else [*good, bad]
    with pytest.raises(InvalidSampleError, match=rf"'x' of sample 'bad'.*{layout} in all shards"):
        mlstac.write(given, tmp_path, collection, **options)
    assert not (tmp_path / "collection.json").exists()
    assert mlstac.write(good, tmp_path, collection, **options).tensors["x"].layout == layout


def test_a_refused_sample_decides_no_shape(tmp_path):
    with mlstac.Writer(tmp_path, Collection(id="x"), layout="stacked") as writer:
        writer.add(Sample({"x": np.zeros((2, 8))}, id="a"))
        with pytest.raises(InvalidSampleError, match="twice"):
            writer.add(Sample({"x": np.zeros((2, 8))}, id="a"))
        writer.add(Sample({"x": np.zeros((2, 8))}, id="b"))
    with mlstac.Writer(tmp_path / "2", Collection(id="x", tensors={"x": Tensor()}), layout="stacked") as writer:
        with pytest.raises(InvalidSampleError, match="crs"):
            writer.add(Sample({"x": np.zeros((3, 8))}, id="a", crs="EPSG:4326"))
        writer.add(Sample({"x": np.zeros((2, 8, 1))}, id="b"))


@pytest.mark.parametrize("crs", ["EPSG:32630", {"x": "EPSG:32630"}])
def test_a_crs_alone_places_nothing_and_is_refused(tmp_path, crs):
    image = np.zeros((1, 8, 8), np.uint8)
    with pytest.raises(InvalidSampleError, match=r"crs is given without transform.*transform="):
        mlstac.write([Sample({"x": image}, crs=crs)], tmp_path / "a", id="x")
    mlstac.write([Sample({"x": image}, crs=crs, bbox=(-3, 40, -2, 41))], tmp_path / "b", id="x")
    assert read_rows(tmp_path / "b")["proj:code"].to_pylist() == ["EPSG:32630"]


def test_no_sample_at_all_is_refused_and_a_split_without_any_is_not(tmp_path):
    with pytest.raises(ValueError, match="no sample in any split"):
        mlstac.write({"train": [], "test": iter(())}, tmp_path / "a", id="x")
    assert not (tmp_path / "a").exists()
    collection = mlstac.write({"train": [{"x": 1}], "test": [], "holdout": []}, tmp_path / "b", id="x")
    assert {name: split.n_items for name, split in collection.splits.items()} == {
        "train": 1,
        "validation": 0,
        "test": 0,
        "holdout": 0,
    }
    assert len(mlstac.load(tmp_path / "b", split="holdout")) == 0


def test_values_that_are_no_numbers_are_left_out_of_statistics_and_counted(tmp_path):
    values = np.array([[1, 2, np.nan, 4], [np.inf, 6, 7, -np.inf]], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mlstac.write([{"x": values}], tmp_path, id="x")
    said = read_collection(tmp_path)["item_assets"]["x"]["statistics"]
    assert (said["count"], said["minimum"], said["maximum"], said["mean"]) == (5, 1, 7, 4)
    assert said["valid_percent"] == 62.5
    assert np.array_equal(read_shards(tmp_path, "train")[0]["x"][0], values, equal_nan=True)
