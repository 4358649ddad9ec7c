"""TrainingDML-AI JSON: the members and words that the standard asks for, and what the collection and samples say."""

import json

import jsonschema
import numpy as np
import pytest

import mlstac
from mlstac.collection import SPLIT_WORDS, split_of_word, split_words
from tests.cards.conftest import chips, describe
from tests.loading.original.old import write_dataset

# What OGC 24-006 asks of the members that we write, in a schema of our own.
TEXT, NUMBER, WHOLE = {"type": "string"}, {"type": "number"}, {"type": "integer"}
TEXTS = {"type": "array", "items": TEXT, "minItems": 1}
NAMED = {"type": "object", "required": ["key", "value"], "properties": {"key": TEXT}}


def of_type(kind, required, /, **properties):
    return {
        "type": "object",
        "required": ["type", *required],
        "properties": {"type": {"const": kind}, **properties},
    }


LABELS = [
    of_type("AI_AbstractLabel", []),
    of_type("AI_SceneLabel", ["class"], **{"class": TEXT}),
    of_type("AI_PixelLabel", ["imageURL", "imageFormat"], imageURL=TEXTS, imageFormat=TEXTS),
    of_type(
        "AI_ObjectLabel",
        ["object", "class"],
        **{"class": TEXT, "bboxType": TEXT, "object": of_type("Feature", ["geometry", "properties"])},
    ),
]
DATUM = of_type(
    "AI_EOTrainingData",
    ["id", "labels", "dataURL"],
    id=TEXT,
    datasetId=TEXT,
    dataURL=TEXTS,
    extent={"type": "array", "items": NUMBER, "minItems": 4, "maxItems": 4},
    dataTime={"type": "array", "items": {"type": "string", "format": "date-time"}},
    trainingType={"enum": ["training", "validation", "test"]},
    numberOfLabels=WHOLE,
    labels={"type": "array", "items": {"oneOf": LABELS}, "minItems": 1},
)
BAND = {
    "type": "object",
    "properties": {
        "name": {"type": "array", "items": {"type": "object", "required": ["code"], "properties": {"code": TEXT}}},
        "units": TEXT,
        "description": TEXT,
        "numberOfValues": WHOLE,
        **dict.fromkeys(
            ("minValue", "maxValue", "meanValue", "standardDeviation", "scaleFactor", "offset", "peakResponse"), NUMBER
        ),
    },
    "dependentRequired": {"boundMax": ["boundUnits"], "boundMin": ["boundUnits"]},
}
DATASET = of_type(
    "AI_EOTrainingDataset",
    ["id", "name", "description", "license", "tasks", "data"],
    **dict.fromkeys(("id", "name", "description", "license", "version", "doi", "imageSize"), TEXT),
    amountOfTrainingData=WHOLE,
    numberOfClasses=WHOLE,
    classes={"type": "array", "items": NAMED},
    statisticsInfo={"type": "array", "items": NAMED},
    keywords=TEXTS,
    providers=TEXTS,
    bands={"type": "array", "items": BAND},
    extent={"type": "array", "items": NUMBER, "minItems": 4},
    tasks={"type": "array", "items": of_type("AI_EOTask", ["id", "taskType"], taskType=TEXT), "minItems": 1},
    data={"type": "array", "items": DATUM, "minItems": 1},
)


def check(document):
    jsonschema.Draft202012Validator(DATASET, format_checker=jsonschema.FormatChecker()).validate(document)
    return document


@pytest.fixture(scope="module")
def document(flood):
    return check(mlstac.export_tdml(flood))


def test_it_says_what_the_collection_says(document, flood):
    collection = mlstac.open(flood)
    assert document["id"] == "flood"
    assert document["name"] == "Floods of Bolivia"
    assert document["doi"] == "10.5281/zenodo.123"
    assert document["amountOfTrainingData"] == 13
    assert document["classes"] == [
        {"key": item.name, "value": item.value}
        for name in ("water", "kind")
        for item in collection.tensors[name].classes
    ]
    assert document["numberOfClasses"] == 4
    assert [task["taskType"] for task in document["tasks"]] == ["Semantic Segmentation", "x-flood"]
    assert document["extent"] == collection.extent.bbox[0]
    assert document["imageSize"] == "16x16"
    for band, ours in zip(document["bands"], collection.tensors["image"].bands, strict=True):
        assert band["name"] == [{"code": ours.name}]
        assert band["meanValue"] == ours.statistics.mean
        assert band["scaleFactor"] == 1e-4
        assert band["boundMin"] < band["peakResponse"] < band["boundMax"]


def test_every_sample_is_there_with_its_split_place_and_time(document, flood):
    assert [datum["trainingType"] for datum in document["data"]] == ["training"] * 9 + ["test"] * 4
    ours = mlstac.load(flood, split="train+test", framework="numpy")
    for number, datum in enumerate(document["data"]):
        row = ours.metadata[number]
        assert datum["id"] == row["id"]
        assert datum["extent"] == list(row["bbox"].values())
        assert datum["dataTime"] == [f"2018-02-{number + 1:02}T10:00:00Z"]


def test_a_url_names_the_bytes_of_the_sample(document, flood):
    ours = mlstac.load(flood, split="train", framework="numpy")
    for number in (0, 8):
        [url] = document["data"][number]["dataURL"]
        name, first, last = url.replace("#bytes=", " ").replace("-", " ").rsplit(" ", 2)
        data = (flood / name).read_bytes()[int(first) : int(last) + 1]
        assert np.array_equal(np.frombuffer(data, "<u2").reshape(3, 16, 16), ours[number]["image"])


def test_a_mask_is_a_pixel_label_and_a_class_a_scene_label(document):
    labels = document["data"][3]["labels"]
    assert [label["type"] for label in labels] == ["AI_PixelLabel", "AI_SceneLabel"]
    assert labels[0]["imageFormat"] == ["application/vnd.safetensors"]
    assert labels[1]["class"] == "wet"


def test_boxes_are_objects_with_the_class_of_each(tmp_path):
    samples = [
        {"image": np.zeros((1, 8, 8), np.uint8), "boxes": np.zeros((0, 4), np.float32), "kinds": np.zeros(0, np.uint8)},
        {
            "image": np.zeros((1, 8, 8), np.uint8),
            "boxes": np.array([[1, 2, 5, 6], [0, 0, 3, 3]], np.float32),
            "kinds": np.array([1, 0], np.uint8),
        },
    ]
    tensors = {
        "image": mlstac.Tensor(dims="band y x"),
        "boxes": mlstac.Tensor(dims="object xyxy", role="label"),
        "kinds": mlstac.Tensor(dims="object", role="label", classes=["ship", "plane"]),
    }
    mlstac.write(samples, tmp_path, id="boxes", tasks=["object-detection"], tensors=tensors)
    empty, two = check(mlstac.export_tdml(tmp_path))["data"]
    assert [label["type"] for label in empty["labels"]] == ["AI_AbstractLabel"]
    assert [(label["type"], label["class"]) for label in two["labels"]] == [
        ("AI_ObjectLabel", "plane"),
        ("AI_ObjectLabel", "ship"),
    ]
    ring = two["labels"][0]["object"]["geometry"]["coordinates"][0]
    assert ring == [[1, 2], [5, 2], [5, 6], [1, 6], [1, 2]]


def test_a_text_and_several_classes_are_scene_labels(tmp_path):
    tensors = {
        "image": mlstac.Tensor(dims="band y x"),
        "caption": mlstac.Tensor(media_type="text/plain", role="label"),
        "holds": mlstac.Tensor(dims="class", role="label", classes=["sea", "land", "ice"]),
    }
    sample = {"image": np.zeros((1, 8, 8), np.uint8), "caption": "a bay", "holds": np.array([1, 0, 1], np.uint8)}
    mlstac.write([sample], tmp_path, id="x", tensors=tensors)
    [datum] = check(mlstac.export_tdml(tmp_path))["data"]
    assert [label["class"] for label in datum["labels"]] == ["a bay", "sea", "ice"]


def test_a_split_of_the_authors_own_has_no_training_type(tmp_path):
    mlstac.write({"fold-1": chips(2)}, tmp_path, describe())
    data = check(mlstac.export_tdml(tmp_path))["data"]
    assert len(data) == 2
    assert not any("trainingType" in datum for datum in data)


def test_a_dataset_of_the_original_names_the_files_of_its_samples(tmp_path):
    write_dataset(tmp_path / "old", counts={"train": 2, "validation": 1, "test": 1})
    document = mlstac.export_tdml(tmp_path / "old" / "main.json")
    assert document["amountOfTrainingData"] == 4
    files = {url for data in document["data"] for url in data["dataURL"]}
    assert files == {str(file) for file in (tmp_path / "old").rglob("*.gz")}


def test_the_file_is_the_document(flood, tmp_path, document):
    mlstac.export_tdml(flood, tmp_path / "tdml.json")
    assert json.loads((tmp_path / "tdml.json").read_text("utf-8")) == document


def test_the_words_of_the_splits_lead_there_and_back():
    assert [tuple(words[:2]) for words in SPLIT_WORDS.values()] == [
        ("train", "training"),
        ("validate", "validation"),
        ("test", "test"),
    ]
    for split, words in SPLIT_WORDS.items():
        assert {split_of_word(word) for word in words} == {split}
    assert split_words("fold-1") is None
    assert split_of_word("fold-1") is None
