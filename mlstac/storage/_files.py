"""Small whole files, and sizes, by path or URL."""

import os

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import AccessError, ChangedError, FormatError, MissingFileError, ShardError, StorageError
from mlstac.storage._fetcher import SMALL_FILE_BYTES, Fetcher
from mlstac.storage._maps import map_handle
from mlstac.storage._options import StorageOptions
from mlstac.storage._pointer import POINTER_BYTES, is_pointer, pointer_error
from mlstac.storage._urls import is_remote, local_path


def read_bytes(
    url: str | os.PathLike[str],
    *,
    storage_options: StorageOptions = None,
    limit_bytes: int = SMALL_FILE_BYTES,
    fetcher: Fetcher | None = None,
) -> bytes:
    """Return a whole small file: a collection, a catalog.

    Parameters
    ----------
    url : str or path
        A path, or a URL of any scheme.
    storage_options : mapping, optional
        As `Fetcher` takes them.
    limit_bytes : int
        A file larger than this is refused.
    fetcher : Fetcher, optional
        Reads it, over the connections that it has; else one is made for this file.

    Raises
    ------
    MissingFileError, AccessError, UnavailableError
        If it cannot be had; the message names the URL and the mend.
    FormatError
        If it is larger than `limit_bytes`.
    """
    if is_remote(url):
        if fetcher is not None:
            return fetcher.read_bytes(os.fspath(url), limit_bytes=limit_bytes)
        with Fetcher(storage_options=storage_options) as own:
            return own.read_bytes(os.fspath(url), limit_bytes=limit_bytes)
    path = local_path(url)
    size = _local_size(path)
    if size > limit_bytes:
        raise FormatError(
            f"{path} holds {size} bytes, more than the {limit_bytes} that a file of its kind may have; check the path"
        )
    try:
        with open(path, "rb") as file:
            data = file.read(size)  # read(n) asks for n bytes of memory, however short the file
    except OSError as error:
        raise _named(error, path) from error
    if is_pointer(data):
        raise pointer_error(path)
    return data


def file_size(
    url: str | os.PathLike[str], *, storage_options: StorageOptions = None, fetcher: Fetcher | None = None
) -> int:
    """Return a file's size in bytes; arguments and errors as of `read_bytes`."""
    if is_remote(url):
        if fetcher is not None:
            return fetcher.file_size(os.fspath(url))
        with Fetcher(storage_options=storage_options) as own:
            return own.file_size(os.fspath(url))
    return _local_size(local_path(url))


def map_file(path: str | os.PathLike[str], *, size: int | None = None) -> NDArray[np.uint8]:
    """Map a local file into memory, read-only.

    Parameters
    ----------
    path : str or path
        The file.
    size : int, optional
        Its size in bytes as the catalog has it.

    Returns
    -------
    numpy.ndarray, shape (bytes,), uint8
        A plain array over the map; not writable. The file need not stay open. It lives as long as any view of it.

    Raises
    ------
    MissingFileError, AccessError
        If it cannot be opened.
    ShardError
        If its size is not `size`.
    """
    path = local_path(path)
    found = _local_size(path)
    if size is not None and found != size:
        if found <= POINTER_BYTES:
            read_bytes(path)  # says so if it is a Git LFS pointer
        raise ShardError(
            f"{path} holds {found} bytes, and the catalog says {size}: it was cut short or replaced; copy or download "
            f"it again"
        )
    if found == 0:
        # an empty file cannot be mapped
        empty = np.empty(0, np.uint8)
        empty.flags.writeable = False
        return empty
    try:
        with open(path, "rb") as file:
            return map_handle(file.fileno(), found)
    except OSError as error:
        raise _named(error, path) from error


class MappedFile:
    """A local file in memory, which tells when the file behind it is no longer the one that was mapped.

    To touch a map beyond the end of a file that was cut short ends the process, and a file that was written to in place
    gives other bytes without a word. `check` costs one ``stat``.

    Parameters
    ----------
    path : str or path
    size : int, optional
        As of `map_file`, and so are the errors.
    """

    def __init__(self, path: str | os.PathLike[str], *, size: int | None = None) -> None:
        self.path = local_path(path)
        self._absolute = os.path.abspath(self.path)  # the program may change its folder, and the file stays
        self._stamp = _stamp(self._absolute)
        self.data = map_file(self.path, size=size)
        self.check()

    def check(self) -> None:
        """Raise `ChangedError` if the file was cut, written to, replaced or removed since."""
        if _stamp(self._absolute) != self._stamp:
            raise ChangedError(
                f"{self.path} was written to, replaced or removed while it was open; put the file back as it was "
                f"and load the dataset again"
            )


def _stamp(path: str) -> tuple[int, int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _local_size(path: str) -> int:
    try:
        if os.path.isdir(path):
            raise MissingFileError(f"{path} is a folder, and a file was expected; check the path")
        return os.stat(path).st_size
    except OSError as error:
        raise _named(error, path) from error


def _named(error: OSError, path: str) -> StorageError:
    if isinstance(error, StorageError):
        return error
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return MissingFileError(f"{path}: no such file; check the path, and that the dataset was copied whole")
    if isinstance(error, PermissionError):
        return AccessError(f"{path}: access refused; check the file's permissions")
    return StorageError(f"{path}: {error.strerror or error}")
