"""Going on with an unfinished run, and replacing a dataset."""

import numpy as np
import pytest

import mlstac.authoring as authoring
from mlstac.collection import Collection
from mlstac.errors import ExistsError, InvalidArgumentError, InvalidSampleError
from mlstac.sample import Sample
from tests.authoring._read import read_collection, read_tensors

SPLITS = ("train", "validation", "test")
CARD = {"README.md", "samples.png", "footprints.png", "croissant.json"}


def samples(n=20, *, plus=0, prefix="s"):
    for number in range(n):
        yield Sample(tensors={"x": np.full((2, 8, 8), number + plus, np.int32)}, id=f"{prefix}{number}")


def break_off(path, *, after, **options):
    """An unfinished run: an iterator that fails after some samples."""

    def failing():
        yield from samples(after)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        authoring.write(failing(), path, id="x", shard_size=2000, **options)


def files(path):
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file() and ".mlstac" not in str(file)
    }


@pytest.mark.parametrize("after", [0, 1, 3, 4, 5, 12, 19, 20])
def test_a_rerun_ends_as_an_unbroken_run(tmp_path, after):
    break_off(tmp_path / "broken", after=after)
    authoring.write(samples(), tmp_path / "broken", id="x", shard_size=2000)
    authoring.write(samples(), tmp_path / "whole", id="x", shard_size=2000)
    assert files(tmp_path / "broken") == files(tmp_path / "whole")


def test_whole_shards_are_not_written_again(tmp_path):
    break_off(tmp_path, after=12)
    before = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "train").glob("*.safetensors")}
    assert len(before) >= 3
    authoring.write(samples(), tmp_path, id="x", shard_size=2000)
    after = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "train").glob("*.safetensors")}
    assert before.items() <= after.items()


def test_a_callable_that_returns_no_samples_is_told_what_was_expected(tmp_path):
    with pytest.raises(InvalidArgumentError, match=r"callable of split 'test' returned None, .*`yield` or `return`"):
        authoring.write({"test": lambda skip: None}, tmp_path / "out", id="x")


def test_a_callable_is_told_how_many_samples_to_leave_out(tmp_path):
    break_off(tmp_path / "broken", after=12)
    told = []

    def start(skip):
        told.append(skip)
        return list(samples())[skip:]

    authoring.write(start, tmp_path / "broken", id="x", shard_size=2000)
    authoring.write(samples(), tmp_path / "whole", id="x", shard_size=2000)
    assert told[0] >= 9
    assert files(tmp_path / "broken") == files(tmp_path / "whole")


@pytest.mark.parametrize(
    "others", [{"prefix": "t"}, {"plus": 1}], ids=["other ids", "other contents under the same ids"]
)
def test_other_samples_than_those_of_the_unfinished_run_are_refused(tmp_path, others):
    break_off(tmp_path, after=12)
    with pytest.raises(InvalidSampleError, match="overwrite=True"):
        authoring.write(samples(**others), tmp_path, id="x", shard_size=2000)
    authoring.write(samples(**others), tmp_path, id="x", shard_size=2000, overwrite=True)
    assert [int(x[0, 0, 0]) for x in read_tensors(tmp_path, "train", "x", dtype=np.int32)] == [
        n + others.get("plus", 0) for n in range(20)
    ]


def test_fewer_samples_than_the_unfinished_run_are_refused(tmp_path):
    break_off(tmp_path, after=12)
    with pytest.raises(InvalidArgumentError, match="overwrite=True"):
        authoring.write(samples(5), tmp_path, id="x", shard_size=2000)
    assert authoring.write(samples(), tmp_path, id="x", shard_size=2000).train.n_items == 20


def test_another_shard_size_than_the_unfinished_runs_is_refused(tmp_path):
    break_off(tmp_path, after=12)
    with pytest.raises(InvalidArgumentError, match="differs in shard_size"):
        authoring.write(samples(), tmp_path, id="x", shard_size=3000)


def test_a_better_description_may_go_on_with_the_run(tmp_path):
    break_off(tmp_path, after=12)
    authoring.write(samples(), tmp_path, id="x", shard_size=2000, description="Now with words.")
    assert read_collection(tmp_path)["description"] == "Now with words."


def test_an_overwrite_that_was_broken_off_starts_afresh_with_other_samples_at_the_second_call(tmp_path):
    authoring.write(samples(4), tmp_path, id="x", shard_size=2000)
    old = (tmp_path / "collection.json").read_bytes()
    break_off(tmp_path, after=12, overwrite=True)
    assert (tmp_path / "collection.json").read_bytes() == old
    with pytest.raises(InvalidSampleError, match="same call again"):
        authoring.write(samples(plus=5), tmp_path, id="x", shard_size=2000, overwrite=True)
    assert (tmp_path / "collection.json").read_bytes() == old
    authoring.write(samples(plus=5), tmp_path, id="x", shard_size=2000, overwrite=True)
    assert len(read_tensors(tmp_path, "train", "x", dtype=np.int32)) == 20


def test_a_dataset_is_not_replaced_unasked(tmp_path):
    authoring.write(samples(4), tmp_path, id="x")
    before = files(tmp_path)
    with pytest.raises(ExistsError, match="overwrite=True"):
        authoring.write(samples(5), tmp_path, id="x")
    assert files(tmp_path) == before


def test_overwriting_leaves_old_shards_and_foreign_files_alone(tmp_path):
    authoring.write(samples(4), tmp_path, id="x")
    (tmp_path / "train" / "notes.txt").write_text("mine")
    (tmp_path / "train" / "00007.safetensors").write_bytes(b"mine too")
    before = files(tmp_path)
    authoring.write(samples(6, plus=9), tmp_path, id="x", overwrite=True)
    after = files(tmp_path)
    changed = {name for name in before if after.get(name) != before[name]}
    assert changed - CARD == {"collection.json", *(f"{split}/catalog.json" for split in SPLITS)}
    assert [int(x[0, 0, 0]) for x in read_tensors(tmp_path, "train", "x", dtype=np.int32)] == list(range(9, 15))


def test_a_foreign_shard_in_an_empty_dataset_keeps_its_name(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "00000.safetensors").write_bytes(b"mine")
    authoring.write(samples(2), tmp_path, id="x")
    assert (tmp_path / "train" / "00000.safetensors").read_bytes() == b"mine"
    assert len(read_tensors(tmp_path, "train", "x", dtype=np.int32)) == 2


def test_statistics_of_a_broken_run_are_those_of_all_samples(tmp_path):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(1000, 5, (2, 8, 8)).astype(np.float32) for _ in range(20)]

    def given(stop=None):
        for number, array in enumerate(arrays):
            if number == stop:
                raise KeyboardInterrupt
            yield {"x": array}

    with pytest.raises(KeyboardInterrupt):
        authoring.write(given(11), tmp_path, id="x", shard_size=2000)
    authoring.write(given(), tmp_path, id="x", shard_size=2000)
    bands = read_collection(tmp_path)["item_assets"]["x"]["bands"]
    whole = np.stack(arrays).astype(np.longdouble)
    for band, said in enumerate(bands):
        assert said["statistics"]["mean"] == pytest.approx(float(whole[:, band].mean()), rel=1e-14)
        assert said["statistics"]["stddev"] == pytest.approx(float(whole[:, band].std()), rel=1e-12)
        assert said["statistics"]["count"] == whole[:, band].size


def test_skip_must_come_before_the_first_sample(tmp_path):
    with authoring.Writer(tmp_path, Collection(id="x")) as writer:
        assert writer.skip("train") == 0
        writer.add({"x": 1})
        with pytest.raises(InvalidArgumentError, match="before the first"):
            writer.skip("train")


def test_a_journal_that_is_no_json_is_named(tmp_path):
    break_off(tmp_path, after=12)
    (run,) = (tmp_path / ".mlstac" / "journal").glob("*/run.json")
    run.write_text("{")
    with pytest.raises(ValueError, match=r"run\.json is not JSON"):
        authoring.write(samples(), tmp_path, id="x", shard_size=2000)
    run.write_text("[]")
    with pytest.raises(
        ValueError, match=r"run\.json does not say what a run is; remove the folder 00000 to start over"
    ):
        authoring.write(samples(), tmp_path, id="x", shard_size=2000)


def kill_after_the_collection(path, monkeypatch, **options):
    """A whole dataset whose writer died before it could say so in the journal."""
    with monkeypatch.context() as patch:
        patch.setattr("mlstac.authoring._session.Session.finish", _die)
        with pytest.raises(KeyboardInterrupt):
            authoring.write(samples(), path, id="x", shard_size=2000, **options)


def _die(session):
    raise KeyboardInterrupt


@pytest.mark.parametrize("edited", [False, True], ids=["as written", "edited since"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_dataset_whose_writer_died_after_its_collection_is_never_taken_apart(
    tmp_path, monkeypatch, overwrite, edited
):
    kill_after_the_collection(tmp_path, monkeypatch, overwrite=overwrite)
    if edited:
        text = (tmp_path / "collection.json").read_text()
        (tmp_path / "collection.json").write_text(text.replace('"id"', ' "id"', 1))
    before = files(tmp_path)
    with pytest.raises(ExistsError, match="overwrite=True"):
        authoring.write(samples(25), tmp_path, id="x", shard_size=2000)
    assert files(tmp_path) == before
    authoring.write(samples(plus=5), tmp_path, id="x", shard_size=2000, overwrite=True)
    after = files(tmp_path)
    changed = {name for name in before if after.get(name) != before[name]}
    assert changed - CARD == {"collection.json", *(f"{split}/catalog.json" for split in SPLITS)}
    assert [int(x[0, 0, 0]) for x in read_tensors(tmp_path, "train", "x", dtype=np.int32)] == list(range(5, 25))
