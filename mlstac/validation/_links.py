"""Hrefs of a document: those that lead to files of the dataset lead to one that is there."""

from collections.abc import Collection as AbstractCollection
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from mlstac.errors import AccessError, MlstacError
from mlstac.storage import Fetcher, file_size, is_http, is_remote, join, redact
from mlstac.validation._report import Findings

_THREADS = 16
_MAX_HREFS = 100_000


class Target(NamedTuple):
    """A file that a document names."""

    path: str
    href: str
    size: int | None
    """Its size, as the document has it."""
    needed: bool
    """Whether the dataset is not whole without it."""


def targets_of(document: Mapping[str, Any]) -> Iterator[Target]:
    """Links and assets of a document; what is not of their form is left to the schemas."""
    links = document.get("links")
    for number, link in enumerate(links if isinstance(links, list) else []):
        if isinstance(link, Mapping) and isinstance(link.get("href"), str):
            needed = link.get("rel") in ("child", "items", "item")
            yield Target(f"links[{number}].href", link["href"], None, needed)
    assets = document.get("assets")
    for name, asset in assets.items() if isinstance(assets, Mapping) else ():
        if isinstance(asset, Mapping) and isinstance(asset.get("href"), str):
            size = asset.get("file:size")
            part = "collection-mirror" in (asset.get("roles") or [])
            yield Target(f"assets.{name}.href", asset["href"], size if type(size) is int else None, part)


def check_links(
    document: Mapping[str, Any],
    *,
    base: str,
    root: str,
    file: str,
    fetcher: Fetcher,
    allow_hosts: AbstractCollection[str],
    findings: Findings,
) -> None:
    """Look for every file that a document names inside the dataset; others are counted, not followed."""
    inside: list[tuple[Target, str]] = []
    outside: list[Target] = []
    for number, target in enumerate(targets_of(document)):
        if number >= _MAX_HREFS:
            findings.error(file, f"it has more than {_MAX_HREFS:,} hrefs", "drop those that nobody needs", path="links")
            break
        try:
            inside.append((target, join(base, target.href, root=root, allow_hosts=allow_hosts)))
        except AccessError as error:
            local = target.href.startswith(("/", "file:", "\\")) and not target.href.startswith("//")
            if target.needed or local:
                findings.error(file, str(error), "name a file of the dataset's folder", path=target.path)
            else:
                outside.append(target)
    if outside:
        shown = ", ".join(redact(target.href)[:80] for target in outside[:3])
        findings.add(
            "unchecked",
            file,
            f"{len(outside):,} {'href leads' if len(outside) == 1 else 'hrefs lead'} out of the dataset and "
            f"{'was' if len(outside) == 1 else 'were'} not followed: {shown}{' …' if len(outside) > 3 else ''}",
            "look at them in a browser",
            path=outside[0].path,
        )
    with ThreadPoolExecutor(_THREADS if is_remote(base) else 1) as pool:
        sizes = pool.map(lambda item: _size(item[1], fetcher), inside)
        for (target, url), found in zip(inside, sizes, strict=True):
            if isinstance(found, str):
                findings.error(file, f"{target.href[:200]!r} does not resolve: {found}", _mend(url), path=target.path)
            elif target.size is not None and found != target.size:
                findings.error(
                    file,
                    f"{target.href[:200]!r} has {found:,} bytes, and file:size says {target.size:,}",
                    "fetch the file again, or write the collection again",
                    path=target.path,
                )


def _size(url: str, fetcher: Fetcher) -> int | str:
    """Size of a file, or in words why there is none."""
    try:
        return file_size(url, fetcher=fetcher if is_remote(url) else None)
    except (MlstacError, OSError) as error:
        return str(error)


def _mend(url: str) -> str:
    return "put the file there, or drop what names it" if is_http(url) or is_remote(url) else "put the file there"
