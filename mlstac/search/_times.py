"""When: times of a query as intervals, and CQL2's relations of intervals as expressions over columns."""

import datetime as dt
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from mlstac.errors import InvalidArgumentError, InvalidSampleError
from mlstac.sample import parse_time, to_microseconds

Span = tuple[int | None, int | None]
"""First and last microsecond since 1970 UTC; None is an open end."""

_EXPECTED = "give '2020-06', '2020-06-01/2020-08', '2020-06/..', a datetime, or a pair of them"


def parse_span(value: Any, *, what: str) -> Span:
    """Read a time as STAC's API does: an instant, or an interval, closed, with ``..`` for an open end.

    A year, month or day is the whole of it: ``2020-06/2020-08`` ends with August.

    Raises
    ------
    InvalidArgumentError
        If it is no time, or ends before it begins.
    """
    if isinstance(value, str):
        ends: Sequence[Any] = value.split("/")
    elif isinstance(value, tuple | list):
        ends = value
    else:
        ends = [value]
    if len(ends) not in (1, 2):
        raise InvalidArgumentError(f"{what}={value!r} has {len(ends)} parts; {_EXPECTED}")
    first, last = ends[0], ends[-1]
    start = None if len(ends) == 2 and _is_open(first) else to_microseconds(_read(first, what)[0])
    end = None if len(ends) == 2 and _is_open(last) else to_microseconds(_read(last, what)[1])
    if start is not None and end is not None and end < start:
        raise InvalidArgumentError(f"{what}={value!r} ends before it begins; swap its two ends")
    return start, end


def _is_open(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.strip() in ("", ".."))


def _read(value: Any, what: str) -> tuple[dt.datetime, dt.datetime]:
    try:
        return parse_time(value, what=what)
    except InvalidSampleError as error:
        raise InvalidArgumentError(f"{str(error).partition(';')[0]}; {_EXPECTED}") from None


class Instant(NamedTuple):
    """A moment of a row (an expression) or of the query (microseconds, -inf or inf where open)."""

    value: Any
    kind: pa.DataType | None = None
    """Of an expression."""

    @property
    def is_column(self) -> bool:
        """Whether it is a row's."""
        return self.kind is not None


class Interval(NamedTuple):
    """Two moments, the second no earlier."""

    start: Instant
    end: Instant


def interval_of(span: Span) -> Interval:
    """An interval of the query."""
    start, end = span
    return Interval(Instant(-math.inf if start is None else start), Instant(math.inf if end is None else end))


def literal(microseconds: int, kind: pa.DataType, *, is_end: bool = False) -> Any:
    """A moment of the query as a scalar that compares with a column.

    For a date column it is the day that it falls on; for one of coarser unit than microseconds it is rounded so that
    a closed interval keeps its ends.
    """
    if pa.types.is_date(kind):
        return pa.scalar(dt.date(1970, 1, 1) + dt.timedelta(microseconds=microseconds), pa.date32())
    unit = "us" if kind.unit in ("us", "ns") else kind.unit
    per = {"s": 1_000_000, "ms": 1_000, "us": 1}[unit]
    whole = microseconds // per if is_end else -(-microseconds // per)
    return pa.scalar(whole, pa.timestamp(unit, tz=kind.tz))


def relate(name: str, left: Interval, right: Interval) -> Any:
    """One of CQL2's temporal predicates; null where a column that it speaks of is null.

    Returns
    -------
    pyarrow.compute.Expression or bool
        A bool where both intervals are the query's own.
    """
    found = RELATIONS[name](left.start, left.end, right.start, right.end)
    known = None
    for instant in (*left, *right):
        if instant.is_column:
            known = instant.value.is_valid() if known is None else known & instant.value.is_valid()
    # AND would not do: what is false whatever the time (before an open end) stays false, and its NOT true
    return found if known is None else pc.if_else(known, found, pa.scalar(None, pa.bool_()))


def _before(some: Instant, more: Instant) -> Any:
    return _compare(some, more, lambda a, b: a < b)


def _same(some: Instant, more: Instant) -> Any:
    return _compare(some, more, lambda a, b: a == b)


def _compare(some: Instant, more: Instant, compare: Callable[[Any, Any], Any]) -> Any:
    values = []
    for one, other in ((some, more), (more, some)):
        if one.is_column or not other.is_column:
            values.append(one.value)
        elif math.isinf(one.value):  # an open end is before, or after, whatever a column holds
            return compare(some.value, 0) if one is some else compare(0, more.value)
        else:
            values.append(literal(one.value, other.kind))
    return compare(*(pc.scalar(value) if isinstance(value, pa.Scalar) else value for value in values))


def both(some: Any, more: Any) -> Any:
    """AND of expressions and bools."""
    if isinstance(some, bool):
        return more if some else False
    if isinstance(more, bool):
        return some if more else False
    return some & more


def either(some: Any, more: Any) -> Any:
    """OR of expressions and bools."""
    if isinstance(some, bool):
        return True if some else more
    if isinstance(more, bool):
        return True if more else some
    return some | more


def _not_after(some: Instant, more: Instant) -> Any:
    return either(_before(some, more), _same(some, more))


RELATIONS: dict[str, Callable[[Instant, Instant, Instant, Instant], Any]] = {
    "t_after": lambda s1, _e1, _s2, e2: _before(e2, s1),
    "t_before": lambda _s1, e1, s2, _e2: _before(e1, s2),
    "t_contains": lambda s1, e1, s2, e2: both(_before(s1, s2), _before(e2, e1)),
    "t_disjoint": lambda s1, e1, s2, e2: either(_before(e1, s2), _before(e2, s1)),
    "t_during": lambda s1, e1, s2, e2: both(_before(s2, s1), _before(e1, e2)),
    "t_equals": lambda s1, e1, s2, e2: both(_same(s1, s2), _same(e1, e2)),
    "t_finishedby": lambda s1, e1, s2, e2: both(_before(s1, s2), _same(e1, e2)),
    "t_finishes": lambda s1, e1, s2, e2: both(_before(s2, s1), _same(e1, e2)),
    "t_intersects": lambda s1, e1, s2, e2: both(_not_after(s1, e2), _not_after(s2, e1)),
    "t_meets": lambda _s1, e1, s2, _e2: _same(e1, s2),
    "t_metby": lambda s1, _e1, _s2, e2: _same(s1, e2),
    "t_overlappedby": lambda s1, e1, s2, e2: both(both(_before(s2, s1), _before(s1, e2)), _before(e2, e1)),
    "t_overlaps": lambda s1, e1, s2, e2: both(both(_before(s1, s2), _before(s2, e1)), _before(e1, e2)),
    "t_startedby": lambda s1, e1, s2, e2: both(_same(s1, s2), _before(e2, e1)),
    "t_starts": lambda s1, e1, s2, e2: both(_same(s1, s2), _before(e1, e2)),
}
"""OGC 21-065r2, "Temporal functions": of the starts and ends of two intervals."""


def meets_span(span: Span, schema: pa.Schema) -> pc.Expression:
    """Whether a row's time meets an interval: its start to its end, or its datetime where it has no interval."""
    start, end = span

    def within(first: str, last: str) -> pc.Expression:
        found = pc.field(first).is_valid() & pc.field(last).is_valid()
        if end is not None:
            found = found & (pc.field(first) <= literal(end, schema.field(first).type, is_end=True))
        if start is not None:
            found = found & (pc.field(last) >= literal(start, schema.field(last).type))
        return found

    whole = within("start_datetime", "end_datetime") if _has_interval(schema) else None
    if "datetime" not in schema.names:
        assert whole is not None
        return whole
    instant = within("datetime", "datetime")
    if whole is None:
        return instant
    return whole | (pc.field("start_datetime").is_null() & instant)


def _has_interval(schema: pa.Schema) -> bool:
    return "start_datetime" in schema.names and "end_datetime" in schema.names


def time_columns(schema: pa.Schema) -> list[str]:
    """Columns that say when a row is; none where rows have no time."""
    names = ["start_datetime", "end_datetime"] if _has_interval(schema) else []
    return [*names, *(["datetime"] if "datetime" in schema.names else [])]


def sample_interval(schema: pa.Schema) -> Interval:
    """The time of a row, for a temporal predicate of ``datetime``."""
    kind = schema.field("datetime").type
    instant = pc.field("datetime")
    if not _has_interval(schema):
        return Interval(Instant(instant, kind), Instant(instant, kind))
    start, end = (pc.coalesce(pc.field(name), instant) for name in ("start_datetime", "end_datetime"))
    return Interval(Instant(start, kind), Instant(end, kind))
