"""Which tensors are measured, and how."""

from collections.abc import Callable

from mlstac.authoring._block import Measuring
from mlstac.authoring._description import Description
from mlstac.authoring._statistics import Nodata, is_countable, is_measurable
from mlstac.collection import Tensor

MEASURED = "train"
"""Statistics are of this split alone: what a model is normalised with must not know the samples that it is tested
on."""


def measuring_in(split: str, description: Description) -> Callable[[str, str], Measuring | None]:
    """Say, for a tensor's name and dtype, how its samples of a split are measured; None where they are not."""

    def measuring(name: str, dtype: str) -> Measuring | None:
        tensor = description.tensors[name]
        if split != MEASURED or tensor.media_type is not None or not is_measurable(dtype) or description.is_time(name):
            return None
        counted = is_countable(dtype) and (tensor.role == "label" or bool(tensor.classes))
        return Measuring(dtype, tensor.band_axis, _nodata_of(tensor), counted)

    return measuring


def _nodata_of(tensor: Tensor) -> Nodata:
    """What is to be left out of the statistics: the tensor's nodata, or where bands have their own, one a band."""
    if tensor.band_axis is None or all(band.nodata is None for band in tensor.bands):
        return tensor.nodata
    return tuple(tensor.nodata if band.nodata is None else band.nodata for band in tensor.bands)
