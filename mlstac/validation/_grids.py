"""Grids of rows: finite, not singular, in a CRS that PROJ knows, and where the row's box says."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyproj

from mlstac.validation._columns import Floats, Mask, lists, null_mask, numbers
from mlstac.validation._report import Findings

_MAX_CRS = 10_000
_MAX_CODE_CHARS = 100
_MAX_WKT_CHARS = 100_000
_WKT_1 = ("PROJCS", "GEOGCS", "GEOCCS", "COMPD_CS", "VERT_CS", "LOCAL_CS")


class Grids:
    """Looks at the grids of row groups.

    Parameters
    ----------
    findings : Findings
    """

    columns = ("proj:code", "proj:wkt2", "proj:transform", "proj:shape")
    """Columns that are looked at, of a row or of one of its assets."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._known: dict[str, Any] = {}

    def check(self, table: dict[str, Any], prefix: str, *, file: str, first: int, boxes: Floats | None) -> None:
        """Look at the columns of one row group; of those of an asset the names begin with a prefix."""
        transform = table.get("proj:transform")
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
        for name, read, mend in (
            ("proj:code", _read_code, "write a code such as EPSG:32630, or the CRS in proj:wkt2"),
            ("proj:wkt2", _read_wkt, "write the CRS as pyproj's to_wkt() does (WKT 2:2019), or its code in proj:code"),
        ):
            column = table.get(name)
            if column is not None and pa.types.is_string(column.type):
                told = _Column(name, column, read, mend)
                self._check_crs(told, numbers_of, table.get("proj:shape"), boxes, prefix, file, first)

    def _check_crs(
        self,
        told: "_Column",
        grids: Floats | None,
        shape: Any,
        boxes: Floats | None,
        prefix: str,
        file: str,
        first: int,
    ) -> None:
        encoded = told.values.dictionary_encode()
        indices = numbers(encoded.indices.fill_null(-1))
        texts = encoded.dictionary
        path = f"{prefix}{told.name}"
        if len(texts) > _MAX_CRS:
            self._findings.error(
                file,
                f"{told.name} has {len(texts):,} different values; {_MAX_CRS:,} are looked at",
                told.mend,
                path=path,
            )
        for number, text in enumerate(texts[:_MAX_CRS].to_pylist()):
            rows = indices == number
            transformer = self._transformer(text, told.read)
            if isinstance(transformer, str):
                self._findings.rows(
                    rows, file, f"{told.name} {text[:80]!r} {transformer}", told.mend, path=path, first=first
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
            f"the grid (proj:transform, proj:shape) has its middle at {lon[at]:.4f}, {lat[at]:.4f}, "
            f"far from the bbox {boxes[known][at].tolist()}",
            "mend the one that is wrong: footprints follow from grids",
            path=f"{prefix}proj:transform",
            first=first,
        )

    def _transformer(self, text: str, read: Callable[[str], Any]) -> Any:
        """The way from a CRS to WGS 84; in words what is wrong with it, or None where there is no way."""
        if text not in self._known:
            crs = read(text)
            if isinstance(crs, str):
                self._known[text] = crs
            else:
                try:
                    self._known[text] = pyproj.Transformer.from_crs(crs, "OGC:CRS84", always_xy=True)
                except pyproj.exceptions.ProjError:
                    self._known[text] = None
        return self._known[text]


class _Column(NamedTuple):
    """A column that names CRSs, and how its texts are read."""

    name: str
    values: Any
    read: Callable[[str], Any]
    mend: str


def _read_code(text: str) -> Any:
    """The CRS of a code, or in words what is wrong with it."""
    try:
        return (
            pyproj.CRS.from_user_input(text) if len(text) <= _MAX_CODE_CHARS and ":" in text else "is no code of a CRS"
        )
    except (pyproj.exceptions.CRSError, ValueError):
        return "is not known to PROJ"


def _read_wkt(text: str) -> Any:
    """The CRS of a text in WKT 2, or in words what is wrong with it."""
    if len(text) > _MAX_WKT_CHARS:
        return f"is a text of {len(text):,} characters"
    if text.lstrip().upper().startswith(_WKT_1):
        return "is WKT 1"
    try:
        return pyproj.CRS.from_wkt(text)
    except (pyproj.exceptions.CRSError, ValueError):
        return "is no WKT of a CRS that PROJ reads"
