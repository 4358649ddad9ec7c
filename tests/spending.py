"""How much processor time a piece of a test takes."""

import gc
import time
from contextlib import contextmanager


@contextmanager
def at_most(seconds):
    """Fail if this thread takes longer within, however busy the machine is.

    No garbage is collected meanwhile: a process that holds five frameworks takes half a second for that alone.
    """
    collecting = gc.isenabled()
    gc.disable()
    began = time.thread_time()
    try:
        yield
        spent = time.thread_time() - began
    finally:
        if collecting:
            gc.enable()
    assert spent < seconds
