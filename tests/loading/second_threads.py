"""An end to second threads between tests, those too that have done their work and have yet to say that they wait."""

import gc
from contextlib import contextmanager

from mlstac.loading import _pieces
from tests.waiting import wait_until


def _end(seconds):
    wait_until(
        lambda: all(second in _pieces._WAITING or not second._gone.locked() for second in seconds),
        "every second thread waits for more work, or has ended",
    )
    _pieces._end_waiting()


def end_those_of_others():
    """End those that tests of other files began."""
    # by type: what `isinstance` asks, some objects of torch answer with a warning
    _end([one for one in gc.get_objects() if issubclass(type(one), _pieces._Second)])


@contextmanager
def ended_afterwards(monkeypatch):
    """End those that are begun meanwhile."""
    begun = []

    class Second(_pieces._Second):
        def __init__(self, work):
            super().__init__(work)
            begun.append(self)

    monkeypatch.setattr(_pieces, "_Second", Second)
    yield
    _end(begun)
