"""Digests that stores tell of their files, and the same of local ones."""

import base64
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PART_BYTES = 64 * 1024 * 1024
"""Of a file that is sent in parts. S3's ETag of such a file is a digest of its parts' digests."""


def tag_of(info: Mapping[str, Any]) -> str | None:
    """Return the digest that a store tells of a file: S3's ETag, or an MD5."""
    if isinstance(etag := info.get("ETag"), str):
        return etag.strip('"').lower()
    if isinstance(md5 := info.get("md5Hash"), str):
        return base64.b64decode(md5).hex()
    settings: Any = info.get("content_settings")  # no Mapping, though it looks like one
    md5 = settings.get("content_md5") if hasattr(settings, "get") else None
    return bytes(md5).hex() if md5 else None


def md5_of(path: str | os.PathLike[str]) -> Any:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))


def digest_of_parts(path: str | os.PathLike[str]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with Path(path).open("rb") as file:
        while part := file.read(PART_BYTES):
            digest.update(hashlib.md5(part, usedforsecurity=False).digest())
    return digest.hexdigest()
