"""How long a file lies where nothing names it before it is taken for garbage."""

import math
import re
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Final

from mlstac.authoring._target import Target
from mlstac.collection import say_count
from mlstac.errors import InvalidArgumentError

NOW: Callable[[], float] = time.time
"""Tells the time, in seconds since 1970."""

_UNITS: Final = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_age(age: str | timedelta) -> timedelta:
    """Return a length of time from ``"90min"``, ``"1.5 d"`` or a timedelta.

    Units are s, min, h, d and w. A number alone is refused: nobody could tell seconds from days.

    Raises
    ------
    InvalidArgumentError
        If it is not a length of time, or below zero.
    """
    if isinstance(age, str) and (match := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", age)):
        unit = _UNITS.get(match[2])
        if unit is not None:
            try:
                return timedelta(**{unit: float(match[1])})
            except OverflowError:
                raise InvalidArgumentError(f"older_than={age!r} is longer than time has lasted; write '7d'") from None
    if not isinstance(age, timedelta):
        raise InvalidArgumentError(
            f"older_than={age!r} is not an age; write a number and s, min, h, d or w, such as '12h' or '7d', or give a"
            " datetime.timedelta"
        )
    if age < timedelta():
        raise InvalidArgumentError(f"older_than={age!r} is below zero; give 0s to take files of any age")
    return age


def say_age(age: timedelta) -> str:
    """Return an age as people say it, e.g. ``"1 day"`` or ``"90 minutes"``."""
    for unit in ("days", "hours", "minutes"):
        if age and not age % timedelta(**{unit: 1}):
            return say_count(age // timedelta(**{unit: 1}), unit.removesuffix("s"))
    return f"{age.total_seconds():g} seconds"


def young_among(target: Target, names: Iterable[str], age: timedelta) -> set[str]:
    """The files that are younger than an age, by this machine's clock, or of which nobody tells how old they are."""
    names = list(names)
    if not age or not names:
        return set()
    times, latest = target.times(names), NOW() - age.total_seconds()
    return {name for name in names if times.get(name, math.inf) > latest}
