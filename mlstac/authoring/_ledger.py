"""The shards of a dataset in the order of writing, over all runs that wrote them."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlstac.authoring._journal import CONTENT, Run, ShardRecord
from mlstac.errors import FormatError

LEFT_OUT: Final = "left_out"
"""Setting of a run that was made without some shards of those before it: their places, by the number of their run."""


def left_out(runs: Sequence[Run]) -> dict[int, list[int]]:
    """Places of the shards, by the number of their run, that the last rebuild of these runs did without."""
    for run in reversed(runs):
        if LEFT_OUT in run.settings:
            return {int(number): places for number, places in run.settings[LEFT_OUT].items()}
    return {}


class Ledger:
    """Several runs as one: those that the collection was made of, and the one that adds to them.

    Shards that a rebuild left out are in the journal still, and not here, but for their ids.

    Parameters
    ----------
    runs : sequence of Run
        Oldest first.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        gone = left_out(runs)
        places = [(run, at) for run in runs for at in range(len(run))]
        self._shards = [(run, at) for run, at in places if at not in gone.get(run.number, ())]
        self._left_out = [(run, at) for run, at in places if at in gone.get(run.number, ())]
        self.records: list[ShardRecord] = [run.record(at) for run, at in self._shards]
        """What is kept of each shard."""

    def __len__(self) -> int:
        return len(self._shards)

    def schema(self, at: int) -> pa.Schema:
        """Of one shard's rows, without what only the journal needs."""
        run, inner = self._shards[at]
        schema = run.schema(inner)
        found = schema.get_field_index(CONTENT)
        return schema if found < 0 else schema.remove(found)

    def bboxes(self) -> Iterator[NDArray[np.float64]]:
        """West, south, east, north of the rows that are placed, shape (m, 4), a shard at a time."""
        for run, at in self._shards:
            if "bbox" in run.schema(at).names:
                boxes = run.rows(at, ["bbox"])["bbox"].combine_chunks().drop_null().flatten()
                yield np.stack([box.to_numpy() for box in boxes], axis=1)

    def rows(self, at: int) -> pa.Table:
        """The rows of one shard, without what only the journal needs."""
        run, inner = self._shards[at]
        rows = run.rows(inner)
        return rows.drop_columns([CONTENT]) if CONTENT in rows.column_names else rows

    def ids(self) -> Iterator[str]:
        """Of all samples."""
        for run, at in self._shards:
            yield from run.rows(at, ["id"])["id"].to_pylist()

    def ids_left_out(self) -> Iterator[str]:
        """Of the samples that a rebuild left out, as far as the journal can be read."""
        for run, at in self._left_out:
            try:
                rows = run.rows(at, ["id"])
            except FormatError:
                continue
            yield from rows["id"].to_pylist()
