"""A dataset written in parts, each apart: in threads, in processes, or on the machines of a cluster.

Each part is an authoring of its own under ``.mlstac/parts/``, with its own journal and lock. As a part becomes whole,
in the order of the parts, its shards take their names in the dataset and its rows go into the dataset's journal; the
commit then is that of any authoring. Nothing is copied: a shard is written once and renamed.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from pickle import PicklingError
from typing import Any

from mlstac.authoring._commit import commit
from mlstac.authoring._description import Description
from mlstac.authoring._gathering import Gathering
from mlstac.authoring._journal import PARTS, Run
from mlstac.authoring._part import Part, PartJob, whole_run, write_part
from mlstac.authoring._progress import Progress
from mlstac.authoring._session import Session
from mlstac.authoring._splitting import read_splitting
from mlstac.authoring._target import Target
from mlstac.authoring._write import as_collection
from mlstac.authoring._writer import Writer
from mlstac.collection import Collection, check_split_name
from mlstac.errors import InvalidArgumentError, StorageError
from mlstac.storage import is_remote


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
        Folder of the dataset, which every worker must see under this path. Or a URL as `publish` takes it: each worker
        uploads its own shards, and nothing but the store is shared. To the Hub goes one commit, from this machine: the
        parts wait in the user's cache (``XDG_CACHE_HOME``, else ``~/.cache``), which the workers must see.
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
        If a worker died and its executor does not start the part again; the same call goes on. If a worker does not see
        the folder that the parts are written in.
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
    whole = Writer(path, collection, overwrite=overwrite, storage_options=storage_options, progress=progress, **options)
    counts = {split: len(some) for split, some in by_split.items()}
    settings = {**whole.settings(), "parts": counts, "split_by": None if splitting is None else splitting.to_json()}
    session = Session(whole.target, settings=settings, overwrite=overwrite)
    try:
        home = os.fspath(path) if is_remote(path) else str(whole.target.root)
        root: str | None = None
        first: int | None = None
        if whole.target.takes_parts:
            folder = _journals_at_store(settings, session.run)
            first = session.run.settings.get("part_folders")
            if first is None:
                first = _free_folder(whole.target)
                session.run.save(part_folders=first, part_journals=folder)
        else:
            root = str(whole.target.root)
            folder = f"{PARTS}/{session.run.number:05d}"
        jobs: list[PartJob] = []
        for split, some in by_split.items():
            for number, part in enumerate(some):
                name = f"{len(jobs):05d}"
                own = None if first is None else f"{first + len(jobs):05d}"
                place = f"{folder}/{name}"
                jobs.append(
                    PartJob(
                        name,
                        split,
                        number,
                        part,
                        splitting,
                        batched,
                        home,
                        root,
                        place,
                        own,
                        storage_options if root is None else None,
                        collection,
                        options,
                    )
                )
        gathering = Gathering(session, Description(collection, layout=layout), Progress(shown=progress))
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


def _journals_at_store(settings: Mapping[str, Any], run: Run) -> str:
    """Folder of the parts' journals: the same for the same call on the same state, from whichever machine."""
    decides = json.dumps([settings, run.settings["replaces"]], sort_keys=True, default=str)
    return f"{PARTS}/{hashlib.sha256(decides.encode()).hexdigest()[:16]}"


def _free_folder(target: Target) -> int:
    """The number after those of all folders of shards, in any split."""
    inner = [name for split in target.folders("") if not split.startswith(".") for name in target.folders(split)]
    return max((int(name) for name in inner if name.isdecimal() and len(name) == 5), default=-1) + 1


def _write_all(jobs: Sequence[PartJob], gathering: "Gathering", executor: Executor | None) -> None:
    """Have the parts written that are not, and take each in as its turn comes."""
    futures: dict[str, Future[int]] = {}
    try:
        waiting = [job for job in jobs if not gathering.has(job)]
        if executor is not None:
            for job in waiting:
                if whole_run(job.target()) is None:
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


def _result(future: "Future[int]", job: PartJob) -> int:
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
