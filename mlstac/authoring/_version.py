"""The version of the data: how it is counted on when samples are added."""

import re
from typing import Final

from mlstac.errors import InvalidArgumentError

_FIRST: Final = "1.0.0"
_NUMBERS = re.compile(r"(v?)(\d+)(?:\.(\d+))?(?:\.(\d+))?")


def next_version(version: str | None) -> str:
    """The version after samples were added: the second number counts on, and those after it begin again.

    ``1.0.3`` becomes ``1.1.0``, ``2.4`` ``2.5``, ``7`` ``8``; a dataset that said none was 1.0.0.

    Raises
    ------
    InvalidArgumentError
        If it is no such number.

    References
    ----------
    Semantic Versioning 2.0.0: what is added, and breaks nobody, is a minor version.
    """
    match = _NUMBERS.fullmatch(version or _FIRST)
    if match is None:
        raise InvalidArgumentError(
            f"the dataset's version is {version!r}, which cannot be counted on; give that of the new state: version=…"
        )
    prefix, first, second, third = match.groups()
    if second is None:
        return f"{prefix}{int(first) + 1}"
    return f"{prefix}{first}.{int(second) + 1}{'' if third is None else '.0'}"
