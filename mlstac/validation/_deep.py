"""Every stored byte: checksums of files and samples, the positions that shards tell of their rows, and values."""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlstac.collection import DTYPES, Tensor
from mlstac.errors import MlstacError, StorageError
from mlstac.sample import Header, checksum
from mlstac.storage import Fetcher, MappedFile, Read, is_remote
from mlstac.validation._addresses import Shard, Table
from mlstac.validation._headers import say_error
from mlstac.validation._report import Findings
from mlstac.validation._statistics import Measured

PIECE_BYTES = 16 * 2**20
"""Read of a remote file at a time."""

_SHA256 = "1220"
_AGAIN = "fetch the shard again; if that does not help, write it again"
_VALUES = 4 * 2**20
"""Bytes of samples that statistics are taken of at once."""


@contextmanager
def whole_file(url: str, size: int, *, fetcher: Fetcher) -> Iterator[NDArray[np.uint8]]:
    """All bytes of a file: a map of a local one, or of a copy in the temporary folder, which is removed again."""
    if not is_remote(url):
        yield MappedFile(url, size=size).data
        return
    with tempfile.NamedTemporaryFile(prefix="mlstac-validate-") as file:
        buffer = np.empty(min(PIECE_BYTES, max(size, 1)), np.uint8)
        for start in range(0, size, PIECE_BYTES):
            stop = min(start + PIECE_BYTES, size)
            fetcher.fetch([Read(url, start, stop, [(0, buffer[: stop - start].data)], size)])
            file.write(buffer[: stop - start].data)
        file.flush()
        yield MappedFile(file.name, size=size).data


def check_file(url: str, size: int, wanted: str | None, *, file: str, fetcher: Fetcher, findings: Findings) -> None:
    """Hold a file against its multihash."""
    try:
        with whole_file(url, size, fetcher=fetcher) as data:
            check_digest(data, wanted, file=file, findings=findings)
    except (MlstacError, OSError) as error:
        said = error if isinstance(error, StorageError) else type(error).__name__
        findings.error(file, f"it cannot be read: {said}", "fetch it again")


def check_digest(data: NDArray[np.uint8], wanted: str | None, *, file: str, findings: Findings) -> None:
    """Hold bytes against a multihash; one of another function than sha2-256 is said to be unchecked."""
    if wanted is None:
        return
    if not (wanted.startswith(_SHA256) and len(wanted) == 68):
        findings.add(
            "unchecked",
            file,
            f"file:checksum {wanted[:80]!r} is no sha2-256",
            "write 1220 and the sha256 in hexadecimal",
        )
        return
    digest = hashlib.sha256()
    for start in range(0, len(data), PIECE_BYTES):
        digest.update(data[start : start + PIECE_BYTES].data)
    if digest.hexdigest() != wanted.removeprefix(_SHA256):
        findings.error(
            file, "its bytes are not those of file:checksum", "fetch it again; if that does not help, write it again",
            path="file:checksum",
        )  # fmt: skip


def check_shard(
    shard: Shard,
    header: Header,
    tables: Mapping[str, Table],
    *,
    tensors: Mapping[str, Tensor],
    measured: Mapping[str, Measured],
    fetcher: Fetcher,
    findings: Findings,
) -> int:
    """Read one plain shard whole; gives the bytes that were read."""
    try:
        with whole_file(shard.url, shard.size, fetcher=fetcher) as data:
            check_digest(data, shard.checksum, file=shard.file, findings=findings)
            for name, table in tables.items():
                check_sums(data, table, tensors[name], name, header, shard, findings)
                check_positions(data, table, name, header, shard, findings)
                if name in measured:
                    measure(data, table, measured[name])
    except (MlstacError, OSError) as error:
        say_error(error, shard, findings)
    return shard.size


def check_sums(
    data: NDArray[np.uint8],
    table: Table,
    tensor: Tensor,
    name: str,
    header: Header | None,
    shard: Shard,
    findings: Findings,
) -> None:
    """Hold rows against ``ml:checksum``: each by its own bytes, or blocks of a stacked tensor by all of theirs."""
    share = max(1, tensor.checksum_rows or 1)
    entry = header.entries.get(name) if header is not None else None
    offsets, lengths = table.offsets, table.lengths
    stops = offsets + lengths
    if share > 1 and entry is not None:
        block = share * lengths
        offsets = entry.start + (offsets - entry.start) // np.maximum(block, 1) * block
        stops = np.minimum(offsets + block, entry.stop)
    wrong = 0
    first = -1
    known: tuple[int, int, int] = (-1, -1, 0)
    for at, (start, stop, wanted) in enumerate(
        zip(offsets.tolist(), stops.tolist(), table.checksums.tolist(), strict=True)
    ):
        if wanted < 0:
            continue
        if known[:2] != (start, stop):
            known = (start, stop, checksum(data[start:stop].data))
        if known[2] != wanted:
            wrong += 1
            first = at if first < 0 else first
    if wrong:
        more = f" (and {wrong - 1:,} more rows of the same)" if wrong > 1 else ""
        findings.error(
            shard.part,
            f"its bytes in {shard.file} are not those of ml:checksum{more}",
            _AGAIN,
            path=f"assets.{name}.ml:checksum",
            row=int(table.rows[first]),
        )


def check_positions(
    data: NDArray[np.uint8], table: Table, name: str, header: Header, shard: Shard, findings: Findings
) -> None:
    """Hold rows against ``<name>.splits`` of a jagged tensor, which those read who have the shard alone."""
    splits, whole = header.entries.get(f"{name}.splits"), header.entries.get(name)
    if splits is None or whole is None or splits.dtype != "I64" or not whole.shape:
        return
    edges = data[splits.start : splits.stop].view("<i8") if splits.start % 8 == 0 else np.frombuffer(
        data[splits.start : splits.stop].tobytes(), "<i8"
    )  # fmt: skip
    row_bytes = int(np.prod(whole.shape[1:], dtype=np.int64)) * DTYPES[whole.dtype] // 8
    held = edges * row_bytes + whole.start
    begins = np.sort(table.offsets[table.lengths > 0])
    told = np.unique(held[:-1][np.diff(edges) > 0]) if len(edges) else begins[:0]
    if row_bytes and (len(begins) != len(told) or not np.array_equal(begins, told)):
        findings.error(
            shard.file,
            f"{name}.splits does not divide the rows as the catalog {shard.part} does",
            _AGAIN,
            path=f"{name}.splits",
        )


def measure(data: NDArray[np.uint8], table: Table, measured: Measured) -> None:
    """Take the statistics of rows, as many at once as lie one after another."""
    begin = 0
    n = len(table.rows)
    while begin < n:
        length = int(table.lengths[begin])
        shape = tuple(table.shapes[begin].tolist())
        end = begin + 1
        most = begin + max(1, _VALUES // max(length, 1))
        while (
            end < min(n, most)
            and table.lengths[end] == length
            and table.offsets[end] == table.offsets[end - 1] + length
            and tuple(table.shapes[end].tolist()) == shape
        ):
            end += 1
        start = int(table.offsets[begin])
        raw: Any = data[start : start + length * (end - begin)]
        if start % 8:
            raw = raw.copy()
        if length:
            measured.add(raw, (end - begin, *shape))
        begin = end
