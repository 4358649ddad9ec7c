"""Append, gc and rebuild where a dataset is published: on every kind of store, and two at once."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

import mlstac
from mlstac.authoring._depot import StoreDepot
from mlstac.authoring._remote import RemoteTarget
from mlstac.errors import AccessError, CatalogError, ChangedError, ExistsError, MissingFileError, ShardError
from mlstac.storage import Store
from tests.authoring.test_publish import host, samples  # noqa: F401 - a fixture

HERE = {"shard_size": "15kB", "card": False}  # pictures take longer than all else


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The user's cache, in which the working folders are."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@contextlib.contextmanager
def another_machine(monkeypatch, folder):
    """What runs inside has a cache of its own, as on another machine."""
    with monkeypatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(folder))
        yield


def named(start, stop):
    for number, sample in zip(range(start, stop), samples(start, stop), strict=True):
        yield mlstac.Sample(sample, id=f"chip-{number}")


def values(url, options, split="train"):
    ds = mlstac.load(url, split=split, framework="numpy", storage_options=options)
    try:
        return [int(ds[number]["image"][0, 0, 0]) for number in range(len(ds))]
    finally:
        ds.close()


def author(folder):
    """A dataset of several shards a split."""
    splits = {"train": samples(0, 9), "test": samples(100, 102)}
    mlstac.write(splits, folder, id="chips", license="CC-BY-4.0", **HERE)
    return folder


def append(host, some, **settings):  # noqa: F811
    return mlstac.append(host.url, some, storage_options=host.options, **(HERE | settings))


def working_folders(cache):
    return list((cache / "mlstac" / "writing").iterdir()) if (cache / "mlstac" / "writing").exists() else []


def test_an_append_adds_shards_and_parts_and_leaves_the_old_state_to_its_readers(host, tmp_path, cache):  # noqa: F811
    local = author(tmp_path / "chips")
    host.publish(local)
    reader = mlstac.load(host.url, framework="numpy", storage_options=host.options)
    before = host.store().list()
    host.gate.passed.clear()
    collection = append(host, {"train": samples(20, 29), "test": samples(60, 61)})
    mlstac.append(local, {"train": samples(20, 29), "test": samples(60, 61)}, **HERE)
    expected = mlstac.open(local)
    assert collection.to_dict()["item_assets"] == expected.to_dict()["item_assets"]
    assert (collection.version, collection.extent) == (expected.version, expected.extent)
    assert values(host.url, host.options) == [*range(9), *range(20, 29)]
    assert values(host.url, host.options, "test") == [100, 101, 60]
    assert [int(reader[number]["image"][0, 0, 0]) for number in range(len(reader))] == list(range(9))
    reader.close()
    after = host.store().list()
    for name, stored in before.items():
        if name.endswith((".parquet", ".safetensors")):
            assert after[name] == stored
            assert not any(name in path for path in host.uploads())
    assert host.uploads()[-1] == "collection.json"
    assert not working_folders(cache)


def test_a_second_append_goes_on_from_the_first(host, tmp_path):  # noqa: F811
    host.publish(author(tmp_path / "chips"))
    assert append(host, samples(20, 22)).version == "1.1.0"
    assert append(host, samples(30, 32), split="fresh").version == "1.2.0"
    assert values(host.url, host.options) == [*range(9), 20, 21]
    assert values(host.url, host.options, "fresh") == [30, 31]
    with pytest.raises(MissingFileError, match="holds no dataset"):
        mlstac.append(host.url + "-not", samples(0, 2), storage_options=host.options)


@pytest.mark.parametrize("call", [mlstac.gc, mlstac.rebuild, lambda *where, **how: mlstac.append(*where, [], **how)])
def test_where_no_dataset_is_no_connection_is_left(host, call, monkeypatch):  # noqa: F811
    open_stores = []
    begin, close = Store.__init__, Store.close
    monkeypatch.setattr(
        Store, "__init__", lambda self, *of, **how: (begin(self, *of, **how), open_stores.append(self))[0]
    )
    monkeypatch.setattr(Store, "close", lambda self: (close(self), open_stores.remove(self))[0])
    with pytest.raises(MissingFileError, match="holds no"):
        call(host.url + "-not", storage_options=host.options)
    assert not open_stores


def test_a_page_of_somebodys_own_stays_and_one_of_ours_is_written_anew(host, tmp_path):  # noqa: F811
    local = author(tmp_path / "chips")
    (local / "README.md").write_text("# chips\n")
    host.publish(local)
    with pytest.warns(UserWarning, match="stays as it is"):
        append(host, samples(20, 22), card=True)
    assert host.store().read("README.md") == b"# chips\n"
    url = host.url + "-2"
    mlstac.write(samples(0, 3), url, license="MIT", storage_options=host.options)
    mlstac.append(url, samples(3, 5), storage_options=host.options)
    with Store(url, storage_options=host.options) as store:
        page = store.read("README.md").decode()
    assert "5" in page
    assert url in page


_APPEND = """
import json, sys
import mlstac
from tests.authoring.test_grow_at_urls import named
from mlstac.authoring import _remote
url, options, start, stop = json.loads(sys.argv[1])
replace = _remote.RemoteTarget.replace_if

def together(target, name, data, *, expected):
    print("ready", flush=True)
    sys.stdin.readline()
    replace(target, name, data, expected=expected)

_remote.RemoteTarget.replace_if = together
try:
    mlstac.append(url, named(start, stop), shard_size="15kB", card=False, storage_options=options, progress=False)
    print("done")
except mlstac.errors.ChangedError as error:
    print("refused", error)
"""


@pytest.mark.parametrize("host", ["s3", "azure"], indirect=True)
def test_of_two_appends_at_once_one_is_refused_and_its_rerun_loses_nothing(host, tmp_path, monkeypatch):  # noqa: F811
    host.publish(author(tmp_path / "chips"))
    runs = {}
    for number, start in enumerate((20, 40)):  # two processes, each on a machine of its own, at the same time
        given = json.dumps([host.url, host.options, start, start + 9])
        environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / f"machine{number}"), "PYTHONPATH": os.getcwd()}
        runs[start] = subprocess.Popen(
            [sys.executable, "-c", _APPEND, given],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    said = {start: run.stdout.readline() for start, run in runs.items()}
    for start, run in runs.items():
        if said[start] == "ready\n":
            run.stdin.write("\n")
            run.stdin.flush()
    for start, run in runs.items():
        said[start] += run.communicate(timeout=100)[0]
    outcome = {start: words.replace("ready\n", "").split()[0] for start, words in said.items()}
    assert sorted(outcome.values()) == ["done", "refused"], said
    [won] = [start for start, word in outcome.items() if word == "done"]
    [lost] = [start for start, word in outcome.items() if word == "refused"]
    assert values(host.url, host.options) == [*range(9), *range(won, won + 9)]
    machine = tmp_path / f"machine{list(runs).index(lost)}"
    with another_machine(monkeypatch, machine):
        append(host, named(lost, lost + 9))
    assert values(host.url, host.options) == [*range(9), *range(won, won + 9), *range(lost, lost + 9)]


@pytest.mark.parametrize("host", ["s3", "azure", "gcs"], indirect=True)
def test_who_replaces_the_collection_just_before_is_not_written_over(host, tmp_path, monkeypatch):  # noqa: F811
    host.publish(author(tmp_path / "chips"))
    replace = RemoteTarget.replace_if
    before = []

    def late(target, name, data, *, expected):
        monkeypatch.setattr(RemoteTarget, "replace_if", replace)
        with another_machine(monkeypatch, tmp_path / "other"):
            append(host, named(40, 43))
        before.append(host.store().read("collection.json"))
        replace(target, name, data, expected=expected)

    monkeypatch.setattr(RemoteTarget, "replace_if", late)
    with pytest.raises(ChangedError, match="somebody else"):
        append(host, named(20, 23))
    assert host.store().read("collection.json") == before[0]
    assert values(host.url, host.options) == [*range(9), 40, 41, 42]
    append(host, named(20, 23))
    assert values(host.url, host.options) == [*range(9), 40, 41, 42, 20, 21, 22]


_KILLED = """
import json, os, signal, sys
import mlstac
from tests.authoring.test_grow_at_urls import named
url, options, after = json.loads(sys.argv[1])

def until_death():
    yield from named(20, 20 + after)
    os.kill(os.getpid(), signal.SIGKILL)

mlstac.append(url, until_death(), shard_size="7kB", card=False, storage_options=options, progress=False)
"""


@pytest.mark.parametrize("host", ["s3"], indirect=True)
@pytest.mark.parametrize("after", [1, 4, 9])
def test_a_killed_append_goes_on_after_its_last_whole_shard(host, tmp_path, after, cache):  # noqa: F811
    host.publish(author(tmp_path / "chips"))
    old = host.store().read("collection.json")
    died = subprocess.run(
        [sys.executable, "-c", _KILLED, json.dumps([host.url, host.options, after])],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        capture_output=True,
        check=False,
        timeout=100,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert host.store().read("collection.json") == old
    assert len(working_folders(cache)) == 1
    append(host, named(20, 30), shard_size="7kB")
    assert values(host.url, host.options) == [*range(9), *range(20, 30)]
    assert not working_folders(cache)
    assert not mlstac.gc(host.url, older_than="0s", storage_options=host.options).files  # nothing was written twice


def test_gc_names_and_then_removes_what_nothing_names_and_we_have_written(host, tmp_path, cache):  # noqa: F811
    host.publish(author(tmp_path / "chips"))
    mlstac.write(
        samples(50, 53), host.url, id="chips", license="MIT", overwrite=True, card=False, storage_options=host.options
    )
    with host.store() as store:
        store.put("train/notes.txt", b"mine")
        store.put("train/99999.safetensors", b"not ours")
        store.put("elsewhere/00000.safetensors", b"not ours")
        there = store.list()
    found = mlstac.gc(host.url, dry_run=True, older_than="0s", storage_options=host.options)
    assert host.store().list() == there
    assert {"train/00000.safetensors", "train/catalog-00000.parquet", "test/00000.safetensors"} <= set(found.files)
    assert found.files["train/00000.safetensors"] == there["train/00000.safetensors"].size
    assert not set(found.files) & {"train/notes.txt", "train/99999.safetensors", "elsewhere/00000.safetensors"}
    assert any("99999" in why for why in found.kept)
    done = mlstac.gc(host.url, older_than="0s", storage_options=host.options)
    assert done.files == found.files
    assert set(host.store().list()) == set(there) - set(found.files)
    assert values(host.url, host.options) == [50, 51, 52]
    assert not mlstac.gc(host.url, older_than="0s", storage_options=host.options).files
    assert not working_folders(cache)


@pytest.mark.parametrize("host", ["s3"], indirect=True)
def test_gc_keeps_a_broken_run_of_this_machine_unless_told_otherwise(host, tmp_path, cache):  # noqa: F811
    host.publish(author(tmp_path / "chips"))

    def broken():
        yield from named(20, 29)
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        append(host, broken())
    found = mlstac.gc(host.url, older_than="0s", storage_options=host.options)
    assert not found.files
    assert any("unfinished run" in why for why in found.kept)
    with another_machine(pytest.MonkeyPatch(), tmp_path / "cache"):
        removed = mlstac.gc(host.url, unfinished=True, storage_options=host.options)
    assert any(name.endswith(".safetensors") for name in removed.files)
    assert values(host.url, host.options) == list(range(9))
    assert not working_folders(cache)


@pytest.mark.parametrize("host", ["s3"], indirect=True)
def test_an_append_whose_shards_were_removed_meanwhile_is_refused(host, tmp_path):  # noqa: F811
    host.publish(author(tmp_path / "chips"))

    def robbed():
        yield from named(20, 29)
        with another_machine(pytest.MonkeyPatch(), tmp_path / "other"):
            assert mlstac.gc(host.url, older_than="0s", storage_options=host.options).files

    with pytest.raises(ChangedError, match="is not there any more"):
        append(host, robbed())
    append(host, named(20, 29))
    assert values(host.url, host.options) == [*range(9), *range(20, 29)]


def test_rebuild_makes_lost_catalogs_anew_and_replaces_the_collection(host, tmp_path, cache):  # noqa: F811
    host.publish(author(tmp_path / "chips"))
    append(host, samples(20, 22))
    with host.store() as store:
        store.remove("train/catalog-00001.parquet")
    done = mlstac.rebuild(host.url, card=False, storage_options=host.options)
    assert done.source == "shards"
    assert any("places" in words for words in done.lost)
    assert values(host.url, host.options) == [*range(9), 20, 21]
    again = mlstac.rebuild(host.url, card=False, storage_options=host.options)
    assert again.source == "catalogs"
    assert not again.lost
    assert not working_folders(cache)
    with host.store() as store:
        store.remove("train/00001.safetensors")
    with pytest.raises(MissingFileError, match=r"lacks 1 of its \d shards: train/00001\.safetensors; put back"):
        mlstac.rebuild(host.url, card=False, storage_options=host.options)
    with host.store() as store:
        store.remove(again.collection.assets[again.collection.train.assets[0]].href.removeprefix("./"))
    with pytest.raises(CatalogError, match="hold 7 samples"):
        mlstac.rebuild(host.url, card=False, storage_options=host.options)
    left = mlstac.rebuild(host.url, drop_missing=True, card=False, storage_options=host.options)
    assert "4 samples of split 'train', which no shard holds" in "\n".join(left.lost)
    assert len(values(host.url, host.options)) == left.collection.train.n_items == 7


@pytest.mark.parametrize("host", ["s3"], indirect=True)
def test_compressed_and_mixed_shapes_grow_too(host):  # noqa: F811
    def boxes(start, stop):
        for number in range(start, stop):
            yield {"boxes": np.full((number % 3 + 1, 4), number, np.float32), "image": np.full((3, 8, 8), number)}

    mlstac.write(
        boxes(0, 5), host.url, id="boxes", license="MIT", compression="zstd", card=False, storage_options=host.options
    )
    append(host, boxes(5, 9))
    ds = mlstac.load(host.url, framework="numpy", storage_options=host.options)
    for number in range(9):
        np.testing.assert_array_equal(ds[number]["boxes"], np.full((number % 3 + 1, 4), number, np.float32))
    ds.close()


@pytest.mark.parametrize("host", ["s3"], indirect=True)
def test_a_writer_at_work_on_this_machine_refuses_another_and_gc(host, tmp_path):  # noqa: F811
    host.publish(author(tmp_path / "chips"))

    def nested():
        yield from named(20, 22)
        for call in (
            lambda: append(host, named(30, 31)),
            lambda: mlstac.gc(host.url, older_than="0s", storage_options=host.options),
        ):
            with pytest.raises(ExistsError, match="another writer is at work"):
                call()

    append(host, nested())
    assert values(host.url, host.options) == [*range(9), 20, 21]


def test_a_store_without_conditions_grows_too(tmp_path):
    url = f"memory://grow-{tmp_path.name}"
    mlstac.write(samples(0, 5), url, id="chips", license="MIT")
    mlstac.append(url, samples(5, 9), card=False)
    assert values(url, None) == list(range(9))
    assert not mlstac.gc(url, older_than="0s").files
    assert mlstac.rebuild(url, card=False).source == "catalogs"


_HUB = """
import sys
import mlstac
from mlstac.authoring._depot import StoreDepot
from mlstac.authoring._remote import RemoteTarget
from tests.authoring.test_grow_at_urls import named, values
URL = "hf://datasets/me/chips"
mlstac.write({"train": named(0, 9), "test": named(100, 102)}, URL, license="MIT", shard_size="15kB")
mlstac.append(URL, named(20, 23), card=False)
assert values(URL, None) == [*range(9), 20, 21, 22], values(URL, None)
replace = RemoteTarget.replace_if

def late(target, name, data, *, expected):
    RemoteTarget.replace_if = replace
    import os
    here = os.environ["XDG_CACHE_HOME"]
    os.environ["XDG_CACHE_HOME"] = here + "-other"
    mlstac.append(URL, named(40, 42), card=False)
    os.environ["XDG_CACHE_HOME"] = here
    replace(target, name, data, expected=expected)

RemoteTarget.replace_if = late
try:
    mlstac.append(URL, named(30, 32), card=False)
    raise SystemExit("was not refused")
except mlstac.errors.ChangedError as error:
    print(error)
assert values(URL, None) == [*range(9), 20, 21, 22, 40, 41]
mlstac.append(URL, named(30, 32), card=False)
assert values(URL, None) == [*range(9), 20, 21, 22, 40, 41, 30, 31]
mlstac.write(named(0, 3), URL, license="MIT", overwrite=True, card=False)
assert not mlstac.gc(URL, older_than="1h").files
found = mlstac.gc(URL, dry_run=True)
assert mlstac.gc(URL, dry_run=True, older_than="1h").young == found.files
assert "train/00000.safetensors" in found.files, found.files
assert mlstac.gc(URL).files == found.files
assert not mlstac.gc(URL).files
assert values(URL, None) == [0, 1, 2]
assert mlstac.rebuild(URL, card=False).source == "catalogs"
"""


_HUB_REFUSED = """
import traceback
import mlstac
from tests.authoring.test_grow_at_urls import named
URL = "hf://datasets/me/chips"
try:
    mlstac.append(URL, named(20, 23), card=False, storage_options={"token": "hf_very_secret"})
except mlstac.errors.StorageError as error:
    print(type(error).__name__, error)
    traceback.print_exc()
"""


@pytest.mark.parametrize(
    ("status", "cut", "error"),
    [(403, None, "AccessError"), (404, None, "MissingFileError"), (200, 10, "UnavailableError")],
)
@pytest.mark.parametrize("name", ["test/00000.safetensors", "train/00000.safetensors"])
def test_a_file_of_the_hub_that_stops_being_read_is_an_error_of_ours(hub, tmp_path, cache, name, status, cut, error):
    folder = author(tmp_path / "chips")
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
    hub.put("me/chips", {path: data for path, data in files.items() if not path.startswith(".")})
    commit = hub.repositories["me/chips"].refs["main"]
    hub.fail(f"/cdn/{hub.repositories['me/chips'].commits[commit][name].oid}", status, times=99, cut=cut)
    done = subprocess.run(
        [sys.executable, "-c", _HUB_REFUSED],
        env={**os.environ, **hub.environment, "HF_TOKEN": "", "XDG_CACHE_HOME": str(cache), "PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith(f"{error} reading {hub.url}/datasets/me/chips/resolve/{commit}/{name}: ")
    assert "uploaded" not in done.stdout
    assert "Traceback" in done.stderr
    for secret in ("hf_very_secret", "Signature"):
        assert secret not in done.stdout + done.stderr


def test_the_hub_takes_each_change_as_one_commit_that_follows_the_one_seen(hub, cache):
    done = subprocess.run(
        [sys.executable, "-c", _HUB],
        env={**os.environ, **hub.environment, "XDG_CACHE_HOME": str(cache), "PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "412" in done.stdout
    assert "somebody else has put a commit there" in done.stdout
    # the first of the repository; write, three appends, overwrite, gc, rebuild
    assert len(hub.repositories["me/chips"].commits) == 8
    assert not working_folders(cache)


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_an_append_reads_the_shards_of_train_and_no_more_than_headers_of_others(tmp_path, monkeypatch, compression):
    def boxes(start, stop):
        for number in range(start, stop):
            yield {"boxes": np.full((number % 3 + 1, 4), number, np.float32), "image": np.full((3, 24, 24), number)}

    splits = {"train": boxes(0, 5), "test": boxes(5, 9), "validation": boxes(9, 11)}
    local, url = tmp_path / "boxes", f"memory://read-{tmp_path.name}/boxes"
    mlstac.write(splits, local, id="boxes", license="MIT", compression=compression, **HERE)
    mlstac.publish(local, url)
    fetched, fetch = [], StoreDepot.fetch
    monkeypatch.setattr(
        StoreDepot, "fetch", lambda depot, name, path: (fetched.append(name), fetch(depot, name, path))[1]
    )
    there = mlstac.append(url, {"train": boxes(20, 22), "test": boxes(22, 24)}, **HERE).to_dict()
    shards = {name for name in fetched if ".safetensors" in name}
    assert shards
    assert all(name.startswith("train/") for name in shards)
    here = mlstac.append(local, {"train": boxes(20, 22), "test": boxes(22, 24)}, **HERE).to_dict()
    assert there["item_assets"] == here["item_assets"]
    assert there["ml:tensors"] == here["ml:tensors"]
    ds = mlstac.load(url, split="test", framework="numpy")
    for at, number in enumerate([*range(5, 9), 22, 23]):
        np.testing.assert_array_equal(ds[at]["boxes"], np.full((number % 3 + 1, 4), number, np.float32))
    ds.close()


def test_a_header_that_is_not_of_its_shard_refuses_the_append(tmp_path):
    mlstac.write({"train": samples(0, 3), "test": samples(3, 6)}, tmp_path / "a", id="a", license="MIT", **HERE)
    shutil.rmtree(tmp_path / "a" / ".mlstac")
    shard = tmp_path / "a" / "test" / "00000.safetensors"
    shard.write_bytes(b"\xff" * shard.stat().st_size)
    with pytest.raises(ShardError, match=r"test/00000\.safetensors"):
        mlstac.append(tmp_path / "a", samples(6, 8), **HERE)


def test_a_header_that_may_not_be_read_is_an_error_of_ours(host, tmp_path):  # noqa: F811
    host.publish(author(tmp_path / "chips"))
    there = host.store().list()
    # Of Azure and Google opening asks for what is known of the file, which is allowed.
    host.gate.fail("GET", r"test/00000\.safetensors(\?alt=media| |$)", 403, code="AccessDenied")
    with pytest.raises(AccessError, match=r"reading .*test/00000\.safetensors: access refused"):
        append(host, named(20, 22))
    assert host.store().list() == there
