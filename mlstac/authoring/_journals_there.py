"""Journals that lie at a store: those of parts that workers write, and such as were copied there with a dataset."""

import re
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from mlstac.authoring._journal import record_of
from mlstac.authoring._marks import SHARD, is_temporary, last_of
from mlstac.authoring._target import Target
from mlstac.errors import MissingFileError, StorageError, VersionError

_OURS: Final = re.compile(r"run\.json|\d{6}\.parquet|lock")
_LINE: Final = re.compile(r"\.mlstac/parts/[0-9a-f]{16}/\d{5,}/\d{5,}/\d{6}\.parquet")


@dataclass
class JournalsThere:
    """What is to become of them."""

    abandoned: list[str] = field(default_factory=list)
    """Files of those that nobody goes on with."""
    young: set[str] = field(default_factory=set)
    """Files of those that a worker elsewhere may be at, and the shards that they tell of."""
    shards: set[str] = field(default_factory=set)
    """Shards that the abandoned ones tell of."""
    given_up: set[str] = field(default_factory=set)
    """Those of them that belonged to a run on this machine: they may be of any age."""
    held: set[str] = field(default_factory=set)
    """Shards that those tell of which this machine can go on with."""


def sort_journals(
    target: Target,
    *,
    young: Callable[[Iterable[str]], set[str]],
    standing: Container[str],
    given_up: Container[str],
) -> JournalsThere:
    """Tell the journals at a store apart by their age: each with all of its lines, so that none is left half.

    Parameters
    ----------
    young : callable
        Those of some files that are too young to be taken.
    standing, given_up : container of str
        Folders of journals that belong to a run on this machine which can be gone on with, or which is given up.
    """
    folders: dict[str, list[str]] = {}
    for name in target.private_there:
        last = last_of(name)
        if _OURS.fullmatch(last) or SHARD.fullmatch(last) or is_temporary(name):
            folders.setdefault("/".join(name.split("/")[:3]), []).append(name)
    found = JournalsThere()
    too_young = young(name for names in folders.values() for name in names)
    for folder, names in sorted(folders.items()):
        if folder in standing:
            found.held |= set(_told(target, names))
        elif folder not in given_up and too_young.intersection(names):
            found.young |= {*names, *_told(target, names)}
        else:
            told = set(_told(target, names))
            found.shards |= told
            if folder in given_up:
                found.given_up |= told
            found.abandoned += sorted(names, key=lambda name: (not name.endswith("run.json"), name))
    return found


def _told(target: Target, names: Iterable[str]) -> Iterator[str]:
    """Names of the shards that the lines of a part's journal tell of.

    A line that cannot be had is an error: the shards that it tells of would be taken for nobody's.
    """
    for name in names:
        if _LINE.fullmatch(name):
            try:
                with target.open(name) as file:
                    record = record_of(pq.read_schema(file), name=target.at(name))
            except MissingFileError:  # the part was taken in since, or given up
                continue
            except (StorageError, VersionError):
                raise
            except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException):
                continue  # no line of a journal: it tells of none
            if SHARD.fullmatch(last_of(str(record.name))):
                yield record.name
