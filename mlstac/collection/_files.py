"""Collections on disk and behind URLs: the one place of the room that reads and writes."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from pathlib import Path
from typing import Any

from mlstac.collection._json import MAX_JSON_BYTES
from mlstac.errors import (
    AccessError,
    CollectionError,
    InvalidArgumentError,
    MissingFileError,
    MissingPackageError,
    StorageError,
    UnavailableError,
)

FILE_NAME = "collection.json"
# one letter before the colon is a drive of Windows
_URL = re.compile(r"^(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)(://|::)")


def read_collection_bytes(path: str | os.PathLike[str], storage_options: dict[str, Any]) -> tuple[bytes, str]:
    """Read the text of a collection.json, no more than `MAX_JSON_BYTES` and one.

    Returns
    -------
    text : bytes
        As it is stored.
    href : str
        The path or URL that was read, with the file's name and without credentials.
    """
    url = os.fspath(path)
    if url.startswith("file://"):
        url = _local_path(url)
    if not _URL.match(url):
        return _read_local(Path(url))
    target = url if url.endswith(".json") or "?" in url else f"{url.rstrip('/')}/{FILE_NAME}"
    return _read_remote(target, storage_options), without_secrets(target)


def without_secrets(url: str) -> str:
    """Give a URL without its query (signatures live there), fragment and user."""
    plain = re.sub(r"[?#].*$", "", url, flags=re.DOTALL)
    return re.sub(r"(://)[^/@]*@(?=[^/])", r"\1", plain)


def write_collection_text(path: str | os.PathLike[str], text: str) -> None:
    """Write into a file beside the target, then to the disk, then in one step over the target."""
    if _URL.match(os.fspath(path)):
        raise InvalidArgumentError(
            f"{without_secrets(os.fspath(path))} is a URL, and save writes local files; "
            "save to a folder and mlstac.publish that"
        )
    target = Path(path)
    if target.is_dir():
        target = target / FILE_NAME
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        _sync_folder(target.parent)
    except FileNotFoundError:
        raise MissingFileError(
            f"cannot write {target}: the folder {target.parent} is not there; make it first"
        ) from None
    except PermissionError:
        raise AccessError(f"cannot write {target}: permission denied; choose a folder that you may write to") from None
    except OSError as error:
        raise StorageError(
            f"cannot write {target}: {error.strerror or error}; the file that was there still is"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _sync_folder(folder: Path) -> None:
    """Bring a rename to the disk, where the system has that."""
    with contextlib.suppress(OSError, AttributeError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _local_path(url: str) -> str:
    from urllib.parse import unquote, urlsplit

    return unquote(urlsplit(url).path)


def _read_local(path: Path) -> tuple[bytes, str]:
    try:
        if path.is_dir():
            path = path / FILE_NAME
            if not path.exists():
                raise _no_collection(path.parent)
        if not stat.S_ISREG(path.stat().st_mode):
            raise CollectionError(f"{path} is no regular file; name the dataset's folder or its {FILE_NAME}")
        with path.open("rb") as file:
            return file.read(MAX_JSON_BYTES + 1), str(path)
    except MissingFileError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        raise MissingFileError(f"there is no file {path}; name the dataset's folder or its {FILE_NAME}") from None
    except PermissionError:
        raise AccessError(f"cannot read {path}: permission denied; ask its owner for access") from None
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL):
            raise MissingFileError(f"{str(path)[:80]!r} is no path of a file; name the dataset's folder") from None
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error


def _no_collection(folder: Path) -> MissingFileError:
    names = sorted(entry.name for _, entry in zip(range(1000), folder.iterdir(), strict=False))
    if any(name.lower().endswith((".tif", ".tiff")) for name in names):
        return MissingFileError(
            f"{folder} has GeoTIFFs and no {FILE_NAME}: it is not a dataset yet; "
            f"make a dataset of them: mlstac convert {folder} OUT"
        )
    if "main.json" in names:
        return MissingFileError(
            f"{folder} has a main.json of the original ML-STAC and no {FILE_NAME}; "
            "open it with mlstac.load or mlstac.open"
        )
    has = f"it has {', '.join(names[:5])}{' …' if len(names) > 5 else ''}" if names else "it is empty"
    return MissingFileError(f"{folder} has no {FILE_NAME} ({has}); name the folder that mlstac.write made")


def _read_remote(url: str, storage_options: dict[str, Any]) -> bytes:
    import fsspec

    shown = without_secrets(url)
    try:
        with fsspec.open(url, "rb", **storage_options) as file:
            return bytes(file.read(MAX_JSON_BYTES + 1))
    except ImportError as error:
        raise MissingPackageError(f"{shown} needs a package that is not installed: {error}") from error
    except ValueError as error:
        raise InvalidArgumentError(
            f"{shown} cannot be opened: {str(error)[:200]}; use a path or a URL that fsspec knows"
        ) from None
    except Exception as error:  # noqa: BLE001  each filesystem of fsspec has errors of its own
        raise _remote_error(shown, error) from None


def _remote_error(shown: str, error: Exception) -> StorageError:
    """Name what a filesystem of fsspec raised; that of http raises FileNotFoundError from whatever went wrong."""
    cause: BaseException = error
    while isinstance(cause, FileNotFoundError) and cause.__cause__ is not None:
        cause = cause.__cause__
    status = getattr(cause, "status", None) or getattr(cause, "status_code", None)  # the latter of Azure's client
    if status in (401, 403) or isinstance(cause, PermissionError):
        says = f" (HTTP {status})" if status else ""
        return AccessError(f"{shown} is refused{says}; pass credentials as storage options")
    if status in (404, 410) or isinstance(cause, FileNotFoundError):
        return MissingFileError(f"there is nothing at {shown}; name the dataset's folder or its {FILE_NAME}")
    says = f"HTTP {status}" if status else type(cause).__name__
    return UnavailableError(f"{shown} cannot be read ({says}); check the address and try again")
