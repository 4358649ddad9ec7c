"""Batches of an epoch, as the user holds them: an iterable with a length and a state."""

import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from inspect import Parameter, signature
from typing import Any

from mlstac.errors import InvalidArgumentError
from mlstac.loading._ahead import Ahead
from mlstac.loading._careful import Careful, Direct
from mlstac.loading._crew import Crew, wants_crew
from mlstac.loading._feed import Feed
from mlstac.loading._iteration import Iteration, Progress
from mlstac.loading._listener import EpochListener
from mlstac.loading._order import SEQUENTIAL, Order
from mlstac.loading._padding import Pad
from mlstac.loading._pipeline import Pipeline, Recipe, make_batches
from mlstac.loading._state import Position, read_state, write_state
from mlstac.loading._stripes import Stripes
from mlstac.loading._whole import whole
from mlstac.storage import parse_size


class Batches:
    """Batches of one epoch for one rank, made ahead in threads, in an order that is a function.

    Made by `Dataset.batches` and `mlstac.mix`. ``for batch in batches`` gives the epoch; iterating again gives it
    again (and says so once, where the next epoch has another order), and ends an iteration that is under way: batches
    have one position. `state_dict` may be taken at any time, and says how far the *consumer* of the newest iteration
    is; `load_state_dict` goes on from there, at another batch size and world size too.
    """

    def __init__(
        self,
        feed: Feed,
        *,
        fingerprint: str,
        make_order: Callable[[int, int], Order],
        kind: str,
        batch_size: int,
        seed: int,
        epoch: int,
        drop_last: bool,
        pad: Pad | None,
        rank: int,
        world_size: int,
        prefetch: int,
        max_in_flight_bytes: str | int,
        transform: Callable[..., Any] | None,
    ) -> None:
        self._feed = feed
        self._fingerprint = fingerprint
        self._make_order = make_order
        self._kind = kind
        self._batch_size = whole("batch_size", batch_size, least=1)
        self._seed = whole("seed", seed)
        self._epoch = whole("epoch", epoch, least=0)
        self._drop_last = bool(drop_last)
        self._pad = pad
        self._rank, self._world_size = rank, world_size
        self._prefetch = whole("prefetch", prefetch, least=0)
        self._max_in_flight_bytes = parse_size(max_in_flight_bytes)
        if transform is not None and not callable(transform):
            raise InvalidArgumentError(f"transform={transform!r} cannot be called; give a function of a batch")
        self._transform = transform
        self._turn, self._turns = 0, 1
        self._skipped = 0  # turns of an interrupted iteration that goes on
        self._start = 0  # where the next iteration begins
        self._progress = Progress(self._make_stripes())  # of the newest iteration
        self._gone_through: Progress | None = None  # the same, unless the place was moved since
        self._advised = False
        # weak, for an iterator that is dropped takes its run with it
        self._iteration: weakref.ref[Iteration] | None = None
        self._stall_s = 0.0

    def __len__(self) -> int:
        """Number of batches that the next iteration gives."""
        steps = self._make_stripes().steps
        return max(0, -(-(steps - self._turn) // self._turns)) - self._skipped

    @property
    def padding(self) -> int:
        """Samples that come a second time in the last step, over all ranks, so that each has as many."""
        return self._make_stripes().padding

    def take_turns(self, turn: int, turns: int) -> None:
        """Make every ``turns``-th batch alone, from batch ``turn`` on: the share of one worker process of several."""
        self._turn, self._turns = turn, turns
        self._move(0, "take_turns() was called")

    @property
    def epoch(self) -> int:
        """Number of the epoch whose order the next iteration has."""
        return self._epoch

    def set_epoch(self, epoch: int) -> None:
        """Order of the next iteration; begins that epoch at its first sample, and ends an iteration under way.

        An iterator that has given nothing yet gives that epoch too: loops make theirs before they say which it is.
        """
        self._epoch = whole("epoch", epoch, least=0)
        self._start = self._skipped = 0
        iteration = self._newest() if self.untouched else None
        self._move(0, f"set_epoch({epoch}) was called")
        if iteration is not None:
            iteration.begin_again(self._make_run(), self._progress)
            self._iteration = weakref.ref(iteration)

    @property
    def untouched(self) -> bool:
        """Whether there is an iterator that has given nothing yet."""
        iteration = self._newest()
        return iteration is not None and iteration.untouched and self._progress.displaced is None

    @property
    def batch_sampler(self) -> EpochListener:
        """Where Lightning looks for something to tell which epoch it is in."""
        return EpochListener(self)

    def __iter__(self) -> Iterator[Any]:
        self._advise_epochs()
        self._move(self._skipped, "another was begun over the same batches")
        self._gone_through = self._progress
        iteration = Iteration(self._make_run(), self._progress)
        self._start = self._skipped = 0
        self._iteration = weakref.ref(iteration)
        return iteration

    def _advise_epochs(self) -> None:
        """Say once that a shuffled epoch is given anew, which a loop that counts epochs seldom means."""
        if self._advised or self._kind == SEQUENTIAL or self._gone_through is not self._progress:
            return
        if not 0 < len(self._steps(self._progress.stripes)) <= self._progress.done:
            return
        self._advised = True
        warnings.warn(
            f"these batches come in the order of epoch {self._epoch} once more; each epoch has another when it is told,"
            f" batches.set_epoch(epoch), before it begins (set_epoch({self._epoch}) says that the same is meant)",
            UserWarning,
            stacklevel=3,
        )

    def _make_run(self) -> Careful:
        return Careful(self._recipe(), partial(_begin, prefetch=self._prefetch))

    def _newest(self) -> Iteration | None:
        return None if self._iteration is None else self._iteration()

    def _move(self, done: int, why: str) -> None:
        """Take a new position; an iteration under way, which had another, says so when it is next asked."""
        self._progress.displaced = why
        self.close()
        self._stall_s += self._progress.stall_s
        self._progress = Progress(self._make_stripes(), done)

    def state_dict(self) -> dict[str, Any]:
        """How far the consumer is: plain words and numbers, under 1 KB as JSON, the same on every rank."""
        stripes, done = self._progress.stripes, self._progress.done
        return write_state(
            Position(self._seed, self._epoch, stripes.start, done),
            fingerprint=self._fingerprint,
            order=self._kind,
            consumed=stripes.consumed(done),
            in_turns=self._turns > 1,
        )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state was taken: the next iteration begins with the first sample that was not consumed.

        Parameters
        ----------
        state : mapping
            From `state_dict`, of this dataset in the same kind of order. Its seed and epoch take the place of those
            that these batches were made with; batch size and world size may differ.

        Raises
        ------
        StateError
            If it is the state of another dataset, of another order, of a worker process, or none.
        """
        self._seed, self._epoch, self._start, self._skipped = read_state(
            state,
            fingerprint=self._fingerprint,
            order=self._kind,
            length=self._progress.stripes.length,
            in_turns=self._turns > 1,
        )
        self._move(self._skipped, "load_state_dict() was called")

    def stats(self) -> dict[str, Any]:
        """Bytes, requests and retries of the dataset in this process, and seconds that the consumer waited."""
        progress = self._progress
        return {**self._feed.stats(), "stall_s": self._stall_s + progress.stall_s, "batches": progress.done}

    def close(self) -> None:
        """Stop reading ahead; an iteration that was under way ends."""
        iteration, self._iteration = self._newest(), None
        if iteration is not None:
            iteration.stop()

    def __enter__(self) -> "Batches":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        ranks = f", rank {self._rank} of {self._world_size}" if self._world_size > 1 else ""
        return f"Batches: {len(self):,} of {self._batch_size} samples, order {self._kind}, epoch {self._epoch}{ranks}"

    def _make_stripes(self) -> Stripes:
        order = self._make_order(self._seed, self._epoch)
        return Stripes(order.length, self._batch_size, self._rank, self._world_size, self._drop_last, self._start)

    def _steps(self, stripes: Stripes) -> range:
        """Which steps are made here."""
        return range(stripes.steps)[self._turn :: self._turns]

    def _recipe(self) -> Recipe:
        stripes = self._progress.stripes
        return Recipe(
            feed=self._feed,
            order=self._make_order(self._seed, self._epoch),
            stripes=stripes,
            steps=self._steps(stripes)[self._progress.done :],
            seed=self._seed,
            epoch=self._epoch,
            pad=self._pad,
            transform=self._transform,
            wants_generators=takes_two(self._transform),
            max_in_flight_bytes=self._max_in_flight_bytes,
        )


def _begin(recipe: Recipe, *, prefetch: int) -> Ahead | Direct:
    if not prefetch:
        return Direct(make_batches(recipe))
    if wants_crew(recipe, prefetch):
        return Crew(recipe, prefetch=prefetch)
    return Pipeline(recipe, prefetch=prefetch)


def takes_two(transform: Callable[..., Any] | None) -> bool:
    """Whether a transform wants the samples' random generators beside the batch."""
    if transform is None:
        return False
    try:
        parameters = signature(transform).parameters.values()
    except (TypeError, ValueError):  # built-in functions may not say
        return False
    places = [
        parameter
        for parameter in parameters
        if parameter.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
        and parameter.default is Parameter.empty
    ]
    return len(places) >= 2
