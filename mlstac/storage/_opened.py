"""A file of a store that is open: whatever is read from it comes whole, or as an error of ours."""

from collections.abc import Callable
from typing import Any, Self


class Opened:
    """A file to read from here and there, as Arrow and decoders take it.

    What a filesystem lends is opened with one request and read with others, and those fail as its client has it:
    unheard by who wrapped the first.

    Parameters
    ----------
    file : file
        Of a filesystem.
    attempt : callable
        Calls what it is given, again where that may help, and raises errors of ours.
    """

    def __init__(self, file: Any, attempt: Callable[[Callable[[], bytes]], bytes]) -> None:
        self._file = file
        self._attempt = attempt

    def read(self, size: int = -1) -> bytes:
        """Read so many bytes from where it is, or all that are left."""
        start = self._file.tell()

        def again() -> bytes:
            self._file.seek(start)
            return bytes(self._file.read(size))

        return self._attempt(again)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
