"""What every model of the collection shares: named errors, unknown fields kept, one way to JSON."""

from __future__ import annotations

import copy
import datetime as dt
import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo

from mlstac.errors import InvalidArgumentError

SHOWN_ERRORS = 5
SHOWN_CHARS = 80

Location = Sequence[int | str]

# what a pattern means, where the pattern itself would not help
_IN_WORDS: dict[int | str, str] = {
    "license": "an SPDX identifier such as 'CC-BY-4.0', or 'other' with a link of rel 'license'",
    "media_type": "a media type such as 'image/png'",
    "ml:tensors.media_type": "a media type such as 'image/png'",
}

T = TypeVar("T")

_DOCUMENT: dict[str, Any] = {}


class Model(BaseModel):
    """A model whose Python attributes are plain words and whose JSON carries STAC's prefixes.

    Fields that the model does not know are kept and written back as they were. What breaks a field raises
    `InvalidArgumentError`, at construction and at assignment.
    """

    model_config = ConfigDict(
        extra="allow",
        use_attribute_docstrings=True,
        validate_by_name=True,
        validate_by_alias=True,
        validate_assignment=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )

    def __init__(self, /, **data: Any) -> None:
        _check_words(type(self), data)
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise InvalidArgumentError(f"{type(self).__name__}: {render_errors(error)}") from None

    # pydantic then validates nested models without this __init__, so that one error keeps one whole path
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    def __setattr__(self, name: str, value: Any) -> None:
        before = dict(self.__dict__)
        try:
            super().__setattr__(name, value)
        except ValidationError as error:
            # what the fields say together is checked after the assignment, and pydantic leaves it in place
            self.__dict__.clear()
            self.__dict__.update(before)
            raise InvalidArgumentError(f"{type(self).__name__}: {render_errors(error)}") from None

    #: fields that are written even when they hold their default
    _always: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def _from_object(cls, data: Any) -> Self:
        """Make the model of a JSON object: only the JSON names count, other words stay unknown fields.

        Raises
        ------
        pydantic.ValidationError
            The caller knows the document and renders it.
        """
        return cls.model_validate(data, by_alias=True, by_name=False, context=_DOCUMENT)

    def _to_object(self) -> dict[str, Any]:
        """Give the JSON object: JSON names, nothing that is None or empty, unknown fields last as they were."""
        out: dict[str, Any] = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if name not in self._always and (value is None or value in ([], {}, ())):
                continue
            out[field.serialization_alias or name] = to_plain(value)
        out.update(copy.deepcopy(self.model_extra or {}))
        return out


def _check_words(model: type[Model], data: dict[str, Any]) -> None:
    """Refuse a keyword that looks like a slip of the pen: it would quietly become an unknown field."""
    names = model.model_fields
    known = {*names, *(str(field.validation_alias) for field in names.values())}
    for word in data.keys() - known:
        near = [] if ":" in word else difflib.get_close_matches(word, names, n=1, cutoff=0.8)
        if near:
            raise InvalidArgumentError(f"{model.__name__} has no field {word[:60]!r}; did you mean {near[0]!r}?")


def in_document(info: ValidationInfo) -> bool:
    """Tell whether a document is being read: there the format's own form counts, not the shorter ones of authors."""
    return info.context is _DOCUMENT


def to_plain(value: Any) -> Any:
    """Turn models, tuples and times into what JSON has."""
    if isinstance(value, Model):
        return value._to_object()
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, dt.datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value


def first_twice(values: Iterable[T]) -> T | None:
    """Give the first value that comes again, or None; hostile lists are long, so each is looked at once."""
    seen: set[T] = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None


def join_path(location: Location) -> str:
    """Write a place in a document as ``item_assets.input.bands[0].name``."""
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    return path.removeprefix(".") or "(document)"


def shorten(value: Any, limit_chars: int = SHOWN_CHARS) -> str:
    """Give a value's repr, cut where it would fill the screen."""
    text = repr(value[: limit_chars * 2] if isinstance(value, str) else value)
    return text if len(text) <= limit_chars else text[: limit_chars - 1] + "…"


def render_errors(error: ValidationError, *, locate: Callable[[Location], Location] = tuple) -> str:
    """Say in a few words what pydantic found: where, what was expected, what was there, how to mend it.

    Parameters
    ----------
    error : pydantic.ValidationError
        What a model raised.
    locate : callable, optional
        Turns a place in the model into the place in the JSON document.
    """
    # a default that waits for a field which is wrong is not wrong itself
    found = [item for item in error.errors(include_url=False) if item["type"] != "default_factory_not_called"]
    lines = [f"{join_path(locate(item['loc']))}: {_say(item)}" for item in found[:SHOWN_ERRORS]]
    if len(found) > SHOWN_ERRORS:
        lines.append(f"and {len(found) - SHOWN_ERRORS} more")
    return "; ".join(lines)


def _say(item: Any) -> str:
    kind, given = item["type"], item["input"]
    if kind == "missing":
        return "is missing; add it"
    if kind in ("value_error", "assertion_error"):
        return str(item["ctx"]["error"])
    if kind == "none_required":
        return f"expected nothing here, got {shorten(given)}; remove it"
    if kind == "string_pattern_mismatch" and item["loc"] and item["loc"][-1] in _IN_WORDS:
        return f"expected {_IN_WORDS[item['loc'][-1]]}, got {shorten(given)}; change it"
    expected = item["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    return f"expected {expected}, got {shorten(given)}; change it"
