"""Tasks are a closed list, and each asks for its tensors without false alarms."""

import json
import re

import pytest

from mlstac.collection import TASKS, Collection, Tensor, check_task
from mlstac.errors import InvalidArgumentError

IMAGE = Tensor(dtype="U16", shape=(3, 64, 64), dims="band y x")
MASK = Tensor(dtype="U8", shape=(64, 64), dims="y x", role="label")
CLASS = Tensor(dtype="I64", shape=(), dims="", role="label")
NUMBER = Tensor(dtype="F32", shape=(1,), role="label")
TEXT = Tensor(dtype="U8", media_type="text/plain", role="label")
QUESTION = Tensor(dtype="U8", media_type="text/plain")
SERIES = Tensor(dtype="U16", shape=(5, 3, 64, 64), dims="time band y x")
BOXES = Tensor(dtype="F32", shape=(None, 4), dims="box xyxy", role="label")
LABELS = Tensor(dtype="I64", shape=(None,), dims="box", role="label")
PNG = Tensor(dtype="U8", media_type="image/png", role="label")
COCO = Tensor(dtype="U8", media_type="application/json", role="label")

FITTING = [
    ("segmentation", {"input": IMAGE, "target": MASK}),
    ("semantic-segmentation", {"input": SERIES, "target": MASK}),
    ("semantic-segmentation", {"input": IMAGE, "target": PNG}),
    ("semantic-segmentation", {"input": IMAGE, "target": Tensor(dtype="U8", shape=(1, 64, 64), role="label")}),
    ("semantic-segmentation", {"ten": IMAGE, "twenty": Tensor(dims="band y x", shape=(6, 32, 32)), "target": MASK}),
    ("semantic-segmentation", {"input": IMAGE, "target": Tensor(dims="y x", shape=(None, None), role="label")}),
    ("semantic-segmentation", {"input": Tensor(), "target": Tensor(role="label")}),
    ("panoptic-segmentation", {"input": IMAGE, "target": MASK, "ids": MASK}),
    ("instance-segmentation", {"input": IMAGE, "target": COCO}),
    ("detection", {"input": IMAGE, "boxes": BOXES, "labels": LABELS}),
    ("object-detection", {"input": IMAGE, "boxes": Tensor(shape=(None, 4), role="label"), "labels": LABELS}),
    ("object-detection", {"input": IMAGE, "target": COCO}),
    ("object-detection", {"input": IMAGE, "a": Tensor(role="label"), "b": Tensor(role="label")}),
    ("captioning", {"input": IMAGE, "caption": TEXT}),
    ("image-captioning", {"input": IMAGE, "captions": COCO}),
    ("text-to-image", {"prompt": QUESTION, "image": MASK}),
    ("classification", {"input": IMAGE, "target": CLASS}),
    ("classification", {"input": IMAGE, "target": MASK}),
    (
        "classification",
        {"input": IMAGE, "target": Tensor(dtype="F32", shape=(3,), role="label", classes=["a", "b", "c"])},
    ),
    ("scene-classification", {"input": IMAGE, "target": CLASS}),
    ("scene-classification", {"input": IMAGE, "target": TEXT}),
    ("regression", {"input": IMAGE, "target": NUMBER}),
    ("regression", {"input": IMAGE, "target": Tensor(dtype="F32", dims="y x", role="label")}),
    ("super-resolution", {"input": IMAGE, "target": Tensor(dims="band y x", shape=(3, 256, 256), role="label")}),
    ("downscaling", {"input": IMAGE, "target": Tensor(role="label")}),
    ("change-detection", {"before": IMAGE, "after": IMAGE, "target": MASK}),
    ("time-series-classification", {"input": SERIES, "target": CLASS}),
    ("time-series-classification", {"input": Tensor(shape=(5, 13)), "target": CLASS}),
    ("time-series-regression", {"input": SERIES, "target": NUMBER}),
    ("time-series-forecasting", {"input": SERIES}),
    ("visual-question-answering", {"input": IMAGE, "question": QUESTION, "answer": TEXT}),
    ("visual-question-answering", {"input": IMAGE, "dialogue": COCO}),
    ("multi-modal", {"optical": IMAGE, "radar": IMAGE}),
    ("pretraining", {"input": IMAGE}),
    ("generative", {"input": IMAGE}),
    ("similarity-search", {"input": IMAGE}),
    ("tabular", {"input": Tensor(dtype="F32", shape=(10,), dims="column")}),
    ("x-my-own", {"input": IMAGE}),
]


@pytest.mark.parametrize(("task", "tensors"), FITTING)
def test_tensors_that_fit_a_task_raise_no_alarm(task, tensors):
    Collection(id="x", tasks=[task], tensors=tensors).check_tasks()


def test_every_task_that_is_in_the_list_is_tried_above():
    assert {task for task, _ in FITTING} >= set(TASKS) - {"image-to-image"}


@pytest.mark.parametrize("task", TASKS)
def test_before_any_tensor_is_known_no_task_complains(task):
    Collection(id="x", tasks=[task]).check_tasks()


@pytest.mark.parametrize(
    ("task", "tensors", "says"),
    [
        ("segmentation", {"input": IMAGE}, "a label, and none of 'input' is one; give one tensor role='label'"),
        (
            "semantic-segmentation",
            {"input": IMAGE, "target": CLASS},
            "a label over the pixels of its input, and 'target' has no axes y, x",
        ),
        (
            "semantic-segmentation",
            {"input": IMAGE, "target": Tensor(dims="y x", shape=(32, 64), role="label")},
            "a label of the input's y, x: target 32 × 64, input 64 × 64; bring label and input to one grid",
        ),
        ("object-detection", {"input": IMAGE, "target": MASK}, "boxes, a label of shape (n, 4)"),
        ("detection", {"input": IMAGE, "boxes": BOXES}, "a class for each row of 'boxes', and there is none"),
        (
            "detection",
            {"input": IMAGE, "boxes": BOXES, "target": CLASS},
            "a class for each row of 'boxes', and 'target' has another",
        ),
        (
            "detection",
            {"boxes": Tensor(shape=(5, 4), role="label"), "labels": Tensor(shape=(6,), role="label")},
            "a class for each row of 'boxes', and 'labels' has another number of rows; add a label of shape (n,)",
        ),
        ("captioning", {"input": IMAGE, "target": CLASS}, "a text, and none of 'input', 'target' is one"),
        ("classification", {"input": IMAGE}, "a label, and none of 'input' is one"),
        (
            "classification",
            {"input": IMAGE, "target": NUMBER},
            "a class label, and 'target' is F32; store whole numbers",
        ),
        ("scene-classification", {"input": IMAGE, "target": MASK}, "one label a sample, and 'target' has axes y, x"),
        ("regression", {"input": IMAGE, "target": TEXT}, "a label of numbers, and 'target' holds encoded bytes"),
        ("super-resolution", {"input": IMAGE, "target": CLASS}, "a label that is an image"),
        ("time-series-classification", {"input": IMAGE, "target": CLASS}, "an input with axis 'time'"),
        ("visual-question-answering", {"input": IMAGE, "answer": TEXT}, "a question and an answer"),
        ("multi-modal", {"input": IMAGE}, "tensors of more than one kind"),
    ],
)
def test_what_a_task_lacks_is_said_with_its_mend(task, tensors, says):
    with pytest.raises(InvalidArgumentError, match=re.escape(f"collection 'x': task '{task}' needs {says}")):
        Collection(id="x", tasks=[task], tensors=tensors).check_tasks()


def test_every_problem_is_said_at_once():
    with pytest.raises(InvalidArgumentError, match=r"'regression' needs .*; task 'captioning' needs "):
        Collection(id="x", tasks=["regression", "captioning"], tensors={"input": IMAGE}).check_tasks()


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("segmentaton", "did you mean 'segmentation'"),
        ("Semantic Segmentation", "did you mean 'semantic-segmentation'"),
        ("object_detection", "did you mean 'object-detection'"),
        ("TensorSegmentation", "did you mean 'semantic-segmentation'?"),
        ("TensorToText", "did you mean 'captioning'?"),
        ("VQA", "did you mean 'visual-question-answering'?"),
        ("zzz", "is not in the list; use one of regression, "),
        ("X-Own", "that starts with 'x-'"),
        ("x-", "that starts with 'x-'"),
        ("x own", "that starts with 'x-'"),
    ],
)
def test_an_unknown_task_is_refused_with_the_nearest(given, hint):
    with pytest.raises(InvalidArgumentError, match=re.escape(hint)):
        check_task(given)


def test_one_task_may_be_given_as_text_and_none_counts_twice():
    assert Collection(id="x", tasks="regression").tasks == ["regression"]
    assert Collection(id="x", tasks=["regression", "x-a", "regression"]).tasks == ["regression", "x-a"]


def test_the_tasks_of_models_are_among_ours(shared):
    schema = shared / "stac-schemas" / "stac-extensions.github.io" / "mlm" / "v1.5.2" / "schema.json"
    text = json.dumps(json.loads(schema.read_text(encoding="utf-8")))
    listed = re.search(r'"mlm:tasks": (\{"type": "array".*?\]\}\})', text)
    theirs = json.loads(listed[1])["items"]["enum"]
    assert len(theirs) == 14
    assert set(theirs) <= set(TASKS)
    for path in sorted((shared / "mlm-examples").glob("item_*.json")):
        for task in json.loads(path.read_text(encoding="utf-8"))["properties"]["mlm:tasks"]:
            assert check_task(task) == task


@pytest.mark.parametrize("wrong", [{"tasks": ["nonsense"]}, {"license": "CC BY 4.0"}, {"id": None}])
def test_one_wrong_field_is_one_message_in_words(wrong):
    with pytest.raises(InvalidArgumentError) as caught:
        Collection(**{"id": "a", "description": "One field is wrong."} | wrong)
    message = str(caught.value)
    assert message.startswith(f"Collection: {next(iter(wrong))}")
    assert "default factory" not in message
    assert "placed" not in message
    assert "^[" not in message


def test_a_licence_that_is_no_identifier_says_what_one_is():
    with pytest.raises(InvalidArgumentError, match=r"expected an SPDX identifier such as 'CC-BY-4\.0', or 'other'"):
        Collection(id="a", license="CC BY 4.0")
