"""Where and when rows are: boxes, outlines, times and grids, against each other, the Earth and the collection."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyproj
import shapely
from numpy.typing import NDArray

from mlstac.collection import Extent
from mlstac.validation._columns import Mask, fields_of, lists, null_mask, numbers, times
from mlstac.validation._report import Findings

Floats = NDArray[np.float64]

_DEGREES = 1e-9
"""Slack of comparisons: a tenth of a millimetre."""

_MAX_CODES = 10_000
_EPOCH = np.datetime64("1970-01-01T00:00:00", "us")


class Places:
    """Looks at the place and time of row groups.

    Parameters
    ----------
    extent : Extent
        The collection's.
    placed : bool
        Whether the collection says that samples have places.
    findings : Findings
    """

    def __init__(self, extent: Extent, *, placed: bool, findings: Findings) -> None:
        self._boxes = np.array([_four(box) for box in extent.bbox[:1]])
        start, end = extent.interval[0]
        self._start = None if start is None else _microseconds(start)
        self._end = None if end is None else _microseconds(end)
        self._placed = placed
        self._findings = findings
        self._codes: dict[str, Any] = {}
        self.rows_placed = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """Top-level columns that are looked at."""
        return (
            "geometry",
            "bbox",
            "datetime",
            "start_datetime",
            "end_datetime",
            "proj:code",
            "proj:transform",
            "proj:shape",
        )

    def check(self, table: dict[str, Any], *, file: str, first: int, is_items: bool) -> None:
        """Look at the columns of one row group, whose first row has a number in the part."""
        boxes = self._check_boxes(table, file, first, is_items)
        self._check_times(table, file, first, is_items)
        self._check_grids(table, "", file, first, boxes)

    def check_asset(self, table: dict[str, Any], prefix: str, *, file: str, first: int) -> None:
        """Look at grids that stand on an asset."""
        self._check_grids(table, prefix, file, first, None)

    # ------------------------------------------------------------------ where

    def _check_boxes(self, table: dict[str, Any], file: str, first: int, is_items: bool) -> Floats | None:
        findings = self._findings
        bbox, geometry = table.get("bbox"), table.get("geometry")
        if bbox is None or not pa.types.is_struct(bbox.type):
            return None
        names = [field.name for field in bbox.type]
        if names != ["xmin", "ymin", "xmax", "ymax"] or any(field.type != pa.float64() for field in bbox.type):
            findings.error(
                file,
                f"bbox is {bbox.type}; expected a struct of xmin, ymin, xmax, ymax, all double",
                "write it so",
                path="bbox",
            )
            return None
        absent = null_mask(bbox)
        self.rows_placed += int(np.count_nonzero(~absent))
        box = np.stack([numbers(part, dtype=np.float64) for part in fields_of(bbox, tuple(names))], axis=1)
        half = ~absent & np.logical_or.reduce([null_mask(part) for part in fields_of(bbox, tuple(names))])
        box[absent] = 0.0
        findings.rows(half, file, "bbox has a null side", "give all four sides, or none", path="bbox", first=first)
        if is_items:
            findings.rows(
                absent,
                file,
                "the row has no bbox, and the part says that all rows are STAC Items",
                "place the sample, or leave out the key stac-geoparquet",
                path="bbox",
                first=first,
            )
        with np.errstate(invalid="ignore"):
            beyond = ~(
                np.isfinite(box).all(axis=1)
                & (np.abs(box[:, [0, 2]]) <= 180).all(axis=1)
                & (np.abs(box[:, [1, 3]]) <= 90).all(axis=1)
            )
        findings.rows(
            beyond,
            file,
            f"bbox leaves the Earth: {_show(box, beyond)}",
            "write degrees of WGS 84 (west, south, east, north), not metres of a projection",
            path="bbox",
            first=first,
        )
        upside = ~beyond & (box[:, 1] > box[:, 3])
        findings.rows(
            upside, file, f"bbox has south above north: {_show(box, upside)}", "swap them", path="bbox", first=first
        )
        good = ~(absent | beyond | upside | half)
        good &= ~self._outside(box, good, file, first)
        self._check_outlines(geometry, box, absent, good, file, first)
        return np.where(good[:, None], box, np.nan)

    def _outside(self, box: Floats, good: Mask, file: str, first: int) -> Mask:
        """Boxes that leave the collection's extent."""
        west, south, east, north = self._boxes[0] if len(self._boxes) else (-180.0, -90.0, 180.0, 90.0)
        crossing = box[:, 0] > box[:, 2]
        inside = (box[:, 1] >= south - _DEGREES) & (box[:, 3] <= north + _DEGREES)
        right, left = box[:, 0] >= west - _DEGREES, box[:, 2] <= east + _DEGREES
        if west > east:  # the extent holds the antimeridian: a box lies on one side of it, or holds it too
            inside &= np.where(crossing, right & left, right | left)
        else:
            world = west <= -180 and east >= 180
            inside &= np.where(crossing, world, right & left)
        wrong = good & ~inside
        return self._findings.rows(
            wrong,
            file,
            f"bbox leaves the collection's extent {[west, south, east, north]}: {_show(box, wrong)}",
            "set extent.spatial.bbox to a box that holds all samples",
            path="bbox",
            first=first,
        )

    def _check_outlines(self, geometry: Any, box: Floats, absent: Mask, good: Mask, file: str, first: int) -> None:
        findings = self._findings
        if geometry is None or not (pa.types.is_binary(geometry.type) or pa.types.is_large_binary(geometry.type)):
            return
        missing = null_mask(geometry)
        findings.rows(
            missing != absent,
            file,
            "one of geometry and bbox is null, the other is not",
            "give both or none",
            path="geometry",
            first=first,
        )
        with np.errstate(all="ignore"):
            outlines = shapely.from_wkb(
                np.asarray(geometry.to_numpy(zero_copy_only=False), object), on_invalid="ignore"
            )
            bounds = shapely.bounds(outlines)
        broken = ~missing & (shapely.is_missing(outlines) | shapely.is_empty(outlines))
        findings.rows(broken, file, "geometry is no WKB of an outline", "write it again", path="geometry", first=first)
        there = good & ~missing & ~broken
        crossing = box[:, 0] > box[:, 2]
        # an outline over the antimeridian is cut there, so that its bounds go once around
        around = (bounds[:, 0] <= -180 + _DEGREES) & (bounds[:, 2] >= 180 - _DEGREES)
        findings.rows(
            there & crossing & ~around,
            file,
            f"bbox has west > east, and the geometry does not cross the antimeridian: {_show(box, there & crossing)}",
            "write west, south, east, north, or cut the geometry at 180 degrees",
            path="bbox",
            first=first,
        )
        with np.errstate(invalid="ignore"):
            apart = ~(np.abs(bounds - box) <= 1e-7).all(axis=1)
        apart = there & ~crossing & apart
        at = int(np.argmax(apart))
        findings.rows(
            apart,
            file,
            f"bbox is not that of the geometry: {_show(box, apart)} and {bounds[at].tolist()}",
            "compute one of the other",
            path="bbox",
            first=first,
        )

    # ------------------------------------------------------------------ when

    def _check_times(self, table: dict[str, Any], file: str, first: int, is_items: bool) -> None:
        found = {
            name: times(table[name])
            for name in ("datetime", "start_datetime", "end_datetime")
            if name in table and pa.types.is_timestamp(table[name].type)
        }
        if not found:
            return
        n = len(next(iter(found.values()))[0])
        never = (np.zeros(n, np.int64), np.ones(n, bool))
        (when, no_when), (start, no_start), (end, no_end) = (
            found.get(name, never) for name in ("datetime", "start_datetime", "end_datetime")
        )
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

    # ------------------------------------------------------------------ grids

    def _check_grids(self, table: dict[str, Any], prefix: str, file: str, first: int, boxes: Floats | None) -> None:
        transform, code = table.get("proj:transform"), table.get("proj:code")
        findings = self._findings
        numbers_of = None
        if (
            transform is not None
            and pa.types.is_list(transform.type)
            and pa.types.is_floating(transform.type.value_type)
        ):
            there = ~null_mask(transform)
            lengths, values = lists(transform)
            odd = there & (lengths != 6) & (lengths != 9)
            path = f"{prefix}proj:transform"
            findings.rows(
                odd,
                file,
                f"proj:transform has {int(lengths[np.argmax(odd)]) if len(odd) else 0} numbers; expected 6 or 9",
                "write a, b, c, d, e, f",
                path=path,
                first=first,
            )
            starts = np.cumsum(lengths) - lengths
            good = np.flatnonzero(there & ~odd)
            six = np.full((len(lengths), 6), np.nan)
            flat = numbers(values, dtype=np.float64)
            six[good] = flat[starts[good][:, None] + np.arange(6)]
            finite = np.isfinite(six).all(axis=1)
            findings.rows(
                there & ~odd & ~finite,
                file,
                "proj:transform holds NaN or infinity",
                "write finite numbers, or no transform",
                path=path,
                first=first,
            )
            with np.errstate(all="ignore"):
                a, b, _, d, e, _ = six.T
                scale = (np.abs(a) + np.abs(b)) * (np.abs(d) + np.abs(e))
                flat_grid = there & finite & ~(np.abs(a * e - b * d) > 1e-12 * scale)
            findings.rows(
                flat_grid,
                file,
                "proj:transform is singular: its pixels have no area",
                "give the size of a pixel in x and in y",
                path=path,
                first=first,
            )
            numbers_of = np.where((there & finite & ~flat_grid)[:, None], six, np.nan)
        if code is not None and pa.types.is_string(code.type):
            self._check_codes(code, numbers_of, table.get("proj:shape"), boxes, prefix, file, first)

    def _check_codes(
        self, code: Any, grids: Floats | None, shape: Any, boxes: Floats | None, prefix: str, file: str, first: int
    ) -> None:
        encoded = code.dictionary_encode()
        indices = numbers(encoded.indices.fill_null(-1))
        names = encoded.dictionary.to_pylist()
        if len(names) > _MAX_CODES:
            self._findings.error(
                file,
                f"proj:code has {len(names):,} different values; {_MAX_CODES:,} are looked at",
                "write codes such as EPSG:32630",
                path=f"{prefix}proj:code",
            )
        for number, name in enumerate(names[:_MAX_CODES]):
            rows = indices == number
            transformer = self._transformer(name)
            if isinstance(transformer, str):
                self._findings.rows(
                    rows,
                    file,
                    f"proj:code {name[:80]!r} {transformer}",
                    "write a code such as EPSG:32630, or the CRS in proj:wkt2",
                    path=f"{prefix}proj:code",
                    first=first,
                )
            elif grids is not None and shape is not None and boxes is not None and transformer is not None:
                self._compare(transformer, rows, grids, shape, boxes, prefix, file, first)

    def _compare(
        self,
        transformer: Any,
        rows: Mask,
        grids: Floats,
        shape: Any,
        boxes: Floats,
        prefix: str,
        file: str,
        first: int,
    ) -> None:
        """The middle of a grid lies in or beside the box of its row, not somewhere else on Earth."""
        lengths, values = lists(shape)
        with np.errstate(invalid="ignore"):
            known = np.flatnonzero(
                rows & (lengths == 2) & np.isfinite(grids).all(axis=1) & np.isfinite(boxes).all(axis=1)
            )
        if not known.size:
            return
        sides = numbers(values, dtype=np.float64)[(np.cumsum(lengths) - lengths)[known][:, None] + np.arange(2)]
        a, b, c, d, e, f = grids[known].T
        column, row = sides[:, 1] / 2, sides[:, 0] / 2
        x, y = a * column + b * row + c, d * column + e * row + f
        # one more than there are: pyproj takes an array of one for a number, and numpy warns of that
        lon, lat = (found[:-1] for found in transformer.transform(np.append(x, x[-1]), np.append(y, y[-1])))
        west, south, east, north = boxes[known].T
        wide = np.where(west > east, east + 360 - west, east - west)
        tall = north - south
        slack_x, slack_y = wide + 1e-6, tall + 1e-6
        aside = (lon - (west - slack_x)) % 360 > wide + 2 * slack_x
        with np.errstate(invalid="ignore"):
            wrong_here = np.isfinite(lon) & (aside | (lat < south - slack_y) | (lat > north + slack_y))
        wrong = np.zeros(len(rows), bool)
        wrong[known] = wrong_here
        at = int(np.argmax(wrong_here))
        self._findings.rows(
            wrong,
            file,
            f"the grid (proj:code, proj:transform, proj:shape) has its middle at {lon[at]:.4f}, {lat[at]:.4f}, "
            f"far from the bbox {boxes[known][at].tolist()}",
            "mend the one that is wrong: footprints follow from grids",
            path=f"{prefix}proj:transform",
            first=first,
        )

    def _transformer(self, name: str) -> Any:
        """The way from a CRS to WGS 84; in words what is wrong with it, or None where there is no way."""
        if name not in self._codes:
            try:
                crs = pyproj.CRS.from_user_input(name) if len(name) <= 100 and ":" in name else None
            except (pyproj.exceptions.CRSError, ValueError):
                crs = None
            if crs is None:
                self._codes[name] = "is not known to PROJ"
            else:
                try:
                    self._codes[name] = pyproj.Transformer.from_crs(crs, "OGC:CRS84", always_xy=True)
                except pyproj.exceptions.ProjError:
                    self._codes[name] = None
        return self._codes[name]


def _four(box: list[float]) -> list[float]:
    half = len(box) // 2
    return [box[0], box[1], box[half], box[half + 1]]


def _microseconds(time: Any) -> int:
    return int((np.datetime64(time.replace(tzinfo=None), "us") - _EPOCH).astype(np.int64))


def _say(microseconds: int) -> str:
    return f"{np.datetime64(microseconds, 'us')}Z"


def _time(values: NDArray[np.int64], wrong: Mask) -> str:
    return _say(int(values[np.argmax(wrong)])) if wrong.any() else ""


def _show(box: Floats, wrong: Mask) -> str:
    return str([float(side) for side in box[np.argmax(wrong)]]) if wrong.any() else ""
