"""Classes of a label tensor, as STAC's classification extension has them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator

from mlstac.collection._base import Model, first_twice, shorten

_NOT_IN_NAMES = re.compile(r"[^0-9A-Za-z_-]+")


class Class(Model):
    """What one value of a label tensor means.

    References
    ----------
    STAC classification extension v2.0.0, "class object".
    """

    value: int
    """The value in the tensor."""

    name: str = Field(pattern="^[0-9A-Za-z_-]+$")
    """Short name for programs: letters, digits, ``-`` and ``_``."""

    title: str | None = None
    """Name for people, such as a legend's."""

    description: str | None = None
    """What belongs to the class."""

    color_hint: str | None = Field(default=None, pattern="^[0-9A-Fa-f]{6}$")
    """Colour to draw the class with: six hexadecimal digits, red, green, blue."""

    nodata: bool | None = None
    """Whether the value stands for no data."""

    count: int | None = Field(default=None, ge=0)
    """How many values of the train split are of the class."""

    percentage: float | None = Field(default=None, ge=0, le=100)
    """Share of the values of the train split that are of the class, in percent."""

    @field_validator("color_hint", mode="before")
    @classmethod
    def _without_hash(cls, value: Any) -> Any:
        return value.removeprefix("#").upper() if isinstance(value, str) else value

    @property
    def label(self) -> str:
        """The class's name for people: the title, else the name."""
        return self.title or self.name


def parse_classes(value: Any) -> Any:
    """Read the ways in which classes may be given: a mapping of value to name, a list of names, or class objects."""
    if isinstance(value, Mapping):
        return _named([(key, text) for key, text in value.items()])
    if isinstance(value, list | tuple) and any(isinstance(item, str) for item in value):
        return _named(list(enumerate(value)))
    return list(value) if isinstance(value, tuple) else value


def check_classes(classes: list[Class]) -> list[Class]:
    """Refuse a value or a name that stands for two classes."""
    for key in ("value", "name"):
        twice = first_twice(getattr(item, key) for item in classes)
        if twice is not None:
            raise ValueError(f"{key} {shorten(twice)} stands for more than one class; give each its own")
    return classes


def _named(pairs: list[tuple[Any, Any]]) -> list[Any]:
    classes: list[Any] = []
    taken: set[str] = set()
    for value, text in pairs:
        if not isinstance(text, str):
            classes.append({"value": value, **text} if isinstance(text, Mapping) else text)
            continue
        name = _NOT_IN_NAMES.sub("-", text).strip("-") or f"class-{value}"
        name = name if name not in taken else f"{name}-{value}"
        taken.add(name)
        classes.append({"value": value, "name": name} | ({"title": text} if text != name else {}))
    return classes
