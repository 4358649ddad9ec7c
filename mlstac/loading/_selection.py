"""What an index means: an int, or the rows of a slice, a list, an array or a mask, as numpy has it."""

import operator
from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import InvalidArgumentError


def row_of(index: SupportsIndex, count: int) -> int:
    """One row, negative ones counted from the end.

    Raises
    ------
    IndexError
        Past either end.
    """
    row = operator.index(index)
    if not -count <= row < count:
        raise IndexError(f"sample {row} is outside this dataset of {count} samples")
    return row + count if row < 0 else row


def rows_of(key: slice | Sequence[int] | NDArray[Any], count: int) -> NDArray[np.int64]:
    """Rows of a slice, a list or array of integers, or a boolean mask of the dataset's length.

    Raises
    ------
    IndexError
        If a row is outside the dataset, or a mask has another length.
    InvalidArgumentError
        If it is none of these.
    """
    if isinstance(key, slice):
        return np.arange(*key.indices(count), dtype=np.int64)
    array = np.asarray(key)
    if array.size == 0 and array.ndim == 1 and array.dtype != bool:
        return np.zeros(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "biu":
        raise InvalidArgumentError(
            f"cannot index a dataset with {key!r}: give an int, a slice, a list or 1-D array of ints, or a mask"
        )
    if array.dtype == bool:
        if len(array) != count:
            raise IndexError(f"a mask of {len(array)} entries does not fit this dataset of {count} samples")
        return np.flatnonzero(array)
    rows = array.astype(np.int64)
    # one operation: each takes ten times as long just after a batch, which left nothing else in the caches. As unsigned
    # numbers negative ones are the largest, and those that do not fit int64 are what they were
    if int(rows.view(np.uint64).max()) < count:
        return rows
    outside = (array < -count) | (array >= count)
    if outside.any():
        raise IndexError(f"sample {int(array[outside][0])} is outside this dataset of {count} samples")
    return np.where(rows < 0, rows + count, rows)


def is_single(key: object) -> bool:
    """Whether a key means one sample: an int of Python or numpy, or an array without axes; True and False do not."""
    if isinstance(key, bool | np.bool_ | slice | str | bytes | list | tuple):
        return False
    if isinstance(key, np.ndarray) and key.ndim:
        return False
    try:
        operator.index(key)  # type: ignore[arg-type]
    except TypeError:
        return False
    return True
