"""A full shard on its way to the disk: planned and hashed by one thread, written by another."""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np

from mlstac.authoring._compressed import make_frames
from mlstac.authoring._shard import OpenShard
from mlstac.authoring._target import Target
from mlstac.sample import Addresses, Compression, ShardPlan, address_frames, cut_frames, pack_columns, slice_frames

_MULTIHASH_SHA256 = "1220"
_WRITE_BYTES = 4 * 2**20


@dataclass(frozen=True)
class WrittenShard:
    """A shard that has its name."""

    name: str
    size: int
    checksum: str
    addresses: dict[str, Addresses] = field(repr=False)


class Storing:
    """One shard's bytes, from its blocks to its file.

    Parameters
    ----------
    shard : OpenShard
        Closed.
    layouts : mapping of str to str
    hasher : Executor
        One thread, which takes the sha256 of one shard after another.
    """

    def __init__(self, shard: OpenShard, *, layouts: Mapping[str, str], hasher: Executor) -> None:
        self._shard = shard
        self._layouts = {key: layouts[key] for key in shard.blocks}
        self._hasher = hasher
        self._plan: Future[ShardPlan] = Future()
        self._digest: Future[str] | None = None

    def begin(self) -> None:
        """Have the bytes hashed as they are; the file may come later."""
        self._digest = self._hasher.submit(self._hash)

    def _hash(self) -> str:
        try:
            plan = self._pack()
        except BaseException as error:
            self._plan.set_exception(error)
            raise
        self._plan.set_result(plan)
        digest = sha256()
        digest.update(plan.header)
        for buffer in plan.buffers:
            digest.update(buffer.data)
            self._shard.used(buffer)
        return digest.hexdigest()

    def _pack(self) -> ShardPlan:
        return pack_columns(self._shard.columns(), layouts=self._layouts, ids=self._shard.ids)

    def write(self, target: Target, name: str) -> WrittenShard:
        """Write the bytes under a temporary name, flush them, and rename the file."""
        assert self._digest is not None
        plan = self._plan.result()
        with target.create(name) as file:
            file.write(plan.header)
            for buffer in plan.buffers:
                file.write(buffer.data)
                self._shard.used(buffer)
            file.sync()  # while the rest is hashed
            digest = self._digest.result()
        return WrittenShard(name, file.size, _MULTIHASH_SHA256 + digest, plan.addresses)

    def compress(self, target: Target, name: str, *, compression: Compression, compressors: Executor) -> WrittenShard:
        """As `write`, as frames that are made in ``compressors`` and hashed as they come."""
        plan = self._pack()
        digest = sha256()
        hashing: list[Future[None]] = []
        with target.create(name) as file:

            def put(data: bytes) -> None:
                hashing.append(self._hasher.submit(digest.update, data))
                file.write(data)

            addresses = _put_frames(plan, put, compression=compression, compressors=compressors)
            file.sync()
            for one in hashing:
                one.result()
        return WrittenShard(name, file.size, _MULTIHASH_SHA256 + digest.hexdigest(), addresses)


def _put_frames(
    plan: ShardPlan, put: Callable[[bytes], Any], *, compression: Compression, compressors: Executor
) -> dict[str, Addresses]:
    """Write a shard as frames, many small ones in one go; where its samples are then."""
    edges = cut_frames(plan)
    lengths, sums = [], []
    waiting = bytearray()
    for frame in make_frames(slice_frames(plan, edges), level=compression.level, workers=compressors):
        lengths.append(len(frame.data))
        sums.append(frame.checksum)
        waiting += frame.data
        if len(waiting) >= _WRITE_BYTES:
            put(bytes(waiting))
            waiting.clear()
    put(bytes(waiting))
    return address_frames(
        plan.addresses, edges, lengths=np.array(lengths, np.int64), checksums=np.array(sums, np.uint32)
    )
