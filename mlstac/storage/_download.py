"""Whole files to a folder: in parallel, continued where it stopped, verified, and never half under their names."""

import contextlib
import hashlib
import json
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from mlstac.errors import AccessError, ChecksumError, StorageError
from mlstac.storage._fetcher import Fetcher
from mlstac.storage._options import StorageOptions
from mlstac.storage._reads import Read
from mlstac.storage._urls import local_path, redact
from mlstac.storage._waiting import result_of

_BLOCK_BYTES = 8_388_608
_MOST_BYTES_AHEAD = 134_217_728
_MOST_BLOCKS_AHEAD = 64
_MANIFEST = ".mlstac-download.json"
_SOURCE = ""
"""Key in it of where the files are from; no file has such a path."""


class Download(NamedTuple):
    """A file to fetch, and where to."""

    url: str
    """The file."""

    path: str
    """Where it goes, relative to the folder, with slashes."""

    size: int | None = None
    """Bytes, if known."""

    sha256: str | None = None
    """Its SHA-256 in hexadecimal digits, if known. Only then is a file of an earlier run continued, for only then can
    it be verified."""


Progress = Callable[[int], object]
"""Told of each piece's bytes as they come."""


def download(
    files: Sequence[Download],
    folder: str | os.PathLike[str],
    *,
    fetcher: Fetcher | None = None,
    storage_options: StorageOptions = None,
    progress: bool | Progress = False,
    source: str = "",
) -> list[Path]:
    """Fetch whole files into a folder.

    A file appears under its name once it is whole and verified; until then its beginning is in ``<name>.part``, and the
    next run goes on from there. What is there already is left alone. Of several processes with one folder, one works
    and the others wait.

    Parameters
    ----------
    files : sequence of Download
        What to fetch.
    folder : str or path
        Made if it is not there.
    fetcher : Fetcher, optional
        Used to read; else one is made with `storage_options`.
    progress : bool or callable
        True for a bar on standard error; or a callable that is told of each piece's bytes.
    source : str, optional
        What `source_of` is to say of the folder: where the dataset is. It is kept, so let no secret be in it.

    Returns
    -------
    list of Path
        Of the files, in their order.

    Raises
    ------
    ChecksumError
        If a file is not what its checksum says, twice.
    ShardError
        If it has another size.
    AccessError
        If a path leads out of the folder.
    StorageError
        If it cannot be had, or cannot be written.
    """
    root = Path(local_path(folder))
    paths = [_inside(root, file.path) for file in files]
    own = Fetcher(storage_options=storage_options) if fetcher is None else contextlib.nullcontext(fetcher)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with own as reader, _lock(root), _bar(progress) as (tell, expect):
            manifest = _read_manifest(root)
            if source and manifest.get(_SOURCE) != source:
                manifest[_SOURCE] = source
                _write_manifest(root, manifest)
            sized = [
                file if file.size is not None else file._replace(size=reader.file_size(file.url)) for file in files
            ]
            expect(sum(file.size or 0 for file in sized))
            todo = []
            for file, path in zip(sized, paths, strict=True):
                if _is_there(file, path, manifest):
                    tell(file.size or 0)
                else:
                    todo.append((file, path))
            _fetch_all(reader, todo, root, manifest, tell)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(
            f"{root}: cannot be written ({error.strerror or error}); make room, or give another folder"
        ) from error
    return paths


def say_missing(folder: str | os.PathLike[str], split: str) -> str | None:
    """Say how to fetch a split that is not in a folder; None of a folder that is no download."""
    root = Path(folder)
    if not (root / _MANIFEST).exists():
        return None
    source = _read_manifest(root).get(_SOURCE)
    url = repr(str(source)) if source else "URL"
    call = f"mlstac.download({url}, {str(root)!r}, split={split!r})"
    return f"split {split!r} was not downloaded to {root}; fetch it: {call}"


class _Partial:
    """A file that is coming: its beginning on disk, and the digest of it."""

    def __init__(self, file: Download, path: Path) -> None:
        self.file = file
        self.path = path
        self.part = path.with_name(path.name + ".part")
        self.digest = hashlib.sha256()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.handle = self.part.open("a+b")
        self.begun = 0
        size = file.size or 0
        if file.sha256 is None or os.fstat(self.handle.fileno()).st_size > size:
            self.handle.truncate(0)
        self.handle.seek(0)
        while piece := self.handle.read(_BLOCK_BYTES):
            self.digest.update(piece)
            self.begun += len(piece)

    def write(self, data: bytearray) -> None:
        self.handle.write(data)
        self.digest.update(data)

    def finish(self) -> bool:
        """Put the file under its name if it is what it should be; else drop it."""
        self.handle.flush()
        os.fsync(self.handle.fileno())
        self.handle.close()
        if self.file.sha256 is not None and self.digest.hexdigest() != self.file.sha256.lower():
            self.part.unlink()
            return False
        self.part.replace(self.path)
        return True


def _fetch_all(
    fetcher: Fetcher,
    todo: list[tuple[Download, Path]],
    root: Path,
    manifest: dict[str, Any],
    tell: Progress,
    *,
    again: bool = True,
) -> None:
    """Fetch files block by block, many at a time, and write them in order."""
    blocks = _blocks(todo, tell)
    ahead: deque[tuple[_Partial, bytearray, Future[None] | None]] = deque()
    bytes_ahead = 0
    failed: list[tuple[Download, Path]] = []
    try:
        while True:
            while bytes_ahead < _MOST_BYTES_AHEAD and len(ahead) < _MOST_BLOCKS_AHEAD:
                block = next(blocks, None)
                if block is None:
                    break
                partial, start, stop = block
                buffer = bytearray(stop - start)
                read = Read(partial.file.url, start, stop, [(0, memoryview(buffer))], partial.file.size)
                ahead.append((partial, buffer, fetcher.submit([read]) if buffer else None))
                bytes_ahead += len(buffer)
            if not ahead:
                break
            partial, buffer, future = ahead[0]
            if future is not None:
                result_of(future)
                partial.write(buffer)
                tell(len(buffer))
            ahead.popleft()
            bytes_ahead -= len(buffer)
            if future is None:  # the mark of a file's end
                if partial.finish():
                    _note(root, manifest, partial)
                else:
                    failed.append((partial.file, partial.path))
    finally:
        for partial, _, future in ahead:
            if future is not None:
                future.cancel()
            partial.handle.close()
    if failed and not again:
        file, path = failed[0]
        raise ChecksumError(
            f"{redact(file.url)} is not what its SHA-256 says ({file.sha256}), twice; nothing was kept at {path}: "
            f"upload it again"
        )
    if failed:
        tell(-sum(file.size or 0 for file, _ in failed))
        _fetch_all(fetcher, failed, root, manifest, tell, again=False)


def _blocks(todo: list[tuple[Download, Path]], tell: Progress) -> Iterator[tuple[_Partial, int, int]]:
    """Cut files into blocks; an empty block marks the end of each."""
    for file, path in todo:
        partial = _Partial(file, path)
        tell(partial.begun)
        size = file.size or 0
        for start in range(partial.begun, size, _BLOCK_BYTES):
            yield partial, start, min(size, start + _BLOCK_BYTES)
        yield partial, size, size


def _inside(root: Path, path: str) -> Path:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or ":" in parts[0] or "\0" in path:
        raise AccessError(f"the path {path!r} leads out of the folder {root}; it must be relative and without '..'")
    return root.joinpath(*parts)


def _is_there(file: Download, path: Path, manifest: dict[str, Any]) -> bool:
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    if status.st_size != file.size:
        return False
    if file.sha256 is None or manifest.get(file.path) == [file.sha256.lower(), status.st_mtime_ns]:
        return True
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest() == file.sha256.lower()


def _read_manifest(root: Path) -> dict[str, Any]:
    try:
        found = json.loads((root / _MANIFEST).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _note(root: Path, manifest: dict[str, Any], partial: _Partial) -> None:
    """Remember that a file was verified, so that the next run need not read it."""
    if partial.file.sha256 is None:
        return
    manifest[partial.file.path] = [partial.file.sha256.lower(), partial.path.stat().st_mtime_ns]
    _write_manifest(root, manifest)


def _write_manifest(root: Path, manifest: dict[str, Any]) -> None:
    scratch = root / f"{_MANIFEST}.{os.getpid()}"
    scratch.write_text(json.dumps(manifest))
    scratch.replace(root / _MANIFEST)


@contextlib.contextmanager
def _lock(root: Path) -> Iterator[None]:
    """Wait until no other process downloads into the folder; the system frees the lock of one that dies."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with (root / ".mlstac-download.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _bar(progress: bool | Progress) -> Iterator[tuple[Progress, Callable[[int], object]]]:
    """Lend a callable for each piece's bytes, and one for the sum that is expected."""
    if progress is not True:
        yield (progress or (lambda count: count)), (lambda total: total)
        return
    from tqdm import tqdm

    with tqdm(unit="B", unit_scale=True, desc="download") as bar:
        yield bar.update, lambda total: bar.reset(total)
