"""What an epoch is read from: the samples of one dataset, by their number in it."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import MlstacError
from mlstac.loading import _copying
from mlstac.loading._blocks import has_blocks
from mlstac.loading._copying import Share
from mlstac.loading._fields import Field
from mlstac.loading._foresight import MOST_BYTES, Foresight
from mlstac.loading._pieces import in_pieces
from mlstac.loading._reader import Reader
from mlstac.loading._remote import Pending, scratch_of
from mlstac.loading._single import Single
from mlstac.loading._slots import Slots
from mlstac.loading._values import Output
from mlstac.loading._view import TensorView

Integers = NDArray[np.int64]


TINY_BYTES = 4096
"""Rows of a tensor up to this size, where others are far larger, are read for a whole plan at once."""


def is_tiny(view: TensorView, sample_bytes: int) -> bool:
    """Whether a tensor is read for many batches at once."""
    size = view.row_bytes
    if view.layout.layout == "single":  # it comes with its sample, which is one file
        return False
    return size is not None and size <= TINY_BYTES and size * 16 <= sample_bytes


def _block_bytes(view: TensorView) -> int:
    if not view.whole or not has_blocks(view.layout):
        return 0
    return (view.layout.row_bytes or 0) * view.layout.checksum_rows


class Feed(Protocol):
    """Reads samples by their number."""

    output: Output

    @property
    def remote(self) -> bool:
        """Whether reading waits for a network."""

    @property
    def sample_bytes(self) -> int:
        """About how many bytes a sample takes in a batch."""

    @property
    def scratch_bytes(self) -> int:
        """Bytes of memory that it takes besides on its way."""

    @property
    def shared_bytes(self) -> int:
        """The same where it comes without its neighbours, with which it shares a checksum."""

    @property
    def neighbours_bytes(self) -> int:
        """Bytes of all samples among which those of the feed lie, its own or not."""

    @property
    def tiny_bytes(self) -> int:
        """Bytes of its tiny tensors, on their way without its neighbours, with what they share."""

    def locate(self, samples: Integers) -> list[Slots]:
        """Find the bytes of samples, one `Slots` a tensor, without memory yet."""

    def begin(self, batch: list[Slots], samples: Integers) -> Pending:
        """Lay out what fills the memory of a batch; it is asked for when that is begun, or waited for."""

    def placed(self, error: MlstacError, samples: Integers) -> MlstacError:
        """An error, with the samples that were being read."""

    def stats(self) -> dict[str, float]:
        """Bytes, requests and retries so far."""


class DatasetFeed:
    """Samples of one dataset.

    Parameters
    ----------
    reader : Reader
    fields : mapping of str to Field
        The tensors to read.
    rows : numpy.ndarray, optional
        Row of the catalog for every sample; None: they are the same.
    output : Output
    """

    def __init__(self, reader: Reader, fields: Mapping[str, Field], rows: Integers | None, output: Output) -> None:
        self.output = output
        self._reader = reader
        self.views = [field.view for field in fields.values()]
        self._rows = rows
        self._foresight = Foresight()

    @cached_property
    def _single(self) -> Single:
        return Single(self._reader, self.views, self.output)

    @property
    def remote(self) -> bool:
        """Whether reading waits for a network."""
        return self._reader.remote

    @property
    def sample_bytes(self) -> int:
        """About how many bytes a sample takes in a batch; tensors of varying size are taken for 64 KiB."""
        return max(1, sum(view.row_bytes if view.row_bytes is not None else 65_536 for view in self.views))

    @cached_property
    def scratch_bytes(self) -> int:
        """Bytes of memory that a sample takes besides on its way: of windows, what lies between their rows."""
        return sum(scratch_of(view) for view in self.views) if self.remote else 0

    @cached_property
    def shared_bytes(self) -> int:
        """Bytes of the blocks that a sample alone comes in; those of tiny tensors apart, which are read for many."""
        if not self.remote or self._reader.verify is False:
            return 0
        return sum(_block_bytes(view) for view in self.views if not is_tiny(view, self.sample_bytes))

    @property
    def neighbours_bytes(self) -> int:
        """Bytes of all samples of the catalog."""
        return self.sample_bytes * len(self._reader.catalog)

    @cached_property
    def tiny_bytes(self) -> int:
        """Bytes of its tiny tensors, with the blocks that they come in."""
        checked = self.remote and self._reader.verify is not False
        tiny = [view for view in self.views if is_tiny(view, self.sample_bytes)]
        return sum((view.row_bytes or 0) + (_block_bytes(view) if checked else 0) for view in tiny)

    def locate(self, samples: Integers) -> list[Slots]:
        """Find the bytes of samples."""
        rows = self._catalog_rows(samples)
        return [self._reader.locate(view, rows) for view in self.views]

    def begin(self, batch: list[Slots], samples: Integers) -> Pending:
        """Lay out what fills the memory of a batch; local bytes are copied before it returns."""
        return self._reader.begin(batch, self._catalog_rows(samples))

    def placed(self, error: MlstacError, samples: Integers) -> MlstacError:
        """An error, with the samples that were being read."""
        return self._reader.placed(error, self._catalog_rows(samples), self.views)

    def caused(self, error: MlstacError, samples: Integers) -> bool:
        """Whether the read that failed was for one of some samples."""
        return self._reader.failed_row(error, self._catalog_rows(samples), self.views) is not None

    def read(self, samples: Integers) -> list[Slots]:
        """Read samples, and wait for them."""
        batch = self.locate(samples)
        self.fill(batch, samples)
        return batch

    def fill(self, batch: list[Slots], samples: Integers, *, share: Share = in_pieces) -> None:
        """Read samples that were located, and wait for them; large local copies are handed out to be made in pieces."""
        for slots in batch:
            self.output.prepare(slots)
        try:
            self._reader.begin(batch, self._catalog_rows(samples), share=share).wait()
        except MlstacError as error:
            raise self.placed(error, samples) from error

    def read_one(self, sample: int) -> dict[str, Any]:
        """Read one sample, as tensors on their device; without those that it lacks."""
        rows = np.array([sample], np.int64)
        try:
            found = self._single.read(sample if self._rows is None else int(self._rows[sample]))
        except MlstacError as error:
            raise self.placed(error, rows) from error
        if found is not None:
            return found
        read = self.read(rows)
        try:
            return {
                slots.view.name: self.output.single(slots, device=self.output.device)
                for slots in read
                if slots.complete
            }
        except MlstacError as error:
            raise self.placed(error, rows) from error

    def read_listed(self, samples: list[int]) -> tuple[Integers, list[Slots]]:
        """Read samples as a loader lists them, perhaps begun before; gives them as an array too."""
        return self._foresight.read(samples, self)

    def foresees(self, count: int) -> bool:
        """Whether so many samples are worth beginning with before they are asked for."""
        if not self._reader.as_they_lie or not all(view.whole and view.layout.required for view in self.views):
            return False
        sizes = [count * view.row_bytes for view in self.views if view.row_bytes is not None]
        large = max(sizes, default=0) >= _copying.SHARED_BYTES and sum(sizes) <= MOST_BYTES
        return large and len(sizes) == len(self.views)

    def check_unchanged(self, files: Iterable[int]) -> None:
        """Raise if local shards changed since they were mapped."""
        for file in files:
            self._reader.shard(file)

    def stats(self) -> dict[str, float]:
        """Bytes, requests and retries so far."""
        return self._reader.stats()

    def __len__(self) -> int:
        return len(self._reader.catalog) if self._rows is None else len(self._rows)

    def _catalog_rows(self, samples: Integers) -> Integers:
        return samples if self._rows is None else self._rows[samples]
