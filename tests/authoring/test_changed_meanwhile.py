"""A dataset at a URL that somebody on another machine changes while it is written to here: nothing is lost."""

import shutil
import uuid

import fsspec
import numpy as np
import pytest

import mlstac
from mlstac.authoring._depot import StoreDepot
from mlstac.errors import ChangedError
from mlstac.storage import Store

HERE = {"shard_size": "15kB", "card": False}
MOMENTS = {
    "after it was first looked at": (1, "after"),
    "after the files were listed": (1, "before"),
    "after it was read": (2, "after"),
}
"""When the collection changes: how often an append has read it by then."""


def named(start, stop):
    for number in range(start, stop):
        yield mlstac.Sample({"image": np.full((3, 24, 24), number, np.uint16)}, id=f"chip-{number}")


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """Go to another machine, whose cache has the working folders of its own writers alone."""

    def go(name):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))

    go("here")
    return go


@pytest.fixture
def url(tmp_path):
    """A dataset at a store that cannot refuse a put, copied there with its journal."""
    url = f"memory://{uuid.uuid4().hex}/chips"
    mlstac.write(named(0, 9), tmp_path / "chips", id="chips", license="CC-BY-4.0", **HERE)
    fsspec.filesystem("memory").put(str(tmp_path / "chips"), url.removeprefix("memory:/"), recursive=True)
    shutil.rmtree(tmp_path / "chips")
    return url


def values(url, split="train"):
    ds = mlstac.load(url, split=split, framework="numpy")
    try:
        return [int(ds[number]["image"][0, 0, 0]) for number in range(len(ds))]
    finally:
        ds.close()


def test_a_journal_that_was_copied_along_is_left_alone(url):
    mlstac.append(url, named(9, 12), **HERE)
    assert values(url) == list(range(12))
    assert mlstac.rebuild(url, card=False).source == "catalogs"
    with Store(url) as store:
        assert ".mlstac/journal/00000/run.json" in store.list()


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_append_is_of_the_state_that_it_read_or_is_refused(url, monkeypatch, machine, moment):
    read, readings = StoreDepot.read, []

    def change(name, now):
        if name == "collection.json" and now == MOMENTS[moment]:
            monkeypatch.setattr(StoreDepot, "read", read)
            machine("there")
            mlstac.append(url, named(100, 103), split="fresh", **HERE)
            machine("here")

    def read_and_change(depot, name):
        change(name, (len(readings), "before"))
        found = read(depot, name)
        readings.append(name)
        change(name, (len(readings), "after"))
        return found

    monkeypatch.setattr(StoreDepot, "read", read_and_change)
    if moment == "after it was read":
        with pytest.raises(ChangedError, match="somebody else"):
            mlstac.append(url, named(9, 12), **HERE)
        assert values(url) == list(range(9))
    mlstac.append(url, named(9, 12), **HERE)
    assert values(url) == list(range(12))
    assert values(url, "fresh") == [100, 101, 102]


def test_a_rebuild_does_not_undo_what_came_while_it_read_the_shards(url, monkeypatch, machine):
    fetch, fetched = StoreDepot.fetch, []

    def fetch_and_change(depot, name, path):
        if not fetched:
            fetched.append(name)
            machine("there")
            mlstac.append(url, named(100, 103), split="fresh", **HERE)
            machine("here")
        fetch(depot, name, path)

    with monkeypatch.context() as patched:
        patched.setattr(StoreDepot, "fetch", fetch_and_change)
        with pytest.raises(ChangedError, match="make the same call again"):
            mlstac.rebuild(url, card=False)
    assert fetched
    assert values(url, "fresh") == [100, 101, 102]
    mlstac.rebuild(url, card=False)
    assert values(url) == list(range(9))
    assert values(url, "fresh") == [100, 101, 102]


def test_gc_removes_nothing_of_an_append_that_ends_while_it_looks(url, monkeypatch, machine):
    with mlstac.Writer(url, append=True, shard_size="15kB", card=False) as writer:
        for sample in named(50, 70):
            writer.add(sample)
        look, looked = StoreDepot.open, []

        def look_and_end(depot, name):
            if not looked:
                looked.append(name)
                writer.close()
            return look(depot, name)

        monkeypatch.setattr(StoreDepot, "open", look_and_end)
        machine("there")
        with pytest.raises(ChangedError, match="nothing is removed"):
            mlstac.gc(url, older_than="0s")
    assert looked
    assert values(url) == [*range(9), *range(50, 70)]
    assert all(name.startswith(".mlstac/") for name in mlstac.gc(url, older_than="0s").files)


def test_shards_that_take_one_name_at_once_are_kept_apart_without_conditions_too(url, machine):
    def as_another_begins():
        machine("here")
        mlstac.append(url, named(50, 60), **HERE)
        machine("there")
        yield from named(70, 80)

    machine("there")
    with pytest.raises(ChangedError, match="somebody else has put another file there"):
        mlstac.append(url, as_another_begins(), **HERE)
    assert values(url) == [*range(9), *range(50, 60)]
    mlstac.append(url, named(70, 80), **HERE)
    assert values(url) == [*range(9), *range(50, 60), *range(70, 80)]
