"""Parts written at a store, each by a worker that shares nothing with the others but the store."""

import multiprocessing
import os
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

import mlstac
from mlstac.errors import ExistsError
from mlstac.storage import Store
from tests.authoring.scenes import dask_client, read_scene, read_scene_and_die_once, values_of
from tests.authoring.test_grow_at_urls import working_folders
from tests.authoring.test_parts import SHARD_BYTES

URL = "s3://bucket/scenes"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The user's cache, in which the working folders are."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def options(moto_s3):
    with Store(URL, storage_options=moto_s3) as store:
        for name in store.list():  # moto's memory is the process's
            store.remove(name)
    return moto_s3


def write(parts, options, **settings):
    given = {"id": "scenes", "license": "MIT", "shard_size": SHARD_BYTES, "card": False, **settings}
    return mlstac.write_parts(parts, URL, storage_options=options, **given)


def check_scenes(options, n, cache):
    """Complete, each sample once, in the order of the parts; and nothing is left of the way there."""
    wanted = [value for scene in range(n) for value in values_of(scene)]
    ds = mlstac.load(URL, framework="numpy", storage_options=options)
    assert [int(ds[number]["x"][0, 0, 0]) for number in range(len(ds))] == wanted
    assert [row["id"] for row in ds.metadata] == [f"s{value}" for value in wanted]
    statistics = ds.collection.to_dict()["item_assets"]["x"]["bands"][0]["statistics"]
    assert statistics["count"] == len(wanted) * 64
    assert statistics["mean"] == float(np.mean(wanted))
    ds.close()
    with Store(URL, storage_options=options) as store:
        assert not [name for name in store.list() if name.startswith(".mlstac")]
    assert not mlstac.gc(URL, older_than="0s", storage_options=options).files
    writing = cache / "mlstac" / "writing"
    assert not writing.exists() or not list(writing.iterdir())


def test_parts_in_processes_each_upload_their_own_shards(options, cache):
    parts = [partial(read_scene, number) for number in range(3)]
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        write(parts, options, executor=executor)
    check_scenes(options, 3, cache)
    assert mlstac.append(URL, list(read_scene(7)), storage_options=options, card=False).train.n_items > 0
    ds = mlstac.load(URL, framework="numpy", storage_options=options)
    assert int(ds[len(ds) - 1]["x"][0, 0, 0]) == list(values_of(7))[-1]
    ds.close()


def test_parts_one_after_another_and_in_threads_are_the_same_bytes(options):
    def stored():
        with Store(URL, storage_options=options) as store:
            return {name: there[:2] for name, there in store.list().items() if name.startswith("train/")}

    parts = [partial(read_scene, number) for number in range(3)]
    write(parts, options)
    alone = stored()
    with Store(URL, storage_options=options) as store:
        for name in store.list():
            store.remove(name)
    with ThreadPoolExecutor(3) as executor:
        write(parts, options, executor=executor)
    assert stored() == alone


def test_a_dask_worker_killed_while_writing_costs_nothing_but_its_part(options, tmp_path, cache):
    parts = [partial(read_scene, number) for number in range(4)]
    parts[1] = partial(read_scene_and_die_once, 1, marker=tmp_path / "died")
    with dask_client(tmp_path / "scratch") as client:
        pids = set(client.run(os.getpid).values())
        write(parts, options, executor=client.get_executor())
    assert int((tmp_path / "died").read_text()) in pids - {os.getpid()}
    check_scenes(options, 4, cache)


def test_what_failed_goes_on_from_another_machine(options, tmp_path, cache, monkeypatch):
    asked = []

    def first():
        asked.append("first")
        yield from read_scene(0)

    def failing():
        yield from list(read_scene(1))[:9]
        raise RuntimeError("the disk of the camera is gone")

    with pytest.raises(RuntimeError, match="camera"):
        write([first, failing], options)
    with Store(URL, storage_options=options) as store:
        before = store.list()
    assert "collection.json" not in before
    shards = {name: there for name, there in before.items() if name.endswith(".safetensors")}
    assert len(shards) > 2
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    write([first, partial(read_scene, 1)], options)
    with Store(URL, storage_options=options) as store:
        after = store.list()
    assert not [name for name in after if name.startswith(".mlstac")]
    assert {name: after[name] for name in shards if name.startswith("train/00001/")} == {
        name: there for name, there in shards.items() if name.startswith("train/00001/")
    }


def test_a_dataset_is_replaced_only_when_asked(options):
    parts = [partial(read_scene, 0)]
    write(parts, options)
    with pytest.raises(ExistsError, match="already holds a dataset"):
        write(parts, options)
    reader = mlstac.load(URL, framework="numpy", storage_options=options)
    write([partial(read_scene, 2)], options, overwrite=True)
    assert int(reader[0]["x"][0, 0, 0]) == next(iter(values_of(0)))
    reader.close()
    ds = mlstac.load(URL, framework="numpy", storage_options=options)
    assert [int(ds[number]["x"][0, 0, 0]) for number in range(len(ds))] == list(values_of(2))
    ds.close()


_HUB = """
import errno, os, signal, sys
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context

import mlstac
from mlstac.authoring._journal import Run
from mlstac.authoring._target import NewFile
from tests.authoring.scenes import read_scene, values_of
from tests.authoring.test_parts import SHARD_BYTES

URL = "hf://datasets/me/scenes"


def write(executor, n=3, **settings):
    parts = [partial(read_scene, number) for number in range(n)]
    given = dict(id="scenes", license="MIT", shard_size=SHARD_BYTES, card=False) | settings
    return mlstac.write_parts(parts, URL, executor=executor, **given)


def check(n):
    ds = mlstac.load(URL, framework="numpy")
    wanted = [value for scene in range(n) for value in values_of(scene)]
    assert [int(ds[number]["x"][0, 0, 0]) for number in range(len(ds))] == wanted
    assert [row["id"] for row in ds.metadata] == [f"s{value}" for value in wanted]
    ds.close()


def die_at_line(number):
    append = Run.append

    def dying(run, rows, record):
        if record.part is not None and len(run) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        append(run, rows, record)

    Run.append = dying


def no_links(number=errno.EPERM, *, winerror=None):
    # As exFAT, many network mounts and what FUSE shows: no file has two names.
    def refuse(source, target, **settings):
        error = OSError(number, os.strerror(number), source, None, target)
        if winerror is not None:  # as Windows has it: EINVAL for what has no number of its own
            error.winerror = winerror
        raise error

    os.link = refuse


def die_in_copy(number):
    # Half of a shard's copy is written, under its temporary name.
    write, begun = NewFile.write, []

    def dying(file, data):
        if file._path.suffix == ".safetensors" and ".mlstac" not in file._path.parts:  # no part's own
            begun.append(file)
            if len(begun) > number:
                write(file, data[: len(data) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
        write(file, data)

    NewFile.write = dying


class Elsewhere(Executor):
    # A worker that does not see the folders of this machine's user.

    def submit(self, work, /, *given, **named):
        done, cache = Future(), os.environ["XDG_CACHE_HOME"]
        os.rename(cache, cache + "-hidden")
        try:
            done.set_result(work(*given, **named))
        except Exception as error:
            done.set_exception(error)
        finally:
            os.rename(cache + "-hidden", cache)
        return done


exec(sys.argv[1])
"""


@pytest.fixture
def on_hub(hub, cache):
    """Run a line of a program that writes parts to the Hub."""

    def run(line, status=0):
        done = subprocess.run(
            [sys.executable, "-c", _HUB, line],
            env={**os.environ, **hub.environment, "XDG_CACHE_HOME": str(cache), "PYTHONPATH": os.getcwd()},
            capture_output=True,
            text=True,
            check=False,
            timeout=150,
        )
        assert done.returncode == status, done.stderr[-2000:]
        assert hub.token not in done.stdout + done.stderr
        return done.stderr

    return run


def test_parts_go_to_the_hub_by_one_commit(hub, on_hub, cache):
    on_hub("write(ProcessPoolExecutor(2, mp_context=get_context('spawn'))); check(3)")
    repository = hub.repositories["me/scenes"]
    assert len(repository.commits) == 2  # that of its making, and ours
    files = set(repository.commits[repository.refs["main"]])
    assert not [name for name in files if ".mlstac" in name]
    shards = sorted(name for name in files if name.endswith(".safetensors"))
    assert shards == [f"train/{number:05d}.safetensors" for number in range(len(shards))]
    assert not working_folders(cache)
    on_hub("write(ThreadPoolExecutor(2), 2, overwrite=True); check(2)")
    on_hub("mlstac.append(URL, list(read_scene(2)), card=False); check(3)")
    assert len(repository.commits) == 4


@pytest.mark.parametrize("line", [0, 3, 6])
def test_parts_for_the_hub_go_on_where_they_were_killed(hub, on_hub, cache, line):
    on_hub(f"die_at_line({line}); write(None)", status=-signal.SIGKILL)
    assert "me/scenes" not in hub.repositories
    [folder] = (cache / "mlstac" / "writing").iterdir()
    whole = {path.stat().st_ino for path in folder.glob("train/*.safetensors")}
    assert len(whole) == line + 1  # one of which the journal does not tell
    on_hub("write(ThreadPoolExecutor(2)); check(3)")
    assert len(hub.repositories["me/scenes"].commits) == 2
    assert not working_folders(cache)


@pytest.mark.parametrize("number", ["EPERM", "ENOTSUP", "ENOSYS", "EXDEV", "EINVAL, winerror=1", "EINVAL, winerror=50"])
def test_parts_for_the_hub_are_copied_where_no_file_has_two_names(hub, on_hub, cache, number):
    on_hub(f"no_links(errno.{number}); write(ThreadPoolExecutor(2)); check(3)")
    assert len(hub.repositories["me/scenes"].commits) == 2
    assert not working_folders(cache)


def test_copies_for_the_hub_go_on_where_they_were_killed(hub, on_hub, cache):
    on_hub("no_links(); die_in_copy(2); write(None)", status=-signal.SIGKILL)
    [folder] = (cache / "mlstac" / "writing").iterdir()
    names = sorted(path.name for path in (folder / "train").iterdir())
    assert names == [".00002.safetensors.mlstac-tmp", "00000.safetensors", "00001.safetensors"]
    assert "me/scenes" not in hub.repositories
    on_hub("no_links(); die_at_line(4); write(None)", status=-signal.SIGKILL)
    on_hub("no_links(); write(ThreadPoolExecutor(2)); check(3)")
    assert len(hub.repositories["me/scenes"].commits) == 2
    assert not working_folders(cache)


def test_an_argument_that_is_wrong_is_no_reason_to_copy(on_hub):
    assert "StorageError: linking " in on_hub("no_links(errno.EINVAL, winerror=87); write(None)", status=1)


def test_a_disk_that_is_full_is_no_reason_to_copy(hub, on_hub):
    said = on_hub("no_links(errno.ENOSPC); write(None)", status=1)
    assert "StorageError: linking " in said
    assert "free some space" in said
    on_hub("write(None); check(3)")


def test_a_worker_that_does_not_see_the_parts_for_the_hub_is_told_so(hub, on_hub):
    said = on_hub("write(Elsewhere())", status=1)
    assert "StorageError: hf://datasets/me/scenes: the Hub takes a dataset by one commit" in said
    assert "XDG_CACHE_HOME" in said
    on_hub("write(None); check(3)")
