"""Samples by time: closed intervals as a STAC API has them, and CQL2's relations, beside plain Python."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlstac
from mlstac.errors import InvalidArgumentError, NotFoundError
from tests.search.datasets import ids_of

LATEST, EARLIEST = dt.datetime.max.replace(tzinfo=dt.UTC), dt.datetime.min.replace(tzinfo=dt.UTC)
TIMES = st.floats(0, 820).map(lambda days: dt.datetime(2019, 12, 1, tzinfo=dt.UTC) + dt.timedelta(days=days))


def time_of(row):
    if row["start_datetime"] is not None:
        return row["start_datetime"], row["end_datetime"]
    return (row["datetime"], row["datetime"]) if row["datetime"] is not None else None


def between(rows, start, end):
    return [row["id"] for row in rows if (time := time_of(row)) and time[0] <= end and time[1] >= start]


def utc(*parts):
    return dt.datetime(*parts, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("said", "start", "end"),
    [
        ("2020-06", utc(2020, 6, 1), utc(2020, 6, 30, 23, 59, 59, 999999)),
        ("2020-06/2020-08", utc(2020, 6, 1), utc(2020, 8, 31, 23, 59, 59, 999999)),
        ("2020-06/..", utc(2020, 6, 1), LATEST),
        ("2020-06/", utc(2020, 6, 1), LATEST),
        ("../2020-06-15T12:00:00Z", EARLIEST, utc(2020, 6, 15, 12)),
        ("../..", EARLIEST, LATEST),
        ("2021", utc(2021, 1, 1), utc(2021, 12, 31, 23, 59, 59, 999999)),
        ("2020-02-29", utc(2020, 2, 29), utc(2020, 2, 29, 23, 59, 59, 999999)),
        (dt.date(2020, 7, 1), utc(2020, 7, 1), utc(2020, 7, 1, 23, 59, 59, 999999)),
        ((dt.datetime(2020, 7, 1), None), utc(2020, 7, 1), LATEST),  # noqa: DTZ001  without a zone it is UTC
        ([None, pd.Timestamp("2020-07-01T02:00:00+02:00")], EARLIEST, utc(2020, 7, 1)),
        ((np.datetime64("2020-03"), "2020-04"), utc(2020, 3, 1), utc(2020, 4, 30, 23, 59, 59, 999999)),
    ],
)
def test_a_time_is_said_as_to_a_stac_api(everything, rows, said, start, end):
    found = ids_of(everything.filter(datetime=said))
    assert found == between(rows, start, end)
    assert found


def test_both_ends_belong_to_an_interval(everything, rows):
    [time] = {row["datetime"] for row in rows if row["id"] == "train-1"}
    assert "train-1" in ids_of(everything.filter(datetime=time))
    for span in ((time, None), (None, time), (time, time)):
        assert "train-1" in ids_of(everything.filter(datetime=span))
    microsecond = dt.timedelta(microseconds=1)
    assert "train-1" not in ids_of(everything.filter(datetime=(time + microsecond, None)))
    assert "train-1" not in ids_of(everything.filter(datetime=(None, time - microsecond)))


@settings(max_examples=40)
@given(times=st.tuples(TIMES, TIMES).map(sorted))
def test_any_interval_finds_the_rows_whose_time_meets_it(everything, rows, times):
    assert ids_of(everything.filter(datetime=times)) == between(rows, *times)


ALLEN = {
    "T_AFTER": lambda a, b, c, d: a > d,
    "T_BEFORE": lambda a, b, c, d: b < c,
    "T_CONTAINS": lambda a, b, c, d: a < c and b > d,
    "T_DISJOINT": lambda a, b, c, d: b < c or a > d,
    "T_DURING": lambda a, b, c, d: a > c and b < d,
    "T_EQUALS": lambda a, b, c, d: a == c and b == d,
    "T_FINISHEDBY": lambda a, b, c, d: a < c and b == d,
    "T_FINISHES": lambda a, b, c, d: a > c and b == d,
    "T_INTERSECTS": lambda a, b, c, d: not (b < c or a > d),
    "T_MEETS": lambda a, b, c, d: b == c,
    "T_METBY": lambda a, b, c, d: a == d,
    "T_OVERLAPPEDBY": lambda a, b, c, d: c < a < d < b,
    "T_OVERLAPS": lambda a, b, c, d: a < c < b < d,
    "T_STARTEDBY": lambda a, b, c, d: a == c and b > d,
    "T_STARTS": lambda a, b, c, d: a == c and b < d,
}


@pytest.mark.parametrize("name", ALLEN)
def test_every_temporal_relation_is_as_the_standard_defines_it(everything, rows, name):
    """Intervals of which each relation is true somewhere: those of the rows themselves, moved and stretched."""
    longest = max((time for time in map(time_of, rows) if time), key=lambda time: time[1] - time[0])
    day = dt.timedelta(days=1)
    start, end = longest
    spans = [
        (start, end),
        (start + day, end),
        (start, end - day),
        (start + day, end - day),
        (start - day, end + day),
        (start - day, end),
        (start, end + day),
        (end, end + day),
        (start - day, start),
        (start + day, end + day),
        (start - day, end - day),
        (utc(2020, 6, 1), utc(2020, 9, 1)),
    ]
    found = 0
    for first, last in spans:
        interval = f"INTERVAL('{first.isoformat()}', '{last.isoformat()}')"
        wanted = [row["id"] for row in rows if (time := time_of(row)) and ALLEN[name](*time, first, last)]
        assert ids_of(everything.filter(where=f"{name}(datetime, {interval})")) == wanted
        own = f"{name}(INTERVAL(start_datetime, end_datetime), {interval})"
        both = [
            row["id"]
            for row in rows
            if row["start_datetime"] and ALLEN[name](row["start_datetime"], row["end_datetime"], first, last)
        ]
        assert ids_of(everything.filter(where=own)) == both
        found += len(wanted)
    assert found, "no interval shows that the relation is ever true"


def test_open_ends_of_a_relation(everything, rows):
    start = utc(2020, 9, 1)
    dated = [row for row in rows if time_of(row)]
    found = ids_of(everything.filter(where="T_DURING(datetime, INTERVAL('2020-09-01T00:00:00Z', '..'))"))
    assert found == [row["id"] for row in dated if time_of(row)[0] > start]
    found = ids_of(everything.filter(where="T_INTERSECTS(datetime, INTERVAL('..', '..'))"))
    assert found == [row["id"] for row in dated]
    assert ids_of(everything.filter(where="T_AFTER(datetime, INTERVAL('2020-09-01', '..'))")) == []
    found = ids_of(everything.filter(where="NOT T_AFTER(datetime, INTERVAL('2020-09-01', '..'))"))
    assert found == [row["id"] for row in dated]  # of a time that is not known neither is true
    assert len(dated) < len(rows)


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        ("seen < TIMESTAMP('2020-06-10T12:00:00Z')", lambda row: row["seen"] < utc(2020, 6, 10, 12)),
        ("seen >= '2020-06-10T12:00:00+02:00'", lambda row: row["seen"] >= utc(2020, 6, 10, 10)),
        ("seen > DATE('2020-06-10')", lambda row: row["seen"] >= utc(2020, 6, 11)),
        ("seen <= DATE('2020-06-10')", lambda row: row["seen"] < utc(2020, 6, 11)),
        ("seen = '2020-06'", lambda row: (row["seen"].year, row["seen"].month) == (2020, 6)),
        ("seen <> '2020-06'", lambda row: (row["seen"].year, row["seen"].month) != (2020, 6)),
        ("DATE('2020-06-10') >= seen", lambda row: row["seen"] < utc(2020, 6, 11)),
        ("seen BETWEEN '2020-06' AND '2020-07'", lambda row: utc(2020, 6, 1) <= row["seen"] < utc(2020, 8, 1)),
        (
            "seen IN (DATE('2020-06-10'), '2020-07')",
            lambda row: (
                row["seen"].date() == dt.date(2020, 6, 10) or (row["seen"].year, row["seen"].month) == (2020, 7)
            ),
        ),
        (
            "day = DATE('2020-06-10') OR day > '2021-06-01'",
            lambda row: row["day"] == dt.date(2020, 6, 10) or row["day"] > dt.date(2021, 6, 1),
        ),
        ("day < '2020-06'", lambda row: row["day"] < dt.date(2020, 6, 1)),
        ("day > '2020-06'", lambda row: row["day"] > dt.date(2020, 6, 30)),
        ("datetime > seen", lambda row: row["datetime"] and row["datetime"] > row["seen"]),
    ],
)
def test_times_compare_and_a_day_or_month_is_the_whole_of_it(everything, rows, where, holds):
    assert ids_of(everything.filter(where=where)) == [row["id"] for row in rows if holds(row)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"datetime": "2020-13"}, "no ISO 8601 time"),
        ({"datetime": "2021/2020"}, "ends before it begins"),
        ({"datetime": "2020/2021/2022"}, "3 parts"),
        ({"datetime": 3}, "type int"),
        ({"where": "datetime > 3"}, "compare like with like"),
        ({"where": "seen > 'yesterday'"}, "no ISO 8601 time"),
        ({"where": "day > TIMESTAMP('2020-06-01T10:00:00Z')"}, "an instant"),
        ({"where": "T_AFTER(cloud_cover, DATE('2020-06-01'))"}, "no time"),
        ({"where": "T_AFTER(seen, 5)"}, "a time is expected"),
    ],
)
def test_what_cannot_be_a_time_is_refused(everything, arguments, words):
    with pytest.raises(InvalidArgumentError, match=words):
        everything.filter(**arguments)


def test_a_dataset_without_times_says_so(tmp_path):
    mlstac.write([{"x": np.zeros(1, np.uint8)}], tmp_path / "plain", id="plain", license="CC0-1.0")
    with pytest.raises(NotFoundError, match="no column 'datetime'"):
        mlstac.load(tmp_path / "plain", framework="numpy").filter(datetime="2020")


def test_instants_alone_are_found_too(tmp_path):
    samples = [mlstac.Sample({"x": np.zeros(1, np.uint8)}, datetime=utc(2020, month, 1)) for month in range(1, 13)]
    mlstac.write(samples, tmp_path / "year", id="year", license="CC0-1.0")
    year = mlstac.load(tmp_path / "year", framework="numpy")
    assert "start_datetime" not in year.metadata.columns
    assert len(year.filter(datetime="2020-03/2020-05")) == 3
    assert len(year.filter(where="T_BEFORE(datetime, DATE('2020-03-01'))")) == 2
