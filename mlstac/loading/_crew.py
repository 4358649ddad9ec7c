"""Batches of local samples made by two threads, each a chunk of its own, handed out in their order.

One thread copies from the page cache at about half of what memory carries, and where values are widened or converted
too it would do one after the other. Threads of numpy's copies let go of Python's lock, so two of them do both at once.
Remote samples are another matter: there the network is waited for, and one thread is enough.
"""

import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from queue import SimpleQueue
from typing import Any

from mlstac.loading._ahead import Ahead, End, Made, receive
from mlstac.loading._pipeline import Chunk, Plan, Recipe, Waiting, finish, make_plans

WORKERS = 2

BATCH_BYTES = 1024 * 1024
"""Batches from this size on are worth a second thread: of smaller ones most of the work is Python's, which has one."""

Job = Callable[[], list[Any]]


def wants_crew(recipe: Recipe, prefetch: int) -> bool:
    """Whether two threads make a recipe's batches sooner than one, and as the user may expect it.

    A transform is the user's own code, which need not bear to be called twice at once; and what goes on to a device
    goes in the order of the batches.
    """
    feed = recipe.feed
    return (
        not feed.remote
        and recipe.transform is None
        and feed.output.on_host
        and prefetch >= WORKERS
        and feed.sample_bytes * recipe.stripes.batch_size >= BATCH_BYTES
        and (os.cpu_count() or 1) >= WORKERS
    )


def make_jobs(recipe: Recipe, waiting: Waiting) -> Iterator[Job]:
    """Chunks of an epoch as functions that read and assemble them, which may run at the same time."""
    for plan, chunks in make_plans(recipe):
        plan.begin_tiny(recipe)
        plan.finish_tiny(recipe, waiting)
        first = 0
        for sizes in (part for chunk in chunks for part in plan.cut(recipe, chunk)):
            yield partial(_make, recipe, plan, first, sizes, waiting)
            first += sum(sizes)


def _make(recipe: Recipe, plan: Plan, first: int, sizes: list[int], waiting: Waiting) -> list[Any]:
    return finish(recipe, Chunk(recipe, plan, first, sizes), waiting)


class Crew(Ahead):
    """Batches of a recipe, made by two threads, at most ``prefetch`` of them (or chunks of small ones) ahead.

    Parameters
    ----------
    recipe : Recipe
        For which `wants_crew`.
    prefetch : int
    """

    def __init__(self, recipe: Recipe, *, prefetch: int) -> None:
        self._tickets: SimpleQueue[SimpleQueue[Made]] = SimpleQueue()
        waiting = Waiting()
        names = [f"mlstac-batches-{number}" for number in range(WORKERS)]
        super().__init__(*names, prefetch=prefetch, stop=waiting.stop)
        jobs = make_jobs(recipe, waiting)
        self._start(_work, jobs, threading.Lock(), self._tickets, self._permits, waiting)

    def _receive(self) -> Made:
        return receive(receive(self._tickets))


def _work(
    jobs: Iterator[Job],
    turn: threading.Lock,
    tickets: "SimpleQueue[SimpleQueue[Made]]",
    permits: "SimpleQueue[None]",
    waiting: Waiting,
) -> None:
    """One thread: the next chunk is chosen, and its place in the order taken, by one of them at a time."""
    while True:
        permits.get()
        ticket: SimpleQueue[Made] = SimpleQueue()  # the place of some batches in the order, taken before they are made
        try:
            with turn:
                tickets.put(ticket)
                job = None if waiting.stopped else next(jobs, None)
            # not kept in a name: it is the consumer's alone, and its memory goes when the consumer lets go of it
            ticket.put(End(None) if job is None else job())
        except BaseException as raised:  # noqa: BLE001  (it is raised in the consumer's thread)
            # what was cancelled by stop is no failure: the iteration ends
            ticket.put(End(None if waiting.stopped else raised))
            job = None
        if job is None:
            permits.put(None)  # the other ends too
            return
