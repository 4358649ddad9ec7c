"""Where a dataset is written: the one wall between authoring and the file system.

Names are relative, with forward slashes (``train/00000.safetensors``). Every write goes to a temporary name in the
same folder, is flushed to the disk, and takes its final name in one step: a name that exists is a whole file. Errors
of the operating system come out as named errors.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self

from numpy.typing import NDArray

from mlstac.authoring._writeback import begin_writeback
from mlstac.errors import AccessError, ChangedError, ExistsError, InvalidArgumentError, MissingFileError, StorageError
from mlstac.storage import is_remote, local_path, redact

TEMPORARY: Final = ".mlstac-tmp"
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED: Final = {errno.EACCES, errno.EPERM, errno.EROFS}

_WRITEBACK_BYTES: Final = 8 * 2**20
"""So much is given to the disk at once: much less would be many small requests."""

Bytes = bytes | bytearray | memoryview | NDArray[Any]


@contextmanager
def named_errors(doing: str, path: Path) -> Iterator[None]:
    """Turn an OSError into the named error that says what to do about it."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in _FULL:
            raise StorageError(
                f"{doing} {path}: {reason}; free some space (or raise the file-size limit) and make the same call"
                " again: it goes on after the last whole shard"
            ) from error
        if error.errno in _REFUSED:
            mend = "let this user read it" if doing == "reading" else "choose a folder that this user may write to"
            raise AccessError(f"{doing} {path}: {reason}; {mend}") from error
        if isinstance(error, FileNotFoundError):
            raise MissingFileError(f"{doing} {path}: {reason}") from error
        if isinstance(error, FileExistsError | NotADirectoryError):
            raise ExistsError(f"{doing} {path}: a file is in the way of a folder; choose another path") from error
        raise StorageError(f"{doing} {path}: {reason}") from error


class Target:
    """A local folder that a dataset is written to.

    `RemoteTarget` is the same for a URL; what that takes more, or otherwise, is said here too.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        text = os.fspath(path)
        if is_remote(text):
            raise InvalidArgumentError(
                f"{redact(text)} is not a folder on this machine, and this is done in one; bring it here with"
                " mlstac.download"
            )
        self.root = Path(local_path(text))

    def __str__(self) -> str:
        return str(self.root)

    @property
    def name(self) -> str:
        """Of the folder."""
        return self.root.resolve().name

    def at(self, name: str) -> str:
        """Where a file is, as it may be shown."""
        return str(self.path(name))

    def path(self, name: str) -> Path:
        """Where a file is on this machine, or would be."""
        return self.root / name

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """Lend a whole file on this machine; from a store it is fetched first.

        Raises
        ------
        MissingFileError
            If a store does not have it.
        """
        yield self.path(name)

    def open(self, name: str) -> Any:
        """A file to read from here and there; of one at a store little more is fetched than is asked for."""
        return open(self.path(name), "rb")

    def refresh(self, journaled: Iterable[str] | None) -> None:
        """Begin under the writer's lock: see what is there, and clear away what a killed process has left.

        Parameters
        ----------
        journaled : iterable of str, optional
            Names of the shards that the journal has; without them nothing is cleared away.
        """

    def tidy(self) -> None:
        """End under the writer's lock, whether well or not."""

    def close(self) -> None:
        """Free connections, where any are open; whatever is asked next opens them again."""

    def settle(self) -> None:
        """Clear away what only the way to a store took; the dataset is whole."""

    def drop(self, name: str) -> None:
        """Let go of the copy of a shard here that is at a store, and in the journal."""

    @property
    def taken(self) -> Container[str]:
        """Names that a new shard may not have, for somebody else's have them at the store."""
        return ()

    def is_link(self, name: str) -> bool:
        """Whether a name leads elsewhere."""
        return self.path(name).is_symlink()

    @property
    def default_age(self) -> str:
        """How old a file has to be before `gc` takes it, where nobody says: here any, for every writer is seen."""
        return "0s"

    def times(self, names: Iterable[str]) -> dict[str, float]:
        """When files were last written, in seconds since 1970; those of which that is not told are left out."""
        found = {}
        for name in names:
            with suppress(FileNotFoundError):
                found[name] = self.path(name).lstat().st_mtime
        return found

    @property
    def private_there(self) -> Mapping[str, int]:
        """Bytes of the files of journals that are at the store, and not this machine's."""
        return {}

    def make_folder(self, name: str = "") -> list[Path]:
        """Make a folder and those above it, to last; return the ones that were not there, deepest first."""
        path = self.path(name)
        made: list[Path] = []
        at = path
        with named_errors("making folder", path):
            while not at.exists():
                made.append(at)
                at = at.parent
            path.mkdir(parents=True, exist_ok=True)
            try:
                for folder in made:
                    with suppress(PermissionError):  # one that may be written in, and not read, cannot be opened
                        _sync_folder(folder.parent)
            except BaseException:
                for folder in made:
                    self.remove_folder_if_empty(folder)
                raise
        return made

    def exists(self, name: str) -> bool:
        with named_errors("looking for", self.path(name)):
            return self.path(name).exists()

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none."""
        with named_errors("looking for", self.path(name)):
            try:
                return self.path(name).stat().st_size
            except FileNotFoundError:
                return None

    def names(self, folder: str) -> list[str]:
        """Names of the files and folders in a folder, sorted; none where it does not exist."""
        with named_errors("listing", self.path(folder)):
            try:
                return sorted(os.listdir(self.path(folder)))
            except FileNotFoundError:
                return []

    def folders(self, folder: str) -> list[str]:
        """Names of the folders in a folder, sorted."""
        return [name for name in self.names(folder) if self.path(f"{folder}/{name}" if folder else name).is_dir()]

    def read(self, name: str) -> bytes:
        with named_errors("reading", self.path(name)):
            return self.path(name).read_bytes()

    def put(self, name: str, data: bytes) -> None:
        """Write a small file whole, replacing what had its name in one step."""
        with NewFile(self.path(name), replaces=True) as file:
            file.write(data)

    def replace_if(self, name: str, data: bytes, *, expected: str | None) -> None:
        """Write a small file whole, in one step, if what has its name is still what the caller saw.

        Writers keep each other out by their lock; this keeps out what takes no lock: an editor, a copy, a writer
        elsewhere.

        Parameters
        ----------
        expected : str or None
            Sha256 of the file that is to be replaced, in hexadecimal; None where there was none.

        Raises
        ------
        ChangedError
            If another file, or none, is there.
        """
        if self.digest(name) != expected:
            raise ChangedError(
                f"{self.path(name)} was changed by someone else meanwhile, and is left as it is; make the same call"
                " again"
            )
        self.put(name, data)

    def digest(self, name: str) -> str | None:
        """The sha256 of a small file, in hexadecimal; None where there is none."""
        return hashlib.sha256(self.read(name)).hexdigest() if self.exists(name) else None

    def create(self, name: str) -> "NewFile":
        """A new file of a name that is free, which takes it when the ``with`` block ends well."""
        return NewFile(self.path(name))

    def remove(self, name: str) -> None:
        with named_errors("removing", self.path(name)):
            self.path(name).unlink(missing_ok=True)

    def remove_all(self, names: Iterable[str], *, there_alone: Iterable[str] = ()) -> None:  # noqa: ARG002 - here is none
        """Remove files, at a store in as few steps as it takes; with some of `private_there`."""
        for name in names:
            self.remove(name)

    @property
    def takes_parts(self) -> bool:
        """Whether a worker elsewhere can bring the shards of a part here by itself."""
        return False

    def take_over(self, path: Path, name: str) -> None:
        """Give a whole file of the same file system a name here, in one step; it may lose the one that it has."""
        with named_errors("moving", path):
            os.replace(path, self.path(name))
            _sync_folder(self.path(name).parent)

    def remove_tree(self, folder: str) -> None:
        """Remove a private folder with all that is in it; none is no error."""
        with named_errors("removing", self.path(folder)), suppress(FileNotFoundError):
            shutil.rmtree(self.path(folder))

    def remove_folder_if_empty(self, name: str | Path) -> None:
        """Remove a folder of that name here, or at that path as `make_folder` gives it."""
        with suppress(OSError):  # not empty, or gone: it is not ours to clear
            os.rmdir(self.path(name) if isinstance(name, str) else name)

    def remove_temporary(self, folder: str) -> None:
        """Remove what a killed run left under temporary names; no other name is touched."""
        for name in self.names(folder):
            if name.startswith(".") and name.endswith(TEMPORARY):
                self.remove(f"{folder}/{name}" if folder else name)


class NewFile:
    """A file under a temporary name beside its final one.

    Leaving the ``with`` block well flushes it to the disk and renames it; leaving by an exception removes it. Where the
    rename cannot be made to last, a file that replaces none is removed too: one that replaced another has to stay.
    """

    def __init__(self, path: Path, *, replaces: bool = False) -> None:
        self._path = path
        self._replaces = replaces
        self._temporary = path.with_name(f".{path.name}{TEMPORARY}")
        self._descriptor = -1
        self._begun = 0
        """Bytes that are on their way to the disk, or there."""
        self.size = 0

    def __enter__(self) -> Self:
        with named_errors("writing", self._path):
            with suppress(FileNotFoundError):
                os.unlink(self._temporary)
            # Exclusive, so that a link that stands there is never written through.
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
            self._descriptor = os.open(self._temporary, flags, 0o666)
        return self

    def write(self, data: Bytes) -> None:
        rest = memoryview(data).cast("B")  # type: ignore[arg-type]  # an array is a buffer; numpy's types say so from 3.12 on
        self.size += len(rest)
        with named_errors("writing", self._path):
            while rest:  # the system may take fewer bytes than it is given (2 GiB at most on Linux)
                rest = rest[os.write(self._descriptor, rest) :]
            if self.size - self._begun >= _WRITEBACK_BYTES:
                begin_writeback(self._descriptor, self._begun, self.size - self._begun)
                self._begun = self.size

    def sync(self) -> None:
        """Flush to the disk what is written so far: what is left for the end is then quick."""
        with named_errors("writing", self._path):
            os.fsync(self._descriptor)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is not None:
            self._discard()
            return
        try:
            with named_errors("writing", self._path):
                os.fsync(self._descriptor)
                os.close(self._descriptor)
                self._descriptor = -1
                os.replace(self._temporary, self._path)
                try:
                    _sync_folder(self._path.parent)
                except BaseException:
                    if not self._replaces:
                        os.unlink(self._path)
                    raise
        except BaseException:
            self._discard()
            raise

    def _discard(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        with suppress(OSError):  # the first error says more than this one would
            os.unlink(self._temporary)


def _sync_folder(path: Path) -> None:
    """Make the names in a folder last through a power cut, where folders can be synced (not on Windows)."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
