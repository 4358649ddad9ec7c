"""What lies in a dataset's folder that nothing names: superseded shards and parts, and leftovers of broken runs."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pyarrow as pa

from mlstac.authoring._adopt import inside
from mlstac.authoring._age import parse_age, say_age, young_among
from mlstac.authoring._base import find_base, named_parts
from mlstac.authoring._catalog_file import CatalogFile, open_catalog
from mlstac.authoring._depot import COLLECTION
from mlstac.authoring._journal import JOURNAL, PARTS, PRIVATE, Journal, Run
from mlstac.authoring._journals_there import sort_journals
from mlstac.authoring._lock import Lock
from mlstac.authoring._marks import PART, SHARD, is_ours, is_temporary, last_of, split_files
from mlstac.authoring._remote import open_target
from mlstac.authoring._session import is_in_use
from mlstac.authoring._target import Target
from mlstac.collection import Collection, say_bytes, say_count
from mlstac.errors import CatalogError, ChangedError, MissingFileError
from mlstac.storage import is_remote, say_missing


@dataclass(frozen=True)
class Garbage:
    """What `gc` found."""

    files: dict[str, int] = field(repr=False)
    """Bytes of each file that was removed, or would be, by its name in the dataset's folder."""
    kept: list[str]
    """What was left where it is though nothing names it, and why."""
    dry_run: bool
    """Whether nothing was removed."""
    young: dict[str, int] = field(default_factory=dict, repr=False)
    """Bytes of each file that nothing names, and that was left because it is young."""

    def __repr__(self) -> str:
        names = [repr(name) for name in list(self.files)[:3]] + ["…"] * (len(self.files) > 3)
        count = f"{say_count(len(self.files), 'file')}, {say_bytes(self.nbytes)}"
        files = f"{count}: {', '.join(names)}" if self.files else "no files"
        young = f", {len(self.young)} young" if self.young else ""
        return f"Garbage({files}{young}, kept={self.kept}, dry_run={self.dry_run})"

    @property
    def nbytes(self) -> int:
        """Bytes of all of them."""
        return sum(self.files.values())


def gc(
    path: str | os.PathLike[str],
    *,
    dry_run: bool = False,
    unfinished: bool = False,
    older_than: str | timedelta | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> Garbage:
    """Remove the files of a dataset that nothing names any more.

    Those are shards and parts of catalogs that ``overwrite=True``, an append with a new column or a rebuild has
    superseded, and what broken runs have left. Only what mlstac has written is removed, by its own mark in the file
    or by the journal; a file that anybody else has put there stays, whatever it is called. Who still reads an old
    state loses it: call it when nobody does.

    Parameters
    ----------
    path : str or path-like
        Folder of the dataset, or its URL as `publish` takes it.
    dry_run : bool, default False
        Only say what would be removed.
    unfinished : bool, default False
        Remove a broken run that the same call could still go on with, too.
    older_than : str or timedelta, optional
        Leave files that were written later than so long ago: ``"90min"``, ``"12h"``, ``"7d"``. By default ``"1d"`` at a
        store, and ``"0s"`` in a folder and at the Hub; see the notes.
    storage_options : mapping, optional
        For a URL, as `publish` takes them.

    Returns
    -------
    Garbage
        ``.files``, ``.nbytes``, and ``.kept`` with the reasons; ``.young`` are the files left for their age.

    Raises
    ------
    ExistsError
        If a writer is at work there: what it holds looks like garbage until it ends. Of a URL, on this machine; see
        the notes.
    MissingFileError
        If the folder holds neither a dataset nor an unfinished one, nor what is called as files of one are.
    CatalogError
        If a part that the collection names cannot be read: nobody can say which shards are in use.
    ChangedError
        If somebody changed the collection meanwhile; nothing is removed then.

    Notes
    -----
    At a store nobody sees a writer on another machine, nor a broken run of one: its shards look like garbage until its
    collection names them. What is young is therefore left: let ``older_than`` be longer than any writing there takes.
    Should a shard be removed that was older, its writer is refused at its end rather than naming what is gone, and the
    same call writes it again. The journals of `write_parts` at a store go when they are that old, with their shards; so
    does a journal that was copied there with a dataset. Ages are by this machine's clock and the store's times; what
    ``unfinished=True`` gives up goes at any age, with the parts of the same call from another machine.

    In a folder every writer holds a lock, and at the Hub a file and the collection that names it come by one commit:
    nothing there is about to be named, and age says nothing.

    Examples
    --------
    >>> gc("flood", dry_run=True).files  # doctest: +SKIP
    """
    age = None if older_than is None else parse_age(older_than)
    target = open_target(path, storage_options)
    if not target.exists(COLLECTION) and not target.exists(PRIVATE) and not _has_remains(target):
        target.close()
        raise MissingFileError(f"{target} holds no dataset ({COLLECTION}), nor one that was begun; give its folder")
    if not target.exists(PRIVATE):  # no writer can be at work here
        try:
            return _collect(target, dry_run=dry_run, unfinished=unfinished, age=age)
        finally:
            target.tidy()
    lock = Lock(target.path(f"{PRIVATE}/lock"))
    try:
        lock.acquire()
    except BaseException:
        target.close()
        raise
    try:
        target.refresh(None)
        return _collect(target, dry_run=dry_run, unfinished=unfinished, age=age)
    finally:
        if is_remote(path) and not dry_run and all(run.settings.get("finished") for run in Journal(target).runs()):
            target.settle()  # what is left of a journal here would be read anew
        target.tidy()
        lock.release()
        for folder in (JOURNAL, PRIVATE, ""):
            if folder or is_remote(path):  # a working folder of which nothing is left
                target.remove_folder_if_empty(folder)


def _collect(target: Target, *, dry_run: bool, unfinished: bool, age: timedelta | None) -> Garbage:
    age = parse_age(target.default_age) if age is None else age
    seen = target.digest(COLLECTION)
    collection = Collection.from_json(target.read(COLLECTION)) if target.exists(COLLECTION) else None
    used = set() if collection is None else _named(target, collection)
    runs, kept = Journal(target).runs(tidy=False), []
    standing, broken = _sort_runs(target, runs, collection)
    if broken is not None and not unfinished:
        standing |= {broken.number, *broken.settings.get("base", [])}
        records = [record for at in range(len(broken)) if (record := broken.record_if_whole(at)) is not None]
        used |= {record.name for record in records}
        kept.append(
            f"an unfinished run with {sum(record.n_samples for record in records)} samples in whole shards,"
            " which the same call goes on with; unfinished=True (--unfinished) removes it"
        )
    gone = [run for run in runs if run.number not in standing]
    journals = sort_journals(
        target,
        young=lambda names: young_among(target, names, age),
        standing={str(run.settings.get("part_journals")) for run in runs if run.number in standing},
        given_up={str(run.settings.get("part_journals")) for run in gone},
    )
    used |= journals.held
    known = {name for run in runs for name in run.known_shards()} | journals.shards | journals.young
    # The writer of what is given up would hold the lock that is held here.
    given_up = journals.given_up | (set(broken.known_shards()) if broken and unfinished else set())
    private, found = set(_private_files(target, gone, runs)), []
    for name in split_files(target):
        if name in used:
            continue
        if is_temporary(name) or name in known or (collection is not None and is_ours(target, name, collection)):
            found.append(name)
        elif SHARD.fullmatch(last_of(name)) or PART.fullmatch(last_of(name)):
            kept.append(f"{name}, which does not bear mlstac's mark" if collection is not None else _orphan(name))
    too_young = young_among(target, (name for name in found if name not in given_up), age)
    too_young |= journals.young.intersection({*found, *target.private_there})
    sizes = {name: target.size(name) or 0 for name in (*private, *found)} | dict(target.private_there)
    young = {name: sizes[name] for name in sorted(too_young)}
    files = {name: sizes[name] for name in sorted((*private, *found, *journals.abandoned)) if name not in young}
    if young:
        kept.append(
            f"{say_count(len(young), 'file')} ({say_bytes(sum(young.values()))}) younger than {say_age(age)};"
            " older_than='0s' (--older-than 0s) takes them too, where nobody is writing"
        )
    if not dry_run:
        for run in gone:
            for part in target.names(f"{PARTS}/{run.number:05d}"):
                _check_idle(target, f"{PARTS}/{run.number:05d}/{part}/{PRIVATE}/lock")
        if target.digest(COLLECTION) != seen:  # what looked like garbage may be named now
            raise ChangedError(
                f"{target.at(COLLECTION)} was changed by somebody else meanwhile, and nothing is removed; make the same"
                " call again"
            )
        # Broken off here, the next call finds what is left by the journals that tell of it: they go after it.
        hidden = {*private, *journals.abandoned}
        target.remove_all([name for name in files if name not in hidden], there_alone=journals.abandoned)
        for run in gone:
            run.discard(shards=False)
        target.remove_all(name for name in files if name in private)
        for folder in sorted({name.rpartition("/")[0] for name in files}, key=len, reverse=True):
            while folder:
                target.remove_folder_if_empty(folder)
                folder = folder.rpartition("/")[0]
    return Garbage(files, kept, dry_run, young)


def _has_remains(target: Target) -> bool:
    """Whether there are journals at a store, or files that are called as ours are."""
    return bool(target.private_there) or any(
        "/" in name and (is_temporary(name) or SHARD.fullmatch(last_of(name)) or PART.fullmatch(last_of(name)))
        for name in split_files(target)
    )


def _orphan(name: str) -> str:
    return f"{name}, for there is no {COLLECTION} to say whether it is in use; mlstac.rebuild(path) may make it anew"


def _named(target: Target, collection: Collection) -> set[str]:
    """Files that the collection names, and the shards that its parts name."""
    used = {f"{split}/catalog.json" for split in collection.splits}
    for asset in collection.assets.values():
        used.add(asset.href.removeprefix("./"))
    for split, part in collection.splits.items():
        for asset in (collection.assets[name] for name in part.assets):
            file = inside(split, asset.href, base="")
            try:
                with target.local(file) as path, open_catalog(path, name=target.at(file)) as parquet:
                    used |= {inside(split, href, base=file) for href in _hrefs(parquet)}
            except (OSError, pa.ArrowException) as error:
                if target.size(file) is None and (said := say_missing(target.root, split)):
                    raise MissingFileError(f"{said}; nobody can say otherwise which shards are in use") from error
                raise CatalogError(
                    f"the catalog part {target.at(file)} cannot be read ({error}), and without it nobody can say"
                    " which shards are in use; fetch it again, or make it anew with mlstac.rebuild(path)"
                ) from error
    return used


def _hrefs(parquet: CatalogFile) -> Iterator[str]:
    columns = [f"assets.{asset.name}.href" for asset in parquet.schema.field("assets").type]
    for group in range(len(parquet.groups)):
        assets = parquet.read(columns, [group])["assets"]
        for chunk in assets.chunks:
            for at in range(chunk.type.num_fields):
                yield from (href for href in chunk.field(at).field("href").unique().to_pylist() if href)


def _sort_runs(target: Target, runs: list[Run], collection: Collection | None) -> tuple[set[int], Run | None]:
    """Numbers of the runs that the collection was made of, and the broken one that can be gone on with."""
    seen = target.digest(COLLECTION)
    base = None if collection is None else find_base(runs, collection)
    standing = {run.number for run in base or []}
    last = runs[-1] if runs else None
    if last is None or last.settings.get("finished") or last.number in standing:
        return standing, None
    if is_in_use(target, last, seen):
        return standing | {last.number, *last.settings.get("base", [])}, None
    if last.settings.get("appends"):
        goes_on = len(last) > 0 and collection is not None and last.settings["parts_before"] == named_parts(collection)
    else:
        goes_on = last.settings["replaces"] == seen
    return standing, last if goes_on else None


def _private_files(target: Target, gone: Iterable[Run], runs: Iterable[Run]) -> Iterator[str]:
    """Files of the journal that no run needs, and of parts that nobody will go on with."""
    numbers = {run.number for run in runs}
    for name in target.names(JOURNAL):
        folder = f"{JOURNAL}/{name}"
        if name.isdigit() and (int(name) not in numbers or int(name) in {run.number for run in gone}):
            yield from (f"{folder}/{inner}" for inner in target.names(folder))
        elif name.isdigit():
            yield from (f"{folder}/{inner}" for inner in target.names(folder) if is_temporary(inner))
    for run in gone:
        root = target.path(f"{PARTS}/{run.number:05d}")
        yield from (str(file.relative_to(target.root)) for file in root.rglob("*") if file.is_file())


def _check_idle(target: Target, name: str) -> None:
    """Raise ExistsError where a worker is still writing a part of a run that is to be removed."""
    if target.exists(name):
        lock = Lock(target.path(name))
        lock.acquire()
        lock.release()
