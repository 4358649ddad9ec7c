"""Publishing where something is already: a page of somebody's own, an older state, another publisher."""

import json
import uuid

import fsspec
import numpy as np
import pytest

import mlstac
import mlstac.authoring._publish as publishing
from mlstac.errors import ChangedError, ExistsError
from mlstac.storage import Store
from tests.authoring.test_publish import samples
from tests.servers.plugin import azure_connection


def author(folder, *, count=9, seed=0, id="chips"):
    """A dataset of several shards, with a card of mlstac's."""
    mlstac.write(samples(seed, seed + count), folder, id=id, license="CC-BY-4.0", shard_size="15kB")
    return folder


@pytest.fixture(params=["s3", "azure"])
def place(request):
    folder = uuid.uuid4().hex[:8]
    if request.param == "s3":
        return f"s3://bucket/{folder}", request.getfixturevalue("moto_s3")
    return f"az://container/{folder}", {"connection_string": azure_connection(request.getfixturevalue("azurite"))}


@pytest.fixture
def s3(moto_s3):
    return f"s3://bucket/{uuid.uuid4().hex[:8]}", moto_s3


@pytest.fixture
def memory():
    """A store that tells no digest of its files."""
    url = f"memory://{uuid.uuid4().hex}/chips"
    yield url
    fsspec.filesystem("memory").rm(url, recursive=True)


def values(dataset):
    return [int(dataset[number]["image"][0, 0, 0]) for number in range(len(dataset))]


def test_a_page_of_somebodys_own_stays(s3, tmp_path):
    url, options = s3
    with Store(url, storage_options=options) as store:
        store.put("README.md", b"# Of my own\n")
        with pytest.warns(UserWarning, match=r"README\.md at s3://bucket/.* stays as it is"):
            done = mlstac.publish(author(tmp_path / "chips"), url, storage_options=options)
        assert store.read("README.md") == b"# Of my own\n"
        assert {file.name: file.action for file in done.files}["README.md"] == "keep"
        store.remove("README.md")
        done = mlstac.publish(tmp_path / "chips", url, storage_options=options)
        assert [file.name for file in done.uploads] == ["README.md", "collection.json"]
        assert store.read("README.md") == (tmp_path / "chips" / "README.md").read_bytes()


def test_a_store_without_digests_is_compared_by_what_the_dataset_there_says(memory, tmp_path):
    folder = author(tmp_path / "chips")
    mlstac.publish(folder, memory)
    reader = mlstac.load(memory, framework="numpy")
    mlstac.append(folder, samples(9, 12))
    done = mlstac.publish(folder, memory)
    new = {file.name for file in done.uploads if file.name.endswith((".safetensors", ".parquet"))}
    assert new == {"train/00003.safetensors", "train/catalog-00001.parquet"}
    assert values(reader) == list(range(9))
    assert values(mlstac.load(memory, framework="numpy")) == list(range(12))


def test_other_contents_under_the_same_name_are_refused_without_digests_too(memory, tmp_path):
    mlstac.publish(author(tmp_path / "chips"), memory)
    with pytest.raises(ExistsError, match=r"train/00000\.safetensors"):
        mlstac.publish(author(tmp_path / "others", seed=30), memory)
    assert values(mlstac.load(memory, framework="numpy")) == list(range(9))


def test_leftovers_that_no_dataset_names_are_in_nobodys_way(s3, tmp_path):
    url, options = s3
    folder = author(tmp_path / "chips")
    mlstac.publish(folder, url, storage_options=options)
    with Store(url, storage_options=options) as store:
        store.put("train/00003.safetensors", b"of an upload that broke off")
    mlstac.append(folder, samples(9, 12))
    mlstac.publish(folder, url, storage_options=options)
    assert values(mlstac.load(url, framework="numpy", storage_options=options)) == list(range(12))


def test_a_dataset_that_is_replaced_under_other_names_can_be_loaded_throughout(s3, tmp_path, monkeypatch):
    url, options = s3
    folder = author(tmp_path / "chips")
    mlstac.publish(folder, url, storage_options=options)
    reader = mlstac.load(url, framework="numpy", storage_options=options)
    mlstac.write(samples(40, 49), folder, id="chips", license="MIT", shard_size="15kB", overwrite=True)
    seen = []
    send = Store.send

    def look(store, name, *arguments, **settings):
        seen.append(store.size("collection.json"))
        return send(store, name, *arguments, **settings)

    monkeypatch.setattr(Store, "send", look)
    mlstac.publish(folder, url, storage_options=options, overwrite=True)
    assert len(seen) > 4
    assert None not in seen
    assert values(reader) == list(range(9))
    assert values(mlstac.load(url, framework="numpy", storage_options=options)) == list(range(40, 49))


def test_new_files_go_before_the_old_collection_is_taken_down(s3, tmp_path, monkeypatch):
    url, options = s3
    mlstac.publish(author(tmp_path / "chips"), url, storage_options=options)
    seen = {}
    send = Store.send

    def look(store, name, *arguments, **settings):
        seen[name] = store.size("collection.json") is not None
        return send(store, name, *arguments, **settings)

    monkeypatch.setattr(Store, "send", look)
    mlstac.publish(author(tmp_path / "others", seed=30, count=20), url, storage_options=options, overwrite=True)
    assert seen["train/00004.safetensors"]
    assert not seen["train/00000.safetensors"]
    assert values(mlstac.load(url, framework="numpy", storage_options=options)) == list(range(30, 50))


def test_a_name_that_was_free_is_not_written_over(place, tmp_path):
    url, options = place
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "theirs").write_bytes(b"not")
    with Store(url, storage_options=options) as store:
        store.send("a", tmp_path / "theirs", new=True)
        with pytest.raises(ChangedError, match=r"somebody else has put another file there"):
            store.send("a", tmp_path / "mine", new=True)
        assert store.read("a") == b"not"
        store.send("a", tmp_path / "theirs", new=True)  # as after an answer that was lost
        store.send("a", tmp_path / "mine")
        assert store.read("a") == b"mine"


def test_of_two_publishers_at_once_one_is_refused_and_nothing_is_mixed(s3, tmp_path, monkeypatch):
    url, options = s3
    first, second = author(tmp_path / "first"), author(tmp_path / "second", seed=30)
    send = publishing._send

    def meanwhile(*arguments):
        monkeypatch.setattr(publishing, "_send", send)
        mlstac.publish(second, url, storage_options=options)
        return send(*arguments)

    monkeypatch.setattr(publishing, "_send", meanwhile)
    with pytest.raises(ChangedError):
        mlstac.publish(first, url, storage_options=options)
    assert values(mlstac.load(url, framework="numpy", storage_options=options)) == list(range(30, 39))


def test_a_collection_that_changed_meanwhile_is_left_as_it_is(s3, tmp_path, monkeypatch):
    url, options = s3
    folder = author(tmp_path / "chips")
    mlstac.publish(folder, url, storage_options=options)
    mlstac.append(folder, samples(9, 12))
    edited = json.dumps(json.loads((folder / "collection.json").read_text()) | {"title": "Edited there"}).encode()
    send = publishing._send

    def meanwhile(root, store, *arguments):
        store.put("collection.json", edited)
        return send(root, store, *arguments)

    monkeypatch.setattr(publishing, "_send", meanwhile)
    with pytest.raises(ChangedError, match=r"collection\.json was changed by somebody else meanwhile"):
        mlstac.publish(folder, url, storage_options=options)
    with Store(url, storage_options=options) as store:
        assert store.read("collection.json") == edited


def test_the_url_of_the_collection_is_that_of_its_folder(memory, tmp_path):
    done = mlstac.publish(author(tmp_path / "chips"), f"{memory}/collection.json")
    assert done.url == memory
    assert values(mlstac.load(memory, framework="numpy")) == list(range(9))


def test_straight_writing_over_a_dataset_leaves_its_readers_alone(s3, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    url, options = s3
    settings = {"license": "MIT", "shard_size": "15kB", "storage_options": options}
    mlstac.write(samples(0, 9), url, **settings)
    reader = mlstac.load(url, framework="numpy", storage_options=options)
    mlstac.write(samples(40, 49), url, overwrite=True, **settings)
    assert values(reader) == list(range(9))
    assert values(mlstac.load(url, framework="numpy", storage_options=options)) == list(range(40, 49))


def test_a_download_leaves_a_page_of_the_users_own(memory, tmp_path):
    mlstac.publish(author(tmp_path / "chips"), memory)
    home = tmp_path / "home"
    home.mkdir()
    (home / "README.md").write_text("# My notes\n")
    with pytest.warns(UserWarning, match=r"README\.md was there before the dataset"):
        mlstac.download(memory, home)
    assert (home / "README.md").read_text() == "# My notes\n"
    np.testing.assert_array_equal(mlstac.load(home, framework="numpy")[4]["image"], np.full((3, 24, 24), 4, np.uint16))


def test_a_download_does_not_take_the_place_of_samples_that_were_added_here(memory, tmp_path):
    folder = author(tmp_path / "chips")
    mlstac.publish(folder, memory)
    mlstac.download(memory, folder)  # the same state: nothing to lose
    mlstac.append(folder, samples(9, 12))
    with pytest.raises(ExistsError, match=r"another state of it; give another folder"):
        mlstac.download(memory, folder)
    assert values(mlstac.load(folder, framework="numpy")) == list(range(12))


def test_a_relative_path_leaves_no_folder_of_a_call_that_was_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(mlstac.errors.InvalidArgumentError, match="no sample"):
        mlstac.write([], "out", license="MIT")
    assert not list(tmp_path.iterdir())


def test_the_card_says_where_the_dataset_is_published(memory, tmp_path):
    folder = author(tmp_path / "chips")
    mlstac.card(folder)
    before = (folder / "README.md").read_text()
    mlstac.publish(folder, memory, dry_run=True)
    assert (folder / "README.md").read_text() == before
    mlstac.publish(folder, f"{memory}/")
    page = (folder / "README.md").read_text()
    assert f'ds = mlstac.load("{memory}", split="train", framework="torch")\n' in page
    assert page == (folder / mlstac.card(folder, source=memory)[0]).read_text()
    mlstac.publish(folder, memory)
    assert (folder / "README.md").read_text() == page
    # a page of one's own is left alone, and so is a place that was named
    mlstac.card(folder, source="https://example.org/chips")
    mlstac.publish(folder, memory)
    assert 'mlstac.load("https://example.org/chips"' in (folder / "README.md").read_text()
    own = 'mlstac.load("PATH-OR-URL", split="train")\n'
    (folder / "README.md").write_text(own)
    mlstac.publish(folder, memory)
    assert (folder / "README.md").read_text() == own
