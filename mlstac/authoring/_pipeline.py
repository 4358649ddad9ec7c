"""Shards to disk in the background, one at a time and in order, each followed by its line in the journal."""

import os
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from mlstac.authoring._block import Measures
from mlstac.authoring._journal import CONTENT, Run, ShardRecord
from mlstac.authoring._pool import Pool
from mlstac.authoring._shard import OpenShard, WrittenShard, write_shard
from mlstac.authoring._target import Target
from mlstac.sample import Addresses, Compression, rows_table


class Pipeline:
    """Writes one shard while the next one fills, so that no more than two are in memory.

    The samples are copied by the caller's thread; statistics are taken, shards hashed and written in threads, for
    numpy, hashlib and the system let go of Python's lock while they work.
    """

    def __init__(self, target: Target, run: Run, *, shard_bytes: int, compression: Compression | None = None) -> None:
        self._target = target
        self._run = run
        self._compression = compression
        self.pool = Pool(shard_bytes)
        """The buffers that samples are copied into."""
        self._measurers = ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="mlstac-measure")
        # apart from the measurers, so that a shard that is being written never waits for the one that is filling
        self._compressors = ThreadPoolExecutor(min(8, os.cpu_count() or 1), thread_name_prefix="mlstac-compress")
        self._hasher = ThreadPoolExecutor(1, thread_name_prefix="mlstac-hash")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="mlstac-write")
        self._writing: Future[None] | None = None

    def measure(self, *arguments: Any) -> "Future[Measures]":
        """Run a measuring function in a thread."""
        return self._measurers.submit(*arguments)

    def write(self, shard: OpenShard, record: ShardRecord, *, roles: Mapping[str, str]) -> None:
        """Begin to write a shard, once the one before is written; raises what went wrong with that one."""
        self.wait()
        self._writing = self._writer.submit(self._write, shard, record, roles)

    def wait(self) -> None:
        """Wait until no shard is being written."""
        if self._writing is not None:
            self._writing.result()
            self._writing = None  # not before: who is interrupted while waiting must still hear what went wrong

    def close(self) -> None:
        """End the threads; a shard that is being written is finished first."""
        for pool in (self._writer, self._hasher, self._compressors, self._measurers):
            pool.shutdown(wait=True, cancel_futures=pool is not self._writer)

    def _write(self, shard: OpenShard, record: ShardRecord, roles: Mapping[str, str]) -> None:
        written = write_shard(
            self._target,
            shard,
            name=record.name,
            layouts=record.layouts,
            hasher=self._hasher,
            compression=self._compression,
            compressors=self._compressors,
        )
        try:
            measures = shard.measures()
            addresses = _with_shapes(shard, written)
            shard.release()
            rows = rows_table(
                shard.rows,
                addresses,
                href=f"./{written.name.removeprefix(record.split + '/')}",
                file_size=written.size,
                file_checksum=written.checksum,
                roles=dict(roles),
            )
            rows = rows.append_column(CONTENT, pa.array(np.frombuffer(shard.contents, np.uint64)))
            self._run.append(
                rows,
                replace(record, n_samples=len(shard), size=written.size, checksum=written.checksum, measures=measures),
            )
            self._target.drop(written.name)
        except BaseException:
            self._target.remove(written.name)  # a shard that the journal does not know is not there
            raise


def _with_shapes(shard: OpenShard, written: WrittenShard) -> dict[str, Addresses]:
    """Addresses with the shape of every sample: only the end knows which tensors have one shape in all shards."""
    return {name: replace(addresses, shapes=shard.blocks[name].shapes) for name, addresses in written.addresses.items()}
