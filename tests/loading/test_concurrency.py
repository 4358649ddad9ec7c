"""One dataset, many users: threads that index it at once, copies of it in other processes."""

import contextlib
import copy
import multiprocessing
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import mlstac
from tests.loading.datasets import write_stacked

COUNT = 120


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """120 rows of 8 KiB and their numbers, in twelve shards and four catalog parts."""
    rng = np.random.default_rng(5)
    arrays = {
        "row": rng.integers(0, 2**31, (COUNT, 1024)).astype(np.int64),
        "number": np.arange(COUNT, dtype=np.int64),
    }
    folder = tmp_path_factory.mktemp("numbers")
    return write_stacked(folder, {"train": arrays}, shard_rows=10, part_shards=3), arrays


@pytest.fixture(params=["local", "remote"])
def fresh(numbers, request):
    """A dataset that nobody has read from: not its catalog either."""
    if request.param == "local":
        return mlstac.load(numbers[0], framework="numpy", verify=True)
    return mlstac.load(request.getfixturevalue("range_server")(numbers[0]).url, framework="numpy")


def test_threads_that_begin_at_once_all_read_what_was_written(fresh, numbers):
    gate = threading.Barrier(8)

    def use(seed):
        rows = np.random.default_rng(seed).integers(0, COUNT, 25).tolist()
        gate.wait(100)
        for row in rows:
            sample = fresh[row]
            assert sample["number"] == row
            assert np.array_equal(sample["row"], numbers[1]["row"][row])
        batch = fresh[rows]
        assert np.array_equal(batch["row"], numbers[1]["row"][rows])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(8)))


def test_epochs_at_once_do_not_meet(fresh, numbers):
    def use(seed):
        seen = []
        for batch in fresh.batches(7, shuffle=True, seed=seed):
            assert np.array_equal(batch["row"], numbers[1]["row"][batch["number"]])
            seen += batch["number"].tolist()
        return seen

    with ThreadPoolExecutor(4) as pool:
        epochs = list(pool.map(use, range(4)))
    assert all(sorted(epoch) == list(range(COUNT)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_one_thread_closes_while_others_read(fresh, numbers):
    done = threading.Event()

    def close():
        while not done.is_set():
            fresh.close()

    def use(seed):
        for row in np.random.default_rng(seed).integers(0, COUNT, 15).tolist():
            with contextlib.suppress(mlstac.errors.MlstacError):  # what was under way is broken off, by name
                assert np.array_equal(fresh[row]["row"], numbers[1]["row"][row])

    closer = threading.Thread(target=close)
    closer.start()
    try:
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(use, range(3)))
    finally:
        done.set()
        closer.join()
    assert fresh[5]["number"] == 5


def test_a_pickle_is_small_whatever_was_read(fresh):
    before = len(pickle.dumps(fresh))
    list(fresh.batches(16, shuffle=True))
    fresh[3]
    assert len(pickle.dumps(fresh)) == before < 2000  # the collection's words, compressed


def test_chains_of_choices_survive_pickling(fresh, numbers):
    chosen = fresh.subset(slice(5, 100)).subset(np.arange(95) % 3 == 0).select(["number"]).with_framework("torch")
    again = pickle.loads(pickle.dumps(chosen))
    assert again.fingerprint == chosen.fingerprint
    assert again[:]["number"].tolist() == list(range(5, 100))[::3]
    batches = [batch["number"].tolist() for batch in again.batches(4, shuffle=True, seed=1)]
    assert batches == [batch["number"].tolist() for batch in chosen.batches(4, shuffle=True, seed=1)]
    assert repr(again) == repr(chosen)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_copies_read_the_same(fresh, duplicate):
    again = duplicate(fresh)
    assert again[7]["number"] == fresh[7]["number"] == 7
    fresh.close()
    assert again[8]["number"] == 8


def _sum_rows(ds, rows):
    return int(ds[rows]["row"].sum())


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:os.fork.*:RuntimeWarning", "ignore:.*use of fork.*:DeprecationWarning")
def test_processes_of_a_pool_read_what_the_parent_does(fresh, numbers, method):
    fresh[0]
    with multiprocessing.get_context(method).Pool(2) as pool:
        jobs = [pool.apply_async(_sum_rows, (fresh, rows)) for rows in ([3, 99, 50], [0], list(range(COUNT)))]
        sums = [job.get(200) for job in jobs]
        pool.close()
        pool.join()
    wanted = [int(numbers[1]["row"][rows].sum()) for rows in ([3, 99, 50], [0], list(range(COUNT)))]
    assert sums == wanted
    assert fresh[1]["number"] == 1
