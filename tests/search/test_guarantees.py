"""What a filter gives is a dataset like any other: order, fingerprint, stripes, resume, pickling."""

import json
import multiprocessing
import pickle
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import mlstac
from mlstac.errors import CatalogError, ChangedError, InvalidArgumentError
from tests.search.datasets import ids_of, numbers_of

WARM = {"where": "cloud_cover > 20", "datetime": "2020-03/.."}


@pytest.fixture
def warm(everything):
    return everything.filter(**WARM)


def test_the_samples_are_those_of_the_rows(everything, warm):
    wanted = ids_of(warm)
    every = ids_of(everything)
    assert 20 < len(wanted) < len(every)
    assert numbers_of(warm) == [numbers_of(everything)[every.index(name)] for name in wanted]
    assert warm.metadata[3]["id"] == wanted[3]
    assert [int(value) for value in warm[:]["x"].ravel()] == numbers_of(warm)


def test_the_same_question_gives_the_same_fingerprint_and_another_another(everything, scattered):
    again = mlstac.load(scattered, split="train+test", framework="numpy").filter(**WARM)
    assert again.fingerprint == everything.filter(**WARM).fingerprint
    prints = {
        everything.fingerprint,
        again.fingerprint,
        everything.filter(where="cloud_cover > 21").fingerprint,
        everything.filter(where="cloud_cover > 99999").fingerprint,
    }
    assert len(prints) == 4
    rows = [ids_of(everything).index(name) for name in ids_of(again)]
    assert everything.subset(rows).fingerprint == again.fingerprint


def test_it_is_pickled_as_its_question_and_not_as_its_answer(warm):
    data = pickle.dumps(warm)
    assert len(data) < 4000
    assert pickle.loads(data).fingerprint == warm.fingerprint
    assert numbers_of(pickle.loads(data)) == numbers_of(warm)


def _tell(dataset, pipe):
    pipe.send((dataset.fingerprint, numbers_of(dataset)))


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_it_is_the_same_in_another_process(warm, start):
    context = multiprocessing.get_context(start)
    ours, theirs = context.Pipe()
    process = context.Process(target=_tell, args=(warm, theirs))
    process.start()
    assert ours.recv() == (warm.fingerprint, numbers_of(warm))
    process.join()


def _filter_and_tell(dataset, pipe):
    pipe.send(ids_of(dataset.filter(where="fold = 1")))


def test_a_process_forked_after_a_filter_can_filter(warm):
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_filter_and_tell, args=(warm, theirs))
    process.start()
    assert ours.poll(200)
    assert ours.recv() == ids_of(warm.filter(where="fold = 1"))
    process.join()


def test_a_dataset_that_changed_is_not_searched_again_elsewhere(scattered, tmp_path):
    folder = shutil.copytree(scattered, tmp_path / "copy")
    data = pickle.dumps(mlstac.load(folder, framework="numpy").filter(where="fold = 1"))
    document = json.loads((folder / "collection.json").read_text())
    document["assets"]["train-00000"]["file:checksum"] = "1220" + "0" * 64
    (folder / "collection.json").write_text(json.dumps(document))
    with pytest.raises(ChangedError):
        pickle.loads(data)


@settings(max_examples=20)
@given(seed=st.integers(0, 5), world_size=st.integers(1, 4))
def test_ranks_share_a_shuffled_epoch_of_it(everything, seed, world_size):
    warm = everything.filter(**WARM)
    count = len(warm) - len(warm) % (2 * world_size)
    seen = [
        int(value)
        for rank in range(world_size)
        for batch in warm.batches(2, shuffle=True, seed=seed, rank=rank, world_size=world_size, drop_last=True)
        for value in batch["x"].ravel()
    ]
    assert len(seen) == count
    assert len(set(seen)) == count
    assert set(seen) <= set(numbers_of(warm))


def test_an_epoch_of_it_resumes_at_the_same_sample(everything, warm):
    whole = [batch["x"].ravel().tolist() for batch in warm.batches(4, shuffle=True, seed=3)]
    begun = warm.batches(4, shuffle=True, seed=3)
    steps = iter(begun)
    first = [next(steps)["x"].ravel().tolist() for _ in range(2)]
    state = json.loads(json.dumps(begun.state_dict()))
    begun.close()
    later = pickle.loads(pickle.dumps(warm)).batches(4, shuffle=True, seed=3)
    later.load_state_dict(state)
    assert first + [batch["x"].ravel().tolist() for batch in later] == whole
    other = everything.filter(where="fold = 1").batches(4, shuffle=True, seed=3)
    with pytest.raises(mlstac.errors.StateError):
        other.load_state_dict(state)


@settings(max_examples=30)
@given(
    rows=st.lists(st.integers(-210, 209), min_size=1, max_size=40),
    step=st.sampled_from([-3, -1, 1, 2]),
)
def test_filters_of_filters_and_of_slices_keep_the_order_given(everything, rows, step):
    """Also where a slice runs backwards or a sample comes twice."""
    table = everything.metadata.to_table(["id", "cloud_cover"]).to_pylist()
    clouds = {row["id"]: row["cloud_cover"] for row in table}
    chosen = everything.subset(rows).subset(slice(None, None, step))
    wanted = [name for name in ids_of(chosen) if clouds[name] is not None and clouds[name] > 20]
    found = chosen.filter(where="cloud_cover > 20")
    assert ids_of(found) == wanted
    assert ids_of(pickle.loads(pickle.dumps(found))) == wanted


def test_two_filters_are_the_filter_of_both(everything):
    box = (-90, -60, 90, 60)
    one = everything.filter(where="fold <> 2").filter(bbox=box)
    other = everything.filter(bbox=box, where="fold <> 2")
    assert ids_of(one) == ids_of(other)
    assert one.fingerprint == other.fingerprint


def test_splits_together_are_the_splits_one_after_another(scattered, everything):
    parts = [mlstac.load(scattered, split=split, framework="numpy").filter(**WARM) for split in ("train", "test")]
    assert ids_of(everything.filter(**WARM)) == [name for part in parts for name in ids_of(part)]


def test_folds_are_two_filters(everything):
    train, held_out = everything.filter(where="fold <> 2"), everything.filter(where="fold = 2")
    assert sorted(numbers_of(train) + numbers_of(held_out)) == sorted(numbers_of(everything))
    assert len(held_out) == len(everything) // 5


def test_ids_choose_those_that_are_there_in_the_order_of_the_dataset(everything):
    assert ids_of(everything.filter(ids=["test-7", "train-3", "nowhere"])) == ["train-3", "test-7"]
    assert ids_of(everything.filter(ids="train-3")) == ["train-3"]
    assert len(everything.filter(ids=(f"train-{n}" for n in range(0, 150, 2)))) == 75
    with pytest.raises(InvalidArgumentError, match="rows by number"):
        everything.filter(ids=[3])
    with pytest.raises(InvalidArgumentError, match="no list of ids"):
        everything.filter(ids=3)


def test_nothing_found_is_a_dataset_of_nothing(everything):
    none = everything.filter(where="cloud_cover > 1000")
    assert len(none) == 0
    assert list(none) == []
    assert list(none.batches(4)) == []
    assert len(none.filter(where="fold = 1")) == 0
    assert "0 samples" in repr(none)


def test_an_empty_split_can_be_searched(scattered):
    empty = mlstac.load(scattered, split="validation", framework="numpy")
    assert len(empty.filter(where="cloud_cover > 3", bbox=(0, 0, 1, 1))) == 0


def test_torch_loaders_and_workers_read_it(scattered):
    dataset = mlstac.load(scattered, split="train", framework="torch").filter(where="fold = 1")
    loader = torch.utils.data.DataLoader(dataset, batch_size=4, num_workers=2)
    assert [int(value) for batch in loader for value in batch["x"].ravel()] == numbers_of(dataset)


def test_select_and_scale_go_with_it(warm):
    assert list(warm.select(tensors=["x"]).with_framework("torch")[0]) == ["x"]
    assert len(warm.scaled().filter(where="fold = 1")) == len(warm.filter(where="fold = 1"))


def test_a_part_that_lacks_a_column_is_an_error_that_names_it(scattered, tmp_path):
    folder = shutil.copytree(scattered, tmp_path / "copy")
    part = folder / "train" / "catalog-00001.parquet"
    table = pq.read_table(part)
    pq.write_table(table.drop_columns(["cloud_cover"]), part)
    document = json.loads((folder / "collection.json").read_text())
    document["assets"]["train-00001"]["file:size"] = part.stat().st_size
    (folder / "collection.json").write_text(json.dumps(document))
    dataset = mlstac.load(folder, framework="numpy")
    with pytest.raises(CatalogError, match=r"catalog-00001.parquet has no column 'cloud_cover'"):
        dataset.filter(where="cloud_cover > 3")
    assert len(dataset.filter(where="fold = 1")) == 30


def test_numpy_arrays_of_the_filter_are_writable(warm):
    sample = warm[0]["x"]
    sample[...] = 7
    assert not np.array_equal(warm[0]["x"], sample)
