"""Where the files of a dataset lie that is written at a store: what authoring asks of it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Final, Protocol

from mlstac.authoring._progress import sending
from mlstac.errors import ChangedError, InvalidArgumentError
from mlstac.storage import Store, Stored, is_http, parse_hub, redact

COLLECTION: Final = "collection.json"
AT_ONCE: Final = 4
"""Files that go up side by side."""


class Depot(Protocol):
    """A dataset's place at a store."""

    holds_shards: bool
    """Whether a shard can go up before the collection: if not, all wait here for the one commit."""

    def list(self) -> dict[str, Stored]:
        """All files, by name."""

    def times(self, names: Sequence[str]) -> dict[str, float]:
        """When files were written, in seconds since 1970; those of which that is not told are left out."""

    def read(self, name: str) -> bytes | None:
        """A small file; None where there is none."""

    def fetch(self, name: str, path: Path) -> None:
        """Bring a whole file to this machine."""

    def open(self, name: str) -> Any:
        """A file to read from here and there."""

    def send(self, name: str, path: Path) -> None:
        """Upload a file whose name was free, and see that it is there."""

    def put(self, name: str, path: Path) -> None:
        """Upload a small file, in the place of what has its name."""

    def is_same(self, stored: Stored, path: Path) -> bool:
        """Whether a file there is surely the one here."""

    def remove(self, names: Sequence[str]) -> None:
        """Remove files; those that are not there are no error."""

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
        """Upload what is left, and last replace a document, if it still is the one of that sha256."""

    def close(self) -> None:
        """Free what is open."""


class StoreDepot:
    """A folder of an object store, or of what else fsspec knows."""

    holds_shards = True

    def __init__(self, url: str, storage_options: Mapping[str, Any] | None) -> None:
        self._store = open_store(url, storage_options)

    def list(self) -> dict[str, Stored]:
        """All files, by name."""
        return self._store.list()

    def times(self, names: Sequence[str]) -> dict[str, float]:
        """When files were written, in seconds since 1970; those of which that is not told are left out."""
        there = self._store.list()  # anew: somebody may have taken a name since
        told = {name: there[name].written for name in names if name in there}
        return {name: written for name, written in told.items() if written is not None}

    def read(self, name: str) -> bytes | None:
        """A small file; None where there is none."""
        return self._store.read(name)

    def fetch(self, name: str, path: Path) -> None:
        """Bring a whole file to this machine."""
        self._store.fetch(name, path)

    def open(self, name: str) -> Any:
        """A file to read from here and there."""
        return self._store.open(name)

    def send(self, name: str, path: Path) -> None:
        """Upload a file whose name was free, and see that it is there."""
        self._store.send(name, path, new=True)

    def put(self, name: str, path: Path) -> None:
        """Upload a small file, in the place of what has its name."""
        self._store.send(name, path)

    def is_same(self, stored: Stored, path: Path) -> bool:
        """Whether a file there is surely the one here."""
        return self._store.holds(stored, path)

    def remove(self, names: Sequence[str]) -> None:
        """Remove files; those that are not there are no error."""
        for name in names:
            self._store.remove(name)

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
        """Upload what is left, and last replace a document, if it still is the one of that sha256."""
        there = self._store.list()
        changed = {
            name: path for name, path in files.items() if name not in there or not self._store.holds(there[name], path)
        }
        for part in changed:
            if part.endswith(".parquet") and part in there:
                raise ChangedError(
                    f"{self._store.at(part)} was written by somebody else meanwhile, and is left as it is; make the"
                    " same call again: it adds to the dataset as it is now"
                )
        # New parts of catalogs first; what takes the place of a file that readers of the old state have, as late as
        # can be, and not where the collection is another by then.
        sizes = {file: path.stat().st_size for file, path in changed.items()}
        with sending(sum(sizes.values()), progress) as sent:

            def send(file: str) -> None:
                self._store.send(file, changed[file], new=file not in there, sent=sent, check=False)

            side_by_side(send, [file for file in changed if file not in there])
            self._store.check_same(name, expected=expected)
            side_by_side(send, [file for file in changed if file in there])
        self._store.check(sizes)
        self._store.replace(name, document, expected=expected)
        self.remove(sorted(gone))

    def close(self) -> None:
        """Free what is open."""
        self._store.close()


def open_depot(url: str, storage_options: Mapping[str, Any] | None) -> Depot:
    """The depot of a URL, as `publish` takes it."""
    hub = parse_hub(url, endpoint=(storage_options or {}).get("endpoint"))
    if hub is not None:
        from mlstac.authoring._depot_hub import HubDepot

        return HubDepot(hub, storage_options or {})
    return StoreDepot(url, storage_options)


def open_store(url: str, storage_options: Mapping[str, Any] | None) -> Store:
    """A folder of an object store.

    Raises
    ------
    InvalidArgumentError
        For a web server's.
    """
    if is_http(url):
        raise InvalidArgumentError(
            f"{redact(url)}: web servers take no uploads; give the store behind it (s3://, gs://, az://), or copy the "
            f"folder to where the server reads"
        )
    return Store(url, storage_options=storage_options)


def side_by_side(work: Callable[[str], object], names: Sequence[str]) -> None:
    """Do something with each of some names, several at a time; the first error ends it."""
    if not names:
        return
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="mlstac-upload") as pool:
        doing = [pool.submit(work, name) for name in names]
        try:
            done, _ = wait(doing, return_when=FIRST_EXCEPTION)
            for one in done:
                one.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
