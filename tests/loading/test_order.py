import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlstac.errors import InvalidArgumentError
from mlstac.loading._order import (
    OPEN_BLOCKS,
    BlockShuffled,
    Shuffled,
    balanced_weights,
    draw,
    epoch_key,
    make_order,
    make_weighted,
)
from mlstac.loading._stripes import Stripes

SEEDS = st.integers(-(2**31), 2**31)


@given(st.integers(0, 2000), st.sampled_from([False, True, "block"]), SEEDS, st.integers(0, 9), st.integers(1, 70))
def test_an_epoch_has_every_sample_once(count, shuffle, seed, epoch, block):
    order = make_order(count, shuffle=shuffle, seed=seed, epoch=epoch, block=block)
    assert np.array_equal(np.sort(order.at(np.arange(count))), np.arange(count))


@given(st.integers(1, 500), st.sampled_from([True, "block"]), SEEDS, st.data())
def test_a_sample_does_not_depend_on_which_positions_are_asked_for(count, shuffle, seed, data):
    order = make_order(count, shuffle=shuffle, seed=seed, epoch=0, block=8)
    positions = np.array(data.draw(st.lists(st.integers(0, count - 1), max_size=20)), np.int64)
    assert np.array_equal(order.at(positions), order.at(np.arange(count))[positions])


def test_epochs_and_seeds_differ():
    orders = {
        tuple(make_order(100, shuffle=True, seed=seed, epoch=epoch, block=1).at(np.arange(100)).tolist())
        for seed in range(5)
        for epoch in range(5)
    }
    assert len(orders) == 25


def test_seed_and_epoch_do_not_trade_places():
    assert epoch_key(1, 2) != epoch_key(2, 1)


@given(st.integers(1, 400), st.integers(1, 12), SEEDS)
def test_a_block_shuffle_uses_up_its_open_blocks_before_it_opens_others(count, block, seed):
    order = BlockShuffled(count, epoch_key(seed, 0), block)
    samples = order.at(np.arange(count))
    for first in range(0, count, order.group):
        group = samples[first : first + order.group]
        runs = 1 + int((np.diff(np.sort(group)) > 1).sum())
        # a block that comes round the end of the dataset counts as two
        assert runs <= OPEN_BLOCKS + 2


def test_a_block_shuffle_mixes_the_samples_of_its_group():
    order = BlockShuffled(10_000, 5, 16)
    first = order.at(np.arange(64))
    assert len(np.unique(first // 16)) > OPEN_BLOCKS - 4
    assert (np.diff(first) == 1).sum() < 8


def test_an_unknown_shuffle_is_refused_by_name():
    with pytest.raises(InvalidArgumentError, match="'full' is not known; choose False, True or 'block'"):
        make_order(5, shuffle="full", seed=0, epoch=0, block=1)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=40).filter(any), SEEDS)
def test_weighted_draws_come_as_often_as_their_share_rounded_down_or_up(weights, seed):
    weights = np.array(weights)
    draws = 200
    order = make_weighted(weights, seed=seed, epoch=0, draws=draws)
    counts = np.bincount(order.at(np.arange(draws)), minlength=len(weights))
    share = weights / weights.sum() * draws
    # strata do not begin where shares do, so a share may touch one stratum more at each end
    assert (np.abs(counts - share) < 1 + 1e-6).all()
    assert counts[weights == 0].sum() == 0


SHARES = st.one_of(st.just(0.0), st.floats(0, 1e300, allow_subnormal=True), st.integers(0, 9).map(float))
OFFSETS = st.one_of(
    st.sampled_from([0.0, 0.5, 1 - 2.0**-53]), st.integers(0, 2**53 - 1).map(lambda word: word * 2.0**-53)
)


@given(
    st.lists(SHARES, min_size=1, max_size=60).filter(lambda shares: 0 < sum(shares) < np.inf),
    OFFSETS,
    st.integers(0, 9),
)
@example([1.0, 0.0], 1 - 2.0**-53, 1)
def test_a_sample_of_weight_0_is_never_drawn(shares, offset, zeros):
    weights = np.array(shares + [0.0] * zeros)
    drawn = draw(np.arange(len(weights)), offset, len(weights), np.cumsum(weights))
    assert (weights[drawn] > 0).all()


@pytest.mark.parametrize("weights", [[1, -1], [1, np.nan], [np.inf, 1], [0, 0], []])
def test_weights_that_cannot_be_meant_are_refused(weights):
    with pytest.raises(InvalidArgumentError):
        make_weighted(np.array(weights, float), seed=0, epoch=0, draws=4)


def test_balanced_weights_make_every_value_as_likely():
    weights = balanced_weights(pa.chunked_array([["a", "b", "a"], [None, "a", "a"]]), "class")
    assert weights.sum() == pytest.approx(1)
    assert weights[[0, 2, 4, 5]].sum() == pytest.approx(1 / 3)
    assert weights[1] == weights[3] == pytest.approx(1 / 3)


WORLDS = st.sampled_from([(1, 24), (2, 12), (3, 8), (4, 6), (6, 4), (8, 3), (12, 2), (24, 1)])


def all_ranks(length, world, batch, *, drop_last=False, start=0):
    """Positions of each step, over all ranks."""
    ranks = [Stripes(length, batch, rank, world, drop_last, start) for rank in range(world)]
    assert len({stripes.steps for stripes in ranks}) == 1
    steps = []
    for number in range(ranks[0].steps):
        parts = [stripes.positions(range(number, number + 1)) for stripes in ranks]
        assert len({len(part) for part in parts}) == 1, "every rank has as many samples in a step"
        steps.append(np.concatenate(parts))
    return steps


@given(st.integers(0, 300), WORLDS, WORLDS)
def test_the_same_samples_make_a_step_on_any_number_of_ranks(length, one, other):
    steps, others = all_ranks(length, *one), all_ranks(length, *other)
    assert len(steps) == len(others)
    for number, (step, again) in enumerate(zip(steps, others, strict=True)):
        real = min(24, length - 24 * number)  # what follows in a last step are the epoch's first samples, once more
        assert np.array_equal(step[:real], again[:real])


@given(st.integers(1, 300), st.integers(1, 9), st.integers(1, 9))
def test_every_position_is_taken_once_but_for_the_padding(length, world, batch):
    taken = np.concatenate(all_ranks(length, world, batch))
    padding = Stripes(length, batch, 0, world, False).padding
    assert padding < world
    assert len(taken) == length + padding
    assert set(taken.tolist()) == set(range(length))


@given(st.integers(1, 300), st.integers(1, 9), st.integers(1, 9), st.integers(0, 20))
def test_steps_are_the_same_alone_and_together(length, world, batch, start):
    stripes = Stripes(length, batch, world - 1, world, False, min(start, length))
    if stripes.steps:
        steps = range(stripes.steps)
        alone = [stripes.positions(range(step, step + 1)) for step in steps]
        assert np.array_equal(stripes.positions(steps), np.concatenate(alone))
        assert stripes.sizes(steps) == [len(part) for part in alone]


@given(st.integers(0, 300), st.integers(1, 9), st.integers(1, 9))
def test_drop_last_leaves_full_steps_alone(length, world, batch):
    steps = all_ranks(length, world, batch, drop_last=True)
    assert len(steps) == length // (world * batch)
    assert all(len(step) == world * batch for step in steps)


@given(st.integers(1, 300), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.data())
def test_a_resume_at_another_size_goes_on_at_the_same_sample(length, world, batch, new_world, new_batch, data):
    first = Stripes(length, batch, 0, world, False)
    done = data.draw(st.integers(0, first.steps))
    consumed = first.consumed(done)
    before = all_ranks(length, world, batch)[:done]
    after = all_ranks(length, new_world, new_batch, start=consumed)
    taken = np.concatenate([np.zeros(0, np.int64), *before, *after])
    counts = np.bincount(taken, minlength=length)
    assert (counts >= 1).all()
    padding = Stripes(length, new_batch, 0, new_world, False, consumed).padding
    again = padding + (Stripes(length, batch, 0, world, False).padding if done == first.steps else 0)
    assert counts.sum() == length + again


def test_a_shuffled_order_is_a_function_of_seed_epoch_and_length_alone():
    assert make_order(9, shuffle=True, seed=1, epoch=2, block=4) == Shuffled(9, epoch_key(1, 2))
