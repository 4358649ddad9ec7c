"""Arrow types of the author's columns: of plain values, and of two fragments of one column."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import pyarrow as pa

from mlstac.errors import InvalidSampleError

__all__ = ["join_kinds", "kind_word", "property_array"]

_TYPES: dict[type, pa.DataType] = {
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    datetime: pa.timestamp("us", tz="UTC"),
    date: pa.date32(),
}


def property_array(values: Sequence[Any], *, name: str) -> pa.Array | None:
    """A column of plain values, or None where all of them are missing (or empty lists).

    Raises
    ------
    InvalidSampleError
        If they are of several kinds, integers and floats apart.
    """
    kinds = {type(value) for value in values} - {type(None)}
    is_list = list in kinds
    if is_list:
        items = {type(item) for value in values if isinstance(value, list) for item in value}
        kinds = (kinds - {list}) | items if kinds == {list} else kinds
    if not kinds or kinds == {list}:
        return None
    if kinds == {int, float}:
        kinds = {float}
        big = [value for value in values if type(value) is int and int(float(value)) != value]
        if big:
            raise InvalidSampleError(
                f"property {name!r} has floats and the integer {big[0]}, which no float holds; give it one kind"
            )
    if len(kinds) > 1:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise InvalidSampleError(
            f"property {name!r} has values of several kinds ({names}); give it one kind in all samples"
        )
    kind = _TYPES[kinds.pop()]
    return pa.array(values, pa.list_(kind) if is_list else kind)


def join_kinds(some: pa.DataType, more: pa.DataType, *, name: str) -> pa.DataType:
    """The type that holds both: integers widen to floats.

    Raises
    ------
    InvalidSampleError
        If there is none.
    """
    if some.equals(more):
        return some
    if {some, more} == {pa.int64(), pa.float64()}:
        return pa.float64()
    if pa.types.is_list(some) and pa.types.is_list(more):
        return pa.list_(join_kinds(some.value_type, more.value_type, name=name))
    raise InvalidSampleError(
        f"property {name!r} is {kind_word(some)} in some samples and {kind_word(more)} in others; "
        "give it one kind in all"
    )


def kind_word(kind: pa.DataType) -> str:
    """What a person calls a column's type."""
    if pa.types.is_list(kind):
        return f"a list of {kind_word(kind.value_type)}"
    words = {pa.bool_(): "a bool", pa.int64(): "an integer", pa.float64(): "a float", pa.string(): "a string"}
    return words.get(kind, "a date" if pa.types.is_date(kind) else "a datetime")
