"""Times as people give them, made into UTC instants and intervals."""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np

from mlstac.errors import InvalidSampleError

__all__ = ["EPOCH", "Interval", "parse_time", "to_microseconds"]

Interval = tuple[datetime, datetime]
"""First and last instant, both of UTC; equal for an instant."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}|\d{8}")
_MONTH = re.compile(r"\d{4}-\d{2}")
_YEAR = re.compile(r"\d{4}")
_EXPECTED = "give a datetime, a date, an ISO 8601 string such as '2020-06-01T10:30:00Z', numpy.datetime64 or Timestamp"


def to_microseconds(instant: datetime) -> int:
    """Microseconds since 1970-01-01T00:00:00Z, exact."""
    return (instant - EPOCH) // _MICROSECOND


def parse_time(value: Any, *, what: str) -> Interval:
    """Read a time; the whole of it where it is a day, a month or a year.

    Parameters
    ----------
    value : datetime, date, str, numpy.datetime64 or pandas.Timestamp
        Without a zone it is UTC; a date is the whole day, from its first to its last microsecond.
    what : str
        Where it was found, for messages.

    Raises
    ------
    InvalidSampleError
        If it is no time, or not one (NaT).
    """
    if isinstance(value, np.datetime64):
        return _parse_numpy(value, what)
    if isinstance(value, datetime):  # pandas.Timestamp too
        if value != value:  # NaT is no datetime, but an instance of the class
            raise InvalidSampleError(f"{what} is NaT; leave it out where the time is unknown")
        return _instant(value)
    if isinstance(value, date):
        return _day(value)
    if isinstance(value, str):
        return _parse_text(value.strip(), what)
    raise InvalidSampleError(f"{what} is of type {type(value).__name__}; {_EXPECTED}")


def _instant(value: datetime) -> Interval:
    if type(value) is not datetime:  # pandas.Timestamp carries nanoseconds, which neither STAC nor we keep
        value = datetime(
            *(value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond),
            tzinfo=value.tzinfo,
        )
    instant = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return instant, instant


def _day(value: date) -> Interval:
    return datetime.combine(value, time.min, UTC), datetime.combine(value, time.max, UTC)


def _span(year: int, first_month: int, last_month: int) -> Interval:
    following = date(year + last_month // 12, last_month % 12 + 1, 1)
    return _day(date(year, first_month, 1))[0], _day(following - timedelta(days=1))[1]


def _parse_text(text: str, what: str) -> Interval:
    if "/" in text[:80]:
        raise InvalidSampleError(f"{what} {text[:80]!r} is an interval; give start_datetime= and end_datetime=")
    try:
        if _DAY.fullmatch(text):
            return _day(date.fromisoformat(text))
        if _MONTH.fullmatch(text):
            return _span(int(text[:4]), int(text[5:]), int(text[5:]))
        if _YEAR.fullmatch(text):
            return _span(int(text), 1, 12)
        return _instant(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise InvalidSampleError(f"{what} {text[:80]!r} is no ISO 8601 time; {_EXPECTED}") from None


def _parse_numpy(value: np.datetime64, what: str) -> Interval:
    if np.isnat(value):
        raise InvalidSampleError(f"{what} is NaT; leave it out where the time is unknown")
    unit = np.datetime_data(value.dtype)[0]
    if unit == "generic":
        raise InvalidSampleError(f"{what} {value} has no unit; {_EXPECTED}")
    # Years, months, weeks and days are spans; their ISO text says which, but for a week, which is its 7 days.
    if unit == "W":
        first = value.astype("datetime64[D]")
        return _parse_text(str(first), what)[0], _parse_text(str(first + np.timedelta64(6, "D")), what)[1]
    return _parse_text(str(value if unit in "YMD" else value.astype("datetime64[us]")), what)
