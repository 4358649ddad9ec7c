"""Batches, or samples, as an ``IterableDataset``, for torch's loader and those that look like it."""

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import IterableDataset, default_collate, get_worker_info

from mlstac.errors import InvalidArgumentError, StateError
from mlstac.loading._batches import Batches, takes_two
from mlstac.loading._fetcher import as_torch, find_fetcher, makes_tensors
from mlstac.loading._generators import Generators
from mlstac.loading._listener import EpochListener

if TYPE_CHECKING:
    from mlstac.loading._dataset import Dataset


class BatchStream(IterableDataset):  # type: ignore[misc]
    """Batches of an epoch, for ``DataLoader(stream, batch_size=None)``, or its samples.

    With n workers, worker w makes batches w, w + n, w + 2n …; the loader takes from them in turn, so batches come in
    the order of `Dataset.batches`. Samples are batches of one without their batch axis. Made by `Dataset.iterable`.

    Parameters
    ----------
    dataset : Dataset
    options : dict
        As for `Dataset.batches`; samples, where its batch size is None.
    """

    def __init__(self, dataset: "Dataset", options: dict[str, Any]) -> None:
        super().__init__()
        self._dataset = dataset
        self._single = options["batch_size"] is None
        if self._single:
            options = {**options, "batch_size": 1, "transform": _of_sample(options.get("transform"))}
        self._options = options
        # epoch, and whether a worker has begun it: the one thing that workers which live on must hear of
        self._shared = torch.tensor([options.get("epoch", 0), 0]).share_memory_()
        self._state: Mapping[str, Any] | None = None
        self._running: Batches | None = None
        dataset.batches(**options)  # what is wrong with the options is said here, and not by a worker

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_running": None}  # of this process, with its threads; a worker makes its own

    @property
    def epoch(self) -> int:
        """Number of the epoch whose order the next iteration has."""
        return int(self._shared[0])

    def set_epoch(self, epoch: int) -> None:
        """Order of the next iteration, in workers that live on from an earlier one too.

        An iterator of this process that has given nothing yet gives that epoch too.
        """
        self._dataset.batches(**{**self._options, "epoch": epoch})  # a wrong epoch is said here
        self._shared[0], self._shared[1] = epoch, 0
        self._state = None
        if self._running is not None and self._running.untouched:
            self._running.set_epoch(epoch)
        else:
            self._running = None

    @property
    def batch_sampler(self) -> EpochListener:
        """Where Lightning looks for something to tell which epoch it is in."""
        return EpochListener(self)

    def __len__(self) -> int:
        """Number of batches or samples that the next iteration gives, of all workers together."""
        batches = self._batches()
        if self._state is not None and "worker" not in self._state:  # a worker's tells nothing of the others
            batches.load_state_dict(self._state)
        return len(batches)

    def __iter__(self) -> Iterator[Any]:
        fetcher = find_fetcher(sys._getframe().f_back)  # of which there is none, where a thread begins with this
        if not self._single:
            _refuse_to_be_batched(fetcher, self._options["batch_size"])
        self._shared[1] = get_worker_info() is not None
        self._running = self._make(self._state)
        self._state = None
        iteration: Iterator[Any] = iter(self._running)
        if self._single and self._options["transform"] is None:
            iteration = map(_only_sample, iteration)
        converts = self._dataset.feed().output.beyond_torch and makes_tensors(fetcher)
        return map(_tensors, iteration) if converts else iteration

    def state_dict(self) -> dict[str, Any]:
        """How far this process's batches are; a worker's state says which worker of how many it is.

        Raises
        ------
        StateError
            If workers iterate and this is not one of them: how far they are, only they know.
        """
        worker, workers = _worker()
        if self._shared[1] and get_worker_info() is None:
            raise StateError(
                "the workers of a DataLoader make these batches, and only they know how far they are; "
                "use torchdata's StatefulDataLoader and its state_dict, or a loader without workers"
            )
        if self._running is None:
            return dict(self._state) if self._state is not None else self._make(None).state_dict()
        return {**self._running.state_dict(), **({"worker": worker, "workers": workers} if workers > 1 else {})}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state was taken, in its seed and epoch, with as many workers.

        Raises
        ------
        StateError
            If it is the state of another dataset, order, or number of workers.
        """
        self._make(state)  # what is wrong with it is said here, and changes nothing
        self._running, self._state = None, dict(state)
        self._options = {**self._options, "seed": int(state["seed"])}  # of later iterations too, as in `Batches`
        self._shared[0], self._shared[1] = int(state["epoch"]), 0

    def _batches(self) -> Batches:
        return self._dataset.batches(**{**self._options, "epoch": self.epoch})

    def _make(self, state: Mapping[str, Any] | None) -> Batches:
        worker, workers = _worker()
        batches = self._batches()
        batches.take_turns(worker, workers)
        if isinstance(state, Mapping) and (state.get("worker", 0), state.get("workers", 1)) != (worker, workers):
            raise StateError(
                f"the state is of worker {state.get('worker', 0)} of {state.get('workers', 1)}; this is worker "
                f"{worker} of {workers}: resume with as many workers as it was taken with"
            )
        if state is not None:
            batches.load_state_dict(state)
        return batches


def _refuse_to_be_batched(fetcher: Any, batch_size: int) -> None:
    """Raise where torch's loader would make batches of batches; a collate function of one's own may mean it."""
    if getattr(fetcher, "auto_collation", False) and getattr(fetcher, "collate_fn", None) is default_collate:
        raise InvalidArgumentError(
            f"ds.iterable({batch_size}) gives batches of {batch_size} samples, of which this loader would make batches "
            "once more; say DataLoader(ds.iterable(...), batch_size=None), whose default is batch_size=1, or give the "
            "loader samples: ds.iterable(), or ds itself"
        )


def _only_sample(batch: Mapping[str, Any]) -> dict[str, Any]:
    """The sample of a batch of one: an element of a list, or a tensor of a rank less, also where that is none."""
    return {name: value[0] if isinstance(value, list) else value[0, ...] for name, value in batch.items()}


class _OfSample:
    """A transform of a sample, where one of a batch of one is asked for."""

    def __init__(self, transform: Callable[..., Any]) -> None:
        self._transform = transform

    def __call__(self, batch: Mapping[str, Any]) -> Any:
        return self._transform(_only_sample(batch))


class _OfSampleAtRandom(_OfSample):
    """The same with the random generator of the sample."""

    def __call__(self, batch: Mapping[str, Any], generators: Generators) -> Any:  # type: ignore[override]
        return self._transform(_only_sample(batch), generators[0])


def _of_sample(transform: Any) -> Any:
    if not callable(transform):  # of which there is none, or which is refused with the other options
        return transform
    return _OfSampleAtRandom(transform) if takes_two(transform) else _OfSample(transform)


def _tensors(batch: Any) -> Any:
    return {name: as_torch(value) for name, value in batch.items()} if isinstance(batch, Mapping) else batch


def _worker() -> tuple[int, int]:
    info = get_worker_info()
    return (0, 1) if info is None else (info.id, info.num_workers)
