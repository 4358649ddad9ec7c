"""Datasets of Hugging Face's datasets, made by that library."""

import io

import datasets
import numpy as np
import pytest
from PIL import Image

import mlstac
from tests.conversion.sources import array, write_tif


def picture(number):
    file = io.BytesIO()
    Image.fromarray(np.full((6, 8, 3), number, np.uint8)).save(file, "png")
    return file.getvalue()


@pytest.fixture
def train():
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["land", "water"]),
            "cube": datasets.Array3D((2, 8, 8), "uint16"),
            "spectrum": datasets.Sequence(datasets.Value("float32")),
            "caption": datasets.Value("string"),
            "country": datasets.Value("string"),
            "cloud": datasets.Value("float64"),
            "seen": datasets.Sequence(datasets.Value("string")),
        }
    )
    rows = [
        {
            "image": {"bytes": picture(number), "path": None},
            "label": number % 2,
            "cube": array(number, bands=2, side=8),
            "spectrum": np.arange(number + 1, dtype=np.float32),
            "caption": f"río {number}",
            "country": "ES",
            "cloud": number / 2,
            "seen": ["a", "b"],
        }
        for number in range(5)
    ]
    return datasets.Dataset.from_list(rows, features=features)


def check(ds, rows):
    assert len(ds) == len(rows)
    for sample, number in zip(ds, rows, strict=True):
        assert sample["image"] == picture(number)  # as it was, and not encoded again
        np.testing.assert_array_equal(sample["cube"], array(number, bands=2, side=8))
        assert sample["spectrum"].tolist() == list(range(number + 1))
        assert sample["spectrum"].dtype == np.float32
        assert (int(sample["label"]), sample["caption"]) == (number % 2, f"río {number}")
    frame = ds.metadata.to_pandas()
    assert frame["cloud"].tolist() == [number / 2 for number in rows]
    assert frame["country"].tolist() == ["ES"] * len(rows)
    assert list(frame["seen"][0]) == ["a", "b"]


def test_a_dataset_at_hand(train, tmp_path):
    collection = mlstac.convert(train, tmp_path / "out")
    assert [item.name for item in collection.tensors["label"].classes] == ["land", "water"]
    assert collection.tensors["cube"].dtype == "U16"
    check(mlstac.load(tmp_path / "out", framework="numpy"), range(5))


def test_a_dict_of_splits_and_a_saved_folder(train, tmp_path):
    both = datasets.DatasetDict({"train": train.select([0, 1, 2]), "valid": train.select([3, 4])})
    both.save_to_disk(str(tmp_path / "saved"))
    train.save_to_disk(str(tmp_path / "one"))
    for source, name in ((both, "a"), (tmp_path / "saved", "b")):
        mlstac.convert(source, tmp_path / name)
        check(mlstac.load(tmp_path / name, framework="numpy"), [0, 1, 2])
        check(mlstac.load(tmp_path / name, split="validation", framework="numpy"), [3, 4])
    mlstac.convert(tmp_path / "one", tmp_path / "c")
    check(mlstac.load(tmp_path / "c", framework="numpy"), range(5))


def test_a_streamed_dataset(train, tmp_path):
    mlstac.convert(train.to_iterable_dataset(), tmp_path / "out")
    check(mlstac.load(tmp_path / "out", framework="numpy"), range(5))


def test_geotiffs_among_the_columns_keep_their_places(tmp_path):
    files = [write_tif(tmp_path / f"{n}.tif", array(n), x=160 * n, nodata=0).read_bytes() for n in range(3)]
    masks = [write_tif(tmp_path / f"{n}m.tif", array(n, bands=1), x=160 * n).read_bytes() for n in range(3)]
    features = datasets.Features({"image": datasets.Value("binary"), "mask": datasets.Value("binary")})
    mlstac.convert(datasets.Dataset.from_dict({"image": files, "mask": masks}, features=features), tmp_path / "out")
    ds = mlstac.load(tmp_path / "out", framework="numpy")
    np.testing.assert_array_equal(ds[2]["image"], array(2))
    np.testing.assert_array_equal(ds[2]["mask"], array(2, bands=1)[0])
    assert ds.collection.tensors["image"].nodata == 0
    assert ds.metadata[2]["proj:transform"][2] == 500_320
