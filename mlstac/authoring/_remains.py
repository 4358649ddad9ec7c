"""What is left of a dataset without its journal: rows of the catalog parts that can be read, and shards."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from mlstac.authoring._adopt import Shard, inside, shards_of
from mlstac.authoring._catalog_file import open_catalog
from mlstac.authoring._depot import COLLECTION
from mlstac.authoring._identity import numbers_after
from mlstac.authoring._losses import find_lost, none_left, refuse_lost, say_lost
from mlstac.authoring._marks import SHARD, last_of, split_files
from mlstac.authoring._shapes import Unseen, join_shapes, looser
from mlstac.authoring._survey import Surveyed, survey
from mlstac.authoring._target import Target
from mlstac.collection import Collection, Tensor, say_count
from mlstac.errors import CatalogError, ShardError
from mlstac.sample import codec_of

_PART_FOLDER: Final = re.compile(r"\d{5}")
_NO_PART: Final = 100_000


def shard_names(target: Target) -> Iterator[tuple[str, str]]:
    """Split and name of every file that is called as a shard is, in order of number."""
    found = (name for name in split_files(target) if "/" in name and SHARD.fullmatch(last_of(name)))
    yield from sorted(((name.partition("/")[0], name) for name in found), key=lambda one: (one[0], _place(one[1])))


def _place(name: str) -> tuple[int, int, str]:
    """What a shard is sorted by in its split: its number, after those that workers gave in folders of their parts."""
    folder = name.split("/")[1]
    part = int(folder) if _PART_FOLDER.fullmatch(folder) else _NO_PART
    return part, int(last_of(name).partition(".")[0]), name


def _size(rows: pa.Table) -> int:
    """Bytes of the shard, as its rows have it."""
    assets = rows["assets"].combine_chunks()
    sizes = (assets.field(at).field("file:size") for at in range(assets.type.num_fields))
    return next(int(size) for some in sizes if (size := pc.max(some).as_py()) is not None)


class _Rows(NamedTuple):
    """What is known of one shard."""

    name: str
    rows: pa.Table
    surveyed: Surveyed | None
    """None where the rows are a catalog part's."""


class Remains:
    """Rows of all shards: of the parts that can be read, and for the rest of the shards.

    Parameters
    ----------
    target : Target
    collection : Collection, optional
        The one that is there, as far as it is.
    drop_missing : bool
        Leave out the samples of shards that are gone or cut.
    """

    def __init__(self, target: Target, collection: Collection | None, *, drop_missing: bool) -> None:
        self._target = target
        self._collection = collection
        self._drop_missing = drop_missing
        self._seen: dict[str, list[Surveyed]] = {}
        self.surveyed = 0
        self.lost: list[str] = []

    def shards(self) -> list[Shard]:
        """Split, name and rows of each shard that is there, in the order of the samples.

        Raises
        ------
        MissingFileError, ShardError, CatalogError
            As `rebuild` does.
        """
        by_split: dict[str, list[str]] = {}
        if self._collection is not None:
            by_split = {split: [] for split, part in self._collection.splits.items() if part.n_items}
        for split, name in shard_names(self._target):
            if self._collection is None or split in by_split:
                by_split.setdefault(split, []).append(name)
        found = {split: self._of_split(split, names) for split, names in sorted(by_split.items())}
        lost = self._lost_of(found)
        kept = [(split, one) for split, rows in found.items() for one in rows if one.name not in lost]
        if not kept:
            raise none_left(self._target, len(lost))
        for split in found:
            self._say_lost(split, [one.surveyed for name, one in kept if name == split and one.surveyed is not None])
        return [(split, one.name, one.rows) for split, one in kept]

    def _lost_of(self, found: Mapping[str, Sequence[_Rows]]) -> dict[str, str]:
        """Shards that parts of the catalogs know and that are not there as those say: what is wrong, by name."""
        known = {one.name: (split, one.rows) for split, rows in found.items() for one in rows if one.surveyed is None}
        lost = find_lost(self._target, {name: _size(rows) for name, (_, rows) in known.items()})
        n_samples = {name: len(known[name][1]) for name in lost}
        if not self._drop_missing:
            refuse_lost(self._target, lost, of=sum(map(len, found.values())), n_samples=sum(n_samples.values()))
        self.lost += [say_lost(name, known[name][0], n_samples[name], reason) for name, reason in lost.items()]
        return lost

    def _of_split(self, split: str, names: list[str]) -> list[_Rows]:
        wanted = None if self._collection is None else self._collection.splits[split].n_items
        known = self._from_parts(split)
        if wanted is not None and sum(map(len, known.values())) == wanted:
            return [_Rows(name, some, None) for name, some in known.items()]
        found: list[_Rows] = []
        first = 0
        for name in sorted({*names, *known}, key=_place):
            if name in known:
                found.append(_Rows(name, known[name], None))
                taken = numbers_after(known[name]["id"].to_pylist(), {split: 0})[split]
            else:
                one = self._survey(split, name, first=first)
                if one is None:
                    continue
                found.append(_Rows(name, one.rows, one))
                taken = 0
            first = max(first + len(found[-1].rows), taken)
        return found if wanted is None else self._fitting(split, found, wanted)

    def _survey(self, split: str, name: str, *, first: int) -> Surveyed | None:
        """What the shard alone says; None of a damaged one that is left out."""
        described = self._collection.tensors if self._collection is not None else {}
        try:
            return survey(self._target, split, name, first=first, tensors=described)
        except ShardError as error:
            if codec_of(name) is not None:  # whole, for all that is known
                raise
            if not self._drop_missing:
                raise ShardError(f"{error}; or give drop_missing=True to leave its samples out") from error
            self.lost.append(f"all samples of the shard {name} of split {split!r}, left out: {error}")
            return None

    def _fitting(self, split: str, found: list[_Rows], wanted: int) -> list[_Rows]:
        """The shards that are as many samples as the collection says: all of them, or the last ones.

        What was overwritten has lower numbers than what took its place.
        """
        total = 0
        for at in range(len(found) - 1, -1, -1):
            total += len(found[at].rows)
            if total == wanted:
                return found[at:]
        if total < wanted and self._drop_missing:
            self.lost.append(
                f"{say_count(wanted - total, 'sample')} of split {split!r}, which no shard holds; if the dataset was"
                " overwritten once and not cleared up, some of those that are left may be of its old state"
            )
            return found
        mend = "fetch the shards that are missing, or take out those that do not belong to it"
        if total < wanted:
            mend += f"; or give drop_missing=True to go without {say_count(wanted - total, 'sample')}"
        raise CatalogError(
            f"the shards of split {split!r} in {self._target} hold {total} samples, but the collection says {wanted};"
            f" {mend}"
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
        self._seen.setdefault(split, []).extend(surveyed)
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
