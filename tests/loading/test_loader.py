"""torch.utils.data.DataLoader over a dataset, in every way that people use it."""

import _thread

import ml_dtypes
import numpy as np
import pytest
import torch
from torch.utils.data import ConcatDataset, DataLoader, Subset, random_split

import mlstac
from mlstac.errors import DtypeError, InvalidArgumentError, StateError
from mlstac.loading import _samples
from tests.waiting import wait_until

# Forked workers inherit threads of other tests' frameworks, of which jax and Python 3.12 warn
pytestmark = [
    pytest.mark.filterwarnings("ignore:os.fork.*:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning"),  # torchdata calls it
]

START_METHODS = ["fork", "spawn", "forkserver"]


def epoch(loader, arrays):
    """Targets of an epoch; every image is checked on the way."""
    seen = []
    for batch in loader:
        assert isinstance(batch["input"], torch.Tensor)
        rows = (batch["target"] // 10).numpy()
        assert np.array_equal(batch["input"].numpy(), arrays["input"][rows])
        seen += rows.tolist()
    return seen


def test_the_default_collate_takes_the_buffer_that_was_read_into(tiny, arrays):
    ds = mlstac.load(tiny)
    samples = ds.__getitems__([3, 1])
    batch = torch.utils.data.default_collate(samples)
    assert samples[0]["input"].data_ptr() == batch["input"].data_ptr()
    assert epoch(DataLoader(ds, batch_size=4), arrays) == list(range(17))


@pytest.mark.parametrize("options", [{}, {"as_dtype": "float32"}])
@pytest.mark.parametrize("framework", ["torch", "numpy"])
def test_a_sample_by_its_number_is_the_one_that_comes_in_turn(tiny, framework, options):
    samples = mlstac.load(tiny, framework=framework, **options).__getitems__([3, 1, 4])
    for row, expected in enumerate(samples):
        found = samples[row]
        assert list(found) == list(expected)
        for name, tensor in expected.items():
            assert type(found[name]) is type(tensor)
            assert found[name].dtype == tensor.dtype
            np.testing.assert_array_equal(found[name], tensor, strict=True)


def test_samples_are_plain_dicts_to_any_other_collate(tiny):
    def collate(samples):
        return [int(sample["target"]) for sample in samples]

    assert next(iter(DataLoader(mlstac.load(tiny), batch_size=3, collate_fn=collate))) == [0, 10, 20]
    samples = mlstac.load(tiny).__getitems__([5, 2])
    assert [int(sample["target"]) for sample in samples] == [50, 20]
    assert int(samples[-1]["target"]) == 20
    assert len(samples[0:2]) == 2
    assert torch.utils.data.default_collate(list(samples))["target"].tolist() == [50, 20]


@pytest.mark.parametrize("framework", ["torch", "numpy"])
def test_good_samples_come_from_a_batch_with_a_bad_one_and_that_is_named(tmp_path, framework):
    samples = [{"count": np.int64(70_000 if number == 2 else number)} for number in range(6)]
    mlstac.write(samples, tmp_path / "ds", id="ds", license="CC0-1.0")
    ds = mlstac.load(tmp_path / "ds", framework=framework, as_dtype="uint16")
    found = ds.__getitems__([5, 2, 1])
    assert [int(found[place]["count"]) for place in (0, 2, -3)] == [5, 1, 5]
    with pytest.raises(DtypeError, match=r"tensor 'count': value 70000 .*sample 2 \('train-0000002'\)"):
        found[1]
    assert int(found[2]["count"]) == 1

    def collate(samples):
        return [int(samples[place]["count"]) for place in range(len(samples))]

    loader = iter(DataLoader(ds, batch_sampler=[[0, 1], [3, 2]], collate_fn=collate))
    assert next(loader) == [0, 1]
    with pytest.raises(DtypeError, match="train-0000002"):
        next(loader)
    with pytest.raises(DtypeError, match="train-0000002"):
        list(DataLoader(ds, batch_size=3))


@pytest.mark.parametrize("method", START_METHODS)
def test_workers_give_the_same_batches(tiny, arrays, method):
    ds = mlstac.load(tiny)
    ds[0]  # used in the parent first
    loader = DataLoader(ds, batch_size=4, num_workers=2, multiprocessing_context=method, persistent_workers=True)
    assert epoch(loader, arrays) == list(range(17))
    assert sorted(epoch(loader, arrays)) == list(range(17))


@pytest.mark.parametrize("method", START_METHODS)
def test_workers_read_remote_data_after_the_parent_has(tiny, arrays, range_server, method):
    ds = mlstac.load(range_server(tiny).url)
    ds[0]
    loader = DataLoader(ds, batch_size=4, num_workers=2, multiprocessing_context=method, timeout=200)
    assert epoch(loader, arrays) == list(range(17))
    assert int(ds[3]["target"]) == 30


def test_shuffling_subsets_and_splits_work(tiny, arrays):
    ds = mlstac.load(tiny)
    assert sorted(epoch(DataLoader(ds, batch_size=4, shuffle=True), arrays)) == list(range(17))
    assert epoch(DataLoader(Subset(ds, [5, 2, 11]), batch_size=2), arrays) == [5, 2, 11]
    first, second = random_split(ds, [10, 7])
    assert sorted(epoch(DataLoader(first, 3), arrays) + epoch(DataLoader(second, 3), arrays)) == list(range(17))


def test_numpy_datasets_become_tensors_as_arrays_do(tiny, arrays):
    assert epoch(DataLoader(mlstac.load(tiny, framework="numpy"), batch_size=4), arrays) == list(range(17))


def test_a_loader_that_shuffles_remote_data_is_told_once_of_batches(tiny, arrays, range_server, monkeypatch):
    monkeypatch.setattr(_samples, "_ADVISED", False)
    ds = mlstac.load(range_server(tiny).url)
    assert epoch(DataLoader(ds, batch_size=4), arrays) == list(range(17))  # in order: nothing to say
    generator = torch.Generator().manual_seed(0)
    loader = DataLoader(ds, batch_size=4, shuffle=True, generator=generator)
    with pytest.warns(UserWarning, match=r"ds\.batches\(batch_size, shuffle=True\)") as said:
        seen = epoch(loader, arrays) + epoch(loader, arrays)
    assert sorted(seen) == sorted(list(range(17)) * 2)
    assert len(said) == 1


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("shuffle", [False, True])
def test_an_iterable_view_gives_the_order_of_batches_with_any_number_of_workers(tiny, arrays, workers, shuffle):
    ds = mlstac.load(tiny)
    options = {"shuffle": shuffle, "seed": 3}
    wanted = [batch["target"].tolist() for batch in ds.batches(2, **options)]
    stream = ds.iterable(2, **options)
    loader = DataLoader(stream, batch_size=None, num_workers=workers)
    assert len(loader) == 9
    assert [batch["target"].tolist() for batch in loader] == wanted


@pytest.mark.parametrize(("workers", "method"), [(0, None), (2, "fork"), (2, "spawn"), (2, "forkserver")])
def test_a_stateful_loader_resumes_where_it_was(tiny, arrays, workers, method):
    from torchdata.stateful_dataloader import StatefulDataLoader

    ds = mlstac.load(tiny)

    def make():
        stream = ds.iterable(2, shuffle=True, seed=5)
        return StatefulDataLoader(stream, batch_size=None, num_workers=workers, multiprocessing_context=method)

    whole = [batch["target"].tolist() for batch in make()]
    loader = make()
    batches = iter(loader)
    first = [next(batches)["target"].tolist() for _ in range(4)]
    state = loader.state_dict()
    del batches
    resumed = make()
    resumed.load_state_dict(state)
    assert first + [batch["target"].tolist() for batch in resumed] == whole


def test_options_of_a_view_are_checked_where_it_is_made(tiny):
    with pytest.raises(ValueError, match="batch_size=0"):
        mlstac.load(tiny).iterable(0)


@pytest.mark.parametrize("method", START_METHODS)
def test_workers_that_live_on_hear_of_the_next_epoch(tiny, arrays, method):
    ds = mlstac.load(tiny)
    view = ds.iterable(4, shuffle=True, seed=3)
    loader = DataLoader(view, batch_size=None, num_workers=2, persistent_workers=True, multiprocessing_context=method)
    for number in range(3):
        view.set_epoch(number)
        expected = epoch(ds.batches(4, shuffle=True, seed=3, epoch=number), arrays)
        assert epoch(loader, arrays) == expected


def test_a_parent_whose_workers_iterate_does_not_guess_how_far_they_are(tiny):
    view = mlstac.load(tiny).iterable(4)
    iterator = iter(DataLoader(view, batch_size=None, num_workers=1, multiprocessing_context="fork"))
    next(iterator)
    with pytest.raises(StateError, match="StatefulDataLoader"):
        view.state_dict()
    del iterator
    next(iter(view))
    assert view.state_dict()["consumed"] == 4


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_that_would_batch_the_batches_is_told(tiny, workers):
    from torchdata.stateful_dataloader import StatefulDataLoader

    ds = mlstac.load(tiny)
    for make in (DataLoader, StatefulDataLoader):
        for options in ({}, {"batch_size": 4}, {"batch_size": 4, "drop_last": True}):
            loader = make(ds.iterable(4), num_workers=workers, **options)
            with pytest.raises(InvalidArgumentError, match=r"ds\.iterable\(4\) gives batches of 4.*batch_size=None"):
                next(iter(loader))


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_that_are_put_together_on_purpose_are_no_mistake(tiny, workers):
    def chain(batches):
        return torch.cat([batch["target"] for batch in batches])

    loader = DataLoader(mlstac.load(tiny).iterable(4), batch_size=3, num_workers=workers, collate_fn=chain)
    whole = [target for batch in loader for target in batch.tolist()]
    assert sorted(whole) == [10 * number for number in range(17)]
    single = (batch["target"].tolist() for batch in mlstac.load(tiny).iterable(1))
    assert list(single) == [[10 * number] for number in range(17)]


def test_batches_may_be_asked_for_where_no_line_of_python_is(tiny):
    found = []
    _thread.start_new_thread(found.extend, (mlstac.load(tiny).iterable(4),))
    wait_until(lambda: sum(len(batch["target"]) for batch in found) == 17, "all batches have come")


class Own(torch.utils.data.Dataset):
    """A dataset of a user's own, which reckons with the arrays that it asks for."""

    def __init__(self, ds):
        self.ds = ds

    def __len__(self):
        return len(self.ds)

    def __getitem__(self, row):
        return self.ds[row]["x"].astype(np.float32)


@pytest.fixture(params=["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def strange(tmp_path, request):
    """A dataset of rows of a dtype that numpy lacks, as arrays; the rows; the dtype of torch."""
    values = np.arange(24, dtype=np.uint8).reshape(4, 6)
    stored = values.view(getattr(ml_dtypes, request.param)) if "8_" in request.param else values.astype("bfloat16")
    samples = [{"x": row, "rows": stored[:number], "n": np.int32(number)} for number, row in enumerate(stored)]
    mlstac.write(samples, tmp_path / "ds", id="ds", license="CC0-1.0")
    return mlstac.load(tmp_path / "ds", framework="numpy"), stored, getattr(torch, request.param)


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (lambda ds: ds, {"batch_size": 4}),
        (lambda ds: ds, {"batch_size": None, "sampler": [[0, 1, 2, 3]]}),
        (lambda ds: ds, {"batch_size": None}),
        (lambda ds: ds, {"batch_size": None, "num_workers": 1}),
        (lambda ds: Subset(ds, [0, 1, 2, 3]), {"batch_size": 4}),
        (lambda ds: Subset(Subset(ds, [2, 3, 0, 1]), [2, 3, 0, 1]), {"batch_size": None}),
        (lambda ds: ConcatDataset([ds.subset([0, 1]), ds.subset([2, 3])]), {"batch_size": None}),
        (lambda ds: ds.iterable(4), {"batch_size": None}),
        (lambda ds: ds.iterable(3), {"batch_size": None, "num_workers": 1}),
    ],
)
def test_arrays_of_dtypes_that_numpy_lacks_become_torchs_own(strange, make, options):
    ds, stored, dtype = strange
    loaded = list(DataLoader(make(ds), **options))
    assert {item["x"].dtype for item in loaded} == {dtype}
    found = torch.cat([item["x"].view(torch.uint8).reshape(-1) for item in loaded])
    assert np.array_equal(found.numpy(), stored.view(np.uint8).ravel())
    ragged = [part for item in loaded for part in (item["rows"] if isinstance(item["rows"], list) else [item["rows"]])]
    assert [(tuple(part.shape), part.dtype) for part in ragged] == [((number, 6), dtype) for number in range(4)]
    assert torch.cat([item["n"].reshape(-1) for item in loaded]).tolist() == [0, 1, 2, 3]


def test_arrays_stay_arrays_for_all_but_torchs_own_collate(strange):
    ds, stored, _ = strange
    for loader in (
        DataLoader(ds, batch_size=None, collate_fn=lambda sample: sample["x"].astype(np.float32)),
        DataLoader(ds.iterable(1), batch_size=None, collate_fn=lambda batch: batch["x"][0].astype(np.float32)),
        DataLoader(Own(ds), batch_size=None),
    ):
        np.testing.assert_array_equal(np.stack(list(loader)), stored.astype(np.float32))
    assert type(ds[0]["x"]) is np.ndarray


def test_single_samples_put_together_by_torch_have_its_dtypes_too(strange):
    ds, stored, dtype = strange
    (batch,) = DataLoader(ConcatDataset([ds.select(["x"])]), batch_size=4)
    assert batch["x"].dtype == dtype
    assert np.array_equal(batch["x"].view(torch.uint8).numpy(), stored.view(np.uint8).reshape(4, -1))
