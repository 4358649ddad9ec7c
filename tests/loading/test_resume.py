"""Going on where an epoch was left: the same samples, nothing read twice, nothing left behind."""

import contextlib
import gc
import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlstac
from mlstac.errors import StateError
from tests.loading.datasets import write_stacked
from tests.waiting import wait_until

COUNT = 60
CHIP_BYTES = 2 * 64 * 80 * 2
SHUFFLES = [False, True, "block"]


@pytest.fixture(scope="module")
def chips(tmp_path_factory):
    """60 chips of 20 KiB and their numbers, in six shards."""
    rng = np.random.default_rng(11)
    arrays = {
        "image": rng.integers(0, 60_000, (COUNT, 2, 64, 80)).astype(np.uint16),
        "number": np.arange(COUNT, dtype=np.int64),
    }
    folder = tmp_path_factory.mktemp("chips")
    return write_stacked(folder, {"train": arrays}, shard_rows=10, part_shards=3), arrays


@pytest.fixture(scope="module")
def ds(chips):
    return mlstac.load(chips[0], framework="numpy")


def numbers(batches):
    return [batch["number"].tolist() for batch in batches]


def flat(lists):
    return [number for some in lists for number in some]


def take(batches, count):
    """The first batches of an epoch, the state after them, as it comes back from a file, and the iterator."""
    iterator = iter(batches)
    seen = [next(iterator)["number"].tolist() for _ in range(count)]
    return seen, json.loads(json.dumps(batches.state_dict())), iterator


@settings(max_examples=60)
@given(
    st.sampled_from(SHUFFLES),
    st.integers(1, 13),
    st.integers(0, 9),
    st.integers(0, 3),
    st.booleans(),
    st.integers(0, 3),
)
def test_a_resume_at_any_step_is_the_unbroken_epoch(ds, shuffle, batch_size, done, epoch, drop_last, prefetch):
    def make(**options):
        return ds.batches(batch_size, shuffle=shuffle, drop_last=drop_last, prefetch=prefetch, **options)

    whole = numbers(make(seed=3, epoch=epoch))
    done = min(done, len(whole))
    seen, state, _ = take(make(seed=3, epoch=epoch), done)
    again = make(seed=77, epoch=5)  # the state's own seed and epoch hold
    again.load_state_dict(state)
    assert len(again) == len(whole) - done
    assert seen + numbers(again) == whole


@settings(max_examples=40)
@given(st.sampled_from(SHUFFLES), st.integers(1, 8), st.integers(1, 4), st.integers(1, 8), st.integers(1, 4), st.data())
def test_at_another_size_it_goes_on_at_the_same_sample(ds, shuffle, size, world, new_size, new_world, data):
    options = {"shuffle": shuffle, "seed": 8, "prefetch": 0}
    order = flat(numbers(ds.batches(1, rank=0, world_size=1, **options)))
    done = data.draw(st.integers(0, COUNT // (size * world)))
    _, state, _ = take(ds.batches(size, rank=world - 1, world_size=world, **options), done)
    assert state["consumed"] == done * size * world
    ranks = []
    for rank in range(new_world):
        batches = ds.batches(new_size, rank=rank, world_size=new_world, **options)
        batches.load_state_dict(state)
        ranks.append(numbers(batches))
    rest = flat(flat(step) for step in zip(*ranks, strict=True))
    assert rest[: COUNT - state["consumed"]] == order[state["consumed"] :]


def test_a_resume_may_be_resumed_again_and_again(ds):
    whole = flat(numbers(ds.batches(1, shuffle=True, seed=1)))
    seen, state = [], ds.batches(3, shuffle=True, seed=1).state_dict()
    for batch_size in (3, 7, 1, 10, 4):
        batches = ds.batches(batch_size, shuffle=True)
        batches.load_state_dict(state)
        some, state, _ = take(batches, 2)
        seen += flat(some)
    assert seen == whole[: len(seen)]
    assert state["consumed"] == len(seen) == 2 * 25


def test_the_state_is_the_consumers_however_much_was_read_ahead(chips, fault_server):
    server = fault_server(chips[0])
    ds = mlstac.load(server.url, framework="numpy")
    batches = ds.batches(2, shuffle=True, seed=1, prefetch=8)
    assert batches.state_dict()["consumed"] == 0
    iterator = iter(batches)
    for done in range(1, 6):
        next(iterator)
        assert batches.state_dict()["consumed"] == 2 * done
    assert server.bytes_sent > 5 * 2 * CHIP_BYTES  # more had been read than was used
    assert len(json.dumps(batches.state_dict())) < 1024
    batches.close()
    assert batches.state_dict()["consumed"] == 10


def test_a_state_is_small_however_large_the_numbers(ds):
    batches = ds.batches(1, weights=np.arange(COUNT) + 1.0, seed=-(2**62), epoch=2**40)
    text = json.dumps(batches.state_dict())
    assert len(text) < 1024
    again = ds.batches(1, weights=np.arange(COUNT) + 1.0)
    again.load_state_dict(json.loads(text))
    assert numbers(again) == numbers(batches)


def test_a_state_knows_its_draws_from_others(ds):
    state = ds.batches(4, weights=np.ones(COUNT)).state_dict()
    for other in (
        ds.batches(4, weights=np.arange(COUNT) + 1.0),
        ds.batches(4),
        ds.batches(4, shuffle=True),
        ds.batches(4, shuffle="block"),
    ):
        with pytest.raises(StateError, match="in order"):
            other.load_state_dict(state)


@pytest.mark.parametrize("state", [{}, {"consumed": 3}, {"fingerprint": "x"}])
def test_what_is_no_state_is_refused(ds, state):
    with pytest.raises(StateError, match="no state of batches"):
        ds.batches(4).load_state_dict(state)
    with pytest.raises(StateError, match="no state of batches"):
        ds.iterable(4).load_state_dict(state)


@pytest.mark.parametrize("value", [None, [], "state", 3])
def test_what_is_no_mapping_is_refused_by_name(ds, value):
    with pytest.raises(StateError, match="is no state of batches"):
        ds.batches(4).load_state_dict(value)


DAMAGES = [
    {"seed": "7"},
    {"seed": None},
    {"seed": True},
    {"seed": [1]},
    {"epoch": -1},
    {"epoch": 1.5},
    {"epoch": np.arange(2)},
    {"consumed": 1.0},
    {"consumed": -1},
    {"consumed": COUNT + 1},
]


@pytest.mark.filterwarnings("ignore:these batches come in the order of epoch")
@pytest.mark.parametrize("change", DAMAGES, ids=str)
def test_a_damaged_state_is_refused_by_its_word_and_changes_nothing(ds, change):
    batches = ds.batches(4, shuffle=True, seed=1)
    wanted = numbers(batches)
    [word] = change
    with pytest.raises(StateError, match=word):
        batches.load_state_dict(ds.batches(4, shuffle=True, seed=9).state_dict() | change)
    assert numbers(batches) == wanted


@pytest.mark.filterwarnings("ignore:these batches come in the order of epoch")
def test_seed_and_epoch_of_a_state_take_the_place_of_those_given(ds):
    whole = numbers(ds.batches(4, shuffle=True, seed=9, epoch=3))
    _, state, _ = take(ds.batches(4, shuffle=True, seed=9, epoch=3), 5)
    batches = ds.batches(4, shuffle=True, seed=0, epoch=0)
    batches.load_state_dict(state)
    assert "epoch 3" in repr(batches)
    assert numbers(batches) == whole[5:]
    assert numbers(batches) == whole  # the same epoch again, from its first sample
    stream = ds.iterable(4, shuffle=True, seed=0, epoch=0)
    stream.load_state_dict(state)
    assert numbers(stream) == whole[5:]
    assert numbers(stream) == whole
    stream.set_epoch(4)
    assert numbers(stream) == numbers(ds.batches(4, shuffle=True, seed=9, epoch=4))


def test_the_state_of_one_worker_of_several_is_not_taken_for_that_of_all(ds):
    worker = ds.batches(4, shuffle=True)
    worker.take_turns(1, 2)
    _, state, _ = take(worker, 3)
    with pytest.raises(StateError, match=r"worker processes.*as many workers"):
        ds.batches(4, shuffle=True).load_state_dict(state)


def test_the_state_of_another_dataset_is_refused(ds, chips, tmp_path):
    arrays = {name: array[::-1] for name, array in chips[1].items()}
    other = write_stacked(tmp_path, {"train": arrays}, shard_rows=12)
    with pytest.raises(StateError, match="another dataset"):
        mlstac.load(other, framework="numpy").batches(4).load_state_dict(ds.batches(4).state_dict())


def test_the_same_dataset_elsewhere_goes_on(ds, chips, range_server):
    whole = numbers(ds.batches(7, shuffle=True, seed=2))
    seen, state, _ = take(ds.batches(7, shuffle=True, seed=2), 4)
    remote = mlstac.load(range_server(chips[0]).url, framework="torch").batches(7, shuffle=True)
    remote.load_state_dict(state)
    assert seen + numbers(remote) == whole


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_what_was_consumed_is_not_read_again(chips, fault_server, shuffle):
    folder, arrays = chips
    _, state, _ = take(mlstac.load(folder, framework="numpy").batches(5, shuffle=shuffle, seed=4), 9)
    server = fault_server(folder)
    batches = mlstac.load(server.url, framework="numpy").batches(5, shuffle=shuffle)
    batches.load_state_dict(state)
    rest = []
    for batch in batches:
        assert np.array_equal(batch["image"], arrays["image"][batch["number"]])
        rest += batch["number"].tolist()
    assert len(rest) == COUNT - 45
    shards = [request for request in server.requests if request.path.endswith(".safetensors")]
    asked = sum(request.range[1] - request.range[0] for request in shards)
    # the rest's chips, never the 45 before; the numbers of a shard share a checksum, and gaps are small
    assert asked <= 1.02 * len(rest) * CHIP_BYTES + COUNT * 8 * 4
    for request in shards if shuffle is False else ():
        assert request.path in {"/train/00004.safetensors", "/train/00005.safetensors"}


def descriptors():
    """Open files and sockets of this process."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{number}:{os.readlink(f'/proc/self/fd/{number}')}")
        except FileNotFoundError:
            continue  # that of the listing itself
    return found


@pytest.mark.parametrize("leave", ["finish", "break", "close", "drop", "error"])
def test_leaving_remote_batches_frees_threads_and_sockets(chips, fault_server, leave, our_threads):
    # from memory, so that the server, which is in this process, opens no file
    files = {path.relative_to(chips[0]).as_posix(): path.read_bytes() for path in chips[0].rglob("*.*")}
    server = fault_server(files)
    gc.collect()  # what other tests left, before it is counted
    before = descriptors()
    ds = mlstac.load(server.url, framework="numpy")
    batches = ds.batches(2, shuffle=True, prefetch=3)
    if leave == "finish":
        assert len(numbers(batches)) == 30
    elif leave == "break":
        for _ in batches:
            break
    elif leave == "error":
        with contextlib.suppress(ZeroDivisionError):
            for _ in batches:
                raise ZeroDivisionError
    else:
        iterator = iter(batches)
        next(iterator)
        if leave == "close":
            batches.close()
            assert next(iterator, None) is None
        del iterator
    gc.collect()
    wait_until(lambda: "mlstac-batches" not in our_threads(), "the thread that makes batches has ended")
    if leave == "drop":
        del batches, ds
        gc.collect()
    else:
        ds.close()
        # closed is not broken: what is read next opens again
        assert ds[3]["number"] == 3
        ds.close()
    wait_until(lambda: not our_threads(), "no thread is left")
    wait_until(lambda: server.connections == 0, "the server sees every connection closed")
    wait_until(lambda: not descriptors() - before, "no file or socket is open")


@pytest.mark.parametrize("leave", ["close", "drop"])
def test_a_server_that_stalls_does_not_keep_what_was_left(chips, fault_server, leave, our_threads):
    server = fault_server(chips[0])
    ds = mlstac.load(server.url, framework="numpy")
    ds[0]
    batches = ds.batches(2, shuffle=True, prefetch=8, max_in_flight_bytes=6 * CHIP_BYTES)
    before = server.count
    server.fail("stall", skip=16, times=None)  # past what the first batch needs, and before eight batches are made
    iterator = iter(batches)
    next(iterator)
    wait_until(lambda: server.count > before + 16, "the thread waits for what does not come")
    if leave == "close":
        batches.close()
    else:
        del iterator, batches
        gc.collect()
    wait_until(lambda: "mlstac-batches" not in our_threads(), "the thread that makes batches has ended")
    wait_until(lambda: ds.stats()["in_flight"] == 0, "no request is under way")
    server.heal()
    assert ds[7]["number"] == 7


def test_many_epochs_left_early_leave_no_thread_and_no_file(ds, our_threads):
    gc.collect()
    next(iter(ds.batches(1)))
    before = len(descriptors())
    for epoch in range(50):
        for batch in ds.batches(3, shuffle=True, epoch=epoch):
            assert len(batch["number"]) == 3
            break
    gc.collect()
    wait_until(lambda: "mlstac-batches" not in our_threads(), "every thread that makes batches has ended")
    wait_until(lambda: len(descriptors()) <= before, "no file is open")
