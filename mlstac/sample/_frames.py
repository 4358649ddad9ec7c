"""A compressed shard: which bytes of the plain file make a frame each, and where samples are then.

The frames' contents, one after another, are the plain safetensors file, so any zstd undoes it. The first frame is the
header. A sample's tensor of 4 KiB or more is a frame; smaller ones that follow each other share one, of 256 KiB at
most, so that a label costs neither a frame of its own nor the whole shard.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from mlstac.sample._addresses import Addresses
from mlstac.sample._codec import SHARED_FRAME_BYTES
from mlstac.sample._columns import Bytes
from mlstac.sample._layout import ShardPlan

__all__ = ["LARGE_BYTES", "address_frames", "cut_frames", "slice_frames"]

LARGE_BYTES = 4096
"""A tensor of a sample of this size or more is a frame of its own."""

Integers = NDArray[np.int64]


def cut_frames(plan: ShardPlan) -> Integers:
    """Where frames begin in the plain file, and where the last one ends.

    Returns
    -------
    numpy.ndarray, shape (frame + 1,), int64
        From 0 to the plain file's size; the first frame is the header.
    """
    starts, stops = _pieces(plan)
    large = stops - starts >= LARGE_BYTES
    edges = np.unique(np.concatenate([[0, len(plan.header), plan.size], starts[large], stops[large]])).astype(np.int64)
    small = np.sort(starts[~large])
    whole = np.isin(edges[:-1], starts[large])
    whole[0] = True  # the header
    cuts: list[int] = []
    for at in np.flatnonzero(~whole & (np.diff(edges) > SHARED_FRAME_BYTES)).tolist():
        begin, end = int(edges[at]), int(edges[at + 1])
        while end - begin > SHARED_FRAME_BYTES:
            # the last piece that begins within reach; there is one, for the pieces here are small
            begin = int(small[np.searchsorted(small, begin + SHARED_FRAME_BYTES, side="right") - 1])
            cuts.append(begin)
    return np.union1d(edges, np.array(cuts, np.int64)).astype(np.int64)


def slice_frames(plan: ShardPlan, edges: Integers) -> Iterator[Bytes]:
    """Yield the contents of each frame: views of the plan's buffers, copies where one lies in several of them."""
    buffers = iter(plan.buffers)
    held, at = np.frombuffer(plan.header, np.uint8), 0
    for size in np.diff(edges).tolist():
        parts = []
        while size:
            if at == len(held):
                held, at = next(buffers), 0
            parts.append(held[at : at + size])
            at, size = at + len(parts[-1]), size - len(parts[-1])
        yield parts[0] if len(parts) == 1 else np.concatenate(parts)


def address_frames(
    addresses: Mapping[str, Addresses], edges: Integers, *, lengths: Integers, checksums: NDArray[np.uint32]
) -> dict[str, Addresses]:
    """Addresses in the compressed file, of those in the plain one.

    Parameters
    ----------
    addresses : mapping of str to Addresses
        As :func:`pack_columns` gives them.
    edges : numpy.ndarray, shape (frame + 1,), int64
        As :func:`cut_frames` gives them.
    lengths : numpy.ndarray, shape (frame,), int64
        Stored bytes of each frame.
    checksums : numpy.ndarray, shape (frame,), uint32
        Of the stored bytes of each frame.

    Returns
    -------
    dict of str to Addresses
        Offset, length and checksum are of the frame. A tensor without bytes has a length of 0, and needs none.
    """
    stored = np.cumsum(lengths) - lengths
    found = {}
    for name, plain in addresses.items():
        frame = np.clip(np.searchsorted(edges, plain.offset, side="right") - 1, 0, len(lengths) - 1)
        there = plain.length > 0
        inside = np.where(there, plain.offset - edges[frame], 0)
        found[name] = Addresses(
            np.where(there, stored[frame], 0),
            np.where(there, lengths[frame], 0),
            np.where(there, checksums[frame], plain.checksum).astype(np.uint32),
            plain.present,
            plain.shapes,
            inside if inside.any() else None,
        )
    return found


def _pieces(plan: ShardPlan) -> tuple[Integers, Integers]:
    """What may not be cut: each sample's tensors, and each tensor that is no sample's."""
    starts = [address.offset[address.length > 0] for address in plan.addresses.values()]
    stops = [(address.offset + address.length)[address.length > 0] for address in plan.addresses.values()]
    known = set(np.concatenate(starts).tolist()) if starts else set()
    ends = np.cumsum([len(plan.header), *(tensor.nbytes for tensor in plan.tensors)], dtype=np.int64)
    others = [
        (start, stop)
        for start, stop in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)
        if stop > start and start not in known
    ]
    rest = np.array(others, np.int64).reshape(-1, 2)
    return np.concatenate([*starts, rest[:, 0]]).astype(np.int64), np.concatenate([*stops, rest[:, 1]]).astype(np.int64)
