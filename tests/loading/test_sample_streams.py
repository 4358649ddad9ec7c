"""ds.iterable() without a batch size: single samples in the order of batches, with their state, ranks and workers."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import mlstac
from mlstac.errors import InvalidArgumentError, StateError

# Forked workers inherit threads of other tests' frameworks, of which jax and Python 3.12 warn
pytestmark = [
    pytest.mark.filterwarnings("ignore:os.fork.*:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning"),  # torchdata calls it
]

COUNT = 23
SHUFFLED = {"shuffle": True, "seed": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """23 samples: a number, boxes of which some have none, a text that every fourth lacks, and a grid."""
    rng = np.random.default_rng(1)
    samples = [
        {
            "number": np.int64(number),
            "grid": rng.random((3, 4), np.float32),
            "boxes": rng.random((number % 3, 4), np.float32),
        }
        | ({"text": f"sample {number}"} if number % 4 else {})
        for number in range(COUNT)
    ]
    described = {name: mlstac.Tensor() for name in ("number", "grid", "boxes")}
    described["text"] = mlstac.Tensor(media_type="text/plain", required=False)
    target = tmp_path_factory.mktemp("streams") / "ds"
    mlstac.write(samples, target, id="ds", license="CC0-1.0", tensors=described, shard_size=400)
    return target


def order(ds, **options):
    return [number for batch in ds.select(["number"]).batches(5, **options) for number in batch["number"].tolist()]


def numbers(samples):
    return [int(sample["number"]) for sample in samples]


@pytest.mark.parametrize("framework", ["torch", "numpy", "jax", "tensorflow", "paddle"])
def test_samples_are_those_of_an_index_in_the_order_of_batches(folder, framework):
    ds = mlstac.load(folder, framework=framework, narrow=framework == "jax")
    stream = ds.iterable(**SHUFFLED)
    assert len(stream) == COUNT
    wanted = order(mlstac.load(folder), **SHUFFLED)
    for number, sample in zip(wanted, stream, strict=True):
        expected = ds[number]
        assert list(sample) == list(expected)
        for name, value in expected.items():
            assert type(sample[name]) is type(value)
            np.testing.assert_array_equal(np.asarray(sample[name]), np.asarray(value), strict=True)


@pytest.mark.parametrize("shuffle", [False, True, "block"])
def test_a_loader_makes_of_samples_the_batches_that_we_make(folder, shuffle):
    ds = mlstac.load(folder).select(["number", "grid"])
    loaded = DataLoader(ds.iterable(shuffle=shuffle, seed=2), batch_size=5)
    ours = list(ds.batches(5, shuffle=shuffle, seed=2))
    assert len(loaded) == len(ours)
    for found, expected in zip(loaded, ours, strict=True):
        assert torch.equal(found["number"], expected["number"])
        assert torch.equal(found["grid"], expected["grid"])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_each_worker_has_every_nth_sample(folder, method):
    ds = mlstac.load(folder)
    wanted = order(ds, **SHUFFLED)
    options = {"num_workers": 2, "multiprocessing_context": method}
    assert numbers(DataLoader(ds.iterable(**SHUFFLED), batch_size=None, **options)) == wanted
    batches = list(DataLoader(ds.iterable(**SHUFFLED), batch_size=4, collate_fn=numbers, **options))
    assert batches[0] == wanted[0:8:2]
    assert batches[1] == wanted[1:8:2]
    assert sorted(number for batch in batches for number in batch) == list(range(COUNT))


def test_ranks_have_the_samples_that_batches_of_one_have(folder):
    ds = mlstac.load(folder)
    wanted = order(ds, **SHUFFLED)
    seen = [numbers(ds.iterable(rank=rank, world_size=2, **SHUFFLED)) for rank in (0, 1)]
    assert seen[0] == wanted[0::2]
    assert seen[1] == [*wanted[1::2], wanted[0]]  # as many as the other
    assert numbers(ds.iterable(rank=1, world_size=2, drop_last=True, **SHUFFLED)) == wanted[1::2]


def test_the_state_is_that_of_batches(folder):
    ds = mlstac.load(folder)
    wanted = order(ds, **SHUFFLED)
    stream = ds.iterable(**SHUFFLED)
    iterator = iter(stream)
    assert numbers(next(iterator) for _ in range(7)) == wanted[:7]
    state = stream.state_dict()
    assert state["consumed"] == 7
    resumed = ds.iterable(shuffle=True)
    resumed.load_state_dict(state)
    assert len(resumed) == COUNT - 7
    assert numbers(resumed) == wanted[7:]
    assert numbers(resumed) == wanted  # the next pass is whole
    with pytest.raises(StateError):
        ds.iterable().load_state_dict(state)  # of another order
    batches = ds.batches(4, shuffle=True, pad={"text": ""})
    batches.load_state_dict(state)
    assert [number for batch in batches for number in batch["number"].tolist()] == wanted[7:]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("size", [None, 4])
def test_a_stateful_loader_resumes_at_the_next_sample(folder, workers, size):
    from torchdata.stateful_dataloader import StatefulDataLoader

    ds = mlstac.load(folder).select(["number"])

    def make():
        return StatefulDataLoader(ds.iterable(**SHUFFLED), batch_size=size, num_workers=workers)

    whole = [batch["number"].tolist() for batch in make()]
    loader = make()
    iterator = iter(loader)
    first = [next(iterator)["number"].tolist() for _ in range(3)]
    state = loader.state_dict()
    del iterator
    resumed = make()
    resumed.load_state_dict(state)
    assert first + [batch["number"].tolist() for batch in resumed] == whole


def test_workers_that_live_on_hear_of_the_next_epoch(folder):
    ds = mlstac.load(folder)
    stream = ds.iterable(**SHUFFLED)
    loader = DataLoader(stream, batch_size=None, num_workers=2, persistent_workers=True)
    for epoch in (0, 1):
        stream.set_epoch(epoch)
        assert numbers(loader) == order(ds, epoch=epoch, **SHUFFLED)


def label(sample):
    return {"number": sample["number"], "sum": sample["grid"].sum()}


def draw(sample, generator):
    return int(sample["number"]), generator.random()


def test_a_transform_gets_a_sample_and_its_generator(folder):
    ds = mlstac.load(folder)
    sums = [float(sample["sum"]) for sample in DataLoader(ds.iterable(transform=label), batch_size=None)]
    assert sums == [float(ds[number]["grid"].sum()) for number in range(COUNT)]
    context = {"num_workers": 1, "multiprocessing_context": "spawn"}  # to which the transform is sent
    loader = DataLoader(ds.iterable(transform=draw, **SHUFFLED), batch_size=None, **context)
    drawn = dict(iter(loader))

    def note(batch, generators):
        return [(int(number), generators[place].random()) for place, number in enumerate(batch["number"])]

    batches = ds.select(["number"]).batches(4, transform=note, **SHUFFLED)
    assert drawn == dict(pair for batch in batches for pair in batch)
    with pytest.raises(InvalidArgumentError, match="cannot be called"):
        ds.iterable(transform=3)


def test_what_samples_lack_can_be_filled(folder):
    ds = mlstac.load(folder)
    samples = list(ds.iterable(pad={"text": ""}))
    assert [sample["text"] for sample in samples[:5]] == ["", "sample 1", "sample 2", "sample 3", ""]
    assert [bool(sample["text_present"]) for sample in samples[:2]] == [False, True]
    assert [sample["text"] for sample in ds.padded({"text": "-"}).iterable()][4] == "-"


def test_a_stream_that_is_iterated_here_is_sent_to_a_worker(folder):
    stream = mlstac.load(folder).select(["number"]).iterable(**SHUFFLED)
    iteration = iter(stream)
    next(iteration)
    loader = DataLoader(stream, batch_size=None, num_workers=1, multiprocessing_context="spawn")
    assert numbers(loader) == order(mlstac.load(folder), **SHUFFLED)


def test_single_samples_of_to_tf_are_not_padded(folder):
    ds = mlstac.load(folder, framework="tensorflow").select(["number", "boxes"])
    padded = ds.padded({"boxes": 0}).to_tf()
    assert padded.element_spec == ds.to_tf().element_spec
    assert [sample["boxes"].shape[0] for sample in padded] == [number % 3 for number in range(COUNT)]
    with pytest.raises(InvalidArgumentError, match="pad= and drop_last= are for batches"):
        ds.to_tf(pad={"boxes": 0})
