"""Several datasets as one epoch, in given shares, with the same order, striping and resume as one alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import xxhash
from numpy.typing import NDArray

from mlstac.collection import Tensor
from mlstac.errors import InvalidArgumentError
from mlstac.loading._batches import Batches
from mlstac.loading._bijection import hash_words, permute
from mlstac.loading._dataset import Dataset
from mlstac.loading._mixed_feed import SHIFT, MixedFeed
from mlstac.loading._order import Order, make_order
from mlstac.loading._padding import check_pad, join_pads
from mlstac.loading._whole import whole
from mlstac.loading._world import find_world

Integers = NDArray[np.int64]

TURNS = 10_000
"""Draws over which the datasets have their shares exactly."""


def mix(datasets: Sequence[Dataset], weights: Sequence[float] | None = None, *, seed: int = 0) -> "Mixture":
    """Several datasets as one, drawn from in given shares.

    Parameters
    ----------
    datasets : sequence of Dataset
        With the same tensors: names, dtypes and shapes, as selected. Each sample is scaled or normalized as its own
        dataset says.
    weights : sequence of float, optional
        Share of each in an epoch; by default in proportion to their lengths.
    seed : int
        Default of `Mixture.batches`.

    Returns
    -------
    Mixture

    Raises
    ------
    InvalidArgumentError
        If tensors or frameworks differ, a dataset is empty, or weights do not fit.
    """
    given = list(datasets)
    if not given or not all(isinstance(dataset, Dataset) for dataset in given):
        raise InvalidArgumentError("mix needs at least one dataset, as mlstac.load gives them")
    _check_alike(given)
    shares = [float(len(dataset)) for dataset in given] if weights is None else [float(weight) for weight in weights]
    if len(shares) != len(given):
        raise InvalidArgumentError(f"{len(shares)} weights do not fit {len(given)} datasets; give one each")
    if not all(np.isfinite(share) and share > 0 for share in shares):
        raise InvalidArgumentError(f"weights {shares} are not all finite and above 0; leave out what is not wanted")
    if weights is not None and min(shares) * TURNS < sum(shares) * (1 - 1e-9):  # it would be drawn far more often
        raise InvalidArgumentError(
            f"weight {min(shares)} of {sum(shares)} is less than one draw in {TURNS:,}, the smallest share there is; "
            "leave that dataset out, or give it more"
        )
    for dataset in given:
        if not len(dataset):
            raise InvalidArgumentError(f"{dataset.collection.id!r} ({dataset.split}) has no samples; leave it out")
    return Mixture(given, _quotas(shares), seed)


class Mixture:
    """Datasets that are drawn from in given shares; made by `mlstac.mix`.

    An epoch has as many samples as the datasets together, unless ``samples`` says otherwise: of one whose share is
    larger than its length, samples come again, in another order each time.
    """

    def __init__(self, datasets: list[Dataset], quotas: Integers, seed: int) -> None:
        self._datasets = datasets
        self._quotas = quotas
        self._seed = seed

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self._datasets)

    @property
    def fingerprint(self) -> str:
        """Short hash of the datasets and their shares."""
        parts = [dataset.fingerprint for dataset in self._datasets]
        return xxhash.xxh3_64_hexdigest(repr((parts, self._quotas.tolist())).encode())

    def batches(
        self,
        batch_size: int,
        *,
        shuffle: Literal[False, True, "block"] = True,
        samples: int | None = None,
        seed: int | None = None,
        epoch: int = 0,
        drop_last: bool = False,
        pad: Mapping[str, float | str | None] | None = None,
        rank: int | None = None,
        world_size: int | None = None,
        prefetch: int = 2,
        max_in_flight_bytes: str | int = "256MB",
        transform: Callable[..., Any] | None = None,
    ) -> Batches:
        """Batches of one epoch; arguments and guarantees are those of `Dataset.batches`.

        Parameters
        ----------
        batch_size, shuffle, seed, epoch, drop_last, pad, rank, world_size, prefetch, max_in_flight_bytes, transform
            As there; ``shuffle`` is of each dataset's own samples.
        samples : int, optional
            Length of the epoch; by default that of the datasets together.
        """
        rank, world_size = find_world(rank, world_size)
        length = len(self) if samples is None else whole("samples", samples, least=0)
        counts = [len(dataset) for dataset in self._datasets]
        blocks = [dataset.block_rows for dataset in self._datasets]
        turns = _turns(self._quotas)

        def make(seed: int, epoch: int) -> Order:
            return Mixed(length, counts, blocks, self._quotas, turns, shuffle, seed, epoch)

        make_order(1, shuffle=shuffle, seed=0, epoch=0, block=1)
        feed = MixedFeed([dataset.feed() for dataset in self._datasets])
        return Batches(
            feed,
            fingerprint=self.fingerprint,
            make_order=make,
            kind=f"mixed {shuffle} {length}",
            batch_size=batch_size,
            seed=self._seed if seed is None else seed,
            epoch=epoch,
            drop_last=drop_last,
            pad=check_pad(join_pads(self._datasets[0].pad, pad), self._datasets[0].tensors, feed.output),
            rank=rank,
            world_size=world_size,
            prefetch=prefetch,
            max_in_flight_bytes=max_in_flight_bytes,
            transform=transform,
        )

    def __repr__(self) -> str:
        shares = (
            f"{quota / TURNS:.4g} of {dataset.collection.id!r}"
            for dataset, quota in zip(self._datasets, self._quotas, strict=True)
        )
        return f"Mixture of {', '.join(shares)}: {len(self):,} samples"


@dataclass(frozen=True, eq=False)
class Mixed:
    """Order of a mixture: each draw takes the next sample of the dataset whose turn it is, in its own order."""

    length: int
    counts: list[int]
    blocks: list[int]
    quotas: Integers
    turns: tuple[Integers, Integers]
    shuffle: Any
    seed: int
    epoch: int
    _orders: dict[tuple[int, int], Order] = field(default_factory=dict)

    def at(self, positions: Integers) -> Integers:
        """Samples at positions: (number of the dataset << 44) + number in it."""
        rounds, places = positions // TURNS, positions % TURNS
        owners = self.turns[0][places]
        draws = rounds * self.quotas[owners] + self.turns[1][places]
        samples = np.empty(len(positions), np.int64)
        for owner, count in enumerate(self.counts):
            mine = np.flatnonzero(owners == owner)
            # every pass over a dataset is an epoch of its own; the first pass of the next epoch must be another again
            passes, inside = draws[mine] // count, draws[mine] % count
            for number in np.unique(passes).tolist():
                these = passes == number
                samples[mine[these]] = self._order(owner, number).at(inside[these])
            samples[mine] += owner << SHIFT
        return samples

    def _order(self, owner: int, number: int) -> Order:
        key = (owner, number)
        if key not in self._orders:
            if len(self._orders) > 64:
                self._orders.clear()
            seed = int(hash_words(self.seed, owner, number)[0])
            self._orders[key] = make_order(
                self.counts[owner], shuffle=self.shuffle, seed=seed, epoch=self.epoch, block=self.blocks[owner]
            )
        return self._orders[key]


def _check_alike(datasets: list[Dataset]) -> None:
    first = datasets[0]
    facts = {name: _facts(first, name, tensor) for name, tensor in first.tensors.items()}
    for other in datasets[1:]:
        found = {name: _facts(other, name, tensor) for name, tensor in other.tensors.items()}
        if list(found) != list(facts):
            raise InvalidArgumentError(
                f"datasets differ in tensors: {', '.join(facts)} and {', '.join(found)}; "
                "select the same ones of each, in one order"
            )
        for name, fact in facts.items():
            if found[name] != fact:
                raise InvalidArgumentError(
                    f"datasets differ in tensor {name!r}: {fact} and {found[name]}; select what they share"
                )
        if other.pad != first.pad:
            raise InvalidArgumentError(
                f"datasets are padded differently, {first.pad} and {other.pad}; pad all alike, or say batches(pad=...)"
            )
        if other.feed().output.adapter is not first.feed().output.adapter:
            raise InvalidArgumentError("datasets are of different frameworks; load all of them with one")
        if other.feed().output.device != first.feed().output.device:
            raise InvalidArgumentError(
                f"datasets are for different devices, {first.feed().output.device} and {other.feed().output.device}; "
                "load all of them for one"
            )


def _facts(dataset: Dataset, name: str, tensor: Tensor) -> str:
    given = dataset.dtypes[name]
    stored = f"stored as {tensor.dtype or tensor.media_type}" + ("" if given == tensor.dtype else f", given as {given}")
    return f"{stored}, of shape {tensor.shape}" + ("" if tensor.media_type is None else f", {tensor.media_type}")


def _quotas(shares: list[float]) -> Integers:
    """Draws of each dataset in every ``TURNS`` of them: the nearest whole numbers, none of them 0."""
    exact = np.array(shares) / sum(shares) * TURNS
    quotas = np.maximum(np.floor(exact), 1).astype(np.int64)
    for at in np.argsort(-(exact - quotas), kind="stable").tolist():
        if quotas.sum() >= TURNS:
            break
        quotas[at] += 1
    while quotas.sum() > TURNS:
        quotas[int(np.argmax(quotas))] -= 1
    counts: Integers = quotas
    return counts


def _turns(quotas: Integers) -> tuple[Integers, Integers]:
    """Whose turn each of ``TURNS`` draws is, in a random order that is always the same, and which of its own it is."""
    owners = np.repeat(np.arange(len(quotas)), quotas)[permute(np.arange(TURNS), TURNS, 0)]
    ranks = np.empty(TURNS, np.int64)
    for owner in range(len(quotas)):
        mine = np.flatnonzero(owners == owner)
        ranks[mine] = np.arange(len(mine))
    return owners, ranks
