"""The cached copy of one shard: a sparse file of its size, and the journal of what is in it."""

import contextlib
import io
import json
import os
import threading
from pathlib import Path

import xxhash

from mlstac.storage._answers import Version
from mlstac.storage._journal import RECORD_BYTES, Index, read_records, write_records

FILES = ("data", "journal", "version")
"""All that an entry's folder holds; nothing else is ever removed from one."""

BLOCK_BYTES = 4096
"""What file systems give to a file at the least."""

_NOT = (1 << 64) - 1


def create_entry(folder: Path, scratch: Path, version: Version, size: int) -> None:
    """Make the folder of an entry in one step; one that another process made meanwhile is left as it is."""
    scratch.mkdir(parents=True)
    try:
        (scratch / "version").write_text(json.dumps(version._asdict()))
        (scratch / "journal").touch()
        with (scratch / "data").open("wb") as data:
            data.truncate(size)
        with contextlib.suppress(OSError):  # it is there already
            scratch.rename(folder)
    finally:
        remove_entry(scratch)


def space_of(start: int, stop: int) -> int:
    """Return the most that a range of a sparse file, with its record, adds to what the disk holds: whole blocks."""
    return (-(-stop // BLOCK_BYTES) - start // BLOCK_BYTES) * BLOCK_BYTES + RECORD_BYTES


def remove_entry(folder: Path) -> None:
    """Remove an entry's files and its folder; whatever else is in there stays, and so does the folder then."""
    for name in FILES:
        with contextlib.suppress(OSError):
            (folder / name).unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


class Entry:
    """One shard in the cache, as one process sees it.

    Parameters
    ----------
    folder : Path
        An entry's folder, which is there.

    Raises
    ------
    OSError
        If it vanished, or cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.Lock()
        self._index = Index()
        self._consumed = 0
        self._data: io.FileIO | None = None
        self._journal: io.FileIO | None = None
        try:
            self.version = Version(**json.loads((folder / "version").read_text()))
        except (ValueError, TypeError) as error:
            raise OSError(f"{folder} is damaged") from error
        self.open()

    @property
    def is_open(self) -> bool:
        """Whether its files are open."""
        return self._data is not None

    def open(self) -> None:
        """Open its files."""
        if self._data is None:
            self._journal = io.FileIO(self.folder / "journal", "a+")
            try:
                self._data = io.FileIO(self.folder / "data", "r+")
            except OSError:
                self.close()
                raise

    def close(self) -> None:
        """Close its files; what is known of them is kept."""
        for file in (self._data, self._journal):
            if file is not None:
                file.close()
        self._data = self._journal = None

    def __del__(self) -> None:
        # of one that a forked child lets go of, or that was used once more after its cache was closed
        self.close()

    @property
    def is_removed(self) -> bool:
        """Whether the files were evicted under this process: what they hold is good still, what is added is lost."""
        assert self._data is not None
        return os.fstat(self._data.fileno()).st_nlink == 0

    def read(self, start: int, view: memoryview) -> list[tuple[int, int]]:
        """Copy what is there of a range into its destination; return what is missing."""
        stop = start + len(view)
        missing = self._index.missing(start, stop)
        if missing and self._catch_up():
            missing = self._index.missing(start, stop)
        bad = False
        for first, last, digest, verified in self._index.find(start, stop):
            begin, end = max(first, start), min(last, stop)
            part = view[begin - start : end - start]
            if verified or (first, last) == (begin, end):
                sound = self._read_at(begin, part) and (verified or xxhash.xxh3_64_intdigest(part) == digest)
            else:
                whole = memoryview(bytearray(last - first))
                sound = self._read_at(first, whole) and xxhash.xxh3_64_intdigest(whole) == digest
                part[:] = whole[begin - first : end - first]
            if sound:
                if not verified:
                    self._index.verify(first)
            else:
                self._index.drop(first, last)
                bad = True
        return self._index.missing(start, stop) if bad else missing

    def write(self, segments: list[tuple[int, memoryview]]) -> int:
        """Keep what is new of some segments; return the space on disk that they may take."""
        spans, space = [], 0
        for start, view in segments:
            for first, last in self._index.missing(start, start + len(view)):
                part = view[first - start : last - start]
                self._write_at(first, part)
                spans.append((first, last, xxhash.xxh3_64_intdigest(part)))
                space += space_of(first, last)
        if spans:
            self._append(write_records(spans))
            for span in spans:
                self._index.add(*span)
        return space

    def forget(self, start: int, stop: int) -> None:
        """Take ranges for absent from now on, here and in every process that opens the journal later."""
        self._catch_up()
        # a newer record of the same range, with a digest that is not of its bytes, makes them as good as absent
        gone = [(first, last, digest ^ _NOT) for first, last, digest, _ in self._index.find(start, stop)]
        self._index.drop(start, stop)
        if gone:
            self._append(write_records(gone))

    def _append(self, records: bytes) -> None:
        journal = self._journal
        assert journal is not None
        # after a torn record, the next ones must begin at a multiple of their size again
        torn = os.fstat(journal.fileno()).st_size % RECORD_BYTES
        data = bytes(RECORD_BYTES - torn if torn else 0) + records
        if journal.write(data) != len(data):
            raise OSError(f"{self.folder}: the journal was not written whole")
        end = journal.tell()
        if end - len(data) == self._consumed:
            self._consumed = end  # nobody else wrote meanwhile: there is nothing to catch up with

    def _catch_up(self) -> bool:
        """Read what the journal has gained, by this process or another; return whether it did."""
        journal = self._journal
        assert journal is not None
        size = os.fstat(journal.fileno()).st_size // RECORD_BYTES * RECORD_BYTES
        if size <= self._consumed:
            return False
        journal.seek(self._consumed)
        data = journal.read(size - self._consumed) or b""
        self._consumed += len(data) // RECORD_BYTES * RECORD_BYTES
        self._index.load(read_records(data))
        return True

    def _write_at(self, start: int, part: memoryview) -> None:
        assert self._data is not None
        self._data.seek(start)
        done = 0
        while done < len(part):
            done += self._data.write(part[done:]) or 0

    def _read_at(self, start: int, view: memoryview) -> bool:
        assert self._data is not None
        self._data.seek(start)
        done = 0
        while done < len(view):
            count = self._data.readinto(view[done:])
            if not count:
                return False
            done += count
        return True
