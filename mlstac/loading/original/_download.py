"""Splits of a remote dataset of the original ML-STAC as local files: for ``stream=False``."""

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mlstac.loading._folders import default_folder
from mlstac.loading.original._containers import container_rows
from mlstac.loading.original._dataset import find_files
from mlstac.loading.original._document import NAME, ContainerSplit, Document, FileSplit
from mlstac.loading.original._files import follow
from mlstac.loading.original._names import sample_name
from mlstac.storage import Download, Fetcher, download

_THREADS = 32


def download_original(
    document: Document,
    url: str,
    collection_id: str,
    splits: Sequence[str],
    *,
    data_dir: Any,
    fetcher: Fetcher,
    allow_hosts: Sequence[str] = (),
    progress: bool | None = None,
) -> str:
    """Download the samples of some splits, and then the main.json; what is there already is kept.

    Parameters
    ----------
    document : Document
    url : str
        Of the main.json.
    collection_id : str
        Part of the default folder's name; never a path.
    splits : sequence of str
    data_dir : path, optional
        The folder that becomes the dataset; by default one of its own under the user's cache.
    fetcher : Fetcher
    allow_hosts : sequence of str
    progress : bool, optional
        Whether to draw a bar on standard error; by default where it is a terminal.

    Returns
    -------
    str
        The folder.
    """
    folder = Path(data_dir) if data_dir is not None else default_folder(url, collection_id)
    files: list[Download] = []
    for split in document.splits:
        if split.name not in splits:
            continue
        if isinstance(split, FileSplit):
            files += _sample_files(split, url, fetcher, allow_hosts)
        else:
            files += _container_files(split, url, fetcher, allow_hosts)
    shown = progress if progress is not None else sys.stderr is not None and sys.stderr.isatty()
    sizes = _sizes([file.url for file in files], fetcher.file_size)
    download(
        [file._replace(size=size) for file, size in zip(files, sizes, strict=True)],
        folder,
        fetcher=fetcher,
        progress=shown,
    )
    # Last, and whole: it says that the rest is there.
    temporary = folder / f".{NAME}.{os.getpid()}"
    temporary.write_text(json.dumps(document.data, indent=1), encoding="utf-8")
    temporary.replace(folder / NAME)
    return str(folder)


def _sample_files(split: FileSplit, url: str, fetcher: Fetcher, allow_hosts: Sequence[str]) -> list[Download]:
    found = find_files([split], url, fetcher=fetcher, allow_hosts=allow_hosts).splits[0]
    return [
        Download(found.url(number), f"{split.name}/{sample_name(number)}{found.suffix}")
        for number in range(found.count)
    ]


def _container_files(split: ContainerSplit, url: str, fetcher: Fetcher, allow_hosts: Sequence[str]) -> list[Download]:
    """Containers by their own names, which are those that local tables look for; the table as metadata.parquet."""
    rows = container_rows(split, url, fetcher=fetcher, allow_hosts=allow_hosts)
    named = [asset["data"]["href"] for asset in rows.table.column("assets").to_pylist()]
    hrefs = list(dict.fromkeys([*(follow(url, href, allow_hosts=allow_hosts) for href in split.hrefs), *named]))
    files = [Download(href, f"{split.name}/mls/{_base(href)}") for href in hrefs]
    if split.table is not None:
        table = follow(url, split.table, allow_hosts=allow_hosts)
        files.append(Download(table, f"{split.name}/mls/{_base(table)}"))
    return files


def _base(url: str) -> str:
    """Last name of a URL, with nothing in it that a disk could mistake for more than a name."""
    return re.sub(r"[^\w.-]", "_", url.partition("?")[0].rstrip("/").rpartition("/")[2]) or "file"


def _sizes(urls: Sequence[str], size_of: Callable[[str], int]) -> list[int]:
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="mlstac-sizes")
    try:
        return list(pool.map(size_of, urls))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
