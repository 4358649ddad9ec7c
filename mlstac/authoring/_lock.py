"""One writer a dataset: a lock of the operating system, which a killed process cannot leave behind."""

import os
import sys
import weakref
from contextlib import suppress
from pathlib import Path

from mlstac.authoring._target import named_errors
from mlstac.errors import ExistsError

_held: "weakref.WeakSet[Lock]" = weakref.WeakSet()


class Lock:
    """An exclusive lock on a file that holds the process id of its owner.

    The system lets go of the lock when the process ends, however it ends; the file alone means nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def acquire(self) -> None:
        """Take the lock.

        Raises
        ------
        ExistsError
            If another writer, in this process or another, holds it.
        """
        while self._descriptor < 0:
            with named_errors("locking", self._path):
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
            try:
                if not _try_lock(descriptor):
                    owner = os.read(descriptor, 32).decode(errors="replace").strip()
                    raise ExistsError(
                        f"another writer is at work in {self._path.parent.parent} (process {owner or 'unknown'}); wait"
                        " until it ends, or write to another path"
                    )
                # The owner before us may have removed the file between our open and our lock: then we hold a lock that
                # nobody else can see, and try again.
                if not _is_at(descriptor, self._path):
                    continue
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()}\n".encode())
                self._descriptor = descriptor
                _held.add(self)
            finally:
                if self._descriptor != descriptor:
                    os.close(descriptor)

    def release(self) -> None:
        """Remove the file while the lock is still held, then let go."""
        if self._descriptor < 0:
            return
        with suppress(OSError):  # Windows keeps open files; an unlocked file is harmless
            self._path.unlink(missing_ok=True)
        self._let_go()

    def _let_go(self) -> None:
        _held.discard(self)
        os.close(self._descriptor)
        self._descriptor = -1


def _let_go_of_all() -> None:
    """In a forked child: the lock is its parent's, and is not to outlive it in a child that inherits the open file."""
    for lock in list(_held):
        lock._let_go()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_of_all)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            # A byte far past the end: Windows locks are mandatory, and others read the process id at the start.
            os.lseek(descriptor, 1 << 20, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
