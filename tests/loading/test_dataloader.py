"""torch.utils.data.DataLoader where it hurts: killed workers, broken samples, interrupted epochs, early exits."""

import gc
import multiprocessing
import os
import re
import subprocess
import sys

import numpy as np
import psutil
import pytest
import torch
from torch.utils.data import DataLoader, DistributedSampler

import mlstac
from mlstac.errors import ChecksumError, InvalidArgumentError, NotFoundError
from tests.loading.datasets import write_stacked
from tests.waiting import wait_until

# Forked workers inherit threads of other tests' frameworks, of which jax and Python 3.12 warn
pytestmark = [
    pytest.mark.filterwarnings("ignore:os.fork.*:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning"),  # torchdata calls it
]

COUNT = 50


@pytest.fixture(scope="module")
def chips(tmp_path_factory):
    """50 chips of 32 KiB and their numbers, in five shards."""
    rng = np.random.default_rng(3)
    arrays = {
        "image": rng.integers(0, 60_000, (COUNT, 4, 64, 64)).astype(np.uint16),
        "number": np.arange(COUNT, dtype=np.int64),
    }
    folder = tmp_path_factory.mktemp("chips")
    return write_stacked(folder, {"train": arrays}, shard_rows=10, image={"dims": "band y x"}), arrays


def epoch(loader, arrays):
    """Numbers of an epoch; every image is checked on the way."""
    seen = []
    for batch in loader:
        numbers = batch["number"].tolist()
        assert np.array_equal(batch["image"].numpy(), arrays["image"][numbers])
        seen += numbers
    return seen


def run(script, *arguments, repository, timeout=250, **environment):
    return subprocess.run(
        # torch's advice on a machine of one processor
        [sys.executable, "-W", "ignore:This DataLoader will create:UserWarning", "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        cwd=repository,
        env={**os.environ, **environment},
    )


def sources(chips, range_server):
    return {"local": str(chips[0]), "remote": range_server(chips[0]).url}


@pytest.mark.parametrize("where", ["local", "remote"])
@pytest.mark.parametrize("workers", [0, 2])
def test_distributed_samplers_share_the_samples_out(chips, range_server, where, workers):
    ds = mlstac.load(sources(chips, range_server)[where])
    options = {"num_replicas": 2, "shuffle": False}
    seen = [
        epoch(DataLoader(ds, 4, sampler=DistributedSampler(ds, rank=rank, **options), num_workers=workers), chips[1])
        for rank in range(2)
    ]
    assert sorted(seen[0] + seen[1]) == list(range(COUNT))


def test_a_loader_without_batches_gives_samples(chips):
    loader = DataLoader(mlstac.load(chips[0]), batch_size=None)
    assert [int(sample["number"]) for sample in loader] == list(range(COUNT))


def test_half_an_epoch_of_living_workers_does_not_leak_into_the_next(chips, range_server):
    ds = mlstac.load(range_server(chips[0]).url)
    loader = DataLoader(ds, 3, num_workers=2, persistent_workers=True, prefetch_factor=4, timeout=200)
    half = iter(loader)
    assert [next(half)["number"].tolist() for _ in range(3)] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert epoch(loader, chips[1]) == list(range(COUNT))
    assert epoch(loader, chips[1]) == list(range(COUNT))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stateful_loader_over_samples_resumes(chips, workers):
    from torchdata.stateful_dataloader import StatefulDataLoader

    ds = mlstac.load(chips[0])

    def make():
        generator = torch.Generator().manual_seed(7)
        return StatefulDataLoader(ds, batch_size=4, shuffle=True, num_workers=workers, generator=generator)

    whole = epoch(make(), chips[1])
    assert sorted(whole) == list(range(COUNT))
    loader = make()
    batches = iter(loader)
    first = [number for _ in range(5) for number in next(batches)["number"].tolist()]
    state = loader.state_dict()
    del batches
    resumed = make()
    resumed.load_state_dict(state)
    assert first + epoch(resumed, chips[1]) == whole


def test_the_state_of_a_stream_without_workers_goes_on_in_batches(chips):
    ds = mlstac.load(chips[0])
    stream = ds.iterable(4, shuffle=True, seed=1)
    iterator = iter(stream)
    first = [number for _ in range(6) for number in next(iterator)["number"].tolist()]
    batches = ds.batches(8, shuffle=True)
    batches.load_state_dict(stream.state_dict())
    resumed = ds.iterable(4, shuffle=True)
    resumed.load_state_dict(stream.state_dict())
    assert len(resumed) == sum(1 for _ in resumed) == len(stream) - 6
    assert len(resumed) == len(stream)  # of the next iteration, which is whole again
    rest = epoch(batches, chips[1])
    assert sorted(first + rest) == list(range(COUNT))
    assert first + rest == epoch(ds.batches(1, shuffle=True, seed=1), chips[1])


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_stream_of_remote_data_has_every_sample_once(chips, range_server, workers):
    ds = mlstac.load(range_server(chips[0]).url)
    ds[0]
    stream = ds.iterable(4, shuffle=True, seed=2)
    first = epoch(DataLoader(stream, batch_size=None, num_workers=workers, timeout=200 if workers else 0), chips[1])
    assert sorted(first) == list(range(COUNT))
    stream.set_epoch(1)
    second = epoch(DataLoader(stream, batch_size=None, num_workers=workers, timeout=200 if workers else 0), chips[1])
    assert sorted(second) == list(range(COUNT))
    assert first != second


def test_a_stream_is_of_the_rank_that_made_it(chips):
    ds = mlstac.load(chips[0])
    seen = []
    for rank in range(2):
        stream = ds.iterable(4, rank=rank, world_size=2)
        seen += epoch(DataLoader(stream, batch_size=None, num_workers=2), chips[1])
    assert sorted(seen) == list(range(COUNT))


def test_what_a_sample_lacks_and_what_varies_goes_through_the_loader(tmp_path):
    samples = [
        {"boxes": np.full((number % 3, 4), number, np.float32), "text": f"sample {number}", "number": np.int64(number)}
        for number in range(8)
    ]
    mlstac.write(samples, tmp_path / "out", id="boxes", license="CC0-1.0")
    ds = mlstac.load(tmp_path / "out")
    for workers in (0, 2):
        seen = []
        for batch in DataLoader(ds, batch_size=3, num_workers=workers):
            for place, number in enumerate(batch["number"].tolist()):
                assert batch["text"][place] == f"sample {number}"
                assert np.array_equal(batch["boxes"][place].numpy(), samples[number]["boxes"])
                seen.append(number)
        assert seen == list(range(8))


@pytest.fixture
def lacking(tmp_path):
    """Boxes that some samples lack, texts likewise, and their numbers."""
    samples = [
        {"number": np.int64(number)}
        | ({"boxes": np.full((number % 3, 4), number, np.float32), "text": f"{number}"} if number % 4 < 3 else {})
        for number in range(8)
    ]
    described = {
        "number": mlstac.Tensor(),
        "boxes": mlstac.Tensor(required=False),
        "text": mlstac.Tensor(required=False, media_type="text/plain"),
    }
    mlstac.write(samples, tmp_path / "out", id="boxes", license="CC0-1.0", tensors=described)
    return mlstac.load(tmp_path / "out"), samples


def same(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name] == value if isinstance(value, list) else torch.equal(found[name], value), name


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_over_a_padded_dataset_gets_the_batches_that_batches_pads(lacking, workers):
    ds, samples = lacking
    pad = {"boxes": -1, "text": ""}
    padded = ds.padded(pad)
    wanted = list(ds.batches(3, pad=pad))
    context = "spawn" if workers else None  # to which the dataset is sent as it was padded
    found = list(DataLoader(padded, batch_size=3, num_workers=workers, multiprocessing_context=context))
    for batches in (found, padded.batches(3), [padded[0:3], padded[3:6], padded[6:8]]):
        for got, expected in zip(batches, wanted, strict=True):
            same(got, expected)
    assert found[1]["boxes"].shape == (3, 2, 4)
    assert found[1]["boxes_mask"].tolist() == [[False, False], [True, False], [True, True]]
    assert found[1]["boxes_present"].tolist() == [False, True, True]
    assert sorted(padded[3]) == ["number"]  # single samples are as they were
    assert padded[5]["boxes"].tolist() == samples[5]["boxes"].tolist()


def test_paddings_add_up_and_follow_what_is_chosen(lacking):
    ds, _ = lacking
    padded = ds.padded({"boxes": 0}).padded({"text": None})
    assert padded.pad == {"boxes": 0, "text": None}
    assert next(iter(padded.batches(8)))["text"][3] is None
    assert next(iter(padded.batches(8, pad={"text": "-"})))["text"][3] == "-"
    assert padded.select(["number", "boxes"]).pad == {"boxes": 0}
    same(padded.select(["number"])[0:8], ds.select(["number"])[0:8])
    assert padded.fingerprint == ds.fingerprint
    mixed = next(iter(mlstac.mix([padded, padded.subset([1, 2])]).batches(8)))
    assert mixed["boxes"].ndim == 3
    with pytest.raises(InvalidArgumentError, match="padded differently"):
        mlstac.mix([padded, ds])


def test_paddings_that_cannot_be_meant_are_refused_at_once(lacking):
    ds, _ = lacking
    with pytest.raises(NotFoundError, match="'box'"):
        ds.padded({"box": 0})
    with pytest.raises(InvalidArgumentError, match="no number"):
        ds.padded({"boxes": "0"})
    with pytest.raises(InvalidArgumentError, match=r"ds\.padded\(\.\.\.\)"):
        list(DataLoader(ds, batch_size=4))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_changed_byte_is_a_named_error_from_a_worker_too(chips, fault_server, workers):
    shard = chips[0] / "train" / "00003.safetensors"
    server = fault_server(chips[0])
    raw = bytearray(shard.read_bytes())
    raw[-(1 << 15) * 4 - 5] ^= 1
    server.replace("train/00003.safetensors", bytes(raw))
    loader = DataLoader(mlstac.load(server.url), batch_size=5, num_workers=workers, timeout=200 if workers else 0)
    batches, seen = iter(loader), []
    with pytest.raises(ChecksumError, match=r"'image' of sample 3\d .*00003\.safetensors"):  # noqa: PT012
        while True:
            seen += next(batches)["number"].tolist()
    assert seen[:30] == list(range(30))
    assert max(seen) < 40


def test_an_index_that_is_none_is_named_from_a_worker(chips):
    with pytest.raises(IndexError, match="sample 50 is outside this dataset of 50"):
        list(DataLoader(mlstac.load(chips[0]), batch_sampler=[[0, 1], [COUNT]], num_workers=1))
    with pytest.raises(InvalidArgumentError, match="cannot index"):
        list(DataLoader(mlstac.load(chips[0]), batch_sampler=[[0.5]], num_workers=1))


KILL = """
import contextlib, os, signal, sys, torch, mlstac
from torch.utils.data import DataLoader
if __name__ == "__main__":
    ds = mlstac.load(sys.argv[1])
    ds[0]
    source, options = (ds, {"batch_size": 2}) if sys.argv[2] == "samples" else (ds.iterable(2), {"batch_size": None})
    loader = DataLoader(source, num_workers=2, prefetch_factor=1, multiprocessing_context=sys.argv[3], **options)
    batches = iter(loader)
    next(batches)
    workers = [worker.pid for worker in batches._workers]
    killed = batches._workers[0]
    with contextlib.suppress(RuntimeError):  # torch may say so wherever its parent is
        os.kill(killed.pid, signal.SIGKILL)
        killed.join(60)
    try:
        for _ in batches:
            pass
    except (RuntimeError, OSError, EOFError):  # as torch finds it: the worker gone, or its tensors
        print("reported")
    else:
        print("nobody noticed")
    print(int(ds[3]["number"]))
    print(os.getpid(), *workers)
"""


@pytest.mark.parametrize(
    ("where", "view", "method"),
    [("local", "samples", "fork"), ("remote", "stream", "spawn")],
)
def test_a_killed_worker_is_reported_and_leaves_nothing(chips, range_server, tmp_path, repository, where, view, method):
    done = run(KILL, sources(chips, range_server)[where], view, method, repository=repository, TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    *said, pids = done.stdout.splitlines()
    assert said == ["reported", "3"], done.stderr
    # multiprocessing itself makes a folder for its sockets, which a killed process cannot take away
    assert all(entry.name.startswith("pymp-") for entry in tmp_path.iterdir())
    assert not any(entry.is_file() for entry in tmp_path.rglob("*"))
    # torch puts the process into a name; those of others, who are at work beside us, come and go
    assert not [entry for entry in os.listdir("/dev/shm") if set(pids.split()) & set(re.split(r"[^0-9]+", entry))]


LEAVE = """
import sys, mlstac
from torch.utils.data import DataLoader
if __name__ == "__main__":
    ds = mlstac.load(sys.argv[1])
    loaders = [
        DataLoader(ds, batch_size=2, num_workers=2),
        DataLoader(ds.iterable(2, shuffle=True), batch_size=None, num_workers=2, persistent_workers=True),
    ]
    iterators = [iter(loader) for loader in loaders] + [iter(ds.batches(2, prefetch=4)), iter(ds)]
    for iterator in iterators:
        next(iterator)
    print("out")
    {ending}
"""


@pytest.mark.parametrize("ending", ["pass", "sys.exit(0)"])
def test_a_program_ends_though_loaders_are_half_consumed(chips, range_server, repository, ending):
    url = range_server(chips[0]).url
    done = run(LEAVE.replace("{ending}", ending), url, repository=repository)
    assert (done.returncode, done.stdout, done.stderr) == (0, "out\n", "")


SHUFFLE = """
import sys, mlstac
from torch.utils.data import DataLoader
if __name__ == "__main__":
    ds = mlstac.load(sys.argv[1])
    loader = DataLoader(ds, batch_size=4, shuffle=True, num_workers=2, persistent_workers=True)
    for _ in range(2):
        assert sorted(number for batch in loader for number in batch["number"].tolist()) == list(range(50))
"""


def test_workers_that_shuffle_remote_data_give_one_notice(chips, range_server, repository):
    done = run(SHUFFLE, range_server(chips[0]).url, repository=repository)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("ds.batches(batch_size, shuffle=True)") == 1
    local = run(SHUFFLE, chips[0], repository=repository)
    assert (local.returncode, local.stderr) == (0, "")


def test_workers_are_gone_when_their_loader_is(chips):
    loader = DataLoader(mlstac.load(chips[0]), batch_size=2, num_workers=2, persistent_workers=True)
    iterator = iter(loader)
    next(iterator)
    workers = [worker.pid for worker in iterator._workers]
    del iterator, loader
    gc.collect()
    # torch waits for each of them for five seconds, and asks no more whether one that it then terminated has ended
    wait_until(lambda: not set(workers) & {child.pid for child in multiprocessing.active_children()}, "they have ended")
    assert not [pid for pid in workers if psutil.pid_exists(pid)]
