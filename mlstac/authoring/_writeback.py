"""Have the system begin to put written bytes on the disk, while more are written.

Linux by itself begins after 30 seconds, or when a tenth of the memory is waiting: all of a shard is then still to be
written when it is flushed, and who flushes waits for the whole of it. ``sync_file_range`` begins at once and returns.
It promises nothing; the flush that follows does. Where pages could not even be sent, the flush may find none left to
write: that is an error at once.

References
----------
``sync_file_range(2)``; Python has no call for it.
"""

import ctypes
import errno
import functools
import os
import sys
from collections.abc import Callable
from typing import Any, Final

_BEGIN: Final = 2
"""SYNC_FILE_RANGE_WRITE: begin, wait for nothing, and take note of no earlier error, which is left to the flush."""

_LOST: Final = {errno.EIO, errno.ENOSPC, errno.EDQUOT}
"""What went wrong with the bytes; anything else says that the system, or the file, does not know the call."""


def begin_writeback(descriptor: int, start: int, nbytes: int) -> bool:
    """Begin with a range of a file; whether it was begun, for not every system can.

    Raises
    ------
    OSError
        If the bytes cannot be written: the disk is full, or broken.
    """
    begin = _system_call()
    if begin is None:
        return False
    if begin(descriptor, start, nbytes, _BEGIN) == 0:
        return True
    number = ctypes.get_errno()
    if number in _LOST:
        raise OSError(number, os.strerror(number))
    return False


@functools.cache
def _system_call() -> Callable[..., Any] | None:
    if sys.platform != "linux":
        return None
    try:
        call = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)
    except OSError:  # a Python that is linked statically loads nothing
        return None
    if call is None:
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return call  # type: ignore[no-any-return]
