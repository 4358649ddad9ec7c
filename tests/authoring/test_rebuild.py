"""Catalogs and collection made anew: of the journal all, of the shards the addresses."""

import hashlib
import json
import os
import shutil
from functools import partial

import numpy as np
import pyarrow.parquet as pq
import pytest

import mlstac
from mlstac.errors import CatalogError, ExistsError, MissingFileError, ShardError
from tests.authoring._read import read_collection, read_rows

append = partial(mlstac.append, card=False)  # the pictures of a card take longer than all else here
write, rebuild = partial(mlstac.write, card=False), partial(mlstac.rebuild, card=False)

TENSORS = {
    "image": mlstac.Tensor(dims="band y x", bands=["a", "b"], nodata=0),
    "class": mlstac.Tensor(role="label", classes=["x", "y", "z"]),
    "boxes": mlstac.Tensor(shape=(None, 4)),
    "graph": mlstac.Tensor(shape=(None, None)),
    "late": mlstac.Tensor(required=False),
    "note": mlstac.Tensor(),
}


def samples(start, stop, **properties):
    for number in range(start, stop):
        rng = np.random.default_rng(number)
        tensors = {
            "image": rng.integers(0, 99, (2, 16, 16), dtype=np.uint16),
            "class": np.uint8(number % 3),
            "boxes": rng.normal(size=(number % 3 + 1, 4)),
            "graph": rng.normal(size=(number % 4 + 1, number % 2 + 1)),
            "note": "word " * (number % 4 + 1),
        }
        if number % 3 == 1:
            tensors["late"] = np.full(5, number, np.int32)
        yield mlstac.Sample(
            tensors=tensors,
            id=f"own/{number}",
            bbox=(number, 10, number + 1, 11),
            datetime=f"2020-01-{number + 1:02d}",
            properties={"cloud": number / 7, **properties},
        )


@pytest.fixture
def grown(tmp_path):
    """Overwritten once and grown twice, so that the folder has shards and parts that nothing names."""
    path = tmp_path / "grown"
    collection = mlstac.Collection(id="grown", title="Grown", license="MIT", tensors=TENSORS)
    write(samples(20, 25), path, collection, shard_size=5000)
    write({"train": samples(0, 7), "test": samples(7, 9)}, path, collection, shard_size=5000, overwrite=True)
    append(path, samples(9, 12), shard_size=5000)
    append(path, {"test": samples(12, 14)}, shard_size=5000)
    return path


def read(path, split):
    return [
        {name: np.asarray(value).tolist() if not isinstance(value, str) else value for name, value in sample.items()}
        for sample in mlstac.load(path, split=split, framework="numpy", verify=True)
    ]


def document_of(path):
    """What the collection says, but for where its parts lie."""
    document = read_collection(path)
    document.pop("assets")
    return {
        key: value["n_items"] if key in ("ml:train", "ml:test", "ml:validation") else value
        for key, value in document.items()
    }


def shards_of(path):
    return {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in path.rglob("*.safetensors")}


def forget_parts(path, *splits):
    for split in splits or ("train", "validation", "test"):
        for name in mlstac.open(path).splits[split].assets:
            (path / mlstac.open(path).assets[name].href).unlink()


def spoil_column(file, word):
    """Damage the values of one column, and nothing else of the file."""
    group = pq.read_metadata(file).row_group(0)
    columns = (group.column(number) for number in range(group.num_columns))
    column = next(column for column in columns if word in column.path_in_schema)
    start = column.dictionary_page_offset or column.data_page_offset
    stored = file.read_bytes()
    file.write_bytes(stored[:start] + b"\xff" * 20 + stored[start + 20 :])


@pytest.mark.parametrize(
    "gone",
    ["nothing", "parts", "collection", "parts and collection", "journal", "damaged journal", "column of journal"],
)
def test_of_the_journal_or_the_catalogs_all_comes_again(grown, gone):
    wanted = {split: (read_rows(grown, split), read(grown, split)) for split in ("train", "test")}
    document, shards = document_of(grown), shards_of(grown)
    if "parts" in gone:
        forget_parts(grown)
    if "collection" in gone:
        (grown / "collection.json").unlink()
    if gone == "journal":
        shutil.rmtree(grown / ".mlstac")
    if gone == "damaged journal":
        fragment = next((grown / ".mlstac" / "journal").glob("*/*.parquet"))
        fragment.write_bytes(fragment.read_bytes()[:100])
    if gone == "column of journal":
        spoil_column(next((grown / ".mlstac" / "journal").glob("*/*.parquet")), "offset")
    done = rebuild(grown)
    assert done.source == ("catalogs" if "journal" in gone else "journal")
    assert done.lost == (["what was edited in collection.json after it was written"] if "collection" in gone else [])
    assert document_of(grown) == document
    assert shards_of(grown) == shards
    for split, (rows, tensors) in wanted.items():
        assert read_rows(grown, split).equals(rows)
        assert read(grown, split) == tensors
        assert len(done.collection.splits[split].assets) == 1  # two appends had left several
    mlstac.gc(grown)
    append(grown, samples(14, 16))
    assert len(mlstac.load(grown)) == 12


@pytest.mark.parametrize("with_collection", [True, False])
def test_of_shards_alone_every_tensor_comes_again_and_what_is_lost_is_named(grown, with_collection):
    mlstac.gc(grown)  # without catalogs nobody can tell superseded shards from others
    wanted = {split: read(grown, split) for split in ("train", "test")}
    ids = {split: read_rows(grown, split)["id"].to_pylist() for split in ("train", "test")}
    document = document_of(grown)
    shutil.rmtree(grown / ".mlstac")
    forget_parts(grown)
    if not with_collection:
        (grown / "collection.json").unlink()
    done = rebuild(grown)
    assert done.source == "shards"
    lost = [f"places, times and columns of {n} samples of split {split!r}" for split, n in (("test", 4), ("train", 10))]
    assert [words for words in done.lost if words.startswith("places")] == lost
    for split in wanted:
        found = read(grown, split)
        if not with_collection:  # that the bytes are text is what nobody says any more
            found = [{**sample, "note": bytes(sample["note"]).decode()} for sample in found]
        assert found == wanted[split]
        assert read_rows(grown, split)["id"].to_pylist() == ids[split]  # keyed tensors hold them
        assert set(read_rows(grown, split).column_names) == {"id", "assets"}
    if with_collection:
        assert document_of(grown) == document
    else:
        assert done.lost[0].startswith("all that collection.json said: title")
        assert done.collection.id == "grown"
        assert done.collection.tensors["image"].shape == (2, 16, 16)
        assert done.collection.tensors["boxes"].shape == (None, 4)
        assert not done.collection.tensors["late"].required
    assert rebuild(grown).lost == []  # now the journal has them


def test_without_keyed_tensors_samples_are_called_by_their_numbers(tmp_path):
    path = tmp_path / "a"
    some = [mlstac.Sample({"x": np.full((3, 8), n, np.float32)}, id=f"mine-{n}") for n in range(9)]
    write(some, path, id="a", shard_size=300)
    shutil.rmtree(path / ".mlstac")
    forget_parts(path)
    assert rebuild(path).lost[1] == "ids of 9 samples of split 'train', which are called by their numbers now"
    assert read_rows(path)["id"].to_pylist() == [f"train-{n:07d}" for n in range(9)]
    assert [sample["x"][0][0] for sample in read(path, "train")] == list(range(9))


@pytest.mark.parametrize("layout", ["single", "keyed"])
def test_other_layouts_come_again_from_their_shards(tmp_path, layout):
    path = tmp_path / "a"
    some = [{"x": np.full((n + 1, 8), n, np.float32), "y": np.int64(n)} for n in range(4)]
    write(some, path, id="a", layout=layout)
    wanted = read(path, "train")
    shutil.rmtree(path / ".mlstac")
    forget_parts(path)
    rebuild(path)
    assert read(path, "train") == wanted


def test_a_part_that_is_lost_costs_its_own_rows_alone(grown):
    mlstac.gc(grown)
    shutil.rmtree(grown / ".mlstac")
    wanted = read_rows(grown, "test")
    forget_parts(grown, "train")
    done = rebuild(grown)
    assert done.lost[0] == "places, times and columns of 10 samples of split 'train'"
    assert not any("'test'" in words for words in done.lost)
    assert (
        read_rows(grown, "test").select(["id", "cloud", "geometry"]).equals(wanted.select(["id", "cloud", "geometry"]))
    )


def test_superseded_shards_are_told_by_the_number_of_samples(grown):
    wanted = read(grown, "train")
    shutil.rmtree(grown / ".mlstac")
    forget_parts(grown)
    rebuild(grown)
    assert read(grown, "train") == wanted


def test_shards_that_are_not_as_many_samples_as_the_collection_says_are_an_error(grown):
    mlstac.gc(grown)
    shutil.rmtree(grown / ".mlstac")
    forget_parts(grown)
    next((grown / "test").glob("*.safetensors")).unlink()
    before = (grown / "collection.json").read_bytes()
    with pytest.raises(
        CatalogError, match="hold 2 samples, but the collection says 4; fetch the shards that are missing"
    ):
        rebuild(grown)
    assert (grown / "collection.json").read_bytes() == before


def test_a_damaged_shard_is_named(grown):
    mlstac.gc(grown)
    shutil.rmtree(grown / ".mlstac")
    forget_parts(grown)
    shard = sorted((grown / "train").glob("*.safetensors"))[1]
    os.truncate(shard, shard.stat().st_size - 8)
    with pytest.raises(ShardError, match=shard.name):
        rebuild(grown)


@pytest.mark.parametrize("card", [False, True])
def test_shards_that_the_journal_has_and_the_folder_does_not_are_named(grown, card):
    mlstac.gc(grown)
    lost, *_, cut = sorted((grown / "train").glob("*.safetensors"))
    before = {file: file.read_bytes() for file in grown.rglob("*") if file.suffix in (".json", ".parquet")}
    kept = cut.read_bytes()
    os.truncate(cut, len(kept) - 8)
    with pytest.raises(ShardError, match=f"train/{cut.name}; put back what was written"):
        rebuild(grown, card=card)
    held = lost.read_bytes()
    lost.unlink()
    with pytest.raises(MissingFileError, match=rf"lacks 1 of its \d+ shards: train/{lost.name}; put back"):
        rebuild(grown, card=card)
    assert all(file.read_bytes() == data for file, data in before.items())
    lost.write_bytes(held)
    cut.write_bytes(kept)
    assert rebuild(grown, card=card).source == "journal"


def test_a_file_that_is_no_shard_is_named(tmp_path):
    import safetensors.numpy

    (tmp_path / "a" / "train").mkdir(parents=True)
    safetensors.numpy.save_file({"weights": np.ones(3)}, tmp_path / "a" / "train" / "00000.safetensors")
    with pytest.raises(ShardError, match="does not say how its samples lie"):
        rebuild(tmp_path / "a")


def test_a_compressed_dataset_comes_again_of_its_catalogs_and_is_refused_without(tmp_path):
    path = tmp_path / "a"
    write([{"x": np.full((8, 8), n)} for n in range(4)], path, id="a", compression="zstd")
    wanted = read(path, "train")
    shutil.rmtree(path / ".mlstac")
    rebuild(path)
    assert read(path, "train") == wanted
    shutil.rmtree(path / ".mlstac")
    forget_parts(path)
    with pytest.raises(ShardError, match="is compressed, and only the catalog or the journal knows"):
        rebuild(path)


def test_an_unfinished_run_is_to_be_finished_first(grown):
    def failing():
        yield from samples(14, 24)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        append(grown, failing(), shard_size=5000)
    with pytest.raises(ExistsError, match="holds an unfinished run; make the same call again to finish it"):
        rebuild(grown)
    append(grown, samples(14, 24), shard_size=5000)
    assert rebuild(grown).lost == []


def test_a_folder_without_shards_is_an_error(tmp_path):
    with pytest.raises(MissingFileError, match="holds no shards of a dataset"):
        rebuild(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("next_call", ["append", "rebuild", "overwrite"])
def test_a_rebuild_that_died_after_its_commit_is_in_nobodys_way(grown, monkeypatch, next_call):
    from mlstac.authoring import _session

    def die(session):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_session.Session, "finish", die)
        with pytest.raises(KeyboardInterrupt):
            rebuild(grown)
    if next_call == "append":
        append(grown, samples(14, 16))
    elif next_call == "rebuild":
        assert rebuild(grown).source == "journal"
    else:
        write(samples(0, 3), grown, id="grown", tensors=TENSORS, overwrite=True)
    assert len(mlstac.load(grown)) == {"append": 12, "rebuild": 10, "overwrite": 3}[next_call]
    mlstac.gc(grown)
    append(grown, samples(16, 17))
    assert len(mlstac.load(grown)) == {"append": 13, "rebuild": 11, "overwrite": 4}[next_call]


def test_shards_of_two_datasets_are_told(tmp_path):
    write([{"x": np.ones(3)}], tmp_path / "a", id="a")
    write([{"x": np.ones(3, np.int8)}], tmp_path / "b", id="b")
    shutil.copy(tmp_path / "b" / "train" / "00000.safetensors", tmp_path / "a" / "train" / "00001.safetensors")
    shutil.rmtree(tmp_path / "a" / ".mlstac")
    (tmp_path / "a" / "collection.json").unlink()
    with pytest.raises(ShardError, match="of several datasets: 'x' is F64 in one and I8 in another"):
        rebuild(tmp_path / "a")


def test_a_rebuild_that_is_broken_off_changes_nothing_and_can_be_made_again(grown, monkeypatch):
    from mlstac.authoring import _target

    before = (grown / "collection.json").read_bytes()
    wanted = read_rows(grown)

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(_target.Target, "replace_if", full)
        with pytest.raises(OSError, match="No space"):
            rebuild(grown)
    assert (grown / "collection.json").read_bytes() == before
    append(grown, samples(14, 15))  # the broken one is in nobody's way
    assert rebuild(grown).lost == []
    assert read_rows(grown).slice(0, len(wanted)).equals(wanted)
    assert json.loads((grown / "collection.json").read_text())["ml:train"]["n_items"] == 11
