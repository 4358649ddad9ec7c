"""Whole numbers among arguments, and a named error for what is none."""

from typing import Any

from mlstac.errors import InvalidArgumentError


def whole(name: str, value: Any, *, least: int | None = None) -> int:
    """A whole number that a user gave, of Python or numpy.

    Raises
    ------
    InvalidArgumentError
        If it is none, or less than ``least``.
    """
    try:
        number = int(value.__index__())
    except (AttributeError, TypeError) as error:
        raise InvalidArgumentError(f"{name}={value!r} is no whole number") from error
    if isinstance(value, bool) or (least is not None and number < least):
        raise InvalidArgumentError(
            f"{name}={value!r}; it is a whole number{'' if least is None else f' from {least} on'}"
        )
    return number
