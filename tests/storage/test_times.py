"""When a file was written, in each filesystem's own words."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from mlstac.storage._times import time_of

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "info",
    [
        {"LastModified": NOON},
        {"last_modified": NOON.astimezone(timezone(timedelta(hours=5)))},
        {"mtime": NOON.timestamp(), "created": 1.0},
        {"mtime": NOON, "updated": "1999-01-01T00:00:00Z"},
        {"updated": "2026-05-01T12:00:00.000Z"},
        {"modificationTime": int(NOON.timestamp() * 1000)},
        {"created": NOON.replace(tzinfo=None)},
        {"LastModified": "", "created": NOON.timestamp()},
    ],
)
def test_each_store_is_understood(info):
    assert time_of(info) == NOON.timestamp()


@pytest.mark.parametrize("info", [{}, {"LastModified": ""}, {"mtime": None}, {"mtime": "yesterday"}, {"created": True}])
def test_a_store_that_does_not_tell_is_not_guessed_at(info):
    assert time_of(info) is None
