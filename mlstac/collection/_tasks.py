"""The tasks that a dataset may be for."""

from __future__ import annotations

import difflib
import re
from typing import Final

from mlstac.errors import InvalidArgumentError

MLM_TASKS: Final = (
    "regression",
    "classification",
    "scene-classification",
    "detection",
    "object-detection",
    "segmentation",
    "semantic-segmentation",
    "instance-segmentation",
    "panoptic-segmentation",
    "similarity-search",
    "generative",
    "image-captioning",
    "super-resolution",
    "downscaling",
)
"""The tasks of the machine learning model extension (MLM 1.5), so that a dataset and a model can be matched by task."""

TASKS: Final = (
    *MLM_TASKS,
    "captioning",
    "change-detection",
    "image-to-image",
    "multi-modal",
    "pretraining",
    "tabular",
    "text-to-image",
    "time-series-classification",
    "time-series-forecasting",
    "time-series-regression",
    "visual-question-answering",
)
"""The closed list of tasks; other words start with ``x-``."""

# the words of the original ML-STAC
_OLD_WORDS: Final = {
    "tensorclassification": "classification",
    "tensorregression": "regression",
    "tensorsegmentation": "semantic-segmentation",
    "objectdetection": "object-detection",
    "tensortotensor": "image-to-image",
    "tensortotext": "captioning",
    "texttotensor": "text-to-image",
    "vqa": "visual-question-answering",
}
_OWN = re.compile(r"x-[a-z0-9]+(-[a-z0-9]+)*")


def check_task(task: str) -> str:
    """Check the name of a task and give it back.

    Raises
    ------
    InvalidArgumentError
        If it is neither in `TASKS` nor an ``x-`` term; the message suggests the nearest.
    """
    if task in TASKS or _OWN.fullmatch(task):
        return task
    plain = task.strip().lower().replace("_", "-").replace(" ", "-")
    old = _OLD_WORDS.get(plain.replace("-", ""))
    near = [old] if old else difflib.get_close_matches(plain, TASKS, n=2, cutoff=0.6)
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    raise InvalidArgumentError(
        f"task {task[:60]!r} is not in the list; {hint}use one of {', '.join(TASKS)}, "
        "or a term of your own in small letters that starts with 'x-'"
    )
