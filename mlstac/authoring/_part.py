"""One part of a dataset: what a worker is sent, and what it does."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mlstac.authoring._iterables import check_returned, each_sample
from mlstac.authoring._journal import PRIVATE, Journal, Run
from mlstac.authoring._remote import open_target
from mlstac.authoring._remote_part import RemotePart
from mlstac.authoring._samples import ChangedSamplesError
from mlstac.authoring._splitting import Splitting
from mlstac.authoring._target import Target
from mlstac.authoring._writer import Writer
from mlstac.collection import Collection
from mlstac.errors import StorageError
from mlstac.storage import is_remote, redact

Part = Callable[[], Iterable[Any]]

_WHOLE: Final = "whole"


@dataclass(frozen=True)
class PartJob:
    """What a worker is sent: all that it takes to write one part."""

    name: str
    """Folder of the part under the run's."""
    split: str
    number: int
    """Of the part in its split; ids of samples that have none hold it."""
    part: Part
    splitting: Splitting | None
    batched: bool
    home: str = field(repr=False)  # a cluster's log shows the job of a worker that failed
    """The dataset's folder, or its URL."""
    root: str | None
    """The folder on a disk in which the part is written: the dataset's, or for the Hub, which takes no shard alone, the
    working folder of the dataset; None where it goes straight to a store."""
    place: str
    """Of the part's journal, in the dataset's folder or that one."""
    folder: str | None
    """Of the part's shards in each split, at a store."""
    storage_options: Mapping[str, Any] | None = field(repr=False)
    collection: Collection
    options: dict[str, Any]

    def target(self) -> Target:
        """Where the part is written."""
        if self.root is None:
            return RemotePart(self.home, self.storage_options, folder=self.place)
        return Target(Target(self.root).path(self.place))

    def check_seen(self) -> None:
        """Raise StorageError where this process does not see the working folder that was made for the parts."""
        if self.root is not None and is_remote(self.home) and not Target(self.root).exists(PRIVATE):
            raise StorageError(
                f"{redact(self.home)}: the Hub takes a dataset by one commit, so its parts wait in {self.root}, and a"
                " worker on another machine does not see that; use threads or processes of one machine, set"
                " XDG_CACHE_HOME to a folder that all see, or write to such a folder and publish that"
            )

    @property
    def what(self) -> str:
        return f"part {self.number} of split {self.split!r}" if self.splitting is None else f"part {self.number}"


def write_part(job: PartJob) -> int:
    """Write one part, or what is left of it, in whatever process this is; the number of its samples."""
    job.check_seen()
    target = job.target()
    try:
        return _write_part(job, target)
    finally:
        if isinstance(target, RemotePart):
            target.leave()


def _write_part(job: PartJob, target: Target) -> int:
    run = whole_run(target)
    if run is None:
        try:
            _write(job, target)
        except ChangedSamplesError:
            # Not the samples that a killed attempt had written: nobody has seen those, so start afresh.
            for stale in Journal(target).runs():
                stale.discard(shards=True)
            _write(job, target)
        run = whole_run(target)
        assert run is not None
    return sum(record.n_samples for record in run.records())


def _write(job: PartJob, target: Target) -> None:
    try:
        home = open_target(job.home, job.storage_options)
        with Writer.of_part(
            target, job.collection, number=job.number, home=home, folder=job.folder, **job.options
        ) as writer:
            samples = check_returned(job.part(), job.what)
            for number, sample in enumerate(each_sample(samples, batched=job.batched)):
                split = job.split
                if job.splitting is not None:
                    split = job.splitting.split_of(sample, writer.tensors, number=number)
                writer.add(sample, split=split)
    except Exception as error:
        error.add_note(f"while writing {job.what}")
        raise


def whole_run(target: Target) -> Run | None:
    """The run of a part that has all of its shards; None where it has not."""
    if isinstance(target, RemotePart):
        target.bring()
    runs = Journal(target).runs()
    return runs[-1] if runs and runs[-1].settings.get(_WHOLE) else None


def forget_part(source: Target) -> None:
    """Remove a part's folder, whose shards are the dataset's."""
    if isinstance(source, RemotePart):
        source.forget()
    else:
        source.remove_tree("")
