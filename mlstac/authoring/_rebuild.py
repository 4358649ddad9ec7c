"""Catalogs and collection made anew, of what is left."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from mlstac.authoring._adopt import adopt
from mlstac.authoring._base import find_base
from mlstac.authoring._commit import commit
from mlstac.authoring._depot import COLLECTION
from mlstac.authoring._description import Description
from mlstac.authoring._identity import Ids
from mlstac.authoring._journal import Journal, Run
from mlstac.authoring._ledger import Ledger, left_out
from mlstac.authoring._losses import find_lost, none_left, refuse_lost, say_lost
from mlstac.authoring._remains import Remains, shard_names
from mlstac.authoring._remote import open_target
from mlstac.authoring._session import Session
from mlstac.authoring._target import Target
from mlstac.collection import Collection
from mlstac.errors import CollectionError, MissingFileError, VersionError


@dataclass(frozen=True)
class Rebuilt:
    """What `rebuild` made, and of what."""

    collection: Collection
    """As written."""
    source: str
    """Where the rows are from: ``journal``, ``catalogs``, or ``shards``."""
    lost: list[str] = field(default_factory=list)
    """What could not be had again, in words; empty where nothing was lost."""


def rebuild(
    path: str | os.PathLike[str],
    *,
    drop_missing: bool = False,
    card: bool = True,
    storage_options: Mapping[str, Any] | None = None,
) -> Rebuilt:
    """Make the catalogs and the collection of a dataset anew, from what is left of it.

    Of the journal where it is there, for it has all rows; else of the parts that can be read; and for the rest of the
    shards alone, which know where their samples lie and nothing of place, time and columns. Shards are not touched,
    and nothing is removed: the parts take new numbers, and the collection is replaced last.

    Parameters
    ----------
    path : str or path-like
        Folder of the dataset, or its URL as `publish` takes it. From a store its shards are read once, one after
        another, for only the dataset's own folder has a journal.
    drop_missing : bool, default False
        Leave out the samples of shards that are gone or cut, and name them in what is lost; statistics, class counts
        and extent become those of the samples that are left. By default such a shard is an error, for it may be had
        from where the dataset was published or copied.
    card : bool, default True
        Write the dataset card anew, too, as `write` does.
    storage_options : mapping, optional
        For a URL, as `publish` takes them.

    Returns
    -------
    Rebuilt
        ``.lost`` names what is gone.

    Raises
    ------
    MissingFileError
        If there is nothing to make it of, or a shard is gone that the journal or a catalog has; with ``drop_missing``
        if all are.
    CatalogError
        If the shards are not as many samples as the collection says; with ``drop_missing`` if they are more.
    ShardError
        If a shard is damaged or cut, and is not left out; or is compressed and in no catalog.
    ExistsError
        If a writer is at work there.
    ChangedError
        If somebody changed the collection meanwhile.

    Notes
    -----
    A dataset that is whole comes out the same, with one part a million rows instead of one an append.

    A shard that was left out, and is put back later under its name, is taken in again by the next rebuild of the
    journal. Until then its name is given to no other.

    Examples
    --------
    >>> rebuild("flood").lost  # doctest: +SKIP
    []
    """
    target = open_target(path, storage_options)
    if not any(True for _ in shard_names(target)):
        target.close()
        raise MissingFileError(f"{target} holds no shards of a dataset; give its folder, or fetch them again")
    session = Session.to_rebuild(target)
    try:
        collection, found = _find(target, session, drop_missing=drop_missing)
        session.rebuild_of(found.runs, without=found.without)
    except BaseException:
        session.release()
        raise
    try:
        ledger = Ledger([*found.runs, session.run])
        description = Description(collection)
        if ledger.records:
            description.restore(ledger.records[-1].description)
            for name, tensor in collection.tensors.items():
                layout = description.tensors[name].layout if name in description.tensors else None
                description.tensors[name] = tensor.model_copy(deep=True, update={"layout": layout})
        splits = [*collection.splits, *(record.split for record in ledger.records)]
        written = commit(session, collection, description, splits=splits, card=card)
        session.finish()
    except BaseException:
        session.leave()
        raise
    return Rebuilt(written, found.source, found.lost)


@dataclass
class _Found:
    runs: list[Run]
    source: str
    lost: list[str]
    without: dict[int, list[int]] = field(default_factory=dict)
    """Places of the shards, by the number of their run, that are left out."""


def _find(target: Target, session: Session, *, drop_missing: bool) -> tuple[Collection, _Found]:
    lost: list[str] = []
    runs = Journal(target).runs()
    collection = _read_collection(target)
    if collection is None:
        for run in reversed(runs):
            if "collection" in run.settings and run.settings.get("finished"):
                collection = Collection.from_dict(run.settings["collection"])
                lost.append(f"what was edited in {COLLECTION} after it was written")
                break
    if collection is not None:
        base = _whole_base(runs, collection)
        if base is not None:
            without, dropped = _leave_out(target, base, drop_missing=drop_missing)
            return collection, _Found(base, "journal", lost + dropped, without)
    gathered = Remains(target, collection, drop_missing=drop_missing)
    shards = gathered.shards()
    collection = gathered.describe()
    run = adopt(target, collection, seen=session.seen, shards=iter(shards))
    source = "shards" if gathered.surveyed else "catalogs"
    return collection, _Found([run], source, lost + gathered.lost)


def _read_collection(target: Target) -> Collection | None:
    if not target.exists(COLLECTION):
        return None
    try:
        return Collection.from_json(target.read(COLLECTION))
    except CollectionError:
        return None


def _whole_base(runs: list[Run], collection: Collection) -> list[Run] | None:
    """The runs of the journal that wrote the dataset, if all of their fragments can be read."""
    try:
        base = find_base(runs, collection)
        if base is not None:
            for run in base:
                for at in range(len(run)):
                    run.rows(at)
    except VersionError:
        raise
    except (pa.ArrowException, OSError, KeyError, ValueError):
        return None
    return base


def _leave_out(target: Target, base: list[Run], *, drop_missing: bool) -> tuple[dict[int, list[int]], list[str]]:
    """The shards of the journal that the catalogs do without, by run and place, and what is lost with them in words.

    Raises
    ------
    MissingFileError, ShardError
        If shards are gone or cut that the dataset had, and they are not to be dropped; or if all are.
    """
    records = {(run.number, at): run.record(at) for run in base for at in range(len(run))}
    before = {(number, at) for number, places in left_out(base).items() for at in places}
    lost = find_lost(target, {record.name: record.size for record in records.values()})
    gone = {place: record for place, record in records.items() if record.name in lost and place not in before}
    reasons = {record.name: lost[record.name] for record in gone.values()}
    n_samples = sum(record.n_samples for record in gone.values())
    if not drop_missing:
        refuse_lost(target, reasons, of=len(records) - len(before), n_samples=n_samples)
    words = [say_lost(record.name, record.split, record.n_samples, lost[record.name]) for record in gone.values()]
    still = {place for place in before if records[place].name in lost}
    ids = Ids()
    for name in Ledger(base).ids() if before - still else ():
        ids.add(name)
    for number, at in sorted(before - still):  # they were put back
        record = records[number, at]
        again = next(run for run in base if run.number == number).rows(at, ["id"])["id"].to_pylist()
        if any(name in ids for name in again):
            still.add((number, at))
            reason = "is there again, but ids of its samples were given anew meanwhile"
            words.append(say_lost(record.name, record.split, record.n_samples, reason))
    without: dict[int, list[int]] = {}
    for number, at in sorted([*gone, *still]):
        without.setdefault(number, []).append(at)
    if records and len(gone) + len(still) == len(records):
        raise none_left(target, len(records))
    return without, words
