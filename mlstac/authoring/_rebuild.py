"""Catalogs and collection made anew, of what is left."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from mlstac.authoring._adopt import Shard, adopt, inside, shards_of
from mlstac.authoring._base import find_base
from mlstac.authoring._catalog_file import open_catalog
from mlstac.authoring._commit import commit
from mlstac.authoring._depot import COLLECTION
from mlstac.authoring._description import Description
from mlstac.authoring._journal import Journal, Run
from mlstac.authoring._ledger import Ledger
from mlstac.authoring._marks import SHARD, split_files
from mlstac.authoring._remote import open_target
from mlstac.authoring._session import Session
from mlstac.authoring._shapes import Unseen, join_shapes, looser
from mlstac.authoring._survey import Surveyed, survey
from mlstac.authoring._target import Target
from mlstac.collection import Collection, Tensor
from mlstac.errors import CatalogError, CollectionError, MissingFileError, ShardError


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
    path: str | os.PathLike[str], *, card: bool = True, storage_options: Mapping[str, Any] | None = None
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
        If there is nothing to make it of, or a shard is gone that the journal has.
    CatalogError
        If the shards are not as many samples as the collection says.
    ShardError
        If a shard is damaged or cut, or compressed and in no catalog.
    ExistsError
        If a writer is at work there.
    ChangedError
        If somebody changed the collection meanwhile.

    Notes
    -----
    A dataset that is whole comes out the same, with one part a million rows instead of one an append.

    Examples
    --------
    >>> rebuild("flood").lost  # doctest: +SKIP
    []
    """
    target = open_target(path, storage_options)
    if not any(True for _ in _shard_names(target)):
        target.close()
        raise MissingFileError(f"{target} holds no shards of a dataset; give its folder, or fetch them again")
    session = Session.to_rebuild(target)
    try:
        collection, found = _find(target, session)
        session.rebuild_of(found.runs)
    except BaseException:
        session.release()
        raise
    try:
        ledger = Ledger(found.runs)
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


def _find(target: Target, session: Session) -> tuple[Collection, _Found]:
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
            _check_shards(target, base)
            return collection, _Found(base, "journal", lost)
    gathered = _Gathered(target, collection)
    shards = list(gathered.shards())
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
                    run.rows(at, ["id"])
    except (pa.ArrowException, OSError, KeyError, ValueError):
        return None
    return base


def _check_shards(target: Target, runs: list[Run]) -> None:
    """Raise if a shard of the journal is gone or cut: catalogs made of its rows would name bytes that nobody has."""
    records = [record for run in runs for record in run.records()]
    again = "put back what was written, and rebuild again; nothing was changed"
    gone = [record.name for record in records if not target.exists(record.name)]
    if gone:
        raise MissingFileError(f"{target} lacks {len(gone)} of its {len(records)} shards: {_some(gone)}; {again}")
    cut = [record.name for record in records if target.size(record.name) != record.size]
    if cut:
        raise ShardError(f"shards of {target} are not of the size that they were written in: {_some(cut)}; {again}")


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _shard_names(target: Target) -> Iterator[tuple[str, str]]:
    """Split and name of every file that is called as a shard is, in order of number."""
    found = []
    for name in split_files(target):
        last = name.rpartition("/")[2]
        if "/" in name and SHARD.fullmatch(last):
            found.append((name.partition("/")[0], int(last.partition(".")[0]), name))
    yield from ((split, name) for split, _, name in sorted(found))


class _Gathered:
    """Rows of all shards: of the parts that can be read, and for the rest of the shards."""

    def __init__(self, target: Target, collection: Collection | None) -> None:
        self._target = target
        self._collection = collection
        self._seen: dict[str, list[Surveyed]] = {}
        self.surveyed = 0
        self.lost: list[str] = []

    def shards(self) -> Iterator[Shard]:
        by_split: dict[str, list[str]] = {}
        for split, name in _shard_names(self._target):
            by_split.setdefault(split, []).append(name)
        for split, names in by_split.items():
            wanted = None
            if self._collection is not None:
                if split not in self._collection.splits:
                    continue
                wanted = self._collection.splits[split].n_items
            yield from self._of_split(split, names, wanted)

    def _of_split(self, split: str, names: list[str], wanted: int | None) -> list[Shard]:
        known = self._from_parts(split)
        rows = sum(map(len, known.values()))
        if wanted is not None and rows == wanted:
            return [(split, name, some) for name, some in known.items()]
        described = self._collection.tensors if self._collection is not None else {}
        found: list[tuple[str, pa.Table, Surveyed | None]] = []
        first = 0
        for name in names:
            if name in known:
                found.append((name, known[name], None))
            else:
                one = survey(self._target, split, name, first=first, tensors=described)
                found.append((name, one.rows, one))
            first += len(found[-1][1])
        if wanted is not None:
            found = self._fitting(split, found, wanted)
        surveyed = [one for _, _, one in found if one is not None]
        self._seen.setdefault(split, []).extend(surveyed)
        self._say_lost(split, surveyed)
        return [(split, name, some) for name, some, _ in found]

    def _fitting(
        self, split: str, found: list[tuple[str, pa.Table, Surveyed | None]], wanted: int
    ) -> list[tuple[str, pa.Table, Surveyed | None]]:
        """The shards that are as many samples as the collection says: all of them, or the last ones.

        What was overwritten has lower numbers than what took its place.
        """
        total = 0
        for at in range(len(found) - 1, -1, -1):
            total += len(found[at][1])
            if total == wanted:
                return found[at:]
        has = sum(len(some) for _, some, _ in found)
        raise CatalogError(
            f"the shards of split {split!r} in {self._target} hold {has} samples, but the collection says {wanted};"
            " fetch the shards that are missing, or take out those that do not belong to it"
        )

    def _from_parts(self, split: str) -> dict[str, pa.Table]:
        """Rows of each shard of the parts that can be read and whose shards are there as they say."""
        known: dict[str, pa.Table] = {}
        if self._collection is None:
            return known
        for asset in (self._collection.assets[name] for name in self._collection.splits[split].assets):
            file = inside(split, asset.href, base="")
            if asset.size is not None and self._target.size(file) != asset.size:
                continue
            try:
                with self._target.local(file) as path, open_catalog(path, name=self._target.at(file)) as parquet:
                    rows = parquet.read()
            except (OSError, pa.ArrowException, CatalogError):
                continue
            known |= {inside(split, href, base=file): some for href, some in shards_of(rows)}
        return known

    def _say_lost(self, split: str, surveyed: list[Surveyed]) -> None:
        n = sum(len(one.rows) for one in surveyed)
        if not n:
            return
        self.surveyed += n
        self.lost.append(f"places, times and columns of {n} samples of split {split!r}")
        nameless = sum(len(one.rows) for one in surveyed if not one.has_ids)
        if nameless:
            self.lost.append(f"ids of {nameless} samples of split {split!r}, which are called by their numbers now")
        for name in dict.fromkeys(name for one in surveyed for name in one.doubtful):
            self.lost.append(f"which samples of split {split!r} lack the tensor {name!r}: it is empty in them now")

    def describe(self) -> Collection:
        """The collection: the one that is there, or what the shards show of one."""
        if self._collection is not None:
            return self._collection
        tensors: dict[str, Tensor] = {}
        surveyed = [one for some in self._seen.values() for one in some]
        for one in surveyed:
            for name, tensor in one.tensors.items():
                tensors[name] = self._joined(name, tensors[name], tensor) if name in tensors else tensor
        for name in tensors:
            if not all(name in one.tensors for one in surveyed):
                tensors[name] = tensors[name].model_copy(update={"required": False})
        self.lost.insert(
            0,
            f"all that {COLLECTION} said: title, description, licence, people, tasks; and of the tensors axes, bands,"
            " classes, roles, nodata and media types",
        )
        return Collection(id=self._target.name or "dataset", tensors=tensors)

    def _joined(self, name: str, some: Tensor, more: Tensor) -> Tensor:
        """What one tensor is in two shards."""
        if some.dtype != more.dtype:
            raise ShardError(
                f"the shards of {self._target} are of several datasets: {name!r} is {some.dtype} in one and"
                f" {more.dtype} in another; take out those that do not belong to it"
            )
        shape = join_shapes(some.shape, more.shape)
        return Tensor(
            dtype=some.dtype,
            shape=None if isinstance(shape, Unseen) else shape,
            layout=looser(some.layout or "stacked", more.layout or "stacked"),  # type: ignore[arg-type]
            required=some.required and more.required,
        )
