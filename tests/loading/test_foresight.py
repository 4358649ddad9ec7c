"""Batches that are begun before a loader asks for them, beside plain reads of the same samples."""

import itertools
import pickle
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, DistributedSampler, SequentialSampler

import mlstac
from mlstac.errors import ChangedError, InvalidArgumentError, StorageError
from mlstac.loading import _copying, _foresight, _pieces
from mlstac.loading._foresight import as_run
from mlstac.loading._reader import Reader
from tests.loading.datasets import write_stacked
from tests.loading.second_threads import end_those_of_others, ended_afterwards
from tests.waiting import wait_until

COUNT = 60
STAY_S = 600  # no thread ends by itself: what it keeps goes for the reason that a test is about


@pytest.fixture(scope="module", autouse=True)
def none_is_left():
    """No second thread is at work for a test of another file."""
    end_those_of_others()


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """Batches of a few samples are large enough for two threads, which stay; none from another test, nor for one."""
    monkeypatch.setattr(_copying, "SHARED_BYTES", 8192)
    monkeypatch.setattr(_copying, "PIECE_BYTES", 4096)
    monkeypatch.setattr(_pieces, "STAY_S", STAY_S)
    with ended_afterwards(monkeypatch):
        yield


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(7)
    return {
        "image": rng.integers(0, 60_000, (COUNT, 3, 32, 32)).astype(np.uint16),
        "number": np.arange(COUNT, dtype=np.int64),
    }


@pytest.fixture(scope="module")
def kept(tmp_path_factory, arrays):
    return write_stacked(tmp_path_factory.mktemp("kept"), {"train": arrays}, shard_rows=25)


@pytest.fixture
def folder(tmp_path, arrays):
    """Of the test alone, which may break it."""
    return write_stacked(tmp_path, {"train": arrays}, shard_rows=25)


@pytest.fixture
def laid_out(monkeypatch):
    """First row of each batch that is laid out, when it is."""
    begun, begin = [], Reader.begin

    def note(self, batch, rows, **options):
        begun.append(int(rows[0]))
        return begin(self, batch, rows, **options)

    monkeypatch.setattr(Reader, "begin", note)
    return begun


def load(folder, **options):
    return mlstac.load(folder, framework="numpy", **options)


def ask(ds, rows):
    """A batch as torch's loader has it."""
    samples = ds.__getitems__(list(rows))
    return {name: np.asarray(tensor) for name, tensor in samples.collate().items()}


def same(batch, arrays, rows):
    return np.array_equal(batch["number"], arrays["number"][rows]) and np.array_equal(
        batch["image"], arrays["image"][rows]
    )


def foreseen(ds):
    """What the dataset foresees, referred to weakly."""
    [(_, found)] = ds.feed()._foresight._foreseen
    return found


def is_filled(found):
    """Whether another thread has copied all that was foreseen; it is in the middle of nothing."""
    return not found()._pieces and not found()._pieces._other_works.locked()


def go_to(ds, arrays, last, step=10):
    """Ask in order up to some row; what comes next is then foreseen, and copied."""
    for first in range(0, last, step):
        assert same(ask(ds, range(first, first + step)), arrays, range(first, first + step))
    wait_until(lambda: is_filled(foreseen(ds)), "the next batch is copied")
    return foreseen(ds)


def test_what_comes_next_is_copied_before_it_is_asked_for(kept, arrays, laid_out):
    ds = load(kept)
    found = go_to(ds, arrays, 20)
    assert laid_out == [0, 10, 20]
    image = found()._batch[0].buffer
    batch = ask(ds, range(20, 30))
    assert same(batch, arrays, range(20, 30))
    assert np.shares_memory(batch["image"], image)
    assert laid_out == [0, 10, 20, 30]


def test_the_end_of_the_dataset_is_foreseen_as_it_is(kept, arrays, laid_out):
    loader = DataLoader(load(kept), batch_size=13, sampler=SequentialSampler(range(COUNT)))
    for _ in range(2):
        batches = [batch["number"].tolist() for batch in loader]
        assert list(itertools.chain(*batches)) == list(range(COUNT))
    assert laid_out == [0, 13, 26, 39, 52] * 2


@pytest.mark.parametrize("rank", [0, 1])
def test_samples_at_a_step_are_foreseen(kept, laid_out, rank):
    ds = load(kept)
    loader = DataLoader(ds, batch_size=6, sampler=DistributedSampler(ds, num_replicas=2, rank=rank, shuffle=False))
    assert [n for batch in loader for n in batch["number"].tolist()] == list(range(rank, COUNT, 2))
    assert laid_out == list(range(rank, COUNT, 12))


RUNS = st.builds(
    lambda first, step, count, calls: [
        [row for row in range(first + n * count * step, first + (n + 1) * count * step, step) if row < COUNT]
        for n in range(calls)
    ],
    *(st.integers(0, 30), st.integers(1, 3), st.integers(1, 16), st.integers(1, 5)),
)
REQUESTS = st.lists(st.one_of(RUNS, st.lists(st.lists(st.integers(-COUNT, COUNT - 1), max_size=12), max_size=3)))


@settings(deadline=None)
@given(REQUESTS)
def test_whatever_is_asked_for_has_the_bytes_of_a_plain_read_for_good(kept, arrays, requests):
    ds = load(kept).select(tensors=["image", "number"])
    given_out = [(rows, ask(ds, rows)) for rows in filter(None, itertools.chain(*requests))]
    for rows, batch in given_out:  # and nobody wrote to what was handed out
        assert same(batch, arrays, rows)


@pytest.mark.parametrize("datasets", [1, 2])
def test_where_loaders_take_turns_few_batches_are_begun_in_vain(kept, arrays, laid_out, datasets):
    first = load(kept)
    second = first if datasets == 1 else load(kept)
    for start in range(0, COUNT, 2):
        for ds in (first, second):
            assert same(ask(ds, range(start, start + 2)), arrays, range(start, start + 2))
            if datasets == 2:  # the thread that held what was foreseen is at work for the other
                ds.feed()._foresight._foreseen.clear()
    assert COUNT < len(laid_out) <= COUNT + datasets * 4
    laid_out.clear()
    for start in range(0, COUNT, 2):  # who then goes on in order alone finds batches begun again
        assert same(ask(second, range(start, start + 2)), arrays, range(start, start + 2))
    go_to(second, arrays, 20)


def test_a_wrong_guess_leaves_no_memory(kept, arrays):
    ds = load(kept)
    found = go_to(ds, arrays, 20)
    memory = weakref.ref(found()._batch[0].buffer.base)
    assert memory() is not None
    assert same(ask(ds, range(40, 50)), arrays, range(40, 50))
    wait_until(lambda: memory() is None, "its memory is gone, though the thread waits on")
    assert not ds.feed()._foresight._foreseen


def test_a_batch_that_was_handed_out_is_held_by_its_user_alone(kept, arrays):
    ds = load(kept)
    found = go_to(ds, arrays, 20)
    memory = weakref.ref(found()._batch[0].buffer.base)
    batch = ask(ds, range(20, 30))
    assert memory() is not None
    del batch
    wait_until(lambda: memory() is None, "its memory is gone, though the thread waits on")


def test_what_is_not_asked_for_goes_with_the_thread_that_waits(kept, arrays, monkeypatch):
    ds = load(kept)
    monkeypatch.setattr(_pieces, "STAY_S", 0.01)
    for first in (0, 10):
        ds.feed()._foresight._returned = float("inf")  # however slow this machine is
        ask(ds, range(first, first + 10))
    [(_, found)] = ds.feed()._foresight._foreseen
    wait_until(lambda: found() is None, "the thread has ended, and the batch with it")
    assert same(ask(ds, range(20, 30)), arrays, range(20, 30))


def test_of_a_caller_who_comes_back_late_nothing_is_foreseen(kept, arrays):
    ds = load(kept)
    ask(ds, range(10))
    ds.feed()._foresight._returned -= STAY_S
    assert same(ask(ds, range(10, 20)), arrays, range(10, 20))
    assert not ds.feed()._foresight._foreseen


@pytest.mark.parametrize("rows", [[3, 1, 2] * 4, [*range(9), 10], [0] * 12])
def test_of_other_orders_nothing_is_foreseen(kept, arrays, rows, laid_out):
    ds = load(kept)
    for _ in range(3):
        assert same(ask(ds, rows), arrays, rows)
    assert len(laid_out) == 3


@pytest.mark.parametrize("second", [range(10, 15), range(10, 30, 2), range(11, 21)])
def test_nothing_is_foreseen_until_two_batches_agree(kept, arrays, second):
    ds = load(kept)
    assert same(ask(ds, range(10)), arrays, range(10))
    assert same(ask(ds, second), arrays, second)
    assert not ds.feed()._foresight._foreseen


@pytest.mark.parametrize("options", [{"verify": True}, {"window": 16}, {"batch": 1}])
def test_only_large_plain_copies_are_foreseen(folder, options, laid_out):
    ds = mlstac.write(
        {"train": [{"image": np.full((2, 32, 32), n, np.uint16)} for n in range(20)]},
        folder / "checked", id="checked", license="CC0-1.0",
    ) and load(folder / "checked", verify=options.get("verify"))  # fmt: skip
    if "window" in options:
        ds = ds.window(slice(0, 16), slice(0, 16))
    size = options.get("batch", 5)
    for first in range(0, 4 * size, size):
        assert ask(ds, range(first, first + size))["image"][:, 0, 0, 0].tolist() == list(range(first, first + size))
        assert not ds.feed()._foresight._foreseen
    assert laid_out == list(range(0, 4 * size, size))


def test_of_compressed_shards_nothing_is_foreseen(tmp_path, laid_out):
    samples = [{"image": np.full((2, 32, 32), n, np.uint16)} for n in range(40)]
    mlstac.write({"train": samples}, tmp_path / "set", id="set", license="CC0-1.0", compression="zstd")
    ds = load(tmp_path / "set")
    for first in range(0, 40, 5):
        assert ask(ds, range(first, first + 5))["image"][:, 0, 0, 0].tolist() == list(range(first, first + 5))
        assert not ds.feed()._foresight._foreseen
    assert laid_out == list(range(0, 40, 5))


def message(ds, rows, kind):
    with pytest.raises(kind) as caught:
        ask(ds, rows)
    return str(caught.value)


def test_a_sample_that_cannot_be_read_is_an_error_where_it_is_asked_for_and_the_same(folder, arrays):
    (folder / "train" / "00001.safetensors").unlink()
    ds = load(folder)
    for rows in (range(10), range(10, 20), range(5), range(5, 10), range(10, 15), range(15, 20), range(20, 25)):
        assert same(ask(ds, rows), arrays, rows)  # each time what comes next is foreseen, and cannot be read
    plain = message(load(folder), range(25, 30), StorageError)
    assert "00001.safetensors" in plain
    assert message(ds, range(25, 30), StorageError) == plain
    assert same(ask(ds, range(10)), arrays, range(10))


def test_a_shard_that_changed_since_its_samples_were_copied_is_refused(folder, arrays):
    ds = load(folder)
    found = go_to(ds, arrays, 10, step=5)
    shard = folder / "train" / "00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:-5000])
    told = message(ds, range(10, 15), ChangedError)
    assert told == message(ds, range(10, 15), ChangedError)
    wait_until(lambda: found() is None or found()._batch == [], "its memory is gone")


def test_samples_whose_copy_failed_are_read_again(kept, arrays, monkeypatch, laid_out):
    failed, share = [], _foresight.Foreseen._share

    def fail_once(self, count, work, *, size):
        def copy(first, last):
            if not failed:
                failed.append(threading.get_ident())
                raise MemoryError
            work(first, last)

        share(self, count, copy, size=size)

    monkeypatch.setattr(_foresight.Foreseen, "_share", fail_once)
    ds = load(kept)
    go_to(ds, arrays, 20)
    assert failed != [threading.get_ident()]
    assert same(ask(ds, range(20, 30)), arrays, range(20, 30))
    assert laid_out == [0, 10, 20, 30, 20, 30]


def test_what_no_thread_holds_is_read_when_it_is_asked_for(kept, arrays, monkeypatch, laid_out):
    def refuse(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_pieces._thread, "start_new_thread", refuse)
    ds = load(kept)
    for first in range(0, 40, 10):
        assert same(ask(ds, range(first, first + 10)), arrays, range(first, first + 10))
    assert laid_out == [0, 10, 20, 20, 30, 30, 40]


def test_what_is_foreseen_is_not_pickled(kept, arrays):
    ds = load(kept)
    size = len(pickle.dumps(ds))
    go_to(ds, arrays, 20)
    data = pickle.dumps(ds)
    assert len(data) == size
    assert same(ask(pickle.loads(data), range(20, 30)), arrays, range(20, 30))


def test_two_threads_may_go_through_one_dataset(kept, arrays):
    ds, wrong, start = load(kept), [], threading.Barrier(2)

    def go(size):
        start.wait()
        try:
            for _ in range(60):
                for first in range(0, COUNT, size):
                    rows = range(first, first + size)
                    if not same(ask(ds, rows), arrays, rows):
                        wrong.append(rows)
        except Exception as error:
            wrong.append(error)
            raise

    threads = [threading.Thread(target=go, args=(size,)) for size in (10, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_what_was_foreseen_is_handed_out_once(kept, arrays):
    ds = load(kept)
    go_to(ds, arrays, 20)
    foresight, run = ds.feed()._foresight, range(20, 30)
    assert foresight._claim(run) is not None
    assert foresight._claim(run) is None


@given(st.lists(st.integers(-3, 8), max_size=5), st.integers(0, 5), st.integers(1, 4), st.integers(1, 5))
def test_a_run_is_what_a_range_lists(rows, first, step, count):
    run = range(first, first + step * count, step)
    assert list(as_run(list(run))) == list(run)
    found = as_run(rows)
    ascends = bool(rows) and rows[0] >= 0 and {b - a for a, b in itertools.pairwise(rows)} in (
        set(), *({step} for step in range(1, 12))
    )  # fmt: skip
    assert (found is not None) == ascends
    assert found is None or list(found) == rows


@pytest.mark.parametrize("rows", [[0, 1.0], [False, True], [0, True, 2], [np.int64(0), 1]])
def test_what_only_equals_numbers_is_no_run(rows):
    assert as_run(rows) is None


def test_what_is_no_list_of_samples_is_refused_as_before(kept, arrays):
    ds = load(kept)
    ask(ds, [0, 1])
    ask(ds, [2, 3])
    with pytest.raises(InvalidArgumentError, match=r"cannot index a dataset with \[4, 5.0\]"):
        ds.__getitems__([4, 5.0])
    with pytest.raises(IndexError, match="sample 60 is outside this dataset of 60 samples"):
        ds.__getitems__([60])
    assert same(ask(ds, [-1, -2]), arrays, [59, 58])


def test_a_fork_takes_nothing_foreseen_along_and_both_read_on(kept, repository):
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, str(kept)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=repository)
    assert (done.returncode, done.stdout, done.stderr) == (0, "child reads on\nparent reads on\n", "")


FORK = """
import os
import sys
import weakref

import mlstac
import numpy as np
from mlstac.loading import _copying, _pieces
from mlstac.loading._foresight import Foreseen
from tests.loading.test_foresight import ask, foreseen, is_filled
from tests.waiting import wait_until

_copying.SHARED_BYTES, _copying.PIECE_BYTES, _pieces.STAY_S = 8192, 4096, 600
ds = mlstac.load(sys.argv[1], framework="numpy")
plain = ds[0:60]
ask(ds, range(10)), ask(ds, range(10, 20))
found = foreseen(ds)
wait_until(lambda: is_filled(found), "the next batch is copied")
process = os.fork()
assert found() is None
# as where a thread was in the middle of a copy: it is not here, and nobody may wait for it
if not process:
    held = Foreseen(np.arange(20, 30), ds.feed().locate(np.arange(20, 30)), ds.feed())
    held.process = os.getppid()
    held._pieces._other_works.acquire()
    ds.feed()._foresight._foreseen.append((range(20, 30), weakref.ref(held)))
for first in range(20, 60, 10):
    assert (ask(ds, range(first, first + 10))["image"] == plain["image"][first : first + 10]).all()
if process:
    assert os.waitpid(process, 0)[1] == 0
print("parent reads on" if process else "child reads on", flush=True)
"""
