"""Datasets whose items are dicts of tensors, in the forms that torchgeo's have."""

from types import SimpleNamespace

import numpy as np
import pyproj
import pytest
import torch

import mlstac
from mlstac.errors import InvalidArgumentError, InvalidSampleError


class Chips(torch.utils.data.Dataset):
    """A dataset as torchgeo's benchmark datasets are: image and mask, with class and band names."""

    classes = ("land", "water")
    bands = ("B02", "B03", "B04")

    def __init__(self, count=5, first=0, place=None):
        self.count, self.first, self.place = count, first, place

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(self.first + index)
        image = torch.rand((3, 16, 16), generator=generator)
        item = {"image": image, "mask": (image[0] > 0.5).long(), "filename": f"{self.first + index}.tif", "cloud": 0.5}
        return item | (self.place(self.first + index) if self.place else {})


def bounds_of(number):
    left, top = 500_000.0 + 160 * number, 4_600_000.0
    return left, top - 160, left + 160, top


def with_box(number):
    left, bottom, right, top = bounds_of(number)
    box = SimpleNamespace(minx=left, maxx=right, miny=bottom, maxy=top, mint=0.0, maxt=1.0)
    return {"crs": pyproj.CRS("EPSG:32630"), "bounds": box}


def with_slices(number):
    import pandas as pd

    left, bottom, right, top = bounds_of(number)
    days = slice(pd.Timestamp("2020-06-01"), pd.Timestamp("2020-06-02"))
    return {"crs": "EPSG:32630", "bounds": (slice(left, right, 10.0), slice(bottom, top, 10.0), days)}


def with_transform(number):
    left, _, _, top = bounds_of(number)
    return {"crs": "EPSG:32630", "transform": torch.tensor([10.0, 0, left, 0, -10.0, top], dtype=torch.float64)}


@pytest.mark.parametrize("place", [with_box, with_slices, with_transform])
def test_items_become_samples_on_their_places(place, tmp_path):
    source = Chips(place=place)
    collection = mlstac.convert(source, tmp_path / "out")
    assert [band.name for band in collection.tensors["image"].bands] == list(Chips.bands)
    assert [item.name for item in collection.tensors["mask"].classes] == list(Chips.classes)
    ds = mlstac.load(tmp_path / "out")
    for number, sample in enumerate(ds):
        assert torch.equal(sample["image"], source[number]["image"])
        assert torch.equal(sample["mask"], source[number]["mask"])
        row = ds.metadata[number]
        assert (row["proj:code"], row["filename"], row["cloud"]) == ("EPSG:32630", f"{number}.tif", 0.5)
        assert row["proj:transform"] == [10, 0, 500_000 + 160 * number, 0, -10, 4_600_000]
    if place is with_slices:
        assert ds.metadata[0]["end_datetime"].day == 2


def test_items_without_a_place_have_none(tmp_path):
    assert not mlstac.convert(Chips(), tmp_path / "out").placed


def test_a_dict_of_datasets_is_of_splits(tmp_path):
    collection = mlstac.convert({"train": Chips(3), "val": Chips(2, first=3)}, tmp_path / "out")
    assert (collection.train.n_items, collection.validation.n_items) == (3, 2)


def test_boxes_and_labels(tmp_path):
    items = [
        {
            "image": np.zeros((3, 8, 8), np.float32),
            "bbox_xyxy": np.zeros((number, 4), np.float32),
            "label": np.int64(number),
        }
        for number in range(4)
    ]
    collection = mlstac.convert(items, tmp_path / "out")
    ds = mlstac.load(tmp_path / "out", framework="numpy")
    assert [len(sample["bbox_xyxy"]) for sample in ds] == [0, 1, 2, 3]
    assert {name: tensor.role for name, tensor in collection.tensors.items()} == {
        "image": "data",
        "bbox_xyxy": "label",
        "label": "label",
    }


def test_items_that_are_no_dicts_are_refused(tmp_path):
    pairs = [(torch.zeros(3, 8, 8), 1)]
    with pytest.raises(InvalidArgumentError, match="item 0 is of type tuple; expected a dict of tensors"):
        mlstac.convert(pairs, tmp_path / "out")


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8])
def test_pixels_have_the_numbers_of_the_classes_that_are_called_alike(dtype, tmp_path):
    class Masks(Chips):
        def __getitem__(self, index):
            item = super().__getitem__(index)
            item["mask"] = item["mask"].to(dtype)
            item["mask"][0, 0] = 255  # not to be learned
            return item

    source = Masks(3)
    collection = mlstac.convert(source, tmp_path / "out", classes=["Water", "Land"], license="MIT")
    assert [item.name for item in collection.tensors["mask"].classes] == ["Water", "Land"]
    for number, sample in enumerate(mlstac.load(tmp_path / "out", framework="numpy")):
        mask = source[number]["mask"].numpy()
        np.testing.assert_array_equal(sample["mask"], np.where(mask == 255, 255, 1 - mask))
        assert sample["mask"].dtype == mask.dtype
    with pytest.raises(InvalidArgumentError, match=r"the classes of 'mask' in the source are '0 land', '1 water'"):
        mlstac.convert(source, tmp_path / "other", classes=["land", "sea"], license="MIT")
    with pytest.raises(InvalidSampleError, match="'mask' of sample 0 has the value 255"):
        mlstac.convert(source, tmp_path / "other", classes={255: "water", 0: "land"}, license="MIT")
    if dtype is torch.uint8:
        with pytest.raises(InvalidSampleError, match="'mask' of sample 0 is of uint8, which does not hold 300"):
            mlstac.convert(source, tmp_path / "other", classes={300: "water", 0: "land"}, license="MIT", overwrite=True)


def test_datasets_that_number_classes_differently_are_refused(tmp_path):
    other = Chips(2)
    other.classes = ("water", "land")
    with pytest.raises(InvalidArgumentError, match="split 'val' gives 'classes' the names 'water', 'land'"):
        mlstac.convert({"train": Chips(2), "val": other}, tmp_path / "out")
