"""Which split a sample goes to, where its own properties or its place decide: a function of the sample alone."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import xxhash

from mlstac.authoring._axes import infer_dims
from mlstac.authoring._samples import as_sample
from mlstac.authoring._xarray import DescribedSample
from mlstac.collection import SPLIT_ALIASES, Collection, Tensor, check_split_name
from mlstac.errors import InvalidArgumentError, InvalidSampleError
from mlstac.sample import Sample, sample_centre

FRACTIONS: Final = {"train": 0.8, "validation": 0.1, "test": 0.1}
EARTH_RADIUS_M: Final = 6_371_008.8
"""Mean radius of WGS 84 (IUGG)."""

_KEYS = ("block_size_m", "column", "fractions", "seed")


@dataclass(frozen=True)
class Splitting:
    """How samples are divided.

    A column alone holds the split's name. A column with fractions, or blocks of the Earth's surface, are groups: all
    samples of a group go to one split, drawn by a hash of the group and the seed, so that the fractions hold for the
    number of groups, and each run and each part of a run decides alike.
    """

    column: str | None = None
    block_size_m: float | None = None
    fractions: tuple[tuple[str, float], ...] | None = None
    seed: int = 0

    @property
    def splits(self) -> list[str]:
        """The splits that are known before any sample is."""
        return [name for name, _ in self.fractions or ()]

    def to_json(self) -> dict[str, Any]:
        """What decides, as the collection says it."""
        if self.fractions is None:
            return {"by": "column", "column": self.column}
        by = {"by": "location", "block_size_m": self.block_size_m} if self.block_size_m is not None else {}
        return {**(by or {"by": "column", "column": self.column}), "fractions": dict(self.fractions), "seed": self.seed}

    def say(self, collection: Collection) -> Collection:
        """The collection with its ``split_strategy``, unless the author has said one."""
        collection = collection.model_copy(deep=True)
        if collection.split_strategy is None:
            collection.split_strategy = self.to_json()
        return collection

    def split_of(self, given: Any, tensors: Mapping[str, Tensor], *, number: int = 0) -> str:
        """The split of one sample.

        Parameters
        ----------
        number : int, default 0
            Of the sample among all that are divided; errors name one by it that has no id.
        tensors : mapping of str to Tensor
            Descriptions of its tensors, as far as they are known.

        Raises
        ------
        InvalidSampleError
            If it lacks what decides.
        """
        try:
            sample = as_sample(given)
        except InvalidSampleError as error:
            raise InvalidSampleError(f"sample number {number}: {error}") from error
        what = f"sample number {number}" if sample.id is None else f"sample {sample.id!r} (number {number})"
        if self.block_size_m is not None:
            return self._draw(f"{_block_of(sample, tensors, self.block_size_m, what=what)}")
        assert self.column is not None
        if self.column not in sample.properties:
            has = ", ".join(sample.properties) or "none"
            raise InvalidSampleError(f"{what} has no property {self.column!r} to split by; it has {has}")
        value = sample.properties[self.column]
        if self.fractions is not None:
            return self._draw(repr(value))
        if not isinstance(value, str):
            raise InvalidSampleError(
                f"property {self.column!r} of {what} is {value!r}; split_by needs the name of a split,"
                " such as 'train', or fractions beside the column, which draw a split for each of its values"
            )
        return SPLIT_ALIASES.get(value, value)

    def _draw(self, group: str) -> str:
        assert self.fractions is not None
        number = xxhash.xxh3_64_intdigest(f"{self.seed}:{group}".encode()) / 2**64
        reached = 0.0
        for name, fraction in self.fractions:
            reached += fraction
            if number < reached:
                return name
        return next(name for name, fraction in reversed(self.fractions) if fraction)


def read_splitting(split_by: Any) -> Splitting | None:
    """Read the argument ``split_by``.

    Parameters
    ----------
    split_by : str, mapping or None
        A property that names the split of each sample; or ``{"block_size_m": 10_000}`` or ``{"column": "scene"}``,
        with ``fractions`` (by default 0.8, 0.1 and 0.1) and ``seed`` (0).

    Raises
    ------
    InvalidArgumentError
        If it is none of these.
    """
    if split_by is None:
        return None
    if isinstance(split_by, str):
        return Splitting(column=split_by)
    expected = (
        "give the name of a property, {'block_size_m': 10_000} or {'column': 'scene'}, with 'fractions' or 'seed'"
    )
    if not isinstance(split_by, Mapping) or not {*split_by} <= {*_KEYS}:
        raise InvalidArgumentError(f"split_by is {split_by!r}; {expected}")
    column, size = split_by.get("column"), split_by.get("block_size_m")
    if (column is None) == (size is None):
        raise InvalidArgumentError(f"split_by is {split_by!r}; {expected}")
    if column is not None and not isinstance(column, str):
        raise InvalidArgumentError(f"split_by has the column {column!r}; {expected}")
    if size is not None and (not _is_number(size) or not 1 <= size <= 10_000_000):
        raise InvalidArgumentError(f"block_size_m is {size!r}; give metres, from 1 to 10,000,000")
    seed = split_by.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise InvalidArgumentError(f"the seed of split_by is {seed!r}; give an integer")
    return Splitting(column, None if size is None else float(size), _read_fractions(split_by.get("fractions")), seed)


def _read_fractions(given: Any) -> tuple[tuple[str, float], ...]:
    fractions = FRACTIONS if given is None else given
    if not isinstance(fractions, Mapping) or not fractions or not all(map(_is_number, fractions.values())):
        raise InvalidArgumentError(f"fractions are {given!r}; give the share of each split, such as {FRACTIONS}")
    found = tuple((check_split_name(SPLIT_ALIASES.get(name, name)), float(share)) for name, share in fractions.items())
    if min(share for _, share in found) < 0 or abs(math.fsum(share for _, share in found) - 1) > 1e-9:
        raise InvalidArgumentError(
            f"fractions {dict(found)} do not add up to 1; give each split its share of the whole"
        )
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def find_block(lon: float, lat: float, *, size_m: float) -> tuple[int, int]:
    """Row and column of the block that a point lies in.

    Rows of one height go from pole to pole; each is cut into as many equal columns as bring their width, half-way up
    the row, closest to that height. No block is cut by the antimeridian.
    """
    n_rows = max(1, round(math.pi * EARTH_RADIUS_M / size_m))
    row = min(n_rows - 1, max(0, math.floor((lat + 90.0) / 180.0 * n_rows)))
    middle = math.radians((row + 0.5) * 180.0 / n_rows - 90.0)
    n_columns = max(1, round(2 * math.pi * EARTH_RADIUS_M * math.cos(middle) / size_m))
    return row, min(n_columns - 1, math.floor((lon + 180.0) % 360.0 / 360.0 * n_columns))


def _block_of(sample: Sample, tensors: Mapping[str, Tensor], size_m: float, *, what: str) -> tuple[int, int]:
    centre = sample_centre(sample, grids=_grids(sample, tensors))
    if centre is None:
        raise InvalidSampleError(f"{what} has no place to split by; give crs and transform, bbox, or geometry")
    return find_block(*centre, size_m=size_m)


def _grids(sample: Sample, tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, int]]:
    """Height and width of each tensor that is an image, before any is encoded."""
    shapes = {name: tuple(value.shape) for name, value in sample.tensors.items() if hasattr(value, "shape")}
    described = sample.described if isinstance(sample, DescribedSample) else {}
    found = {}
    for name, shape in shapes.items():
        dims = tensors[name].dims if name in tensors else described.get(name, {}).get("dims")
        steps = None if sample.datetimes is None or isinstance(sample.datetimes, dict) else len(sample.datetimes)
        dims = dims or infer_dims(name, shapes, steps=steps)
        if dims is not None and "y" in dims and "x" in dims and len(dims) == len(shape):
            found[name] = (int(shape[dims.index("y")]), int(shape[dims.index("x")]))
    return found
