"""What the tensors of a source are, from a look at its first samples."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from itertools import islice

from mlstac.collection import Tensor
from mlstac.conversion._fields import Fields
from mlstac.conversion._plan import Samples
from mlstac.conversion._raster import image_tensor, mask_tensor
from mlstac.conversion._words import is_label_field
from mlstac.sample import Sample

FIRST = 8
"""Samples of each split that are looked at."""


def describe_first(
    splits: Mapping[str, Samples],
    *,
    classes: Mapping[str, Sequence[str]] | None = None,
    roles: Mapping[str, str] | None = None,
    rasters: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Describe the tensors of samples; dtypes and axes are inferred when they are written.

    Parameters
    ----------
    splits : mapping of str to Samples
    classes : mapping of str to sequence of str, optional
        Names of the classes of a label tensor, from 0.
    roles : mapping of str to str, optional
        ``data`` or ``label``, where the source says it; else by the tensor's name.
    rasters : mapping of str to Tensor, optional
        What images say of themselves.
    """
    seen: list[Sample] = []
    for read in splits.values():
        with closing(read(0)) as samples:  # what it has open is closed now, not when it is collected
            seen += islice(samples, FIRST)
    counts: dict[str, int] = {}
    for sample in seen:
        for name in sample.tensors:
            counts[name] = counts.get(name, 0) + 1
    tensors = {}
    for name, count in counts.items():
        role = (roles or {}).get(name) or ("label" if name in (classes or {}) or is_label_field(name) else "data")
        known = (rasters or {}).get(name)
        fields = known.model_dump(exclude_defaults=True) if known is not None else {}
        names = (classes or {}).get(name)
        if names:
            fields["classes"] = dict(enumerate(names))
        tensors[name] = Tensor(**(fields | {"role": role, "required": count == len(seen)}))
    return tensors


def raster_tensors(fields: Fields) -> dict[str, Tensor]:
    """What the images among a sample's fields say of their tensors."""
    return {
        name: mask_tensor(raster) if is_label_field(name) else image_tensor(raster)
        for name, raster in fields.rasters.items()
    }
