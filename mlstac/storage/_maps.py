"""Local files as arrays over memory maps that keep no descriptor open.

Before Python 3.13 an ``mmap.mmap`` holds a descriptor of its own as long as it lives, so a dataset of a thousand
shards would meet the usual limit of open files. Where the system has ``mmap(2)``, it is called directly.
"""

import ctypes
import functools
import mmap
import os
import sys
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FAILED = ctypes.c_void_p(-1).value


def map_handle(handle: int, size: int) -> NDArray[np.uint8]:
    """Return an open file of `size` bytes, above zero, as a read-only array; the handle may be closed then.

    Raises
    ------
    OSError
        If it cannot be mapped.
    """
    if sys.version_info >= (3, 13):
        return np.frombuffer(mmap.mmap(handle, size, access=mmap.ACCESS_READ, trackfd=False), np.uint8)
    if os.name != "posix":
        return np.frombuffer(mmap.mmap(handle, size, access=mmap.ACCESS_READ), np.uint8)
    system = _system()
    address = system.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, handle, 0)
    if address == _FAILED:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    memory = (ctypes.c_ubyte * size).from_address(address)
    # when the program ends the system unmaps it all, after the last thread that may still look
    weakref.finalize(memory, system.munmap, address, size).atexit = False
    return np.frombuffer(memoryview(memory).toreadonly(), np.uint8)


@functools.cache
def _system() -> Any:
    system = ctypes.CDLL(None, use_errno=True)
    system.mmap.restype = ctypes.c_void_p
    system.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64)
    system.munmap.restype = ctypes.c_int
    system.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    return system
