"""A dataset at a store as a place to write to, by way of a folder on this machine.

The folder has the journal, and what is not yet at the store; it lies over the store as a sheet over a page: what it has
is seen first. A shard goes up as soon as it is whole, and its copy here goes; the rest goes when the collection does.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from mlstac.authoring._depot import COLLECTION, Depot, open_depot
from mlstac.authoring._target import NewFile, Target, named_errors
from mlstac.cards import README, name_source
from mlstac.errors import ChangedError, InvalidArgumentError, MissingFileError
from mlstac.storage import Stored, check_address, dataset_name, is_remote, place_of, redact

_PRIVATE: Final = ".mlstac"
_NO_LINKS: Final = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS, errno.EXDEV)
"""Of file systems that give no file two names."""
_NO_LINKS_WINDOWS: Final = (1, 50, 1142)
"""ERROR_INVALID_FUNCTION (of FAT), ERROR_NOT_SUPPORTED (of shares), ERROR_TOO_MANY_LINKS: all EINVAL to Python."""
_FETCHED: Final = f"{_PRIVATE}/fetched"
"""Copies of files of the store, for those who need them on a disk."""


class RemoteTarget(Target):
    """A URL that a dataset is written to.

    Parameters
    ----------
    url : str
        As `publish` takes it.
    storage_options : mapping, optional
        As `publish` takes them.
    """

    def __init__(self, url: str, storage_options: Mapping[str, Any] | None) -> None:
        self.url = url.removesuffix(f"/{COLLECTION}").rstrip("/")
        self._options = dict(storage_options or {})
        self.place = place_of(self.url, self._options)
        """Of the dataset, however the URL spells it."""
        self.root = working_folder(self.place)
        self._depot: Depot | None = None
        self._listed: dict[str, Stored] | None = None
        self._private: dict[str, Stored] = {}
        self._gone: set[str] = set()
        self._ours: set[str] = set()
        self.progress: bool | None = None
        """Whether to draw a bar of what goes up at the end; by default where a terminal is."""

    def __str__(self) -> str:
        return redact(self.url)

    @property
    def name(self) -> str:
        return dataset_name(self.url, endpoint=self._options.get("endpoint"))

    def at(self, name: str) -> str:
        return f"{self}/{name}"

    @property
    def depot(self) -> Depot:
        """The store, opened when it is first asked."""
        if self._depot is None:
            self._depot = open_depot(self.url, self._options)
        return self._depot

    @property
    def _there(self) -> dict[str, Stored]:
        """What the store has: asked for once, and kept up to date by what is done here."""
        if self._listed is None:
            self._listed = self._list()
        return self._listed

    def _list(self) -> dict[str, Stored]:
        """What the store has of the dataset; a journal that was copied there with it is not read, and never ours."""
        found = self.depot.list()
        self._private = {name: stored for name, stored in found.items() if name.startswith(f"{_PRIVATE}/")}
        return {name: stored for name, stored in found.items() if name not in self._private}

    @property
    def default_age(self) -> str:
        # At the Hub a file comes with the collection that names it, by one commit.
        return "1d" if self.depot.holds_shards else "0s"

    def times(self, names: Iterable[str]) -> dict[str, float]:
        return self.depot.times(list(names))

    @property
    def private_there(self) -> Mapping[str, int]:
        if self._listed is None:
            self._listed = self._list()
        return {name: stored.size for name, stored in self._private.items()}

    # ------------------------------------------------------------------ begin and end, under the writer's lock

    def refresh(self, journaled: Iterable[str] | None) -> None:
        if journaled is None:
            self._listed = self._list()
            return
        self.tidy()  # whatever was asked before the lock was held may be of another state
        self._listed = self._list()
        self._gone.clear()
        self._ours.clear()
        journaled = set(journaled)
        for name in self._files_here():
            if name in journaled and not self.depot.holds_shards:
                continue
            # Killed between upload and journal: the shard there is ours, if it is the one here, and keeps its name.
            if name not in journaled and name in self._there and self.depot.is_same(self._there[name], self.path(name)):
                self._ours.add(name)
            super().remove(name)

    def tidy(self) -> None:
        self._clear_copies()
        self.close()
        for path in sorted(self.root.rglob("*"), reverse=True):
            self.remove_folder_if_empty(path)
        self.remove_folder_if_empty("")

    def close(self) -> None:
        if self._depot is not None:
            self._depot.close()
            self._depot = None

    def settle(self) -> None:
        """Remove the folder here: all that it was for is done."""
        shutil.rmtree(self.root, ignore_errors=True)

    def _clear_copies(self) -> None:
        super().remove_tree(_FETCHED)

    # ------------------------------------------------------------------ the sheet over the page

    def exists(self, name: str) -> bool:
        return self._is_here(name) or name in self._there or any(one.startswith(f"{name}/") for one in self._there)

    @property
    def taken(self) -> Container[str]:
        return self._there.keys() - self._ours

    def size(self, name: str) -> int | None:
        here = super().size(name)
        return here if here is not None or name not in self._there else self._there[name].size

    def names(self, folder: str) -> list[str]:
        prefix = f"{folder}/" if folder else ""
        beyond = (name.removeprefix(prefix).partition("/")[0] for name in self._there if name.startswith(prefix))
        return sorted({*super().names(folder), *beyond})

    def folders(self, folder: str) -> list[str]:
        prefix = f"{folder}/" if folder else ""
        inner = (name.removeprefix(prefix) for name in self._there if name.startswith(prefix))
        return sorted({*super().folders(folder), *(name.partition("/")[0] for name in inner if "/" in name)})

    def read(self, name: str) -> bytes:
        if self._is_here(name):
            return super().read(name)
        data = self.depot.read(name) if name in self._there or name == COLLECTION else None
        if data is None:
            raise MissingFileError(f"{self.at(name)} is not there; fetch or write it again")
        return data

    def digest(self, name: str) -> str | None:
        if name != COLLECTION:
            return super().digest(name)
        data = self.depot.read(name)  # somebody may have put another one since
        return None if data is None else hashlib.sha256(data).hexdigest()

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        if self._is_here(name):
            yield self.path(name)
            return
        if name not in self._there:
            raise MissingFileError(f"{self.at(name)} is not there; fetch or write it again")
        copy = f"{_FETCHED}/{name}"
        if not self._is_here(copy):
            self.make_folder(copy.rpartition("/")[0])
            self.depot.fetch(name, self.path(f"{copy}.part"))
            os.replace(self.path(f"{copy}.part"), self.path(copy))
        try:
            yield self.path(copy)
        finally:
            if not name.endswith(".parquet"):  # catalogs are asked for again and again, shards are large
                super().remove(copy)

    def open(self, name: str) -> Any:
        return super().open(name) if self._is_here(name) else self.depot.open(name)

    # ------------------------------------------------------------------ what is written

    def create(self, name: str) -> NewFile:
        is_shard = not name.startswith(".") and ".safetensors" in name
        if is_shard and self.depot.holds_shards:
            return SentFile(self.path(name), partial(self.send, name))
        return super().create(name)

    def send(self, name: str) -> None:
        """Upload a shard that is whole here; its copy stays until the journal has it."""
        path = self.path(name)
        size = path.stat().st_size
        try:
            self.depot.send(name, path)
        except ChangedError:
            super().remove(name)
            self._listed = None  # the name is somebody else's: the same call takes the next one
            raise
        self._there[name] = Stored(size, None)

    @property
    def takes_parts(self) -> bool:
        return self.depot.holds_shards

    def take_over(self, path: Path, name: str) -> None:
        """Give a whole file a name here besides its own: `refresh` removes one that the journal does not tell of."""
        with named_errors("linking", path):
            try:
                os.link(path, self.path(name))
                return
            except OSError as error:
                if error.errno not in _NO_LINKS and getattr(error, "winerror", None) not in _NO_LINKS_WINDOWS:
                    raise
        with NewFile(self.path(name)) as copy, path.open("rb") as file:
            while data := file.read(16 * 2**20):
                copy.write(data)

    def drop(self, name: str) -> None:
        if self.depot.holds_shards:
            super().remove(name)

    def remove(self, name: str) -> None:
        """Remove a file here, and at the store where it is not a shard, once the new collection is there.

        Shards there are left to `gc`, which sees whether a collection names them: where a store cannot keep names
        apart, that of a run that was put aside may be another writer's by now.
        """
        super().remove(name)
        if name in self._there and ".safetensors" not in name:
            self._gone.add(name)

    def remove_all(self, names: Iterable[str], *, there_alone: Iterable[str] = ()) -> None:
        names, private = list(names), list(there_alone)
        there = [name for name in names if name in self._there]
        # Without its run.json nobody goes on with a journal; its lines tell of the shards until those are gone.
        begins = [name for name in private if name.endswith("run.json")]
        lines = [name for name in private if not name.endswith("run.json")]
        if private or there:
            self.depot.remove([*begins, *there, *lines])
        for name in names:
            super().remove(name)
        for name in private:
            del self._private[name]
        for name in there:
            del self._there[name]

    def replace_if(self, name: str, data: bytes, *, expected: str | None) -> None:
        if self._is_here(README):
            place = redact(self.url)
            with suppress(OSError):
                self.put(README, name_source(super().read(README), place))
        files = {file: self.path(file) for file in self._files_here()}
        gone = self._gone.intersection(self._there).difference(files)
        self.depot.deliver(files, name, data, gone=gone, expected=expected, progress=self.progress)

    # ------------------------------------------------------------------ here

    def _is_here(self, name: str) -> bool:
        return self.path(name).exists()

    def _files_here(self) -> list[str]:
        """Files of the dataset that are in the folder."""
        found = (path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file())
        return sorted(name for name in found if not name.startswith(f"{_PRIVATE}/"))


class SentFile(NewFile):
    """A file that is at the store too once the ``with`` block has ended well; it goes here if it cannot be sent.

    Parameters
    ----------
    path : Path
        Here.
    send : callable
        Brings it to the store.
    """

    def __init__(self, path: Path, send: Callable[[], None]) -> None:
        super().__init__(path)
        self._send = send

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        super().__exit__(kind, error, trace)
        if kind is None:
            try:
                self._send()
            except BaseException:
                with suppress(OSError):
                    self._path.unlink(missing_ok=True)
                raise


def open_target(
    path: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None, *, progress: bool | None = None
) -> Target:
    """Where a dataset is written: a folder on this machine, or a URL.

    Raises
    ------
    InvalidArgumentError
        If it is a URL that nothing can be at.
    """
    text = os.fspath(path)
    check_address(text)
    if is_remote(text):
        target = RemoteTarget(text, storage_options)
        target.progress = progress
        return target
    if storage_options:
        raise InvalidArgumentError("storage_options are for remote paths; this path is a local folder: leave them out")
    return Target(text)


def working_folder(place: str) -> Path:
    """Return the folder on this machine in which a dataset for a place at a store is made."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "mlstac" / "writing" / hashlib.sha256(place.encode()).hexdigest()[:16]
