"""Which positions of an epoch each rank takes at each step."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Stripes(NamedTuple):
    """Steps of an epoch, from a position on, over the ranks of a world.

    Step k takes the next ``batch_size * world_size`` positions; each rank its own run of them, rank 0 the first.
    Every rank has the same number of steps, and of samples in each: what is left at the end is dropped
    (``drop_last``), or shared out in a shorter step, for which the last run is filled up with the first samples of
    the epoch where it does not divide by the ranks.
    """

    length: int
    """Positions of the epoch."""
    batch_size: int
    """Samples of a rank in a step."""
    rank: int
    world_size: int
    drop_last: bool
    start: int = 0
    """Position from which to go on."""

    @property
    def step(self) -> int:
        """Positions that all ranks together take in a step."""
        return self.batch_size * self.world_size

    @property
    def steps(self) -> int:
        """Number of batches of every rank."""
        left = max(0, self.length - self.start)
        return left // self.step if self.drop_last else -(-left // self.step)

    @property
    def padding(self) -> int:
        """Samples that come a second time, over all ranks, to make the last step even."""
        left = max(0, self.length - self.start) % self.step
        return 0 if self.drop_last else -left % self.world_size

    def size(self, number: int) -> int:
        """Samples of this rank in one step."""
        left = self.length - self.start - number * self.step
        return self.batch_size if left >= self.step else -(-left // self.world_size)

    def sizes(self, steps: range) -> list[int]:
        """Samples of this rank in each of some ascending steps."""
        return [self.batch_size] * (len(steps) - 1) + [self.size(steps[-1])] if steps else []

    def positions(self, steps: range) -> NDArray[np.int64]:
        """Positions of this rank in some ascending steps; those past the end have come round to the beginning."""
        size = self.size(steps[-1])
        full = np.array(steps[:-1], np.int64) * self.step + self.start + self.rank * self.batch_size
        last = self.start + steps[-1] * self.step + self.rank * size
        positions = np.concatenate(
            [(full[:, None] + np.arange(self.batch_size)).reshape(-1), np.arange(last, last + size, dtype=np.int64)]
        )
        wrapped: NDArray[np.int64] = positions % max(self.length, 1)
        return wrapped

    def consumed(self, number: int) -> int:
        """Position up to which the epoch is used once that many steps are done, by all ranks."""
        return min(self.start + number * self.step, self.length)
