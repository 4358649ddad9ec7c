"""A tree of CQL2 as expressions over a catalog's columns."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlstac.errors import InvalidArgumentError
from mlstac.search._geometry import box_region, meets_bounds, parse_bbox, parse_region
from mlstac.search._terms import Term, as_float, column_term, compare, exact_integer
from mlstac.search._tests import LISTS, SPATIAL, Test, list_test, spatial_test
from mlstac.search._times import (
    RELATIONS,
    Instant,
    Interval,
    Span,
    interval_of,
    parse_span,
    relate,
    sample_interval,
)
from mlstac.search._words import plain

_COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")
_ARITHMETIC = ("+", "-", "*", "/", "%", "div", "^")
_TEXT = ("casei", "accenti")
SUPPORTED = (
    *("and", "or", "not", *_COMPARISONS, "between", "in", "like", "isNull"),
    *(*_TEXT, *_ARITHMETIC, *SPATIAL, *RELATIONS, *LISTS),
)
"""Operators and functions of CQL2 that are known here."""


class Translator:
    """Makes expressions of trees; conditions that Arrow has no expression for are gathered in `tests`.

    Parameters
    ----------
    schema : pyarrow.Schema
        Of the catalog.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.columns: dict[str, None] = {}
        """Paths of the leaves that expressions read."""
        self.tests: list[Test] = []

    def split(self, tree: Any) -> list[tuple[Any, Any, bool]]:
        """The conditions that must all hold: each with what its rows have besides, or None, and if it has tests."""
        if isinstance(tree, dict) and tree.get("op") == "and":
            return [found for arg in tree["args"] for found in self.split(arg)]
        before = len(self.tests)
        condition = self.condition(tree)
        tested = len(self.tests) > before
        return [(condition, self._bounds_of(tree) if tested else None, tested)]

    def condition(self, tree: Any) -> Any:
        """A tree that is true, false or null of a row.

        Raises
        ------
        InvalidArgumentError, NotFoundError
            If it uses what is not known here, or a column that is not there.
        """
        if isinstance(tree, bool):
            return pc.scalar(tree)
        name = _op(tree)
        args: Sequence[Any] = tree["args"] if name else ()
        if name in ("and", "or"):
            found = self.condition(args[0])
            for arg in args[1:]:
                more = self.condition(arg)
                found = found & more if name == "and" else found | more
            return found
        if name == "not":
            return ~self.condition(args[0])
        if name in _COMPARISONS:
            return compare(name, *map(self.operand, _count(args, 2, name)), read_time=_span_of)
        if name == "between":
            term, low, high = map(self.operand, _count(args, 3, name))
            return compare(">=", term, low, read_time=_span_of) & compare("<=", term, high, read_time=_span_of)
        if name == "in":
            return self._in(*_count(args, 2, name))
        if name == "like":
            return self._like(*_count(args, 2, name))
        if name == "isNull":
            return self._is_null(args[0])
        if name.lower() in SPATIAL:
            return self._add(self._spatial(name.lower(), *_count(args, 2, name)))
        if name.lower() in RELATIONS:
            left, right = (self._interval(arg) for arg in _count(args, 2, name))
            found = relate(name.lower(), left, right)
            return pc.scalar(found) if isinstance(found, bool) else found
        if name.lower() in LISTS:
            return self._add(self._list(name.lower(), *_count(args, 2, name)))
        term = self.operand(tree)
        if term.kind != "bool" or term.is_value:
            raise InvalidArgumentError(
                f"where= has {term.said} where a condition is expected, as in 'cloud_cover < 10'"
            )
        return term.expression

    def operand(self, tree: Any) -> Term:
        """A tree that is a value of a row, or of the query."""
        if tree is None:
            raise InvalidArgumentError("where= compares with NULL, which is never true; write IS NULL or IS NOT NULL")
        if isinstance(tree, bool):
            return Term("bool", str(tree).upper(), value=tree)
        if isinstance(tree, int | float):
            return Term("number", f"{tree:g}", value=float(tree))
        if isinstance(tree, str):
            return Term("text", repr(tree), value=tree)
        if isinstance(tree, dict) and "property" in tree:
            return self._column(tree["property"])
        if isinstance(tree, dict) and ("date" in tree or "timestamp" in tree):
            text = tree.get("date", tree.get("timestamp"))
            return Term("time", str(text), value=parse_span(text, what="where"))
        name = _op(tree)
        if name in _ARITHMETIC:
            return self._arithmetic(name, tree["args"])
        if name in _TEXT:
            return self._text(name, *_count(tree["args"], 1, name))
        if name and name not in SUPPORTED:
            raise InvalidArgumentError(f"where= uses {name}, which is not known here; known are {', '.join(SUPPORTED)}")
        raise InvalidArgumentError(f"where= has {_show(tree)} where a column or a value is expected")

    def _column(self, name: str) -> Term:
        term = column_term(name, self.schema)
        assert term.column is not None
        self.columns[term.column] = None
        return term

    def _add(self, test: Test) -> Any:
        self.tests.append(test)
        return pc.field(test_name(len(self.tests) - 1))

    def _in(self, tree: Any, items: Any) -> Any:
        term = self.operand(tree)
        values = [self.operand(item) for item in (items if isinstance(items, list) else [items])]
        if term.is_value or any(not value.is_value for value in values):
            raise InvalidArgumentError("where= has an IN that is not of a column and a list of values")
        if term.kind in ("time", "date"):
            found = compare("=", term, values[0], read_time=_span_of)
            for value in values[1:]:
                found = found | compare("=", term, value, read_time=_span_of)
            return found
        for value in values:
            compare("=", term, value, read_time=_span_of)  # refuses what is of another kind
        wanted: list[Any] = [value.value for value in values]
        kind = {"text": pa.string(), "number": pa.float64(), "bool": pa.bool_()}[term.kind]
        if term.type is not None and pa.types.is_integer(term.type):
            wanted, kind = [exact_integer(term, value) for value in wanted if float(value).is_integer()], pa.int64()
        # is_in says false of null; CQL2, as SQL, null: so that NOT IN is not true of it either
        return term.expression.isin(pa.array(wanted, kind)) | (term.expression.is_null() & pa.scalar(None, pa.bool_()))

    def _like(self, tree: Any, pattern: Any) -> Any:
        term, wanted = self.operand(tree), self.operand(pattern)
        if term.is_value or not wanted.is_value or {term.kind, wanted.kind} != {"text"}:
            raise InvalidArgumentError(
                f"where= has {term.said} LIKE {wanted.said}; expected a column of text and a pattern such as 'Fo%'"
            )
        return pc.match_like(term.expression, wanted.value)

    def _is_null(self, tree: Any) -> Any:
        return self.operand(tree).expression.is_null() if not _is_value(tree) else pc.scalar(tree is None)

    def _arithmetic(self, name: str, args: Sequence[Any]) -> Term:
        terms = [self.operand(arg) for arg in args]
        wrong = [term.said for term in terms if term.kind != "number"]
        if wrong:
            raise InvalidArgumentError(f"where= reckons ({name}) with {wrong[0]}, which is no number")
        said = f" {name} ".join(term.said for term in terms)
        parts = [as_float(term) for term in terms]
        if len(parts) == 1:  # a sign
            return Term("number", said, parts[0] * -1.0 if name == "-" else parts[0])
        found = parts[0]
        for part in parts[1:]:
            found = _reckon(name, found, part)
        return Term("number", said, found)

    def _text(self, name: str, tree: Any) -> Term:
        term = self.operand(tree)
        if term.kind != "text":
            raise InvalidArgumentError(f"where= has {name.upper()} of {term.said}, which is no text")
        given = pa.scalar(term.value) if term.is_value else term.expression
        changed = pc.utf8_lower(given) if name == "casei" else _without_accents(given)
        said = f"{name.upper()}({term.said})"
        return Term("text", said, value=changed.as_py()) if term.is_value else Term("text", said, changed)

    def _interval(self, tree: Any) -> Interval:
        if isinstance(tree, dict) and "interval" in tree:
            ends = [None if end == ".." else end for end in _count(tree["interval"], 2, "INTERVAL")]
            start, end = (self._instants(end) for end in ends)
            return Interval(
                start.start if ends[0] is not None else interval_of((None, None)).start,
                end.end if ends[1] is not None else interval_of((None, None)).end,
            )
        return self._instants(tree)

    def _instants(self, tree: Any) -> Interval:
        """The time of an operand, first and last."""
        if tree is None:
            return interval_of((None, None))
        term = self.operand(tree)
        if term.is_value:
            return interval_of(_span_of(term))
        if term.kind not in ("time", "date"):
            raise InvalidArgumentError(f"where= asks when {term.said} is, which is no time")
        if term.column == "datetime":
            self.columns |= dict.fromkeys(
                name for name in ("start_datetime", "end_datetime") if name in self.schema.names
            )
            return sample_interval(self.schema)
        instant = Instant(term.expression, term.type)
        return Interval(instant, instant)

    def _spatial(self, name: str, some: Any, more: Any) -> Test:
        for this, other, own in ((some, more, name), (more, some, _TURN.get(name, name))):
            if isinstance(this, dict) and "property" in this and isinstance(other, dict) and "property" not in other:
                if column_term(this["property"], self.schema).kind != "geometry":
                    raise InvalidArgumentError(f"where= asks where {this['property']} is; the place is geometry")
                return spatial_test(own, _region(other))
        raise InvalidArgumentError(
            f"where= has {name.upper()} that is not of geometry and a region such as BBOX(0,0,1,1)"
        )

    def _list(self, name: str, tree: Any, items: Any) -> Test:
        if isinstance(tree, list) and isinstance(items, dict):
            turned = {"a_contains": "a_containedby", "a_containedby": "a_contains"}
            return self._list(turned.get(name, name), items, tree)
        if not (isinstance(tree, dict) and "property" in tree) or isinstance(items, dict):
            raise InvalidArgumentError(f"where= has {name.upper()} that is not of a column and a list of values")
        term = column_term(tree["property"], self.schema)
        if term.kind != "list" or term.type is None:
            raise InvalidArgumentError(f"where= has {name.upper()} of {term.said}, which holds no lists")
        values = items if isinstance(items, list) else [items]
        kind = term.type.value_type
        try:
            if pa.types.is_integer(kind):
                if not all(float(value).is_integer() for value in values):
                    raise TypeError
                values = [exact_integer(term, value) for value in values]
            return list_test(name, str(term.column), values, kind)
        except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError, TypeError) as error:
            if isinstance(error, InvalidArgumentError):
                raise
            raise InvalidArgumentError(
                f"where= looks for {plain(values)} in {term.said}, whose items are {kind}"
            ) from None

    def _bounds_of(self, tree: Any) -> Any:
        """What the bounding box of a row says of a spatial predicate beforehand."""
        name = _op(tree).lower()
        if name not in SPATIAL or name == "s_disjoint" or "bbox" not in self.schema.names:
            return None
        [region] = [_region(arg) for arg in tree["args"] if "property" not in arg]
        return meets_bounds(region)


_TURN = {"s_contains": "s_within", "s_within": "s_contains"}


def test_name(number: int) -> str:
    """Column that a test's answers are put in."""
    return f"mlstac:test:{number}"


def _op(tree: Any) -> str:
    name = tree.get("op") if isinstance(tree, dict) else None
    return name if isinstance(name, str) and isinstance(tree.get("args"), list) else ""


def _count(args: Sequence[Any], number: int, name: str) -> Sequence[Any]:
    if len(args) != number:
        raise InvalidArgumentError(f"where= has {name} of {len(args)} operands; it takes {number}")
    return args


def _is_value(tree: Any) -> bool:
    return tree is None or isinstance(tree, bool | int | float | str)


def _span_of(term: Term) -> Span:
    """The first and last moment of a time that the query gives."""
    if term.kind == "time" and term.is_value:
        span: Span = term.value
        return span
    if term.kind == "text" and term.is_value and "/" not in term.value:
        return parse_span(term.value, what="where")
    raise InvalidArgumentError(
        f"where= has {term.said} where a time is expected, such as TIMESTAMP('2020-06-01T10:30:00Z')"
    )


def _region(tree: Any) -> Any:
    if "bbox" in tree:
        return box_region(parse_bbox(tree["bbox"], what="where"))
    return parse_region(tree, what="where")


def _reckon(name: str, some: Any, more: Any) -> Any:
    if name == "+":
        return some + more
    if name == "-":
        return some - more
    if name == "*":
        return some * more
    if name == "^":
        return pc.power(some, more)
    # Arrow ends a whole query at one row with a zero; what comes of that row alone is not known.
    parts = pc.divide(some, pc.if_else(more == 0.0, pa.scalar(None, pa.float64()), more))
    if name == "/":
        return parts
    whole = pc.trunc(parts)
    return whole if name == "div" else some - whole * more


def _without_accents(text: Any) -> Any:
    return pc.replace_substring_regex(pc.utf8_normalize(text, form="NFD"), pattern=r"\p{Mn}", replacement="")


def _show(tree: Any) -> str:
    text = str(tree)
    return text if len(text) <= 80 else text[:79] + "…"
