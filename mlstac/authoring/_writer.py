"""The writer: samples in, shards on disk, and at the end the collection that names them."""

import os
import threading
from collections.abc import Mapping
from dataclasses import asdict
from itertools import chain
from typing import Any, NamedTuple, Self

from mlstac.authoring._admission import Admission
from mlstac.authoring._base import read_collection, restore_description
from mlstac.authoring._commit import commit
from mlstac.authoring._depot import COLLECTION
from mlstac.authoring._description import Description
from mlstac.authoring._filling import Filling
from mlstac.authoring._identity import Ids, numbers_after
from mlstac.authoring._ledger import Ledger
from mlstac.authoring._pipeline import Pipeline
from mlstac.authoring._progress import Progress
from mlstac.authoring._properties import Properties
from mlstac.authoring._remote import open_target
from mlstac.authoring._session import Session
from mlstac.authoring._target import Target
from mlstac.authoring._unfinished import Unfinished
from mlstac.authoring._version import next_version
from mlstac.authoring._whole import Whole
from mlstac.collection import Collection, Tensor, check_split_name
from mlstac.errors import InvalidArgumentError, InvalidSampleError, StateError
from mlstac.sample import parse_compression
from mlstac.storage import parse_size


class _Work(NamedTuple):
    """What a writer has while it is open."""

    session: Session
    unfinished: Unfinished
    admission: Admission
    pipeline: Pipeline
    filling: Filling


class Writer:
    """Write a dataset sample by sample.

    Nothing shows before the end: ``collection.json`` is written last, in one step. If the process dies, the same call
    with the same samples goes on after the last whole shard, and what it leaves is what an unbroken run leaves, byte
    for byte.

    Parameters
    ----------
    path : str or path-like
        Folder of the dataset; made if it is not there. Or a URL as `publish` takes it: each shard is made in a working
        folder under the user's cache (``XDG_CACHE_HOME``), uploaded, and removed there (those for the Hub stay there
        until its one commit); the journal is there too.
    collection : Collection or mapping
        What the dataset is said to be. Tensors that it describes are checked; without any, the first sample describes
        them. Left out with ``append=True``: the dataset has said it.
    shard_size : int or str, default "256MB"
        Bytes of samples in memory before a shard is written, over all splits; at most twice as much is held. Compressed
        shards are smaller files.
    layout : {"auto", "stacked", "jagged", "keyed", "single"}
        For the tensors that declare none. ``auto`` takes the closest that a shard's samples fit in: *stacked* where
        all have one shape, *jagged* where only the first axis varies, else *keyed*.
    compression : {None, "zstd", "zstd:1" … "zstd:22"}
        Store shards as they are, or as zstd files of one frame a tensor (level 3 where none is given), so that a sample
        is still read alone; its bands and windows then cost the whole tensor. Needs the package ``zstandard``.
    overwrite : bool, default False
        Replace the dataset that is there. Its files stay until readers of the old collection are gone; no file of
        another kind is touched.
    storage_options : mapping, optional
        For a remote path, as `publish` takes them; must be empty for a local one.
    append : bool, default False
        Add to the dataset that is there, as `mlstac.append` does.
    version : str, optional
        With ``append=True``: the version of the new state; by default the second number of the old one counts on.
    card : bool, default True
        Write the dataset card: ``README.md`` with pictures (where matplotlib is installed), and ``croissant.json``. A
        ``README.md`` of somebody else's stays.

    Raises
    ------
    MissingFileError
        If there is no dataset to append to.
    ExistsError
        If the path holds a dataset, or another writer is at work there.
    AccessError
        If the folder may not be written to.
    MissingPackageError
        If ``compression`` is asked for, and ``zstandard`` is not installed.

    Examples
    --------
    >>> with Writer("flood", Collection(id="flood", license="CC-BY-4.0")) as writer:  # doctest: +SKIP
    ...     for image, mask in pairs:
    ...         writer.add({"input": image, "target": mask}, split="train")
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        collection: Collection | Mapping[str, Any] | None = None,
        *,
        shard_size: int | str = "256MB",
        layout: str = "auto",
        compression: str | None = None,
        overwrite: bool = False,
        storage_options: Mapping[str, Any] | None = None,
        progress: bool | None = None,
        append: bool = False,
        version: str | None = None,
        card: bool = True,
    ) -> None:
        self._compression = parse_compression(compression)
        self._target = open_target(path, storage_options, progress=progress)
        self._home = self._target
        """Where the dataset is, when this writes only a part of it."""
        _check_append(append, collection, overwrite=overwrite, version=version)
        if append:
            try:
                collection = read_collection(self._target, COLLECTION)
            finally:
                self._target.close()  # this writer may never be entered
            if compression is None:  # as the dataset's other shards
                self._compression = parse_compression(collection.compression)
        if isinstance(collection, Mapping):
            collection = Collection(**collection)
        if not isinstance(collection, Collection):
            raise InvalidArgumentError(f"collection is of type {type(collection).__name__}; give a mlstac.Collection")
        self._declared = collection.model_copy(deep=True)
        self._shard_bytes = parse_size(shard_size)
        self._overwrite = overwrite
        self._append = append
        self._version = version
        self._card = card
        self._layout = layout
        self._description = Description(collection, layout=layout)
        self._properties = Properties()
        self._ids = Ids()
        self._progress = Progress(shown=progress)
        self._counts: dict[str, int] = {}
        self._before: dict[str, int] = {}
        """Number in each split of the first sample that is added to those that the dataset has already."""
        self._work: _Work | None = None
        self._lock = threading.RLock()
        """Samples may come from several threads; one at a time is taken in."""
        self._whole = Whole()
        self._part: int | None = None
        self._folder: str | None = None
        self.collection: Collection | None = None
        """The collection as written; None until then."""

    @classmethod
    def of_part(
        cls, target: Target, collection: Collection, *, number: int, home: Target, folder: str | None, **options: Any
    ) -> "Writer":
        """A writer of one part of a dataset at ``home``: it ends without catalogs and without a collection.

        Parameters
        ----------
        folder : str, optional
            In each split, for the part's shards.
        """
        writer = cls(target.root, collection, progress=False, **options)
        writer._target, writer._home = target, home
        writer._part, writer._folder = number, folder
        return writer

    @property
    def target(self) -> Target:
        """Where the dataset is written."""
        return self._target

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """The tensors as far as they are described."""
        return self._description.tensors

    # ------------------------------------------------------------------ begin and end

    def __enter__(self) -> Self:
        if self._work is not None or self.collection is not None:
            raise StateError("this writer has been used; make a new one")
        session = Session(
            self._target,
            settings=self.settings(),
            overwrite=self._overwrite,
            append=self._append,
        )
        try:
            if self._append:
                self._take_up(session)
            self._work = self._resume(session)
        except BaseException:
            session.leave()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._work is None:
            return
        if kind is not None:
            self._leave()
            return
        self.close()

    def close(self) -> Collection:
        """Write what is left, the catalogs, and last the collection.

        Returns
        -------
        Collection

        Raises
        ------
        InvalidArgumentError
            If there was no sample at all, or fewer than the unfinished run holds already.
        """
        if self.collection is not None:
            return self.collection
        with self._lock:
            return self._close()

    def _close(self) -> Collection:
        try:
            work = self._working()
            work.unfinished.check_complete(self._counts)
            work.filling.flush_all()
            work.pipeline.wait()
            work.pipeline.close()  # before the commit, whose pictures take memory too
            collection = self._commit(work.session)
        except BaseException:
            self._leave()
            raise
        self._work = None
        self._progress.close()
        self.collection = collection
        return collection

    def _commit(self, session: Session) -> Collection:
        """Write the collection, and let go of the lock."""
        if self._part is not None:
            session.hand_over()
            return self._declared
        if session.existing is not None and not len(session.run):  # nothing to append
            session.leave()
            return session.existing
        collection = self._declared
        if not session.is_committed:
            collection = commit(session, self._declared, self._description, splits=list(self._counts), card=self._card)
        session.finish()
        return collection

    def _leave(self) -> None:
        """End without a collection; whole shards stay in the journal for the next call."""
        work, self._work = self._work, None
        self._progress.close()
        if work is not None:
            work.pipeline.close()
            work.filling.clear()
            work.session.leave()

    def _working(self) -> _Work:
        if self._work is None:
            raise StateError("the writer is not open; use it as: with mlstac.Writer(...) as writer: writer.add(...)")
        self._whole.check()
        return self._work

    def settings(self) -> dict[str, Any]:
        """What decides the bytes of the shards."""
        own = {
            "shard_size": self._shard_bytes,
            "layout": self._layout,
            "compression": None if self._compression is None else asdict(self._compression),
            "id": self._declared.id,
        }
        if self._append:  # what the collection says, the session reads under its lock
            return own
        described = self._declared.to_dict()
        return {
            **own,
            "tensors": described.get("ml:tensors"),
            "item_assets": described.get("item_assets"),
        }

    # ------------------------------------------------------------------ going on

    def _take_up(self, session: Session) -> None:
        """Begin from the dataset that is there: its tensors, columns, ids and numbers of samples."""
        assert session.existing is not None
        self._declared = session.existing.model_copy(deep=True)
        if not session.is_committed:
            self._declared.version = self._version or next_version(session.existing.version)
        self._description = Description(self._declared, layout=self._layout)
        base = Ledger(session.base)
        restore_description(self._description, base.records, self._declared.tensors)
        if base.records:
            self._properties.restore(base.records[-1].properties)
        # Ids of samples that a rebuild left out are given to no others unasked, for their shards may come back.
        known = chain(self._ids.passing(base.ids()), base.ids_left_out())
        self._before = numbers_after(known, session.run.settings["counts_before"])

    def _resume(self, session: Session) -> _Work:
        """Make ready to write, after the last whole shard of an unfinished run."""
        records = session.run.records()
        if records:
            self._description.restore(records[-1].description)
            self._properties.restore(records[-1].properties)
            for name in session.run.ids():
                self._ids.add(name)
        unfinished = Unfinished(
            session, records, appends=self._append, overwrites=self._overwrite, in_part=self._part is not None
        )
        admission = Admission(self._declared, self._description, self._properties, home=self._home, part=self._part)
        pipeline = Pipeline(self._target, session.run, shard_bytes=self._shard_bytes, compression=self._compression)
        filling = Filling(
            session,
            pipeline,
            self._description,
            self._properties,
            shard_bytes=self._shard_bytes,
            compression=self._compression,
            folder=self._folder,
            records=records,
            whole=self._whole,
        )
        return _Work(session, unfinished, admission, pipeline, filling)

    def skip(self, split: str = "train") -> int:
        """Leave out the samples of a split that an unfinished run has already written whole.

        Call it before the first `add` to the split, and start the iterator after as many samples. Without it `add`
        compares each of them with what is there, and writes none of them again.

        Returns
        -------
        int
            How many samples to start after; 0 where there is no unfinished run.
        """
        work = self._working()
        check_split_name(split)
        if self._counts.get(split, 0):
            raise InvalidArgumentError(f"split {split!r} has got samples already; call skip() before the first")
        self._counts[split] = work.unfinished.done.get(split, 0)
        return self._counts[split]

    def skip_to(self, split: str, samples: Any) -> int:
        """As `skip`, for samples that have an index; the first and the last that are left out are compared.

        Raises
        ------
        InvalidSampleError
            If they are not those of the unfinished run.
        """
        work = self._working()
        done = work.unfinished.done.get(split, 0)
        if not done:
            return 0
        if len(samples) < done:
            self._counts[split] = len(samples)
            work.unfinished.check_complete(self._counts)
        held = list(work.session.run.contents(split))
        for position in sorted({0, done - 1}):
            number = self._before.get(split, 0) + position
            admitted = work.admission.admit(samples[position], split=split, number=number, is_new=False)
            work.unfinished.compare(admitted.prepared, split, position, held[position])
        return self.skip(split)

    def expect(self, total: int | None) -> None:
        """Say how many samples there will be, for the progress bar."""
        self._progress.expect(total)

    # ------------------------------------------------------------------ samples

    def add_split(self, split: str) -> None:
        """Name a split that shall be there even if no sample is added to it."""
        with self._lock:
            self._working()
            self._counts.setdefault(check_split_name(split), 0)

    def add(self, sample: Any, split: str = "train") -> None:
        """Add one sample.

        Parameters
        ----------
        sample : Sample or mapping of str to array
            Tensors of any framework, numbers, texts, JSON or encoded bytes. They are copied.
        split : str, default "train"
            ``train``, ``validation``, ``test``, or a name of your own.

        Raises
        ------
        InvalidSampleError
            If the sample cannot be written, does not fit the description, or its id was used before.
        StorageError
            If a shard could not be written.
        """
        with self._lock:
            self._add(sample, split)

    def _add(self, sample: Any, split: str) -> None:
        work = self._working()
        position = self._counts.get(check_split_name(split), 0)
        undo = self._description.mark()
        try:
            is_written = work.unfinished.has(split, position)
            number = self._before.get(split, 0) + position
            prepared, row, kinds = work.admission.admit(sample, split=split, number=number, is_new=not is_written)
            if is_written:
                work.unfinished.replay(prepared, split, position)
                self._counts[split] = position + 1
                self._progress.add(split)
                return
            work.unfinished.refuse_more(split, position)
            key, is_used = self._ids.find(prepared.id)
            if is_used:
                raise InvalidSampleError(
                    f"id {prepared.id!r} is used twice (now by sample {position} of split {split!r}); ids are unique in"
                    " the whole collection: give each sample its own"
                )
            work.filling.make_room(prepared, split)
        except (InvalidSampleError, InvalidArgumentError):
            undo()
            raise
        with self._whole:
            self._ids.put(key)
            self._properties.note(kinds)
            work.filling.add(prepared, row, split)
            self._counts[split] = position + 1
        self._progress.add(split)


def _check_append(append: bool, collection: Any, *, overwrite: bool, version: str | None) -> None:
    if append and overwrite:
        raise InvalidArgumentError("append=True adds to a dataset and overwrite=True replaces it; give one of them")
    if append and collection is not None:
        raise InvalidArgumentError(
            "append=True takes the collection of the dataset that is there; leave collection out, and change its words"
            " by mlstac.open(path) and collection.save(path)"
        )
    if version is not None and not append:
        raise InvalidArgumentError("version= is of an append; put it into the collection: Collection(version=…)")
