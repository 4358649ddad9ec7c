"""Samples of several datasets, as the batches of a mixture ask for them: each from its own dataset."""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import MlstacError
from mlstac.loading._addresses import MISSING, PLAIN, Located
from mlstac.loading._feed import DatasetFeed
from mlstac.loading._remote import Pending, Requests
from mlstac.loading._slots import Slots, make_slots
from mlstac.loading._values import Affine, Affines, Output

Integers = NDArray[np.int64]

SHIFT: Final = 44
"""A sample of a mixture is (number of the dataset << 44) + number in it."""


class MixedFeed:
    """Samples of several datasets, by their number in the mixture."""

    def __init__(self, feeds: list[DatasetFeed]) -> None:
        self._feeds = feeds
        self.output = _joined_output(feeds)
        self._differing = {name for name, affine in self.output.affines.items() if isinstance(affine, Affines)}

    @property
    def remote(self) -> bool:
        """Whether reading any of them waits for a network."""
        return any(feed.remote for feed in self._feeds)

    @property
    def sample_bytes(self) -> int:
        """About how many bytes a sample takes in a batch."""
        return max(feed.sample_bytes for feed in self._feeds)

    @property
    def scratch_bytes(self) -> int:
        """Bytes of memory that it takes besides on its way."""
        return max(feed.scratch_bytes for feed in self._feeds)

    @property
    def shared_bytes(self) -> int:
        """The same where it comes without its neighbours."""
        return max(feed.shared_bytes for feed in self._feeds)

    @property
    def neighbours_bytes(self) -> int:
        """Bytes of all samples of all of them."""
        return sum(feed.neighbours_bytes for feed in self._feeds)

    @property
    def tiny_bytes(self) -> int:
        """The same of its tiny tensors, with their own."""
        return max(feed.tiny_bytes for feed in self._feeds)

    def locate(self, samples: Integers) -> list[Slots]:
        """Find the bytes of samples, wherever they are."""
        merged: list[Slots] = []
        parts = [(mine, self._feeds[owner].locate(numbers)) for owner, mine, numbers in self._split(samples)]
        for number in range(len(self._feeds[0].views)):
            files, offsets, lengths = (np.full(len(samples), MISSING, np.int64) for _ in range(3))
            shapes: Integers | None = None
            frames: Integers | None = None
            view = self._feeds[0].views[number]
            for mine, slots in parts:
                located = slots[number].located
                files[mine], offsets[mine], lengths[mine] = located.files, located.offsets, located.lengths
                if located.shapes is not None:
                    shapes = np.zeros((len(samples), located.shapes.shape[1]), np.int64) if shapes is None else shapes
                    shapes[mine] = located.shapes
                if located.frames is not None:
                    frames = np.full(len(samples), PLAIN, np.int64) if frames is None else frames
                    frames[mine] = located.frames
            laid = make_slots(view, Located(files, offsets, lengths, shapes, frames))
            if view.name in self._differing:
                laid.owners = samples >> SHIFT
            merged.append(laid)
        return merged

    def begin(self, batch: list[Slots], samples: Integers) -> Pending:
        """Lay out what fills the memory of a batch, each dataset its own samples."""
        begun = []
        for owner, mine, numbers in self._split(samples):
            feed = self._feeds[owner]
            own = [_scattered(slots, mine, feed) for slots in batch]
            begun.append(feed.begin(own, numbers))
        return _Together(begun)

    def placed(self, error: MlstacError, samples: Integers) -> MlstacError:
        """An error, with the samples that were being read."""
        row = getattr(error, "row", None)
        if row is not None and row < len(samples):  # of the batch, which knows nothing of datasets
            ((owner, _, numbers),) = self._split(samples[row : row + 1])
            vars(error).update(row=0)
            return self._feeds[owner].placed(error, numbers)
        parts = [(self._feeds[owner], numbers) for owner, _, numbers in self._split(samples)]
        for feed, numbers in parts:
            if feed.caused(error, numbers):
                return feed.placed(error, numbers)
        return parts[0][0].placed(error, parts[0][1]) if parts else error

    def stats(self) -> dict[str, float]:
        """Bytes, requests and retries so far, of all together."""
        total: dict[str, float] = {}
        for feed in self._feeds:
            for name, value in feed.stats().items():
                total[name] = total.get(name, 0) + value
        return total

    def _split(self, samples: Integers) -> list[tuple[int, Integers, Integers]]:
        owners = samples >> SHIFT
        return [
            (owner, mine, samples[mine] & ((1 << SHIFT) - 1))
            for owner in range(len(self._feeds))
            if (mine := np.flatnonzero(owners == owner)).size
        ]


class _Together(Pending):
    """Parts of a batch, on their way from several stores."""

    def __init__(self, parts: list[Pending]) -> None:
        super().__init__(None, Requests())
        self._parts = parts

    @property
    def scratch_bytes(self) -> int:
        return sum(part.scratch_bytes for part in self._parts)

    def begin(self) -> None:
        for part in self._parts:
            part.begin()

    def wait(self) -> None:
        self.begin()
        for part in self._parts:
            part.wait()

    def cancel(self) -> None:
        for part in self._parts:
            part.cancel()


def _scattered(slots: Slots, mine: Integers, feed: DatasetFeed) -> Slots:
    """Slots of some samples of a batch, over the batch's memory."""
    view = next(view for view in feed.views if view.name == slots.view.name)
    located = slots.located.at(mine)
    return replace(
        slots,
        view=view,
        located=located,
        begins=slots.begins[mine],
        sizes=slots.sizes[mine],
        shapes=None if slots.shapes is None else [slots.shapes[row] for row in mine.tolist()],
        complete=bool((located.files != MISSING).all()),
        dense=False,
    )


def _joined_output(feeds: list[DatasetFeed]) -> Output:
    """How a mixture hands tensors out: as its datasets do, each sample scaled as its own dataset says."""
    first = feeds[0].output
    affines: dict[str, Affine | Affines] = {}
    for view in feeds[0].views:
        given = [feed.output.affines.get(view.name) for feed in feeds]
        own = [affine for affine in given if not isinstance(affine, Affines)]  # no feed of one dataset has those
        joined = Affines.of(own, len(view.layout.shape))
        if joined is not None:
            affines[view.name] = joined
    return replace(first, affines=affines)
