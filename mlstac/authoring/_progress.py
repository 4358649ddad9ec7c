"""The progress bar: rate, time left, bytes; silent where nobody looks."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Progress:
    """Counts samples on stderr with tqdm; without a terminal it does nothing, and tqdm is not even imported."""

    def __init__(self, *, shown: bool | None = None, total: int | None = None) -> None:
        self._bar: Any = None
        if shown if shown is not None else sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(unit=" samples", total=total, smoothing=0.1, dynamic_ncols=True)

    def expect(self, total: int | None) -> None:
        """Say how many samples there will be, where that is known."""
        if self._bar is not None:
            self._bar.total = total

    def add(self, split: str, n: int = 1) -> None:
        if self._bar is not None:
            if self._bar.desc != f"{split}: ":
                self._bar.set_description(split, refresh=False)
            self._bar.update(n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _draw_nothing(count: int) -> None:
    """Take a count of bytes, where nobody looks."""


@contextmanager
def bytes_bar(total: int, doing: str, *, shown: bool | None = None) -> Iterator[Callable[[int], object]]:
    """Lend a callable that is told of bytes as they are dealt with; they are drawn where somebody looks."""
    if not (shown if shown is not None else sys.stderr.isatty()):
        yield _draw_nothing
        return
    from tqdm import tqdm

    with tqdm(total=total, unit="B", unit_scale=True, desc=doing, dynamic_ncols=True) as bar:
        yield bar.update


@contextmanager
def sending(total: int, progress: bool | None) -> Iterator[Callable[[int], object]]:
    """Lend what is told of bytes as they are sent, from any thread, and draws them."""
    lock = threading.Lock()
    with bytes_bar(total, "upload", shown=progress) as bar:

        def sent(count: int) -> None:
            with lock:
                bar(count)

        yield sent
