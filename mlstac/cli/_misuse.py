"""What is no use of a command: exit status 2, as that of the words and numbers that the parser refuses."""

from collections.abc import Iterator
from contextlib import contextmanager

from mlstac.errors import InvalidArgumentError


class MisuseError(InvalidArgumentError):
    """A value on the command line that nobody can read."""


@contextmanager
def reading() -> Iterator[None]:
    """Read a value of the command line: what cannot be meant by it is misuse, and said before anything is done."""
    try:
        yield
    except InvalidArgumentError as error:
        raise MisuseError(str(error)) from None
