"""Shards to disk in the background, one at a time and in order, each followed by its line in the journal."""

import os
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pyarrow as pa

from mlstac.authoring._block import CHUNK_BYTES, Measures, Measuring
from mlstac.authoring._journal import CONTENT, Run, ShardRecord
from mlstac.authoring._pool import Bytes, Pool
from mlstac.authoring._shard import OpenShard
from mlstac.authoring._storing import Storing, WrittenShard
from mlstac.authoring._target import Target
from mlstac.errors import StateError
from mlstac.sample import Addresses, Compression, rows_table

_MANY_ROWS = 20_000
"""A shard of more samples waits until the one before is done with: their rows take as much memory as their bytes."""


class Pipeline:
    """Writes one shard while the next one fills, so that no more than two are in memory.

    Shards are hashed and written in threads, for hashlib and the system let go of Python's lock for as long as a buffer
    takes. Statistics are many short steps in numpy: a thread that takes them and one that copies samples hand the lock
    to and fro all the time, which costs more than the second processor gives. So the caller's thread does both, but for
    floats (longer steps, and more work) where there are processors to spare.

    The next shard is hashed while the one before is flushed and goes into the journal, in order: where one fails, those
    after it are not written.
    """

    def __init__(self, target: Target, run: Run, *, shard_bytes: int, compression: Compression | None = None) -> None:
        self._target = target
        self._run = run
        self._compression = compression
        # Those of a shard that is being written are used again one by one; of one that is compressed all at once. Small
        # shards take few buffers, which are hardly filled.
        spare_bytes = max(shard_bytes // 4, 8 * CHUNK_BYTES) if compression is None else shard_bytes
        self.pool = Pool(shard_bytes + max(min(shard_bytes, spare_bytes), 4 * CHUNK_BYTES))
        """The buffers that samples are copied into."""
        processors = os.cpu_count() or 1
        self._measurers: ThreadPoolExecutor | None = None
        if processors > 2:
            self._measurers = ThreadPoolExecutor(min(4, processors - 2), thread_name_prefix="mlstac-measure")
        # apart from the measurers, so that a shard that is being written never waits for the one that is filling
        self._compressors = ThreadPoolExecutor(min(8, processors), thread_name_prefix="mlstac-compress")
        self._hasher = ThreadPoolExecutor(1, thread_name_prefix="mlstac-hash")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="mlstac-write")
        self._writing: deque[Future[None]] = deque()
        self._has_failed = False

    def measure(
        self, measuring: Measuring, data: Bytes, lengths: list[int], shapes: list[tuple[int, ...]]
    ) -> "Future[Measures]":
        """Measure samples, here or in a thread: what is found is the same."""
        if self._measurers is not None and measuring.is_of_floats:
            return self._measurers.submit(measuring.measure, data, lengths, shapes)
        found: Future[Measures] = Future()
        found.set_result(measuring.measure(data, lengths, shapes))
        return found

    def write(self, shard: OpenShard, record: ShardRecord, *, roles: Mapping[str, str]) -> None:
        """Begin to write a shard; raises what went wrong with those before, as far as that is known."""
        self.wait(ahead=1 if len(shard) <= _MANY_ROWS else 0)
        shard.close()
        storing = Storing(shard, layouts=record.layouts, hasher=self._hasher)
        if self._compression is None:
            storing.begin()
        self._writing.append(self._writer.submit(self._write, shard, storing, record, roles))

    def wait(self, *, ahead: int = 0) -> None:
        """Wait until no more than so many shards are being written."""
        while len(self._writing) > ahead or (self._writing and self._writing[0].done()):
            self._writing[0].result()
            self._writing.popleft()  # not before: who is interrupted while waiting must still hear what went wrong

    def close(self) -> None:
        """End the threads, and let go of the memory; shards that are being written are finished first."""
        for pool in (self._writer, self._hasher, self._compressors, self._measurers):
            if pool is None:
                continue
            pool.shutdown(wait=True, cancel_futures=pool is not self._writer)
        self.pool.close()

    def _write(self, shard: OpenShard, storing: Storing, record: ShardRecord, roles: Mapping[str, str]) -> None:
        try:
            if self._has_failed:
                raise StateError("the shard before could not be written")
            if self._compression is None:
                written = storing.write(self._target, record.name)
            else:
                written = storing.compress(
                    self._target, record.name, compression=self._compression, compressors=self._compressors
                )
            try:
                self._note(shard, written, record, roles)
            except BaseException:
                self._target.remove(written.name)  # a shard that the journal does not know is not there
                raise
        except BaseException:
            self._has_failed = True
            raise
        finally:
            shard.release()  # whatever happened: the next one may be waiting for its buffers

    def _note(self, shard: OpenShard, written: WrittenShard, record: ShardRecord, roles: Mapping[str, str]) -> None:
        """Put a shard that has its name into the journal."""
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


def _with_shapes(shard: OpenShard, written: WrittenShard) -> dict[str, Addresses]:
    """Addresses with the shape of every sample: only the end knows which tensors have one shape in all shards."""
    return {name: replace(addresses, shapes=shard.blocks[name].shapes) for name, addresses in written.addresses.items()}
