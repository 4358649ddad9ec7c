"""Waiting for what threads and processes do in their own time: for the thing itself, and never for a time."""

import gc
import os
import signal
import threading
import time
from contextlib import contextmanager

PATIENCE_S = 60
"""Far longer than anything here takes on the busiest machine; it passes only where something never happens."""


def wait_until(condition, what):
    """Return once a condition holds; an error that names `what` was waited for, if it never does."""
    waiter, ends = threading.Event(), time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > ends:
            names = sorted(thread.name for thread in threading.enumerate())
            raise AssertionError(f"not so after {PATIENCE_S} s: {what}; threads: {', '.join(names)}")
        waiter.wait(0.005)


@contextmanager
def ctrl_c(*, unnoticed=False):
    """Yield a function that presses Ctrl-C for another thread, until this program hears it: which it does once.

    With `unnoticed` the thread that presses takes the signal itself, so that it wakes nobody.

    A signal that comes between Python's last look and a wait for a lock is heard when the wait is over, and no sooner;
    a user presses again. One that comes amid what is called back while garbage is collected is lost, so none is.
    """
    heard = []

    def hear(*_):
        if not heard:
            heard.append(True)
            raise KeyboardInterrupt

    def send():
        if unnoticed:
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        else:
            os.kill(os.getpid(), signal.SIGINT)

    def press():
        wait_until(lambda: heard or send(), "Ctrl-C is heard")

    before, collecting = signal.signal(signal.SIGINT, hear), gc.isenabled()
    gc.disable()
    try:
        yield press
    finally:
        signal.signal(signal.SIGINT, before)
        if collecting:
            gc.enable()
