"""What an unfinished run has got done already, and whether the samples that are given now are the same."""

from collections.abc import Iterator, Mapping

from mlstac.authoring._journal import ShardRecord
from mlstac.authoring._samples import ChangedSamplesError, Prepared
from mlstac.authoring._session import Session
from mlstac.errors import InvalidArgumentError, InvalidSampleError


class Unfinished:
    """The samples that are in whole shards, by split.

    Parameters
    ----------
    session : Session
    records : list of ShardRecord
        Of its run, in the order of writing.
    appends : bool
        The run adds to a dataset.
    overwrites : bool
        It replaces one.
    in_part : bool
        It writes a part of one.
    """

    def __init__(
        self, session: Session, records: list[ShardRecord], *, appends: bool, overwrites: bool, in_part: bool
    ) -> None:
        self._session = session
        self._appends = appends
        self._overwrites = overwrites
        self._in_part = in_part
        self.done: dict[str, int] = {}
        """How many samples of each split."""
        self._replayed: dict[str, Iterator[tuple[str, int]]] = {}
        for record in records:
            self.done[record.split] = self.done.get(record.split, 0) + record.n_samples

    def has(self, split: str, position: int) -> bool:
        """Whether a sample is in a whole shard."""
        return position < self.done.get(split, 0)

    def replay(self, prepared: Prepared, split: str, position: int) -> None:
        """Compare a sample with the one that the run has in its place; to be asked for one after another.

        Raises
        ------
        InvalidSampleError
            If it is another.
        """
        if split not in self._replayed:
            self._replayed[split] = self._session.run.contents(split)
        self.compare(prepared, split, position, next(self._replayed[split]))

    def compare(self, prepared: Prepared, split: str, position: int, held: tuple[str, int]) -> None:
        """Compare a sample with the id and contents that the run has in its place."""
        name, content = held
        if (name, content) == (prepared.id, prepared.content):
            return
        what = f"sample {position} of split {split!r} is {prepared.id!r}"
        target = self._session.target
        if self._session.is_committed:
            self._session.accept()
            raise InvalidSampleError(
                f"{what}, but the append to {target} that was killed had been done whole, with another sample"
                " there; it is closed now: make the same call again to append these samples"
            )
        differs = f"{name!r}" if name != prepared.id else "one of the same id with other contents"
        if self._in_part:
            raise ChangedSamplesError(f"{what}, but {differs} in the attempt before")
        if self._overwrites:
            self._session.forget()
            mend = "that run is put aside: make the same call again to start afresh"
        else:
            over = "mlstac.gc(path, unfinished=True)" if self._appends else "overwrite=True"
            mend = f"give the same samples in the same order to go on with it, or {over} to start over"
        raise InvalidSampleError(f"{what}, but the unfinished run in {target} has {differs} there; {mend}")

    def refuse_more(self, split: str, position: int) -> None:
        """Refuse a sample beyond those of an append that turns out to be done whole.

        Raises
        ------
        InvalidSampleError
        """
        if self._session.is_committed:
            self._session.accept()
            raise InvalidSampleError(
                f"the append to {self._session.target} that was killed had been done whole, with {position} samples of"
                f" split {split!r}; it is closed now: append those after them by another call"
            )

    def check_complete(self, counts: Mapping[str, int]) -> None:
        """Check that no fewer samples were given than the run has.

        Raises
        ------
        InvalidArgumentError
        """
        if not self._in_part and not self._appends and not any(counts.values()):
            raise InvalidArgumentError("there was no sample in any split; add at least one")
        for split, done in self.done.items():
            given = counts.get(split, 0)
            if given < done and self._in_part:
                raise ChangedSamplesError(f"split {split!r} has {given} samples, but {done} in the attempt before")
            if given < done:
                raise InvalidArgumentError(
                    f"split {split!r} got {given} samples, but the unfinished run in {self._session.target} has"
                    f" {done} of it already; give the same samples to go on with it, or overwrite=True to start over"
                )
