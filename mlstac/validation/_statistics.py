"""Statistics of the train split, taken again of its values and held against those that the collection states.

Taken by other means than the writer's, so that neither hides the other's mistake: sums of one chunk in float64, chunks
joined by the formula of Chan, Golub and LeVeque.
"""

import math
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlstac.collection import Class, Statistics, Tensor
from mlstac.validation._report import Findings

_NUMPY = {
    "BOOL": "u1",
    "U8": "u1",
    "I8": "i1",
    "U16": "<u2",
    "I16": "<i2",
    "U32": "<u4",
    "I32": "<i4",
    "U64": "<u8",
    "I64": "<i8",
    "BF16": "<u2",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
}
_TOLERANCE = 1e-6
_MAX_CLASSES = 1_000_000


class Moments:
    """What is known of the values of one band so far."""

    def __init__(self) -> None:
        self.count = self.left_out = 0
        self.low = math.inf
        self.high = -math.inf
        self.mean = self.deviations = 0.0

    def add(self, values: NDArray[Any], nodata: float | int | None) -> None:
        """Take in values of one band."""
        good = np.isfinite(values) if values.dtype.kind == "f" else np.ones(values.shape, bool)
        if nodata is not None and nodata == nodata and _holds(values.dtype, nodata):
            good &= values != values.dtype.type(nodata)
        kept = values[good].astype(np.float64)
        self.left_out += values.size - kept.size
        if not kept.size:
            return
        mean = float(kept.mean())
        deviations = float(np.square(kept - mean).sum())
        total = self.count + kept.size
        step = mean - self.mean
        self.deviations += deviations + step * step * self.count * kept.size / total
        self.mean += step * kept.size / total
        self.count = total
        self.low, self.high = min(self.low, float(kept.min())), max(self.high, float(kept.max()))


def _holds(dtype: np.dtype[Any], value: float | int) -> bool:
    if dtype.kind == "f":
        return True
    bounds = np.iinfo(dtype)
    return math.isfinite(value) and int(value) == value and bounds.min <= value <= bounds.max


class Measured:
    """Statistics of one tensor, as its samples come by."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        axis = tensor.band_axis
        self._by_band = axis is not None and any(band.statistics is not None for band in tensor.bands)
        self._axis = axis or 0
        self._moments = [Moments() for _ in (tensor.bands if self._by_band else [None])]
        self._counts: Counter[int] = Counter()
        self._counted = any(item.count is not None or item.percentage is not None for item in tensor.classes)

    @classmethod
    def of(cls, tensor: Tensor) -> "Measured | None":
        """One for a tensor of which the collection states something; None for others."""
        stated = tensor.statistics is not None or any(band.statistics is not None for band in tensor.bands)
        counted = any(item.count is not None or item.percentage is not None for item in tensor.classes)
        readable = tensor.media_type is None and tensor.dtype in _NUMPY
        return cls(tensor) if (stated or counted) and readable else None

    def add(self, data: NDArray[np.uint8], shape: tuple[int, ...]) -> None:
        """Take in some samples of one shape, one after another: shape (sample, ...)."""
        values = data.view(_NUMPY[str(self.tensor.dtype)]).reshape(shape)
        if self.tensor.dtype == "BF16":
            values = (values.astype(np.uint32) << np.uint32(16)).view(np.float32)
        if self._counted and values.dtype.kind in "iu" and len(self._counts) < _MAX_CLASSES:
            found, counts = np.unique(values, return_counts=True)
            self._counts.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))
        if not self._by_band:
            self._moments[0].add(values.ravel(), self.tensor.nodata)
            return
        for number, (band, moments) in enumerate(zip(self.tensor.bands, self._moments, strict=True)):
            nodata = self.tensor.nodata if band.nodata is None else band.nodata
            moments.add(np.take(values, number, axis=self._axis + 1).ravel(), nodata)

    def compare(self, name: str, *, file: str, findings: Findings) -> None:
        """Hold what the collection states against what was taken."""
        path = f"item_assets.{name}"
        if self._by_band:
            for number, (band, moments) in enumerate(zip(self.tensor.bands, self._moments, strict=True)):
                if band.statistics is not None:
                    _compare(band.statistics, moments, f"{path}.bands[{number}].statistics", file, findings)
        elif self.tensor.statistics is not None:
            _compare(self.tensor.statistics, self._moments[0], f"{path}.statistics", file, findings)
        if self._counted:
            for number, item in enumerate(self.tensor.classes):
                self._compare_class(item, f"{path}.classification:classes[{number}]", file, findings)

    def _compare_class(self, item: Class, path: str, file: str, findings: Findings) -> None:
        found = self._counts.get(item.value, 0)
        if item.count is not None and item.count != found:
            _say(findings, file, f"{path}.count", item.count, found)
        absent = {each.value for each in self.tensor.classes if each.nodata} | {self.tensor.nodata}
        total = sum(count for value, count in self._counts.items() if value not in absent)
        share = 100 * found / total if total else 0.0
        if item.percentage is not None and abs(item.percentage - share) > 1e-3:
            _say(findings, file, f"{path}.percentage", item.percentage, share)


def _compare(stated: Statistics, moments: Moments, path: str, file: str, findings: Findings) -> None:
    if not moments.count:
        findings.error(file, "statistics are stated of values that are all nodata", "leave them out", path=path)
        return
    total = moments.count + moments.left_out
    deviation = math.sqrt(moments.deviations / moments.count)
    scale = max(abs(moments.mean), deviation, abs(moments.low), abs(moments.high), 1e-300)
    exact = {"count": moments.count, "minimum": moments.low, "maximum": moments.high}
    for key, found in exact.items():
        value = getattr(stated, key)
        if value is not None and value != found:
            _say(findings, file, f"{path}.{key}", value, found)
    near = {"mean": (moments.mean, scale), "stddev": (deviation, scale)}
    near["valid_percent"] = (100 * moments.count / total, 100.0)
    for key, (found, size) in near.items():
        value = getattr(stated, key)
        if value is not None and not abs(value - found) <= _TOLERANCE * size:
            _say(findings, file, f"{path}.{key}", value, found)


def _say(findings: Findings, file: str, path: str, stated: float, found: float) -> None:
    findings.error(
        file,
        f"the collection states {stated!r}; the values of the train split have {found!r}",
        "take the statistics again of the train split, nodata left out, and write the collection again",
        path=path,
    )
