"""Folders of images: classes, pairs, images alone; judged by rasterio."""

import json

import numpy as np
import pytest
import rasterio
import rasterio.warp
import shapely

import mlstac
from mlstac.errors import (
    ExistsError,
    FormatError,
    InvalidArgumentError,
    InvalidSampleError,
    MissingFileError,
    NotFoundError,
)
from tests.conversion.sources import BANDS, array, write_tif


@pytest.fixture
def classes(tmp_path):
    """Two classes of three images, in two zones, with band names and nodata."""
    root = tmp_path / "eurosat"
    for number in range(6):
        name = ("Forest", "AnnualCrop")[number % 2]
        write_tif(
            root / name / f"{name}_{number}.tif",
            array(number),
            x=160 * number,
            crs=("EPSG:32630", "EPSG:32631")[number // 4],
            nodata=0,
            names=BANDS,
        )
    return root


def check_places(ds, root):
    """Every sample's footprint, grid and values are those that rasterio finds in its file."""
    rows = ds.metadata.to_table().to_pylist()
    for sample, row in zip(ds, rows, strict=True):
        with rasterio.open(root / row["file"]) as file:
            np.testing.assert_array_equal(sample["input"], file.read())
            assert row["proj:code"] == file.crs.to_string()
            assert row["proj:transform"] == list(file.transform[:6])
            box = rasterio.warp.transform_bounds(file.crs, "OGC:CRS84", *file.bounds)
        assert shapely.from_wkb(row["geometry"]).buffer(1e-6).within(shapely.box(*box).buffer(1e-5))


def test_class_folders_become_a_dataset(classes, tmp_path):
    collection = mlstac.convert(classes, tmp_path / "out", license="MIT")
    image, label = collection.tensors["input"], collection.tensors["target"]
    assert [band.name for band in image.bands] == list(BANDS)
    assert (image.nodata, image.dtype, image.shape, image.dims) == (0, "U16", (3, 16, 16), ("band", "y", "x"))
    assert {item.value: item.name for item in label.classes} == {0: "AnnualCrop", 1: "Forest"}
    assert (collection.license, collection.tasks) == ("MIT", ["scene-classification"])
    ds = mlstac.load(tmp_path / "out", framework="numpy")
    check_places(ds, classes)
    assert ds.metadata.to_pandas()["class"].tolist() == ["AnnualCrop"] * 3 + ["Forest"] * 3
    assert [int(sample["target"]) for sample in ds] == [0, 0, 0, 1, 1, 1]
    assert ds.metadata[0]["id"] == "AnnualCrop_1"


@pytest.mark.parametrize("form", ["split/class", "class/split"])
def test_folders_of_splits_are_splits(form, tmp_path):
    for number, split in enumerate(("training", "valid", "test", "train")):
        for name in ("a", "b"):
            parts = (split, name) if form == "split/class" else (name, split)
            write_tif((tmp_path / "in").joinpath(*parts, f"{number}.tif"), array(number))
    collection = mlstac.convert(tmp_path / "in", tmp_path / "out")
    assert {name: split.n_items for name, split in collection.splits.items()} == {
        "train": 4,
        "validation": 2,
        "test": 2,
    }
    rows = mlstac.load(tmp_path / "out", split="all").metadata.to_pandas()
    assert rows["id"].is_unique
    assert set(rows["id"]) == {f"{name}-{number}" for name in "ab" for number in range(4)}


def test_classes_are_the_same_in_every_split(tmp_path):
    for split, name in (("train", "a"), ("train", "c"), ("test", "b")):
        write_tif(tmp_path / "in" / split / name / "x.tif", array(1))
    mlstac.convert(tmp_path / "in", tmp_path / "out")
    assert int(mlstac.load(tmp_path / "out", split="test", framework="numpy")[0]["target"]) == 1


def test_nothing_is_made_up_of_pictures_without_a_place(tmp_path):
    for number in range(2):
        write_tif(tmp_path / "in" / "ab"[number] / f"{number}.tif", array(number), crs=None)
    collection = mlstac.convert(tmp_path / "in", tmp_path / "out")
    assert not collection.placed
    assert mlstac.load(tmp_path / "out").metadata.columns == ["id", "file", "class"]
    assert collection.tensors["input"].nodata is None
    assert {band.name for band in collection.tensors["input"].bands} == {None}


def test_bands_and_classes_are_taken_from_the_user(classes, tmp_path):
    collection = mlstac.convert(classes, tmp_path / "out", bands=["red", "green", "blue"], classes=["x", "y"])
    assert [band.name for band in collection.tensors["input"].bands] == ["red", "green", "blue"]
    assert collection.tensors["input"].nodata == 0
    assert [item.name for item in collection.tensors["target"].classes] == ["x", "y"]


@pytest.fixture
def geo(tmp_path):
    """Three class folders, one with a blank in its name, an image each."""
    for number, name in enumerate(("Forest", "River", "Sea Lake")):
        write_tif(tmp_path / "geo" / name / f"{number}.tif", array(number))
    return tmp_path / "geo"


def read_labels(path):
    """What the class of each sample's folder is called, and its number."""
    ds = mlstac.load(path, framework="numpy")
    classes = {item.value: item.label for item in mlstac.open(path).tensors["target"].classes}
    numbers = [int(sample["target"]) for sample in ds]
    folders = [row["file"].split("/")[0] for row in ds.metadata.to_table().to_pylist()]
    return {folder: (number, classes[number]) for folder, number in zip(folders, numbers, strict=True)}


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (["River", "Forest", "Sea Lake"], {"Forest": 1, "River": 0, "Sea Lake": 2}),
        (("Sea Lake", "River", "Forest"), {"Forest": 2, "River": 1, "Sea Lake": 0}),
        ({0: "Sea Lake", 2: "River", 1: "Forest"}, {"Forest": 1, "River": 2, "Sea Lake": 0}),
        ({10: "River", 20: "Forest", -1: "Sea Lake"}, {"Forest": 20, "River": 10, "Sea Lake": -1}),
    ],
)
@pytest.mark.parametrize("by", ["classes", "collection"])
def test_folders_have_the_numbers_of_the_classes_of_their_names(by, classes, expected, geo, tmp_path):
    if by == "classes":
        mlstac.convert(geo, tmp_path / "out", classes=classes, license="MIT")
    else:
        target = mlstac.Tensor(role="label", classes=classes)
        mlstac.convert(geo, tmp_path / "out", {"license": "MIT", "tensors": {"target": target}})
    assert read_labels(tmp_path / "out") == {name: (number, name) for name, number in expected.items()}


@pytest.mark.parametrize(
    "classes",
    [
        ["river", "FOREST", "sea_lake"],
        ["River", "Forest", "SeaLake"],
        [
            {"value": 1, "name": "FOREST", "title": "Woods"},
            {"value": 0, "name": "river"},
            {"value": 2, "name": "Sea-Lake"},
        ],
    ],
)
def test_names_of_folders_are_known_in_whatever_case(classes, geo, tmp_path):
    mlstac.convert(geo, tmp_path / "out", classes=classes, license="MIT")
    assert {name: number for name, (number, _) in read_labels(tmp_path / "out").items()} == {
        "Forest": 1,
        "River": 0,
        "Sea Lake": 2,
    }


def test_folders_that_differ_in_case_alone_are_told_apart(tmp_path):
    for number, name in enumerate(("A b", "a b", "a-b")):
        write_tif(tmp_path / "in" / name / f"{number}.tif", array(number))
    mlstac.convert(tmp_path / "in", tmp_path / "out", classes=["a b", "a-b", "A b"], license="MIT")
    assert read_labels(tmp_path / "out") == {"A b": (2, "A b"), "a b": (0, "a b"), "a-b": (1, "a-b")}


@pytest.mark.parametrize("classes", [["x", "y", "z"], {2: "z", 0: "x", 1: "y"}])
def test_other_names_are_new_names_in_the_order_of_the_folders(classes, geo, tmp_path):
    mlstac.convert(geo, tmp_path / "out", classes=classes, license="MIT")
    assert read_labels(tmp_path / "out") == {"Forest": (0, "x"), "River": (1, "y"), "Sea Lake": (2, "z")}
    assert mlstac.load(tmp_path / "out").metadata.to_pandas()["class"].tolist() == ["Forest", "River", "Sea Lake"]


@pytest.mark.parametrize(("classes", "first"), [(["x", "y", "z"], 0), ({2: "y", 10: "z", 1: "x"}, 1)])
def test_folders_called_by_numbers_are_named_in_the_order_of_the_numbers(classes, first, tmp_path):
    for number in (1, 2, 10):
        write_tif(tmp_path / "in" / str(number) / f"{number}.tif", array(number))
    mlstac.convert(tmp_path / "in", tmp_path / "out", classes=classes, license="MIT")
    labels = read_labels(tmp_path / "out")
    assert {folder: name for folder, (_, name) in labels.items()} == {"1": "x", "2": "y", "10": "z"}
    assert labels["1"][0] == first


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (["x", "y"], r"2 classes \('x', 'y'\) cannot stand for 3 folders"),
        ([], r"0 classes \(none\) cannot stand for 3 folders"),
        ([f"c{number}" for number in range(21)], r"'c18', 'c19' … \(21 in all\)\) cannot"),
        (["Forest"], r"1 class \('Forest'\) cannot stand for 3 folders"),
        (["Forest", "River", "Sea Lake", "Other"], "4 classes"),
        (["River", "Forest", "Lake"], "no folder is called 'Lake', and no class is called 'Sea Lake'"),
        (["River", "Forest", "forest"], "a folder is named twice, and no class is called 'Sea Lake'"),
        ({0: "x", 1: "River", 2: "z"}, "no folder is called 'x', 'z', and no class is called 'Forest', 'Sea Lake'"),
        ({1: "x", 2: "y", 3: "z"}, "which folders the values 1, 2, 3 are.*0 to 2"),
    ],
)
def test_classes_that_are_not_those_of_the_folders_are_refused(classes, words, geo, tmp_path):
    with pytest.raises(InvalidArgumentError, match=words) as caught:
        mlstac.convert(geo, tmp_path / "out", classes=classes, license="MIT")
    assert "the folders are 'Forest', 'River', 'Sea Lake'" in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["folders", "split", "suffix", "bare", "dict"])
def test_images_and_masks_become_pairs(form, tmp_path):
    root = tmp_path / "in"
    for number in range(4):
        mask = (array(number, bands=1) > 100).astype(np.uint8)
        image, label = {
            "folders": (f"images/img_{number}.tif", f"masks/mask_{number}.tif"),
            "split": (f"train/images/{number}.tif", f"train/labels/{number}.tif"),
            "suffix": (f"{number}_image.tif", f"{number}_mask.tif"),
            "bare": (f"x{number}.tif", f"x{number}_mask.tif"),
            "dict": (f"s2/{number}.tif", f"water/{number}.tif"),
        }[form]
        write_tif(root / image, array(number), x=160 * number, names=BANDS)
        write_tif(root / label, mask, x=160 * number, nodata=255)
    source = {"input": root / "s2", "target": root / "water"} if form == "dict" else root
    collection = mlstac.convert(source, tmp_path / "out", classes={0: "land", 1: "water"})
    label = collection.tensors["target"]
    assert (label.dims, label.role, label.nodata) == (("y", "x"), "label", 255)
    assert [item.name for item in label.classes] == ["land", "water"]
    assert collection.tasks == ["semantic-segmentation"]
    ds = mlstac.load(tmp_path / "out", framework="numpy")
    assert len(ds) == 4
    check_places(ds, root)
    np.testing.assert_array_equal(ds[2]["target"], array(2, bands=1)[0] > 100)


@pytest.mark.parametrize(
    ("image", "label", "first"),
    [
        ("image_{}.tif", "mask_{}.tif", "1"),
        ("img_{}.tif", "label_{}.tif", "1"),
        ("IMG-{}.TIF", "Mask-{}.tif", "1"),
        ("{}.tif", "mask_{}.tif", "1"),
        ("image{}.tif", "mask{}.tif", "1"),
        ("{}image.tif", "{}mask.tif", "1"),
        ("area_image_{}.tif", "area_mask_{}.tif", "area_1"),
        ("area_{}_a.tif", "area_{}_gt_a.tif", "area_1_a"),
        ("site a/image_{}.tif", "site a/mask_{}.tif", "site a-1"),
        ("images/image{}.tif", "masks/mask{}.tif", "1"),
        ("images/img{}.tif", "masks/img{}.tif", "img1"),
        ("image_{}_image.tif", "image_{}_mask.tif", "image_1"),
        ("class_{}_image.tif", "class_{}_mask.tif", "class_1"),
    ],
)
def test_the_word_for_what_a_file_is_may_stand_anywhere(image, label, first, tmp_path):
    root = tmp_path / "in"
    for number in (1, 2, 10):
        write_tif(root / image.format(number), array(number), x=160 * number, names=BANDS)
        write_tif(root / label.format(number), array(number + 50, bands=1, dtype="uint8"), x=160 * number)
    collection = mlstac.convert(root, tmp_path / "out", license="MIT")
    assert set(collection.tensors) == {"input", "target"}
    assert collection.tasks == ["semantic-segmentation"]
    ds = mlstac.load(tmp_path / "out", framework="numpy")
    check_places(ds, root)
    assert first in ds.metadata.to_pandas()["id"].tolist()
    assert len(ds) == 3
    for sample, row in zip(ds, ds.metadata.to_pandas()["file"], strict=True):
        number = next(number for number in (10, 2, 1) if f"{number}" in row)
        np.testing.assert_array_equal(sample["target"], array(number + 50, bands=1, dtype="uint8")[0])


@pytest.mark.parametrize("names", [("S2_{}.tif", "S1_{}.tif", "label_{}.tif"), ("{}_S2.tif", "{}_S1.tif", "{}_gt.tif")])
def test_sensors_at_the_beginning_or_the_end_of_names_are_tensors(names, tmp_path):
    for number in range(3):
        for name, bands in zip(names, (3, 2, 1), strict=True):
            write_tif(tmp_path / "in" / f"part {number % 2}" / name.format(number), array(number, bands=bands))
    collection = mlstac.convert(tmp_path / "in", tmp_path / "out", license="MIT")
    assert {name: tensor.shape for name, tensor in collection.tensors.items()} == {
        "s1": (2, 16, 16),
        "s2": (3, 16, 16),
        "target": (16, 16),
    }
    assert collection.train.n_items == 3


def test_two_kinds_of_labels_are_told_how_to_become_two_tensors(tmp_path):
    for folder in ("images", "labels", "masks"):
        write_tif(tmp_path / "in" / folder / "0.tif", array(0, bands=1))
    with pytest.raises(FormatError, match=r"labels/0\.tif and .*masks/0\.tif are both 'target'.*a dict, from Python"):
        mlstac.convert(tmp_path / "in", tmp_path / "out")


def test_labels_whose_images_nobody_can_tell_are_said_to_be_so(tmp_path):
    for number in range(2):
        write_tif(tmp_path / "in" / f"mask_{number}.tif", array(number, bands=1))
        write_tif(tmp_path / "in" / f"photo-of-{number + 7}.tif", array(number))
    with pytest.raises(InvalidArgumentError, match=r"2 are labels \(mask_0.*none of them is beside.*kind='images'"):
        mlstac.convert(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_sample_unlike_the_others_is_named_whatever_comes_first(tmp_path):
    write_tif(tmp_path / "in" / "a_thumb.tif", array(1))
    for number in range(3):
        write_tif(tmp_path / "in" / f"{number}_image.tif", array(number))
        write_tif(tmp_path / "in" / f"{number}_mask.tif", array(number, bands=1))
    with pytest.raises(FormatError, match=r"a_thumb\.tif has no 'input' beside it \(1 of 4 samples.*kind="):
        mlstac.convert(tmp_path / "in", tmp_path / "out")
    (tmp_path / "in" / "a_thumb.tif").rename(tmp_path / "in" / "1_thumb.tif")
    with pytest.raises(FormatError, match=r"has 1_thumb\.tif \(a 'thumb', by its name\) beside it \(1 of 3"):
        mlstac.convert(tmp_path / "in", tmp_path / "out")


def test_images_of_several_kinds_are_tensors_of_their_own(tmp_path):
    for number in range(3):
        write_tif(tmp_path / "in" / f"Ghana_{number}_S2Hand.tif", array(number), names=BANDS)
        write_tif(
            tmp_path / "in" / f"Ghana_{number}_S1Hand.tif", array(number, bands=2, dtype="float32"), nodata=np.nan
        )
        write_tif(tmp_path / "in" / f"Ghana_{number}_LabelHand.tif", array(number, bands=1, dtype="int16"))
    collection = mlstac.convert(tmp_path / "in", tmp_path / "out")
    assert {name: tensor.dtype for name, tensor in collection.tensors.items()} == {
        "s1hand": "F32",
        "s2hand": "U16",
        "target": "I16",
    }
    assert np.isnan(collection.tensors["s1hand"].nodata)
    assert mlstac.load(tmp_path / "out").metadata.to_pandas()["id"].tolist() == ["Ghana_0", "Ghana_1", "Ghana_2"]


def test_an_image_without_its_mask_is_named(tmp_path):
    for number in range(3):
        write_tif(tmp_path / "in" / "images" / f"{number}.tif", array(number))
    for number in (0, 2):
        write_tif(tmp_path / "in" / "masks" / f"{number}.tif", array(number, bands=1))
    with pytest.raises(FormatError, match=r"images/1\.tif has no 'target' beside it \(1 of 3 samples are unlike"):
        mlstac.convert(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "names",
    [
        ["a/1.tif", "a/2.tif"],
        ["a/1.tif", "a/2.tif", "b/1.tif", "b/2.tif"],
        ["x_0001.tif", "x_0002.tif"],
        ["a_north.tif", "a_south.tif"],
        ["one.tif", "two.tif"],
        ["masks/1.tif", "masks/2.tif"],
        ["images/1.tif", "masks/2.tif"],
    ],
)
def test_what_is_no_pair_by_its_names_is_not_made_one_by_decree(names, tmp_path):
    for number, name in enumerate(names):
        write_tif(tmp_path / "in" / name, array(number, bands=1))
    with pytest.raises(FormatError, match=r"no pairs by the names.*\.tif is the first.*masks/x\.tif.*kind='images'"):
        mlstac.convert(tmp_path / "in", tmp_path / "out", kind="pairs", license="MIT")
    assert not (tmp_path / "out").exists()


def test_sensors_whose_names_come_again_are_pairs_without_labels_by_decree(tmp_path):
    for number in range(4):
        write_tif(tmp_path / "in" / f"{number // 2}_S{number % 2 + 1}.tif", array(number))
    collection = mlstac.convert(tmp_path / "in", tmp_path / "out", kind="pairs", license="MIT")
    assert (collection.train.n_items, set(collection.tensors)) == (2, {"s1", "s2"})


@pytest.mark.parametrize(("image", "label"), [("clutter", "target"), ("other", "class"), ("a/clutter", "a/target")])
def test_a_class_that_is_called_like_labels_and_has_bands_is_asked_about(image, label, tmp_path):
    root = tmp_path / "in"
    for number in range(2):
        write_tif(root / image / f"{number}.tif", array(number))
        write_tif(root / label / f"{number}.tif", array(number + 2))
    asked = r"/0\.tif may be a label by name, and has 3 bands.*kind='classes'.*kind='pairs'"
    with pytest.raises(InvalidArgumentError, match=asked):
        mlstac.convert(root, tmp_path / "out", license="MIT")
    assert not (tmp_path / "out").exists()
    classes = mlstac.convert(root, tmp_path / "classes", kind="classes", license="MIT")
    assert (classes.train.n_items, classes.tasks) == (4, ["scene-classification"])
    pairs = mlstac.convert(root, tmp_path / "pairs", kind="pairs", license="MIT")
    assert (pairs.train.n_items, pairs.tensors["target"].shape) == (2, (3, 16, 16))


@pytest.mark.parametrize(
    ("image", "label", "bands"),
    [
        ("sar/0.tif", "target/0.tif", 1),
        ("images/0.tif", "target/0.tif", 3),
        ("sar/0.tif", "target/mask_0.tif", 3),
        ("0.tif", "target/0.tif", 3),
    ],
)
def test_labels_that_can_be_nothing_else_are_not_asked_about(image, label, bands, tmp_path):
    write_tif(tmp_path / "in" / image, array(0))
    write_tif(tmp_path / "in" / label, array(1, bands=bands))
    collection = mlstac.convert(tmp_path / "in", tmp_path / "out", license="MIT")
    assert (collection.train.n_items, collection.tasks) == (1, ["semantic-segmentation"])


def test_images_alone_are_a_dataset(tmp_path):
    for number in range(3):
        write_tif(tmp_path / "in" / f"{number}.tif", array(number), taken="2020-06-01T10:30:00Z")
    mlstac.convert(tmp_path / "in", tmp_path / "out")
    ds = mlstac.load(tmp_path / "out", framework="numpy")
    check_places(ds, tmp_path / "in")
    assert list(ds[0]) == ["input"]
    assert ds.metadata[1]["datetime"].isoformat() == "2020-06-01T10:30:00+00:00"


def test_scale_and_offset_are_kept(tmp_path):
    write_tif(tmp_path / "in" / "a.tif", array(0), scale=0.0001, offset=-0.1)
    tensor = mlstac.convert(tmp_path / "in", tmp_path / "out").tensors["input"]
    assert (tensor.scale, tensor.offset) == (0.0001, -0.1)


def test_a_rotated_grid_keeps_its_place(tmp_path):
    turned = rasterio.Affine(10, 2, 500_000, 2, -10, 4_600_000)
    path = tmp_path / "in" / "a.tif"
    path.parent.mkdir()
    with rasterio.open(
        path, "w", driver="GTiff", width=16, height=16, count=1, dtype="uint8", crs="EPSG:32630", transform=turned
    ) as file:
        file.write(array(0, bands=1, dtype="uint8"))
    mlstac.convert(tmp_path / "in", tmp_path / "out")
    row = mlstac.load(tmp_path / "out").metadata[0]
    assert row["proj:transform"] == [10, 2, 500_000, 2, -10, 4_600_000]


def test_an_image_unlike_the_others_is_named(tmp_path):
    write_tif(tmp_path / "in" / "a.tif", array(0))
    write_tif(tmp_path / "in" / "b.tif", array(0, dtype="float32"))
    with pytest.raises(InvalidSampleError, match=r"'b'.*dtype F32"):
        mlstac.convert(tmp_path / "in", tmp_path / "out")


def test_a_file_that_is_no_image_is_named(tmp_path):
    write_tif(tmp_path / "in" / "a.tif", array(0))
    (tmp_path / "in" / "b.tif").write_bytes(b"II*\0 and no more")
    with pytest.raises(FormatError, match=r"b\.tif cannot be read as an image"):
        mlstac.convert(tmp_path / "in", tmp_path / "out")


def test_a_conversion_goes_on_where_it_stopped(tmp_path, classes):
    bad = classes / "Forest" / "Forest_4.tif"
    sound = bad.read_bytes()
    bad.write_bytes(b"torn")
    with pytest.raises(FormatError):
        mlstac.convert(classes, tmp_path / "out", shard_size=2_000)
    assert not (tmp_path / "out" / "collection.json").exists()
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.safetensors")}
    assert written
    bad.write_bytes(sound)
    mlstac.convert(classes, tmp_path / "out", shard_size=2_000)
    assert {path: path.stat().st_mtime_ns for path in written} == written
    check_places(mlstac.load(tmp_path / "out", framework="numpy"), classes)
    with pytest.raises(ExistsError):
        mlstac.convert(classes, tmp_path / "out")


def test_split_by_divides_what_has_one_split(tmp_path):
    for number in range(12):
        write_tif(tmp_path / "in" / f"{number:02}.tif", array(number), x=20_000 * number)
    fractions = {"train": 0.5, "test": 0.5}
    collection = mlstac.convert(
        tmp_path / "in", tmp_path / "out", split_by={"block_size_m": 10_000, "fractions": fractions}
    )
    assert collection.train.n_items + collection.test.n_items == 12
    assert collection.train.n_items
    assert collection.test.n_items


@pytest.mark.parametrize(
    ("folder", "seen"),
    [
        ("s2-majortom", "B01.tif, B02.tif, B03.tif …"),
        ("landsat8-l2", "LC08_L2SP_008059_20191201_20200825_02_T1_SR_B2.TIF"),
        ("s1-s2-bigearthnet", "_VH.tif"),
    ],
)
def test_scenes_in_a_file_a_band_are_told_as_such(folder, seen, shared, tmp_path):
    with pytest.raises(
        InvalidArgumentError, match=r"holds bands in files of their own.*gdalbuildvrt.*kind='images'"
    ) as told:
        mlstac.convert(shared / "data" / folder, tmp_path / "out")
    assert seen in str(told.value)
    assert not (tmp_path / "out").exists()


def test_bands_that_are_put_together_are_one_image(tmp_path):
    bands = [write_tif(tmp_path / "in" / f"B0{number}.tif", array(number, bands=1)) for number in (2, 3)]
    write_tif(tmp_path / "in" / "cloud_mask.tif", array(9, bands=1, dtype="uint8"))
    with pytest.raises(InvalidArgumentError, match=r"bands in files of their own \(B02\.tif, B03\.tif\)"):
        mlstac.convert(tmp_path / "in", tmp_path / "out")
    vrt = tmp_path / "scenes" / "1.vrt"
    vrt.parent.mkdir()
    sources = "".join(
        f'<VRTRasterBand dataType="UInt16" band="{band}"><SimpleSource><SourceFilename>{path}</SourceFilename>'
        "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
        for band, path in enumerate(bands, start=1)
    )
    vrt.write_text(f'<VRTDataset rasterXSize="16" rasterYSize="16">{sources}</VRTDataset>')
    mlstac.convert(vrt.parent, tmp_path / "out", bands=["B02", "B03"])
    ds = mlstac.load(tmp_path / "out", framework="numpy")
    np.testing.assert_array_equal(ds[0]["input"], np.concatenate([array(2, bands=1), array(3, bands=1)]))


def test_bands_may_be_samples_by_decree(tmp_path):
    for number in (2, 3):
        write_tif(tmp_path / "in" / f"B0{number}.tif", array(number, bands=1))
    assert mlstac.convert(tmp_path / "in", tmp_path / "out", kind="images").train.n_items == 2


@pytest.mark.parametrize("labels", [["cloud_mask"], ["masks/9"]])
def test_labels_without_an_image_are_told_as_such(tmp_path, labels):
    for name in ["a", "b", *labels]:
        write_tif(tmp_path / "in" / f"{name}.tif", array(1))
    with pytest.raises(InvalidArgumentError, match=r"3 images; by their names 1 are labels \(.*kind='images'"):
        mlstac.convert(tmp_path / "in", tmp_path / "out")
    assert mlstac.convert(tmp_path / "in", tmp_path / "out", kind="images").train.n_items == 3


def test_an_image_and_its_mask_are_the_sample_that_their_folder_is(tmp_path):
    for folder in ("one", "two"):
        write_tif(tmp_path / "in" / folder / "image.tif", array(1))
        write_tif(tmp_path / "in" / folder / "mask.tif", array(2, bands=1, dtype="uint8"))
    mlstac.convert(tmp_path / "in", tmp_path / "out")
    assert mlstac.load(tmp_path / "out", framework="numpy").metadata.to_table(["id"])["id"].to_pylist() == [
        "one",
        "two",
    ]
    mlstac.convert(tmp_path / "in" / "one", tmp_path / "alone")
    ds = mlstac.load(tmp_path / "alone", framework="numpy")
    assert ds.metadata[0]["id"] == "one"
    assert list(ds[0]) == ["input", "target"]


def test_what_is_of_no_kind_is_named_with_all_kinds(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.docx").touch()
    for source in (tmp_path / "notes", tmp_path / "notes" / "a.docx", 7, b"bytes", {"a": 3}, {}):
        with pytest.raises(
            InvalidArgumentError, match=r"no kind.*original.*classes.*pairs.*webdataset.*mds.*huggingface"
        ):
            mlstac.convert(source, tmp_path / "out")
    with pytest.raises(InvalidArgumentError, match="'zarr' is not known; choose one of original, classes"):
        mlstac.convert(tmp_path, tmp_path / "out", kind="zarr")
    with pytest.raises(MissingFileError, match="nothing is at"):
        mlstac.convert(tmp_path / "nothing", tmp_path / "out")
    with pytest.raises(FormatError, match=r"expected CLASS/image\.tif"):
        mlstac.convert(tmp_path / "notes", tmp_path / "out", kind="classes")
    with pytest.raises(FormatError, match="no images"):
        mlstac.convert(tmp_path / "notes", tmp_path / "out", kind="images")


def test_a_dataset_is_not_converted_again(classes, tmp_path):
    mlstac.convert(classes, tmp_path / "out")
    with pytest.raises(InvalidArgumentError, match=r"version 1\.0 already"):
        mlstac.convert(tmp_path / "out", tmp_path / "again")


@pytest.mark.parametrize(
    ("inside", "images", "masks"),
    [
        (".", "pairs/images", "pairs/masks"),
        (".", "./pairs/images", "./pairs/masks"),
        ("pairs", "images", "masks"),
        ("pairs/images", ".", "../masks"),
        ("link", "../images", "../masks"),
        (".", "pairs/images", "{here}/pairs/masks"),
        (".", "{here}/pairs/images/../images", "{here}/pairs/masks"),
    ],
)
def test_a_dict_of_folders_may_be_relative(inside, images, masks, tmp_path, monkeypatch):
    for number in range(2):
        write_tif(tmp_path / "pairs" / "images" / f"s{number}.tif", array(number))
        write_tif(tmp_path / "pairs" / "masks" / f"s{number}.tif", array(number, bands=1, dtype="uint8"))
    (tmp_path / "link").symlink_to(tmp_path / "pairs" / "masks", target_is_directory=True)
    monkeypatch.chdir(tmp_path / inside)
    source = {"input": images.format(here=tmp_path), "target": masks.format(here=tmp_path)}
    mlstac.convert(source, tmp_path / "out", license="MIT")
    ds = mlstac.load(tmp_path / "out", framework="numpy")
    assert ds.metadata.to_pandas()["file"].tolist() == ["images/s0.tif", "images/s1.tif"]
    np.testing.assert_array_equal(ds[1]["target"], array(1, bands=1, dtype="uint8")[0])


def test_a_step_back_out_of_a_linked_folder_is_the_systems(tmp_path):
    write_tif(tmp_path / "far" / "images" / "a.tif", array(0))
    write_tif(tmp_path / "far" / "masks" / "a.tif", array(0, bands=1, dtype="uint8"))
    (tmp_path / "near").symlink_to(tmp_path / "far" / "images", target_is_directory=True)
    source = {"input": tmp_path / "near", "target": tmp_path / "near" / ".." / "masks"}
    mlstac.convert(source, tmp_path / "out", license="MIT")
    assert len(mlstac.load(tmp_path / "out")) == 1


def test_classes_without_a_label_are_refused(tmp_path):
    write_tif(tmp_path / "in" / "a.tif", array(0))
    with pytest.raises(NotFoundError, match="no label"):
        mlstac.convert(tmp_path / "in", tmp_path / "out", classes=["a"])


def test_a_collection_says_more(classes, tmp_path):
    given = mlstac.Collection(id="mine", title="Mine", tensors={"input": mlstac.Tensor(dims="band y x", scale=1e-4)})
    collection = mlstac.convert(classes, tmp_path / "out", given)
    assert (collection.id, collection.title, collection.tasks) == ("mine", "Mine", ["scene-classification"])
    assert collection.tensors["input"].scale == 1e-4
    assert json.loads((tmp_path / "out" / "collection.json").read_text())["id"] == "mine"


@pytest.mark.parametrize(("name", "count"), [("eurosat-ms", 6), ("eurosat-ms-2/EuroSAT_MS", 2)])
def test_real_chips_of_eurosat(name, count, shared, tmp_path):
    root = shared / "data" / name
    collection = mlstac.convert(root, tmp_path / "out")
    ds = mlstac.load(tmp_path / "out", framework="numpy")
    assert len(ds) == count
    check_places(ds, root)
    assert collection.tensors["input"].shape == (13, 64, 64)


def test_real_images_and_mask_of_a_flood(shared, tmp_path):
    root = shared / "data" / "s2-s1-flood"
    collection = mlstac.convert(root, tmp_path / "out", classes={-1: "no data", 0: "other", 1: "water"})
    sample = mlstac.load(tmp_path / "out", framework="numpy")[0]
    for name, file in (("s2hand", "S2Hand"), ("s1hand", "S1Hand")):
        with rasterio.open(root / f"Spain_7370579_{file}.tif") as image:
            np.testing.assert_array_equal(sample[name], image.read())
            assert [band.name for band in collection.tensors[name].bands] == list(image.descriptions)
    with rasterio.open(root / "Spain_7370579_LabelHand.tif") as image:
        np.testing.assert_array_equal(sample["target"], image.read(1))


def test_real_pictures_without_a_place(shared, tmp_path):
    collection = mlstac.convert(shared / "data" / "rgb-aerial", tmp_path / "out")
    assert not collection.placed
    assert [item.name for item in collection.tensors["target"].classes] == ["airplane", "forest"]


def test_pictures_of_a_dataset_are_no_samples(classes, tmp_path):
    out = classes / "made"  # below its own source
    mlstac.convert(classes, out, license="MIT")
    assert list(out.glob("*.png"))
    again = mlstac.convert(classes, out, license="MIT", overwrite=True)
    assert again.train.n_items == 6
    assert [item.name for item in again.tensors["target"].classes] == ["AnnualCrop", "Forest"]
    alone = tmp_path / "alone"
    (alone / "sets").mkdir(parents=True)
    out.rename(alone / "sets" / "made")
    for source, said in (
        (alone, r"made is a dataset of version 1\.0 already, and .*alone holds nothing else to convert"),
        (alone / "sets" / "made", r"made is a dataset of version 1\.0 already; there is nothing to convert"),
    ):
        with pytest.raises(InvalidArgumentError, match=said):
            mlstac.convert(source, tmp_path / "out")
    (alone / "sets" / "made" / "collection.json").write_text('{"type": "Coll')
    with pytest.raises(InvalidArgumentError, match="already"):
        mlstac.convert(alone, tmp_path / "out")
    with pytest.raises(FormatError, match="has no images"):
        mlstac.convert(alone, tmp_path / "out", kind="images")
    assert not (tmp_path / "out").exists()


def test_a_collection_of_stac_beside_images_is_no_dataset(classes, tmp_path):
    (classes / "collection.json").write_text('{"type": "Collection", "stac_version": "1.0.0", "id": "eurosat"}')
    assert mlstac.convert(classes, tmp_path / "out").train.n_items == 6


def test_the_folder_that_one_stands_in_names_its_sample_too(tmp_path, monkeypatch):
    write_tif(tmp_path / "scene" / "image.tif", array(0))
    write_tif(tmp_path / "scene" / "mask.tif", array(1, bands=1))
    monkeypatch.chdir(tmp_path / "scene")
    mlstac.convert(".", tmp_path / "out", license="MIT", progress=False)
    ds = mlstac.load(tmp_path / "out", framework="numpy")
    assert ds.metadata.to_table(["id"])["id"].to_pylist() == ["scene"]


def test_an_image_may_have_a_name_without_a_word(tmp_path):
    write_tif(tmp_path / "in" / "_.tif", array(0))
    write_tif(tmp_path / "in" / "a.tif", array(1))
    mlstac.convert(tmp_path / "in", tmp_path / "out", license="MIT", progress=False)
    ds = mlstac.load(tmp_path / "out", framework="numpy")
    assert ds.metadata.to_table(["id"])["id"].to_pylist() == ["_", "a"]


@pytest.mark.parametrize(
    ("image", "label", "split"),
    [
        ("train_images/{}.tif", "train_masks/{}.tif", "train"),
        ("images_png/{}.tif", "masks_png/{}.tif", "train"),
        ("img_dir/val/{}.tif", "ann_dir/val/{}.tif", "validation"),
        ("Test Data/images/{}.tif", "Test Data/labels/{}.tif", "test"),
        ("JPEGImages/{}.tif", "SegmentationClass/{}.tif", "train"),
        ("TestImages/{}.tif", "TestLabels/{}.tif", "test"),
        ("imagesTr/{}.tif", "labelsTr/{}.tif", "train"),
        ("imagesTs/{}.tif", "labelsTs/{}.tif", "test"),
        ("imagesTr/{}_0000.tif", "labelsTr/{}.tif", "train"),
    ],
)
def test_folders_may_say_more_than_what_they_hold(image, label, split, tmp_path):
    for number in range(2):
        write_tif(tmp_path / "in" / image.format(number), array(number))
        write_tif(tmp_path / "in" / label.format(number), array(number + 9, bands=1))
    collection = mlstac.convert(tmp_path / "in", tmp_path / "out", license="MIT")
    assert set(collection.tensors) == {"input", "target"}
    ds = mlstac.load(tmp_path / "out", split=split, framework="numpy")
    assert ds.metadata.to_pandas()["id"].tolist() == ["0", "1"]
    for number in range(2):
        np.testing.assert_array_equal(ds[number]["target"], array(number + 9, bands=1)[0])


def test_channels_in_files_of_their_own_are_tensors(tmp_path):
    for number in range(2):
        for channel in range(2):
            write_tif(tmp_path / "in" / "imagesTr" / f"field_{number}_{channel:04}.tif", array(2 * number + channel))
        write_tif(tmp_path / "in" / "labelsTr" / f"field_{number}.tif", array(number + 9, bands=1))
    mlstac.convert(tmp_path / "in", tmp_path / "out", license="MIT")
    ds = mlstac.load(tmp_path / "out", framework="numpy")
    assert ds.metadata.to_pandas()["id"].tolist() == ["field_0", "field_1"]
    assert list(ds[1]) == ["input_0000", "input_0001", "target"]
    np.testing.assert_array_equal(ds[1]["input_0001"], array(3))


@pytest.mark.parametrize("names", [("class_0", "class_1"), ("test_site", "train_station"), ("label 1", "label 2")])
def test_folders_of_classes_may_have_such_words_in_their_names(names, tmp_path):
    for name in names:
        write_tif(tmp_path / "in" / name / "x.tif", array(0))
    collection = mlstac.convert(tmp_path / "in", tmp_path / "out", license="MIT")
    assert [item.label for item in collection.tensors["target"].classes] == list(names)
    assert collection.train.n_items == 2


def test_one_folder_is_no_class(tmp_path):
    write_tif(tmp_path / "in" / "images" / "a.tif", array(0))
    write_tif(tmp_path / "in" / "images" / "b.tif", array(1))
    assert set(mlstac.convert(tmp_path / "in", tmp_path / "out", license="MIT").tensors) == {"input"}
    collection = mlstac.convert(tmp_path / "in", tmp_path / "one", license="MIT", kind="classes")
    assert [item.name for item in collection.tensors["target"].classes] == ["images"]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            ("a/0.tif", "a/1.tif", "b/0.tif", "overview.tif"),
            r"3 images in folders as those of classes are \(a, b\)",
        ),
        (
            ("Forest/a/0.tif", "Forest/b/1.tif", "River/a/2.tif"),
            r"folders within folders \(Forest/a, Forest/b, River/a\).*kind='classes' that .* are \(Forest, River\)",
        ),
        (("Forest/0.tif", "Forest/b/1.tif", "River/2.tif"), r"folders within folders \(Forest/b\)"),
        (("tiles_256/0.tif", "masks_256/0.tif"), "the folders masks_256, tiles_256, of which masks_256 may be labels"),
    ],
)
def test_folders_that_may_be_classes_or_not_are_said_to_be_so(names, words, tmp_path):
    for name in names:
        write_tif(tmp_path / "in" / name, array(0))
    with pytest.raises(InvalidArgumentError, match=rf"{words}.*kind='images'"):
        mlstac.convert(tmp_path / "in", tmp_path / "out")
    assert mlstac.convert(tmp_path / "in", tmp_path / "out", license="MIT", kind="images").train.n_items == len(names)


def test_classes_may_have_folders_within_them_by_decree(tmp_path):
    names = ("Forest/a/0.tif", "Forest/b/0.tif", "Forest/3.tif", "River/a/0.tif")
    for name in names:
        write_tif(tmp_path / "in" / name, array(0))
    collection = mlstac.convert(tmp_path / "in", tmp_path / "out", license="MIT", kind="classes")
    assert [item.label for item in collection.tensors["target"].classes] == ["Forest", "River"]
    rows = mlstac.load(tmp_path / "out").metadata.to_pandas()
    assert dict(zip(rows["id"], rows["class"], strict=True)) == {
        "Forest-3": "Forest",
        "Forest-a-0": "Forest",
        "Forest-b-0": "Forest",
        "River-a-0": "River",
    }
    write_tif(tmp_path / "in" / "lone.tif", array(0))
    with pytest.raises(FormatError, match=r"lone\.tif lies in no folder of a class; expected CLASS/image\.tif"):
        mlstac.convert(tmp_path / "in", tmp_path / "other", kind="classes")


@pytest.mark.parametrize("kind", ["classes", "images"])
def test_images_of_one_name_in_two_splits_are_two_samples(kind, tmp_path):
    for number, split in enumerate(("train", "test")):
        for name in ("Forest", "River"):
            write_tif(tmp_path / "in" / split / name / "1.tif", array(number))
    mlstac.convert(tmp_path / "in", tmp_path / "out", license="MIT", kind=kind)
    ids = mlstac.load(tmp_path / "out", split="all").metadata.to_pandas()["id"].tolist()
    assert sorted(ids) == ["test-Forest-1", "test-River-1", "train-Forest-1", "train-River-1"]


def test_bands_are_those_of_the_image_whatever_is_beside_it(tmp_path):
    write_tif(tmp_path / "in" / "image" / "0.tif", array(0))
    write_tif(tmp_path / "in" / "cloud" / "0.tif", array(1, bands=1))
    write_tif(tmp_path / "in" / "mask" / "0.tif", array(2, bands=1))
    collection = mlstac.convert(tmp_path / "in", tmp_path / "out", license="MIT", bands=list(BANDS))
    assert [band.name for band in collection.tensors["input"].bands] == list(BANDS)


def test_links_to_folders_are_followed_and_no_loop_is(tmp_path):
    for number in range(2):
        write_tif(tmp_path / "far" / "i" / f"{number}.tif", array(number))
        write_tif(tmp_path / "far" / "m" / f"{number}.tif", array(number, bands=1))
    root = tmp_path / "in"
    root.mkdir()
    (root / "images").symlink_to(tmp_path / "far" / "i")
    (root / "masks").symlink_to(tmp_path / "far" / "m")
    (tmp_path / "far" / "i" / "again").symlink_to(root)
    (tmp_path / "far" / "m" / "again").symlink_to(tmp_path / "far" / "m")
    collection = mlstac.convert(root, tmp_path / "out", license="MIT")
    assert (collection.train.n_items, set(collection.tensors)) == (2, {"input", "target"})


def test_a_link_to_a_folder_around_the_source_is_not_followed(tmp_path):
    for name in ("a", "b"):
        write_tif(tmp_path / "in" / name / "0.tif", array(0))
    write_tif(tmp_path / "other" / "0.tif", array(0))
    (tmp_path / "in" / "c").symlink_to(tmp_path)
    collection = mlstac.convert(tmp_path / "in", tmp_path / "out", license="MIT")
    assert [item.label for item in collection.tensors["target"].classes] == ["a", "b"]
    assert collection.train.n_items == 2


@pytest.mark.parametrize("link", ["A", "c"])  # before and behind the folder in the order of names
def test_a_link_to_a_folder_of_the_source_gives_no_image_twice(link, tmp_path):
    for name in ("a", "b"):
        write_tif(tmp_path / "in" / name / "0.tif", array(0))
        write_tif(tmp_path / "in" / name / "deep" / "1.tif", array(1))
    (tmp_path / "in" / link).symlink_to("a")
    (tmp_path / "in" / "b" / "z").symlink_to(tmp_path / "in" / "a" / "deep")
    collection = mlstac.convert(tmp_path / "in", tmp_path / "out", kind="classes", license="MIT")
    assert [item.label for item in collection.tensors["target"].classes] == ["a", "b"]
    files = mlstac.load(tmp_path / "out", framework="numpy").metadata.to_pandas()["file"].tolist()
    assert files == ["a/0.tif", "a/deep/1.tif", "b/0.tif", "b/deep/1.tif"]


def test_folders_that_are_linked_to_from_each_other_are_gone_through_once(tmp_path):
    names = [f"n{number:02}" for number in range(20)]
    for name in names:
        write_tif(tmp_path / "far" / name / "0.tif", array(0))
        for other in names:
            (tmp_path / "far" / name / f"to-{other}").symlink_to(tmp_path / "far" / other)
    root = tmp_path / "in"
    root.mkdir()
    for name in names:
        (root / name).symlink_to(tmp_path / "far" / name)
    collection = mlstac.convert(root, tmp_path / "out", kind="images", license="MIT")
    assert collection.train.n_items == 20
    files = mlstac.load(tmp_path / "out", framework="numpy").metadata.to_pandas()["file"].tolist()
    assert files == [f"{name}/0.tif" for name in names]


def test_of_links_to_a_folder_and_to_one_around_it_none_loses_an_image(tmp_path):
    for name in ("i", "j"):
        write_tif(tmp_path / "far" / name / "0.tif", array(0))
    write_tif(tmp_path / "in" / ".store" / "1.tif", array(1))
    (tmp_path / "in" / "a").symlink_to(tmp_path / "far" / "i")
    (tmp_path / "in" / "b").symlink_to(tmp_path / "far")
    (tmp_path / "in" / "k").symlink_to(".store")  # hidden by its own name, and not by that of the link
    mlstac.convert(tmp_path / "in", tmp_path / "out", kind="images", license="MIT")
    files = mlstac.load(tmp_path / "out", framework="numpy").metadata.to_pandas()["file"].tolist()
    assert files == ["b/i/0.tif", "b/j/0.tif", "k/1.tif"]


def test_the_innermost_of_several_folders_of_a_kind_may_say_what_images_are(tmp_path):
    for above in ("tiles/a", "chips/b"):
        write_tif(tmp_path / "in" / above / "images" / "0.tif", array(0))
        write_tif(tmp_path / "in" / above / "masks" / "0.tif", array(1, bands=1))
    collection = mlstac.convert(tmp_path / "in", tmp_path / "out", license="MIT")
    assert (collection.train.n_items, set(collection.tensors)) == (2, {"input", "target"})


def test_images_of_another_dtype_are_told_what_to_do_with_the_files(tmp_path):
    write_tif(tmp_path / "in" / "a.tif", array(0))
    write_tif(tmp_path / "in" / "b.tif", array(0, dtype="uint8"))
    with pytest.raises(InvalidSampleError, match=r"'b' is of dtype U8.*gdal_translate -ot.*taken for kind='images'"):
        mlstac.convert(tmp_path / "in", tmp_path / "out")
    with pytest.raises(InvalidSampleError, match=r"outside of the source$"):
        mlstac.convert(tmp_path / "in", tmp_path / "out", kind="images")


def test_what_is_in_a_folder_without_images_is_counted(tmp_path):
    for name in ("a.npy", "b.npy", "README.md"):
        (tmp_path / "in" / "x").mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / "x" / name).write_text("")
    with pytest.raises(InvalidArgumentError, match=r"a folder with 2 \.npy, 1 \.md, and no image, of no kind"):
        mlstac.convert(tmp_path / "in", tmp_path / "out")
