"""Files into object stores: whole, measured after they were sent, and with errors that say what to do.

A store is whatever fsspec has a filesystem for. Its objects appear whole or not at all, which is what makes one name
(``collection.json``) enough to show or hide all the others.
"""

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn, TypeVar

from mlstac.errors import (
    AccessError,
    ChangedError,
    InvalidArgumentError,
    MissingFileError,
    MlstacError,
    StorageError,
    UnavailableError,
)
from mlstac.storage._clients import LOGINS, close_client, open_filesystem
from mlstac.storage._conditions import AZURE, CONDITIONAL, GOOGLE, S3, is_taken, is_unknown, put_if, state_of
from mlstac.storage._digests import PART_BYTES, digest_of_parts, md5_of, tag_of
from mlstac.storage._objects import named_error
from mlstac.storage._opened import Opened
from mlstac.storage._retry import Retry, TransientError
from mlstac.storage._times import time_of
from mlstac.storage._urls import redact, scheme_of, with_plain_scheme

WAIT: Callable[[float], object] = time.sleep
"""Waits a number of seconds before the next try."""

_RETRY = Retry(tries=5, first_s=0.5)
_UPLOADING = "uploading"
_Result = TypeVar("_Result")
_Sent = Callable[[int], object]


def _tell_nobody(count: int) -> None:
    """Take a count of bytes, where nobody counts."""


class Stored(NamedTuple):
    """A file as a store has it."""

    size: int
    """In bytes."""

    tag: str | None
    """S3's ETag or the MD5 in hexadecimal digits, as far as the store tells: see `Store.holds`."""

    written: float | None = None
    """When, in seconds since 1970, as far as the store tells."""


class Store:
    """A folder of an object store, by names relative to it. Threads may share one.

    Parameters
    ----------
    url : str
        ``s3://bucket/folder``, ``gs://…``, ``az://…``, or what else fsspec has a filesystem for.
    storage_options : mapping, optional
        As that filesystem takes them.
    wait : callable, optional
        Waits a number of seconds.

    Raises
    ------
    InvalidArgumentError
        If the scheme is not known, or the options are not the filesystem's.
    MissingPackageError
        If its filesystem is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        storage_options: Mapping[str, Any] | None = None,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self.url = with_plain_scheme(url).rstrip("/")
        self._scheme = scheme_of(url)
        self._wait = WAIT if wait is None else wait
        self._fs = open_filesystem(self.url, self._scheme, dict(storage_options or {}))
        self._root = self._fs._strip_protocol(self.url).rstrip("/")

    def __str__(self) -> str:
        return redact(self.url)

    def at(self, name: str) -> str:
        """Return the URL of a file as it may be shown."""
        return f"{self}/{name}" if name else str(self)

    def list(self, folder: str = "") -> dict[str, Stored]:
        """Return all files below a folder, by name; none where there is no such folder.

        Raises
        ------
        MissingFileError
            If the bucket does not exist.
        AccessError, UnavailableError
            If the store refuses, or does not answer.
        """
        self._fs.invalidate_cache()
        path = f"{self._root}/{folder}".rstrip("/")
        found = self._do("listing", folder, lambda: self._fs.find(path, detail=True), missing=dict)
        result = {}
        for key, info in found.items():
            name = key.removeprefix(self._root).lstrip("/")
            # a folder may be an object of no bytes whose name is the folder's
            if info.get("type") == "file" and name and not name.endswith("/"):
                result[name] = Stored(int(info["size"]), tag_of(info), time_of(info))
        return result

    def size(self, name: str) -> int | None:
        """Return the bytes of a file; None where there is none."""
        self._fs.invalidate_cache()
        info = self._do("looking for", name, lambda: self._fs.info(self._path(name)), missing=lambda: None)
        return None if info is None or info.get("type") != "file" else int(info["size"])

    def read(self, name: str) -> bytes | None:
        """Return a whole file; None where there is none."""
        return self._do("reading", name, lambda: bytes(self._fs.cat_file(self._path(name))), missing=lambda: None)

    def put(self, name: str, data: bytes) -> None:
        """Write a small file, in the place of what has its name."""
        self._do("writing", name, lambda: self._fs.pipe_file(self._path(name), data))
        self._check(name, len(data))

    def replace(self, name: str, data: bytes, *, expected: str | None) -> None:
        """Write a small file in the place of the one that the caller saw, and of no other.

        S3, Google and Azure compare as they write, so that of two who replace one state at once one is refused. For
        what else there is the file is read just before, which leaves a moment in which both may pass.

        Parameters
        ----------
        expected : str or None
            Sha256 in hexadecimal digits of the file that is to be replaced; None where there was none.

        Raises
        ------
        ChangedError
            If another file, or none, is there.
        """
        path = self._path(name)
        self._fs.invalidate_cache()
        # The state first: if the file changes after that, the state is an old one, and the store refuses.
        info = self._do("looking for", name, lambda: self._fs.info(path), missing=lambda: None)
        self.check_same(name, expected=expected)
        state = None if info is None or expected is None else state_of(self._scheme, info)
        conditional = self._scheme in CONDITIONAL and (state is None) == (expected is None)

        def attempt() -> bool:
            nonlocal conditional
            if conditional:
                try:
                    put_if(self._fs, self._scheme, path, data, state=state)
                    return True
                except Exception as error:
                    if is_taken(error):
                        return False
                    if not is_unknown(error):
                        raise
                    conditional = False  # one of those that speak S3's language, and not all of it
            self._fs.pipe_file(path, data)
            return True

        # "Missing" is the answer to a condition on a file that is gone. What is there may be ours: an attempt that went
        # well, unheard.
        if not self._do("replacing", name, attempt, missing=lambda: False) and self.read(name) != data:
            raise self._changed(name)
        self._check(name, len(data))

    def check_same(self, name: str, *, expected: str | None) -> None:
        """Raise `ChangedError` if a small file is not the one of that sha256, or is there where None is expected."""
        found = self.read(name)
        if (None if found is None else hashlib.sha256(found).hexdigest()) != expected:
            raise self._changed(name)

    def _changed(self, name: str) -> ChangedError:
        return ChangedError(
            f"{self.at(name)} was changed by somebody else meanwhile, and is left as it is; make the same call again"
        )

    def fetch(self, name: str, path: str | os.PathLike[str]) -> None:
        """Bring a whole file to a path on this machine.

        Raises
        ------
        MissingFileError
            If there is none.
        """
        size = self.size(name)
        if size is None:
            raise MissingFileError(f"{self.at(name)} is not there; fetch or write it again")
        self._do("fetching", name, lambda: self._fs.get_file(self._path(name), os.fspath(path)))
        if os.path.getsize(path) != size:
            raise StorageError(f"fetching {self.at(name)}: {os.path.getsize(path)} of {size} bytes came; try again")

    def open(self, name: str) -> Any:
        """A file to read from here and there: what is asked for is fetched, and little beside."""

        def missing() -> NoReturn:
            raise MissingFileError(f"{self.at(name)} is not there; fetch or write it again")

        def attempt(call: Callable[[], _Result]) -> _Result:
            return self._do("reading", name, call, missing=missing)

        return Opened(attempt(lambda: self._fs.open(self._path(name), "rb", block_size=256 * 1024)), attempt)

    def send(
        self,
        name: str,
        source: str | os.PathLike[str],
        *,
        new: bool = False,
        sent: _Sent = _tell_nobody,
        check: bool = True,
    ) -> None:
        """Upload a local file, and see whether all of it is there.

        Parameters
        ----------
        new : bool
            The name was free: a file of somebody else's that has taken it meanwhile is not written over. S3, Google and
            Azure compare as they write; elsewhere it is looked for just before, which leaves a moment in which it may
            come. Otherwise what has the name is replaced.
        check : bool
            False leaves that to `check`, which asks once for many files.
        sent : callable
            Told of bytes as they are sent.

        Raises
        ------
        ChangedError
            If the name was free, and another file has it now.
        """
        path = os.fspath(source)
        size = os.path.getsize(path)
        told = 0
        exclusive = {"mode": "create"} if new and self._scheme in CONDITIONAL else {}

        def attempt() -> bool:
            nonlocal told, exclusive
            sent(-told)
            told = 0
            try:
                self._fs.put_file(path, self._path(name), **self._upload_options(path), **exclusive)
            except Exception as error:
                if exclusive and is_taken(error):
                    return False
                if not exclusive or not is_unknown(error):
                    raise
                exclusive = {}  # one of those that speak S3's language, and not all of it
                if self.size(name) is not None:
                    return False
                self._fs.put_file(path, self._path(name), **self._upload_options(path))
            sent(size)
            told = size
            return True

        is_free = bool(exclusive) or not new or self.size(name) is None
        if not is_free or not self._do(_UPLOADING, name, attempt):
            there = self.list().get(name)
            if there is None or not self.holds(there, path):  # else an earlier attempt had gone well, unheard
                raise ChangedError(
                    f"uploading {self.at(name)}: somebody else has put another file there meanwhile, and it is left as "
                    f"it is; see who else writes there, then run the same call again"
                )
            sent(size)
        if check:
            self._check(name, size)

    def check(self, sizes: Mapping[str, int]) -> None:
        """See whether files are there with their sizes.

        Raises
        ------
        StorageError
            If one is not.
        """
        there = self.list()
        for name, size in sizes.items():
            self._compare(name, size, there[name].size if name in there else None)

    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is no error."""
        self._do("removing", name, lambda: self._fs.rm_file(self._path(name)), missing=lambda: None)

    def holds(self, stored: Stored, source: str | os.PathLike[str]) -> bool:
        """Tell whether a stored file is surely the same as a local one: by its size, and the digest that the store has.

        A file whose digest the store does not tell is taken for another.
        """
        if stored.tag is None or stored.size != os.path.getsize(source):
            return False
        digest, dash, _ = stored.tag.partition("-")
        return digest == (digest_of_parts(source) if dash else md5_of(source).hexdigest())

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the connections, as far as the filesystem allows."""
        from fsspec.asyn import sync

        for name in ("_s3", "_session", "service_client"):  # of s3fs, gcsfs and adlfs
            client = getattr(self._fs, name, None)
            if client is not None and hasattr(client, "close") and getattr(self._fs, "loop", None) is not None:
                sync(self._fs.loop, close_client, client)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _upload_options(self, path: str) -> dict[str, Any]:
        if self._scheme in S3:
            # parts of one file that are in memory at once: several files go at a time
            return {"chunksize": PART_BYTES, "max_concurrency": 2}
        if self._scheme in AZURE:
            # Azure itself reckons no digest of a blob that is sent in blocks
            from azure.storage.blob import ContentSettings

            return {"content_settings": ContentSettings(content_md5=bytearray(md5_of(path).digest())), "retry_total": 0}
        return {}

    def _check(self, name: str, size: int) -> None:
        self._compare(name, size, self.size(name))

    def _compare(self, name: str, size: int, found: int | None) -> None:
        if found != size:
            held = "nothing" if found is None else f"{found} bytes"
            raise StorageError(f"uploading {self.at(name)}: {size} bytes were sent, and {held} is there; upload again")

    def _do(
        self, doing: str, name: str, call: Callable[[], _Result], *, missing: Callable[[], _Result] | None = None
    ) -> _Result:
        """Call the filesystem, again after growing waits where that may help."""
        url = self.at(name)
        # Google's and Azure's clients try again themselves, and only Azure's uploads can be told not to
        patient = self._scheme in GOOGLE or (self._scheme in AZURE and doing != _UPLOADING)
        tries = 1 if patient else _RETRY.tries
        for failures in range(1, tries + 1):
            try:
                return call()
            except MlstacError:
                raise
            except TypeError as error:  # some clients look at their options when they first connect
                raise InvalidArgumentError(f"storage_options are not those of {self._scheme}://: {error}") from None
            except Exception as error:  # noqa: BLE001 - every client has classes of its own
                fault = named_error(error, url, stall_s=0)
                if isinstance(fault, MissingFileError):
                    if _is_bucket(error) or missing is None:
                        raise MissingFileError(
                            f"{doing} {url}: there is no such bucket or container; make it first, or check the URL"
                        ) from None
                    return missing()
                if isinstance(fault, AccessError):
                    raise AccessError(
                        f"{doing} {url}: access refused; give credentials that may write there in storage_options, or "
                        f"as {LOGINS.get(self._scheme, 'the environment has them')}"
                    ) from None
                if not isinstance(fault, TransientError):
                    raise StorageError(f"{doing} {url}: {_reason(error)}") from None
                if failures == tries:
                    said = f"{fault.reason}; given up after {f'{failures} tries' if tries > 1 else 'some tries'}"
                    raise UnavailableError(
                        f"{doing} {url}: {said}; run the same call again, and it goes on with what is missing"
                    ) from None
                self._wait(_RETRY.wait_s(failures, random=lambda: 1.0))
        raise AssertionError("unreachable")


def _reason(error: Exception) -> str:
    """Say what a client said: its class, and words that hold no URL, for a URL may be signed."""
    words = [word for word in str(error).split() if "://" not in word]
    return f"{type(error).__name__}: {' '.join(words)[:200]}"


def _is_bucket(error: Exception) -> bool:
    text = f"{error} {error.__cause__}".lower().replace(" ", "")
    return any(word in text for word in ("nosuchbucket", "containernotfound", "nosuchcontainer", "bucketdoesnotexist"))
