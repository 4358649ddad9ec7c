"""The times of a series' steps: a tensor beside it, whose name is its own with an ending."""

from typing import Any

import numpy as np

from mlstac.authoring._values import Encoded
from mlstac.collection import Tensor
from mlstac.errors import InvalidSampleError

TIME = "_time"
"""Ends the name of the tensor that holds the times of another tensor's steps."""


def encode_times(times: Any, *, name: str, steps: int, sample: str) -> Encoded:
    """The times of a tensor's steps as a tensor.

    Parameters
    ----------
    times : array_like, shape (steps,)
        Microseconds since 1970, UTC.

    Raises
    ------
    InvalidSampleError
        If there is not one a step.
    """
    if steps != len(times):
        raise InvalidSampleError(
            f"sample {sample!r} has {len(times)} datetimes, but the tensor {name!r} has {steps} steps; give one a step"
        )
    return Encoded("I64", (steps,), np.ascontiguousarray(times, "<i8").view(np.uint8))


def time_tensor(name: str, *, required: bool) -> Tensor:
    """What is said of the tensor that holds the times of a tensor's steps."""
    return Tensor(
        dtype="I64",
        dims=("time",),
        required=required,
        description=f"When each step of {name!r} was: microseconds since 1970-01-01T00:00:00Z.",
    )
