"""Epochs over a network that fails, from `mlstac.load` on: survived with every byte right, or refused by name."""

import contextlib
import json
import multiprocessing
import shutil
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import mlstac
from mlstac.errors import (
    AccessError,
    ChangedError,
    ChecksumError,
    MissingFileError,
    MlstacError,
    RangeError,
    UnavailableError,
)
from mlstac.loading import _load
from mlstac.storage import Cache, Fetcher, Retry
from mlstac.storage._retry import Clock
from tests.loading.datasets import write_stacked
from tests.waiting import ctrl_c, wait_until

COUNT = 48
SHARD = "train/00002.safetensors"
SHUFFLES = [False, True, "block"]


@pytest.fixture(scope="module")
def chips(tmp_path_factory):
    """48 chips of 48 KiB and their numbers, in six shards."""
    rng = np.random.default_rng(17)
    arrays = {
        "image": rng.integers(0, 60_000, (COUNT, 6, 64, 64)).astype(np.uint16),
        "number": np.arange(COUNT, dtype=np.int64),
    }
    folder = tmp_path_factory.mktemp("chips")
    return write_stacked(folder, {"train": arrays}, shard_rows=8, image={"dims": "band y x"}), arrays


class QuickClock(Clock):
    """A clock whose waits take no time, and which remembers them."""

    def __init__(self):
        self.waits = []
        self.timeout_s = 60
        self.retry = Retry(tries=5)
        self._passed_s = 0.0

    def now(self):
        return self._passed_s

    async def sleep(self, seconds):
        self.waits.append(seconds)
        self._passed_s += seconds


@pytest.fixture
def clock(monkeypatch):
    """Datasets loaded in the test wait by this clock, and break a stall off after its `timeout_s`."""
    clock = QuickClock()

    def make(options, cache):
        kept = None if cache is None else Cache(*cache)
        return Fetcher(storage_options=options, cache=kept, clock=clock, timeout_s=clock.timeout_s, retry=clock.retry)

    monkeypatch.setattr(_load, "_fetcher", make)
    return clock


def load(server, **options):
    return mlstac.load(server.url, framework="numpy", **options)


def epoch(batches, arrays):
    """Numbers of an epoch; every image is checked on the way."""
    seen = []
    for batch in batches:
        numbers = batch["number"].tolist()
        assert np.array_equal(batch["image"], arrays["image"][numbers])
        seen += numbers
    return seen


FAULTS = {
    "every 20th request is refused": {"kind": "status", "status": 503, "every": 20},
    "every 20th request fails": {"kind": "status", "status": 500, "every": 20},
    "every 7th connection is reset amid the body": {"kind": "reset", "after": 9_000, "every": 7},
    "every 7th connection is closed": {"kind": "close", "every": 7},
    "every 7th answer stalls": {"kind": "stall", "after": 5_000, "every": 7},
    "every body is cut": {"kind": "cut", "after": 30_000},
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("shuffle", [True, "block"])
def test_an_epoch_is_whole_though(chips, fault_server, clock, fault, shuffle):
    server = fault_server(chips[0])
    server.fail(**FAULTS[fault], times=None)  # from the collection on
    if FAULTS[fault]["kind"] == "stall":  # a server on a busy machine may be as late as one that stalls
        clock.timeout_s, clock.retry = 0.3, Retry(tries=10_000, total_s=1e9)
    batches = load(server).batches(2, shuffle=shuffle, seed=1)
    assert sorted(epoch(batches, chips[1])) == list(range(COUNT))
    assert server.faults[0].seen > 7
    if server.count >= server.faults[0].every:
        assert batches.stats()["retries"] > 0


def test_single_samples_come_though_every_body_is_cut(chips, fault_server, clock):
    server = fault_server(chips[0])
    ds = load(server)
    ds[0]
    before = server.bytes_sent
    server.fail("cut", after=10_000, times=None)
    for number in (3, 40, 21):
        assert np.array_equal(ds[number]["image"], chips[1]["image"][number])
    # each goes on from the cut: no byte comes twice
    assert server.bytes_sent - before == 3 * (48 * 1024 + 8 * 8)


def test_retry_after_is_honoured_and_fewer_requests_follow(chips, fault_server, clock):
    server = fault_server(chips[0])
    ds = load(server)
    ds[0]
    server.fail("status", status=429, headers={"Retry-After": "9"}, times=2)
    batches = ds.batches(4, shuffle=True)
    assert sorted(epoch(batches, chips[1])) == list(range(COUNT))
    assert max(clock.waits) >= 9
    assert batches.stats()["throttled"] == 2


def test_a_wait_longer_than_patience_is_told_at_once(chips, fault_server, clock):
    server = fault_server(chips[0])
    ds = load(server)
    ds[0]
    server.fail("status", status=429, headers={"Retry-After": "3600"}, times=None)
    with pytest.raises(UnavailableError, match=r"safetensors.*left alone for 3600 s"):
        list(ds.batches(4))
    assert clock.waits == []


@pytest.mark.parametrize("how", ["sample", "rows", "batches"])
def test_a_server_without_ranges_names_one_with(chips, fault_server, clock, how):
    server = fault_server(chips[0])
    server.fail("ignore_range", times=None)
    ds = load(server)
    read = {"sample": lambda: ds[3], "rows": lambda: ds[[3, 4]], "batches": lambda: list(ds.batches(4))}[how]
    with pytest.raises(RangeError, match=r"00000\.safetensors.*ignores byte ranges.*`mlstac serve`.*sample [03] "):
        read()
    shard_bytes = (chips[0] / "train" / "00000.safetensors").stat().st_size
    assert ds.stats()["bytes"] < shard_bytes  # the body was not read to its end


def test_an_answer_of_another_range_is_refused(chips, fault_server, clock):
    server = fault_server(chips[0])
    ds = load(server)
    ds[0]
    server.fail("wrong_range", times=None)
    with pytest.raises(RangeError, match=r"00005\.safetensors.*sample 47 \('train-0000047'\)"):
        ds[47]


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_a_shard_replaced_amid_the_epoch_is_refused_and_named(chips, fault_server, clock, shuffle):
    server = fault_server(chips[0])
    ds = load(server)
    rows = list(range(COUNT))
    ds[rows[16:24]]  # the shard is open
    raw = bytearray((chips[0] / SHARD).read_bytes())
    raw[-1000] ^= 1  # of one size with the old one
    server.replace(SHARD, bytes(raw))
    seen = []
    with pytest.raises(ChangedError, match=r"00002\.safetensors is no longer the file.*load the dataset again"):  # noqa: PT012
        for batch in ds.batches(2, shuffle=shuffle, prefetch=1, max_in_flight_bytes=100_000):
            assert np.array_equal(batch["image"], chips[1]["image"][batch["number"]])
            seen += batch["number"].tolist()
    assert not set(seen) & set(range(16, 24))
    again = load(server, verify=False)  # the mend that the message names
    assert len(epoch_numbers(again)) == COUNT


def epoch_numbers(ds):
    return [number for batch in ds.batches(8) for number in batch["number"].tolist()]


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_a_byte_changed_on_its_way_never_reaches_a_batch(chips, fault_server, clock, shuffle, prefetch):
    server = fault_server(chips[0])
    size = (chips[0] / SHARD).stat().st_size
    server.fail("change_byte", path=SHARD, after=size - 49_152 * 3 + 5, times=None)
    seen = []
    said = r"tensor 'image' of sample 2[01] \('train-000002[01]'\) in http.*00002\.safetensors"
    with pytest.raises(ChecksumError, match=said) as caught:  # noqa: PT012
        for batch in load(server).batches(3, shuffle=shuffle, seed=1, prefetch=prefetch):
            numbers = batch["number"].tolist()
            assert np.array_equal(batch["image"], chips[1]["image"][numbers])
            seen += numbers
    broken = int(str(caught.value).partition("sample ")[2][:2])
    assert broken not in seen


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (404, MissingFileError, "no such file"),
        (410, MissingFileError, "no such file"),
        (401, AccessError, "storage_options"),
        (403, AccessError, "storage_options"),
        (500, UnavailableError, r"given up after 5 tries.*server is up"),
        (503, UnavailableError, r"given up after 5 tries.*fewer requests"),
    ],
)
def test_a_shard_that_cannot_be_had_is_named_with_its_samples(chips, fault_server, clock, status, error, said):
    server = fault_server(chips[0])
    server.fail("status", status=status, path=SHARD, times=None)
    ds = load(server)
    with pytest.raises(error, match=rf"00002\.safetensors.*{said}.*sample 16 \('train-0000016'\)"):
        ds[16]
    batches, seen = iter(ds.batches(8)), []
    with pytest.raises(error, match=rf"00002\.safetensors.*{said}.*sample 16 \('train-0000016'\)"):  # noqa: PT012
        while True:
            seen += next(batches)["number"].tolist()
    assert seen == list(range(len(seen)))
    assert len(seen) in (8, 16)  # batches that are read together fail together
    assert next(batches, None) is None


def test_a_collection_and_a_catalog_that_cannot_be_had_are_named(chips, fault_server, clock):
    server = fault_server(chips[0])
    server.fail("status", status=500, path="collection.json", times=None)
    with pytest.raises(UnavailableError, match=r"collection\.json.*500"):
        load(server)
    server.heal()
    server.fail("status", status=404, path="train/catalog-00000.parquet", times=None)
    with pytest.raises(MissingFileError, match=r"catalog-00000\.parquet"):
        load(server)[0]


def test_a_port_without_a_server_is_soon_told(chips, fault_server):
    server = fault_server(chips[0])
    url = server.url
    server.stop()
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1.*check host and port.*`mlstac serve"):
        mlstac.load(url)


def test_a_server_that_goes_away_amid_the_epoch_is_told_and_the_state_goes_on_elsewhere(chips, fault_server, clock):
    server = fault_server(chips[0])
    batches = load(server).batches(2, shuffle=True, seed=5, prefetch=1, max_in_flight_bytes=100_000)
    seen = []

    def use():
        for number, batch in enumerate(batches):
            seen.extend(batch["number"].tolist())
            if number == 3:
                server.stop()

    with pytest.raises(UnavailableError, match=r"safetensors.*given up.*sample"):
        use()
    assert batches.state_dict()["consumed"] == len(seen) < COUNT
    rest = load(fault_server(chips[0])).batches(2, shuffle=True)
    rest.load_state_dict(batches.state_dict())
    assert sorted(seen + epoch(rest, chips[1])) == list(range(COUNT))


def test_after_an_error_the_same_dataset_reads_on(chips, fault_server, clock):
    server = fault_server(chips[0])
    ds = load(server)
    batches = ds.batches(4, shuffle=True)
    server.fail("status", status=500, path=SHARD, times=None)
    with pytest.raises(UnavailableError):
        list(batches)
    server.heal()
    assert sorted(epoch(batches, chips[1])) == list(range(COUNT))


def test_errors_of_reading_survive_pickling(chips, fault_server, clock):
    import pickle

    server = fault_server(chips[0])
    server.fail("status", status=500, path=SHARD, times=None)
    with pytest.raises(UnavailableError) as caught:
        list(load(server).batches(4))
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again)) == (UnavailableError, str(caught.value))


def test_a_cache_that_cannot_be_written_does_not_end_the_epoch(chips, fault_server, tmp_path):
    folder = tmp_path / "cache"
    full = shutil.copytree(chips[0], tmp_path / "served")
    code = """
import resource, signal, sys, warnings, mlstac
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
ds = mlstac.load(sys.argv[1], framework="numpy", cache_dir=sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))  # as a full disk: no file grows past it
print(sorted(number for batch in ds.batches(4, shuffle=True) for number in batch["number"].tolist()))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, fault_server(full).url, str(folder)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, f"{list(range(COUNT))}\n"), done.stderr
    assert "cache" in done.stderr
    assert "Traceback" not in done.stderr


INTERRUPTED = """
import json, sys, mlstac
ds = mlstac.load(sys.argv[1], framework="numpy")
batches = ds.batches(2, shuffle=True, seed=9)
if len(sys.argv) > 2:
    batches.load_state_dict(json.loads(sys.argv[2]))
try:
    for batch in batches:
        sys.stdout.write("{} {}\\n".format(*batch["number"].tolist()))  # at once: an interrupt leaves no part of a line
        sys.stdout.flush()
except KeyboardInterrupt:
    print(json.dumps(batches.state_dict()), flush=True)
    raise
"""


def test_an_interrupted_run_ends_at_once_and_goes_on_where_it_was(chips, fault_server, repository):
    server = fault_server(chips[0])
    server.fail("stall", skip=32, after=1_000, times=None)  # so that it is amid the epoch however late we interrupt
    command = [sys.executable, "-c", INTERRUPTED, server.url]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=repository)
    seen = [first.stdout.readline() for _ in range(3)]
    first.send_signal(signal.SIGINT)
    *more, state = first.stdout.read().splitlines()
    said = first.stderr.read()
    first.stdout.close()
    first.stderr.close()
    first.wait(60)
    assert first.returncode in (-signal.SIGINT, 130, 1)
    assert said.strip().endswith("KeyboardInterrupt")
    assert "never awaited" not in said
    assert "destroyed" not in said
    server.heal()
    second = subprocess.run([*command, state], capture_output=True, text=True, timeout=100, check=True, cwd=repository)
    printed = [int(number) for line in [*seen, *more] for number in line.split()]
    rest = [int(number) for line in second.stdout.splitlines() for number in line.split()]
    in_hand = json.loads(state)["consumed"] - len(printed)
    assert in_hand in (0, 2)  # the interrupt may fall between a batch and its printing
    assert len(set(printed + rest)) == len(printed + rest) == COUNT - in_hand
    assert second.stderr == ""


@pytest.mark.parametrize("unnoticed", [False, True])
def test_an_interrupt_while_a_server_stalls_is_heeded(chips, fault_server, unnoticed):
    server = fault_server(chips[0])
    ds = load(server)
    ds[0]
    server.fail("stall", times=None)
    before = server.count

    def interrupt(press):
        wait_until(lambda: server.count > before, "it is asked for")
        press()

    for read in (lambda: next(iter(ds.batches(4))), lambda: ds[9], lambda: ds[[3, 20]]):
        before = server.count
        with ctrl_c(unnoticed=unnoticed) as press:
            thread = threading.Thread(target=interrupt, args=[press])

            def start_and_read(read=read, thread=thread):
                thread.start()  # not before: a request given up in the round before may be counted only now
                read()

            with pytest.raises(KeyboardInterrupt):
                start_and_read()
            thread.join()
    server.heal()
    assert ds[9]["number"] == 9


def _read_in_child(ds, queue):
    seen = []
    with contextlib.suppress(MlstacError):
        seen = [number for batch in ds.batches(4, shuffle=True) for number in batch["number"].tolist()]
    queue.put(sorted(seen))


@pytest.mark.filterwarnings("ignore:os.fork.*:RuntimeWarning", "ignore:.*use of fork.*:DeprecationWarning")
def test_both_sides_of_a_fork_amid_an_epoch_read_on(chips, fault_server):
    server = fault_server(chips[0])
    ds = load(server)
    batches = ds.batches(2, shuffle=True, seed=2, prefetch=4)
    iterator = iter(batches)
    seen = next(iterator)["number"].tolist()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    children = [context.Process(target=_read_in_child, args=(ds, queue)) for _ in range(2)]
    for child in children:
        child.start()
    seen += epoch(iterator, chips[1])
    assert sorted(seen) == list(range(COUNT))
    assert [queue.get(timeout=100) for _ in children] == [list(range(COUNT))] * 2
    for child in children:
        child.join(100)
        assert child.exitcode == 0
