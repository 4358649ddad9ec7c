"""Batches of an epoch, planned, read and assembled by one thread while the consumer works."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import accumulate, pairwise
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import MlstacError
from mlstac.loading._ahead import Ahead, End, Made, receive
from mlstac.loading._assemble import assemble_all
from mlstac.loading._chunks import CHUNK_BYTES, GROWTH, Reading, chunk_steps
from mlstac.loading._feed import Feed, is_tiny
from mlstac.loading._generators import Generators
from mlstac.loading._order import BlockShuffled, Order, Sequential
from mlstac.loading._padding import Pad
from mlstac.loading._remote import Pending, scratch_of_rows
from mlstac.loading._slots import Slots
from mlstac.loading._stripes import Stripes

Integers = NDArray[np.int64]

PLAN_SAMPLES = 8192
"""Samples whose order and addresses are found at once, if chunks are smaller than that."""

LOOKAHEAD_BYTES = 64 * 1024 * 1024
"""Bytes asked for ahead of their use: what a fast link carries during a few round trips."""

LOOKAHEAD_CHUNKS = 4
"""Chunks asked for ahead if they are large: those under way share the link and end about together, and with few of
them it would lie idle until others are asked for."""

FIRST_LOOKAHEAD_BYTES = 32 * 1024 * 1024
"""The same after the first batch, for which nothing else is asked for; it grows with every chunk that has come."""


class Recipe(NamedTuple):
    """Everything that makes the batches of an epoch what they are."""

    feed: Feed
    order: Order
    stripes: Stripes
    steps: range
    """Which of the steps to make."""
    seed: int
    epoch: int
    pad: Pad | None
    transform: Callable[..., Any] | None
    wants_generators: bool
    max_in_flight_bytes: int


class Plan:
    """Some steps of an epoch: their samples, and where the bytes are; tiny tensors are read for all at once."""

    def __init__(self, recipe: Recipe, steps: range) -> None:
        stripes, feed = recipe.stripes, recipe.feed
        self.sizes = stripes.sizes(steps)
        self.samples = recipe.order.at(stripes.positions(steps))
        self.slots = feed.locate(self.samples)
        self.tiny = [is_tiny(entry.view, feed.sample_bytes) for entry in self.slots]
        self.nbytes = 0
        """Bytes of the tiny tensors, with what they take besides, until they are there."""
        self._pending: Pending | None = None
        self._cut_samples = 0
        shared = [entry for entry, tiny in zip(self.slots, self.tiny, strict=True) if tiny]
        if shared:
            self._pending, self.nbytes = _lay_out(feed, shared, self.samples)

    def cut(self, recipe: Recipe, sizes: list[int]) -> Iterator[list[int]]:
        """Parts of the plan's next chunk, each of one batch or at most as many bytes as a chunk may have.

        How long a chunk may be is reckoned from the samples' usual size, which says nothing where shapes vary or
        samples are compressed: there the addresses do, now that they are found.
        """
        own = [entry for entry, tiny in zip(self.slots, self.tiny, strict=True) if not tiny]
        varying = [entry for entry in own if entry.view.row_bytes is None]
        passing = [entry for entry in own if entry in varying or entry.located.frames is not None]
        passing = passing if recipe.feed.remote else []
        usual_bytes = recipe.feed.scratch_bytes + sum(entry.view.row_bytes or 0 for entry in own)
        part: list[int] = []
        held = on_way = 0
        for size in sizes:
            first, self._cut_samples = self._cut_samples, self._cut_samples + size
            nbytes = sum(entry.part(first, first + size).nbytes for entry in varying)
            more = 0
            if passing:
                more = nbytes + size * usual_bytes
                more += sum(scratch_of_rows(entry.part(first, first + size)) for entry in passing)
            if part and (held + nbytes > CHUNK_BYTES or max(held + nbytes, on_way + more) > recipe.max_in_flight_bytes):
                yield part
                part, held, on_way = [], 0, 0
            part.append(size)
            held += nbytes
            on_way += more
        yield part

    def begin_tiny(self, recipe: Recipe) -> None:
        """Ask for the tiny tensors."""
        if self._pending is not None:
            _begin(recipe.feed, self._pending, self.samples)

    def cancel(self) -> None:
        """Give the tiny tensors up."""
        if self._pending is not None:
            self._pending.cancel()

    def finish_tiny(self, recipe: Recipe, waiting: "Waiting") -> None:
        """Wait for the tiny tensors, the first time."""
        pending, self._pending, self.nbytes = self._pending, None, 0
        if pending is not None:
            waiting.wait(recipe.feed, pending, self.samples)


class Chunk:
    """Some batches of a plan that are read together; asked for when that is begun, or finished."""

    def __init__(self, recipe: Recipe, plan: Plan, first: int, sizes: list[int]) -> None:
        last = first + sum(sizes)
        self.plan = plan
        self.sizes = sizes
        self.samples = plan.samples[first:last]
        self.slots = [entry.part(first, last) for entry in plan.slots]
        own = [entry for entry, tiny in zip(self.slots, plan.tiny, strict=True) if not tiny]
        self.pending, nbytes = _lay_out(recipe.feed, own, self.samples)
        # the originals' samples tell their sizes when they are read
        self.nbytes = nbytes or recipe.feed.sample_bytes * len(self.samples)

    def begin(self, recipe: Recipe) -> None:
        """Ask for its bytes."""
        _begin(recipe.feed, self.pending, self.samples)

    def cancel(self) -> None:
        """Give it up."""
        self.pending.cancel()
        self.plan.cancel()


def make_plans(recipe: Recipe) -> Iterator[tuple[Plan, list[list[int]]]]:
    """Plan an epoch: some steps, and the batch sizes of each chunk of them; few steps first, then more at a time."""
    stripes, first, most = recipe.stripes, 0, 1
    chunks: list[int] = []
    # tiny tensors of a plan, each sample's without its neighbours, take at most half of what may be under way
    bound = max(1, recipe.max_in_flight_bytes // 2 // max(1, recipe.feed.tiny_bytes))
    for count in chunk_steps(_reading(recipe)):
        chunks.append(count)
        if sum(chunks) * stripes.batch_size >= most or first + sum(chunks) == len(recipe.steps):
            plan = Plan(recipe, recipe.steps[first : first + sum(chunks)])
            edges = [0, *accumulate(chunks)]
            yield plan, [plan.sizes[begin:end] for begin, end in pairwise(edges)]
            first += sum(chunks)
            most = min(GROWTH * max(most, stripes.batch_size), PLAN_SAMPLES, bound)
            chunks = []


def _reading(recipe: Recipe) -> Reading:
    stripes, order = recipe.stripes, recipe.order
    return Reading(
        steps=len(recipe.steps),
        batch_size=stripes.batch_size,
        stride=stripes.step * recipe.steps.step,
        start=stripes.start + recipe.steps.start * stripes.step,
        sample_bytes=recipe.feed.sample_bytes,
        remote=recipe.feed.remote,
        region=1
        if isinstance(order, Sequential)
        else order.group
        if isinstance(order, BlockShuffled)
        else order.length,
        length=order.length,
        max_in_flight_bytes=recipe.max_in_flight_bytes,
        scratch_bytes=recipe.feed.scratch_bytes,
        shared_bytes=recipe.feed.shared_bytes,
        neighbours_bytes=recipe.feed.neighbours_bytes,
    )


class Waiting:
    """What is being waited for, so that another thread can put an end to it."""

    def __init__(self) -> None:
        self._pending: Pending | None = None
        self.stopped = False

    def wait(self, feed: Feed, pending: Pending, samples: Integers) -> None:
        """Return when the bytes are there."""
        # in this order, and the other way round in stop: one of the two sees what the other did, without a lock
        self._pending = pending
        if self.stopped:
            pending.cancel()
        try:
            pending.wait()
        except MlstacError as error:
            raise feed.placed(error, samples) from error
        finally:
            self._pending = None

    def stop(self) -> None:
        """Give up what is being waited for; a server that stalls would keep the thread and its connections."""
        self.stopped = True
        pending = self._pending
        if pending is not None:
            pending.cancel()


def make_batches(recipe: Recipe, waiting: Waiting | None = None) -> Generator[list[Any], None, None]:
    """Make the batches of an epoch, some at a time, reading ahead as far as bytes in flight allow."""
    waiting = waiting or Waiting()
    window = 0
    plan: Plan | None = None
    begun: deque[Chunk] = deque()
    try:
        for plan, chunks in make_plans(recipe):
            while begun and _flying(begun, None) + plan.nbytes > recipe.max_in_flight_bytes:
                yield finish(recipe, begun.popleft(), waiting)
            plan.begin_tiny(recipe)
            first = 0
            for sizes in (part for chunk in chunks for part in plan.cut(recipe, chunk)):
                chunk = Chunk(recipe, plan, first, sizes)
                first += sum(sizes)
                most = _lookahead(recipe, chunk.nbytes)
                while begun and _flying(begun, plan) + chunk.nbytes > recipe.max_in_flight_bytes:
                    yield finish(recipe, begun.popleft(), waiting)
                    window = _wider(window, most)
                if plan.nbytes + chunk.nbytes > recipe.max_in_flight_bytes:
                    plan.finish_tiny(recipe, waiting)
                chunk.begin(recipe)
                begun.append(chunk)
                del chunk  # its memory is the consumer's alone once it is finished
                while begun and _flying(begun, plan) >= min(window, most):
                    yield finish(recipe, begun.popleft(), waiting)
                    window = _wider(window, most)
        while begun:
            yield finish(recipe, begun.popleft(), waiting)
    finally:
        for chunk in begun:
            chunk.cancel()
        if plan is not None:  # none of its chunks may have begun
            plan.cancel()


def _flying(begun: Iterable[Chunk], plan: Plan | None) -> int:
    """Bytes asked for: of chunks, and of the tiny tensors of their plans and of the newest."""
    plans = {id(chunk.plan): chunk.plan for chunk in begun}
    if plan is not None:
        plans[id(plan)] = plan
    return sum(chunk.nbytes for chunk in begun) + sum(its.nbytes for its in plans.values())


def _wider(window: int, most: int) -> int:
    return min(most, max(GROWTH * window, FIRST_LOOKAHEAD_BYTES))


def _lookahead(recipe: Recipe, chunk_bytes: int) -> int:
    """Bytes under way below which another chunk of about that size is begun."""
    if not recipe.feed.remote:
        return 0
    wished = max(LOOKAHEAD_BYTES, LOOKAHEAD_CHUNKS * chunk_bytes)
    return min(wished, recipe.max_in_flight_bytes)


def _lay_out(feed: Feed, slots: list[Slots], samples: Integers) -> tuple[Pending, int]:
    """Give slots their memory; what will fill it, and how many bytes that takes on its way."""
    for entry in slots:
        feed.output.prepare(entry)
    try:
        pending = feed.begin(slots, samples)
    except MlstacError as error:
        raise feed.placed(error, samples) from error
    return pending, sum(entry.nbytes for entry in slots) + pending.scratch_bytes


def _begin(feed: Feed, pending: Pending, samples: Integers) -> None:
    try:
        pending.begin()
    except MlstacError as error:
        raise feed.placed(error, samples) from error


def finish(recipe: Recipe, chunk: Chunk, waiting: Waiting) -> list[Any]:
    """Batches of a chunk whose bytes are asked for, once they are there."""
    output = recipe.feed.output
    try:
        chunk.plan.finish_tiny(recipe, waiting)
        waiting.wait(recipe.feed, chunk.pending, chunk.samples)
    except BaseException:
        chunk.cancel()
        raise
    try:
        batches = assemble_all(chunk.slots, chunk.sizes, output, pad=recipe.pad)
    except MlstacError as error:
        if not hasattr(error, "row"):
            raise
        raise recipe.feed.placed(error, chunk.samples) from error
    if recipe.transform is None:
        return [output.begin_transfer(batch) for batch in batches]
    sent: list[Any] = []
    batches.reverse()
    begin = 0
    for size in chunk.sizes:
        samples = chunk.samples[begin : begin + size]
        generators = (Generators(samples, seed=recipe.seed, epoch=recipe.epoch),) if recipe.wants_generators else ()
        try:
            sent.append(output.begin_transfer(recipe.transform(batches.pop(), *generators)))
        except Exception as error:
            if not sent:
                vars(error).update(of_transform=True)  # for whoever would make the batch again
                raise
            sent.append(Failed(error))
            break
        begin += size
    return sent


class Failed(NamedTuple):
    """In the place of a batch that cannot be made, after good ones."""

    error: Exception

    def wait(self) -> None:
        """Raise what went wrong."""
        raise self.error


class Pipeline(Ahead):
    """Batches of a recipe, made in a thread, at most ``prefetch`` of them (or chunks of small ones) ahead of their use.

    Parameters
    ----------
    recipe : Recipe
    prefetch : int
        At least 1.
    """

    def __init__(self, recipe: Recipe, *, prefetch: int) -> None:
        self._ready: SimpleQueue[Made] = SimpleQueue()
        waiting = Waiting()
        super().__init__("mlstac-batches", prefetch=prefetch, stop=waiting.stop)
        self._start(_run, recipe, self._ready, self._permits, waiting)

    def _receive(self) -> Made:
        return receive(self._ready)


def _run(recipe: Recipe, ready: "SimpleQueue[Made]", permits: "SimpleQueue[None]", waiting: Waiting) -> None:
    batches = make_batches(recipe, waiting)
    error: BaseException | None = None
    try:
        while True:
            permits.get()
            if waiting.stopped:
                break
            # not kept in a name: it is the consumer's alone, and its memory goes when the consumer lets go of it
            ready.put(next(batches))
    except StopIteration:
        pass
    except BaseException as raised:  # noqa: BLE001  (it is raised in the consumer's thread)
        # what was cancelled by stop is no failure: the iteration ends
        error = None if waiting.stopped else raised
    finally:
        batches.close()
        ready.put(End(error))
