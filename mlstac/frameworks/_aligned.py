"""Buffers of our own, at addresses that every framework can share."""

import numpy as np
from numpy.typing import NDArray

from mlstac.frameworks._pool import LARGE, Pool

ALIGNMENT = 64
"""Bytes. jax shares host memory from here up, and TensorFlow aborts the process on tensors that lie lower."""


_POOL = Pool()


def allocate(nbytes: int, device: object = None) -> NDArray[np.uint8]:
    """Writable, uninitialised bytes, no one else's, at an address that is a multiple of 64.

    Parameters
    ----------
    nbytes : int
        Bytes wanted.
    device : optional
        Makes no difference; so this is an adapter's ``allocate`` where no device wants memory of its own.

    Returns
    -------
    numpy.ndarray, shape (nbytes,), uint8
        Owns its memory through its base. Large memory is used again once nothing refers to it.
    """
    if nbytes >= LARGE:
        return _POOL.lend(nbytes)
    whole = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -whole.__array_interface__["data"][0] % ALIGNMENT  # ``.ctypes.data`` takes as long as a small read
    return whole[start : start + nbytes]


def is_aligned(buffer: NDArray[np.uint8]) -> bool:
    """Whether the first byte lies at a multiple of 64."""
    return bool(buffer.ctypes.data % ALIGNMENT == 0)


def private(buffer: NDArray[np.uint8], *, owned: bool, aligned: bool = False) -> NDArray[np.uint8]:
    """The buffer itself where a tensor may live on it, else an aligned copy.

    A tensor may live on memory that is ours alone and may be written: a writable tensor over a read-only map kills the
    process at the first write, and one over a buffer that is filled again changes under its user.

    Parameters
    ----------
    buffer : numpy.ndarray, shape (n,), uint8
    owned : bool
        The buffer is fresh and nobody will write to it again.
    aligned : bool
        Copy also where the address is no multiple of 64.
    """
    if owned and buffer.flags.writeable and (not aligned or is_aligned(buffer)):
        return buffer
    copy = allocate(buffer.size)
    copy[:] = buffer
    return copy
