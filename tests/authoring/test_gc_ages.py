"""What is young at a store is left: a writer on another machine may be about to name it."""

import os
import time
import uuid
from datetime import UTC, datetime, timedelta
from functools import partial

import fsspec
import pytest

import mlstac
from mlstac.errors import AccessError, InvalidArgumentError, MissingFileError
from mlstac.storage import Store
from tests.authoring.scenes import read_scene, values_of
from tests.authoring.test_gc import broken_off, files
from tests.authoring.test_grow_at_urls import another_machine, author, values
from tests.authoring.test_grow_at_urls import named as chips
from tests.authoring.test_parts import SHARD_BYTES
from tests.authoring.test_publish import host, samples  # noqa: F401 - a fixture

DAY = 86_400


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def later(monkeypatch):
    """Have some days go by."""

    def go(days):
        monkeypatch.setattr("mlstac.authoring._age.NOW", lambda: time.time() + days * DAY)

    return go


@pytest.fixture
def url():
    return f"memory://{uuid.uuid4().hex}/scenes"


def age(url, name, days):
    """Have a file of the store in memory be older than it is."""
    filesystem = fsspec.filesystem("memory")
    filesystem.store[filesystem._strip_protocol(f"{url}/{name}")].created = datetime.now(UTC) - timedelta(days)


def list_files(url):
    with Store(url) as store:
        return set(store.list())


def test_an_append_elsewhere_in_its_last_moment_loses_nothing(host, tmp_path, monkeypatch):  # noqa: F811
    host.publish(author(tmp_path / "chips"))
    before = set(host.store().list())
    with another_machine(monkeypatch, tmp_path / "other"):
        writer = mlstac.Writer(host.url, append=True, shard_size="15kB", card=False, storage_options=host.options)
        writer.__enter__()
        for sample in chips(20, 40):
            writer.add(sample)
    uploaded = set(host.store().list()) - before
    assert uploaded
    found = mlstac.gc(host.url, storage_options=host.options)
    assert not found.files
    assert set(found.young) >= uploaded  # one may have come since
    assert f"{len(found.young)} file" in found.kept[0]
    assert "younger than 1 day" in found.kept[0]
    assert set(host.store().list()) >= before | uploaded
    with another_machine(monkeypatch, tmp_path / "other"):
        writer.close()
    assert values(host.url, host.options) == [*range(9), *range(20, 40)]


def test_what_was_superseded_goes_when_it_is_a_day_old(host, tmp_path, later):  # noqa: F811
    host.publish(author(tmp_path / "chips"))
    mlstac.write(
        samples(50, 53), host.url, id="chips", license="MIT", overwrite=True, card=False, storage_options=host.options
    )
    young = mlstac.gc(host.url, dry_run=True, storage_options=host.options).young
    assert "train/00000.safetensors" in young
    later(0.9)
    assert not mlstac.gc(host.url, storage_options=host.options).files
    later(1.1)
    assert not mlstac.gc(host.url, older_than="2d", storage_options=host.options).files
    assert mlstac.gc(host.url, storage_options=host.options).files == young
    assert values(host.url, host.options) == [50, 51, 52]


def broken_parts(url, *, whole=1, options=None):
    """Parts that broke off on a machine that is gone."""

    def failing():
        yield from list(read_scene(whole))[:9]
        raise RuntimeError("the disk of the camera is gone")

    parts = [partial(read_scene, number) for number in range(whole)]
    with pytest.raises(RuntimeError, match="camera"):
        write_parts(url, [*parts, failing], options=options)


def write_parts(url, parts, *, options=None):
    return mlstac.write_parts(
        parts,
        url,
        id="scenes",
        license="MIT",
        shard_size=SHARD_BYTES,
        card=False,
        overwrite=True,
        storage_options=options,
    )


@pytest.fixture
def lost(url, tmp_path, monkeypatch):
    """A dataset with parts beside it that broke off on a machine that is gone: its files, theirs, their shards."""
    mlstac.write(read_scene(9), url, license="MIT", card=False)
    whole = list_files(url)
    with another_machine(monkeypatch, tmp_path / "lost"):
        broken_parts(url)
    there = list_files(url) - whole
    return whole, there, {name for name in there if name.endswith(".safetensors")}


def test_parts_that_nobody_goes_on_with_go_with_their_journals_when_all_of_them_are_old(url, lost):
    whole, there, shards = lost
    journal = {name for name in there if name.startswith(".mlstac/parts/")}
    assert len(journal) > 1
    assert len(shards) > 2
    found = mlstac.gc(url)
    assert not found.files
    assert set(found.young) == there
    assert list_files(url) == there | whole

    for name in there - {max(journal)}:  # one line was written just now: the worker goes on
        age(url, name, 3)
    told = {name for name in shards if name.startswith("train/00001/")}
    mlstac.gc(url)
    assert told
    assert list_files(url) == journal | told | whole

    age(url, max(journal), 2)
    mlstac.gc(url)
    assert list_files(url) == whole
    write_parts(url, [partial(read_scene, number) for number in range(2)])
    ds = mlstac.load(url, framework="numpy")
    assert [int(sample["x"][0, 0, 0]) for sample in ds] == [*values_of(0), *values_of(1)]
    ds.close()


def test_parts_of_this_machine_are_kept_until_they_are_given_up(url, later):
    mlstac.write(read_scene(9), url, license="MIT", card=False)
    whole = list_files(url)
    broken_parts(url)
    there = list_files(url)
    later(9)
    found = mlstac.gc(url)
    assert not found.files
    assert "an unfinished run" in found.kept[0]
    assert list_files(url) == there
    later(0)
    assert set(mlstac.gc(url, unfinished=True).files) >= there - whole
    assert list_files(url) == whole


@pytest.mark.parametrize("host", ["s3"], indirect=True)
def test_a_journal_that_cannot_be_read_takes_no_shard_with_it(host, later):  # noqa: F811
    mlstac.write(read_scene(9), host.url, license="MIT", card=False, storage_options=host.options)
    broken_parts(host.url, options=host.options)
    there = set(host.store().list())
    later(9)
    host.gate.fail("GET", r"\.mlstac/parts/.*\.parquet", 403, code="AccessDenied")
    with pytest.raises(AccessError, match=r"reading .*\.parquet: access refused"):
        mlstac.gc(host.url, storage_options=host.options)
    assert set(host.store().list()) == there


@pytest.mark.parametrize("name", ["train/00000.safetensors", "train/catalog-00000.parquet", "old/catalog.json"])
@pytest.mark.parametrize("host", ["s3"], indirect=True)
def test_a_file_that_cannot_be_read_is_neither_ours_nor_anybody_elses(host, name):  # noqa: F811
    splits = {"train": read_scene(9), "old": read_scene(8)}
    mlstac.write(splits, host.url, license="MIT", card=False, storage_options=host.options)
    mlstac.write(read_scene(7), host.url, license="MIT", card=False, overwrite=True, storage_options=host.options)
    there = set(host.store().list())
    assert name in mlstac.gc(host.url, older_than="0s", dry_run=True, storage_options=host.options).files
    host.gate.fail("GET", name.replace(".", r"\."), 403, code="AccessDenied")
    with pytest.raises(AccessError, match=f"reading .*{name}: access refused"):
        mlstac.gc(host.url, older_than="0s", storage_options=host.options)
    assert set(host.store().list()) == there


def test_a_shard_that_is_younger_than_the_journals_that_tell_of_it_stays(url, lost):
    whole, there, shards = lost
    for name in there - shards:
        age(url, name, 3)
    found = mlstac.gc(url)  # the names may be a new writer's, whose line is not there yet
    assert set(found.files) == there - shards
    assert set(found.young) == shards
    assert list_files(url) == whole | shards


@pytest.mark.parametrize("data", [b"", b"PAR1" + bytes(50) + b"PAR1", b"no table"])
def test_what_only_has_the_name_of_a_journals_line_tells_of_nothing(url, data):
    mlstac.write(read_scene(9), url, license="MIT", card=False)
    whole = list_files(url)
    line = ".mlstac/parts/0123456789abcdef/00000/00000/000000.parquet"
    with Store(url) as store:
        store.put(line, data)
    assert set(mlstac.gc(url, older_than="0s").files) == {line}
    assert list_files(url) == whole


def test_the_first_parts_of_a_dataset_that_never_was_go_too(url, tmp_path, monkeypatch):
    with another_machine(monkeypatch, tmp_path / "lost"):
        broken_parts(url, whole=0)
    assert list_files(url)
    mlstac.gc(url, older_than="0s")
    assert not list_files(url)
    with pytest.raises(MissingFileError, match="holds no dataset"):
        mlstac.gc(url)


def test_a_gc_of_parts_that_was_broken_off_leaves_nothing_that_nobody_finds(url, tmp_path, monkeypatch):
    for after in range(99):
        place = f"{url}-{after}"
        with another_machine(monkeypatch, tmp_path / "lost"):
            broken_parts(place, whole=0)
        try:
            with broken_off(Store, monkeypatch, after):
                mlstac.gc(place, older_than="0s")
        except KeyboardInterrupt:
            assert list_files(place)
        else:
            break
        mlstac.gc(place, older_than="0s")
        assert not list_files(place)
    assert after > 3


def test_shards_at_a_store_are_named_where_there_is_neither_collection_nor_journal(url):
    mlstac.write(read_scene(9), url, license="MIT", card=False)
    with Store(url) as store:
        store.remove("collection.json")
    there = list_files(url)
    found = mlstac.gc(url, older_than="0s")
    assert not found.files
    assert any(line.startswith("train/00000.safetensors, for there is no collection.json") for line in found.kept)
    assert list_files(url) == there


def test_a_call_goes_on_where_its_parts_were_taken_from_it(url, tmp_path, monkeypatch):
    mlstac.write(read_scene(9), url, license="MIT", card=False)
    whole = list_files(url)
    broken_parts(url, whole=2)
    with another_machine(monkeypatch, tmp_path / "other"):
        mlstac.gc(url, older_than="0s")
    assert list_files(url) == whole
    write_parts(url, [partial(read_scene, number) for number in range(3)])
    ds = mlstac.load(url, framework="numpy")
    assert [int(sample["x"][0, 0, 0]) for sample in ds] == [value for scene in range(3) for value in values_of(scene)]
    ds.close()


def test_a_journal_that_was_copied_along_goes_when_it_is_old_and_its_shards_stay(url, tmp_path, later):
    author(tmp_path / "chips")
    fsspec.filesystem("memory").put(str(tmp_path / "chips"), url.removeprefix("memory:/"), recursive=True)
    with Store(url) as store:
        store.put(".mlstac/notes.txt", b"mine")
        store.put(".mlstac/journal/00000/notes.txt", b"mine")
    there = list_files(url)
    copied = {name for name in there if name.startswith(".mlstac/journal/") and not name.endswith(".txt")}
    assert copied
    assert set(mlstac.gc(url).young) == copied
    later(2)
    assert set(mlstac.gc(url).files) == copied
    assert list_files(url) == there - copied
    assert values(url, None) == list(range(9))


def test_an_unfinished_append_here_is_not_touched_by_a_journal_of_the_same_name_there(url, tmp_path):
    author(tmp_path / "chips")
    fsspec.filesystem("memory").put(str(tmp_path / "chips"), url.removeprefix("memory:/"), recursive=True)

    def broken():
        yield from chips(20, 29)
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        mlstac.append(url, broken(), shard_size="15kB", card=False)
    assert any(name.endswith("00000/run.json") for name in mlstac.gc(url, older_than="0s").files)
    skipped = []

    def rest(skip):
        skipped.append(skip)
        return chips(20 + skip, 29)

    mlstac.append(url, rest, shard_size="15kB", card=False)
    assert skipped[0] > 0
    assert values(url, None) == [*range(9), *range(20, 29)]


def test_files_of_which_a_store_does_not_tell_the_age_are_left(url, monkeypatch):
    mlstac.write(chips(0, 5), url, license="MIT", card=False)
    mlstac.write(chips(5, 9), url, license="MIT", card=False, overwrite=True)
    monkeypatch.setattr("mlstac.storage._store.time_of", lambda info: None)
    assert mlstac.gc(url, older_than="1s").young
    assert mlstac.gc(url, older_than="0s").files
    assert values(url, None) == list(range(5, 9))


def test_a_folder_has_no_age_unless_it_is_asked_for_one(tmp_path):
    path = tmp_path / "a"
    for start in (0, 6):
        mlstac.write(chips(start, start + 6), path, id="x", license="MIT", card=False, overwrite=start > 0)
    old = "train/catalog-00000.parquet"
    os.utime(path / old, (time.time() - 8 * DAY,) * 2)
    found = mlstac.gc(path, older_than=timedelta(days=7))
    assert set(found.files) == {old}
    assert "train/00000.safetensors" in found.young
    assert "younger than 7 days" in found.kept[0]
    assert "train/00000.safetensors" in files(path)
    assert set(mlstac.gc(path).files) == set(found.young)
    assert values(path, None) == list(range(6, 12))


@pytest.mark.parametrize("age", ["7", "d", "7 years", "-1d", "1d2h", "", 7, 7.0, timedelta(-1), "1e9d", "9999999999w"])
def test_an_age_is_a_number_with_a_unit(tmp_path, age):
    with pytest.raises(InvalidArgumentError, match="older_than="):
        mlstac.gc(tmp_path, older_than=age)
