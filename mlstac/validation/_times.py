"""When rows are: instants and intervals, against each other and the collection's interval."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlstac.collection import Extent
from mlstac.validation._columns import Mask, times
from mlstac.validation._report import Findings

_EPOCH = np.datetime64("1970-01-01T00:00:00", "us")


class Times:
    """Looks at the times of row groups.

    Parameters
    ----------
    extent : Extent
        The collection's.
    findings : Findings
    """

    columns = ("datetime", "start_datetime", "end_datetime")
    """Top-level columns that are looked at."""

    def __init__(self, extent: Extent, findings: Findings) -> None:
        start, end = extent.interval[0]
        self._start = None if start is None else _microseconds(start)
        self._end = None if end is None else _microseconds(end)
        self._findings = findings

    def check(self, table: dict[str, Any], *, file: str, first: int, is_items: bool) -> None:
        """Look at the columns of one row group, whose first row has a number in the part."""
        found = {
            name: times(table[name])
            for name in self.columns
            if name in table and pa.types.is_timestamp(table[name].type)
        }
        if not found:
            return
        n = len(next(iter(found.values()))[0])
        never = (np.zeros(n, np.int64), np.ones(n, bool))
        (when, no_when), (start, no_start), (end, no_end) = (found.get(name, never) for name in self.columns)
        findings = self._findings
        findings.rows(
            no_start != no_end,
            file,
            "one of start_datetime and end_datetime is null, the other is not",
            "give both or none",
            path="start_datetime",
            first=first,
        )
        both = ~no_start & ~no_end
        wrong = both & (end < start)
        findings.rows(
            wrong,
            file,
            f"end_datetime is before start_datetime: {_time(end, wrong)} and {_time(start, wrong)}",
            "swap them",
            path="end_datetime",
            first=first,
        )
        aside = both & ~no_when & ((when < start) | (when > end))
        findings.rows(
            aside,
            file,
            f"datetime {_time(when, aside)} is not between start_datetime and end_datetime",
            "mend one of the three",
            path="datetime",
            first=first,
        )
        if is_items:
            findings.rows(
                no_when & no_start,
                file,
                "the row has no time, and the part says that all rows are STAC Items",
                "date the sample, or leave out the key stac-geoparquet",
                path="datetime",
                first=first,
            )
        low, high = np.where(no_start, when, start), np.where(no_end, when, end)
        dated = ~(no_when & no_start) & ~wrong
        self._check_interval(low, dated, "before", self._start, file, first)
        self._check_interval(high, dated, "after", self._end, file, first)

    def _check_interval(
        self, when: NDArray[np.int64], dated: Mask, word: str, edge: int | None, file: str, first: int
    ) -> None:
        if edge is None:
            return
        wrong = dated & ((when < edge) if word == "before" else (when > edge))
        self._findings.rows(
            wrong,
            file,
            f"time {_time(when, wrong)} is {word} the collection's interval, whose edge is {_say(edge)}",
            "set extent.temporal.interval to one that holds all samples",
            path="datetime",
            first=first,
        )


def _microseconds(time: Any) -> int:
    return int((np.datetime64(time.replace(tzinfo=None), "us") - _EPOCH).astype(np.int64))


def _say(microseconds: int) -> str:
    return f"{np.datetime64(microseconds, 'us')}Z"


def _time(values: NDArray[np.int64], wrong: Mask) -> str:
    return _say(int(values[np.argmax(wrong)])) if wrong.any() else ""
