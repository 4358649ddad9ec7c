"""A dataset written in parts, each apart: in threads, in processes, or on the machines of a cluster.

Each part is an authoring of its own under ``.mlstac/parts/``, with its own journal and lock. As a part becomes whole,
in the order of the parts, its shards take their names in the dataset and its rows go into the dataset's journal; the
commit then is that of any authoring. Nothing is copied: a shard is written once and renamed.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import dataclass, replace
from pickle import PicklingError
from typing import Any, Final

import pyarrow as pa

from mlstac.authoring._commit import commit
from mlstac.authoring._description import Description
from mlstac.authoring._identity import Ids
from mlstac.authoring._iterables import each_sample
from mlstac.authoring._journal import PARTS, Journal, Run, ShardRecord
from mlstac.authoring._progress import Progress
from mlstac.authoring._properties import Properties
from mlstac.authoring._samples import ChangedSamplesError
from mlstac.authoring._session import Session
from mlstac.authoring._shard import shard_name
from mlstac.authoring._splitting import Splitting, read_splitting
from mlstac.authoring._target import Target
from mlstac.authoring._write import as_collection
from mlstac.authoring._writer import Writer
from mlstac.collection import Collection, check_split_name
from mlstac.errors import InvalidArgumentError, InvalidSampleError, StorageError

Part = Callable[[], Iterable[Any]]

_WHOLE: Final = "whole"


@dataclass(frozen=True)
class _Job:
    """What a worker is sent: all that it takes to write one part."""

    name: str
    """Folder of the part under the run's."""
    split: str
    number: int
    """Of the part in its split; ids of samples that have none hold it."""
    part: Part
    splitting: Splitting | None
    batched: bool
    path: str
    """Of the part's folder."""
    home: str
    """Of the dataset's."""
    collection: Collection
    options: dict[str, Any]

    @property
    def what(self) -> str:
        return f"part {self.number} of split {self.split!r}" if self.splitting is None else f"part {self.number}"


def write_parts(
    parts: Sequence[Part] | Mapping[str, Sequence[Part]],
    path: str | os.PathLike[str],
    collection: Collection | Mapping[str, Any] | None = None,
    *,
    executor: Executor | None = None,
    shard_size: int | str = "256MB",
    layout: str = "auto",
    compression: str | None = None,
    split_by: str | Mapping[str, Any] | None = None,
    batched: bool = False,
    overwrite: bool = False,
    storage_options: Mapping[str, Any] | None = None,
    progress: bool | None = None,
    card: bool = True,
    **collection_fields: Any,
) -> Collection:
    """Write a dataset in parts, each on a thread, process or machine of its own.

    The samples are in the order of the parts, and within a part in its own order, whichever part ends first. A shard
    holds samples of one part. What was killed is gone on with by the same call: parts that are whole are not asked
    again, a part that was broken off goes on after its last whole shard.

    Parameters
    ----------
    parts : sequence of callables, or mapping of str to sequences of them
        Of the split ``train``, or of each split. A callable takes no argument and returns an iterable of samples. To
        go to another process it must be picklable: a function at the top of a module, or `functools.partial` of one.
    path : str or path-like
        Folder of the dataset. Every worker must see it under this path.
    collection : Collection or mapping, optional
        As for `write`. Describe the tensors in it where the first samples of two parts might not show the same.
    executor : concurrent.futures.Executor, optional
        Where the parts are written: a ``ThreadPoolExecutor``, a ``ProcessPoolExecutor``, or for a cluster
        ``dask.distributed.Client(...).get_executor()``. Without one they are written one after another, here. It is
        not shut down.
    shard_size, layout, compression, split_by, batched, overwrite, storage_options, progress, card
        As for `write`. ``split_by`` needs a sequence of parts, and divides the samples of each.
    **collection_fields
        Fields of a `Collection`.

    Returns
    -------
    Collection
        As written.

    Raises
    ------
    InvalidArgumentError, InvalidSampleError
        If the call or a sample cannot be meant, or two parts do not fit together; the other parts stay for the next
        call.
    StorageError
        If a worker died and its executor does not start the part again; the same call goes on.
    ExistsError
        If the path holds a dataset, or another writer is at work there.

    Notes
    -----
    The id of a sample that brings none is its split, the number of its part, and its number in the part:
    ``train-00003-0000042``. What a part's iterable raises comes out as it is, once the parts before it are taken in.

    Examples
    --------
    >>> parts = [functools.partial(read_scene, file) for file in files]  # doctest: +SKIP
    >>> with ProcessPoolExecutor(8) as executor:  # doctest: +SKIP
    ...     write_parts(parts, "flood", id="flood", license="CC-BY-4.0", executor=executor)
    """
    collection = as_collection(collection, collection_fields, path)
    by_split = _by_split(parts)
    splitting = read_splitting(split_by)
    if splitting is not None:
        if isinstance(parts, Mapping):
            raise InvalidArgumentError(
                "split_by divides the samples of all parts; give a list of parts, or leave split_by out"
            )
        collection = splitting.say(collection)
    options: dict[str, Any] = {"shard_size": shard_size, "layout": layout, "compression": compression}
    Target(path)  # a folder, for every worker is to see it
    whole = Writer(path, collection, overwrite=overwrite, storage_options=storage_options, **options)
    counts = {split: len(some) for split, some in by_split.items()}
    settings = {**whole.settings(), "parts": counts, "split_by": None if splitting is None else splitting.to_json()}
    session = Session(whole.target, settings=settings, overwrite=overwrite)
    try:
        folder, home = f"{PARTS}/{session.run.number:05d}", str(whole.target.root)
        jobs: list[_Job] = []
        for split, some in by_split.items():
            for number, part in enumerate(some):
                name = f"{len(jobs):05d}"
                place = str(whole.target.path(f"{folder}/{name}"))
                jobs.append(_Job(name, split, number, part, splitting, batched, place, home, collection, options))
        gathering = _Gathering(session, Description(collection, layout=layout), Progress(shown=progress))
        _write_all(jobs, gathering, executor)
        if not len(session.run):
            raise InvalidArgumentError("there was no sample in any part; give at least one")
        splits = [*by_split] if splitting is None else [*splitting.splits, *gathering.splits]
        written = commit(session, collection, gathering.description, splits=splits, card=card)
        session.finish()
    except BaseException:
        session.leave()
        raise
    return written


def _by_split(parts: Any) -> dict[str, list[Part]]:
    by_split = dict(parts) if isinstance(parts, Mapping) else {"train": parts}
    found: dict[str, list[Part]] = {}
    for split, some in by_split.items():
        check_split_name(split)
        if isinstance(some, str | bytes | Mapping) or callable(some) or not hasattr(some, "__iter__"):
            raise InvalidArgumentError(
                f"parts of {split!r} are of type {type(some).__name__}; give a list of callables, each of which returns"
                " an iterable of samples"
            )
        found[split] = list(some)
        for number, part in enumerate(found[split]):
            if not callable(part):
                raise InvalidArgumentError(
                    f"part {number} of split {split!r} is of type {type(part).__name__}; give a callable that returns"
                    " an iterable, e.g. functools.partial(read_scene, file)"
                )
    if not any(found.values()):
        raise InvalidArgumentError("there are no parts; give at least one callable that returns an iterable of samples")
    return found


# ---------------------------------------------------------------------- where the parts are written


def write_part(job: _Job) -> int:
    """Write one part, or what is left of it, in whatever process this is; the number of its samples."""
    target = Target(job.path)
    run = _whole_run(target)
    if run is None:
        try:
            _write(job)
        except ChangedSamplesError:
            # Not the samples that a killed attempt had written: nobody has seen those, so start afresh.
            for stale in Journal(target).runs():
                stale.discard(shards=True)
            _write(job)
        run = _whole_run(target)
        assert run is not None
    return sum(record.n_samples for record in run.records())


def _write(job: _Job) -> None:
    try:
        with Writer.of_part(job.path, job.collection, number=job.number, home=job.home, **job.options) as writer:
            for number, sample in enumerate(each_sample(job.part(), batched=job.batched)):
                split = job.split
                if job.splitting is not None:
                    split = job.splitting.split_of(sample, writer.tensors, number=number)
                writer.add(sample, split=split)
    except Exception as error:
        error.add_note(f"while writing {job.what}")
        raise


def _whole_run(target: Target) -> Run | None:
    """The run of a part that has all of its shards; None where it has not."""
    runs = Journal(target).runs()
    return runs[-1] if runs and runs[-1].settings.get(_WHOLE) else None


def _write_all(jobs: Sequence[_Job], gathering: "_Gathering", executor: Executor | None) -> None:
    """Have the parts written that are not, and take each in as its turn comes."""
    futures: dict[str, Future[int]] = {}
    try:
        waiting = [job for job in jobs if not gathering.has(job)]
        if executor is not None:
            for job in waiting:
                if _whole_run(Target(job.path)) is None:
                    futures[job.name] = executor.submit(write_part, job)
        for job in waiting:
            if executor is None:
                write_part(job)
            elif job.name in futures:
                _result(futures.pop(job.name), job)
            gathering.take_in(job)
    except BaseException:
        for future in futures.values():
            future.cancel()
        raise
    finally:
        gathering.progress.close()


def _result(future: "Future[int]", job: _Job) -> int:
    try:
        return future.result()
    except BrokenExecutor as error:
        raise StorageError(
            f"a worker died while the parts were being written ({error}); make the same call again: it goes on with"
            f" {job.what}, and parts that are whole are kept"
        ) from error
    except (PicklingError, AttributeError, TypeError) as error:
        if "pickle" not in str(error).lower():
            raise
        raise InvalidArgumentError(
            f"{job.what} cannot be sent to another process ({error}); give a function at the top of a module, or"
            " functools.partial of one"
        ) from error


# ---------------------------------------------------------------------- how they become one dataset


class _Gathering:
    """The dataset's own journal, and what all parts so far have in common."""

    def __init__(self, session: Session, description: Description, progress: Progress) -> None:
        self.session = session
        self.description = description
        self.progress = progress
        self.splits: list[str] = []
        """In the order in which parts brought them."""
        self._properties = Properties()
        self._ids = Ids()
        self._numbers: dict[str, int] = {}
        self._taken: dict[str, list[ShardRecord]] = {}
        records = session.run.records()
        for record in records:
            self._note(record)
        if records:
            description.restore(records[-1].description)
            self._properties.restore(records[-1].properties)
            for name in session.run.ids():
                self._ids.add(name)

    def has(self, job: _Job) -> bool:
        """Whether all shards of a part are the dataset's already."""
        taken = self._taken.get(job.name, [])
        return bool(taken) and len(taken) == taken[0].part_shards

    def take_in(self, job: _Job) -> None:
        """Give a part's shards their names in the dataset, and its rows to the dataset's journal."""
        source = Target(job.path)
        run = _whole_run(source)
        if run is None:
            raise StorageError(
                f"{job.what} was written, but is not in {source}; write_parts needs a folder that every worker and"
                " this process see under the same path"
            )
        records = run.records()
        done = len(self._taken.get(job.name, []))
        try:
            if records:
                self.description.absorb(records[-1].description)
                self._properties.absorb(records[-1].properties)
            for at in range(done, len(records)):
                self._check_ids(run, at)
        except InvalidSampleError as error:
            source.remove_tree("")  # the others are kept: this one is written again once it is mended
            raise InvalidSampleError(f"{job.what}: {error}") from error
        for at in range(done, len(records)):
            self._take_shard(source, run.rows(at), records[at], job=job, part_shards=len(records))
        source.remove_tree("")

    def _check_ids(self, run: Run, at: int) -> None:
        for name in run.rows(at, ["id"])["id"].to_pylist():
            if not self._ids.add(name):
                raise InvalidSampleError(
                    f"id {name!r} is used twice; ids are unique in the whole collection: give each sample its own"
                )

    def _take_shard(self, source: Target, rows: pa.Table, shard: ShardRecord, *, job: _Job, part_shards: int) -> None:
        split, target = shard.split, self.session.target
        number = self._numbers.get(split, self.session.first_shard(split))
        name = shard_name(split, number) + shard.name.removeprefix(shard_name(split, shard.number))
        self.session.make_folder(name.rpartition("/")[0])
        # Killed between here and the journal's line, the next call finds the shard under its new name.
        if source.exists(shard.name):
            target.move_in(source.path(shard.name), name)
        elif target.size(name) != shard.size:
            raise StorageError(f"a shard of {job.what} is lost ({source.path(shard.name)}); use overwrite=True")
        record = replace(
            shard,
            name=name,
            number=number,
            description=self.description.to_json(),
            properties=self._properties.to_json(),
            part=job.name,
            part_shards=part_shards,
        )
        self.session.run.append(_with_href(rows, f"./{name.removeprefix(split + '/')}"), record)
        self._note(record)

    def _note(self, record: ShardRecord) -> None:
        self._numbers[record.split] = record.number + 1
        self._taken.setdefault(record.part or "", []).append(record)
        self.progress.add(record.split, record.n_samples)
        if record.split not in self.splits:
            self.splits.append(record.split)


def _with_href(rows: pa.Table, href: str) -> pa.Table:
    """The rows of a shard under another name."""
    assets = rows["assets"].combine_chunks()
    tensors = []
    for tensor in assets.type:
        asset = assets.field(tensor.name)
        fields = [
            pa.repeat(pa.scalar(href, field.type), len(asset)) if field.name == "href" else asset.field(field.name)
            for field in asset.type
        ]
        tensors.append(pa.StructArray.from_arrays(fields, fields=list(asset.type), mask=asset.is_null()))
    made = pa.StructArray.from_arrays(tensors, fields=list(assets.type), mask=assets.is_null())
    return rows.set_column(rows.schema.get_field_index("assets"), rows.schema.field("assets"), made)
