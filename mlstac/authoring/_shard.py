"""A shard: filled sample by sample in memory, then written whole."""

from array import array
from collections.abc import Callable, Mapping
from concurrent.futures import Future

import numpy as np

from mlstac.authoring._block import Block, Measures, Measuring
from mlstac.authoring._form import Form
from mlstac.authoring._pool import Bytes, Loan, Pool
from mlstac.authoring._samples import Prepared
from mlstac.authoring._shapes import UNSEEN, OpenShape, Unseen, join_shapes
from mlstac.authoring._values import Encoded
from mlstac.sample import (
    Column,
    Compression,
    Row,
    max_samples,
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
        self.rows: list[Row] = []
        self.contents = array("Q")
        self.blocks: dict[str, Block] = {}
        self.at_most: int | None = None
        """How many samples the shard may hold with the shapes that it has; None until asked, or where only bytes
        count."""
        self.form: Form | None = None
        """Of the sample that was added last."""
        self._shapes: dict[str, OpenShape | Unseen | None] = {}
        self._measuring = measuring
        self._submit = submit
        self._pool = pool
        self._loan = Loan(pool)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def shapes(self) -> dict[str, OpenShape | Unseen | None]:
        return dict(self._shapes)

    def holds_alike(self, form: Form) -> bool:
        """Whether samples of a form have the shapes that all samples of the shard have."""
        return self._shapes == form.shapes

    def shapes_with(self, tensors: Mapping[str, Encoded]) -> dict[str, OpenShape | Unseen | None]:
        """The open shapes that the shard would have with one more sample."""
        return self._shapes | {
            name: join_shapes(self._shapes.get(name, UNSEEN), encoded.shape) for name, encoded in tensors.items()
        }

    def add(self, prepared: Prepared, row: Row) -> int:
        """Copy a sample; how many bytes it has."""
        tensors = prepared.tensors
        before = self.nbytes
        for name, encoded in tensors.items():
            block = self.blocks.get(name)
            if block is None:
                measuring = self._measuring(name, encoded.dtype)
                block = Block(dtype=encoded.dtype, measuring=measuring, submit=self._submit, pool=self._pool)
                self.blocks[name] = block
                block.present.frombytes(bytes(len(self)))  # the samples before lack it
            block.append(encoded.data, encoded.shape, prepared.digests[name])
            self.nbytes += len(encoded.data)
        if len(tensors) < len(self.blocks):
            for name, block in self.blocks.items():
                if name not in tensors:
                    block.skip()
        if self.form is not prepared.form:
            self._shapes = self.shapes_with(tensors)
            self.form = prepared.form
        self.ids.append(prepared.id)
        self.rows.append(row)
        self.contents.append(prepared.content)
        return self.nbytes - before

    def columns(self) -> dict[str, Column]:
        """The tensors as the sample room lays them out."""
        columns = {}
        for name, block in self.blocks.items():
            present = np.frombuffer(block.present, np.bool_)
            columns[name] = Column(
                dtype=block.dtype,
                chunks=block.chunks,
                lengths=np.frombuffer(block.lengths, np.int64),
                shapes=block.shapes,
                present=None if present.all() else present,
                digests=np.frombuffer(block.digests, np.uint64),
            )
        return columns

    def close(self) -> None:
        """The shard is full: from now on `used` gives its buffers back, and `release` what is left of them."""
        for block in self.blocks.values():
            block.close()
            block.lend(self._loan)
        self._loan.begin()
        for block in self.blocks.values():
            block.watch(self._loan)

    def used(self, part: Bytes) -> None:
        """Some bytes were hashed, or written."""
        self._loan.used(part)

    def release(self) -> None:
        """Let go of the samples' bytes; what is said of them stays."""
        for block in self.blocks.values():
            block.release()
        self._loan.end()

    def measures(self) -> dict[str, Measures]:
        found = {name: block.measures() for name, block in self.blocks.items()}
        return {name: measures for name, measures in found.items() if measures is not None}


def samples_at_most(dtypes: Mapping[str, str], layouts: Mapping[str, str]) -> int | None:
    """How many samples a shard of these layouts may hold; None where only bytes count."""
    return max_samples({name: (dtypes[name], layouts[name]) for name in layouts})
