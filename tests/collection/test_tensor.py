"""The ways in which an author may describe a tensor, and what is refused."""

import math
import re

import numpy as np
import pytest
from safetensors import numpy as stock

from mlstac.collection import DTYPES, Band, Class, Collection, Contact, Extent, Split, Tensor, check_dtype, stac_word
from mlstac.errors import InvalidArgumentError


def refused(says, make):
    with pytest.raises(InvalidArgumentError, match=re.escape(says)):
        make()


def test_dims_are_split_and_axes_found():
    tensor = Tensor(dims="time band y x")
    assert tensor.dims == ("time", "band", "y", "x")
    assert (tensor.band_axis, tensor.y_axis, tensor.x_axis) == (1, 2, 3)
    assert Tensor(dims=["y", "x"]).band_axis is None
    assert Tensor().y_axis is None


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("U16", "U16"),
        ("u16", "U16"),
        ("uint16", "U16"),
        (np.uint16, "U16"),
        (np.dtype("<u2"), "U16"),
        (np.dtype(">f4"), "F32"),
        (np.zeros(1, dtype=bool).dtype, "BOOL"),
        ("bfloat16", "BF16"),
        ("torch.bfloat16", "BF16"),
        ("float8_e4m3fn", "F8_E4M3"),
        (float, "F64"),
        (int, "I64"),
    ],
)
def test_a_dtype_may_be_said_in_numpys_words(given, name):
    assert Tensor(dtype=given).dtype == name


@pytest.mark.parametrize("given", ["int12", "complex128", "object", np.dtype("U4"), np.dtype("M8[s]"), ""])
def test_a_dtype_that_safetensors_cannot_hold_is_refused(given):
    refused("is not one that safetensors holds", lambda: Tensor(dtype=given))


def test_a_near_miss_of_a_dtype_is_suggested():
    refused("did you mean 'uint16'?", lambda: check_dtype("unit16"))


@pytest.mark.parametrize("dtype", ["bool", "u1", "i1", "u2", "i2", "f2", "u4", "i4", "f4", "u8", "i8", "f8", "c8"])
def test_names_and_sizes_are_those_of_stock_safetensors(dtype):
    array = np.zeros(3, dtype=dtype)
    data = stock.save({"x": array})
    header = data[8 : 8 + int.from_bytes(data[:8], "little")].decode()
    name = check_dtype(array.dtype)
    assert f'"dtype":"{name}"' in header
    assert DTYPES[name] == array.dtype.itemsize * 8


def test_every_dtype_has_bits_and_a_word_of_stac():
    assert len(DTYPES) == 22
    assert {stac_word(name) for name in DTYPES} <= {
        *(f"{kind}int{bits}" for kind in ("", "u") for bits in (8, 16, 32, 64)),
        *("float16", "float32", "float64", "cfloat32", "other"),
    }
    assert (stac_word("U16"), stac_word("BF16"), stac_word("C64")) == ("uint16", "other", "cfloat32")


def test_bands_may_be_a_preset_names_models_or_objects():
    assert [band.name for band in Tensor(bands=["B04", "B03"]).bands] == ["B04", "B03"]
    assert Tensor(bands=[Band(name="a"), {"name": "b", "common_name": "red"}]).bands[1].common_name == "red"
    assert Tensor(bands=[{"name": "b", "eo:common_name": "red"}]).bands[0].common_name == "red"
    assert len(Tensor(bands="sentinel-2-l2a").bands) == 12
    assert Tensor(bands=[Band(), Band()]).bands == [Band(), Band()]


def test_bands_of_a_preset_are_copies():
    tensor = Tensor(bands="rgb")
    tensor.bands[0].description = "changed"
    assert Tensor(bands="rgb").bands[0].description == "Red"


@pytest.mark.parametrize(
    ("says", "make"),
    [
        ("no bands are known for 'sentinel-3'; did you mean", lambda: Tensor(bands="sentinel-3")),
        ("band name 'B04' is used more than once", lambda: Tensor(bands=["B04", "B04"])),
        ("bands are an ordered list, got a mapping", lambda: Tensor(bands={"B04": 1})),
        ("bands[0].common_name: expected 'pan'", lambda: Tensor(bands=[{"name": "x", "common_name": "pink"}])),
        ("12 bands are given and dims 'y x' have no axis 'band'", lambda: Tensor(dims="y x", bands="sentinel-2-l2a")),
        ("has 13; list the bands", lambda: Tensor(dims="band y x", shape=(13, 8, 8), bands="sentinel-2-l2a")),
        ("name 3 axes and shape (8, 8) has 2; give one word an axis", lambda: Tensor(dims="band y x", shape=(8, 8))),
        ("name an axis twice", lambda: Tensor(dims="y y")),
        ("shape[0]: expected greater than or equal to 0, got -1", lambda: Tensor(shape=(-1, 2))),
        ("role: expected 'data' or 'label', got 'target'", lambda: Tensor(role="target")),
        ("media_type", lambda: Tensor(media_type="jpeg")),
        ("layout: expected 'stacked', 'jagged'", lambda: Tensor(layout="flat")),
        ("checksum_rows: expected greater than or equal to 1", lambda: Tensor(checksum_rows=0)),
        ("scale: expected a finite number, got nan", lambda: Tensor(scale=math.nan)),
        ("nodata: expected a number, got True; write 0 or 1", lambda: Tensor(nodata=True)),
        ("value 1 stands for more than one class", lambda: Tensor(classes=[Class(value=1, name=n) for n in "ab"])),
        ("name 'a' stands for more than one class", lambda: Tensor(classes=[Class(value=n, name="a") for n in (1, 2)])),
        ("Tensor has no field 'noadta'; did you mean 'nodata'?", lambda: Tensor(noadta=0)),
        ("Tensor has no field 'dim'; did you mean 'dims'?", lambda: Tensor(dim="y x")),
        ("Collection has no field 'licence'; did you mean 'license'?", lambda: Collection(id="x", licence="MIT")),
        ("Collection: id: is missing; add it", lambda: Collection()),
        ("tensor name 'a/b' holds a slash", lambda: Collection(id="x", tensors={"a/b": Tensor()})),
        ("split name 'val' is short for 'validation'", lambda: Collection(id="x", splits={"val": Split(n_items=1)})),
        ("Contact: name: is missing", lambda: Contact(roles=["author"])),
        ("leaves the Earth", lambda: Extent(bbox=[500000, 4000000, 500100, 4000100])),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_mend(says, make):
    refused(says, make)


def test_an_assignment_is_checked_as_the_constructor_is():
    tensor = Tensor(dims="band y x", bands="rgb")
    tensor.dtype = "uint8"
    tensor.shape = [3, 16, 16]
    assert tensor.dtype == "U8"
    assert tensor.shape == (3, 16, 16)
    refused("has 4; list the bands", lambda: setattr(tensor, "shape", (4, 16, 16)))
    assert tensor.shape == (3, 16, 16)
    refused("is not one that safetensors holds", lambda: setattr(tensor, "dtype", "int12"))
    assert tensor.dtype == "U8"


@pytest.mark.parametrize("value", [np.uint16(7), np.int64(7), np.float32(7), 7])
def test_numbers_of_numpy_are_taken(value):
    tensor = Tensor(nodata=value, scale=value)
    assert tensor.nodata == 7
    assert type(tensor.nodata) in (int, float)


def test_whole_nodata_stays_whole():
    assert Tensor(nodata=2**64 - 1).to_item_asset()["nodata"] == 2**64 - 1
    assert Tensor(nodata=-9999.0).to_item_asset()["nodata"] == -9999.0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({0: "land", 1: "water"}, [(0, "land", None), (1, "water", None)]),
        (["land", "open water"], [(0, "land", None), (1, "open-water", "open water")]),
        ({3: "水", 4: "火"}, [(3, "class-3", "水"), (4, "class-4", "火")]),
        ({1: "a b", 2: "a-b"}, [(1, "a-b", "a b"), (2, "a-b-2", "a-b")]),
        ({"10": "trees"}, [(10, "trees", None)]),
        ({5: {"name": "ice", "color_hint": "#00ffcc"}}, [(5, "ice", None)]),
        ([Class(value=9, name="x")], [(9, "x", None)]),
        ({}, []),
    ],
)
def test_classes_may_be_given_in_several_ways(given, expected):
    assert [(item.value, item.name, item.title) for item in Tensor(classes=given).classes] == expected


def test_a_class_shows_its_title_and_keeps_its_colour():
    land, water = Tensor(classes=["land", "open water"]).classes
    assert (land.label, water.label) == ("land", "open water")
    assert Class(value=1, name="x", color_hint="#a0b1c2").color_hint == "A0B1C2"
    refused("color_hint", lambda: Class(value=1, name="x", color_hint="red"))
    refused("name: expected", lambda: Class(value=1, name="open water"))
