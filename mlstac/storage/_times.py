"""When stores say that a file was written. Each filesystem has a word of its own for it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

_WORDS: Final = ("LastModified", "last_modified", "mtime", "updated", "modificationTime", "created")
"""Of s3fs, adlfs, gcsfs and local disks, Google's own documents, WebHDFS, and of what is kept in memory. The first that
is there counts: where a file can be changed, when it was made says less."""


def time_of(info: Mapping[str, Any]) -> float | None:
    """Return when a file was last written, in seconds since 1970; None where its store does not tell."""
    for word in _WORDS:
        found = info.get(word)
        if isinstance(found, str):
            try:
                found = datetime.fromisoformat(found)
            except ValueError:
                continue
        if isinstance(found, datetime):
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
        if isinstance(found, int | float) and not isinstance(found, bool) and found > 0:
            return found / 1000 if word == "modificationTime" else float(found)
    return None
