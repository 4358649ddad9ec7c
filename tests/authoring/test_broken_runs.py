"""What goes wrong at a bad moment: a disk that fails, a key that is pressed, a shard that is lost."""

import errno
import json
import os
import sys
import threading
from collections import deque

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mlstac.authoring as authoring
from mlstac.authoring import _pipeline
from mlstac.collection import Collection
from mlstac.errors import InvalidSampleError, StateError, StorageError, VersionError
from mlstac.sample import Sample
from tests.authoring._read import read_rows, read_tensors


def samples(n=14):
    for number in range(n):
        yield {"x": np.full((2, 8, 8), number, np.int32)}


def write(path, **options):
    return authoring.write(samples(), path, id="x", shard_size=2100, **options)


def visible(path):
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file() and ".mlstac" not in file.relative_to(path).parts
    }


def values(path):
    return [int(x[0, 0, 0]) for x in read_tensors(path, "train", "x", dtype=np.int32)]


@pytest.mark.skipif(sys.platform == "win32", reason="folders are not flushed there")
def test_a_flush_that_fails_anywhere_leaves_what_the_same_call_goes_on_with(tmp_path, monkeypatch):
    write(tmp_path / "whole")
    whole = visible(tmp_path / "whole")
    flush, lock = os.fsync, threading.Lock()
    for point in range(1, 100):
        path, left = tmp_path / str(point), [point]

        def fail(descriptor, left=left):
            with lock:  # two threads flush
                left[0] -= 1
                is_the_one = left[0] == 0
            if is_the_one:
                raise OSError(errno.EIO, "Input/output error")
            flush(descriptor)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            try:
                write(path)
            except StorageError:
                assert not list(path.rglob("*.mlstac-tmp"))
            else:
                break
        if not (path / "collection.json").exists():  # else it was the last flush: the dataset is there
            write(path)
        assert visible(path) == whole, point
    assert point > 15


@pytest.mark.skipif(sys.platform == "win32", reason="folders are not flushed there")
def test_the_names_of_new_folders_are_flushed_before_the_dataset_is_there(tmp_path, monkeypatch):
    flush, flushed, path = os.fsync, set(), tmp_path / "new" / "newer" / "a"

    def note(descriptor):
        flush(descriptor)
        if not (path / "collection.json").exists():
            flushed.add(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", note)
    write(path)
    folders = [path, *path.parents[:2], *(folder for folder in path.rglob("*") if folder.is_dir())]
    assert len(folders) > 5
    assert {str(folder) for folder in folders if folder.parent.stat().st_ino not in flushed} == set()


@pytest.mark.parametrize("harm", ["gone", "cut short"])
def test_a_shard_of_an_unfinished_run_that_was_harmed_is_written_again(tmp_path, harm):
    def failing():
        yield from samples(12)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        authoring.write(failing(), tmp_path / "a", id="x", shard_size=2100)
    shard = tmp_path / "a" / "train" / "00001.safetensors"
    if harm == "gone":
        shard.unlink()
    else:
        os.truncate(shard, 100)
    write(tmp_path / "a")
    write(tmp_path / "b")
    assert visible(tmp_path / "a") == visible(tmp_path / "b")


def _cut(journal, at):
    os.truncate(sorted(journal.glob("*.parquet"))[at], 50)


def _spoil(file):
    stored = file.read_bytes()  # its end, which has the record of the shard, stays
    file.write_bytes(stored[:8] + b"\xff" * 40 + stored[48:])


HARMS = {
    "cut first": lambda journal: _cut(journal, 0),
    "cut last": lambda journal: _cut(journal, -1),
    "empty last": lambda journal: max(journal.glob("*.parquet")).write_bytes(b""),
    "rows spoilt": lambda journal: _spoil(min(journal.glob("*.parquet"))),
    "middle gone": lambda journal: (journal / "000001.parquet").unlink(),
    "no fragment": lambda journal: pq.write_table(pa.table({"id": ["a"]}), journal / "000001.parquet"),
    "foreign": lambda journal: (journal / "mine.parquet").write_bytes(b"mine"),
}


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_journal_that_a_disk_has_harmed_is_gone_on_with_as_far_as_it_goes(tmp_path, harm, overwrite):
    def failing():
        yield from samples(12)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        authoring.write(failing(), tmp_path / "a", id="x", shard_size=2100)
    journal = tmp_path / "a" / ".mlstac" / "journal" / "00000"
    HARMS[harm](journal)
    kept = authoring.gc(tmp_path / "a", dry_run=True)  # is asked before anything is mended
    assert not any(name.startswith("train") for name in kept.files)
    write(tmp_path / "a", overwrite=overwrite)
    assert values(tmp_path / "a") == list(range(14))
    if not overwrite:
        write(tmp_path / "b")
        assert visible(tmp_path / "a") == visible(tmp_path / "b")
    assert (journal / "mine.parquet").exists() == (harm == "foreign")


@pytest.mark.parametrize("harm", ["cut first", "cut last", "no fragment"])
def test_a_dataset_whose_journal_was_harmed_grows_by_its_catalogs(tmp_path, harm):
    write(tmp_path / "a")
    HARMS[harm](tmp_path / "a" / ".mlstac" / "journal" / "00000")
    assert authoring.gc(tmp_path / "a", dry_run=True).kept == []
    authoring.append(tmp_path / "a", [{"x": np.full((2, 8, 8), 14, np.int32)}])
    assert values(tmp_path / "a") == list(range(15))


@pytest.mark.skipif(sys.platform == "win32", reason="needs links")
def everything(path):
    return {file: file.read_bytes() for file in path.rglob("*") if file.is_file() and file.name != "lock"}


def as_newer(fragment, *, where):
    """Have a line of the journal say something that this version does not know."""
    table = pq.read_table(fragment)
    kept = json.loads(table.schema.metadata[b"mlstac:shard"])
    measures = kept["measures"]["x"]
    {"shard": kept, "tensor": measures, "band": measures["bands"][0]}[where]["sheen"] = 7
    metadata = {**table.schema.metadata, b"mlstac:shard": json.dumps(kept).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), fragment)


@pytest.mark.parametrize("where", ["shard", "tensor", "band"])
@pytest.mark.parametrize("is_whole", [False, True])
def test_a_journal_of_a_newer_version_is_named_and_left_as_it_is(tmp_path, where, is_whole):
    path = tmp_path / "a"
    if is_whole:
        write(path)
    else:
        with pytest.raises(RuntimeError):
            authoring.write(failing(), path, id="x", shard_size=2100)
    fragment = path / ".mlstac" / "journal" / "00000" / "000001.parquet"
    as_newer(fragment, where=where)
    before = everything(path)
    more = [{"x": np.full((2, 8, 8), 14, np.int32)}]
    calls = {
        True: [lambda: authoring.append(path, more), lambda: authoring.rebuild(path)],
        False: [lambda: write(path), lambda: write(path, overwrite=True)],
    }[is_whole]
    for call in (*calls, lambda: authoring.gc(path, unfinished=True)):
        with pytest.raises(VersionError, match=f"{fragment.name}.* says 'sheen' .*newer one wrote it: upgrade mlstac"):
            call()
        assert everything(path) == before


def failing():
    yield from samples(12)
    raise RuntimeError


def test_a_link_that_stands_under_a_temporary_name_is_not_written_through(tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "out" / "train").mkdir(parents=True)
    os.symlink(tmp_path / "precious", tmp_path / "out" / "train" / ".00000.safetensors.mlstac-tmp")
    write(tmp_path / "out")
    assert (tmp_path / "precious").read_text() == "precious"
    assert not (tmp_path / "out" / "train" / "00000.safetensors").is_symlink()
    assert values(tmp_path / "out") == list(range(14))


def add_all(writer):
    for sample in samples():
        writer.add(sample)


def interrupted(path):
    """A writer whose author catches Ctrl-C, pressed while a shard waits for the one before, and goes on."""
    with authoring.Writer(path, Collection(id="x"), shard_size=2100) as writer:
        with pytest.raises(KeyboardInterrupt):
            add_all(writer)
        add_all(writer)


def test_an_interrupt_inside_add_is_never_committed_with_a_shard_missing(tmp_path, monkeypatch):
    wait, calls = _pipeline.Pipeline.wait, []

    def press(pipeline, **options):
        calls.append(pipeline)
        if len(calls) == 2:
            raise KeyboardInterrupt
        wait(pipeline, **options)

    with monkeypatch.context() as patch:
        patch.setattr(_pipeline.Pipeline, "wait", press)
        with pytest.raises(StateError, match="interrupted"):
            interrupted(tmp_path)
    assert not (tmp_path / "collection.json").exists()
    write(tmp_path)
    assert values(tmp_path) == list(range(14))


def test_a_failure_that_nobody_waited_for_to_the_end_is_not_forgotten(tmp_path):
    class Interrupted:
        def __init__(self):
            self.asked = 0

        def result(self):
            self.asked += 1
            raise KeyboardInterrupt if self.asked == 1 else StorageError("disk full")

    pipeline = object.__new__(_pipeline.Pipeline)
    pipeline._writing = deque([Interrupted()])
    with pytest.raises(KeyboardInterrupt):
        pipeline.wait()
    with pytest.raises(StorageError, match="disk full"):
        pipeline.wait()


def test_after_a_shard_that_failed_none_that_follow_is_written(tmp_path, monkeypatch):
    """The next one is on its way by then; a journal that had it would lack the one before for ever."""
    store, begun = _pipeline.Storing.write, threading.Event()

    def fail_at_the_second(storing, target, name):
        if name.endswith("00001.safetensors"):
            begun.wait(10)
            raise StorageError("disk full")
        return store(storing, target, name)

    def given():
        for number, sample in enumerate(samples()):
            if number == 13:  # four samples a shard: the third was handed over with the one before
                begun.set()
            yield sample

    with monkeypatch.context() as patch:
        patch.setattr(_pipeline.Storing, "write", fail_at_the_second)
        with pytest.raises(StorageError, match="disk full"):
            authoring.write(given(), tmp_path, id="x", shard_size=2100)
    assert sorted(file.name for file in (tmp_path / "train").iterdir()) == ["00000.safetensors"]
    write(tmp_path)
    assert values(tmp_path) == list(range(14))


def test_a_broken_writer_lets_go_of_lock_and_threads_though_its_author_caught_the_error(tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise StorageError("disk full")

    before = set(threading.enumerate())
    with monkeypatch.context() as patch:
        patch.setattr(_pipeline.Storing, "write", fail)
        kept = None
        try:
            with (
                authoring.Writer(tmp_path, Collection(id="x"), shard_size=1100) as writer,
                pytest.raises(StorageError, match="disk full"),
            ):
                add_all(writer)
        except StateError as error:
            kept = error  # the lock must not hang on whether anybody holds the traceback
    assert "disk full" in str(kept)
    assert set(threading.enumerate()) <= before
    write(tmp_path)
    assert values(tmp_path) == list(range(14))


def test_samples_that_several_threads_add_are_all_there_as_given(tmp_path):
    failed = []

    def add(thread):
        try:
            for number in range(200):
                value = 1000 * thread + number
                writer.add(Sample(tensors={"x": np.full((10, 1, 1), value, np.int32)}, id=str(value)))
        except Exception as error:  # noqa: BLE001  a thread's error is judged below
            failed.append(error)

    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with authoring.Writer(tmp_path, Collection(id="x"), shard_size=2000) as writer:
            threads = [threading.Thread(target=add, args=(thread,)) for thread in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(switch)
    assert failed == []
    ids = [row["id"] for row in read_rows(tmp_path, "train").to_pylist()]
    assert [str(value) for value in values(tmp_path)] == ids
    assert len(set(ids)) == 800


GRID = {"crs": "EPSG:4326", "transform": (1, 0, 0, 0, -1, 50)}


@pytest.mark.parametrize(
    "changed",
    [{"transform": (1, 0, 9, 0, -1, 50)}, {"crs": "EPSG:4269"}, {"datetime": "2021-01-01"}, {"properties": {"c": 2}}],
    ids=str,
)
def test_samples_of_the_unfinished_run_that_are_elsewhere_now_are_refused(tmp_path, changed):
    def placed(stop=None, **how):
        for number in range(20):
            if number == stop:
                raise RuntimeError
            given = {**GRID, "datetime": "2020-01-01", "properties": {"c": 1}, **how}
            yield Sample(tensors={"x": np.full((1, 16, 16), number, np.uint8)}, **given)

    with pytest.raises(RuntimeError):
        authoring.write(placed(stop=15), tmp_path, id="x", shard_size=1000)
    with pytest.raises(InvalidSampleError, match="other contents"):
        authoring.write(placed(**changed), tmp_path, id="x", shard_size=1000)
    assert authoring.write(placed(), tmp_path, id="x", shard_size=1000).train.n_items == 20


def test_a_refused_sample_leaves_no_trace(tmp_path):
    def refuse(tensors, **how):
        with pytest.raises(InvalidSampleError):
            writer.add(Sample(tensors=tensors, id="s0", **how))

    with authoring.Writer(tmp_path, Collection(id="x")) as writer:
        refuse({"other": np.ones(7, np.float32)}, crs="EPSG:4326", transform=(1, 0, 0, 0, -1, 0))  # no axes y and x
        refuse({"v": np.ones(7, np.float32)}, crs="EPSG:4326", transform=(1, 0, 0, 0, -1, 0), properties={"p": "text"})
        writer.add(Sample(tensors={"x": np.ones((1, 16, 16), np.uint8)}, id="s0", properties={"p": 1}))
        with pytest.raises(InvalidSampleError, match="'p'"):
            writer.add(Sample(tensors={"x": np.ones((1, 16, 16), np.uint8)}, id="s1", properties={"q": 1, "p": "text"}))
        writer.add(Sample(tensors={"x": np.ones((1, 16, 16), np.uint8)}, id="s1", properties={"q": "text"}))
    collection = Collection.from_file(tmp_path)
    assert list(collection.tensors) == ["x"]
    assert collection.tensors["x"].dims == ("band", "y", "x")


def test_an_integer_that_no_float_holds_is_refused_among_floats_with_its_sample(tmp_path):
    with authoring.Writer(tmp_path, Collection(id="x")) as writer:
        writer.add(Sample(tensors={"x": 1}, properties={"p": 0.5}))
        with pytest.raises(InvalidSampleError, match="'p'"):
            writer.add(Sample(tensors={"x": 1}, properties={"p": 2**53 + 1}))
        writer.add(Sample(tensors={"x": 1}, properties={"p": 2**53}))
        writer.add(Sample(tensors={"x": 1}, properties={"q": 2**53 + 1}))
        with pytest.raises(InvalidSampleError, match="'q'"):
            writer.add(Sample(tensors={"x": 1}, properties={"q": 0.5}))
    assert Collection.from_file(tmp_path).train.n_items == 3


def test_a_file_url_means_the_folder_that_it_spells(tmp_path):
    write(f"file://{tmp_path}/a%20b")
    assert values(tmp_path / "a b") == list(range(14))


def test_a_foreign_number_that_no_shard_would_have_does_not_count(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "20240601.safetensors").write_bytes(b"mine")
    write(tmp_path)
    assert (tmp_path / "train" / "00000.safetensors").exists()


def test_the_journals_own_column_is_no_property(tmp_path):
    with pytest.raises(InvalidSampleError, match="mlstac:"):
        Sample(tensors={"x": 1}, properties={"mlstac:content": 1})
