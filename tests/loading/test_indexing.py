import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mlstac
from mlstac.errors import InvalidArgumentError, NotFoundError
from mlstac.loading._selection import is_single, row_of, rows_of

KEYS = st.one_of(
    st.slices(20),
    st.lists(st.integers(-20, 19), max_size=8),
    st.lists(st.booleans(), min_size=20, max_size=20).map(np.array),
    st.lists(st.integers(-20, 19), min_size=1, max_size=8).map(lambda rows: np.array(rows, np.int32)),
)


@given(KEYS)
def test_keys_mean_what_they_mean_to_numpy(key):
    assert np.array_equal(rows_of(key, 20), np.arange(20)[key if len(np.shape(key)) == 0 or len(key) else []])


@given(st.integers(-50, 50), st.integers(0, 20))
def test_one_row_is_that_of_a_list(row, count):
    if -count <= row < count:
        assert row_of(row, count) == list(range(count))[row]
    else:
        with pytest.raises(IndexError, match=f"sample {row} is outside this dataset of {count} samples"):
            row_of(row, count)


@pytest.mark.parametrize("key", ["4", 1.5, None, [1.0], np.zeros((2, 2), int), True, [[1]], (slice(2), 1)])
def test_what_is_no_index_is_refused(tiny, key):
    with pytest.raises((InvalidArgumentError, IndexError)):
        mlstac.load(tiny, framework="numpy")[key]


@pytest.mark.parametrize("key", [[17], [-18], np.array([3, 99], np.uint64), np.ones(5, bool)])
def test_what_lies_outside_is_an_index_error(tiny, key):
    with pytest.raises(IndexError):
        mlstac.load(tiny, framework="numpy")[key]


def test_numbers_of_numpy_and_arrays_without_axes_mean_one_sample():
    assert is_single(3)
    assert is_single(np.int64(3))
    assert is_single(np.array(3))
    assert not is_single(np.array([3]))
    assert not is_single(True)
    assert not is_single([3])


@pytest.mark.parametrize("framework", ["numpy", "torch"])
def test_samples_and_batches_are_what_was_written(tiny, arrays, framework):
    ds = mlstac.load(tiny, framework=framework)
    assert len(ds) == 17
    for row in (0, 4, 5, 16, -1, np.int64(9)):
        sample = ds[row]
        assert np.array_equal(np.asarray(sample["input"]), arrays["input"][row])
        assert np.asarray(sample["target"]) == arrays["target"][row]
        assert np.asarray(sample["target"]).shape == ()
    for key in (slice(3, 12), [3, 16, 0, 5, 5], slice(None, None, -3), np.arange(17) % 2 == 0, []):
        batch = ds[key]
        wanted = np.arange(17)[key if len(np.shape(key)) == 0 or len(key) else slice(0, 0)]
        assert np.array_equal(np.asarray(batch["input"]), arrays["input"][wanted])
        assert np.array_equal(np.asarray(batch["target"]), arrays["target"][wanted])
        assert np.asarray(batch["input"]).dtype == np.uint16


@pytest.mark.parametrize("key", [slice(None), [], slice(3, 8), np.zeros(0, bool)])
def test_a_batch_of_an_empty_split_is_as_empty_as_one_of_a_split_with_samples(tmp_path, key):
    sample = {"x": np.zeros((2, 3), np.uint16), "label": np.int64(1), "text": "words"}
    samples = {"train": [sample | {"ragged": np.zeros(n, "f4")} for n in (1, 2)], "test": []}
    mlstac.write(samples, tmp_path / "out", id="empty", description="Two samples and none.", license="CC0-1.0")
    empty = mlstac.load(tmp_path / "out", "test", framework="numpy")
    train = mlstac.load(tmp_path / "out", "train", framework="numpy")
    batch, wanted = empty[key], train[[]]
    assert list(batch) == list(wanted)
    for name in ("x", "label"):
        assert batch[name].shape == wanted[name].shape
        assert batch[name].dtype == wanted[name].dtype
    assert batch["ragged"] == wanted["ragged"] == []
    assert batch["text"] == wanted["text"] == []


def test_iterating_gives_every_sample_in_order(tiny, arrays):
    assert [int(sample["target"]) for sample in mlstac.load(tiny, framework="numpy")] == arrays["target"].tolist()


def test_tensors_may_be_written_to_and_do_not_touch_the_shard(tiny, arrays):
    ds = mlstac.load(tiny, framework="torch")
    ds[3]["input"].zero_()
    ds[0:5]["input"].zero_()
    assert np.array_equal(ds[3]["input"].numpy(), arrays["input"][3])


def test_splits_are_named_in_every_way(tiny):
    for split, count in [("train", 17), ("test", 4), ("train+test", 21), (["test", "train"], 21), ("all", 21)]:
        assert len(mlstac.load(tiny, split, framework="numpy")) == count
    both = mlstac.load(tiny, ["test", "train"], framework="numpy")
    assert both[:6]["target"].tolist() == [0, 10, 20, 30, 0, 10]
    assert both.split == "test+train"


@pytest.mark.parametrize("split", ["val", "dev", "nonsense", ["train", "nonsense"]])
def test_an_unknown_split_lists_those_that_there_are(tiny, split):
    with pytest.raises(NotFoundError, match="it has train, test"):
        mlstac.load(tiny, split)


@pytest.mark.parametrize("split", [[], 3, ["train", "train"], False])
def test_a_split_that_cannot_be_meant_is_refused(tiny, split):
    with pytest.raises(InvalidArgumentError):
        mlstac.load(tiny, split)


def test_a_subset_is_a_dataset_with_the_same_rules(tiny, arrays):
    ds = mlstac.load(tiny, framework="numpy")
    some = ds.subset(slice(2, 12)).subset([7, 0, -1])
    assert len(some) == 3
    assert some[:]["target"].tolist() == arrays["target"][[9, 2, 11]].tolist()
    assert some.metadata[1]["id"] == "train-0000002"
    assert some.metadata.to_table()["id"].to_pylist() == ["train-0000009", "train-0000002", "train-0000011"]
    assert some.fingerprint not in (ds.fingerprint, ds.subset([9, 2, 10]).fingerprint)
    assert some.fingerprint == ds.subset([9, 2, 11]).fingerprint
    with pytest.raises(IndexError):
        some[3]


def test_a_pickle_is_where_and_what_and_no_arrays(tiny, arrays):
    ds = mlstac.load(tiny, framework="numpy").select(bands=["B04"]).window(slice(1, 3), slice(0, 5)).subset(slice(4, 9))
    ds[0]
    raw = pickle.dumps(ds)
    assert len(raw) < 2500  # the collection's words, compressed
    again = pickle.loads(raw)
    assert again.fingerprint == ds.fingerprint
    assert np.array_equal(again[:]["input"], arrays["input"][4:9, 2:, 1:3, :5])


def test_the_metadata_is_a_view_without_addresses_unless_asked(tiny):
    metadata = mlstac.load(tiny, framework="numpy").metadata
    assert len(metadata) == 17
    assert metadata.columns == ["id"]
    assert metadata[-1] == {"id": "train-0000016"}
    assert metadata.to_pandas()["id"].tolist()[:2] == ["train-0000000", "train-0000001"]
    assert metadata.to_table(["assets"])["assets"][0].as_py()["input"]["href"] == "./00000.safetensors"
    with pytest.raises(NotFoundError, match="no column 'cloud'; it has id, assets"):
        metadata.to_table(["cloud"])
    with pytest.raises(IndexError):
        metadata[17]
    assert "17 samples" in repr(metadata)


def test_the_repr_says_what_a_sample_is(tiny):
    text = repr(mlstac.load(tiny))
    assert text.splitlines() == [
        "Dataset 'tiny', train: 17 samples, torch tensors",
        "  input: U16, 3×32×32, B02 B03 B04",
        "  target: I64",
    ]


def test_old_names_of_the_source_still_work(tiny):
    assert len(mlstac.load(secret=tiny)) == len(mlstac.load(snippet=str(tiny / "collection.json"))) == 17
    assert len(mlstac.load(tiny.as_uri())) == 17
    with pytest.raises(InvalidArgumentError, match="old name of source"):
        mlstac.load(tiny, secret=tiny)
    with pytest.raises(TypeError, match="'nonsense'"):
        mlstac.load(tiny, nonsense=1)


@pytest.mark.parametrize("arguments", [{"verbose": False}, {"verbose": True}, {"force": True}])
def test_switches_of_the_original_load_are_taken_and_do_nothing(tiny, arguments):
    [name] = arguments
    with pytest.warns(DeprecationWarning, match=f"{name}= is an argument of the original load") as said:
        assert len(mlstac.load(secret=tiny, split=None, **arguments)) == 17
    assert [warning.filename for warning in said] == [__file__]
    with pytest.warns(DeprecationWarning, match="verbose"), pytest.raises(TypeError, match="'nonsense'"):
        mlstac.load(tiny, verbose=True, nonsense=1)


def test_no_split_is_train(tiny):
    assert mlstac.load(tiny, None).fingerprint == mlstac.load(tiny).fingerprint


def test_a_collection_or_its_json_is_a_source(tiny, arrays):
    collection = mlstac.open(tiny)
    assert collection.id == "tiny"
    ds = mlstac.load(collection, framework="numpy")
    assert ds[3]["target"] == 30
    assert pickle.loads(pickle.dumps(ds))[3]["target"] == 30
