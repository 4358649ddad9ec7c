"""A shard: filled sample by sample in memory, then written whole."""

from array import array
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np

from mlstac.authoring._block import Block, Measures, Measuring
from mlstac.authoring._compressed import make_frames
from mlstac.authoring._pool import Pool
from mlstac.authoring._samples import Prepared
from mlstac.authoring._shapes import UNSEEN, OpenShape, Unseen, join_shapes
from mlstac.authoring._target import Target
from mlstac.authoring._values import Encoded
from mlstac.sample import (
    Addresses,
    Column,
    Compression,
    ShardPlan,
    address_frames,
    cut_frames,
    max_samples,
    pack_columns,
    slice_frames,
)

SHARDS_A_FOLDER = 1000
_MULTIHASH_SHA256 = "1220"
_WRITE_BYTES = 4 * 2**20


def shard_name(split: str, number: int, *, compression: Compression | None = None, folder: str | None = None) -> str:
    """Name of a shard in the dataset's folder.

    The first thousand lie beside the catalog, the next in ``00/``, then ``01/``, and so on; or all in a folder of their
    own.
    """
    if folder is None:
        folder = f"{number // SHARDS_A_FOLDER - 1:02d}/" if number >= SHARDS_A_FOLDER else ""
    else:
        folder = f"{folder}/"
    suffix = "" if compression is None else compression.suffix
    return f"{split}/{folder}{number:05d}.safetensors{suffix}"


class OpenShard:
    """The samples of a split that are not yet in a shard.

    Parameters
    ----------
    measuring : callable
        Gives, for a tensor's name and dtype, how it is to be measured; None where it is not.
    submit : callable
        Runs a function in a thread.
    pool : Pool
        Where buffers come from.
    """

    def __init__(
        self,
        split: str,
        *,
        measuring: Callable[[str, str], Measuring | None],
        submit: Callable[..., "Future[Measures]"],
        pool: Pool,
    ) -> None:
        self.split = split
        self.nbytes = 0
        self.ids: list[str] = []
        self.rows: list[Any] = []
        self.contents = array("Q")
        self.blocks: dict[str, Block] = {}
        self.at_most: int | None = None
        """How many samples the shard may hold with the shapes that it has; None until asked, or where only bytes
        count."""
        self._shapes: dict[str, OpenShape | Unseen | None] = {}
        self._measuring = measuring
        self._submit = submit
        self._pool = pool

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def shapes(self) -> dict[str, OpenShape | Unseen | None]:
        return dict(self._shapes)

    def holds_alike(self, tensors: Mapping[str, Encoded]) -> bool:
        """Whether a sample has the shapes that all samples of the shard have."""
        return len(tensors) == len(self._shapes) and all(
            self._shapes.get(name) == encoded.shape for name, encoded in tensors.items()
        )

    def shapes_with(self, tensors: Mapping[str, Encoded]) -> dict[str, OpenShape | Unseen | None]:
        """The open shapes that the shard would have with one more sample."""
        return self._shapes | {
            name: join_shapes(self._shapes.get(name, UNSEEN), encoded.shape) for name, encoded in tensors.items()
        }

    def add(self, prepared: Prepared, row: Any) -> None:
        tensors = prepared.tensors
        for name, encoded in tensors.items():
            block = self.blocks.get(name)
            if block is None:
                measuring = self._measuring(name, encoded.dtype)
                block = Block(dtype=encoded.dtype, measuring=measuring, submit=self._submit, pool=self._pool)
                self.blocks[name] = block
                block.present.frombytes(bytes(len(self)))  # the samples before lack it
            block.append(encoded.data, encoded.shape, prepared.digests[name])
            self.nbytes += len(encoded.data)
            seen = self._shapes.get(name, UNSEEN)
            if seen != encoded.shape:
                self._shapes[name] = join_shapes(seen, encoded.shape)
        for name, block in self.blocks.items():
            if name not in tensors:
                block.skip()
        self.ids.append(prepared.id)
        self.rows.append(row)
        self.contents.append(prepared.content)

    def columns(self) -> dict[str, Column]:
        """The tensors as the sample room lays them out."""
        columns = {}
        for name, block in self.blocks.items():
            present = np.frombuffer(block.present, np.bool_)
            columns[name] = Column(
                dtype=block.dtype,
                chunks=block.close(),
                lengths=np.frombuffer(block.lengths, np.int64),
                shapes=block.shapes,
                present=None if present.all() else present,
                digests=np.frombuffer(block.digests, np.uint64),
            )
        return columns

    def release(self) -> None:
        """Let go of the samples' bytes; what is said of them stays."""
        for block in self.blocks.values():
            block.release()

    def measures(self) -> dict[str, Measures]:
        found = {name: block.measures() for name, block in self.blocks.items()}
        return {name: measures for name, measures in found.items() if measures is not None}


def samples_at_most(dtypes: Mapping[str, str], layouts: Mapping[str, str]) -> int | None:
    """How many samples a shard of these layouts may hold; None where only bytes count."""
    return max_samples({name: (dtypes[name], layouts[name]) for name in layouts})


@dataclass(frozen=True)
class WrittenShard:
    """A shard that has its name."""

    name: str
    size: int
    checksum: str
    addresses: dict[str, Addresses] = field(repr=False)


def write_shard(
    target: Target,
    shard: OpenShard,
    *,
    name: str,
    layouts: Mapping[str, str],
    hasher: Executor,
    compression: Compression | None = None,
    compressors: Executor | None = None,
) -> WrittenShard:
    """Write a shard under a temporary name, flush it, and rename it.

    Its sha256 is taken in another thread meanwhile; frames of a compressed one are made in ``compressors``.
    """
    plan = pack_columns(shard.columns(), layouts={key: layouts[key] for key in shard.blocks}, ids=shard.ids)
    digest = sha256()
    hashing: list[Future[None]] = []
    with target.create(name) as file:

        def put(data: Any) -> None:
            hashing.append(hasher.submit(digest.update, data))
            file.write(data)

        if compression is None or compressors is None:
            put(plan.header)
            for buffer in plan.buffers:
                put(buffer.data)
            addresses = plan.addresses
        else:
            addresses = _put_frames(plan, put, compression=compression, compressors=compressors)
        file.sync()  # while the rest is hashed
        for one in hashing:
            one.result()
    return WrittenShard(name, file.size, _MULTIHASH_SHA256 + digest.hexdigest(), addresses)


def _put_frames(
    plan: ShardPlan, put: Callable[[bytes], None], *, compression: Compression, compressors: Executor
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
