"""What the rows of a catalog part say of where a tensor's bytes are, as numbers."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlstac.errors import MlstacError
from mlstac.loading._addresses import MISSING, PLAIN, Rows
from mlstac.loading._check import shapes_of_lengths
from mlstac.loading._columns import Names, RowError, integers, lists, present, strings
from mlstac.loading._layout import TensorLayout
from mlstac.loading._shards import Shards

Mask = NDArray[np.bool_] | None


def parse_rows(
    asset: pa.StructArray,
    where: Mask,
    layout: TensorLayout,
    *,
    shaped: bool,
    shared: bool,
    shards: Shards,
    join: Callable[[str], str],
    mark: str,
) -> Rows:
    """Read what rows say of one tensor; nothing of it is checked against anything else.

    Parameters
    ----------
    asset : pyarrow.StructArray
        The tensor's structs, of one row group.
    where : numpy.ndarray of bool, optional
        Which rows have it; None if all do.
    shaped, shared : bool
        Whether there are columns ``ml:shape`` and ``ml:frame_offset``.
    shards : Shards
        Where shards get their numbers.
    join : callable
        Makes an href of a row the URL of a shard, or refuses it.
    mark : str
        Of the part's state, which tells that of its shards: none changes once a part names it.

    Raises
    ------
    RowError
        If a row says what cannot be; it has the number of the row.
    CatalogError
        If a column is not as it must be.
    """

    def leaf(name: str) -> NDArray[np.int64]:
        return integers(asset.field(name), where=where, what=f"assets.{layout.name}.{name}")

    if where is not None and layout.required:
        row = int(np.flatnonzero(~where)[0])
        raise RowError(row, f"lacks tensor {layout.name!r}, which every sample has by the collection")
    offsets, lengths, sizes = leaf("ml:offset"), leaf("ml:length"), leaf("file:size")
    hrefs = strings(asset.field("href"), where=where, what=f"assets.{layout.name}.href")
    files = _number(hrefs, sizes, shards=shards, join=join, mark=mark)
    compressed = shards.compressed(files)
    frames = None
    if compressed is not None:
        inside = _frame_offsets(asset, where, f"assets.{layout.name}.ml:frame_offset") if shared else 0
        frames = np.where(compressed, inside, PLAIN).astype(np.int64)
    shapes = None
    if shaped:
        what = f"assets.{layout.name}.ml:shape"
        shapes = lists(asset.field("ml:shape"), axes=len(layout.shape), where=where, what=what)
    elif layout.fixed is None:
        if compressed is not None:
            row = int(np.flatnonzero(compressed)[0])
            raise RowError(row, f"assets.{layout.name} needs ml:shape: lengths of a compressed shard do not tell it")
        shapes = shapes_of_lengths(lengths, layout)
    return Rows(files, offsets, lengths, sizes, shapes, frames)


def first_rows(hrefs: Names) -> list[tuple[int, str]]:
    """A row for each distinct href."""
    edges = _changes(hrefs.indices)
    seen = {
        index: row for row, index in reversed(list(zip(edges.tolist(), hrefs.indices[edges].tolist(), strict=True)))
    }
    return [(row, hrefs.names[index]) for index, row in seen.items() if index >= 0]


def _number(
    hrefs: Names, sizes: NDArray[np.int64], *, shards: Shards, join: Callable[[str], str], mark: str
) -> NDArray[np.int64]:
    """Number of each row's shard; every distinct href is looked at once."""
    indices = hrefs.indices
    numbers = np.full(len(hrefs.names) + 1, MISSING, np.int64)  # the last one is what index -1 means
    edges = _changes(indices)
    for row, index in zip(edges.tolist(), indices[edges].tolist(), strict=True):
        if index >= 0 and numbers[index] == MISSING:
            if not hrefs.names[index]:
                raise RowError(row, "href is empty; it names the shard that holds the sample")
            try:
                url = join(hrefs.names[index])
            except MlstacError as error:
                raise RowError(row, f"href {hrefs.names[index]!r}: {error}") from error
            numbers[index] = shards.number(url, int(sizes[row]), mark)
    return np.repeat(numbers[indices[edges]], np.diff(edges, append=len(indices)))


def _frame_offsets(asset: pa.StructArray, where: Mask, what: str) -> NDArray[np.int64]:
    """``ml:frame_offset``; a row that does not say it has 0."""
    column = asset.field("ml:frame_offset")
    said = present(column)
    if said is not None:
        where = said if where is None else said & where
    inside = integers(column, where=where, what=what)
    if (inside < 0).any():
        row = int(np.flatnonzero(inside < 0)[0])
        raise RowError(row, f"{what} is {inside[row]}")
    return inside


def _changes(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where values begin to be another than before; the first of all does."""
    return np.concatenate([np.zeros(min(1, len(values)), np.int64), np.flatnonzero(values[1:] != values[:-1]) + 1])
