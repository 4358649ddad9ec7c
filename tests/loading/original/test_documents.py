"""What a main.json says, in every version; and the names of its samples."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mlstac
from mlstac.errors import CollectionError, NotFoundError
from mlstac.loading.original._names import sample_name, sample_number
from tests.loading.original.old import BANDS, SPLITS, VERSIONS, base61, main_json, write_dataset

KNOWN = {0: "0000001", 8: "0000009", 9: "000000A", 34: "000000Z", 35: "000000a", 60: "000000z", 61: "0000021"}


@pytest.mark.parametrize(("number", "name"), [*KNOWN.items(), (61**7 - 1, "zzzzzzz"), (61**7, "21111111")])
def test_samples_are_named_in_base_61(number, name):
    assert sample_name(number) == name == base61(number)
    assert sample_number(name) == number


@given(st.lists(st.integers(0, 61**7 - 1), min_size=2))
def test_names_sort_as_their_numbers(numbers):
    assert [sample_number(name) for name in sorted(map(sample_name, numbers))] == sorted(numbers)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_opens(version, tmp_path):
    collection = mlstac.open(write_dataset(tmp_path / "data", version=version))
    assert {name: split.n_items for name, split in collection.splits.items()} == SPLITS
    assert collection.tasks == ["semantic-segmentation"]
    assert (collection.tensors["input"].dtype, collection.tensors["input"].shape) == ("U16", (4, 16, 16))
    assert collection.tensors["target"].role == "label"
    assert not collection.placed  # its extent is in metres


def test_what_the_newest_says_is_kept(tmp_path):
    collection = mlstac.open(write_dataset(tmp_path / "data", version="0.0.23"))
    assert (collection.id, collection.title, collection.license) == ("flood", "Floods", "CC-BY-4.0")
    assert [(contact.name, contact.roles) for contact in collection.contacts] == [
        ("Ana Pérez", ["author"]),
        ("Rita", ["reviewer"]),
    ]
    image = collection.tensors["input"]
    assert image.dims == ("band", "y", "x")
    assert [band.name for band in image.bands] == [band["name"] for band in BANDS]
    assert image.band_index("nir") == 3  # its place in the tensor; 7 is its place on the sensor
    assert {item.value: item.name for item in collection.tensors["target"].classes} == {0: "land", 1: "water"}
    assert collection.paper == "https://doi.org/10.1/x"
    assert collection.providers[0].roles == ["host"]
    assert not any("/home/me" in link.href for link in collection.links)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"unit": "nm", "center_wavelength": 443.5, "full_width_half_max": 17.0}, (0.4435, 0.017)),
        ({"unit": "um", "center_wavelength": 0.4435, "full_width_half_max": 0.017}, (0.4435, 0.017)),
        ({"unit": " µm", "center_wavelength": 11, "full_width_half_max": None}, (11.0, None)),
        ({"unit": "nm", "center_wavelength": -1, "full_width_half_max": True}, (None, None)),
        ({"unit": "nm", "center_wavelength": "443", "full_width_half_max": 0}, (None, None)),
        ({"unit": "DN", "center_wavelength": 443.5}, (None, None)),
        ({"center_wavelength": 443.5}, (None, None)),
        ({"unit": ["nm"], "center_wavelength": 443.5}, (None, None)),
    ],
)
def test_wavelengths_are_kept_in_micrometres_where_their_unit_is_said(tmp_path, said, kept):
    folder = write_dataset(tmp_path / "data")
    document = json.loads((folder / "main.json").read_text())
    bare = {key: value for key, value in BANDS[0].items() if key != "unit"}
    document["ml:spectral"]["bands"] = [{**bare, **said}, *BANDS[1:]]
    (folder / "main.json").write_text(json.dumps(document))
    band = mlstac.open(folder).tensors["input"].bands[0]
    assert (band.name, band.common_name) == ("B02", "blue")
    assert (band.center_wavelength, band.full_width_half_max) == kept
    assert band.unit is None  # that of the values, which nobody said


def test_the_model_of_today_takes_it(tmp_path):
    """The collection is one of version 1.0: it survives a round trip, and pystac reads it."""
    import pystac

    collection = mlstac.open(write_dataset(tmp_path / "data"))
    again = mlstac.Collection.from_dict(collection.to_dict())
    assert again.to_dict() == collection.to_dict()
    assert pystac.Collection.from_dict(collection.to_dict()).id == "flood"


@pytest.mark.parametrize(
    "given", ["TensorClassification", ["TensorClassification"], ["TensorClassification", "My task!"]]
)
def test_tasks_are_text_or_list_and_foreign_ones_are_the_datasets_own(given, tmp_path):
    root = write_dataset(tmp_path / "data")
    said = json.loads((root / "main.json").read_text()) | {"ml:task": given}
    (root / "main.json").write_text(json.dumps(said))
    assert mlstac.open(root).tasks == ["classification", "x-my-task"][: 2 if len(given) == 2 else 1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ml:train": {"link": "https://x.example/"}}, "n_items"),
        ({"ml:train": {"n_items": -1, "link": "https://x.example/"}}, "n_items"),
        ({"ml:train": {"n_items": 10**12, "link": "https://x.example/"}}, "n_items.*at most 1,000,000"),
        ({"ml:train": {"n_items": "11", "link": "https://x.example/"}}, "n_items"),
        ({"ml:train": {"n_items": 3, "link": 7}}, "link"),
        ({"ml:train": [1]}, "expected an object"),
    ],
)
def test_a_split_that_cannot_be_meant_is_named(change, words, tmp_path):
    root = write_dataset(tmp_path / "data")
    said = json.loads((root / "main.json").read_text()) | change
    (root / "main.json").write_text(json.dumps(said))
    with pytest.raises(CollectionError, match=rf"ml:train.*{words}"):
        mlstac.load(root)


def test_a_split_that_is_not_there_is_named(tmp_path):
    root = write_dataset(tmp_path / "data", counts={"train": 2, "test": 1})
    assert len(mlstac.load(root, split="all")) == 3
    with pytest.raises(NotFoundError, match="it has train, test"):
        mlstac.load(root, split="val")


def test_an_object_that_says_nothing_of_its_place_is_refused():
    said = main_json("0.0.23", {"train": "./train"}, {"train": 1})
    with pytest.raises(CollectionError, match="give its URL or path"):
        mlstac.load(said)
