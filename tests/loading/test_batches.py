"""Batches of an epoch: order, ranks, resume, and what happens when things go wrong."""

import contextlib
import gc
import json
import multiprocessing
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mlstac
from mlstac.errors import InvalidArgumentError, NotFoundError, StateError
from tests.waiting import wait_until

SHUFFLES = st.sampled_from([False, True, "block"])


@pytest.fixture(scope="module")
def ds(tiny):
    return mlstac.load(tiny, framework="numpy")


def targets(batches):
    return [(batch["target"] // 10).tolist() for batch in batches]


def flat(lists):
    return [sample for some in lists for sample in some]


@pytest.mark.parametrize("shuffle", [False, True, "block"])
@pytest.mark.parametrize("prefetch", [0, 1, 2, 5])
def test_an_epoch_has_every_sample_once_with_its_own_bytes(ds, arrays, shuffle, prefetch):
    seen = []
    for batch in ds.batches(4, shuffle=shuffle, seed=2, prefetch=prefetch):
        rows = batch["target"] // 10
        assert np.array_equal(batch["input"], arrays["input"][rows])
        seen += rows.tolist()
    assert sorted(seen) == list(range(17))
    assert (seen == list(range(17))) == (shuffle is False)


def test_the_length_is_exact(ds):
    for batch_size in (1, 4, 16, 17, 18):
        for drop_last in (False, True):
            batches = ds.batches(batch_size, drop_last=drop_last)
            assert len(batches) == len(list(batches))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.sampled_from([(1, 6), (2, 3), (3, 2), (6, 1)]), SHUFFLES, st.integers(0, 5), st.integers(0, 3))
def test_ranks_together_see_the_batches_of_one(ds, world, shuffle, seed, epoch):
    size, batch_size = world
    options = {"shuffle": shuffle, "seed": seed, "epoch": epoch, "prefetch": 0}
    alone = targets(ds.batches(6, rank=0, world_size=1, **options))
    ranks = [targets(ds.batches(batch_size, rank=rank, world_size=size, **options)) for rank in range(size)]
    for number, step in enumerate(alone):
        together = [sample for rank in ranks for sample in rank[number]]
        assert together[: len(step)] == step
    assert len({len(rank) for rank in ranks}) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(SHUFFLES, st.integers(1, 7), st.integers(1, 3), st.integers(1, 7), st.integers(1, 3), st.data())
def test_a_resume_at_another_size_repeats_and_loses_nothing(ds, shuffle, batch_size, world, new_size, new_world, data):
    def make(size, rank, of):
        return ds.batches(size, shuffle=shuffle, seed=4, rank=rank, world_size=of, prefetch=0)

    before = [make(batch_size, rank, world) for rank in range(world)]
    done = data.draw(st.integers(0, len(before[0]) - 1))
    seen = []
    for batches in before:
        iterator = iter(batches)
        seen += [sample for _ in range(done) for sample in (next(iterator)["target"] // 10).tolist()]
    states = [json.loads(json.dumps(batches.state_dict())) for batches in before]
    assert all(state == states[0] for state in states), "a state is of all ranks"
    for rank in range(new_world):
        batches = make(new_size, rank, new_world)
        batches.load_state_dict(states[0])
        left = len(batches)
        rest = targets(batches)
        assert len(rest) == left
        seen += [sample for batch in rest for sample in batch]
    counts = np.bincount(seen, minlength=17)
    last = ds.batches(new_size, shuffle=shuffle, rank=0, world_size=new_world)
    last.load_state_dict(states[0])
    assert (counts >= 1).all()
    assert counts.sum() - 17 == last.padding < new_world


def test_a_state_counts_what_the_consumer_had_and_not_what_was_read_ahead(ds):
    batches = ds.batches(2, shuffle=True, seed=1, prefetch=4)
    iterator = iter(batches)
    first = [next(iterator) for _ in range(3)]
    state = batches.state_dict()
    assert state["consumed"] == 6
    assert len(json.dumps(state)) < 1024
    rest = targets(iterator)
    again = ds.batches(2, shuffle=True, seed=99)
    again.load_state_dict(state)
    assert targets(again) == rest
    assert len(first) + len(rest) == 9


def test_a_finished_epoch_resumes_with_nothing_left_and_the_next_begins_anew(ds):
    batches = ds.batches(5)
    assert len(targets(batches)) == 4
    state = batches.state_dict()
    assert state["consumed"] == 17
    again = ds.batches(5)
    again.load_state_dict(state)
    assert len(again) == 0
    assert targets(again) == []
    again.set_epoch(1)
    assert len(again) == 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fingerprint": "0" * 16}, "another dataset"),
        ({"order": "shuffled"}, "in order 'shuffled'"),
        ({"version": 2}, "version 2"),
        ({"consumed": -1}, "consumed of the state is -1, not a whole number from 0 on"),
        ({"consumed": "7"}, "consumed of the state is '7', not a whole number"),
    ],
)
def test_a_state_that_is_of_something_else_is_refused(ds, change, said):
    batches = ds.batches(4)
    with pytest.raises(StateError, match=said):
        batches.load_state_dict(batches.state_dict() | change)


def test_the_state_of_another_selection_or_split_is_refused(ds, tiny):
    state = ds.batches(4).state_dict()
    for other in (ds.subset(slice(0, 16)), mlstac.load(tiny, "test"), mlstac.load(tiny, "all")):
        with pytest.raises(StateError, match="another dataset"):
            other.batches(4).load_state_dict(state)
    ds.select(["target"]).batches(4).load_state_dict(state)  # the samples are the same ones
    with pytest.raises(StateError, match="lacks version, fingerprint, order, seed, epoch, consumed"):
        ds.batches(4).load_state_dict({})


@pytest.mark.parametrize(
    "arguments",
    [
        {"batch_size": 0},
        {"batch_size": -1},
        {"batch_size": 2.5},
        {"batch_size": True},
        {"batch_size": 2, "rank": 2, "world_size": 2},
        {"batch_size": 2, "rank": 0},
        {"batch_size": 2, "rank": 0.5, "world_size": 2},
        {"batch_size": 2, "rank": "0", "world_size": "2"},
        {"batch_size": 2, "shuffle": "full"},
        {"batch_size": 2, "epoch": -1},
        {"batch_size": 2, "prefetch": -1},
        {"batch_size": 2, "max_in_flight_bytes": "lots"},
        {"batch_size": 2, "weights": [1, 2]},
        {"batch_size": 2, "weights": "heavy"},
        {"batch_size": 2, "weights": {0: 1}},
        {"batch_size": 2, "weights": [-1] * 17},
        {"batch_size": 2, "weights": [1] * 17, "shuffle": "block"},
        {"batch_size": 2, "weights": [1] * 17, "balance": "id"},
        {"batch_size": 2, "transform": 3},
        {"batch_size": 2, "pad": {"input": "much"}},
        {"batch_size": 2, "pad": 0},
    ],
)
def test_arguments_that_cannot_be_meant_are_refused_before_anything_is_read(ds, arguments):
    with pytest.raises(InvalidArgumentError):
        ds.batches(**arguments)


def test_a_filling_for_a_tensor_that_is_not_there_lists_those_that_are(ds):
    with pytest.raises(NotFoundError, match="the dataset has input, target"):
        ds.batches(2, pad={"boxes": 0})


def test_a_dataset_without_samples_has_no_batches(ds):
    empty = ds.subset([])
    assert len(empty.batches(4)) == 0
    assert list(empty.batches(4)) == []
    assert list(empty.batches(4, shuffle=True)) == []
    assert list(empty.batches(4, shuffle="block")) == []


def test_subsets_keep_order_and_striping(ds, arrays):
    some = ds.subset(slice(3, 13))
    seen = targets(some.batches(3, shuffle=True, seed=8, rank=0, world_size=1))
    assert sorted(flat(seen)) == list(range(3, 13))
    assert seen == targets(some.batches(3, shuffle=True, seed=8))


def test_weights_and_balance_choose_how_often_samples_come(ds):
    weights = np.zeros(17)
    weights[[2, 5]] = [1, 3]
    seen = flat(targets(ds.batches(4, weights=weights)))
    assert len(seen) == 17
    assert set(seen) == {2, 5}
    assert 11 <= seen.count(5) <= 14
    assert len(flat(targets(ds.batches(4, balance="id")))) == 17


def test_a_transform_gets_the_same_numbers_for_a_sample_in_any_batch(ds):
    def draw(batch, generators):
        assert len(generators) == len(batch["target"])
        first = [generator.integers(1000) for generator in generators]
        return {"target": batch["target"], "drawn": np.array(first), "many": generators.integers(0, 10**9)}

    def drawn(**options):
        rows = {}
        for batch in ds.batches(transform=draw, seed=3, epoch=1, **options):
            rows |= dict(zip(batch["target"].tolist(), zip(batch["drawn"], batch["many"], strict=True), strict=True))
        return rows

    assert drawn(batch_size=4) == drawn(batch_size=17, shuffle=True) == drawn(batch_size=1, prefetch=0)
    assert len({many for _, many in drawn(batch_size=4).values()}) == 17
    other = {}
    for batch in ds.batches(17, transform=draw, seed=3, epoch=2):
        other |= dict(zip(batch["target"].tolist(), batch["many"].tolist(), strict=True))
    assert other != {row: many for row, (_, many) in drawn(batch_size=4).items()}


def test_what_a_transform_raises_is_raised_where_the_batch_is_used(ds):
    def fail(batch):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        list(ds.batches(4, transform=fail))


@pytest.mark.parametrize("leave", ["break", "close", "drop", "error", "with"])
def test_leaving_early_frees_the_thread(ds, leave, our_threads):
    batches = ds.batches(1, prefetch=1)
    if leave == "break":
        for _ in batches:
            break
    elif leave == "close":
        iterator = iter(batches)
        next(iterator)
        batches.close()
        with pytest.raises(StopIteration):
            next(iterator)
    elif leave == "drop":
        iterator = iter(batches)
        next(iterator)
        del iterator, batches
        gc.collect()
    elif leave == "with":
        with batches:
            next(iter(batches))
    else:
        with contextlib.suppress(ZeroDivisionError):
            for _ in batches:
                raise ZeroDivisionError
        gc.collect()
    wait_until(lambda: not our_threads(), "the thread that makes batches has ended")


def test_a_batch_is_freed_when_its_user_lets_go(ds):
    iterator = iter(ds.batches(4, prefetch=1))
    batch = next(iterator)
    alive = weakref.ref(batch["input"])
    del batch
    gc.collect()
    assert alive() is None


@pytest.mark.filterwarnings("ignore:these batches come in the order of epoch")
def test_iterating_again_gives_the_epoch_again(ds):
    batches = ds.batches(4, shuffle=True)
    assert targets(batches) == targets(batches)
    next(iter(batches))
    assert len(targets(batches)) == 5


def test_stats_tell_how_long_the_consumer_waited(ds):
    batches = ds.batches(4)
    list(batches)
    stats = batches.stats()
    assert stats["batches"] == 5
    assert stats["stall_s"] >= 0
    assert stats["requests"] == 0


def _use_in_child(iterator, queue):
    try:
        next(iterator)
    except Exception as error:  # noqa: BLE001
        queue.put(type(error).__name__)


@pytest.mark.filterwarnings("ignore:.*fork.*")
def test_an_iteration_that_was_begun_before_a_fork_says_so_in_the_child(ds):
    iterator = iter(ds.batches(1))
    next(iterator)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_use_in_child, args=(iterator, queue))
    child.start()
    assert queue.get(timeout=100) == "StateError"
    child.join(100)
    assert len(list(iterator)) == 16


def test_the_program_ends_while_batches_are_being_made(tiny):
    code = f"""
import mlstac
batches = mlstac.load({str(tiny)!r}, framework="torch").batches(1, shuffle=True)
iterator = iter(batches)
next(iterator)
print("out")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "out\n", "")


def test_several_threads_may_index_one_dataset(tiny, arrays):
    ds = mlstac.load(tiny, framework="numpy")
    wrong = []

    def use(seed):
        rows = np.random.default_rng(seed).integers(0, 17, 40).tolist()
        wrong.extend(row for row in rows if not np.array_equal(ds[row]["input"], arrays["input"][row]))

    threads = [threading.Thread(target=use, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_ranks_come_from_torch_distributed_where_it_is_initialised(tiny, tmp_path):
    code = f"""
import sys, torch.distributed as dist, mlstac
dist.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=int(sys.argv[1]), world_size=2)
ds = mlstac.load({str(tiny)!r}, framework="torch")
print([batch["target"].tolist() for batch in ds.batches(4)])
dist.barrier()
dist.destroy_process_group()
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    ranks = [
        subprocess.Popen([*command, str(rank), str(tmp_path / "meet")], stdout=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    first, second = (json.loads(rank.communicate(timeout=100)[0]) for rank in ranks)
    assert [rank.returncode for rank in ranks] == [0, 0]
    assert first == [[0, 10, 20, 30], [80, 90, 100, 110], [160]]
    assert second == [[40, 50, 60, 70], [120, 130, 140, 150], [0]]
