"""Where files are: paths and URLs, how an href leads from one to the next, and what of them may be shown.

Local paths, and the keys of object stores as fsspec takes them (``s3://bucket/key``), are literal text: ``#``, ``?``
and ``%`` in them mean themselves. Only http(s) URLs and hrefs are URI references, percent-encoded.
"""

import os
import re
from collections.abc import Collection as AbstractCollection
from pathlib import PurePath
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from mlstac.errors import AccessError, InvalidArgumentError

# two letters at the least, so that the drive of C:\data is no scheme
_SCHEME = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.\-]+):(?://|:)")
_SCHEME_IN_HREF = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.\-]+):")
# what may stand in the path of a URL as it is: RFC 3986 pchar and "/", and "%" because it is encoded already
_SAFE_IN_PATH = "/%:@!$&'()*+,;=~-._"
_SAFE_IN_QUERY = _SAFE_IN_PATH + "?"
_HTTP = ("http", "https")
_NEEDED = {
    **dict.fromkeys(("s3", "s3a", "gs", "gcs"), "bucket"),
    **dict.fromkeys(("az", "abfs", "abfss"), "container"),
    **dict.fromkeys(_HTTP, "host"),
    "hf": "dataset",
}
"""What comes right after the scheme."""
_MAIMED = re.compile(rf"({'|'.join(_NEEDED)}):(?!//|:)(/?)(.*)", re.IGNORECASE)
"""A URL with fewer slashes than two."""


def check_address(address: str | os.PathLike[str]) -> None:
    """Refuse a URL that says nothing but its scheme, and one that has lost a slash and looks like a path.

    Raises
    ------
    InvalidArgumentError
    """
    text = os.fspath(address)
    scheme = scheme_of(text)
    example = {"hf": "datasets/org/name"}.get(scheme, f"{_NEEDED.get(scheme)}/folder")
    if scheme in _NEEDED and "::" not in text and not server_of(text):
        raise InvalidArgumentError(
            f"{redact(text)} names no {_NEEDED[scheme]}; give it and the dataset's place in it: {scheme}://{example}"
        )
    match = _MAIMED.fullmatch(text)
    if match is not None and not os.path.exists(text) and not os.path.isdir(f"{match[1]}:"):
        whole = redact(f"{match[1]}://{match[3]}")
        maimed = whole.replace("//", match[2], 1)
        raise InvalidArgumentError(
            f"{maimed!r} is no URL, for two slashes follow its scheme; give {whole!r}, and not as a pathlib.Path, which"
            " takes one away"
        )


def scheme_of(url: str | os.PathLike[str]) -> str:
    """Return the scheme of a URL in lower case; ``file`` for a plain path."""
    match = _SCHEME.match(os.fspath(url))
    return match.group(1).lower() if match else "file"


def with_plain_scheme(url: str) -> str:
    """Return a URL with its scheme in lower case, the only one that fsspec's filesystems take off."""
    match = _SCHEME.match(url)
    return url[: match.end(1)].lower() + url[match.end(1) :] if match else url


def server_of(url: str) -> str:
    """Return the host and port that the client of a URL of another scheme than http goes to, or the bucket.

    A client ends it at ``#`` and ``?`` too: ``ftp://one#@two/x`` leads to one.
    """
    return re.split("[/?#]", url.split("://", 1)[-1], maxsplit=1)[0].rpartition("@")[2]


def is_remote(url: str | os.PathLike[str]) -> bool:
    """Tell whether a URL leads away from this machine's own files.

    Parameters
    ----------
    url : str or path
        A path (``~`` allowed), a ``file://`` URL, or any other URL.
    """
    return scheme_of(url) not in ("file", "local")


def is_http(url: str) -> bool:
    """Tell whether a URL is of http or https."""
    return scheme_of(url) in _HTTP


def local_path(url: str | os.PathLike[str]) -> str:
    """Return the path on this machine that a path or a ``file://`` URL means, with ``~`` expanded.

    Raises
    ------
    InvalidArgumentError
        If the URL is remote, or names another host.
    """
    text = os.fspath(url)
    if is_remote(text):
        raise InvalidArgumentError(f"{redact(text)} is not a path on this machine; download it first")
    if not _SCHEME.match(text):
        return os.path.expanduser(text)
    parts = urlsplit(text)
    if parts.netloc not in ("", "localhost"):
        raise InvalidArgumentError(
            f"{redact(text)} names the host {parts.netloc!r}; a file URL has three slashes: file:///folder"
        )
    # a fragment or a query has no meaning for a file: they are part of its name, written carelessly
    path = unquote(text.split("://", 1)[1].removeprefix(parts.netloc))
    return path[1:] if re.match(r"^/[a-zA-Z]:[/\\]", path) else path


def redact(url: str | os.PathLike[str]) -> str:
    """Return a URL as it may be shown in an error or a log: without user, password and query.

    The whole query goes, for signatures go by many names; a local path is shown as it is.
    """
    text = os.fspath(url)
    match = _SCHEME.match(text)
    if match is None or match.group(1).lower() == "file":
        return text
    try:
        parts = urlsplit(text)
    except ValueError:
        return f"{match.group(1)}://..."
    netloc = "***@" + parts.netloc.rpartition("@")[2] if "@" in parts.netloc else parts.netloc
    shown = text.partition("?")[0].replace(parts.netloc, netloc, 1)
    if parts.scheme in _HTTP:
        shown = shown.partition("#")[0]
    return shown + "?..." if "?" in text else shown


def without_secrets(url: str | os.PathLike[str]) -> str:
    """Return a URL that may be handed to anyone, and that leads to the file all the same where it is public.

    User, password and query (a signature, as a rule) are left out.
    """
    text = os.fspath(url)
    match = _SCHEME.match(text)
    if match is None or match.group(1).lower() == "file":
        return text
    parts = urlsplit(text)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def parent(url: str | os.PathLike[str]) -> str:
    """Return the folder of a file, with its closing slash; a folder (with its closing slash) is its own.

    The query of an http(s) URL, a signature as a rule, is kept.
    """
    text = os.fspath(url)
    if is_http(text):
        parts = urlsplit(text)
        return urlunsplit((parts.scheme, parts.netloc, parts.path.rpartition("/")[0] + "/", parts.query, ""))
    if isinstance(url, PurePath) or (not is_remote(text) and os.sep != "/"):
        text = text.replace(os.sep, "/")
    head, slash, _ = text.rpartition("/")
    return head + slash if slash else "./"


def join(
    base: str | os.PathLike[str],
    href: str,
    *,
    root: str | os.PathLike[str] | None = None,
    allow_hosts: AbstractCollection[str] = (),
) -> str:
    """Return the file that an href in another file means.

    Parameters
    ----------
    base : str or path
        The file that holds the href, or a folder with its closing slash. The query of an http(s) base (a signature) is
        kept for files under `root`, and never sent to another host.
    href : str
        A URI reference: relative to `base` (``./00000.safetensors``), or absolute. Spaces, ``#`` and letters beyond
        ASCII may stand as they are.
    root : str or path, optional
        The folder that hrefs may not leave, or a file in it; by default that of `base`.
    allow_hosts : collection of str
        Hosts (buckets, for object stores) that an href may lead to all the same. It never opens this machine's files to
        a remote dataset.

    Returns
    -------
    str
        A URL, or a path without ``file://``.

    Raises
    ------
    AccessError
        If the href leaves the root: by ``..``, an absolute path, another host, another scheme.
    """
    text = os.fspath(base)
    folder = (
        parent(text if root is None else os.fspath(root))
        if root is None or _looks_like_file(os.fspath(root))
        else os.fspath(root)
    )
    if any(ord(character) < 32 for character in href) or "\\" in href:
        raise AccessError(f"href {href!r} has a control character or a backslash in it; write it with plain slashes")
    try:
        found = _resolve(text, href)
    except (InvalidArgumentError, ValueError) as error:
        raise AccessError(f"{_shown(href)} in {redact(text)} leads out of the dataset, or nowhere") from error
    if _is_within(found, folder):
        return _with_query(found, text) if is_http(found) else found
    if is_remote(found) and _host(found) in allow_hosts:
        return found
    raise AccessError(_refusal(href, redact(text), found, folder))


def _looks_like_file(root: str) -> bool:
    path = urlsplit(root).path if is_http(root) else root
    return path.endswith((".json", ".parquet"))


def _resolve(base: str, href: str) -> str:
    """Follow an href from a base, without a thought of whether it may."""
    if href.startswith("//"):
        href = f"{scheme_of(base)}:{href}"
    if _SCHEME_IN_HREF.match(href):
        if is_http(href):
            return _absolute_http(href)
        return local_path(href) if scheme_of(href) == "file" and href.lower().startswith("file:") else _tidy(href)
    if is_http(base):
        parts = urlsplit(base)
        path, question, query = href.partition("?")
        path = quote(path, safe=_SAFE_IN_PATH)
        joined = path if path.startswith("/") else parts.path.rpartition("/")[0] + "/" + path
        return urlunsplit(
            (parts.scheme, parts.netloc, _dotless(joined), quote(query, safe=_SAFE_IN_QUERY) if question else "", "")
        )
    literal = unquote(href)
    if literal.startswith("/"):
        if not is_remote(base):
            return _tidy(literal)
        return _tidy(f"{scheme_of(base)}://{_host(base)}{literal}")
    return _tidy(parent(base if is_remote(base) else local_path(base)) + literal)


def _absolute_http(href: str) -> str:
    parts = urlsplit(href.split("#", 1)[0])
    return urlunsplit(
        (
            parts.scheme.lower(),
            parts.netloc,
            _dotless(quote(parts.path or "/", safe=_SAFE_IN_PATH)),
            quote(parts.query, safe=_SAFE_IN_QUERY),
            "",
        )
    )


def _dotless(path: str) -> str:
    """Resolve ``.`` and ``..`` in the path of a URL, written ``%2e`` too; a climb above the top keeps its ``..``."""
    kept: list[str] = []
    for segment in path.split("/")[1:]:
        plain = unquote(segment)
        if plain == ".":
            continue
        if plain == ".." and kept and kept[-1] != "..":
            kept.pop()
        elif plain == "..":
            kept.append("..")
        else:
            kept.append(segment)
    return "/" + "/".join(kept)


def _tidy(path: str) -> str:
    """Resolve ``.`` and ``..`` in a literal path or URL, keeping its scheme, its host and its closing slash."""
    match = re.match(r"^([a-zA-Z][a-zA-Z0-9+.\-]+://[^/]*)(/.*)?$", path)
    if match:
        return match.group(1) + (_dotless_literal(match.group(2)) if match.group(2) else "")
    tidy = os.path.normpath(path)
    return tidy + "/" if path.endswith("/") and not tidy.endswith("/") else tidy


def _dotless_literal(path: str) -> str:
    kept: list[str] = []
    for segment in path.split("/")[1:]:
        if segment == ".." and kept and kept[-1] != "..":
            kept.pop()
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join(kept)


def _host(url: str) -> str:
    """Return the host (with its port, if any) or bucket of a URL, without user and password."""
    return urlsplit(url).netloc.rpartition("@")[2].lower() if is_http(url) else server_of(url)


def _is_within(url: str, folder: str) -> bool:
    """Tell whether a resolved URL is a file under a folder of the same scheme and host."""
    if scheme_of(url) != scheme_of(folder):
        return False
    if is_http(url):
        return _host(url) == _host(folder) and _segments_within(
            urlsplit(url).path, _dotless(urlsplit(folder).path), encoded=True
        )
    if is_remote(url):
        return _host(url) == _host(folder) and _segments_within(url, _tidy(folder), encoded=False)
    return _segments_within(os.path.abspath(url), os.path.abspath(local_path(folder)), encoded=False)


def _segments_within(path: str, folder: str, *, encoded: bool) -> bool:
    # empty segments count: to a server //ds is another folder than /ds
    inside = path.replace(os.sep, "/").split("/")
    top = folder.replace(os.sep, "/").rstrip("/").split("/")
    if encoded:
        # an encoded slash or backslash is a separator to many a server
        inside, top = ([unquote(part) for part in parts] for parts in (inside, top))
        if any("/" in part or "\\" in part for part in inside[len(top) :]):
            return False
    return inside[: len(top)] == top and ".." not in inside


def _with_query(url: str, base: str) -> str:
    """Give a URL the query of its base, the signature of a whole folder, unless it has its own."""
    parts = urlsplit(url)
    base_parts = urlsplit(base)
    return urlunsplit((parts.scheme, base_parts.netloc, parts.path, parts.query or base_parts.query, ""))


def _shown(href: str) -> str:
    """Return an href as it may be shown: relative ones may be signed, too."""
    return redact(href) if _SCHEME.match(href) else href.partition("?")[0]


def _refusal(href: str, base: str, found: str, folder: str) -> str:
    shown = _shown(href)
    said = f"{shown} in {base} leads out of the dataset, whose root is {redact(folder)}"
    if is_remote(folder) and not is_remote(found):
        return f"{said}, to this machine's own files; a remote dataset may never name them"
    if is_remote(found):
        return f"{said}; if you trust it, load with allow_hosts=({_host(found)!r},)"
    return f"{said}; move the file into the dataset and make the href relative"
