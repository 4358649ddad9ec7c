"""Random numbers for transforms: each sample has its own, whatever batch, rank or resume it comes in."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mlstac.loading._bijection import hash_words


class Generators:
    """A numpy generator for every sample of a batch, seeded by (seed, epoch, number of the sample).

    ``rngs[i]`` is that of sample i; ``rngs.random()`` draws one number for each sample at once.
    """

    def __init__(self, samples: NDArray[np.int64], *, seed: int, epoch: int) -> None:
        self._low = hash_words(seed, epoch, samples, 1)
        self._high = hash_words(seed, epoch, samples, 2)

    def __len__(self) -> int:
        return len(self._low)

    def __getitem__(self, index: int) -> np.random.Generator:
        key = (int(self._high[index]) << 64) | int(self._low[index])
        return np.random.Generator(np.random.Philox(key=key))

    def __iter__(self) -> Iterator[np.random.Generator]:
        return (self[index] for index in range(len(self)))

    def random(self, stream: int = 0) -> NDArray[np.float64]:
        """One number in [0, 1) for each sample; another ``stream`` gives others.

        Returns
        -------
        numpy.ndarray, shape (batch,), float64
        """
        words = hash_words(self._low, self._high, stream)
        return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def integers(self, low: int, high: int, stream: int = 0) -> NDArray[np.int64]:
        """One integer in low … high-1 for each sample.

        Returns
        -------
        numpy.ndarray, shape (batch,), int64
        """
        drawn = np.floor(self.random(stream) * (high - low)).astype(np.int64)
        bounded: NDArray[np.int64] = np.minimum(low + drawn, high - 1)
        return bounded
