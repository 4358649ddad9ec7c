"""Files that nothing names any more go; all others stay."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mlstac
from mlstac.authoring._target import Target
from mlstac.errors import CatalogError, ExistsError, MissingFileError
from tests.authoring._read import read_collection, read_tensors

append = partial(mlstac.append, card=False)  # the pictures of a card take longer than all else here


def samples(start, stop, **properties):
    for number in range(start, stop):
        yield mlstac.Sample({"x": np.full((4, 8, 8), number, np.int32)}, properties=properties)


def write(path, start, stop, **options):
    return mlstac.write(samples(start, stop), path, id="x", card=False, license="MIT", shard_size=2500, **options)


def failing(start, stop):
    yield from samples(start, stop)
    raise RuntimeError


def files(path):
    return {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}


def values(path):
    return [int(x[0, 0, 0]) for x in read_tensors(path, "train", "x", dtype=np.int32)]


def named(path):
    """The files that the collection names, and the shards that its parts name, read without mlstac."""
    import pyarrow.parquet as pq

    document = read_collection(path)
    found = {"collection.json"}
    for asset in document["assets"].values():
        found.add(asset["href"].removeprefix("./"))
        split = asset["href"].split("/")[1]
        for row in pq.ParquetFile(path / asset["href"]).read()["assets"].to_pylist():
            found.add(f"{split}/{row['x']['href'].removeprefix('./')}")
    return found | {f"{name}/catalog.json" for name in ("train", "validation", "test")}


def without_journal(names):
    return {name for name in names if not name.startswith(".mlstac")}


def test_a_whole_dataset_has_no_garbage(tmp_path):
    write(tmp_path / "a", 0, 6)
    before = files(tmp_path / "a")
    found = mlstac.gc(tmp_path / "a")
    assert (found.files, found.kept, found.nbytes) == ({}, [], 0)
    assert files(tmp_path / "a") == before


def test_shards_and_parts_of_an_overwritten_dataset_go_and_the_new_ones_stay(tmp_path):
    path = tmp_path / "a"
    write(path, 0, 6)
    old = without_journal(files(path)) - {"collection.json"}
    write(path, 10, 14, overwrite=True)
    append(path, samples(14, 16), shard_size=2500)
    before = files(path)
    said = mlstac.gc(path, dry_run=True)
    assert said.dry_run
    assert files(path) == before
    done = mlstac.gc(path)
    assert done.files == said.files
    assert set(done.files) == {name for name in old if not name.endswith("catalog.json")}
    assert without_journal(files(path)) == named(path)
    assert done.nbytes > 6 * 1024
    assert values(path) == list(range(10, 16))
    assert mlstac.gc(path).files == {}
    append(path, samples(16, 17))  # the journal is still good
    assert values(path) == list(range(10, 17))


def test_compressed_shards_go_and_stay_alike(tmp_path):
    path = tmp_path / "a"
    write(path, 0, 6, compression="zstd")
    write(path, 10, 14, overwrite=True, compression="zstd")
    append(path, samples(14, 16))
    assert all(name.endswith(".zst") for name in files(path) if ".safetensors" in name)  # as the others
    (path / "train" / "00099.safetensors.zst").write_bytes((path / "train" / "00000.safetensors.zst").read_bytes()[:60])
    found = mlstac.gc(path)
    assert "train/00000.safetensors.zst" in found.files
    assert [line.split(",")[0] for line in found.kept] == ["train/00099.safetensors.zst"]
    assert without_journal(files(path)) - {"train/00099.safetensors.zst"} == named(path)
    assert [int(sample["x"][0, 0, 0]) for sample in mlstac.load(path, framework="numpy")] == list(range(10, 16))


def test_parts_that_a_new_column_superseded_go(tmp_path):
    path = tmp_path / "a"
    write(path, 0, 3)
    append(path, samples(3, 5, season="winter"))
    assert set(mlstac.gc(path).files) == {f"{split}/catalog-00000.parquet" for split in ("train", "validation", "test")}
    assert without_journal(files(path)) == named(path)
    assert values(path) == list(range(5))


def test_a_split_that_is_no_more_goes_with_its_catalog(tmp_path):
    path = tmp_path / "a"
    mlstac.write({"train": samples(0, 2), "fold-3": samples(2, 4)}, path, id="x", card=False)
    write(path, 5, 7, overwrite=True)
    mlstac.gc(path)
    assert not (path / "fold-3").exists()
    assert without_journal(files(path)) == named(path)


def test_files_of_others_stay_whatever_they_are_called(tmp_path):
    path = tmp_path / "a"
    write(path, 0, 3)
    write(path, 3, 6, overwrite=True)
    safetensors.numpy.save_file({"weights": np.ones(3)}, path / "train" / "00077.safetensors")
    shutil.copy(path / "train" / "00003.safetensors", path / "train" / "best.safetensors")
    (path / "train" / "00078.safetensors").write_bytes(b"not a shard")
    (path / "train" / "00080.safetensors.zst").write_bytes(b"no zstd either")
    (path / "train" / "catalog-00009.parquet").write_bytes(b"PAR1 no")
    (path / "notes").mkdir()
    (path / "notes" / "catalog.json").write_text('{"id": "mine", "links": []}')
    (path / "README.md").write_text("card")
    (path / "train" / ".hidden").write_text("h")
    os.symlink(path / "train" / "00000.safetensors", path / "train" / "00079.safetensors")
    (path / "train" / "00" / "00081.safetensors").mkdir(parents=True)
    found = mlstac.gc(path)
    mine = {f"train/{name}" for name in ("00077.safetensors", "00078.safetensors", "00080.safetensors.zst")}
    mine.add("train/catalog-00009.parquet")
    others = {"train/00079.safetensors", "train/00/00081.safetensors"}
    assert {line.split(",")[0] for line in found.kept} == mine | others
    assert mine | {"train/best.safetensors", "README.md", "notes/catalog.json", "train/.hidden"} <= files(path)
    assert "train/00000.safetensors" not in files(path)
    assert values(path) == [3, 4, 5]


def test_an_unfinished_append_is_kept_until_it_is_given_up(tmp_path):
    path = tmp_path / "a"
    write(path, 0, 3)
    with pytest.raises(RuntimeError):
        append(path, failing(3, 12), shard_size=2500)
    shards = {name for name in files(path) if name.endswith(".safetensors")}
    found = mlstac.gc(path)
    assert found.files == {}
    assert "6 samples in whole shards" in found.kept[0] or "8 samples" in found.kept[0]
    assert "unfinished=True (--unfinished) removes it" in found.kept[0]
    assert {name for name in files(path) if name.endswith(".safetensors")} == shards
    gone = mlstac.gc(path, unfinished=True)
    assert any(name.startswith(".mlstac/journal/00001") for name in gone.files)
    assert without_journal(files(path)) == named(path)
    append(path, samples(20, 22), shard_size=3000)
    assert values(path) == [0, 1, 2, 20, 21]


def test_an_unfinished_first_writing_is_kept_until_it_is_given_up(tmp_path):
    path = tmp_path / "a"
    with pytest.raises(RuntimeError):
        write_failing(path)
    before = files(path)
    assert mlstac.gc(path).files == {}
    assert files(path) == before
    mlstac.gc(path, unfinished=True)
    assert files(path) == set()


def write_failing(path):
    mlstac.write(failing(0, 9), path, id="x", card=False, license="MIT", shard_size=2500)


@contextlib.contextmanager
def broken_off(kind, monkeypatch, after):
    """Whoever removes files is interrupted after so many."""
    remove, removed = kind.remove, []

    def interrupted(target, name):
        if len(removed) == after:
            raise KeyboardInterrupt
        removed.append(name)
        remove(target, name)

    with monkeypatch.context() as patched:
        patched.setattr(kind, "remove", interrupted)
        yield


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_gc_that_was_broken_off_leaves_nothing_that_nobody_finds(tmp_path, monkeypatch, goes_on):
    for after in range(99):
        path = tmp_path / str(after)
        with pytest.raises(RuntimeError):
            write_failing(path)
        try:
            with broken_off(Target, monkeypatch, after):
                mlstac.gc(path, unfinished=True)
        except KeyboardInterrupt:
            pass
        else:
            break
        if goes_on:
            write(path, 0, 9)
            assert values(path) == list(range(9))
            assert without_journal(files(path)) == named(path)
        elif files(path):
            mlstac.gc(path, unfinished=True)
        assert goes_on or files(path) == set()
    assert after > 5


def test_what_is_called_as_ours_is_named_where_there_is_neither_collection_nor_journal(tmp_path):
    path = tmp_path / "a"
    write(path, 0, 3)
    (path / "collection.json").unlink()
    shutil.rmtree(path / ".mlstac")
    before = files(path)
    found = mlstac.gc(path)
    assert not found.files
    assert any(line.startswith("train/00000.safetensors, for there is no collection.json") for line in found.kept)
    assert files(path) == before


def test_shards_without_a_collection_are_not_taken_for_garbage(tmp_path):
    path = tmp_path / "a"
    write(path, 0, 6)
    (path / "collection.json").unlink()
    shutil.rmtree(path / ".mlstac" / "journal")
    before = files(path)
    found = mlstac.gc(path, unfinished=True)
    assert found.files == {}
    assert "no collection.json to say whether it is in use" in found.kept[0]
    assert files(path) == before


def test_temporary_files_and_journals_of_nobody_go(tmp_path):
    path = tmp_path / "a"
    write(path, 0, 3)
    (path / "train" / ".00009.safetensors.mlstac-tmp").write_bytes(b"half")
    draft = path / ".mlstac" / "journal" / "00007"
    draft.mkdir()
    (draft / "000000.parquet").write_bytes(b"half")
    assert set(mlstac.gc(path, dry_run=True).files) == {
        "train/.00009.safetensors.mlstac-tmp", ".mlstac/journal/00007/000000.parquet",
    }  # fmt: skip
    assert draft.exists()
    mlstac.gc(path)
    assert not draft.exists()


def test_what_a_writer_holds_is_never_removed(tmp_path):
    path = tmp_path / "a"
    write(path, 0, 3)
    code = """
import sys, mlstac
from tests.authoring.test_gc import samples
def waiting():
    yield from samples(3, 9)
    print("begun", flush=True)
    sys.stdin.readline()
mlstac.append(sys.argv[1], waiting(), shard_size=2500, card=False)
"""
    writer = subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert writer.stdout.readline().strip() == b"begun"
    for dry_run in (True, False):
        with pytest.raises(ExistsError, match="another writer is at work"):
            mlstac.gc(path, dry_run=dry_run, unfinished=True)
    writer.communicate(b"\n", timeout=100)
    assert writer.returncode == 0
    assert values(path) == list(range(9))
    assert mlstac.gc(path).files == {}


def test_nothing_is_removed_where_a_part_cannot_say_what_it_names(tmp_path):
    path = tmp_path / "a"
    write(path, 0, 3)
    write(path, 3, 6, overwrite=True)
    part = path / mlstac.open(path).assets["train-00001"].href
    part.write_bytes(part.read_bytes()[:-10])
    before = files(path)
    with pytest.raises(CatalogError, match=r"cannot be read .* nobody can say which shards are in use; .*rebuild"):
        mlstac.gc(path)
    assert files(path) == before


def test_a_folder_without_a_dataset_is_an_error(tmp_path):
    (tmp_path / "b").mkdir()
    with pytest.raises(MissingFileError, match="holds no dataset"):
        mlstac.gc(tmp_path / "b")


def test_a_read_only_copy_without_a_journal_can_be_looked_at(tmp_path):
    path = tmp_path / "a"
    write(path, 0, 3)
    write(path, 3, 6, overwrite=True)
    shutil.rmtree(path / ".mlstac")
    before = files(path)
    assert any(name.endswith("00000.safetensors") for name in mlstac.gc(path, dry_run=True).files)
    assert files(path) == before


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.sampled_from(["append", "column", "overwrite", "break", "break overwriting", "gc", "forget"]), max_size=7
    )
)
def test_whatever_was_done_before_what_is_left_is_what_is_named(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("history") / "a"
    write(path, 0, 3)
    wanted = [0, 1, 2]
    for at, step in enumerate(steps, start=1):
        start = 10 * at
        if step == "overwrite":
            mlstac.gc(path, unfinished=True)
            write(path, start, start + 2, overwrite=True)
            wanted = [start, start + 1]
        elif step == "break overwriting":
            mlstac.gc(path, unfinished=True)
            with pytest.raises(RuntimeError):
                mlstac.write(
                    failing(start, start + 7), path, id="x", card=False, license="MIT", shard_size=2500, overwrite=True
                )
        elif step == "break":
            mlstac.gc(path, unfinished=True)
            with pytest.raises(RuntimeError):
                append(path, failing(start, start + 7), shard_size=2500)
        elif step == "forget":
            shutil.rmtree(path / ".mlstac", ignore_errors=True)
        elif step == "gc":
            mlstac.gc(path)
        else:
            mlstac.gc(path, unfinished=True)
            properties = {f"column_{at}": at} if step == "column" else {}
            append(path, samples(start, start + 2, **properties), shard_size=2500)
            wanted += [start, start + 1]
    assert values(path) == wanted
    mlstac.gc(path, unfinished=True)
    assert without_journal(files(path)) == named(path)
    assert values(path) == wanted
    assert json.loads((path / "collection.json").read_text())["ml:train"]["n_items"] == len(wanted)


def test_the_repr_says_how_much_it_is(tmp_path):
    write(tmp_path / "x", 0, 9)
    write(tmp_path / "x", 20, 29, overwrite=True)
    found = mlstac.gc(tmp_path / "x", dry_run=True)
    names = list(found.files)
    assert len(names) > 3
    start = f"Garbage({len(names)} files, {found.nbytes / 1000:.1f} kB: {', '.join(map(repr, names[:3]))}, …, kept="
    assert repr(found).startswith(start)
    assert repr(found).endswith("dry_run=True)")
    mlstac.gc(tmp_path / "x")
    assert repr(mlstac.gc(tmp_path / "x")) == "Garbage(no files, kept=[], dry_run=False)"
