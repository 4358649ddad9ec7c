"""What is asked for, checked and made plain: a query that can be pickled, and planned against any catalog."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from mlstac.errors import InvalidArgumentError
from mlstac.search._cql2 import parse_where
from mlstac.search._geometry import Bbox, parse_bbox, parse_region
from mlstac.search._times import Span, parse_span
from mlstac.search._words import plain


class Query(NamedTuple):
    """Conditions on samples, all of which must hold; None is no condition."""

    bbox: Bbox | None = None
    """West, south, east, north in degrees; west > east crosses the antimeridian."""
    region: bytes | None = None
    """WKB of a geometry within longitude [-180, 180]."""
    span: Span | None = None
    """First and last microsecond since 1970 UTC; None is an open end."""
    ids: tuple[str, ...] | None = None
    where: Any = None
    """A tree of CQL2 JSON."""


def make_query(
    *, bbox: Any = None, intersects: Any = None, datetime: Any = None, ids: Any = None, where: Any = None
) -> Query:
    """Read a query as users write it.

    Raises
    ------
    InvalidArgumentError
        If an argument cannot be meant, or none is given; says which.
    """
    if bbox is None and intersects is None and datetime is None and ids is None and where is None:
        raise InvalidArgumentError("nothing is asked for; give bbox=, intersects=, datetime=, ids= or where=")
    return Query(
        bbox=None if bbox is None else parse_bbox(bbox, what="bbox"),
        region=None if intersects is None else _region_bytes(intersects),
        span=None if datetime is None else parse_span(datetime, what="datetime"),
        ids=None if ids is None else _parse_ids(ids),
        where=None if where is None else parse_where(where),
    )


def _region_bytes(value: Any) -> bytes:
    import shapely

    region: bytes = shapely.to_wkb(parse_region(value, what="intersects"))
    return region


def _parse_ids(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Mapping | bytes) or not isinstance(value, Iterable):
        raise InvalidArgumentError(f"ids={plain(value)} is no list of ids; give one id, or a list of them")
    ids = tuple(value)
    for name in ids:
        if not isinstance(name, str):
            raise InvalidArgumentError(
                f"ids= holds {plain(name)}; ids are strings (rows by number are ds.subset([…]) or ds[[…]])"
            )
    return tuple(str(name) for name in ids)
