"""A sample as its author gives it: tensors, and what is known of their place and time."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mlstac.collection import check_name
from mlstac.errors import InvalidArgumentError, InvalidSampleError
from mlstac.sample._crs import read_crs
from mlstac.sample._origins import Origin, parse_origins
from mlstac.sample._place import check_bbox_holds, parse_bbox, parse_geometry
from mlstac.sample._properties import Value, check_id, check_properties
from mlstac.sample._sphere import Bbox
from mlstac.sample._time import parse_time, to_microseconds
from mlstac.sample._transform import Transform, parse_geotransform, parse_transform

if TYPE_CHECKING:
    import shapely

__all__ = ["Sample"]

T = TypeVar("T")


class Sample:
    """One training example, checked when it is made.

    Parameters
    ----------
    tensors : mapping of str to array, tensor, str, dict or bytes
        By name. Strings and dicts are kept as text and JSON, bytes as they are.
    id : str, optional
        Unique in the collection; by default split and number (``train-0000042``).
    crs : str, int or CRS object, optional
        Of the grid; a dict by tensor where they differ.
    transform : Affine or sequence of 6 or 9 numbers, optional
        STAC order (a, b, c, d, e, f). One holds for all tensors with dims y, x of the same size; else a dict by tensor.
    geotransform : sequence of 6 numbers, optional
        The same in GDAL order (x origin, x size, x skew, y origin, y skew, y size). Give one of the two.
    bbox : (west, south, east, north), optional
        Degrees of WGS 84; where no grid is known.
    geometry : GeoJSON dict, shapely geometry or WKB, optional
        Footprint in WGS 84; goes before the one that crs and transform make.
    datetime, start_datetime, end_datetime : datetime, date, str, numpy.datetime64 or Timestamp, optional
        Without a zone they are UTC; a date is the whole day. An interval has both ends.
    datetimes : sequence of the same, optional
        One a time step; a dict by tensor where they differ. They become a tensor ``<name>_time``, and the interval of
        the sample where no other time is given.
    properties : mapping of str to scalar or flat list, optional
        Columns of the catalog.
    derived_from : pystac.Item, dict, str or list of these, optional
        STAC Items that the sample was made of, or their addresses; the row links to them (rel ``derived_from``). A
        file of this machine is named by its path from the catalog's folder.

    Raises
    ------
    InvalidSampleError
        Saying what is wrong with which sample.
    """

    __slots__ = (
        "bbox",
        "crs",
        "datetime",
        "datetimes",
        "derived_from",
        "end_datetime",
        "geometry",
        "id",
        "properties",
        "start_datetime",
        "tensors",
        "transform",
    )

    def __init__(
        self,
        tensors: Mapping[str, Any],
        *,
        id: str | None = None,
        crs: Any = None,
        transform: Any = None,
        geotransform: Any = None,
        bbox: Any = None,
        geometry: Any = None,
        datetime: Any = None,
        start_datetime: Any = None,
        end_datetime: Any = None,
        datetimes: Any = None,
        properties: Mapping[str, Any] | None = None,
        derived_from: Any = None,
    ) -> None:
        self.id: str | None = None if id is None else check_id(id)
        try:
            self.tensors: dict[str, Any] = _check_tensors(tensors)
            self.crs: str | dict[str, str] | None = self._by_tensor(crs, "crs", _crs_name)
            self.transform: Transform | dict[str, Transform] | None = self._read_transform(transform, geotransform)
            self.bbox: Bbox | None = None if bbox is None else parse_bbox(bbox)
            self.geometry: shapely.Geometry | None = None if geometry is None else parse_geometry(geometry)
            if self.bbox is not None and self.geometry is not None:
                check_bbox_holds(self.bbox, self.geometry)
            self.datetimes: NDArray[np.int64] | dict[str, NDArray[np.int64]] | None
            """Microseconds since 1970 UTC, one a step."""
            self.datetimes, span = self._read_steps(datetimes)
            self.datetime: dt.datetime | None
            self.start_datetime: dt.datetime | None
            self.end_datetime: dt.datetime | None
            self.datetime, self.start_datetime, self.end_datetime = _read_time(
                datetime, start_datetime, end_datetime, span
            )
            self.properties: dict[str, Value] = check_properties(properties or {})
            self.derived_from: tuple[Origin, ...] = parse_origins(derived_from)
        except InvalidSampleError as error:
            raise InvalidSampleError(f"sample {self.id!r}: {error}" if self.id else f"sample: {error}") from None

    def __repr__(self) -> str:
        shown = [f"tensors={{{', '.join(map(repr, self.tensors))}}}"]
        for name in ("id", "crs", "bbox", "datetime", "start_datetime", "end_datetime"):
            value = getattr(self, name)
            if value is not None:
                shown.append(f"{name}={value.isoformat() if isinstance(value, dt.datetime) else value!r}")
        return f"Sample({', '.join(shown)})"

    def _by_tensor(self, value: Any, what: str, read: Callable[[Any, str], T]) -> T | dict[str, T] | None:
        """Read a value that holds for all tensors, or a dict of them by tensor."""
        if value is None:
            return None
        if not isinstance(value, Mapping):
            return read(value, what)
        unknown = [str(name) for name in value if name not in self.tensors]
        if unknown:
            raise InvalidSampleError(
                f"{what} speaks of {', '.join(map(repr, unknown))}, "
                f"but the tensors are {', '.join(map(repr, self.tensors))}"
            )
        return {name: read(item, f"{what}[{name!r}]") for name, item in value.items() if item is not None}

    def _read_transform(self, transform: Any, geotransform: Any) -> Transform | dict[str, Transform] | None:
        if transform is not None and geotransform is not None:
            raise InvalidSampleError("transform and geotransform are both given; give the one that you have")
        if geotransform is not None:
            return self._by_tensor(
                geotransform, "geotransform", lambda value, what: parse_geotransform(value, what=what)
            )
        return self._by_tensor(transform, "transform", lambda value, what: parse_transform(value, what=what))

    def _read_steps(
        self, datetimes: Any
    ) -> tuple[NDArray[np.int64] | dict[str, NDArray[np.int64]] | None, tuple[dt.datetime, dt.datetime] | None]:
        found = self._by_tensor(datetimes, "datetimes", _read_instants)
        if found is None:
            return None, None
        if isinstance(found, dict):
            spans = [span for _, span in found.values()]
            span = (min(start for start, _ in spans), max(end for _, end in spans)) if spans else None
            return {name: steps for name, (steps, _) in found.items()}, span
        return found


def _check_tensors(tensors: Any) -> dict[str, Any]:
    if not isinstance(tensors, Mapping):
        raise InvalidSampleError(f"tensors are of type {type(tensors).__name__}; expected a dict of names to arrays")
    if not tensors:
        raise InvalidSampleError("there are no tensors; give at least one")
    for name in tensors:
        try:
            check_name(name)
        except InvalidArgumentError as error:
            raise InvalidSampleError(str(error)) from None
        if str(name).endswith(".rows"):
            raise InvalidSampleError(f"tensor name {name!r} ends in '.rows', which a shard keeps for itself; rename it")
    return dict(tensors)


def _crs_name(value: Any, what: str) -> str:
    return read_crs(value, what=what).name


def _read_instants(values: Any, what: str) -> tuple[NDArray[np.int64], tuple[dt.datetime, dt.datetime]]:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise InvalidSampleError(f"{what} is of type {type(values).__name__}; expected one time a step")
    times = [parse_time(value, what=f"{what}[{step}]") for step, value in enumerate(values)]
    if not times:
        raise InvalidSampleError(f"{what} is empty; expected one time a step")
    steps = np.array([to_microseconds(start) for start, _ in times], dtype=np.int64)
    return steps, (min(start for start, _ in times), max(end for _, end in times))


def _read_time(
    datetime: Any, start: Any, end: Any, span: tuple[dt.datetime, dt.datetime] | None
) -> tuple[dt.datetime | None, dt.datetime | None, dt.datetime | None]:
    """Nominal time, first and last; the last two where it is an interval."""
    if (start is None) != (end is None):
        missing, given = ("end_datetime", "start_datetime") if end is None else ("start_datetime", "end_datetime")
        raise InvalidSampleError(f"{given} is given without {missing}; an interval has both, an instant is datetime=")
    nominal: dt.datetime | None = None
    if datetime is not None:
        first, last = parse_time(datetime, what="datetime")
        if first == last:
            nominal = first
        elif start is None:  # a day, a month or a year
            return None, first, last
        else:
            raise InvalidSampleError("datetime is a whole day and an interval is given too; give one of them")
    if start is not None:
        first = parse_time(start, what="start_datetime")[0]
        last = parse_time(end, what="end_datetime")[1]
        if last < first:
            raise InvalidSampleError(
                f"end_datetime {last.isoformat()} is before start_datetime {first.isoformat()}; swap them"
            )
        return nominal, first, last
    if nominal is None and span is not None:
        return (span[0], None, None) if span[0] == span[1] else (None, *span)
    return nominal, None, None
