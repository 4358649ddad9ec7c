"""Samples of remote shards into the buffer of a batch: what to ask for, and what to do once it is there."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import ChecksumError
from mlstac.loading._addresses import MISSING, PLAIN
from mlstac.loading._blocks import Blocks
from mlstac.loading._copying import gather
from mlstac.loading._frames import Frame, Unpacking, unpack_all
from mlstac.loading._plan import GAP_BYTES, plan_reads, stagger
from mlstac.loading._shards import Shards
from mlstac.loading._slots import Slots
from mlstac.loading._view import Pieces, TensorView, merge_pieces
from mlstac.storage import Read, result_of

Bytes = NDArray[np.uint8]
Integers = NDArray[np.int64]

_OFFSET_BITS = 44  # of a key made of file and offset: shards to 16 TiB, and half a million of them


def _memory(buffer: Bytes) -> memoryview:
    return buffer.data  # writable as the array is


class Wanted(NamedTuple):
    """One range of a shard, and the memory it goes to."""

    file: int
    start: int
    stop: int
    into: memoryview


@dataclass(slots=True)
class Requests:
    """Everything that one batch asks for."""

    ranges: list[Wanted] = field(default_factory=list)
    after: list[Callable[[], None]] = field(default_factory=list)
    """What to do once all ranges are there, in order."""
    scratch_bytes: int = 0
    """Memory taken besides that of the batch."""

    def scratch(self, nbytes: int) -> Bytes:
        """Memory for bytes that are picked or undone before they are a batch's."""
        self.scratch_bytes += nbytes
        return np.empty(nbytes, np.uint8)

    def want(self, file: int, start: int, stop: int, into: memoryview) -> None:
        """Ask for one range."""
        self.ranges.append(Wanted(file, start, stop, into))

    def reads(self, shards: Shards) -> list[Read]:
        """Requests to send, in order of first use; ranges asked for twice are sent once and copied."""
        columns = np.array([(wanted.file, wanted.start, wanted.stop) for wanted in self.ranges], np.int64).reshape(
            -1, 3
        )
        plan = plan_reads(columns[:, 0], columns[:, 1], columns[:, 2])
        if plan.copies:
            self.after.insert(0, lambda: self._copy(plan.copies))
        reads = []
        for read in stagger(plan.reads, columns[:, 1], columns[:, 2]):
            shard = shards[read.file]
            into = [(self.ranges[member].start - read.start, self.ranges[member].into) for member in read.members]
            reads.append(Read(shard.url, read.start, read.stop, into, shard.size, shard.mark))
        return reads

    def again(self, file: int, offset: int, shards: Shards) -> list[Read]:
        """Requests for those ranges alone that hold one byte of a shard, each to its own memory."""
        shard = shards[file]
        return [
            Read(shard.url, start, stop, [(0, into)], shard.size, shard.mark)
            for number, start, stop, into in self.ranges
            if number == file and start <= offset < stop
        ]

    def _copy(self, copies: list[tuple[int, int]]) -> None:
        for target, source in copies:
            self.ranges[target].into[:] = self.ranges[source].into

    @property
    def nbytes(self) -> int:
        """Bytes asked for, without gaps."""
        return sum(wanted.stop - wanted.start for wanted in self.ranges)


Again = Callable[[ChecksumError], "Future[None] | None"]


Send = Callable[[], "Future[Any]"]


class Pending:
    """A batch on its way, or about to be.

    Parameters
    ----------
    send : callable, optional
        Asks for its bytes; None: they are there.
    requests : Requests
    again : callable, optional
        Told what is wrong, asks for those bytes once more, of their server and of no cache; None if it did before.
    """

    def __init__(self, send: Send | None, requests: Requests, again: Again | None = None) -> None:
        self._send = send
        self._future: Future[Any] | None = None
        self._requests = requests
        self._again = again
        self._cancelled = False

    def begin(self) -> None:
        """Ask for its bytes, if that was not done."""
        send, self._send = self._send, None
        if send is None:
            return
        self._future = send()
        if self._cancelled:  # before, or meanwhile by another thread
            self._future.cancel()

    @property
    def scratch_bytes(self) -> int:
        """Memory that it takes besides that of the batch."""
        return self._requests.scratch_bytes

    def wait(self) -> None:
        """Return when every byte of the batch is in its place and checked.

        Bytes that do not match their checksums are asked for once more, and no others: a bit that flipped on the way,
        or in a cache, is no reason to end an epoch. If they are wrong again, so they are where they come from.

        Raises
        ------
        ChecksumError
            If they are.
        """
        self.begin()
        while True:
            try:
                return self._arrive()
            except ChecksumError as error:
                if self._again is None:
                    raise
                future = self._again(error)
                if future is None:
                    raise
                self._future = future
            if self._cancelled:
                self._future.cancel()

    def _arrive(self) -> None:
        if self._future is not None:
            result_of(self._future)
        for step in self._requests.after:
            step()

    def cancel(self) -> None:
        """Give it up."""
        self._cancelled = True
        if self._future is not None:
            self._future.cancel()


def want_rows(requests: Requests, slots: Slots) -> None:
    """Whole samples, each straight into its place."""
    view = _memory(slots.buffer)
    located = slots.located
    columns = (located.files, located.offsets, slots.begins, slots.sizes)
    for file, offset, begin, size in zip(*(column.tolist() for column in columns), strict=True):
        if file != MISSING and size:
            requests.want(file, offset, offset + size, view[begin : begin + size])


def want_blocks(
    requests: Requests, slots: Slots, rows: Integers, blocks: Blocks, check: Callable[[int, Bytes], None]
) -> None:
    """Small samples by the blocks that share their checksums.

    Parameters
    ----------
    requests : Requests
    slots : Slots
    rows : numpy.ndarray, shape (n,), int64
        The samples that have the tensor.
    blocks : Blocks
        Of those, in their order.
    check : callable
        ``check(row, block)`` is called once for each block, with a row that is in it.
    """
    if not rows.size:
        return
    files = slots.located.files[rows]
    _, first, which = np.unique((files << _OFFSET_BITS) | blocks.starts, return_index=True, return_inverse=True)
    files, starts, stops = files[first], blocks.starts[first], blocks.stops[first]
    begins = np.concatenate([[0], np.cumsum(stops - starts)])
    scratch = requests.scratch(int(begins[-1]))
    memory = _memory(scratch)
    # blocks that follow each other, in the shard as in the scratch, are one range
    opens = np.flatnonzero(np.r_[True, (files[1:] != files[:-1]) | (starts[1:] != stops[:-1])])
    closes = np.append(opens[1:], len(files)) - 1
    columns = (files[opens], starts[opens], stops[closes], begins[opens], begins[closes + 1])
    for file, start, stop, begin, end in zip(*(column.tolist() for column in columns), strict=True):
        requests.want(file, start, stop, memory[begin:end])
    inside = begins[which] + slots.located.offsets[rows] - starts[which]

    def finish() -> None:
        for number, row in enumerate(rows[first].tolist()):
            check(row, scratch[begins[number] : begins[number + 1]])
        size = slots.view.row_bytes or 0
        if slots.complete and slots.dense:
            gather(scratch, inside, size, slots.buffer)
            return
        for row, begin in zip(rows.tolist(), inside.tolist(), strict=True):
            slots.place(row)[:] = scratch[begin : begin + size]

    requests.after.append(finish)


def want_frames(requests: Requests, jobs: Sequence[tuple[Unpacking, Frame]]) -> None:
    """Frames of compressed shards, which are undone once they are there."""
    ends = np.cumsum([0, *(wanted.stop - wanted.start for _, wanted in jobs)])
    scratch = requests.scratch(int(ends[-1]))
    memory = _memory(scratch)
    edges = ends.tolist()
    for (_, wanted), begin, end in zip(jobs, edges, edges[1:], strict=False):
        requests.want(wanted.file, wanted.start, wanted.stop, memory[begin:end])
    requests.after.append(lambda: unpack_all(jobs, lambda number: scratch[edges[number] : edges[number + 1]]))


def want_pieces(requests: Requests, slots: Slots) -> None:
    """Bands and windows: their bytes, and at most 64 KiB between two pieces of a request."""
    known: dict[tuple[int, ...], tuple[Pieces, Integers, Integers, list[Integers]]] = {}
    for row, (file, offset) in enumerate(
        zip(slots.located.files.tolist(), slots.located.offsets.tolist(), strict=True)
    ):
        if file == MISSING:
            continue
        stored = slots.stored_shape(row)
        if stored not in known:
            pieces = slots.view.pieces(stored)
            starts, stops, owners = merge_pieces(pieces, gap_bytes=GAP_BYTES)
            known[stored] = (pieces, starts, stops, [np.flatnonzero(owners == read) for read in range(len(starts))])
        pieces, starts, stops, members = known[stored]
        place = slots.place(row).reshape(-1, pieces.length) if pieces.length else slots.place(row)
        for start, stop, mine in zip(starts.tolist(), stops.tolist(), members, strict=True):
            if stop == start:
                continue
            if _in_order(pieces, mine, start, stop):  # the read is the result's own bytes: no memory between
                first, last = int(mine[0]), int(mine[-1]) + 1
                into = _memory(place.reshape(-1))[first * pieces.length : last * pieces.length]
                requests.want(file, offset + start, offset + stop, into)
                continue
            scratch = requests.scratch(stop - start)
            requests.want(file, offset + start, offset + stop, _memory(scratch))
            requests.after.append(_picker(scratch, pieces, mine, start, place))


def scratch_of(view: TensorView) -> int:
    """Bytes that a sample of bands or a window takes on its way, besides those of the result; 0 where shapes vary."""
    stored = view.layout.fixed
    return 0 if view.whole or stored is None else _scratch(view, stored)


def _scratch(view: TensorView, stored: tuple[int, ...]) -> int:
    pieces = view.pieces(stored)
    starts, stops, owners = merge_pieces(pieces, gap_bytes=GAP_BYTES)
    return sum(
        stop - start
        for read, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True))
        if not _in_order(pieces, np.flatnonzero(owners == read), start, stop)
    )


def scratch_of_rows(slots: Slots) -> int:
    """The same of samples whose shapes vary, or that are compressed, for all of them; 0 where neither is so."""
    located = slots.located
    there = located.files != MISSING
    if located.frames is not None:
        packed = np.flatnonzero(there & (located.frames != PLAIN))
        frames = np.stack([located.files[packed], located.offsets[packed]], axis=1)
        _, first = np.unique(frames, axis=0, return_index=True)
        return int(located.lengths[packed[first]].sum())
    if slots.view.whole or located.shapes is None:
        return 0
    shapes, counts = np.unique(located.shapes[there], axis=0, return_counts=True)
    return sum(
        count * _scratch(slots.view, tuple(shape))
        for shape, count in zip(shapes.tolist(), counts.tolist(), strict=True)
    )


def _in_order(pieces: Pieces, mine: Integers, start: int, stop: int) -> bool:
    """Whether pieces follow each other without gaps, in the file and in the result."""
    starts = pieces.starts[mine]
    return bool(
        len(mine) * pieces.length == stop - start
        and (np.diff(starts) == pieces.length).all()
        and (np.diff(mine) == 1).all()
    )


def _picker(scratch: Bytes, pieces: Pieces, mine: Integers, start: int, place: Bytes) -> Callable[[], None]:
    def pick() -> None:
        picked = np.empty(len(mine) * pieces.length, np.uint8)
        gather(scratch, pieces.starts[mine] - start, pieces.length, picked)
        place[mine] = picked.reshape(-1, pieces.length)

    return pick
