"""A folder of what was fetched once, so that it is not fetched twice.

Each shard has a sparse copy and a journal of the ranges that are in it. Processes share a folder without locks: what
one adds, others see; what one evicts, others may read on; what a crash tore is absent. Bytes are held against their
digest when a process first uses them.
"""

import contextlib
import hashlib
import os
import re
import threading
import time
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from mlstac.errors import InvalidArgumentError
from mlstac.storage._answers import Version
from mlstac.storage._entry import Entry, create_entry, remove_entry, space_of
from mlstac.storage._options import split_login
from mlstac.storage._reads import Read
from mlstac.storage._sizes import parse_size
from mlstac.storage._urls import is_http, local_path

_ENTRY_NAME = re.compile(r"[0-9a-f]{32}")
_PASSING_NAME = re.compile(r"(new|old)-[0-9]+-[0-9a-f]+")
# A scratch folder this old is of a process that died.
_DEAD_AFTER_S = 3600.0
_MOST_OPEN = 128
# A hole in a read that is shorter than this is fetched with its surroundings: another request would take longer.
_HOLE_BYTES = 65_536
# https://bford.info/cachedir/
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# Shards that mlstac can fetch again; safe to delete.\n"
# What signs a URL changes from day to day, and is none of the file's name.
_SIGNING = re.compile(
    r"x-(amz|goog|oss|cos)-.*|signature|expires|key-pair-id|policy|awsaccesskeyid|googleaccessid|token|access_token|"
    r"sig|se|sp|sv|sr|st|spr|skoid|sktid|skt|ske|sks|skv|sip|rscd|rsct",
    re.IGNORECASE,
)


def stable_name(url: str) -> str:
    """Return a URL without what signs it: the same file on another day has the same name."""
    if not is_http(url):
        return url
    parts = urlsplit(split_login(url)[0])
    query = parse_qsl(parts.query, keep_blank_values=True)
    query = [(name, value) for name, value in query if not _SIGNING.fullmatch(name)]
    return urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(query), ""))


class Cache:
    """A folder of bytes fetched before.

    It fetches nothing by itself and keeps no more than what was read. It removes nothing but what it made. Files of
    known size are kept, under their URL, size, mark and version (ETag or date); once it is full, whole shards go,
    oldest first.

    Parameters
    ----------
    folder : str or path
        Made if it is not there. May hold other things: the cache keeps to a folder of its own in it.
    max_bytes : int or str
        Bound of the space on disk. Several processes that write at once may each go beyond it by 1/32 of it for a
        moment.
    """

    def __init__(self, folder: str | os.PathLike[str], max_bytes: int | str = "10GB") -> None:
        self.folder = Path(local_path(folder)).absolute() / "mlstac-cache-1"
        self.max_bytes = parse_size(max_bytes)
        if self.folder.parent.exists() and not self.folder.parent.is_dir():
            raise InvalidArgumentError(f"cache_dir {self.folder.parent} is a file; give a folder")
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._names: dict[tuple[str, int, str], str] = {}
        self._used: int | None = None
        self._bound = 0
        self._stopped = False
        self._serial = 0
        _CACHES.add(self)

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "max_bytes": self.max_bytes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.folder, self.max_bytes = state["folder"], state["max_bytes"]
        self._reset()

    def take(self, read: Read) -> tuple[list[Read], Version | None]:
        """Fill the destinations of a read from what is there.

        Returns
        -------
        list of Read
            What is still to be fetched.
        Version or None
            Of the file whose bytes were used.
        """
        if read.size is None or read.stop <= read.start:
            return [read], None
        missing: list[tuple[int, memoryview]] = []
        wanted = 0
        try:
            with self._entry(read.url, read.size, read.mark) as entry:
                if entry is None:
                    return [read], None
                for offset, view in read.into:
                    start, flat = read.start + offset, view.cast("B")
                    wanted += len(flat)
                    missing += [(first, flat[first - start : last - start]) for first, last in entry.read(start, flat)]
                version = entry.version
        except OSError:
            return [read], None
        left = sum(len(view) for _, view in missing)
        return _regroup(read, missing), version if left < wanted else None

    def keep(self, read: Read, version: Version | None) -> None:
        """Keep the bytes of a read that was fetched; a disk that is full or fails ends that, with one warning."""
        if self._stopped or read.size is None:
            return
        version = version or Version(read.size, "", "")
        segments = [(read.start + offset, view.cast("B")) for offset, view in read.into if view.nbytes]
        count = sum(len(view) for _, view in segments)
        if count > self.max_bytes // 4:
            return
        try:
            # to a disk, a few bytes are a block
            self._make_room(sum(space_of(start, start + len(view)) for start, view in segments))
            with self._entry(read.url, read.size, read.mark, create=version) as entry:
                if entry is not None:
                    written = entry.write(segments)
                    self._used = (self._used or 0) + written
        except OSError as error:
            self._stopped = True
            warnings.warn(
                f"the cache in {self.folder.parent} takes no more ({error.strerror or error}); reading goes on "
                f"without it",
                stacklevel=2,
            )

    def forget(self, url: str, size: int | None, start: int = 0, stop: int | None = None, *, mark: str = "") -> None:
        """Take a range of a file, or all of it, for absent: it was not what it should be."""
        if size is None:
            return
        if stop is None:
            self._remove(self._name(url, size, mark))
            return
        with contextlib.suppress(OSError), self._entry(url, size, mark) as entry:
            if entry is not None:
                entry.forget(start, stop)

    def close(self) -> None:
        """Close all files. What is in the folder stays for the next time."""
        with self._lock:
            for entry in self._entries.values():
                with entry.lock:
                    entry.close()
            self._entries.clear()

    # -- entries

    def _name(self, url: str, size: int, mark: str) -> str:
        name = self._names.get((url, size, mark))
        if name is None:
            digest = hashlib.sha256(f"{stable_name(url)}\n{size}{mark and chr(10)}{mark}".encode())
            name = self._names[url, size, mark] = digest.hexdigest()[:32]
        return name

    @contextlib.contextmanager
    def _entry(self, url: str, size: int, mark: str, *, create: Version | None = None) -> Iterator[Entry | None]:
        """Lend the entry of a file, open and locked, or None; with `create`, one of that version is made if need be."""
        name = self._name(url, size, mark)
        with self._lock:
            try:
                entry = self._known(name)
            except OSError:
                if create is None:
                    raise
                self._remove(name)  # damaged: another is made
                entry = None
            if create is not None and (entry is None or entry.is_removed or not entry.version.agrees(create)):
                if entry is not None and entry.is_removed:
                    # evicted by another process; a new one of its making may stand there already, and is welcome
                    entry.close()
                    del self._entries[name]
                    entry = self._known(name)
                if entry is not None and not entry.version.agrees(create):
                    self._remove(name)
                self._prepare()
                if not (self.folder / name).is_dir():
                    create_entry(self.folder / name, self._scratch("new"), create, size)
                entry = self._known(name)
                if entry is not None and not entry.version.agrees(create):
                    entry = None  # another process made one of another state meanwhile: these bytes are none of its
            if entry is not None:
                self._entries.move_to_end(name)
                entry.lock.acquire()
        try:
            yield entry
        finally:
            if entry is not None:
                entry.lock.release()

    def _known(self, name: str) -> Entry | None:
        entry = self._entries.get(name)
        if entry is None:
            if not (self.folder / name).is_dir():
                return None
            entry = self._entries[name] = Entry(self.folder / name)
        elif not entry.is_open:
            try:
                entry.open()
            except OSError:
                del self._entries[name]
                return None
        for other in [key for key, value in self._entries.items() if value.is_open][:-_MOST_OPEN]:
            with self._entries[other].lock:
                self._entries[other].close()
        return entry

    def _remove(self, name: str) -> None:
        """Remove an entry: out of sight in one step, then file by file."""
        with self._lock:
            entry = self._entries.pop(name, None)
            if entry is not None:
                with entry.lock:
                    entry.close()
            scratch = self._scratch("old")
            with contextlib.suppress(OSError):
                (self.folder / name).rename(scratch)
            remove_entry(scratch)

    def _scratch(self, word: str) -> Path:
        self._serial += 1
        return self.folder / f"{word}-{os.getpid()}-{time.time_ns():x}{self._serial:04x}"

    def _prepare(self) -> None:
        if not (self.folder / "CACHEDIR.TAG").exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "CACHEDIR.TAG").write_text(_TAG)

    # -- room

    def _make_room(self, count: int) -> None:
        """Evict whole shards, oldest first, until `count` bytes more fit."""
        slack = self.max_bytes // 32
        with self._lock:
            if self._used is not None and self._used + count <= self._bound:
                return
            self._prepare()
            entries = self._survey()
            used = sum(size for _, _, size in entries)
            for _, name, size in entries:
                if used + count <= self.max_bytes - 2 * slack:
                    break
                self._remove(name)
                used -= size
            self._used = used
            # others write too: look again before long
            self._bound = min(self.max_bytes, used + count + slack)

    def _survey(self) -> list[tuple[float, str, int]]:
        """Return (age, name, bytes on disk) of all entries, oldest first; clear away what dead processes left."""
        found = []
        for folder in self.folder.iterdir():
            try:
                if _ENTRY_NAME.fullmatch(folder.name):
                    made = (folder / "version").stat().st_mtime
                    found.append((made, folder.name, sum(_space(folder / name) for name in ("data", "journal"))))
                elif _PASSING_NAME.fullmatch(folder.name) and time.time() - folder.stat().st_mtime > _DEAD_AFTER_S:
                    remove_entry(folder)
            except OSError:
                continue  # another process removed it meanwhile
        return sorted(found)


_CACHES: "weakref.WeakSet[Cache]" = weakref.WeakSet()


def _forget_parent() -> None:
    """Begin anew in a forked child: descriptors share their position with the parent's, and its locks may stay held."""
    for cache in list(_CACHES):
        cache._reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)


def _space(path: Path) -> int:
    status = path.stat()
    # a sparse file takes less than its size; systems that do not tell count it whole
    return getattr(status, "st_blocks", status.st_size // 512) * 512


def _regroup(read: Read, missing: list[tuple[int, memoryview]]) -> list[Read]:
    """Return reads of the missing segments, those near each other as one."""
    groups: list[list[tuple[int, memoryview]]] = []
    end = 0
    for start, view in missing:
        if not len(view):
            continue
        if groups and start - end <= _HOLE_BYTES:
            groups[-1].append((start, view))
        else:
            groups.append([(start, view)])
        end = start + len(view)
    parts = []
    for group in groups:
        first, (last, view) = group[0][0], group[-1]
        into = [(start - first, part) for start, part in group]
        parts.append(Read(read.url, first, last + len(view), into, read.size, read.mark))
    return parts
