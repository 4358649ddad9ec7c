"""The Hugging Face Hub: every form of a dataset's address as one, and the reader's own token. No I/O but its file."""

import functools
import os
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from mlstac.errors import InvalidArgumentError
from mlstac.storage._urls import redact

_ENDPOINT = "https://huggingface.co"
_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")
_NAME = r"\w[\w.\-]*"
_REPOSITORY = re.compile(rf"({_NAME}(?:/{_NAME})?)(?:@(.+))?", re.DOTALL)
_SHORT = re.compile(rf"{_NAME}/{_NAME}(@[\w./\-]+)?")
_FILE = re.compile(rf"(.*/datasets/{_NAME}(?:/{_NAME})?)/resolve/[^/]+/.+")
_API = re.compile(rf"(.*)/api/datasets/({_NAME}(?:/{_NAME})?)/revision/[^/]+")
# what may follow a repository in the address of a page: with a revision and a path, or without
_REVISED = ("tree", "blob", "raw", "resolve")
_PAGES = ("viewer", "discussions", "settings", "commits", "commit", "embed")


class HubPlace(NamedTuple):
    """A folder or file of a dataset repository."""

    repository: str
    """``org/name``."""

    revision: str | None
    """Branch, tag or commit; None where the address names none."""

    path: str
    """In the repository; empty for its root."""

    endpoint: str
    """The Hub: scheme and host, without a closing slash."""

    def file(self, name: str, *, revision: str) -> str:
        """Return the URL of a file's bytes; `name` is relative to the root of the repository."""
        return f"{self.endpoint}/datasets/{self.repository}/resolve/{quote(revision, safe='')}/{quote(name)}"

    @property
    def api(self) -> str:
        """URL of what the Hub says of the repository."""
        return f"{self.endpoint}/api/datasets/{self.repository}"

    @property
    def page(self) -> str:
        """URL of the repository's page."""
        return f"{self.endpoint}/datasets/{self.repository}"


def hub_endpoint() -> str:
    """Return the Hub that is meant where an address names none: ``HF_ENDPOINT``, else huggingface.co."""
    return (os.environ.get("HF_ENDPOINT") or _ENDPOINT).rstrip("/")


def parse_hub(source: str, *, endpoint: str | None = None) -> HubPlace | None:
    """Read an address of the Hub in any of its forms; None for an address that is of something else.

    Parameters
    ----------
    source : str
        ``hf://datasets/org/name[@rev][/path]``, the URL of a page (with or without ``/tree/REV/…``, ``/blob/``,
        ``/raw/``, ``/resolve/``), or ``org/name[@rev]``.
    endpoint : str, optional
        The Hub that addresses without a host mean.

    Raises
    ------
    InvalidArgumentError
        If it is of the Hub, and of no dataset.
    """
    ours = (endpoint or hub_endpoint()).rstrip("/")
    if source.lower().startswith("hf://"):
        return _of_path(source[5:], ours, source)
    if source.lower().startswith(("http://", "https://")):
        parts = urlsplit(source)
        root = urlsplit(ours)
        if parts.netloc.lower() == root.netloc.lower() and parts.path.startswith(root.path + "/"):
            return _of_page(parts.path.removeprefix(root.path), ours, source)
        if (parts.hostname or "") in _HOSTS:
            return _of_page(parts.path, _ENDPOINT, source)
        return None
    return _of_path(f"datasets/{source}", ours, source) if _SHORT.fullmatch(source) else None


def _of_path(path: str, endpoint: str, source: str) -> HubPlace:
    """Read what follows ``hf://``, as huggingface_hub's filesystem has it."""
    kind, _, rest = path.strip("/").partition("/")
    if kind != "datasets" or not rest:
        raise _no_dataset(source)
    # a revision may hold slashes only as refs/pr/1 and refs/convert/parquet do
    match = re.fullmatch(rf"({_NAME}(?:/{_NAME})?)(?:@(refs/(?:pr|convert)/[^/]+|[^/]+))?(?:/(.*))?", rest, re.DOTALL)
    if match is None:
        raise _no_dataset(source)
    repository, revision, inside = match.groups()
    return HubPlace(repository, unquote(revision) if revision else None, (inside or "").strip("/"), endpoint)


def _of_page(path: str, endpoint: str, source: str) -> HubPlace:
    segments = [unquote(segment) for segment in path.strip("/").split("/")]
    if segments[0] != "datasets" or len(segments) < 2:
        raise _no_dataset(source)
    # the oldest datasets have no organisation
    length = 1 if len(segments) == 2 or segments[2] in (*_REVISED, *_PAGES) else 2
    repository, rest = "/".join(segments[1 : 1 + length]), segments[1 + length :]
    if _REPOSITORY.fullmatch(repository) is None or (rest and rest[0] not in (*_REVISED, *_PAGES)):
        raise _no_dataset(source)
    if not rest or rest[0] in _PAGES:
        return HubPlace(repository, None, "", endpoint)
    rest = rest[1:]
    taken = 3 if rest[:2] in (["refs", "pr"], ["refs", "convert"]) else 1
    return HubPlace(repository, "/".join(rest[:taken]) or None, "/".join(rest[taken:]), endpoint)


def _no_dataset(source: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"{redact(source)} is an address of the Hugging Face Hub, and of no dataset there; give "
        f"hf://datasets/org/name, or the URL of the dataset's page"
    )


@functools.lru_cache(4096)
def is_hub_file(url: str) -> bool:
    """Tell whether a URL is of a file's bytes on a Hub: each request for one counts against an account's budget."""
    return url.startswith("http") and _FILE.fullmatch(url.partition("?")[0]) is not None


def page_of(url: str) -> str | None:
    """Return the page of the dataset that a URL of a Hub's file or API is of; None for any other URL."""
    text = redact(url).partition("?")[0]
    if match := _FILE.fullmatch(text):
        return match.group(1)
    if match := _API.fullmatch(text):
        return f"{match.group(1)}/datasets/{match.group(2)}"
    return None


def find_token() -> str | None:
    """Return the token of whoever is logged in on this machine: ``HF_TOKEN``, else the file of ``hf auth login``.

    References
    ----------
    "Environment variables" of huggingface_hub's documentation.
    """
    if os.environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN", "").upper() in ("1", "ON", "YES", "TRUE"):
        return None
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if token := os.environ.get(name, "").strip():
            return token
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    home = Path(os.environ.get("HF_HOME") or Path(base) / "huggingface").expanduser()
    try:
        text = Path(os.environ.get("HF_TOKEN_PATH") or home / "token").expanduser().read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    return text.strip() or None
