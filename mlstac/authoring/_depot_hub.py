"""A dataset at the Hugging Face Hub as a place to write to: everything by one commit, which follows the one seen."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from mlstac.authoring._depot import COLLECTION
from mlstac.authoring._hub_seat import Seat, branch_of, digests_of, import_client
from mlstac.errors import ChangedError, MissingFileError, StateError
from mlstac.storage import Fetcher, HubPlace, Opened, Stored, redact

_Result = TypeVar("_Result")


class HubDepot:
    """A branch of a dataset repository, at the commit that was its last when it was first asked.

    Files of the old state are read at that commit, and the new one is made to follow it: the Hub refuses it if
    somebody else has made another meanwhile.
    """

    holds_shards = False

    def __init__(self, place: HubPlace, options: Mapping[str, Any]) -> None:
        self._client = import_client(options)
        self._place = place
        self._options = {"token": options.get("token"), "endpoint": place.endpoint}
        api = self._client.HfApi(endpoint=place.endpoint, token=options.get("token"))
        self._branch = branch_of(place, None)
        self._seat = Seat(self._client, api, place, self._branch)
        self._prefix = f"{place.path}/" if place.path else ""
        self._head: str | None = None
        self._infos: dict[str, Any] | None = None

    def list(self) -> dict[str, Stored]:
        """All files of the commit, by name."""
        return {
            name: Stored(info.size, info.lfs.sha256 if info.lfs else info.blob_id)
            for name, info in self._files().items()
        }

    def _files(self) -> dict[str, Any]:
        if self._infos is None:
            self._head = self._seat.head()
            found = self._seat.tree(self._place.path, self._head) if self._head else ()
            self._infos = {info.path.removeprefix(self._prefix): info for info in found}
        return self._infos

    def times(self, names: Sequence[str]) -> dict[str, float]:
        """When the commits were made that have put files there, in seconds since 1970."""
        self._files()
        paths = [self._prefix + name for name in names]
        found = self._seat.describe(paths, self._head, dated=True) if self._head else {}
        return {
            path.removeprefix(self._prefix): info.last_commit.date.timestamp()
            for path, info in found.items()
            if info.last_commit is not None
        }

    def read(self, name: str) -> bytes | None:
        """A small file; None where there is none."""
        if name not in self._files():
            return None
        with Fetcher(storage_options=self._options) as fetcher:
            return bytes(fetcher.read_bytes(self._place.file(self._prefix + name, revision=str(self._head))))

    def fetch(self, name: str, path: Path) -> None:
        """Bring a whole file to this machine."""
        with self.open(name) as file, path.open("wb") as copy:
            while data := file.read(16 * 2**20):
                copy.write(data)

    def open(self, name: str) -> Any:
        """A file to read from here and there."""
        if name not in self._files():
            raise MissingFileError(f"{self._place.page} has no {self._prefix}{name}; publish it again")
        url = redact(self._place.file(self._prefix + name, revision=str(self._head)))

        def attempt(call: Callable[[], _Result]) -> _Result:
            with self._seat.named("reading", url):
                return call()

        def begin() -> Any:
            filesystem = self._client.HfFileSystem(**self._options, skip_instance_cache=True)
            path = f"datasets/{self._place.repository}@{self._head}/{self._prefix}{name}"
            return filesystem.open(path, "rb", block_size=2**20)

        return Opened(attempt(begin), attempt)

    def send(self, name: str, path: Path) -> None:
        """Refuse: all files wait for the commit."""
        raise StateError(f"{name} cannot go to the Hub alone; it goes with the collection, from {path}")

    def put(self, name: str, path: Path) -> None:
        """Refuse, as `send` does."""
        self.send(name, path)

    def is_same(self, stored: Stored, path: Path) -> bool:
        """Whether a file there is surely the one here."""
        return stored.size == path.stat().st_size and stored.tag in digests_of(path)

    def remove(self, names: Sequence[str]) -> None:
        """Remove files by one commit."""
        there = [self._prefix + name for name in names if name in self._files()]
        if there:
            message = f"Remove {len(there)} files that nothing names, with mlstac"
            self._seat.commit({}, remove=there, parent=self._head, message=message, progress=False)
            self._infos = None

    def deliver(
        self,
        files: Mapping[str, Path],
        name: str,
        document: bytes,
        *,
        gone: Iterable[str],
        expected: str | None,
        progress: bool | None,
    ) -> None:
        """Make one commit of what is left and of the document, if that still is the one of that sha256."""
        known = self._files()
        parent = self._head
        if parent is None:
            self._seat.make(private=None)
            self._infos = None
            known = self._files()  # a repository has a first commit of its own
            parent = self._head
        found = self.read(name)
        if (None if found is None else hashlib.sha256(found).hexdigest()) != expected:
            raise ChangedError(
                f"{COLLECTION} at {self._place.page} was changed by somebody else meanwhile, and is left as it is; make"
                " the same call again"
            )
        there = self.list()
        changed: dict[str, Path | bytes] = {
            self._prefix + file: path
            for file, path in files.items()
            if file not in there or not self.is_same(there[file], path)
        }
        changed[self._prefix + name] = document
        words = f"{'Write' if expected is None else 'Revise'} {self._place.repository.rpartition('/')[2]} with mlstac"
        remove = [self._prefix + file for file in gone if file in known]
        self._seat.commit(changed, remove=remove, parent=parent, message=words, progress=progress)
        self._infos = None

    def close(self) -> None:
        """Nothing stays open."""
