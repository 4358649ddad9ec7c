"""Where the files of a dataset of the original ML-STAC are: below its main.json, or elsewhere on the same host."""

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from urllib.parse import urlsplit, urlunsplit

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import AccessError, MissingFileError, MlstacError
from mlstac.loading.original._document import SPLITS, FileSplit
from mlstac.loading.original._names import sample_name
from mlstac.loading.original._sample_file import LIMIT_BYTES, SampleFile, open_sample
from mlstac.storage import (
    Fetcher,
    is_http,
    is_remote,
    join,
    local_path,
    parent,
    parse_hub,
    read_bytes,
    redact,
    result_of,
)

SUFFIXES = (".safetensors.gz", ".safetensors")
LOOK_AT = 8
"""Samples of a remote split that are looked at when it is opened."""


def follow(base: str, href: str, *, allow_hosts: Sequence[str] = ()) -> str:
    """Follow an href of a main.json: below its folder, or, over a network, to anywhere on the same host.

    A link into the same repository of the Hugging Face Hub is followed at the commit that the main.json is of.

    Raises
    ------
    AccessError
        If it leads to another host that is not allowed, to this machine's files, or out of a local folder.
    """
    here, there = parse_hub(base) if is_http(base) else None, parse_hub(href) if is_http(href) else None
    if here is not None and there is not None and here.repository == there.repository:
        # the same repository, whatever the address of its Hub; of the commit that the main.json was read from
        return here.file(there.path, revision=here.revision or "main") + ("/" if href.endswith("/") else "")
    try:
        return join(base, href, root=parent(base), allow_hosts=tuple(allow_hosts))
    except AccessError:
        if not is_remote(base):
            raise
    parts = urlsplit(base)
    plain = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))  # a signature is of the folder alone
    return join(plain, href, root=f"{parts.scheme}://{parts.netloc}/", allow_hosts=tuple(allow_hosts))


def split_folder(split: FileSplit, base: str, *, allow_hosts: Sequence[str] = ()) -> str:
    """Folder of a split's files, with its closing slash.

    Beside a local main.json the folder of the split's name goes before what the document says, which is where the
    author published it.
    """
    if not is_remote(base):
        for word in SPLITS.get(split.name, (split.name,)):
            folder = parent(base) + word
            if os.path.isdir(folder):
                return folder + "/"
    href = split.href if split.href is not None else f"./{split.name}"
    return follow(base, href.rstrip("/") + "/", allow_hosts=allow_hosts)


class SplitFiles:
    """The files of one split, by the numbers of its samples.

    Parameters
    ----------
    name : str
    folder : str
        With its closing slash.
    count : int
        Number of samples.
    suffix : str
        Of the files over a network; local ones may be of both.
    """

    def __init__(self, name: str, folder: str, count: int, *, suffix: str = SUFFIXES[0]) -> None:
        self.name = name
        self.folder = folder
        self.count = count
        self.suffix = suffix

    def url(self, number: int) -> str:
        """URL or path of a sample's file."""
        stem = sample_name(number)
        if is_remote(self.folder):
            if is_http(self.folder):
                parts = urlsplit(self.folder)
                return urlunsplit((parts.scheme, parts.netloc, parts.path + stem + self.suffix, parts.query, ""))
            return self.folder + stem + self.suffix
        for suffix in SUFFIXES:
            path = local_path(self.folder) + stem + suffix
            if os.path.exists(path):
                return path
        return local_path(self.folder) + stem + SUFFIXES[0]


class Files:
    """The files of some splits, one after another: row of the dataset -> file."""

    def __init__(self, splits: Sequence[SplitFiles]) -> None:
        self.splits = tuple(splits)
        self.edges = list(accumulate((split.count for split in splits), initial=0))

    def place(self, row: int) -> tuple[SplitFiles, int]:
        """The split of a row, and the sample's number in it."""
        owner = bisect_right(self.edges, row) - 1
        return self.splits[owner], row - self.edges[owner]

    def url(self, row: int) -> str:
        """URL or path of the file of a row."""
        split, number = self.place(row)
        return split.url(number)

    def id(self, row: int) -> str:
        """Id of a row's sample: its split and its name, for names are of one split alone."""
        split, number = self.place(row)
        return f"{split.name}-{sample_name(number)}"

    def __len__(self) -> int:
        return self.edges[-1]


def rows_to_look_at(files: Files) -> NDArray[np.int64]:
    """Rows evenly over each split, its first and its last among them."""
    chosen = [
        np.linspace(first, first + split.count - 1, min(LOOK_AT, split.count)).round().astype(np.int64)
        for split, first in zip(files.splits, files.edges, strict=False)
        if split.count
    ]
    return np.unique(np.concatenate(chosen)) if chosen else np.zeros(0, np.int64)


def find_suffix(split: SplitFiles, fetcher: Fetcher) -> str:
    """Suffix of the files of a remote split, from its first sample: gzip, which all versions wrote unless told not to.

    Raises
    ------
    MissingFileError
        If there is neither.
    """
    for suffix in SUFFIXES:
        try:
            fetcher.file_size(SplitFiles(split.name, split.folder, 1, suffix=suffix).url(0))
        except MissingFileError:
            if suffix == SUFFIXES[-1]:
                raise
        else:
            return suffix
    return SUFFIXES[0]


def read_samples(urls: Sequence[str], fetcher: Fetcher) -> list[SampleFile]:
    """Read whole files, and unpack them."""
    if urls and is_remote(urls[0]):
        future = fetcher.submit_files(urls, limit_bytes=LIMIT_BYTES)
        try:
            stored = result_of(future)
        except BaseException:
            future.cancel()  # Ctrl-C: what is under way must not go on
            raise
    else:
        stored = [_read_local(url) for url in urls]
    return open_samples(stored, urls)


def open_samples(stored: Sequence[bytes], urls: Sequence[str]) -> list[SampleFile]:
    """Unpack files that were read; an error says of which it is."""
    found = []
    for data, url in zip(stored, urls, strict=True):
        with _told(url):
            found.append(open_sample(data, name=redact(url)))
    return found


def _read_local(path: str) -> bytes:
    with _told(path):
        return read_bytes(path, limit_bytes=LIMIT_BYTES)


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Say in an error which file it is of, for whoever knows which sample that is."""
    try:
        yield
    except MlstacError as error:
        vars(error).update(url=redact(url))
        raise
