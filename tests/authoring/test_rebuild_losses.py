"""A dataset some of whose shards are gone or cut: what a rebuild says, and what it makes of the rest when told to."""

import os
import shutil
from functools import partial

import fsspec
import numpy as np
import pytest

import mlstac
from mlstac.errors import CatalogError, MissingFileError, ShardError
from tests.authoring._read import read_collection, read_rows

append = partial(mlstac.append, card=False)  # the pictures of a card take longer than all else here
write, rebuild = partial(mlstac.write, card=False), partial(mlstac.rebuild, card=False)

TENSORS = {
    "image": mlstac.Tensor(dims="band y x", bands=["a", "b"]),
    "class": mlstac.Tensor(role="label", classes=["x", "y", "z"]),
}


def sample(number, *, named=True):
    image = np.random.default_rng(number).integers(0, 9999, (2, 16, 16), dtype=np.uint16)
    return mlstac.Sample(
        tensors={"image": image, "class": np.uint8(number % 3)},
        id=f"own/{number}" if named else None,
        bbox=(number, 10, number + 1, 11),
        datetime=f"2020-01-{number + 1:02d}",
        properties={"cloud": number / 7},
    )


def make(path, train, test, **options):
    """Two samples a shard."""
    samples = {"train": [sample(n, **options) for n in train], "test": [sample(n, **options) for n in test]}
    write(samples, path, id="a", license="MIT", tensors=TENSORS, shard_size=2 * 1025)
    return path


def lose(path, name, *, how="gone"):
    """Take a shard away, or cut it; return what it was."""
    data = (path / name).read_bytes()
    if how == "gone":
        (path / name).unlink()
    else:
        os.truncate(path / name, len(data) - 8)
    return data


def forget_parts(path):
    for file in path.glob("*/catalog-*.parquet"):
        file.unlink()


def ids(path, split="train"):
    return read_rows(path, split)["id"].to_pylist()


def numbered(*numbers):
    """Ids that samples get of which nobody gave any."""
    return [f"train-{number:07d}" for number in numbers]


def images(path, split="train"):
    dataset = mlstac.load(path, split=split, framework="numpy", verify=True)
    return [np.asarray(one["image"]).tolist() for one in dataset]


def said_of(path):
    """What the collection says, but for where its parts lie."""
    document = read_collection(path)
    del document["assets"]
    return {key: one["n_items"] if isinstance(one, dict) and "n_items" in one else one for key, one in document.items()}


def files_of(path):
    return {file: file.read_bytes() for file in path.rglob("*") if file.is_file() and file.suffix != ".json"}


@pytest.mark.parametrize("source", ["journal", "catalogs"])
@pytest.mark.parametrize("how", ["gone", "cut"])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_the_rest_is_what_it_would_be_had_the_lost_never_been(tmp_path, source, how, at):
    path = make(tmp_path / "a", range(6), range(6, 8))
    if source == "catalogs":
        shutil.rmtree(path / ".mlstac")
    name = f"train/{at:05d}.safetensors"
    size = (path / name).stat().st_size
    lose(path, name, how=how)
    before, document = files_of(path), read_collection(path)
    kind, words = (MissingFileError, "lacks 1 of its 4 shards") if how == "gone" else (ShardError, "not of the size")
    with pytest.raises(kind, match=f"{words}.*{name}; put back.* give drop_missing=True to leave 2 samples out"):
        rebuild(path)
    assert (files_of(path), read_collection(path)) == (before, document)
    done = rebuild(path, drop_missing=True)
    reason = "is not there" if how == "gone" else f"has {size - 8:,} bytes, and was written in {size:,}"
    assert done.lost == [f"2 samples of split 'train', left out: the shard {name} {reason}"]
    assert done.source == source
    assert {file: data for file, data in files_of(path).items() if file in before} == before  # nothing was removed
    left = [n for n in range(6) if n // 2 != at]
    never = make(tmp_path / "never", left, range(6, 8))
    assert ids(path) == [f"own/{n}" for n in left]
    assert said_of(path) == said_of(never)
    assert [images(path, split) for split in ("train", "test")] == [images(never, split) for split in ("train", "test")]
    assert mlstac.validate(path, deep=True).ok
    assert rebuild(path).lost == []  # and no word is needed any more


def test_a_shard_that_is_put_back_later_is_taken_in_again(tmp_path):
    path = make(tmp_path / "a", range(6), range(6, 8))
    whole, rows = said_of(path), {split: read_rows(path, split) for split in ("train", "test")}
    held = {name: lose(path, name) for name in ("train/00001.safetensors", "test/00000.safetensors")}
    assert len(rebuild(path, drop_missing=True).lost) == 2
    assert mlstac.open(path).splits["test"].n_items == 0
    for name, data in held.items():
        (path / name).write_bytes(data)
        assert rebuild(path).lost == []
    assert said_of(path) == whole
    assert all(read_rows(path, split).equals(some) for split, some in rows.items())


@pytest.mark.parametrize("dies", [False, True])
def test_a_dataset_without_some_of_its_shards_grows_on(tmp_path, monkeypatch, dies):
    from mlstac.authoring import _session

    path = make(tmp_path / "a", range(6), [], named=False)
    held = lose(path, "train/00002.safetensors")
    first = lose(path, "train/00000.safetensors", how="cut")
    if dies:  # after the collection was replaced, before the journal says so

        def die(session):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(_session.Session, "finish", die)
            with pytest.raises(KeyboardInterrupt):
                rebuild(path, drop_missing=True)
    else:
        rebuild(path, drop_missing=True)
    assert ids(path) == ["train-0000002", "train-0000003"]
    append(path, [sample(n, named=False) for n in (8, 9)])
    assert ids(path) == numbered(2, 3, 6, 7)  # the lost samples' ids are given to no others
    assert not (path / "train/00002.safetensors").exists()  # a lost shard's name is given to no other
    assert images(path)[2:] == [sample(n).tensors["image"].tolist() for n in (8, 9)]
    never = make(tmp_path / "never", [2, 3, 8, 9], [], named=False)
    assert said_of(path)["item_assets"] == said_of(never)["item_assets"]
    (path / "train/00002.safetensors").write_bytes(held)
    assert rebuild(path).lost == []
    assert ids(path) == numbered(2, 3, 4, 5, 6, 7)
    (path / "train/00000.safetensors").write_bytes(first)
    assert rebuild(path).lost == []
    assert ids(path) == numbered(*range(8))
    assert images(path) == [sample(n).tensors["image"].tolist() for n in (*range(6), 8, 9)]
    assert mlstac.validate(path, deep=True).ok


@pytest.mark.parametrize("dies", [False, True])
def test_an_append_after_the_last_shard_was_lost_leaves_its_ids_alone(tmp_path, dies):
    path = make(tmp_path / "a", range(6), [], named=False)
    held = lose(path, "train/00002.safetensors")
    rebuild(path, drop_missing=True)

    def new(*, dies):
        yield from (sample(n, named=False) for n in (8, 9, 10))
        if dies:
            raise KeyboardInterrupt

    if dies:  # its first shard is in the journal: the same samples have to come to the same ids
        with pytest.raises(KeyboardInterrupt):
            append(path, new(dies=True), shard_size=2 * 1025)
        assert (path / ".mlstac/journal/00002/000000.parquet").exists()
    append(path, new(dies=False), shard_size=2 * 1025)
    assert ids(path) == numbered(0, 1, 2, 3, 6, 7, 8)
    append(path, [sample(11, named=False)])
    (path / "train/00002.safetensors").write_bytes(held)
    assert rebuild(path).lost == []
    assert ids(path) == numbered(*range(10))
    assert images(path) == [sample(n).tensors["image"].tolist() for n in (*range(6), *range(8, 12))]


def test_a_shard_whose_ids_an_author_has_given_to_others_stays_out(tmp_path):
    path = make(tmp_path / "a", range(6), [])
    held = lose(path, "train/00002.safetensors")
    rebuild(path, drop_missing=True)
    append(path, [sample(5)])
    (path / "train/00002.safetensors").write_bytes(held)
    reason = "is there again, but ids of its samples were given anew meanwhile"
    words = f"2 samples of split 'train', left out: the shard train/00002.safetensors {reason}"
    assert rebuild(path).lost == [words]
    assert ids(path) == [f"own/{n}" for n in (0, 1, 2, 3, 5)]


def test_a_dataset_grows_though_the_journal_has_the_lost_samples_no_more(tmp_path):
    path = make(tmp_path / "a", range(6), [], named=False)
    lose(path, "train/00002.safetensors")
    rebuild(path, drop_missing=True)
    rows = path / ".mlstac/journal/00000/000002.parquet"
    stored = rows.read_bytes()  # its end, which has the record of the shard, stays
    rows.write_bytes(stored[:8] + b"\xff" * 40 + stored[48:])
    append(path, [sample(8, named=False)])
    assert ids(path) == numbered(*range(5))
    assert images(path)[4:] == [sample(8).tensors["image"].tolist()]


def test_a_split_all_of_whose_shards_are_gone_is_no_empty_one_by_itself(tmp_path):
    path = make(tmp_path / "a", range(4), range(4, 6))
    shutil.rmtree(path / ".mlstac")
    lose(path, "test/00000.safetensors")
    with pytest.raises(MissingFileError, match="lacks 1 of its 3 shards: test/00000"):
        rebuild(path)
    assert rebuild(path, drop_missing=True).lost == [
        "2 samples of split 'test', left out: the shard test/00000.safetensors is not there"
    ]
    assert [mlstac.open(path).splits[split].n_items for split in ("train", "test")] == [4, 0]


@pytest.mark.parametrize("how", ["gone", "cut"])
def test_of_shards_alone_too(tmp_path, how):
    path = make(tmp_path / "a", range(6), range(6, 8))
    shutil.rmtree(path / ".mlstac")
    forget_parts(path)
    lose(path, "train/00001.safetensors", how=how)
    kind, words = (CatalogError, "go without 2 samples") if how == "gone" else (ShardError, "leave its samples out")
    with pytest.raises(kind, match=f"give drop_missing=True to {words}"):
        rebuild(path)
    done = rebuild(path, drop_missing=True)
    assert "2 samples of split 'train', which no shard holds; if the dataset was" in "\n".join(done.lost)
    cut = [words for words in done.lost if words.startswith("all samples of the shard train/00001.safetensors")]
    assert len(cut) == (how == "cut")
    assert images(path) == [sample(n).tensors["image"].tolist() for n in (0, 1, 4, 5)]


def test_numbers_that_become_ids_are_nobodys_else(tmp_path):
    path = make(tmp_path / "a", range(4), [], named=False)
    append(path, [sample(n, named=False) for n in (4, 5)])
    first, last = (path / mlstac.open(path).assets[name].href for name in mlstac.open(path).splits["train"].assets)
    shutil.rmtree(path / ".mlstac")
    last.unlink()  # so that the last shard alone knows of its samples
    lose(path, "train/00000.safetensors")
    assert first.exists()
    rebuild(path, drop_missing=True)
    assert ids(path) == ["train-0000002", "train-0000003", "train-0000004", "train-0000005"]


def test_nothing_is_made_where_nothing_is_left(tmp_path):
    path = make(tmp_path / "a", range(2), range(2, 4))
    for split in ("train", "test"):
        lose(path, f"{split}/00000.safetensors", how="cut")
    before = read_collection(path)
    with pytest.raises(MissingFileError, match=r"none of the 2 shards of .* is there as it was written; put them back"):
        rebuild(path, drop_missing=True)
    shutil.rmtree(path / ".mlstac")
    with pytest.raises(MissingFileError, match="none of the 2 shards of"):
        rebuild(path, drop_missing=True)
    assert read_collection(path) == before


def test_shards_in_folders_of_parts_come_again_in_the_order_of_the_parts(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    url = f"memory://{tmp_path.name}/parts"
    parts = [partial(list, [sample(n, named=False) for n in range(first, first + 4)]) for first in (0, 4)]
    mlstac.write_parts(parts, url, id="a", tensors=TENSORS, shard_size=2 * 1025, card=False)
    append(url, [sample(8, named=False)])
    store = fsspec.filesystem("memory")
    assert store.exists(f"{url}/train/00001/00001.safetensors")
    store.rm([name for name in store.find(url) if name.endswith(".parquet")])
    assert rebuild(url).source == "shards"
    assert images(url) == [sample(n).tensors["image"].tolist() for n in range(9)]
