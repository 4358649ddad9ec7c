"""A permutation of 0 … n-1 that is a function: any entry of it costs the same few operations, and no memory.

A Feistel network over the smallest power of two that holds n, with numbers from n on walked along their cycle until
they are inside. All arithmetic is that of unsigned 64-bit integers, so every machine and every version gives the same
order.

References
----------
J. Black and P. Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002 (cycle walking).
S. Vigna, "splitmix64" (the mixing function).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

ROUNDS = 6

_LEAST_BITS = 8  # halves of one or two bits have too few functions to look random; walking a short cycle is cheap

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 0xFFFFFFFFFFFFFFFF


def mix(words: Words) -> Words:
    """Scatter the bits of every word over all of its 64."""
    words = words ^ (words >> np.uint64(30))
    words = words * np.uint64(0xBF58476D1CE4E5B9)
    words = words ^ (words >> np.uint64(27))
    words = words * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def hash_words(*parts: NDArray[Any] | int) -> Words:
    """One 64-bit word of several numbers or arrays of them; the order of the parts matters."""
    state: Words = np.asarray(_GOLDEN, np.uint64)[None]
    with np.errstate(over="ignore"):
        for part in parts:
            word = np.asarray(part & _MASK if isinstance(part, int) else part).astype(np.uint64)
            state = mix(state * np.uint64(_GOLDEN) + word + np.uint64(1))
    return state


def permute(positions: NDArray[np.int64], count: int, key: Words | int) -> NDArray[np.int64]:
    """Entries of a permutation of ``count`` numbers.

    Parameters
    ----------
    positions : numpy.ndarray, shape (n,), int64
        Each in 0 … count-1.
    count : int
    key : int, or numpy.ndarray, shape (n,), uint64
        Chooses the permutation; an array gives every position one of its own.

    Returns
    -------
    numpy.ndarray, shape (n,), int64
    """
    if count < 2:
        return np.zeros(len(positions), np.int64)
    bits = max(_LEAST_BITS, (count - 1).bit_length())
    # Halves of 16 bits and less fit words of 32, in which a processor multiplies twice as many at once
    word: type[np.uint32 | np.uint64] = np.uint32 if bits <= 32 else np.uint64
    keys = hash_words(key, count)
    values = _feistel(positions.astype(word), keys, bits, word)
    outside = np.flatnonzero(values >= count)
    while outside.size:
        its_keys = keys if len(keys) == 1 else keys[outside]
        walked = _feistel(values[outside], its_keys, bits, word)
        values[outside] = walked
        outside = outside[walked >= count]
    return values.astype(np.int64)


def _feistel(values: NDArray[Any], keys: Words, bits: int, word: Any) -> NDArray[Any]:
    """A permutation of 0 … 2**bits - 1: each round changes one half by a function of the other, and can be undone."""
    width = 8 * word().itemsize
    low_bits, high_bits = bits // 2, bits - bits // 2
    low, high = values & word((1 << low_bits) - 1), values >> word(low_bits)
    first, second = (word(factor & ((1 << width) - 1)) for factor in (_GOLDEN, 0xC2B2AE3D27D4EB4F))
    with np.errstate(over="ignore"):
        for turn in range(ROUNDS):
            step = mix(keys + np.uint64((_GOLDEN * (turn + 1)) & _MASK)).astype(word)
            source, target, kept = (low, high, high_bits) if turn % 2 else (high, low, low_bits)
            scattered = source * first
            scattered += step
            scattered ^= scattered >> word(width // 2)
            scattered *= second
            scattered >>= word(width - kept)  # the upper bits of a product depend on all of its factor's
            target ^= scattered
    joined: NDArray[Any] = (high << word(low_bits)) | low
    return joined
