"""A batch on its way to a device."""

from collections.abc import Callable
from typing import Any


class Transfer:
    """A batch that `begin_transfer` has sent on its way; `wait` hands it over.

    Begin it in the thread that prepares batches, one batch ahead, and wait in the thread that uses them: so the copy of
    the next batch hides behind the work on this one.

    Parameters
    ----------
    batch : dict of str to tensor, list or anything else
        What `wait` returns.
    finish : callable, optional
        Called once, by the first `wait`, in the thread of the consumer.
    """

    def __init__(self, batch: dict[str, Any], finish: Callable[[], None] | None = None) -> None:
        self._batch = batch
        self._finish = finish

    def wait(self) -> dict[str, Any]:
        """Return the batch, ready for use in the calling thread."""
        finish, self._finish = self._finish, None
        if finish is not None:
            finish()
        return self._batch


def map_tensors(value: Any, owns: Callable[[object], bool], change: Callable[[Any], Any]) -> Any:
    """Apply a function to every tensor of a batch, inside lists and dicts too, and leave all else as it is."""
    if owns(value):
        return change(value)
    if isinstance(value, dict):
        return {key: map_tensors(item, owns, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map_tensors(item, owns, change) for item in value)
    return value
