"""The order of an epoch: which sample comes at which position, as a pure function of (seed, epoch, n).

Nothing is stored and nothing is shared: every process computes the positions that it needs, so the order is the same
on one machine and on a thousand, before an interruption and after it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from mlstac.errors import InvalidArgumentError
from mlstac.loading._bijection import hash_words, permute
from mlstac.loading._layout import TensorLayout

Integers = NDArray[np.int64]

_BLOCK_BYTES = 2 * 1024 * 1024

OPEN_BLOCKS = 16
"""Blocks that a block shuffle draws from at a time."""

SEQUENTIAL = "sequential"
"""Name of the order that is the same in every epoch."""


class Order(Protocol):
    """An epoch of ``length`` positions."""

    @property
    def length(self) -> int:
        """Number of positions."""

    def at(self, positions: Integers) -> Integers:
        """Samples at positions, each in 0 … length-1."""


@dataclass(frozen=True, slots=True)
class Sequential:
    """Samples as they lie."""

    length: int

    def at(self, positions: Integers) -> Integers:
        """Positions themselves."""
        return positions


@dataclass(frozen=True, slots=True)
class Shuffled:
    """A true permutation of all samples."""

    length: int
    key: int

    def at(self, positions: Integers) -> Integers:
        """Entries of the permutation."""
        return permute(positions, self.length, self.key)


@dataclass(frozen=True, slots=True)
class BlockShuffled:
    """Blocks of neighbouring samples in random order, and samples drawn at random from several open blocks.

    Reads stay long: a group of ``OPEN_BLOCKS`` blocks is read, mixed and used up before the next. Every epoch starts
    its blocks elsewhere, so that no two samples are neighbours for ever.
    """

    length: int
    key: int
    block: int
    """Samples of a block."""

    @property
    def group(self) -> int:
        """Samples that are mixed with each other."""
        return self.block * OPEN_BLOCKS

    def at(self, positions: Integers) -> Integers:
        """Samples at positions."""
        blocks = self.length // self.block  # whole ones; what is left over keeps the last place
        groups, inside = positions // self.group, positions % self.group
        last = self.length // self.group
        keys = hash_words(self.key, 1, groups)
        mixed = np.empty(len(positions), np.int64)
        full = groups < last
        mixed[full] = permute(inside[full], self.group, keys[full])
        rest = ~full
        mixed[rest] = permute(inside[rest], self.length - last * self.group, keys[rest])
        places = groups * self.group + mixed
        number = places // self.block
        whole = number < blocks
        number[whole] = permute(number[whole], blocks, self.key)
        shift = int(hash_words(self.key, 2)[0]) % max(self.length, 1)
        return (number * self.block + places % self.block + shift) % max(self.length, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Weighted:
    """Samples drawn with replacement in proportion to weights.

    Draws are stratified: over an epoch of ``length`` draws each sample comes as often as its share says, rounded down
    or up.
    """

    length: int
    key: int
    edges: NDArray[np.float64]
    """Cumulative weights; the last is their sum."""

    def at(self, positions: Integers) -> Integers:
        """Samples at positions."""
        strata = permute(positions, self.length, self.key)
        # one offset for all strata: with one each, a share could touch a stratum more at either end
        offset = int(hash_words(self.key, 3)[0] >> np.uint64(11)) * 2.0**-53
        return draw(strata, offset, self.length, self.edges)


def draw(strata: Integers, offset: float, length: int, edges: NDArray[np.float64]) -> Integers:
    """Samples that strata fall on, whose aim is an offset (from 0, below 1) into each of ``length`` equal shares."""
    aim = (strata + offset) / length * edges[-1]
    # an aim may be rounded up to the sum, past every sample: it is the last one's that has a weight
    found: Integers = np.minimum(np.searchsorted(edges, aim, side="right"), np.searchsorted(edges, edges[-1]))
    return found


def epoch_key(seed: int, epoch: int) -> int:
    """Key of an epoch's order."""
    return int(hash_words(seed, epoch)[0])


def make_order(count: int, *, shuffle: object, seed: int, epoch: int, block: int) -> Order:
    """Order of an epoch of all samples, each once.

    Raises
    ------
    InvalidArgumentError
        If ``shuffle`` is none of False, True and "block".
    """
    if shuffle is False:
        return Sequential(count)
    if shuffle is True:
        return Shuffled(count, epoch_key(seed, epoch))
    if shuffle == "block":
        return BlockShuffled(count, epoch_key(seed, epoch), min(block, max(1, count)))
    raise InvalidArgumentError(f"shuffle={shuffle!r} is not known; choose False, True or 'block'")


def make_weighted(weights: NDArray[np.float64], *, seed: int, epoch: int, draws: int) -> Weighted:
    """Order of an epoch of draws in proportion to weights.

    Raises
    ------
    InvalidArgumentError
        If a weight is negative or not finite, or all are zero.
    """
    weights = np.asarray(weights, np.float64)
    wrong = ~(weights >= 0) | ~np.isfinite(weights)
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise InvalidArgumentError(f"weight {at} is {weights[at]}; weights are finite numbers from 0 on")
    edges = np.cumsum(weights)
    if not edges.size or not 0 < edges[-1] < np.inf:
        raise InvalidArgumentError("weights add up to nothing, or to more than a float holds; give some that are not 0")
    return Weighted(draws, epoch_key(seed, epoch), edges)


def choose_order(count: int, *, shuffle: object, weights: Any, block: int) -> tuple[str, Callable[[int, int], Order]]:
    """Name of an order, and what makes it of seed and epoch.

    Raises
    ------
    InvalidArgumentError
        If ``shuffle`` is not known, or weights do not fit the dataset.
    """
    if weights is None:
        make_order(count, shuffle=shuffle, seed=0, epoch=0, block=block)
        kind = f"blocks of {block}" if shuffle == "block" else "shuffled" if shuffle else SEQUENTIAL
        return kind, lambda seed, epoch: make_order(count, shuffle=shuffle, seed=seed, epoch=epoch, block=block)
    try:
        values = np.asarray(weights, np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(f"weights are no numbers ({error}); give one a sample") from error
    if values.shape != (count,):
        raise InvalidArgumentError(f"weights of shape {values.shape} do not fit this dataset of {count} samples")
    if shuffle not in (False, True):
        raise InvalidArgumentError("weighted draws are in random order; leave shuffle out")
    make_weighted(values, seed=0, epoch=0, draws=count)
    kind = f"weighted {xxhash.xxh3_64_hexdigest(values.astype('<f8').tobytes())}"
    return kind, lambda seed, epoch: make_weighted(values, seed=seed, epoch=epoch, draws=count)


def balanced_weights(column: pa.ChunkedArray, name: str) -> NDArray[np.float64]:
    """Weights by which every value of a column comes as often as any other; null counts as a value.

    Raises
    ------
    InvalidArgumentError
        If the column has lists or structs.
    """
    if pa.types.is_nested(column.type):
        raise InvalidArgumentError(
            f"cannot balance by column {name!r} of type {column.type}; choose one of plain values"
        )
    codes = column.combine_chunks().dictionary_encode(null_encoding="encode")
    chunks = codes.chunks if isinstance(codes, pa.ChunkedArray) else [codes]
    numbers = np.concatenate([np.asarray(chunk.indices) for chunk in chunks]) if chunks else np.zeros(0, np.int64)
    counts = np.bincount(numbers)
    weights: NDArray[np.float64] = 1.0 / (counts[numbers] * max(1, len(counts)))
    return weights


def block_rows(layouts: Iterable[TensorLayout]) -> int:
    """Samples of a block of a block shuffle: about 2 MiB of them, a power of two from 16 to 16,384.

    From what the collection says of a sample alone, so that the order depends on the dataset and not on what is
    selected.
    """
    sizes = [layout.row_bytes for layout in layouts]
    nbytes = sum(65_536 if size is None else size for size in sizes)
    rows = _BLOCK_BYTES // max(1, nbytes)
    return int(min(max(1 << max(rows, 1).bit_length() - 1, 16), 16_384))
