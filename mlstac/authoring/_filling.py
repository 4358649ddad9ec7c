"""The shards that are being filled, one a split, and when each is full."""

from mlstac.authoring._description import Description
from mlstac.authoring._journal import ShardRecord
from mlstac.authoring._measuring import measuring_in
from mlstac.authoring._pipeline import Pipeline
from mlstac.authoring._properties import Properties
from mlstac.authoring._samples import Prepared
from mlstac.authoring._session import Session
from mlstac.authoring._shard import OpenShard, samples_at_most, shard_name
from mlstac.authoring._whole import Whole
from mlstac.sample import Compression, Row

MAX_ROWS = 100_000
"""Samples in memory at most, over all open shards: the row of a small sample takes more memory (2 to 3 KB) than its
bytes."""


class Filling:
    """The open shard of each split.

    What is written when follows from the samples alone, so that a rerun does the same.

    Parameters
    ----------
    shard_bytes : int
        Bytes of samples at most, over all open shards.
    folder : str, optional
        In each split, for the shards.
    records : list of ShardRecord
        Of the run so far.
    whole : Whole
        Is broken where a shard is.
    """

    def __init__(
        self,
        session: Session,
        pipeline: Pipeline,
        description: Description,
        properties: Properties,
        *,
        shard_bytes: int,
        compression: Compression | None,
        folder: str | None,
        records: list[ShardRecord],
        whole: Whole,
    ) -> None:
        self._session = session
        self._pipeline = pipeline
        self._description = description
        self._properties = properties
        self._shard_bytes = shard_bytes
        self._compression = compression
        self._folder = folder
        self._whole = whole
        self._open: dict[str, OpenShard] = {}
        self._numbers = {record.split: record.number + 1 for record in records}
        self.nbytes = 0
        """Of all samples in open shards."""
        self._n_samples = 0

    def add(self, prepared: Prepared, row: Row, split: str) -> None:
        """Take a sample in, once `make_room` has been called for it."""
        shard = self._open.get(split)
        if shard is None:
            shard = self._open[split] = OpenShard(
                split,
                measuring=measuring_in(split, self._description),
                submit=self._pipeline.measure,
                pool=self._pipeline.pool,
            )
        self.nbytes += shard.add(prepared, row)
        self._n_samples += 1

    def make_room(self, prepared: Prepared, split: str) -> None:
        """Write shards until the sample fits.

        Raises
        ------
        InvalidSampleError
            If a declared layout cannot hold the sample.
        """
        shard = self._open.get(split)
        if shard is not None:
            if shard.form is not prepared.form or len(shard) == 1:
                self._bound(shard, prepared, split)
            if len(shard) >= (shard.at_most or MAX_ROWS):
                self.flush(split)
        room = self._shard_bytes - prepared.nbytes
        while self._open and self.nbytes > room:
            self.flush(max(self._open, key=lambda name: self._open[name].nbytes))
        while self._n_samples >= MAX_ROWS:
            self.flush(max(self._open, key=lambda name: len(self._open[name])))

    def _bound(self, shard: OpenShard, prepared: Prepared, split: str) -> None:
        """Find how many samples a shard may hold with one more of this form; asked where that may have changed."""
        if not shard.holds_alike(prepared.form):
            shapes = shard.shapes_with(prepared.tensors)
        elif len(shard) == 1:
            shapes = shard.shapes
        else:
            return
        layouts = self._description.layouts(shapes, split=split)
        dtypes = {name: self._description.dtype(name) or "U8" for name in layouts}
        shard.at_most = samples_at_most(dtypes, layouts)

    def flush(self, split: str) -> None:
        """Hand a split's samples over to be written as a shard."""
        shard = self._open[split]
        layouts = self._description.layouts(shard.shapes, split=split)
        number = self._numbers.get(split, self._session.first_shard(split))
        name = shard_name(split, number, compression=self._compression, folder=self._folder)
        while name in self._session.target.taken:  # by another writer's, since the run began
            number += 1
            name = shard_name(split, number, compression=self._compression, folder=self._folder)
        with self._whole:
            self._description.note_shard(split, shard.shapes, layouts)
            record = ShardRecord(
                split=split,
                number=number,
                name=name,
                layouts=layouts,
                description=self._description.to_json(),
                properties=self._properties.to_json(),
            )
            self._session.make_folder(name.rpartition("/")[0])
            roles = {key: tensor.role for key, tensor in self._description.tensors.items()}
            self._pipeline.write(shard, record, roles=roles)
            del self._open[split]
            self.nbytes -= shard.nbytes
            self._n_samples -= len(shard)
            self._numbers[split] = number + 1

    def flush_all(self) -> None:
        """Hand over what is left."""
        for split in list(self._open):
            self.flush(split)

    def clear(self) -> None:
        """Forget what is in no shard yet."""
        self._open.clear()
