"""Waiting for what threads and processes do in their own time: for the thing itself, and never for a time."""

import threading
import time

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
