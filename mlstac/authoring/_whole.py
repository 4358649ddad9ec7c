"""Work that is done whole or not at all."""

from types import TracebackType
from typing import Self

from mlstac.errors import StateError


class Whole:
    """A ``with`` block that marks as broken what it was left half-way in, by Ctrl-C too: that is never committed."""

    def __init__(self) -> None:
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._error = error

    def check(self) -> None:
        """Raise StateError where an earlier block was left half-way."""
        if self._error is not None:
            said = str(self._error) or "interrupted"
            raise StateError(f"an earlier sample or shard was not taken in whole: {said}") from self._error
