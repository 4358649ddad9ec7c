"""Samples added to a dataset that is there: what comes of it, and what stays as it was."""

import hashlib
import itertools
import json
import os
import pickle
import shutil
import subprocess
import sys
from functools import partial

import geopandas
import numpy as np
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mlstac
from mlstac.authoring import _session
from mlstac.authoring._version import next_version
from mlstac.errors import (
    ChangedError,
    ExistsError,
    InvalidArgumentError,
    InvalidSampleError,
    MissingFileError,
)
from tests.authoring._read import read_collection, read_rows, read_tensors

append = partial(mlstac.append, card=False)  # the pictures of a card take longer than all else here

TENSORS = {
    "image": mlstac.Tensor(dims="band y x", bands=["a", "b"], nodata=0),
    "class": mlstac.Tensor(role="label", classes=["x", "y", "z"]),
    "boxes": mlstac.Tensor(shape=(None, 4)),
    "note": mlstac.Tensor(),
}


def samples(start, stop, **properties):
    for number in range(start, stop):
        rng = np.random.default_rng(number)
        yield mlstac.Sample(
            tensors={
                "image": rng.integers(0, 99, (2, 16, 16), dtype=np.uint16),
                "class": np.uint8(number % 3),
                "boxes": rng.normal(size=(number % 3, 4)),
                "note": "word " * (number % 4),
            },
            crs="EPSG:32630",
            transform=(10, 0, 300_000 + 160 * number, 0, -10, 4_200_000),
            datetime=f"2020-01-{number + 1:02d}T10:00:00Z",
            properties={"cloud": number / 7, **properties},
        )


def write(path, start, stop, **options):
    return mlstac.write(
        samples(start, stop), path, card=False, id="x", license="MIT", tensors=TENSORS, shard_size=5000, **options
    )


def files(path):
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in path.rglob("*")
        if file.is_file() and ".mlstac" not in file.relative_to(path).parts
    }


def values(path, split="train"):
    return [image.tolist() for image in read_tensors(path, split, "image", dtype=np.uint16)]


def without_parts(document):
    """A collection without what tells one writing from several: where the parts are, and the version.

    Sums of integers are exact; those of floats are rounded at each step, and the steps are the shards.
    """
    out = {key: value for key, value in document.items() if key not in ("assets", "version", "stac_extensions")}
    for key in ("ml:train", "ml:validation", "ml:test"):
        out[key] = out[key]["n_items"]
    boxes = out["item_assets"]["boxes"].get("statistics", {})
    boxes |= {key: float(f"{value:.12g}") for key, value in boxes.items()}
    return out


@pytest.fixture
def five(tmp_path):
    write(tmp_path / "five", 0, 5)
    return tmp_path / "five"


def test_what_was_appended_is_what_one_writing_gives(five, tmp_path):
    before = read_collection(five)
    said = append(five, samples(5, 9), shard_size=5000)
    said = append(five, {"train": samples(9, 12), "test": samples(12, 14)}, shard_size=5000)
    once = tmp_path / "once"
    mlstac.write(
        {"train": samples(0, 12), "test": samples(12, 14)},
        once,
        card=False,
        id="x",
        license="MIT",
        tensors=TENSORS,
        shard_size=5000,
    )
    assert without_parts(read_collection(five)) == without_parts(read_collection(once))
    assert read_collection(five)["item_assets"]["image"]["bands"][0]["statistics"]["count"] > 2000
    assert without_parts(before) != without_parts(read_collection(five))
    for split in ("train", "test"):
        assert values(five, split) == values(once, split)
        kept = ["id", "geometry", "datetime", "cloud", "collection"]
        assert read_rows(five, split).select(kept).equals(read_rows(once, split).select(kept))
    assert said.version == "1.2.0"
    assert said.train.n_items == 12
    assert read_collection(five)["version"] == "1.2.0"
    assert any("/version/" in uri for uri in read_collection(five)["stac_extensions"])


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.integers(1, 11), unique=True, max_size=4),
    copied=st.booleans(),
    compression=st.sampled_from([None, "zstd"]),
)
def test_statistics_counts_and_extent_are_those_of_all_however_it_grew(tmp_path_factory, cuts, copied, compression):
    folder = tmp_path_factory.mktemp("grown")
    bounds = [0, *sorted(cuts), 12]
    write(folder / "a", 0, bounds[1], compression=compression)
    for start, stop in itertools.pairwise(bounds[1:]):
        if copied:  # without its journal
            shutil.rmtree(folder / "a" / ".mlstac")
        append(folder / "a", samples(start, stop), shard_size=5000)
    write(folder / "b", 0, 12, compression=compression)
    assert without_parts(read_collection(folder / "a")) == without_parts(read_collection(folder / "b"))
    some, more = (mlstac.load(folder / name, framework="numpy") for name in ("a", "b"))
    assert [sample["image"].tolist() for sample in some] == [sample["image"].tolist() for sample in more]


def test_no_shard_and_no_part_changes(five):
    before = files(five)
    append(five, samples(5, 9))
    after = files(five)
    changed = {name for name in before if after[name] != before[name]}
    assert changed <= {"collection.json", *(f"{split}/catalog.json" for split in ("train", "validation", "test"))}
    new = set(after) - set(before)
    assert {name for name in new if name.endswith(".parquet")} == {"train/catalog-00001.parquet"}
    shards = sorted(name for name in after if name.endswith(".safetensors"))
    assert shards == [f"train/{number:05d}.safetensors" for number in range(len(shards))]
    assert all(name in shards for name in new if name.endswith(".safetensors"))


def test_a_dataset_that_was_copied_without_its_journal_grows_into_the_same_bytes(five, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(five, copy, ignore=shutil.ignore_patterns(".mlstac"))
    append(five, samples(5, 9))
    append(copy, samples(5, 9))
    assert files(copy) == files(five)
    append(five, samples(9, 12, season="winter"))
    shutil.rmtree(copy / ".mlstac")
    append(copy, samples(9, 12, season="winter"))  # every part is written anew
    assert read_rows(copy).equals(read_rows(five))


def test_a_shard_that_was_harmed_is_refused_where_it_has_to_be_measured(five):
    shutil.rmtree(five / ".mlstac")
    os.truncate(five / "train" / "00000.safetensors", 900)
    before = files(five)
    with pytest.raises(mlstac.errors.ShardError, match=r"00000\.safetensors has 900 bytes, but its rows say"):
        append(five, samples(5, 9))
    assert files(five) == before


def test_a_nodata_value_that_was_corrected_since_holds_for_all_samples(five, tmp_path):
    collection = mlstac.open(five)
    collection.tensors["image"].nodata = 7
    collection.save(five)
    append(five, samples(5, 12))
    tensors = {**TENSORS, "image": mlstac.Tensor(dims="band y x", bands=["a", "b"], nodata=7)}
    mlstac.write(samples(0, 12), tmp_path / "b", card=False, id="x", license="MIT", tensors=tensors)
    wanted = read_collection(tmp_path / "b")["item_assets"]["image"]
    assert read_collection(five)["item_assets"]["image"] == wanted


def test_the_card_tells_of_all_samples(five):
    mlstac.write(samples(0, 3), five, id="x", license="MIT", tensors=TENSORS, overwrite=True)
    before = (five / "README.md").read_text()
    mlstac.append(five, samples(3, 5))
    after = (five / "README.md").read_text()
    assert "1.1.0" in after or before != after
    assert json.loads((five / "croissant.json").read_text())["version"] == "1.1.0"


def test_words_of_the_collection_that_were_edited_stay(five):
    collection = mlstac.open(five)
    collection.title, collection.version, collection.keywords = "Five and more", "v2.3", ["flood"]
    collection.save(five)
    append(five, samples(5, 7))
    again = mlstac.open(five)
    assert (again.title, again.version, again.keywords) == ("Five and more", "v2.4", ["flood"])
    assert read_collection(five)["extent"] != collection.to_dict()["extent"]


# ------------------------------------------------------------------ columns


def test_a_new_column_writes_the_catalogs_anew_with_nulls_for_the_old(five):
    before = files(five)
    append(five, samples(5, 8, season="winter"))
    rows = read_rows(five)
    assert rows["season"].to_pylist() == [None] * 5 + ["winter"] * 3
    assert rows["cloud"].to_pylist() == [number / 7 for number in range(8)]
    document = read_collection(five)
    schemas = [
        pq.read_schema(five / document["assets"][name]["href"])
        for split in ("train", "validation", "test")
        for name in document[f"ml:{split}"]["assets"]
    ]
    assert all(schema.equals(schemas[0], check_metadata=False) for schema in schemas)
    assert {name: files(five)[name] for name in before if "catalog.json" not in name and name != "collection.json"} == {
        name: digest for name, digest in before.items() if "catalog.json" not in name and name != "collection.json"
    }
    assert list(mlstac.load(five, framework="numpy").metadata.to_table(["season"])["season"])[5].as_py() == "winter"


def test_a_column_that_is_lacking_is_null_and_the_old_parts_stand(five):
    more = [mlstac.Sample(sample.tensors, bbox=(0, 1, 2, 3), datetime="2021") for sample in samples(5, 7)]
    append(five, more)
    assert read_rows(five)["cloud"].to_pylist()[-2:] == [None, None]


def test_samples_without_a_place_among_placed_ones_make_rows_that_are_no_items(five):
    assert "stac_version" in read_rows(five).column_names
    append(five, [mlstac.Sample(sample.tensors) for sample in samples(5, 7)])
    rows = read_rows(five)
    assert "stac_version" not in rows.column_names
    assert rows["geometry"].null_count == 2
    part = five / mlstac.open(five).assets["train-00001"].href
    assert len(geopandas.read_parquet(part)) == 7  # GeoParquet it still is


def test_a_column_of_another_kind_is_refused(five):
    before = files(five)
    with pytest.raises(InvalidSampleError, match="property 'cloud' of sample 'train-0000005' is text, but was float"):
        append(five, samples(5, 6, cloud="clear"))
    assert files(five) == before


@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image": np.zeros((2, 16, 16), np.int16)}, "of dtype I16, but 'image' is of U16"),
        (
            {"image": np.zeros((2, 8, 8), np.uint16)},
            r"\(2, 8, 8\), but the collection declares \(2, 16, 16\)",
        ),
        ({"boxes": np.zeros((2, 5))}, r"has shape \(2, 5\), but the collection declares \(any, 4\)"),
        ({"extra": np.zeros(3)}, "has a tensor 'extra' that is not described"),
        ({"image": None}, "lacks the tensor 'image'"),
        ({"note": np.zeros(3)}, "sample 'train-0000005', number 5 of split 'train': tensor 'note'"),
    ],
)
def test_a_sample_that_is_not_as_the_collection_says_is_refused(five, change, words, copied):
    if copied:
        shutil.rmtree(five / ".mlstac")
    sample = next(iter(samples(5, 6)))
    before = files(five)
    with pytest.raises(InvalidSampleError, match=words):
        append(five, [dict(sample.tensors) | change])
    assert files(five) == before


@pytest.mark.parametrize("copied", [False, True])
def test_an_id_is_used_once_in_old_and_new(five, copied):
    if copied:
        shutil.rmtree(five / ".mlstac")
    sample = next(iter(samples(5, 6)))
    with pytest.raises(InvalidSampleError, match="id 'train-0000003' is used twice"):
        append(five, [mlstac.Sample(sample.tensors, id="train-0000003")], split="test")


class Indexed:
    """Samples that can be had by number, and are not a list."""

    def __init__(self, some):
        self.some = list(some)

    def __len__(self):
        return len(self.some)

    def __getitem__(self, at):
        if at == len(self.some):
            raise IndexError(at)
        return self.some[at]


@pytest.mark.parametrize("given", [list, iter, Indexed, lambda some: lambda skip: iter(list(some)[skip:])])
def test_a_prefix_keeps_ids_apart(tmp_path, given):
    def named(start, stop):
        return [mlstac.Sample({"x": np.uint8(n)}, id=f"chip-{n}" if n % 2 else None) for n in range(start, stop)]

    path, source = tmp_path / "a", named(0, 4)
    mlstac.write(named(0, 4), path, id="a", license="MIT", card=False)
    with pytest.raises(InvalidSampleError, match="id 'chip-1' is used twice"):
        append(path, given(named(0, 4)))
    append(path, given(source), id_prefix="b/")
    ids = read_rows(path)["id"].to_pylist()
    assert ids[4:] == ["train-0000004", "b/chip-1", "train-0000006", "b/chip-3"]
    assert [sample.id for sample in source] == [None, "chip-1", None, "chip-3"]  # the author's own
    append(path, given([{"x": np.uint8(9)}]), id_prefix="c/")
    assert read_rows(path)["id"].to_pylist()[8:] == ["train-0000008"]
    with pytest.raises(InvalidArgumentError, match="id_prefix=7 is of type int; give a text"):
        append(path, given(source), id_prefix=7)


def test_an_append_under_a_prefix_goes_on_under_the_same(tmp_path):
    def named(stop):
        return [mlstac.Sample({"x": np.full(99, n, np.uint8)}, id=f"{n}") for n in range(stop)]

    class Breaking(Indexed):
        def __getitem__(self, at):
            if at == 15:
                raise RuntimeError
            return super().__getitem__(at)

    path = tmp_path / "a"
    mlstac.write(named(3), path, id="a", license="MIT", card=False)
    with pytest.raises(RuntimeError):
        append(path, Breaking(named(20)), id_prefix="b/", shard_size=400)
    with pytest.raises(InvalidSampleError):
        append(path, Indexed(named(20)), id_prefix="c/", shard_size=400)
    append(path, Indexed(named(20)), id_prefix="b/", shard_size=400)
    assert read_rows(path)["id"].to_pylist() == ["0", "1", "2", *(f"b/{n}" for n in range(20))]


def test_an_optional_tensor_that_nobody_had_yet_may_come_later(tmp_path):
    tensors = {"x": mlstac.Tensor(), "mask": mlstac.Tensor(role="label", required=False)}
    mlstac.write([{"x": np.ones(3)}], tmp_path / "a", card=False, id="x", tensors=tensors)
    assert "mask" not in mlstac.open(tmp_path / "a").tensors
    append(tmp_path / "a", [{"x": np.ones(3), "mask": np.ones((4, 4), np.uint8)}])
    ds = mlstac.load(tmp_path / "a", framework="numpy")
    assert ds[1]["mask"].shape == (4, 4)
    assert "mask" not in ds[0]


# ------------------------------------------------------------------ what may be said


@pytest.mark.parametrize(
    ("version", "after"),
    [(None, "1.1.0"), ("1.0.3", "1.1.0"), ("v1.9.9", "v1.10.0"), ("2.4", "2.5"), ("7", "8")],
)
def test_a_version_counts_on(version, after):
    assert next_version(version) == after


def test_a_version_that_does_not_count_has_to_be_given(five):
    collection = mlstac.open(five)
    collection.version = "spring"
    collection.save(five)
    with pytest.raises(InvalidArgumentError, match="'spring', which cannot be counted on; give that of the new state"):
        append(five, samples(5, 6))
    assert append(five, samples(5, 6), version="summer").version == "summer"


def test_no_sample_changes_nothing(five):
    before = files(five)
    assert append(five, []).version is None
    assert files(five) == before


def test_a_folder_without_a_dataset_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "none"):
        with pytest.raises(MissingFileError, match=r"holds no dataset \(collection.json\); write one there first"):
            append(tmp_path / folder, samples(0, 1))
    assert list(tmp_path.rglob("*")) == [tmp_path / "empty"]


def test_arguments_that_cannot_be_meant_are_refused(five):
    with pytest.raises(InvalidArgumentError, match="leave split out"):
        append(five, {"train": []}, split="test")
    with pytest.raises(InvalidArgumentError, match="give one of them"):
        mlstac.Writer(five, append=True, overwrite=True)
    with pytest.raises(InvalidArgumentError, match="leave collection out"):
        mlstac.Writer(five, mlstac.Collection(id="x"), append=True)
    with pytest.raises(InvalidArgumentError, match="put it into the collection"):
        mlstac.Writer(five, mlstac.Collection(id="x"), version="2")


def test_a_writer_appends_sample_by_sample_to_several_splits(five):
    with mlstac.Writer(five, append=True) as writer:
        for number, sample in enumerate(samples(5, 9)):
            writer.add(sample, split="validation" if number % 2 else "fold-2")
    collection = mlstac.open(five)
    assert {name: split.n_items for name, split in collection.splits.items()} == {
        "train": 5, "validation": 2, "test": 0, "fold-2": 2,
    }  # fmt: skip
    assert collection.validation.assets == ["validation-00001"]  # that of no rows is named no more
    assert json.loads((five / "fold-2" / "catalog.json").read_text())["links"][1]["href"] == "./catalog-00000.parquet"


# ------------------------------------------------------------------ readers


def test_a_reader_in_the_middle_of_an_epoch_reads_on_in_the_old_state(five):
    ds = mlstac.load(five, framework="numpy")
    wanted = [batch["image"].copy() for batch in ds.batches(1, shuffle=True, seed=1)]
    batches = ds.batches(1, shuffle=True, seed=1)
    going = iter(batches)
    found = [next(going)["image"].copy()]
    append(five, samples(5, 9, season="winter"))
    found += [batch["image"].copy() for batch in going]
    assert np.array_equal(found, wanted)
    assert len(ds) == 5
    assert len(mlstac.load(five, framework="numpy")) == 9


@pytest.mark.parametrize("column", [{}, {"season": "winter"}], ids=["parts stand", "parts are superseded"])
def test_a_dataset_that_was_pickled_before_reads_the_old_state(five, column):
    ds = mlstac.load(five, framework="numpy")
    mean = ds.statistics("image").mean.copy()
    state = ds.batches(2, shuffle=True, seed=3).state_dict()
    raw = pickle.dumps(ds)
    append(five, samples(5, 9, **column))
    again = pickle.loads(raw)
    assert len(again) == 5
    assert np.array_equal(again.statistics("image").mean, mean)
    assert [sample["image"].tolist() for sample in again] == values(five)[:5]
    again.batches(2, shuffle=True, seed=3).load_state_dict(state)


def test_a_pickled_dataset_reads_the_old_state_in_another_process(five):
    raw = pickle.dumps(mlstac.load(five, framework="numpy"))
    append(five, samples(5, 9))
    code = "import pickle, sys; ds = pickle.load(sys.stdin.buffer); print(sum(len(b['class']) for b in ds.batches(2)))"
    done = subprocess.run([sys.executable, "-c", code], input=raw, capture_output=True, check=False, timeout=60)
    assert done.stdout.decode().strip() == "5", done.stderr.decode()


# ------------------------------------------------------------------ at once, and interrupted


def test_of_two_appends_at_once_the_second_is_refused_and_nothing_is_lost(five):
    code = """
import sys, numpy as np, mlstac
from tests.authoring.test_append import samples
def waiting():
    for number, sample in enumerate(samples(5, 9)):
        if number == 2:
            print("begun", flush=True)
            sys.stdin.readline()
        yield sample
mlstac.append(sys.argv[1], waiting(), card=False)
"""
    first = subprocess.Popen(
        [sys.executable, "-c", code, str(five)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert first.stdout.readline().strip() == "begun"
    with pytest.raises(ExistsError, match="another writer is at work"):
        append(five, samples(9, 12))
    first.communicate("\n", timeout=60)
    assert first.returncode == 0
    append(five, samples(9, 12))
    assert len(values(five)) == 12
    assert len(set(read_rows(five)["id"].to_pylist())) == 12


def test_many_appends_from_many_processes_lose_no_sample(five):
    code = """
import sys, mlstac
from tests.authoring.test_append import samples
start = int(sys.argv[2])
while True:
    try:
        mlstac.append(sys.argv[1], samples(start, start + 2), card=False)
        break
    except mlstac.errors.ExistsError:
        pass
"""
    processes = [subprocess.Popen([sys.executable, "-c", code, str(five), str(start)]) for start in (5, 7, 9, 11)]
    assert [process.wait(120) for process in processes] == [0] * 4
    assert len(set(map(str, values(five)))) == 13
    assert mlstac.open(five).version == "1.4.0"


def failing(start, stop):
    yield from samples(start, stop)
    raise RuntimeError("the power went")


def test_an_append_that_was_broken_off_goes_on_and_ends_as_an_unbroken_one(five, tmp_path):
    whole = tmp_path / "whole"
    shutil.copytree(five, whole)
    append(whole, samples(5, 12), shard_size=5000)
    before = read_collection(five)
    with pytest.raises(RuntimeError):
        append(five, failing(5, 11), shard_size=5000)
    assert read_collection(five) == before
    collection = mlstac.open(five)
    collection.title = "Edited meanwhile"
    collection.save(five)
    starts = []

    def rest(skip):
        starts.append(skip)
        return samples(5 + skip, 12)

    append(five, rest, shard_size=5000)
    assert starts[0] > 0
    assert {name: digest for name, digest in files(five).items() if not name.endswith(".json")} == {
        name: digest for name, digest in files(whole).items() if not name.endswith(".json")
    }
    assert mlstac.open(five).title == "Edited meanwhile"


def test_other_samples_than_those_of_the_unfinished_append_are_refused(five):
    with pytest.raises(RuntimeError):
        append(five, failing(5, 11), shard_size=5000)
    with pytest.raises(
        InvalidSampleError, match=r"but the unfinished run in .* has one of the same id with other.* mlstac\.gc"
    ):
        append(five, samples(6, 12), shard_size=5000)
    with pytest.raises(InvalidArgumentError, match=r"unfinished append that differs in shard_size; .*mlstac.gc"):
        append(five, samples(5, 12), shard_size=6000)
    with pytest.raises(ExistsError, match="an unfinished append to it"):
        write(five, 0, 3)
    write(five, 20, 23, overwrite=True)
    assert len(values(five)) == 3
    [run] = (five / ".mlstac" / "journal").iterdir()
    assert json.loads((run / "run.json").read_text())["overwrite"]


def test_shards_of_an_unfinished_append_to_another_state_are_removed(five, tmp_path):
    shutil.copytree(five, tmp_path / "old")
    append(five, samples(5, 7))
    with pytest.raises(RuntimeError):
        append(five, failing(7, 17), shard_size=5000)
    stray = {name for name in files(five) if name.endswith(".safetensors")} - {
        f"train/{row['image']['href'].removeprefix('./')}" for row in read_rows(five)["assets"].to_pylist()
    }
    assert stray
    shutil.copy(tmp_path / "old" / "collection.json", five / "collection.json")  # an author takes the append back
    append(five, samples(20, 22), shard_size=5000)
    named = {f"train/{row['image']['href'].removeprefix('./')}" for row in read_rows(five)["assets"].to_pylist()}
    assert stray & set(files(five)) <= named  # a number that was never named is free again
    assert len(stray) > len(stray & named)
    assert len(values(five)) == 7


def test_a_collection_that_is_changed_during_an_append_is_not_overwritten(five):
    def changing():
        yield from samples(5, 7)
        collection = mlstac.open(five)
        collection.title = "Changed"
        collection.save(five)

    with pytest.raises(ChangedError, match="was changed by someone else meanwhile"):
        append(five, changing())
    assert mlstac.open(five).title == "Changed"
    assert append(five, samples(5, 7)).title == "Changed"  # the same call again
    assert len(values(five)) == 7


@pytest.fixture
def killed_after_commit(five, monkeypatch):
    """An append that died after the collection took its name and before it could say so."""

    def die(session):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_session.Session, "finish", die)
        with pytest.raises(KeyboardInterrupt):
            append(five, samples(5, 9))
    assert len(values(five)) == 9
    return five


def test_an_append_that_died_after_its_commit_is_not_done_twice(killed_after_commit):
    before = files(killed_after_commit)
    assert append(killed_after_commit, samples(5, 9)).version == "1.1.0"
    assert files(killed_after_commit) == before
    assert append(killed_after_commit, samples(9, 11)).version == "1.2.0"


@pytest.mark.parametrize(
    ("given", "words"),
    [((9, 11), "had been done whole, with another sample there"), ((5, 11), "had been done whole, with 4 samples")],
)
def test_an_append_that_died_after_its_commit_is_told_from_another_one(killed_after_commit, given, words):
    with pytest.raises(InvalidSampleError, match=words):
        append(killed_after_commit, samples(*given))
    append(killed_after_commit, samples(9, 11))
    assert len(values(killed_after_commit)) == 11


def test_an_overwriting_run_after_appends_starts_afresh(five):
    append(five, samples(5, 7))
    write(five, 20, 22, overwrite=True)
    assert len(values(five)) == 2
    append(five, samples(22, 24))
    assert len(values(five)) == 4
    shards = safetensors.numpy.load_file(five / "train" / read_rows(five)["assets"].to_pylist()[3]["image"]["href"])
    assert "image" in shards


def test_numbers_go_on_beyond_seven_digits(tmp_path):
    path = tmp_path / "many"
    mlstac.write([mlstac.Sample({"x": np.zeros(2)}, id="train-9999999")], path, id="many", license="MIT", card=False)
    for _ in range(2):
        mlstac.append(path, [{"x": np.ones(2)}])
    assert read_rows(path)["id"].to_pylist() == ["train-9999999", "train-10000000", "train-10000001"]
