"""Samples for ``torch.utils.data.DataLoader``: dicts over one buffer, which its default collate takes whole."""

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import MlstacError
from mlstac.loading._addresses import MISSING
from mlstac.loading._assemble import assemble, is_cut_freely
from mlstac.loading._fetcher import as_torch
from mlstac.loading._padding import Pad
from mlstac.loading._slots import Slots
from mlstac.loading._values import Output


class Sample(dict[str, Any]):
    """One sample of `Samples`: a plain dict, of a type of its own so that a collate function can know it."""


class Samples(Sequence[Sample]):
    """Samples read together.

    A sequence of dicts for whoever asks for one after another. ``torch``'s default collate asks for the batch
    instead, through the function that is registered for `Sample`: tensors are then the buffer that was read into, and
    not stacked again.
    """

    def __init__(
        self,
        slots: list[Slots],
        output: Output,
        placed: Callable[[MlstacError], MlstacError],
        *,
        pad: Pad | None = None,
    ) -> None:
        self._slots = slots
        self._pad = pad
        self._output = output
        self._placed = placed
        self._is_cut = output.on_host and all(is_cut_freely(entry, output) for entry in slots)
        _register_collate()

    def __len__(self) -> int:
        return len(self._slots[0].begins) if self._slots else 0

    @overload
    def __getitem__(self, index: SupportsIndex) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self._sample(row) for row in range(*index.indices(len(self)))]
        row = range(len(self))[index]
        # torch's collate looks at one sample to see of what type it is: a slice of the batch, which it asks for next,
        # takes a tenth of a millisecond less than a tensor of its own
        if self._is_cut:
            try:
                return Sample((name, tensor[row, ...]) for name, tensor in self._batch.items())
            except MlstacError:
                self._is_cut = False  # one of them is no good, and need not be this one
        return self._sample(row)

    def __iter__(self) -> Iterator[Sample]:
        return (self._sample(row) for row in range(len(self)))

    def collate(self) -> dict[str, Any]:
        """The samples as one batch: tensors of shape (batch, *shape), lists where shapes vary."""
        batch = self._batch
        if self._output.adapter.NAME == "numpy" and "torch" in sys.modules:  # as default_collate does with arrays
            batch = {name: as_torch(value) for name, value in batch.items()}
        arrived: dict[str, Any] = self._output.begin_transfer(batch).wait()
        return arrived

    @cached_property
    def _batch(self) -> dict[str, Any]:
        try:
            return assemble(self._slots, self._output, pad=self._pad)
        except MlstacError as error:
            if not hasattr(error, "row"):
                raise
            raise self._placed(error) from error

    def _sample(self, row: int) -> Sample:
        try:
            return Sample(
                (entry.view.name, self._output.single(entry, row, device=self._output.device))
                for entry in self._slots
                if entry.located.files[row] != MISSING
            )
        except MlstacError as error:
            vars(error).update(row=row)
            raise self._placed(error) from error


def _collate(batch: Any, *, collate_fn_map: Any = None) -> Any:
    if isinstance(batch, Samples):
        return batch.collate()
    collate = sys.modules["torch.utils.data._utils.collate"].collate  # samples that someone put in a list
    return collate([dict(sample) for sample in batch], collate_fn_map=collate_fn_map)


def _register_collate() -> None:
    """Tell torch's default collate of `Sample`, where torch's loader is in use: its documented way of extension."""
    module = sys.modules.get("torch.utils.data._utils.collate")
    if module is not None:
        module.default_collate_fn_map.setdefault(Sample, _collate)


_ADVISED = False


def advise_batches(rows: NDArray[np.int64]) -> None:
    """Say once in a program that a loader that shuffles remote data by itself leaves most of the link unused."""
    global _ADVISED
    if _ADVISED or len(rows) < 2 or (np.diff(rows) > 0).all():
        return
    _ADVISED = True
    data = sys.modules.get("torch.utils.data")
    worker = data.get_worker_info() if data is not None else None
    if worker is None or worker.id == 0:
        warnings.warn(
            "these samples come over the network in an order that is not known ahead, so each batch waits for its own; "
            "ds.batches(batch_size, shuffle=True) reads ahead, and so does ds.iterable(...) in a DataLoader",
            UserWarning,
            stacklevel=4,
        )
