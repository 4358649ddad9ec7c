"""Compressed shards: their rows point at frames, which are held against the plain file that they undo to."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mlstac.collection import DTYPES, Tensor
from mlstac.errors import MissingPackageError, MlstacError, ShardError
from mlstac.sample import GZIP, codec_of, header_length, read_header, undo_file, undo_gzip_file, walk_frames
from mlstac.storage import Fetcher, file_size, is_remote
from mlstac.validation._addresses import Shard, Table
from mlstac.validation._deep import check_digest, check_positions, check_sums, measure, whole_file
from mlstac.validation._headers import compare_header, say_error
from mlstac.validation._report import Findings
from mlstac.validation._statistics import Measured

MAX_PLAIN_BYTES = 4 * 2**30
"""Of a compressed shard, undone in memory; a shard has 256 MB as a rule."""


def check_compressed(
    shard: Shard,
    tables: Mapping[str, Table],
    *,
    tensors: Mapping[str, Tensor],
    ids: Mapping[int, str] | None,
    measured: Mapping[str, Measured],
    deep: bool,
    fetcher: Fetcher,
    findings: Findings,
) -> int:
    """Look at a compressed shard: its size, and with ``deep`` all of it; gives the bytes that were read."""
    try:
        found = file_size(shard.url, fetcher=fetcher if is_remote(shard.url) else None)
        if found != shard.size:
            raise ShardError(f"it has {found:,} bytes, and the catalog says {shard.size:,}; fetch it again")
        if not deep:
            return 0
        with whole_file(shard.url, shard.size, fetcher=fetcher) as data:
            check_digest(data, shard.checksum, file=shard.file, findings=findings)
            for name, table in tables.items():
                check_sums(data, table, tensors[name], name, None, shard, findings)
            plain, begins = _undo_whole(data, shard)
            length = header_length(plain[:8].tobytes(), file_size=len(plain), name=shard.file)
            header = read_header(plain[: 8 + length].data, file_size=len(plain), name=shard.file)
            undone = {name: _undo(table, tensors[name], begins) for name, table in tables.items()}
            compare_header(shard, header, undone, tensors=tensors, ids=ids, findings=findings)
            for name, table in undone.items():
                check_positions(plain, table, name, header, shard, findings)
                if name in measured:
                    measure(plain, table, measured[name])
    except MissingPackageError as error:
        findings.add("unchecked", shard.file, f"its contents were not looked at: {error}", "run: pip install zstandard")
    except (MlstacError, OSError) as error:
        say_error(error, shard, findings)
    return shard.size


def _undo_whole(data: NDArray[np.uint8], shard: Shard) -> tuple[NDArray[np.uint8], dict[int, int]]:
    """The plain file, and where the contents of each frame begin in it; a gzip file is one frame."""
    if codec_of(shard.file) == GZIP:
        return undo_gzip_file(data, at_most=MAX_PLAIN_BYTES, name=shard.file), {0: 0}
    contents = sum(frame.contents for frame in walk_frames(data, name=shard.file))
    if contents > MAX_PLAIN_BYTES:
        raise ShardError(f"it undoes to {contents:,} bytes, which were not looked at; write smaller shards")
    return undo_file(data, name=shard.file)


def _undo(table: Table, tensor: Tensor, begins: Mapping[int, int]) -> Table:
    """Addresses in the plain file; -1 where a row points at no frame."""
    starts = np.array(sorted(begins), np.int64)
    plain = np.array([begins[start] for start in starts.tolist()], np.int64)
    at = np.minimum(np.searchsorted(starts, table.offsets), max(len(starts) - 1, 0))
    known = (starts[at] == table.offsets) if len(starts) else np.zeros(len(table.rows), bool)
    made = np.prod(table.shapes, axis=1, dtype=np.int64) * DTYPES[str(tensor.dtype)] // 8
    offsets = np.where(known, (plain[at] if len(starts) else 0) + table.inner, -1)
    empty = made == 0
    return Table(
        rows=table.rows,
        shards=table.shards,
        offsets=np.where(empty, 0, offsets),
        lengths=made,
        inner=np.zeros_like(table.offsets),
        checksums=table.checksums,
        shapes=table.shapes,
    )


def say_unread(shards: Sequence[Shard], part: str, findings: Findings) -> None:
    """Say once of a part that rows of compressed shards were held against nothing."""
    if shards:
        findings.add(
            "unchecked",
            part,
            f"its {len(shards):,} compressed {'shard was' if len(shards) == 1 else 'shards were'} not undone, and so "
            "its rows not held against their headers",
            "validate with deep=True (--deep)",
            path="assets",
        )


def warn_of_gzip(shards: Sequence[Shard], part: str, findings: Findings) -> None:
    """Say once of a part that readers take its gzip shards, and what they cost."""
    packed = [shard for shard in shards if codec_of(shard.file) == GZIP]
    if packed:
        named = "shard is a gzip file" if len(packed) == 1 else "shards are gzip files"
        findings.add(
            "warning",
            part,
            f"{len(packed):,} of its {named}, of which each sample costs the whole file; they are read for the sake of "
            "older datasets",
            "write the samples anew, plain or with compression='zstd'",
            path="assets",
        )
