"""Large local batches, which two threads make at once: the order, the bytes and the end are those of one."""

import subprocess
import sys

import numpy as np
import pytest

import mlstac
from mlstac.errors import StorageError
from mlstac.loading import _copying, _crew
from mlstac.loading._pieces import Pieces
from tests.loading.datasets import write_stacked
from tests.waiting import wait_until

COUNT, BATCH = 70, 8
NAMES = {"mlstac-batches-0", "mlstac-batches-1"}


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(41)
    return {
        "image": rng.integers(0, 60_000, (COUNT, 4, 130, 130)).astype(np.uint16),  # eight of them are 1.1 MB
        "number": np.arange(COUNT, dtype=np.int64),
    }


@pytest.fixture
def folder(tmp_path, arrays):
    """70 images in seven shards."""
    return write_stacked(tmp_path, {"train": arrays}, shard_rows=10)


@pytest.fixture(autouse=True)
def two_processors(monkeypatch):
    monkeypatch.setattr(_crew.os, "cpu_count", lambda: 2)


@pytest.fixture
def names(our_threads):
    """Called, the names of the threads that make batches."""
    return lambda: {name for name in our_threads() if name.startswith("mlstac-batches")}


@pytest.mark.parametrize("shuffle", [False, True, "block"])
@pytest.mark.parametrize(
    ("framework", "dtype", "options"),
    [("numpy", "uint16", {}), ("torch", "uint16", {}), ("paddle", "int32", {}),
     ("numpy", "float32", {"as_dtype": {"image": "float32"}}), ("numpy", "uint16", {"verify": True})],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::mlstac.frameworks.WidenedWarning")
def test_batches_of_two_threads_are_those_made_without(folder, arrays, names, shuffle, framework, dtype, options):
    ds = mlstac.load(folder, framework=framework, **options)
    batches = iter(ds.batches(BATCH, shuffle=shuffle, seed=4))
    kept = [next(batches)]
    assert names() == NAMES
    kept += batches  # all at once: none lives on memory that another was made in
    plain = list(ds.batches(BATCH, shuffle=shuffle, seed=4, prefetch=0))
    assert len(kept) == len(plain) == 9
    for batch, other in zip(kept, plain, strict=True):
        rows = np.asarray(batch["number"])
        assert rows.tolist() == np.asarray(other["number"]).tolist()
        image = np.asarray(batch["image"])
        assert image.dtype == dtype
        assert np.array_equal(image, arrays["image"][rows])
    assert sorted(row for batch in kept for row in np.asarray(batch["number"]).tolist()) == list(range(COUNT))


def test_the_threads_end_with_the_epoch_and_with_an_iterator_that_is_dropped(folder, names):
    ds = mlstac.load(folder, framework="numpy")
    list(ds.batches(BATCH))
    batches = iter(ds.batches(BATCH))
    next(batches)
    assert names()
    del batches
    wait_until(lambda: not names(), "the threads have ended")


@pytest.mark.filterwarnings("ignore:these batches come in the order of epoch")
def test_a_state_taken_amid_goes_on_at_the_next_sample(folder):
    batches = mlstac.load(folder, framework="numpy").batches(BATCH, shuffle=True, seed=7)
    whole = [batch["number"].tolist() for batch in batches]
    running = iter(batches)
    assert [next(running)["number"].tolist() for _ in range(3)] == whole[:3]
    state = batches.state_dict()
    assert state["consumed"] == 3 * BATCH
    other = mlstac.load(folder, framework="numpy").batches(BATCH, shuffle=True, seed=7)
    other.load_state_dict(state)
    assert [batch["number"].tolist() for batch in other] == whole[3:]


def test_an_error_comes_in_its_place_in_the_order(folder):
    (folder / "train" / "00006.safetensors").unlink()  # of samples 60 to 69, which are planned with those from 40 on
    batches = iter(mlstac.load(folder, framework="numpy").batches(BATCH))
    assert [next(batches)["number"].tolist() for _ in range(7)] == np.arange(56).reshape(7, 8).tolist()
    with pytest.raises(StorageError, match=r"00006\.safetensors.*sample"):
        next(batches)
    assert next(batches, None) is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [({"transform": dict}, {"mlstac-batches"}), ({"prefetch": 1}, {"mlstac-batches"}), ({"prefetch": 0}, set())],
)
def test_code_of_the_user_and_a_shorter_lead_have_one_thread(folder, names, options, expected):
    batches = iter(mlstac.load(folder, framework="numpy").batches(BATCH, **options))
    next(batches)
    assert names() == expected
    assert len(list(batches)) == 8


def test_small_batches_have_one_thread(folder, names):
    batches = iter(mlstac.load(folder, framework="numpy").batches(2))
    next(batches)
    assert names() == {"mlstac-batches"}


@pytest.mark.parametrize("options", [{}, {"verify": True}, {"as_dtype": {"image": "float32"}}])
@pytest.mark.parametrize("chosen", ["shuffled", "of one shard", "neighbours"])
def test_a_batch_that_is_waited_for_is_copied_in_pieces(folder, arrays, options, chosen, monkeypatch):
    rows = {
        "shuffled": np.random.default_rng(3).permutation(COUNT)[:33],
        "of one shard": np.random.default_rng(3).permutation(10).repeat(2),
        "neighbours": np.arange(10),
    }[chosen]
    begun, add = [], Pieces.add
    monkeypatch.setattr(_copying, "SHARED_BYTES", 1024 * 1024)
    monkeypatch.setattr(Pieces, "add", lambda *work, **of: (begun.append(work[1]), add(*work, **of)))
    ds = mlstac.load(folder, framework="numpy", **options)
    batch = ds[rows]
    assert begun == [len(rows)]
    assert np.array_equal(batch["image"], arrays["image"][rows])
    assert batch["number"].tolist() == rows.tolist()


@pytest.mark.parametrize("rows", [[*range(60, 66), *range(20)], [*range(20), *range(60, 66)]])
def test_a_shard_that_is_missing_in_either_half_is_named(folder, rows):
    (folder / "train" / "00006.safetensors").unlink()
    with pytest.raises(StorageError, match=r"00006\.safetensors.*while reading sample 60 "):
        mlstac.load(folder, framework="numpy")[rows]


DROP = """
import sys, os, mlstac
os.cpu_count = lambda: 2
ds = mlstac.load(sys.argv[1], framework="torch")
for _ in range(4):
    next(iter(ds.batches(8, shuffle=True)))
kept = iter(ds.batches(8))
next(kept)
"""


def test_a_program_ends_well_amid_its_batches(folder, repository):
    done = subprocess.run(
        [sys.executable, "-c", DROP, str(folder)],
        capture_output=True, text=True, timeout=100, check=False, cwd=repository,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
