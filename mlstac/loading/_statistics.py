"""Statistics of a tensor as arrays by band, and the arithmetic of scaling and normalizing that they make possible."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlstac.collection import Statistics, Tensor
from mlstac.errors import InvalidArgumentError, NotFoundError
from mlstac.loading._values import Affine

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class TensorStatistics:
    """Statistics of the train split, no-data values left out, by band.

    Arrays have shape (band,) in the order of the dataset's bands, or () for a tensor without a band axis. NaN (and a
    count of -1) stand for what the collection does not say.
    """

    bands: tuple[str, ...]
    """Names of the bands; empty without a band axis."""
    mean: Floats
    std: Floats
    """Of the population: divided by count."""
    min: Floats
    max: Floats
    count: NDArray[np.int64]
    """Values that were counted."""

    def scaled(self, factor: Floats, term: Floats) -> "TensorStatistics":
        """Statistics of ``value * factor + term``."""
        ends = np.stack([self.min * factor + term, self.max * factor + term])
        return TensorStatistics(
            self.bands,
            self.mean * factor + term,
            self.std * np.abs(factor),
            ends.min(axis=0),
            ends.max(axis=0),
            self.count,
        )


def statistics_of(name: str, tensor: Tensor) -> TensorStatistics:
    """Statistics of stored values, as the collection has them.

    Raises
    ------
    NotFoundError
        If it has none.
    """
    banded = bool(tensor.bands) and tensor.band_axis is not None
    found = [band.statistics for band in tensor.bands] if banded else [tensor.statistics]
    if not any(found):
        if tensor.classes:
            raise NotFoundError(
                f"tensor {name!r} holds classes, of which there is no mean; their shares of the train split are in "
                f"ds.tensors[{name!r}].classes, where they were counted"
            )
        raise NotFoundError(
            f"the collection has no statistics of tensor {name!r}; mlstac.write counts them, of tensors that are "
            "numbers, over a split named 'train': write the samples that they are to be of into that split"
        )
    known = [statistics or Statistics() for statistics in found]

    def column(field: str) -> Floats:
        values = [getattr(statistics, field) for statistics in known]
        array = np.array([np.nan if value is None else value for value in values], np.float64)
        return array if banded else array[0]

    counts = np.array([-1 if statistics.count is None else statistics.count for statistics in known], np.int64)
    return TensorStatistics(
        bands=tuple(band.name or str(index) for index, band in enumerate(tensor.bands)) if banded else (),
        mean=column("mean"),
        std=column("stddev"),
        min=column("minimum"),
        max=column("maximum"),
        count=counts if banded else counts[0],
    )


def scaling_of(tensor: Tensor) -> tuple[Floats, Floats] | None:
    """Scale and offset by band, from stored values to the quantity; None if the collection gives neither."""
    banded = bool(tensor.bands) and tensor.band_axis is not None
    given = [(band.scale, band.offset) for band in tensor.bands] if banded else [(tensor.scale, tensor.offset)]
    scales = [tensor.scale if scale is None else scale for scale, _ in given]
    offsets = [tensor.offset if offset is None else offset for _, offset in given]
    if all(value is None for value in (*scales, *offsets)):
        return None
    factor = np.array([1.0 if scale is None else scale for scale in scales])
    term = np.array([0.0 if offset is None else offset for offset in offsets])
    return (factor, term) if banded else (factor[0], term[0])


def scale_affine(tensor: Tensor, rank: int) -> Affine | None:
    """From stored values to the quantity."""
    scaling = scaling_of(tensor)
    return None if scaling is None else _along_bands(tensor, rank, *scaling)


def normal_affine(name: str, tensor: Tensor, rank: int) -> Affine:
    """From stored values to mean 0 and standard deviation 1 over the train split.

    Raises
    ------
    NotFoundError
        If the collection has no mean and standard deviation for the tensor.
    InvalidArgumentError
        If a band is constant.
    """
    return _along_bands(tensor, rank, *normal_terms(name, tensor))


def normal_terms(name: str, tensor: Tensor) -> tuple[Floats, Floats]:
    """Factor and term by band that `normal_affine` applies.

    Scale and offset of the quantity cancel out of them, but for the sign of a negative scale.
    """
    statistics = statistics_of(name, tensor)
    if np.isnan(statistics.mean).any() or np.isnan(statistics.std).any():
        raise NotFoundError(f"the collection lacks mean or standard deviation of a band of tensor {name!r}")
    if (statistics.std == 0).any():
        stds = np.atleast_1d(statistics.std)
        constant = [band for band, std in zip(statistics.bands or (name,), stds, strict=True) if not std]
        raise InvalidArgumentError(
            f"cannot normalize tensor {name!r}: {', '.join(constant)} is constant over the train split"
        )
    scaling = scaling_of(tensor)
    sign = np.sign(scaling[0]) if scaling is not None else np.ones(())
    factor = sign / statistics.std
    return factor, -statistics.mean * factor


def given_statistics(name: str, tensor: Tensor, scaling: str) -> TensorStatistics:
    """Statistics of values as they are handed out: stored, ``scaled`` or ``normalized``."""
    statistics = statistics_of(name, tensor)
    if scaling == "normalized":
        return statistics.scaled(*normal_terms(name, tensor))
    terms = scaling_of(tensor) if scaling == "scaled" else None
    return statistics if terms is None else statistics.scaled(*terms)


def affines_of(tensors: Mapping[str, Tensor], scaling: str) -> dict[str, Affine]:
    """Scaling of every tensor that is data and has numbers; labels and encoded fields stay as they are."""
    affines: dict[str, Affine] = {}
    for name, tensor in tensors.items() if scaling else ():
        if tensor.role != "data" or tensor.media_type is not None or tensor.dtype in ("BOOL", "C64"):
            continue
        rank = len(tensor.shape or ())
        if scaling == "normalized":
            affines[name] = normal_affine(name, tensor, rank)
        elif (affine := scale_affine(tensor, rank)) is not None:
            affines[name] = affine
    return affines


def _along_bands(tensor: Tensor, rank: int, factor: Floats, term: Floats) -> Affine:
    shape = [1] * rank
    if np.ndim(factor) and tensor.band_axis is not None:
        shape[tensor.band_axis] = -1
    return Affine(
        np.asarray(factor, np.float64).reshape(shape if np.ndim(factor) else ()),
        np.asarray(term, np.float64).reshape(shape if np.ndim(term) else ()),
    )
