"""The author's own columns: one kind of value each, in every sample."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from mlstac.errors import InvalidSampleError

LARGE = "an integer that no float holds"


class Properties:
    """The kinds that the properties of the samples had so far."""

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {}

    def check(self, properties: Mapping[str, Any], *, sample: str) -> dict[str, str]:
        """Check that each property is of the kind that it was of before; an integer is welcome among floats.

        Returns
        -------
        dict of str to str
            What is new, to be noted once the sample is taken in.

        Raises
        ------
        InvalidSampleError
            If one column would hold values of two kinds.
        """
        found = {}
        for name, value in properties.items():
            kind = _kind(value)
            if kind is None:
                continue
            before = self._kinds.get(name)
            if before == kind:
                continue
            joined = kind if before is None else _join(before, kind)
            if joined is None:
                raise InvalidSampleError(
                    f"property {name!r} of sample {sample!r} is {kind}, but was {before} in the samples before; give it"
                    " one kind in all samples (None where it is not known)"
                )
            found[name] = joined
        return found

    def note(self, kinds: Mapping[str, str]) -> None:
        """Take up what `check` found."""
        self._kinds |= kinds

    def absorb(self, data: Mapping[str, str]) -> None:
        """Take up the kinds of another part.

        Raises
        ------
        InvalidSampleError
            If a property is of another kind there.
        """
        for name, kind in data.items():
            before = self._kinds.get(name)
            joined = kind if before is None else _join(before, kind)
            if joined is None:
                raise InvalidSampleError(
                    f"property {name!r} is {kind}, but was {before} in the parts before; give it one kind"
                )
            self._kinds[name] = joined

    def to_json(self) -> dict[str, str]:
        return dict(self._kinds)

    def restore(self, data: Mapping[str, str]) -> None:
        self._kinds = dict(data)


def _kind(value: Any) -> str | None:
    """A word for the column that holds the value; None where the value says nothing of it."""
    if value is None:
        return None
    if isinstance(value, list):
        kind = None
        for item in value:
            kind = _kind(item) if kind is None else _join(kind, _kind(item) or kind)
        return "a list" if kind is None else f"a list of {kind}"
    if type(value) is int and int(float(value)) != value:
        return LARGE
    for kind, types in (
        ("bool", bool),
        ("int", int),
        ("float", float),
        ("text", str),
        ("datetime", datetime),
        ("date", date),
    ):
        if isinstance(value, types):
            return kind
    return type(value).__name__


def _join(some: str, more: str) -> str | None:
    if some == more:
        return some
    if {some, more} == {"int", "float"}:
        return "float"
    if {some, more} == {"int", LARGE}:
        return LARGE
    prefix = "a list of "
    if some.startswith(prefix) and more.startswith(prefix):
        joined = _join(some.removeprefix(prefix), more.removeprefix(prefix))
        return None if joined is None else prefix + joined
    for empty, other in ((some, more), (more, some)):
        if empty == "a list" and other.startswith("a list"):
            return other
    return None
