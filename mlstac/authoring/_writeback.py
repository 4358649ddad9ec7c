"""Have the system begin to put written bytes on the disk, while more are written.

Linux by itself begins after 30 seconds, or when a tenth of the memory is waiting: all of a shard is then still to be
written when it is flushed, and who flushes waits for the whole of it. ``sync_file_range`` begins at once and returns.
It promises nothing; the flush that follows does, and reports what went wrong.

References
----------
``sync_file_range(2)``; Python has no call for it.
"""

import ctypes
import functools
import sys
from collections.abc import Callable
from typing import Any, Final

_BEGIN: Final = 2
"""SYNC_FILE_RANGE_WRITE: begin, wait for nothing, and take note of no error, which is left to the flush."""


def begin_writeback(descriptor: int, start: int, nbytes: int) -> bool:
    """Begin with a range of a file; whether it was begun, for not every system can."""
    begin = _system_call()
    return begin is not None and begin(descriptor, start, nbytes, _BEGIN) == 0


@functools.cache
def _system_call() -> Callable[..., Any] | None:
    if sys.platform != "linux":
        return None
    call = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if call is None:
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return call  # type: ignore[no-any-return]
