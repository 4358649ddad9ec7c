"""Where rows are: boxes and outlines, against each other, the Earth and the collection; and what else says it."""

from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from mlstac.collection import Extent
from mlstac.validation._columns import Floats, Mask, fields_of, null_mask, numbers
from mlstac.validation._grids import Grids
from mlstac.validation._report import Findings
from mlstac.validation._times import Times

_DEGREES = 1e-9
"""Slack of comparisons: a tenth of a millimetre."""

_HALF_EARTH = 180.0


class Places:
    """Looks at the place and time of row groups.

    Parameters
    ----------
    extent : Extent
        The collection's.
    findings : Findings
    """

    def __init__(self, extent: Extent, *, findings: Findings) -> None:
        self._boxes = np.array([_four(box) for box in extent.bbox[:1]])
        self._findings = findings
        self._times = Times(extent, findings)
        self._grids = Grids(findings)
        self.rows_placed = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """Top-level columns that are looked at."""
        return ("geometry", "bbox", *Times.columns, *Grids.columns)

    def check(self, table: dict[str, Any], *, file: str, first: int, is_items: bool) -> None:
        """Look at the columns of one row group, whose first row has a number in the part."""
        boxes = self._check_boxes(table, file, first, is_items)
        self._times.check(table, file=file, first=first, is_items=is_items)
        self._grids.check(table, "", file=file, first=first, boxes=boxes)

    def check_asset(self, table: dict[str, Any], prefix: str, *, file: str, first: int) -> None:
        """Look at grids that stand on an asset."""
        self._grids.check(table, prefix, file=file, first=first, boxes=None)

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
        self._check_crossing(box, good, file, first)
        good &= ~self._outside(box, good, file, first)
        self._check_outlines(geometry, box, absent, good, file, first)
        return np.where(good[:, None], box, np.nan)

    def _check_crossing(self, box: Floats, good: Mask, file: str, first: int) -> None:
        """Boxes over the antimeridian begin east of Greenwich, end west of it, and hold half of the Earth at most."""
        west, east = box[:, 0], box[:, 2]
        crossing = good & (west > east)
        wrong = crossing & ((west < 0) | (east > 0) | (east + 360 - west > _HALF_EARTH + _DEGREES))
        self._findings.rows(
            wrong,
            file,
            f"bbox has west > east, which crosses the antimeridian: {_show(box, wrong)}; such a box has west from 0 "
            "on, east to 0, and at most half of the Earth between",
            "swap west and east, or write -180 and 180 for what is wider",
            path="bbox",
            first=first,
        )

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


def _four(box: list[float]) -> list[float]:
    half = len(box) // 2
    return [box[0], box[1], box[half], box[half + 1]]


def _show(box: Floats, wrong: Mask) -> str:
    return str([float(side) for side in box[np.argmax(wrong)]]) if wrong.any() else ""
