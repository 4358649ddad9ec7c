"""Shards: there, of the size that rows say, with a sound header, whose tensors are those that rows point at."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mlstac.collection import DTYPES, Tensor
from mlstac.errors import MlstacError, ShardError
from mlstac.sample import Entry, Header, header_length, keyed_name, read_header
from mlstac.storage import Fetcher, MappedFile, Read, is_remote
from mlstac.validation._addresses import Shard, Table
from mlstac.validation._report import Findings

PREFIX_BYTES = 64 * 1024
"""Read of a remote shard at first: the header of most."""

_AT_ONCE = 64
_AGAIN = "fetch the shard again, or write it again"


def read_headers(shards: Sequence[Shard], *, fetcher: Fetcher, findings: Findings) -> Iterator[tuple[Shard, Header]]:
    """Yield the headers of plain shards; keeps an error for each that is missing, of another size, or unsound."""
    for start in range(0, len(shards), _AT_ONCE):
        some = shards[start : start + _AT_ONCE]
        prefixes = dict(_read_remote(some, PREFIX_BYTES, fetcher=fetcher, findings=findings))
        long = [
            shard
            for at, shard in enumerate(some)
            if at in prefixes and len(prefixes[at]) < min(shard.size, 8 + _length(prefixes[at], shard))
        ]
        numbers = {shard.url: at for at, shard in enumerate(some)}
        for shard in long:  # one by one, for each may have 100 MB
            wanted = 8 + _length(prefixes[numbers[shard.url]], shard)
            prefixes[numbers[shard.url]] = b""
            for _, data in _read_remote([shard], wanted, fetcher=fetcher, findings=findings):
                prefixes[numbers[shard.url]] = data
        for at, shard in enumerate(some):
            try:
                if is_remote(shard.url):
                    if prefixes.get(at):
                        yield shard, read_header(prefixes[at], file_size=shard.size, name=shard.file)
                else:
                    whole = MappedFile(shard.url, size=shard.size).data
                    length = header_length(whole[:8].tobytes(), file_size=len(whole), name=shard.file)
                    yield shard, read_header(whole[: 8 + length].data, file_size=len(whole), name=shard.file)
            except (MlstacError, OSError) as error:
                say_error(error, shard, findings)


def _length(prefix: bytes, shard: Shard) -> int:
    try:
        return header_length(prefix, file_size=shard.size, name=shard.file)
    except ShardError:
        return 0  # what is wrong is said when the header is read


def _read_remote(
    shards: Sequence[Shard], count: int, *, fetcher: Fetcher, findings: Findings
) -> Iterator[tuple[int, bytes]]:
    """First bytes of remote shards, asked for at once, by their position."""
    waiting = []
    for at, shard in enumerate(shards):
        if is_remote(shard.url) and shard.size > 0:
            buffer = bytearray(min(count, shard.size))
            read = Read(shard.url, 0, len(buffer), [(0, memoryview(buffer))], shard.size)
            waiting.append((at, shard, buffer, fetcher.submit([read])))
    for at, shard, buffer, future in waiting:
        try:
            future.result()
        except (MlstacError, OSError) as error:
            say_error(error, shard, findings)
        else:
            yield at, bytes(buffer)


def say_error(error: BaseException, shard: Shard, findings: Findings) -> None:
    """Keep what an error says of a shard."""
    said, _, mend = str(error).rpartition("; ")
    findings.error(shard.file, said or str(error), mend if said else _AGAIN, path=f"named by {shard.part}")


def compare_header(
    shard: Shard,
    header: Header,
    tables: Mapping[str, Table],
    *,
    tensors: Mapping[str, Tensor],
    ids: Mapping[int, str] | None,
    findings: Findings,
) -> None:
    """Hold the rows of one shard against its header.

    Parameters
    ----------
    shard : Shard
    header : Header
    tables : mapping of str to Table
        Its rows alone, by tensor.
    tensors : mapping of str to Tensor
    ids : mapping of int to str, optional
        Ids of the rows, which keyed tensors are named by.
    findings : Findings
    """
    held = [(name, entry) for name, entry in header.entries.items() if entry.stop > entry.start]
    starts = np.array([entry.start for _, entry in held], np.int64)
    stops = np.array([entry.stop for _, entry in held], np.int64)
    for name, table in tables.items():
        if not len(table.rows):
            continue
        whole = header.entries.get(name)
        if whole is not None:
            wrong = _beside(whole, table, tensors[name])
            said = f"{name!r} of {whole.dtype} {list(whole.shape)} at bytes {whole.start} to {whole.stop}"
        else:
            # keyed: each row has a tensor of its own, which begins where the row does
            at = np.minimum(np.searchsorted(starts, table.offsets), max(len(starts) - 1, 0))
            exact = table.lengths == 0
            if len(starts):
                exact = exact | ((starts[at] == table.offsets) & (stops[at] == table.offsets + table.lengths))
            wrong = ~exact | _unlike(table, exact, at, held, name, tensors[name], ids)
            said = "no tensor that begins and ends there, of that dtype, shape and sample"
        if wrong.any():
            row = int(np.argmax(wrong))
            offset, length = int(table.offsets[row]), int(table.lengths[row])
            more = int(np.count_nonzero(wrong)) - 1
            findings.error(
                shard.part,
                f"the row takes {tensors[name].dtype} {table.shapes[row].tolist()} from bytes {offset} to "
                f"{offset + length} of {shard.file}, whose header has {said}"
                + (f" (and {more:,} more rows of the same)" if more else ""),
                "write the catalog again from its shards",
                path=f"assets.{name}.ml:offset",
                row=int(table.rows[row]),
            )


def _beside(entry: Entry, table: Table, tensor: Tensor) -> NDArray[np.bool_]:
    """Rows that are no samples of a stacked, jagged or single tensor."""
    inside = (table.offsets >= entry.start) & (table.offsets + table.lengths <= entry.stop)
    inside |= table.lengths == 0
    if entry.dtype != tensor.dtype:
        return np.ones(len(table.rows), bool)
    bits = DTYPES[entry.dtype]
    shape = entry.shape
    within = table.offsets - entry.start
    axes = table.shapes.shape[1]
    within = np.where(table.lengths == 0, 0, within)  # where nothing lies does not matter
    single = (axes == len(shape)) & (within == 0) & (table.lengths == entry.stop - entry.start)
    single &= _equal(table.shapes, shape)
    row_bytes = int(np.prod(shape[1:], dtype=np.int64)) * bits // 8 if shape else 0
    stacked = jagged = np.zeros(len(table.rows), bool)
    if shape and axes == len(shape) - 1:
        stacked = _equal(table.shapes, shape[1:]) & ((within % row_bytes == 0) if row_bytes else True)
    if shape and axes == len(shape):
        jagged = _equal(table.shapes[:, 1:], shape[1:]) & ((within % row_bytes == 0) if row_bytes else True)
    return np.asarray(~(inside & (single | stacked | jagged)))


def _equal(shapes: NDArray[np.int64], shape: Sequence[int]) -> NDArray[np.bool_]:
    if shapes.shape[1] != len(shape):
        return np.zeros(len(shapes), bool)
    return np.asarray((shapes == np.array(shape, np.int64)).all(axis=1))


def _unlike(
    table: Table,
    exact: NDArray[np.bool_],
    at: NDArray[np.int64],
    held: Sequence[tuple[str, Entry]],
    name: str,
    tensor: Tensor,
    ids: Mapping[int, str] | None,
) -> NDArray[np.bool_]:
    """Rows whose keyed tensor is of another dtype, shape or sample."""
    wrong = np.zeros(len(table.rows), bool)
    rows = table.rows.tolist()
    for row in np.flatnonzero(exact & (table.lengths > 0)).tolist():
        key, entry = held[at[row]]
        wrong[row] = entry.dtype != tensor.dtype or entry.shape != tuple(table.shapes[row].tolist())
        if ids is not None and rows[row] in ids:
            wrong[row] |= key != keyed_name(ids[rows[row]], name)
        else:
            wrong[row] |= not key.endswith(f"/{name}")
    return wrong
