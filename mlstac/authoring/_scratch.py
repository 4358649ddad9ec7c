"""Memory that a thread converts numbers in, again and again."""

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEAST_VALUES = 2**18

_scratch = threading.local()


def converted(values: NDArray[Any], *, slot: int = 0, dtype: type[np.number[Any]] = np.float64) -> NDArray[Any]:
    """Copy values into this thread's own buffer; it is good until the next call for the same slot and dtype.

    A fresh array of some MiB comes from the system page by page, which takes thirty times as long as the conversion.
    """
    buffers: dict[Any, NDArray[Any]] = _scratch.__dict__.setdefault("buffers", {})
    key = (slot, dtype)
    if key not in buffers or buffers[key].size < values.size:
        buffers[key] = np.empty(max(values.size, _LEAST_VALUES), dtype)
    numbers = buffers[key][: values.size].reshape(values.shape)
    np.copyto(numbers, values)
    return numbers
