"""A pass over batches that ends at the batch that cannot be made, and at none before it.

Many batches are read and assembled together, and one bad sample fails them all. Then those that were not handed out are
made again, one by one, until the bad one is met.
"""

from collections.abc import Callable, Iterator
from typing import Any

from mlstac.errors import MlstacError, StorageError
from mlstac.loading._ahead import Ahead
from mlstac.loading._pipeline import Recipe

FIRST_ALONE = 64
"""Batches that are made one by one after an error, if it does not come again; then twice as many each time."""


class Direct:
    """Batches that are made when they are asked for.

    Parameters
    ----------
    batches : iterator of list
        Some batches at a time, as `make_batches` has them.
    """

    stall_s = 0.0

    def __init__(self, batches: Iterator[list[Any]]) -> None:
        self._batches = batches
        self._items: list[Any] = []
        self._ended = False

    def advance(self) -> bool:
        """Make the next batch; False after the last."""
        if self._ended:
            return False
        if not self._items:
            self._items = next(self._batches, [])
            self._items.reverse()
        return bool(self._items)

    def take(self) -> Any:
        """Hand out the batch, and keep nothing of it."""
        return self._items.pop().wait()

    def stop(self) -> None:
        """Make no more batches."""
        self._ended = True
        self._items = []


class _Alone:
    """Batches that are made one by one, each as those of the whole are: by the same threads, if by threads.

    What a thread sets for itself alone, as ``jax.enable_x64()`` does, holds for the batches in neither case or in both.
    """

    def __init__(self, recipe: Recipe, steps: range, begin: Callable[[Recipe], Ahead | Direct]) -> None:
        self._recipes = (recipe._replace(steps=steps[number : number + 1]) for number in range(len(steps)))
        self._begin = begin
        self._run: Ahead | Direct = Direct(iter(()))
        self._past_stall_s = 0.0
        self._ended = False

    @property
    def stall_s(self) -> float:
        return self._past_stall_s + self._run.stall_s

    def advance(self) -> bool:
        """Make the next batch; False after the last."""
        while not self._run.advance():
            recipe = None if self._ended else next(self._recipes, None)
            if recipe is None:
                return False
            self._past_stall_s += self._run.stall_s
            self._run = self._begin(recipe)
            if self._ended:  # meanwhile, by another thread
                self._run.stop()
        return True

    def take(self) -> Any:
        """Hand out the batch, and keep nothing of it."""
        return self._run.take()

    def stop(self) -> None:
        """Make no more batches."""
        self._ended = True
        self._run.stop()


class Careful:
    """Batches of a recipe, of which the good ones before a bad one come.

    Parameters
    ----------
    recipe : Recipe
    begin : callable
        Begins to make the batches of a recipe.
    """

    def __init__(self, recipe: Recipe, begin: Callable[[Recipe], Ahead | Direct]) -> None:
        self._recipe = recipe
        self._begin = begin
        self._run: Ahead | Direct | _Alone = begin(recipe)
        self._taken = 0
        self._stall_s = 0.0
        self._is_alone = self._stopped = False
        self._alone = FIRST_ALONE

    @property
    def stall_s(self) -> float:
        """Seconds that the consumer waited."""
        return self._stall_s + self._run.stall_s

    def advance(self) -> bool:
        """Wait for the next batch; False after the last. Raises what making it raised."""
        try:
            if self._run.advance():
                return True
        except MlstacError as error:
            if self._is_alone or hasattr(error, "of_transform"):
                raise
            # a server that fails was asked with all patience, and would be once more
            if isinstance(error, StorageError) and self._recipe.feed.remote:
                raise
        else:
            if not self._is_alone or self._taken == len(self._recipe.steps):
                return False
        if self._stopped:
            return False
        self._change()
        return self.advance()

    def take(self) -> Any:
        """Hand out the batch that `advance` waited for, and keep nothing of it."""
        self._taken += 1
        return self._run.take()

    def stop(self) -> None:
        """Make no more batches; what was begun is cancelled."""
        self._stopped = True
        self._run.stop()

    def _change(self) -> None:
        """Go on one by one after an error; or as before, if it did not come again."""
        self._run.stop()
        self._stall_s += self._run.stall_s
        self._is_alone = not self._is_alone
        rest = self._recipe.steps[self._taken :]
        if self._is_alone:
            self._run = _Alone(self._recipe, rest[: self._alone], self._begin)
            self._alone *= 2
        else:
            self._run = self._begin(self._recipe._replace(steps=rest))
        if self._stopped:  # meanwhile, by another thread
            self._run.stop()
