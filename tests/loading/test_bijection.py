import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlstac.loading._bijection import hash_words, permute

KEYS = st.integers(0, 2**64 - 1)


@given(st.integers(1, 3000), KEYS)
def test_every_number_comes_exactly_once(count, key):
    assert np.array_equal(np.sort(permute(np.arange(count), count, key)), np.arange(count))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 9, 1023, 1024, 1025, 65_537])
def test_every_number_comes_exactly_once_at_the_edges_of_powers_of_two(count):
    assert np.array_equal(np.sort(permute(np.arange(count), count, 7)), np.arange(count))


@given(st.integers(1, 10**12), KEYS, st.lists(st.integers(0, 10**12 - 1), max_size=40, unique=True))
def test_entries_of_a_huge_permutation_are_inside_and_distinct(count, key, positions):
    positions = np.array([position for position in positions if position < count], np.int64)
    values = permute(positions, count, key)
    assert len(np.unique(values)) == len(positions)
    assert ((values >= 0) & (values < count)).all()


@given(st.integers(2, 500), KEYS, st.data())
def test_an_entry_is_the_same_alone_and_among_others(count, key, data):
    position = data.draw(st.integers(0, count - 1))
    assert permute(np.array([position]), count, key)[0] == permute(np.arange(count), count, key)[position]


def test_the_order_is_pinned_for_ever():
    # A stored state counts samples of this very order: another order would silently repeat and lose samples
    assert permute(np.arange(10), 10, 0).tolist() == PINNED_10
    assert permute(np.arange(5), 1_000_003, 42).tolist() == PINNED_MILLION


PINNED_10 = [1, 9, 3, 0, 6, 7, 2, 4, 5, 8]
PINNED_MILLION = [678052, 462659, 146092, 390420, 764670]


def test_positions_are_spread_evenly_over_many_keys():
    count, keys = 8, 1000
    positions = np.tile(np.arange(count), keys)
    entries = permute(positions, count, np.repeat(np.arange(keys, dtype=np.uint64), count))
    counts = np.zeros((count, count))
    np.add.at(counts, (positions, entries), 1)
    expected = keys / count
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < 110  # 49 degrees of freedom: beyond the 99.9999th percentile


def test_neighbours_do_not_stay_neighbours():
    order = permute(np.arange(100_000), 100_000, 3)
    distance = np.abs(np.diff(order)).mean()
    assert abs(distance / (100_000 / 3) - 1) < 0.02


def test_an_array_of_keys_gives_each_position_the_entry_of_its_own_permutation():
    keys = hash_words(9, np.array([0, 1, 2]))
    together = permute(np.array([4, 4, 4]), 100, keys)
    assert together.tolist() == [int(permute(np.array([4]), 100, keys[i : i + 1])[0]) for i in range(3)]


def test_the_order_of_hashed_parts_matters():
    assert hash_words(1, 2)[0] != hash_words(2, 1)[0]
    assert hash_words(0)[0] != hash_words(0, 0)[0]


def test_negative_seeds_hash_without_complaint():
    assert hash_words(-1, 0)[0] != hash_words(1, 0)[0]
