"""How parts become one dataset: as each is whole, in their order, its shards and rows are the dataset's own."""

from dataclasses import replace

import pyarrow as pa

from mlstac.authoring._description import Description
from mlstac.authoring._identity import Ids
from mlstac.authoring._journal import Run, ShardRecord
from mlstac.authoring._part import PartJob, forget_part, whole_run
from mlstac.authoring._progress import Progress
from mlstac.authoring._properties import Properties
from mlstac.authoring._remote_part import RemotePart
from mlstac.authoring._session import Session
from mlstac.authoring._shard import shard_name
from mlstac.authoring._target import Target
from mlstac.errors import InvalidSampleError, StorageError


class Gathering:
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

    def has(self, job: PartJob) -> bool:
        """Whether all shards of a part are the dataset's already."""
        taken = self._taken.get(job.name, [])
        return bool(taken) and len(taken) == taken[0].part_shards

    def take_in(self, job: PartJob) -> None:
        """Give a part's shards their names in the dataset, and its rows to the dataset's journal."""
        source = job.target()
        run = whole_run(source)
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
            forget_part(source)  # the others are kept: this one is written again once it is mended
            raise InvalidSampleError(f"{job.what}: {error}") from error
        for at in range(done, len(records)):
            self._take_shard(source, run.rows(at), records[at], job=job, part_shards=len(records))
        forget_part(source)

    def _check_ids(self, run: Run, at: int) -> None:
        for name in run.rows(at, ["id"])["id"].to_pylist():
            if not self._ids.add(name):
                raise InvalidSampleError(
                    f"id {name!r} is used twice; ids are unique in the whole collection: give each sample its own"
                )

    def _take_shard(
        self, source: Target, rows: pa.Table, shard: ShardRecord, *, job: PartJob, part_shards: int
    ) -> None:
        split, target = shard.split, self.session.target
        if isinstance(source, RemotePart):  # it has its name
            self._append(rows, replace(shard, part=job.name, part_shards=part_shards))
            return
        number = self._numbers.get(split, self.session.first_shard(split))
        name = shard_name(split, number) + shard.name.removeprefix(shard_name(split, shard.number))
        self.session.make_folder(name.rpartition("/")[0])
        # Killed between here and the journal's line, the next call finds the shard under its new name, or in both.
        if source.exists(shard.name):
            target.take_over(source.path(shard.name), name)
        elif target.size(name) != shard.size:
            raise StorageError(f"a shard of {job.what} is lost ({source.path(shard.name)}); use overwrite=True")
        record = replace(shard, name=name, number=number, part=job.name, part_shards=part_shards)
        self._append(_with_href(rows, f"./{name.removeprefix(split + '/')}"), record)

    def _append(self, rows: pa.Table, record: ShardRecord) -> None:
        record = replace(record, description=self.description.to_json(), properties=self._properties.to_json())
        self.session.run.append(rows, record)
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
