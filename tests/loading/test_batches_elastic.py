"""The order of an epoch is a function: of seed, epoch and length alone, whoever reads it, on however many ranks."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlstac
from tests.loading.datasets import write_stacked

COUNT = 97
SHUFFLES = st.sampled_from([False, True, "block"])
WORLDS = [1, 2, 3, 4, 6, 12]
STEP = 12  # samples of all ranks together: batch size times world size


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """97 numbers, each with its square, in ten shards and five catalog parts."""
    numbers = np.arange(COUNT, dtype=np.int64)
    return write_stacked(
        tmp_path_factory.mktemp("numbers"),
        {"train": {"number": numbers, "square": numbers**2}},
        shard_rows=10,
        part_shards=2,
    )


@pytest.fixture(scope="module")
def ds(folder):
    return mlstac.load(folder, framework="numpy")


def numbers(batches):
    """The numbers of every batch; that each sample is whole is checked on the way."""
    seen = []
    for batch in batches:
        assert np.array_equal(batch["square"], batch["number"] ** 2)
        seen.append(batch["number"].tolist())
    return seen


def flat(lists):
    return [number for some in lists for number in some]


def every_rank(ds, world_size, *, batch_size=None, **options):
    """The batches of each rank of a world."""
    batch_size = STEP // world_size if batch_size is None else batch_size
    ranks = []
    for rank in range(world_size):
        batches = ds.batches(batch_size, rank=rank, world_size=world_size, prefetch=0, **options)
        promised = len(batches)
        ranks.append(numbers(batches))
        assert len(ranks[-1]) == promised
    return ranks


def together(ranks):
    """What all ranks had in each step, in the order of the ranks."""
    return [flat(step) for step in zip(*ranks, strict=True)]


@settings(max_examples=60)
@given(st.integers(0, COUNT), SHUFFLES, st.booleans(), st.integers(-5, 5), st.integers(0, 3))
def test_global_batches_are_the_same_at_any_world_size(ds, count, shuffle, drop_last, seed, epoch):
    some = ds.subset(slice(0, count))
    options = {"shuffle": shuffle, "drop_last": drop_last, "seed": seed, "epoch": epoch}
    alone = numbers(some.batches(STEP, prefetch=0, rank=0, world_size=1, **options))
    assert len(alone) == (count // STEP if drop_last else -(-count // STEP))
    assert sorted(flat(alone)) == sorted(set(flat(alone)))
    if not drop_last:
        assert sorted(flat(alone)) == list(range(count))
    for world_size in WORLDS:
        steps = together(every_rank(some, world_size, **options))
        assert len(steps) == len(alone)
        for step, wanted in zip(steps, alone, strict=True):
            assert step[: len(wanted)] == wanted
            assert len(step) - len(wanted) < world_size  # no rank is filled up by more than one


@settings(max_examples=60)
@given(st.integers(1, COUNT), SHUFFLES, st.integers(1, 9), st.integers(1, 7), st.booleans())
def test_every_rank_has_as_many_batches_and_as_many_samples(ds, count, shuffle, batch_size, world_size, drop_last):
    some = ds.subset(slice(0, count))
    ranks = every_rank(some, world_size, batch_size=batch_size, shuffle=shuffle, drop_last=drop_last)
    assert len({json.dumps([len(batch) for batch in rank]) for rank in ranks}) == 1
    had = flat(flat(rank) for rank in ranks)
    batches = some.batches(batch_size, rank=0, world_size=world_size, drop_last=drop_last)
    if drop_last:
        assert len(had) == len(set(had)) == count // (batch_size * world_size) * batch_size * world_size
        assert batches.padding == 0
    else:
        assert set(had) == set(range(count))
        assert len(had) - count == batches.padding


@given(SHUFFLES, st.integers(1, 20), st.integers(0, 4))
def test_reading_ahead_changes_nothing(ds, shuffle, batch_size, prefetch):
    options = {"shuffle": shuffle, "seed": 2}
    assert numbers(ds.batches(batch_size, prefetch=prefetch, **options)) == numbers(
        ds.batches(batch_size, prefetch=0, max_in_flight_bytes=1, **options)
    )


@pytest.mark.parametrize("shuffle", [True, "block"])
def test_epochs_and_seeds_each_have_an_order_of_their_own(ds, shuffle):
    orders = {
        tuple(flat(numbers(ds.batches(STEP, shuffle=shuffle, seed=seed, epoch=epoch, prefetch=0))))
        for seed in (-1, 0, 1, 2**40)
        for epoch in range(4)
    }
    assert len(orders) == 16


def test_a_sequential_epoch_is_the_same_whatever_its_number(ds):
    assert flat(numbers(ds.batches(STEP, epoch=7, seed=3))) == list(range(COUNT))


def test_a_next_epoch_set_is_the_epoch_asked_for(ds):
    batches = ds.batches(10, shuffle=True, seed=5)
    first = numbers(batches)
    batches.set_epoch(1)
    assert numbers(batches) == numbers(ds.batches(10, shuffle=True, seed=5, epoch=1)) != first


SAY_ORDERS = """
import json, sys, mlstac
ds = mlstac.load(sys.argv[1], framework="numpy")
weights = [number % 5 for number in range(97)]
orders = [
    [batch["number"].tolist() for batch in ds.batches(9, seed=3, epoch=2, **options)]
    for options in [{}, {"shuffle": True}, {"shuffle": "block"}, {"weights": weights}]
]
mixed = [batch["number"].tolist() for batch in mlstac.mix([ds.subset(slice(0, 30)), ds], weights=[3, 1]).batches(9)]
print(json.dumps([ds.fingerprint, *orders, mixed]))
"""


def test_other_processes_and_copies_elsewhere_have_the_same_order(folder, tmp_path, capsys, repository):
    def ask(path, seed):
        done = subprocess.run(
            [sys.executable, "-c", SAY_ORDERS, str(path)],
            capture_output=True,
            text=True,
            timeout=100,
            check=True,
            cwd=repository,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        return json.loads(done.stdout)

    elsewhere = tmp_path / "elsewhere"
    elsewhere.symlink_to(folder, target_is_directory=True)
    one, other = ask(folder, "1"), ask(elsewhere, "2")
    assert one == other
    exec(compile(SAY_ORDERS.replace("sys.argv[1]", repr(str(folder))), "here", "exec"), {})
    assert json.loads(capsys.readouterr().out) == one


@pytest.mark.parametrize("shuffle", [False, True, "block"])
def test_selections_keep_the_order(ds, shuffle):
    options = {"shuffle": shuffle, "seed": 4, "epoch": 1}
    wanted = numbers(ds.batches(8, **options))
    for chosen in (
        ds.select(["number"]),
        ds.scaled().select(["number"]),
        ds.with_framework("torch").select(["number"]),
    ):
        assert [batch["number"].tolist() for batch in chosen.batches(8, **options)] == wanted


@settings(max_examples=40)
@given(
    st.one_of(
        st.slices(COUNT),
        st.lists(st.integers(-COUNT, COUNT - 1), max_size=40),
        st.lists(st.booleans(), min_size=COUNT, max_size=COUNT).map(np.array),
    ),
    SHUFFLES,
)
def test_subsets_are_striped_and_shuffled_as_datasets_are(ds, rows, shuffle):
    key = np.array(rows, np.int64) if isinstance(rows, list) else rows
    wanted = np.arange(COUNT)[key]
    some = ds.subset(rows)
    assert len(some) == len(wanted)
    assert flat(numbers(some.batches(STEP, prefetch=0))) == wanted.tolist()
    alone = numbers(some.batches(STEP, shuffle=shuffle, seed=1, prefetch=0, rank=0, world_size=1))
    assert sorted(flat(alone)) == sorted(wanted.tolist())
    # the order is that of positions, which the numbers of the samples do not change
    plain = ds.subset(slice(0, len(wanted)))
    positions = flat(numbers(plain.batches(STEP, shuffle=shuffle, seed=1, prefetch=0)))
    assert flat(alone) == [int(wanted[position]) for position in positions]
    for world_size in (2, 4):
        for step, expected in zip(together(every_rank(some, world_size, shuffle=shuffle, seed=1)), alone, strict=True):
            assert step[: len(expected)] == expected


@settings(max_examples=30)
@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=COUNT, max_size=COUNT).filter(any), st.integers(0, 3))
def test_weighted_epochs_are_striped_and_keep_their_shares(ds, weights, epoch):
    options = {"weights": weights, "seed": 1, "epoch": epoch}
    alone = numbers(ds.batches(STEP, prefetch=0, rank=0, world_size=1, **options))
    counts = np.bincount(flat(alone), minlength=COUNT)
    share = np.array(weights) / sum(weights) * COUNT
    assert counts.sum() == COUNT
    assert (np.abs(counts - share) < 1 + 1e-9).all()
    for world_size in (2, 3, 12):
        for step, wanted in zip(together(every_rank(ds, world_size, **options)), alone, strict=True):
            assert step[: len(wanted)] == wanted


@settings(max_examples=12)
@given(st.integers(1, COUNT), st.integers(1, COUNT), st.floats(0.05, 0.95), SHUFFLES, st.integers(0, 2))
def test_mixed_epochs_are_striped_and_keep_their_shares(ds, first, second, share, shuffle, epoch):
    parts = [ds.subset(slice(0, first)), ds.subset(slice(COUNT - second, COUNT))]
    both = mlstac.mix(parts, weights=[share, 1 - share], seed=6)
    options = {"shuffle": shuffle, "epoch": epoch, "samples": 3 * COUNT}
    alone = numbers(both.batches(STEP, prefetch=0, rank=0, world_size=1, **options))
    assert len(flat(alone)) == 3 * COUNT
    for world_size in (2, 4):
        for step, wanted in zip(together(every_rank(both, world_size, **options)), alone, strict=True):
            assert step[: len(wanted)] == wanted
    if first + second <= COUNT:  # so that a number tells which of the two it is from
        from_first = sum(number < first for number in flat(alone))
        assert abs(from_first - share * 3 * COUNT) < 0.15 * 3 * COUNT


def test_an_empty_dataset_has_an_empty_epoch(ds):
    empty = ds.subset([])
    assert (len(empty), list(empty)) == (0, [])
    for world_size in (1, 3):
        for shuffle in (False, True, "block"):
            assert every_rank(empty, world_size, shuffle=shuffle) == [[]] * world_size
    assert empty[:]["number"].shape == (0,)


def test_more_ranks_than_samples_each_have_one(ds):
    ranks = every_rank(ds.subset(slice(0, 3)), 12, batch_size=1)
    assert all(len(rank) == 1 and len(rank[0]) == 1 for rank in ranks)
    assert set(flat(flat(rank) for rank in ranks)) == {0, 1, 2}


def test_the_ranks_generators_for_transforms_depend_on_the_sample_alone(ds):
    def drawn(world_size):
        found = {}

        def transform(batch, generators):
            found.update(
                (int(number), generator.integers(1 << 40))
                for number, generator in zip(batch["number"], generators, strict=True)
            )
            return batch

        every_rank(ds, world_size, shuffle=True, seed=1, epoch=4, transform=transform)
        return found

    assert drawn(1) == drawn(4)
    assert len(set(drawn(1).values())) == COUNT
