"""Stored bytes against ``ml:checksum``: no wrong byte reaches a model."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import ChecksumError
from mlstac.sample import checksum

Bytes = NDArray[np.uint8]
Integers = NDArray[np.int64]
Namer = Callable[[int], str]
"""Says of a row of the batch which sample it is, and in which shard."""


def verify_rows(tensor: str, place: Callable[[int], Bytes], rows: Integers, expected: Integers, name: Namer) -> None:
    """Check rows that each have a checksum of their own; -1 means that the catalog has none.

    Raises
    ------
    ChecksumError
    """
    for row, wanted in zip(rows.tolist(), expected.tolist(), strict=True):
        if wanted >= 0 and checksum(place(row)) != wanted:
            raise _wrong(tensor, name(row), row)


def verify_blocks(tensor: str, block: Callable[[int], Bytes], rows: Integers, expected: Integers, name: Namer) -> None:
    """Check blocks, each by one row that is in it.

    Raises
    ------
    ChecksumError
    """
    for row, wanted in zip(rows.tolist(), expected.tolist(), strict=True):
        if wanted >= 0 and checksum(block(row)) != wanted:
            raise _wrong(tensor, f"{name(row)}, or a neighbour that shares its checksum,", row)


def verify_frame(tensor: str, stored: Bytes, row: int, expected: int, name: Namer) -> None:
    """Check a frame of a compressed shard by one row that is in it.

    Raises
    ------
    ChecksumError
    """
    if expected >= 0 and checksum(stored.data) != expected:
        raise _wrong(tensor, name(row), row)


def _wrong(tensor: str, where: str, row: int) -> ChecksumError:
    error = ChecksumError(
        f"tensor {tensor!r} of {where} is not what was written: its bytes do not match ml:checksum; "
        "fetch the shard again, and if that does not help tell the dataset's authors"
    )
    vars(error).update(placed=True, wrong=(tensor, row))  # the message names the sample
    return error
