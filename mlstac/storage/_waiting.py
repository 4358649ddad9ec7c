"""Waiting in a way that Ctrl-C ends."""

from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

Result = TypeVar("Result")

LOOK_S = 1.0
"""Who waits looks up so often: a signal that came just before a wait is heard only when it is over."""


def result_of(future: "Future[Result]") -> Result:
    """What a future's ``result`` gives or raises, once it is done."""
    while not future.done():
        with suppress(TimeoutError):  # of this wait; one of the future's own is raised below
            return future.result(LOOK_S)
    return future.result()
