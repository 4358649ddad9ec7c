"""What a server's answer means, decided before a byte of its body is read. No I/O."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from mlstac.errors import AccessError, ChangedError, MissingFileError, RangeError, ShardError, StorageError
from mlstac.storage._hub import page_of
from mlstac.storage._retry import TransientError, parse_retry_after
from mlstac.storage._urls import redact

# No file has more bytes than these digits count, and Python refuses to read numbers of thousands of them.
_MOST_DIGITS = 18
_CONTENT_RANGE = re.compile(r"bytes\s+(\d{1,18})-(\d{1,18})/(\d{1,18}|\*)\s*", re.IGNORECASE)
_UNSATISFIED = re.compile(r"bytes\s+\*/(\d{1,18})\s*", re.IGNORECASE)
_SERVE = "serve it with `mlstac serve`, or from any server or store that answers byte ranges (nginx, S3, the Hub)"


def count_of(text: str) -> int | None:
    """Return the number of bytes that some digits say; None for what is no such number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None


class Head(NamedTuple):
    """Status and headers of an answer."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""

    @property
    def length(self) -> int | None:
        """Bytes of the body as announced; None if not."""
        return count_of(self.headers.get("content-length", "").strip())


class Version(NamedTuple):
    """Which state of a file an answer is of."""

    size: int | None
    """In bytes; None if the server does not tell."""

    etag: str
    modified: str

    def agrees(self, other: "Version") -> bool:
        """Tell whether both can be of one state: what only one of them knows decides nothing."""
        if self.size != other.size and None not in (self.size, other.size):
            return False
        if self.etag and other.etag:
            return self.etag == other.etag
        return not (self.modified and other.modified) or self.modified == other.modified


def version_of(head: Head, size: int | None) -> Version:
    """Return the version that an answer is of, weak and strong ETags alike."""
    return Version(
        size, head.headers.get("etag", "").strip().removeprefix("W/"), head.headers.get("last-modified", "").strip()
    )


def check_range(head: Head, url: str, start: int, stop: int, *, size: int | None, seen: Version | None) -> Version:
    """Check that an answer is the range that was asked for, of the file that was opened.

    Parameters
    ----------
    head : Head
        An answer of status 206, or 200.
    start, stop : int
        The range asked for.
    size : int, optional
        The file's size as the catalog has it.
    seen : Version, optional
        What an earlier answer said.

    Raises
    ------
    RangeError
        If the server ignored the range, answered another, or encoded it.
    ChangedError
        If the file is no longer the one seen before.
    ShardError
        If its size is not the catalog's.
    """

    def where() -> str:
        return f"bytes {start} to {stop} of {redact(url)}"

    if head.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise RangeError(
            f"{where()}: the server compresses its answer ({head.headers['content-encoding']}), so offsets lose their "
            f"meaning; switch that off"
        )
    if head.status == 206:
        match = _CONTENT_RANGE.fullmatch(head.headers.get("content-range", ""))
        if match is None:
            raise RangeError(
                f"{where()}: the server answered 206 with Content-Range {head.headers.get('content-range')!r}; {_SERVE}"
            )
        first, last, total = int(match.group(1)), int(match.group(2)), match.group(3)
        version = version_of(head, None if total == "*" else int(total))
        _check_version(version, url, size=size, seen=seen)
        if first == start and version.size is not None and stop > version.size:
            raise ShardError(_cut_short(url, version.size, size))
        if (first, last + 1) != (start, stop) or head.length not in (None, stop - start):
            raise RangeError(
                f"{where()}: the server answered with bytes {first} to {last + 1} in a body of {head.length}; {_SERVE}"
            )
        return version
    if start == 0 and head.length is not None and head.length == stop:
        # the whole file was asked for, and the whole file came
        _check_version(version_of(head, stop), url, size=size, seen=seen)
        return version_of(head, stop)
    if head.length is not None:
        _check_version(version_of(head, head.length), url, size=size, seen=seen)
    raise RangeError(
        f"{where()}: the server ignores byte ranges (it answered {head.status} with {_amount(head.length)}); {_SERVE}"
    )


def _amount(length: int | None) -> str:
    return "a body of unknown length" if length is None else f"a body of {length} bytes"


def _check_version(found: Version, url: str, *, size: int | None, seen: Version | None) -> None:
    if seen is not None and not found.agrees(seen):
        raise ChangedError(
            f"{redact(url)} is no longer the file that was opened ({_shown(seen)} then, {_shown(found)} now); load "
            f"the dataset again"
        )
    if size is not None and found.size not in (None, size):
        raise ShardError(_cut_short(url, found.size, size))


def _cut_short(url: str, holds: int | None, size: int | None) -> str:
    held = "fewer bytes than that" if holds is None else f"{holds} bytes"
    said = "and the range lies beyond its end" if size is None else f"and the catalog says {size}"
    return (
        f"{redact(url)} holds {held}, {said}: it was cut short or replaced; upload it again, or load the dataset again"
    )


def _shown(version: Version) -> str:
    mark = f"ETag {version.etag}" if version.etag else f"of {version.modified or 'unknown date'}"
    return f"{version.size} bytes, {mark}"


def unsatisfied_size(head: Head) -> int | None:
    """Return the file's size that an answer of 416 tells."""
    match = _UNSATISFIED.fullmatch(head.headers.get("content-range", ""))
    return int(match.group(1)) if match else None


def failure_of(head: Head, url: str, *, wall: float, size: int | None = None) -> Exception:
    """Return the error that an answer other than 200, 206 or a redirect stands for.

    `TransientError` for what may pass (408, 425, 429, 5xx); else a final error that names the URL and the mend.
    """
    status, shown = head.status, redact(url)
    if status in (408, 425, 429) or (status >= 500 and status not in (501, 505)):
        return TransientError(
            f"the server answered {status} ({_REASONS.get(status, 'server error')})",
            throttled=status in (429, 503),
            retry_after_s=parse_retry_after(head.headers.get("retry-after"), wall=wall),
        )
    if status in (401, 403, 407):
        return AccessError(f"{shown}: access refused ({status}); {_access_mend(head, url)}")
    if status in (404, 410):
        said = head.headers.get("x-error-message", "")
        return MissingFileError(
            f"{shown}: no such file ({status}{': ' + said if said else ''}); check the URL, and that the upload is "
            f"complete"
        )
    if status == 416:
        return ShardError(_cut_short(url, unsatisfied_size(head), size))
    return StorageError(f"{shown}: the server answered {status}, and a plain file was expected; check the URL")


_REASONS = {
    408: "timeout",
    429: "too many requests",
    500: "internal error",
    502: "bad gateway",
    503: "unavailable",
    504: "gateway timeout",
}


def _access_mend(head: Head, url: str) -> str:
    page = page_of(url)
    if page is None and "x-error-code" not in head.headers:
        return "give storage_options={'headers': {'Authorization': 'Bearer …'}}, or a signed URL that has not expired"
    page = page or redact(url)
    code = head.headers.get("x-error-code", "")
    mend = f"accept the terms, if any, at {page} and log in with `hf auth login`, or set HF_TOKEN"
    # the Hub says so of a private repository too, to whoever may not see it
    return f"there is no such dataset, or it is private: {mend}" if code == "RepoNotFound" else mend
