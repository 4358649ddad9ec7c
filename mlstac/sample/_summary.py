"""What the rows of a shard, or of many, have in common: carried in the schema of each fragment of a catalog.

From the fragments' schemas alone the catalog's own is made, with its columns, its extent and its metadata: no row is
read twice.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import reduce
from typing import TYPE_CHECKING

from mlstac.errors import CatalogError
from mlstac.sample._sphere import Bbox, merge_bboxes

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SUMMARY_KEY", "Summary", "merge_summaries", "read_summary"]

SUMMARY_KEY = b"mlstac:rows"


@dataclass(frozen=True)
class Summary:
    """Of some rows."""

    n: int = 0
    n_placed: int = 0
    n_dated: int = 0
    n_intervals: int = 0
    """Rows whose time is an interval."""
    bbox: Bbox | None = None
    """Around all of them; west > east where it crosses the antimeridian."""
    interval: tuple[int, int] | None = None
    """First and last time, microseconds since 1970 UTC."""
    geometry_types: tuple[str, ...] = ()
    """GeoJSON's names, sorted."""
    grids_differ: bool = False
    """Whether tensors of one row are on different grids."""
    tensors: tuple[str, ...] = ()
    shapes: dict[str, tuple[int, ...] | None] = field(default_factory=dict)
    """By tensor, where shapes were given: the one of all rows, None where they differ."""

    def to_json(self) -> bytes:
        """For the metadata of a schema."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()


def read_summary(schema: "pa.Schema") -> Summary:
    """The summary that a fragment's schema carries.

    Raises
    ------
    CatalogError
        If it carries none.
    """
    text = (schema.metadata or {}).get(SUMMARY_KEY)
    try:
        data = json.loads(text or b"")
        data["bbox"] = None if data["bbox"] is None else tuple(data["bbox"])
        data["interval"] = None if data["interval"] is None else tuple(data["interval"])
        data["geometry_types"], data["tensors"] = tuple(data["geometry_types"]), tuple(data["tensors"])
        data["shapes"] = {name: None if shape is None else tuple(shape) for name, shape in data["shapes"].items()}
        return Summary(**data)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CatalogError(
            f"a fragment of a catalog lacks its summary ({SUMMARY_KEY.decode()!r} in its schema); write its shard again"
        ) from None


def merge_summaries(summaries: Iterable[Summary]) -> Summary:
    """Summary of all rows together."""
    return reduce(_merge, summaries, Summary())


def _merge(some: Summary, more: Summary) -> Summary:
    boxes = [box for box in (some.bbox, more.bbox) if box is not None]
    intervals = [interval for interval in (some.interval, more.interval) if interval is not None]
    shapes = dict(some.shapes)
    for name, shape in more.shapes.items():
        shapes[name] = shape if shapes.get(name, shape) == shape else None
    return Summary(
        n=some.n + more.n,
        n_placed=some.n_placed + more.n_placed,
        n_dated=some.n_dated + more.n_dated,
        n_intervals=some.n_intervals + more.n_intervals,
        bbox=merge_bboxes(boxes) if boxes else None,
        interval=_span(intervals),
        geometry_types=tuple(sorted({*some.geometry_types, *more.geometry_types})),
        grids_differ=some.grids_differ or more.grids_differ,
        tensors=tuple(dict.fromkeys([*some.tensors, *more.tensors])),
        shapes=shapes,
    )


def _span(intervals: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    if not intervals:
        return None
    return min(start for start, _ in intervals), max(end for _, end in intervals)
