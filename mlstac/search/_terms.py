"""Operands of a condition: a column, a value or what is made of them, each of a kind that comparisons can trust."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from mlstac.errors import InvalidArgumentError
from mlstac.search._times import Span, literal
from mlstac.search._words import no_column

MAX_EXACT = 2**53
"""The parser gives numbers as floats, which hold every integer up to here."""

MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "<>": "<>"}

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


class Term(NamedTuple):
    """One operand."""

    kind: str
    """number, text, bool, time, date, list, geometry, other."""
    said: str
    """What the query calls it, for messages."""
    expression: Any = None
    """Of a column or a computed value; None of a value that the query gives."""
    value: Any = None
    """Given by the query: a float, str or bool; of a time its `Span`."""
    type: pa.DataType | None = None
    """Of a column."""
    column: str | None = None
    """Path of the column's leaf."""

    @property
    def is_value(self) -> bool:
        """Whether the query gives it."""
        return self.expression is None


def column_term(name: str, schema: pa.Schema) -> Term:
    """A column by its name; ``properties.`` in front, as a STAC API has it, is left out; dots go into structs.

    Raises
    ------
    NotFoundError
        If there is none; lists those that there are.
    """
    path = _find_path(name, schema) or _find_path(name.removeprefix("properties."), schema)
    if path is None:
        raise no_column(name, schema.names, said="where=")
    field = schema.field(path[0])
    kind = field.type
    for step in path[1:]:
        kind = kind.field(step).type
    return Term(_kind_of(kind, path), name, pc.field(*path), type=kind, column=".".join(path))


def _find_path(name: str, schema: pa.Schema) -> tuple[str, ...] | None:
    """Steps to a column; names may have dots of their own, so the longest that fits is taken at each step."""
    if name in schema.names:
        return (name,)
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        first = ".".join(parts[:end])
        if first in schema.names and pa.types.is_struct(schema.field(first).type):
            inner = _find_path(".".join(parts[end:]), pa.schema(list(schema.field(first).type)))
            if inner is not None:
                return (first, *inner)
    return None


def _kind_of(kind: pa.DataType, path: tuple[str, ...]) -> str:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if path == ("geometry",) and (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        return "geometry"
    for word, tests in (
        ("bool", (pa.types.is_boolean,)),
        ("number", (pa.types.is_integer, pa.types.is_floating)),
        ("text", (pa.types.is_string, pa.types.is_large_string)),
        ("time", (pa.types.is_timestamp,)),
        ("date", (pa.types.is_date,)),
        ("list", (pa.types.is_list, pa.types.is_large_list)),
    ):
        if any(test(kind) for test in tests):
            return word
    return "other"


def compare(op: str, left: Term, right: Term, *, read_time: Callable[[Term], Span]) -> Any:
    """A comparison of two operands, as an expression.

    A day, month or year given for a time is the whole of it: ``<`` is before its first microsecond, ``<=`` up to its
    last, ``=`` within.

    Raises
    ------
    InvalidArgumentError
        If they are not of one kind that can be compared so.
    """
    if left.is_value and not right.is_value:
        return compare(MIRRORED[op], right, left, read_time=read_time)
    if left.kind in ("time", "date") and right.is_value and right.kind in ("time", "text"):
        return _compare_time(op, left, read_time(right))
    if left.kind != right.kind or left.kind in ("list", "geometry", "other"):
        raise InvalidArgumentError(
            f"where= compares {left.said} ({_word(left)}) with {right.said} ({_word(right)}); compare like with like"
        )
    if left.kind == "bool" and op not in ("=", "<>"):
        raise InvalidArgumentError(f"where= orders {left.said} and {right.said}, which are true or false; use = or <>")
    if left.is_value:
        return _COMPARE[op](pc.scalar(left.value), pc.scalar(right.value))
    if left.kind == "number" and right.is_value and _is_integer(left) and not float(right.value).is_integer():
        return _compare_between(op, left.expression, float(right.value))
    if left.kind == "number" and not right.is_value and _is_integer(left) != _is_integer(right):
        return _COMPARE[op](as_float(left), as_float(right))
    return _COMPARE[op](left.expression, scalar_for(left, right))


def _compare_between(op: str, column: Any, value: float) -> Any:
    """Integers and a number between two of them, as integers: a cast would end at the first that no float holds."""
    if op in ("=", "<>"):
        return pc.if_else(column.is_valid(), pc.scalar(op == "<>"), pa.scalar(None, pa.bool_()))
    below = pa.scalar(math.floor(value), pa.int64())
    return column > below if op in (">", ">=") else column <= below


def as_float(term: Term) -> Any:
    """A number as the language has them; an integer past 2^53 is the nearest, as in every comparison with a float."""
    if term.is_value:
        return pc.scalar(float(term.value))
    return term.expression.cast(pa.float64(), safe=False) if _is_integer(term) else term.expression


def _is_integer(term: Term) -> bool:
    return term.type is not None and pa.types.is_integer(term.type)


def _compare_time(op: str, left: Term, span: Span) -> Any:
    start, end = span
    assert start is not None
    assert end is not None
    assert left.type is not None
    if pa.types.is_date(left.type) and start == end:
        raise InvalidArgumentError(
            f"where= compares {left.said}, a date without time of day, with an instant; give a DATE('2020-06-01')"
        )
    x, first, last = left.expression, literal(start, left.type), literal(end, left.type, is_end=True)
    if op == "<":
        return x < first
    if op == "<=":
        return x <= last
    if op == ">":
        return x > last
    if op == ">=":
        return x >= first
    within = (x >= first) & (x <= last)
    return within if op == "=" else ~within


def scalar_for(left: Term, right: Term) -> Any:
    """The right operand, a value made to fit the left: integers for a column of integers, so that they are exact.

    Raises
    ------
    InvalidArgumentError
        For an integer that the parser's floats do not hold.
    """
    if not right.is_value:
        return right.expression
    value = right.value
    if right.kind == "number" and _is_integer(left):
        return pa.scalar(exact_integer(left, value), pa.int64())
    return pa.scalar(value)


def exact_integer(column: Term, value: float) -> int:
    """An integral value for a column of integers."""
    if abs(value) >= MAX_EXACT:
        raise InvalidArgumentError(
            f"where= compares {column.said} with {value:.17g}: integers past 2^53 lose digits in CQL2's numbers; "
            "keep such numbers as text, or choose rows with ds.subset"
        )
    return int(value)


def _word(term: Term) -> str:
    words = {"text": "text", "bool": "true or false", "other": str(term.type)}
    return words.get(term.kind, f"a {term.kind}")
