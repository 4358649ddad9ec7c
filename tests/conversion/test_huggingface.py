"""Datasets of Hugging Face's datasets, made by that library."""

import io

import datasets
import numpy as np
import pytest
from PIL import Image

import mlstac
from mlstac.errors import InvalidArgumentError, InvalidSampleError
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


def labels_of(path):
    ds = mlstac.load(path, framework="numpy")
    return [int(sample["label"]) for sample in ds], {
        item.value: item.label for item in ds.collection.tensors["label"].classes
    }


@pytest.mark.parametrize(
    ("classes", "labels", "names"),
    [
        (["water", "land"], [1, 0, 1, 0, 1], {0: "water", 1: "land"}),
        (["LAND", "Water"], [0, 1, 0, 1, 0], {0: "LAND", 1: "Water"}),
        ({5: "water", -2: "land"}, [-2, 5, -2, 5, -2], {-2: "land", 5: "water"}),
        ({0: "land", 1: "water", 255: "cloud"}, [0, 1, 0, 1, 0], {0: "land", 1: "water", 255: "cloud"}),
        (["dry", "wet"], [0, 1, 0, 1, 0], {0: "dry", 1: "wet"}),
    ],
)
@pytest.mark.parametrize("by", ["classes", "collection"])
def test_labels_have_the_numbers_of_the_classes_that_are_called_alike(by, classes, labels, names, train, tmp_path):
    if by == "classes":
        mlstac.convert(train, tmp_path / "out", classes=classes, license="MIT")
    else:
        said = {"license": "MIT", "tensors": {"label": mlstac.Tensor(role="label", classes=classes)}}
        mlstac.convert(train, tmp_path / "out", said)
    assert labels_of(tmp_path / "out") == (labels, names)


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (["land", "sea"], "no class of the source is called 'sea', and no class is called 'water'"),
        (["land"], "no class is called 'water'"),
        (["water", "Water"], "a class of the source is named twice, and no class is called 'land'"),
        (["a", "b", "c"], r"\('0 a', '1 b', '2 c'\) are called like none of the source's"),
        ([], r"the classes given \(none\)"),
        ({1: "a", 2: "b"}, "new names for its values"),
        (["water", "land", "cloud"], "the values 2 are of no class that the source names"),
    ],
)
def test_classes_that_are_not_those_of_the_source_are_refused(classes, words, train, tmp_path):
    with pytest.raises(InvalidArgumentError, match=words) as caught:
        mlstac.convert(train, tmp_path / "out", classes=classes, license="MIT")
    assert "the classes of 'label' in the source are '0 land', '1 water'" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_label_of_no_class_is_not_mixed_up_with_one(train, tmp_path):
    rows = [dict(row) | {"label": label} for row, label in zip(train.to_list(), (0, 1, -1, 0, 1), strict=True)]
    unknown = datasets.Dataset.from_list(rows, features=train.features)
    mlstac.convert(unknown, tmp_path / "out", classes=["water", "land"], license="MIT")
    assert labels_of(tmp_path / "out")[0] == [1, 0, -1, 1, 0]
    with pytest.raises(InvalidSampleError, match="'label' of sample 2 has the value -1, which is of no class"):
        mlstac.convert(unknown, tmp_path / "other", classes={-1: "water", 0: "land"}, license="MIT")


def test_splits_that_number_classes_differently_are_refused(train, tmp_path):
    other = train.cast_column("label", datasets.ClassLabel(names=["water", "land"]))
    with pytest.raises(InvalidArgumentError, match="split 'test' gives 'label' the names 'water', 'land'"):
        mlstac.convert(datasets.DatasetDict({"train": train, "test": other}), tmp_path / "out")


def test_what_a_collection_leaves_open_of_a_tensor_the_source_says(train, tmp_path):
    said = {"license": "MIT", "tensors": {"label": {"description": "Seen by eye."}}}
    label = mlstac.convert(train, tmp_path / "out", said).tensors["label"]
    assert (label.description, label.role, [item.name for item in label.classes]) == (
        "Seen by eye.",
        "label",
        ["land", "water"],
    )
