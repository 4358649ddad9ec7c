"""Publishing: the same dataset on every kind of store, whole or not to be seen."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from base64 import b64encode

import numpy as np
import pytest

import mlstac
from mlstac.errors import (
    AccessError,
    ExistsError,
    InvalidArgumentError,
    MissingFileError,
    MissingPackageError,
    ShardError,
    StorageError,
    UnavailableError,
)
from mlstac.storage import Store
from tests.servers.plugin import AZURE_KEY, azure_connection

SIDE = 24


def samples(start, stop):
    for number in range(start, stop):
        yield {"image": np.full((3, SIDE, SIDE), number, np.uint16), "label": number % 5}


def author(folder, *, train=9, test=2, id="chips", seed=0):
    """A dataset of several shards a split."""
    splits = {"train": samples(seed, seed + train), "test": samples(100, 100 + test)}
    mlstac.write(splits, folder, id=id, license="CC-BY-4.0", shard_size="15kB")
    (folder / "README.md").write_text(f"# {id}\n")
    return folder


@pytest.fixture
def chips(tmp_path):
    return author(tmp_path / "chips")


class Host:
    """A store behind a gate."""

    def __init__(self, gate, url, options):
        self.gate = gate
        self.url = url
        self.options = options
        self._stores = []

    def publish(self, folder, url=None, **settings):
        return mlstac.publish(folder, url or self.url, storage_options=self.options, **settings)

    def load(self, **settings):
        return mlstac.load(self.url, framework="numpy", storage_options=self.options, **settings)

    def store(self):
        self._stores.append(Store(self.url, storage_options=self.options, wait=lambda seconds: None))
        return self._stores[-1]

    def close(self):
        for store in self._stores:
            store.close()

    def uploads(self):
        """Names of the files that were put, each once, in order of their first upload."""
        folder = self.url.split("://")[1].partition("/")[2]
        found = {}
        for method, path in self.gate.passed:
            match = re.search(rf'{folder}/([^"? ]+)', path)
            if method in ("PUT", "POST") and match:
                found[match[1]] = None
        return list(found)


@pytest.fixture(params=["s3", "azure", "gcs"])
def host(request, gate):
    folder = f"data/{uuid.uuid4().hex[:8]}"
    if request.param == "s3":
        options = request.getfixturevalue("moto_s3")
        before = gate(options["endpoint_url"])
        host = Host(before, f"s3://bucket/{folder}", options | {"endpoint_url": before.url})
    elif request.param == "azure":
        before = gate(request.getfixturevalue("azurite"))
        host = Host(before, f"az://container/{folder}", {"connection_string": azure_connection(before.url)})
    else:
        before = gate(request.getfixturevalue("gcs"))
        host = Host(before, f"gs://bucket/{folder}", {"token": "anon", "endpoint_url": before.url, "project": "p"})
    yield host
    host.close()


@pytest.fixture
def no_waits(monkeypatch, host):
    """No client waits before it tries again; gcsfs reckons its waits from chance."""
    monkeypatch.setattr("mlstac.storage._store.WAIT", lambda seconds: None)
    monkeypatch.setattr("gcsfs.retry.random.random", lambda: -1000.0)


def assert_same(remote, folder):
    for split in ("train", "test"):
        local = mlstac.load(folder, split=split, framework="numpy")
        there = remote.load(split=split)
        assert len(there) == len(local) > 0
        for number in range(len(local)):
            for name in ("image", "label"):
                np.testing.assert_array_equal(there[number][name], local[number][name])
        there.close()


def files_of(folder):
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name for name in found if not name.startswith(".")}


def test_what_is_published_loads_as_it_was_written(host, chips):
    publication = host.publish(chips)
    assert_same(host, chips)
    store = host.store()
    assert set(store.list()) == files_of(chips)
    for name in files_of(chips):
        assert store.read(name) == (chips / name).read_bytes()
    assert publication.url == host.url
    assert [file.name for file in publication.files][-1] == "collection.json"
    assert {file.name for file in publication.uploads} == files_of(chips)
    assert publication.upload_bytes == sum((chips / name).stat().st_size for name in files_of(chips))


def test_publishing_again_uploads_only_what_changed(host, chips):
    host.publish(chips)
    host.gate.passed.clear()
    assert not host.publish(chips).uploads
    assert not host.uploads()
    (chips / "README.md").write_text("# better\n")
    assert [file.name for file in host.publish(chips).uploads] == ["README.md", "collection.json"]
    assert host.store().read("README.md") == b"# better\n"
    assert_same(host, chips)


def test_a_dry_run_says_what_would_go_where_and_writes_nothing(host, chips):
    publication = host.publish(chips, dry_run=True)
    assert publication.dry_run
    assert {file.name: file.size for file in publication.uploads} == {
        name: (chips / name).stat().st_size for name in files_of(chips)
    }
    assert all(file.url == f"{host.url}/{file.name}" for file in publication.files)
    assert not host.store().list()
    assert not host.uploads()


@pytest.mark.parametrize("status", [403, 500, 0])
def test_a_failed_upload_raises_and_shows_no_dataset(host, chips, status, no_waits):
    host.gate.fail("PUT", r"train/00001\.safetensors", status, code="AccessDenied" if status == 403 else "")
    host.gate.fail("POST", r"train/00001\.safetensors", status)
    with pytest.raises(AccessError if status == 403 else StorageError) as failed:
        host.publish(chips)
    assert "00001.safetensors" in str(failed.value)
    assert_secretless(failed.value, host)
    assert "collection.json" not in host.store().list()
    with pytest.raises(MissingFileError):
        host.load()
    host.gate.faults.clear()
    assert "train/00001.safetensors" in {file.name for file in host.publish(chips).uploads}
    assert_same(host, chips)


def test_an_upload_that_fails_now_and_then_goes_well(host, chips, no_waits):
    host.gate.fail("PUT", r"train/00001\.safetensors", 503, times=2, code="SlowDown")
    host.gate.fail("POST", r"train/00001\.safetensors", 503, times=2)
    host.publish(chips)
    assert_same(host, chips)


def test_files_of_a_visible_dataset_are_replaced_only_if_asked(host, chips, tmp_path):
    host.publish(chips)
    other = author(tmp_path / "other", seed=7)
    with pytest.raises(ExistsError, match=r"overwrite=True") as refused:
        host.publish(other)
    assert "00000.safetensors" in str(refused.value)
    assert_same(host, chips)
    host.publish(other, overwrite=True)
    assert_same(host, other)


def test_while_files_are_replaced_the_old_collection_is_gone(host, chips, tmp_path, no_waits):
    host.publish(chips)
    other = author(tmp_path / "other", seed=7)
    host.gate.fail("PUT", r"train/00001\.safetensors", 403, code="AccessDenied")
    host.gate.fail("POST", r"train/00001\.safetensors", 403)
    with pytest.raises(AccessError):
        host.publish(other, overwrite=True)
    with pytest.raises(MissingFileError):  # rather than a mixture of both
        host.load()


def test_another_dataset_is_not_replaced_by_mistake(host, chips, tmp_path):
    host.publish(chips)
    with pytest.raises(ExistsError, match=r"'chips'.*'birds'"):
        host.publish(author(tmp_path / "birds", id="birds"))
    assert_same(host, chips)


def assert_secretless(error, host):
    for word in ("secret", "Eby8vdM02", "Signature=", "AccountKey"):
        assert word not in str(error)


def test_a_bucket_that_is_not_there_is_named(host, chips):
    url = host.url.replace("://bucket", "://missing").replace("://container", "://missing")
    with pytest.raises(MissingFileError, match=r"no such bucket") as failed:
        host.publish(chips, url)
    assert "://missing/" in str(failed.value)
    assert_secretless(failed.value, host)


def test_refused_credentials_are_named_without_the_secret(host, chips, no_waits):
    for method in ("GET", "HEAD", "PUT", "POST"):
        host.gate.fail(method, "", 403, code="SignatureDoesNotMatch")
    with pytest.raises(AccessError, match="storage_options") as failed:
        host.publish(chips)
    assert_secretless(failed.value, host)


def test_a_wrong_key_of_azure_is_an_error_of_access_that_says_what_to_give(azurite, chips):
    wrong = {"connection_string": azure_connection(azurite).replace(AZURE_KEY, b64encode(b"another" * 9).decode())}
    for call in (
        lambda: mlstac.publish(chips, "az://container/wrong", storage_options=wrong),
        lambda: mlstac.write([{"x": 1}], "az://container/wrong", storage_options=wrong),
    ):
        with pytest.raises(AccessError, match=r"storage_options, or as AZURE_STORAGE_CONNECTION_STRING has them$"):
            call()
    for call in (mlstac.load, mlstac.open):
        with pytest.raises(AccessError, match=r"give connection_string, account_key, sas_token or credential in sto"):
            call("az://container/wrong", storage_options=wrong)


def test_a_dataset_that_is_not_whole_is_not_uploaded(host, chips):
    shard = chips / "train" / "00001.safetensors"
    data = shard.read_bytes()
    shard.write_bytes(data[:-1])
    with pytest.raises(ShardError, match=f"{len(data) - 1} bytes, and the dataset says {len(data)}"):
        host.publish(chips)
    shard.unlink()
    with pytest.raises(MissingFileError, match=r"00001\.safetensors is not there"):
        host.publish(chips)
    assert not host.uploads()


def test_files_that_the_dataset_does_not_name_stay_at_home(host, chips):
    (chips / "train" / "notes.txt").write_text("not for others")
    (chips / "train" / "99999.safetensors").write_bytes(b"left over")
    host.publish(chips)
    assert not {"train/notes.txt", "train/99999.safetensors"} & set(host.store().list())


@pytest.mark.parametrize("host", ["s3", "azure"], indirect=True)
@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
def test_large_files_go_in_parts_and_are_known_again(host, tmp_path, monkeypatch):
    """S3's parts are of 5 MiB at the least; the emulator of Google's has no uploads in parts."""
    for module in ("_store", "_digests"):
        monkeypatch.setattr(f"mlstac.storage.{module}.PART_BYTES", 5 << 20)
    noise = np.random.default_rng(0).integers(0, 256, (12, 1 << 20), dtype=np.uint8)
    folder = tmp_path / "big"
    mlstac.write([{"x": row} for row in noise], folder, id="big", license="MIT")
    host.publish(folder)
    if host.url.startswith("s3"):
        assert any("partNumber=3" in passed.path for passed in host.gate.passed)
    np.testing.assert_array_equal(host.load()[7]["x"], noise[7])
    host.gate.passed.clear()
    publication = host.publish(folder)
    assert not publication.uploads
    assert not host.uploads()


@pytest.mark.parametrize(
    ("url", "settings", "message"),
    [
        ("http://example.org/x", {}, "take no uploads"),
        ("some/folder/below", {}, "copy its folder"),
        ("backup/chips", {}, r"copy its folder; to publish it .* hf://datasets/"),  # never by mistake on the Hub
        ("xyz://a/b", {}, "is not known"),
        ("s3://b/x", {"private": True}, "private= is for the Hugging Face Hub"),
        ("s3://b/x", {"tag": "v1"}, "tag= is for"),
        ("s3://b/x", {"storage_options": {"keyy": 1}}, "storage_options are not those of s3"),
        ("hf://datasets/a/b", {"storage_options": {"key": 1}}, "token and endpoint, not key"),
        ("hf://datasets/a/b@v1", {"revision": "v2"}, "give one"),
    ],
)
def test_calls_that_cannot_be_meant_are_refused(chips, url, settings, message):
    with pytest.raises(InvalidArgumentError, match=message):
        mlstac.publish(chips, url, **settings)


def test_a_folder_without_a_dataset_and_a_remote_one_are_refused(tmp_path):
    with pytest.raises(MissingFileError, match=r"collection\.json"):
        mlstac.publish(tmp_path, "s3://b/x")
    with pytest.raises(InvalidArgumentError, match=r"mlstac\.download"):
        mlstac.publish("s3://a/b", "s3://b/x")


def test_a_dataset_may_not_name_files_outside_its_folder(chips, tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    document = json.loads((chips / "collection.json").read_text())
    document["assets"]["more"] = {"href": "../secret.txt"}
    (chips / "collection.json").write_text(json.dumps(document))
    with pytest.raises(AccessError, match="leads out of the dataset"):
        mlstac.publish(chips, "memory://x")


def test_any_filesystem_of_fsspec_will_do(chips):
    import fsspec

    url = f"memory://{uuid.uuid4().hex}/chips"
    mlstac.publish(chips, url)
    np.testing.assert_array_equal(mlstac.load(url, framework="numpy")[3]["image"][0, 0, 0], 3)
    fsspec.filesystem("memory").rm(url, recursive=True)


@pytest.fixture
def servers():
    """A filesystem whose URLs name their server, as those of FTP do: what each server holds, by host and user."""
    import fsspec
    from fsspec.implementations.memory import MemoryFileSystem
    from fsspec.utils import infer_storage_options

    held = {}

    class Served(MemoryFileSystem):
        protocol = "served"

        def __init__(self, host, username=None, **options):
            super().__init__(**options)
            self.store, self.pseudo_dirs = held.setdefault((host, username), ({}, [""]))

        @classmethod
        def _strip_protocol(cls, path):
            return MemoryFileSystem._strip_protocol(infer_storage_options(path)["path"])

        @staticmethod
        def _get_kwargs_from_urls(path):
            named = infer_storage_options(path)
            return {name: named[name] for name in ("host", "username") if name in named}

    fsspec.register_implementation("served", Served, clobber=True)
    return held


def test_a_server_that_the_url_names_is_asked(chips, servers, tmp_path):
    one, other = "served://ana@one.example/chips", "served://two.example/chips"
    mlstac.publish(chips, one)
    author(tmp_path / "other", seed=50)
    mlstac.publish(tmp_path / "other", other)
    assert set(servers) == {("one.example", "ana"), ("two.example", None)}
    together = [mlstac.load(url, framework="numpy")[3]["image"][0, 0, 0] for url in (one, other)]
    assert together == [3, 53]
    mlstac.publish(chips, "served://two.example/more", storage_options={"username": "eva"})  # what is given goes before
    assert ("two.example", "eva") in servers


def test_a_package_that_a_scheme_of_fsspec_needs_is_named(chips, monkeypatch):
    from fsspec.registry import known_implementations

    far = {"class": "no_such_package.Far", "err": "Install farpackage to reach far away"}
    monkeypatch.setitem(known_implementations, "far", far)
    for call in (lambda: mlstac.publish(chips, "far://x/y"), lambda: mlstac.load("far://x/y")):
        with pytest.raises(MissingPackageError, match="Install farpackage to reach far away"):
            call()


NOBODY = {"endpoint_url": "http://127.0.0.1:1", "key": "key", "secret": "secret"}
"""An S3 that nobody answers for; without a key the client would ask the network for one first."""


@pytest.mark.parametrize("url", ["memory://there", "hf://datasets/me/chips"])
def test_the_card_names_no_place_where_the_dataset_did_not_come_to_be(url, tmp_path, monkeypatch):
    monkeypatch.setattr("mlstac.storage._store.WAIT", lambda seconds: None)
    folder = tmp_path / "chips"
    mlstac.write(list(samples(0, 3)), folder, id="chips", license="MIT")
    page = (folder / "README.md").read_bytes()
    with pytest.raises(StorageError):
        mlstac.publish(folder, "s3://b/chips", storage_options=NOBODY)
    assert (folder / "README.md").read_bytes() == page
    if url.startswith("hf:"):
        with pytest.raises(StorageError):
            mlstac.publish(folder, url, storage_options={"endpoint": "http://127.0.0.1:1", "token": "x"})
        assert (folder / "README.md").read_bytes() == page
    else:
        mlstac.publish(folder, url)
        assert f'mlstac.load("{url}"' in (folder / "README.md").read_text()


def test_a_card_that_is_edited_while_a_publication_fails_stays_as_it_was_edited(tmp_path, monkeypatch):
    page = tmp_path / "chips" / "README.md"
    mlstac.write(list(samples(0, 3)), page.parent, id="chips", license="MIT")

    def edit(seconds):  # the wait before the next attempt
        page.write_text("mine")

    monkeypatch.setattr("mlstac.storage._store.WAIT", edit)
    with pytest.raises(UnavailableError):
        mlstac.publish(page.parent, "s3://b/chips", storage_options=NOBODY)
    assert page.read_text() == "mine"


@pytest.mark.parametrize("last", ["/README.md", "/collection.json"])
def test_the_card_here_names_no_place_until_a_killed_publication_was_gone_on_with(last, tmp_path, moto_s3, gate):
    folder, url, before = tmp_path / "chips", f"s3://bucket/{uuid.uuid4().hex[:8]}", gate(moto_s3["endpoint_url"])
    mlstac.write(list(samples(0, 3)), folder, id="chips", license="MIT")
    page = (folder / "README.md").read_bytes()
    program = "import json, sys, mlstac; mlstac.publish(*sys.argv[1:3], storage_options=json.loads(sys.argv[3]))"
    options = json.dumps(moto_s3 | {"endpoint_url": before.url})
    running: list[subprocess.Popen[bytes]] = []
    begun = threading.Event()

    def kill(passed):
        if passed.method == "PUT" and f"{last} " in passed.path:
            begun.wait(100)
            running[0].kill()

    before.meanwhile = kill
    running.append(subprocess.Popen([sys.executable, "-c", program, str(folder), url, options]))
    begun.set()
    assert running[0].wait(100) == -signal.SIGKILL
    assert (folder / "README.md").read_bytes() == page
    before.meanwhile = None
    mlstac.publish(folder, url, storage_options=moto_s3)
    assert f'mlstac.load("{url}"' in (folder / "README.md").read_text()
    with Store(url, storage_options=moto_s3) as store:
        assert store.read("README.md") == (folder / "README.md").read_bytes()
    assert mlstac.publish(folder, url, storage_options=moto_s3).uploads == ()


def test_a_card_goes_as_it_is_where_there_is_no_room_for_another(tmp_path, monkeypatch):
    folder, url = tmp_path / "chips", f"memory://{uuid.uuid4().hex}/chips"
    mlstac.write(list(samples(0, 3)), folder, id="chips", license="MIT")
    page = (folder / "README.md").read_bytes()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    mlstac.publish(folder, url)
    with Store(url) as store:
        assert store.read("README.md") == page == (folder / "README.md").read_bytes()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mlstac.publish(folder, url)
    with Store(url) as store:
        assert f'mlstac.load("{url}"'.encode() in store.read("README.md")
    assert {path.name for path in tmp_path.iterdir()} == {"chips"}  # nothing is left of it


def test_a_dry_run_tells_of_the_card_that_would_go(tmp_path):
    folder, url = tmp_path / "chips", f"memory://{uuid.uuid4().hex}/chips"
    mlstac.write(list(samples(0, 3)), folder, id="chips", license="MIT")
    page = (folder / "README.md").read_bytes()
    told = {file.name: file.size for file in mlstac.publish(folder, url, dry_run=True).files}
    assert (folder / "README.md").read_bytes() == page
    assert {file.name: file.size for file in mlstac.publish(folder, url).files} == told
    assert told["README.md"] == (folder / "README.md").stat().st_size != len(page)


def test_a_picture_that_the_collection_names_goes_along(chips):
    import fsspec

    (chips / "preview.png").write_bytes(b"png")
    document = json.loads((chips / "collection.json").read_text())
    document["assets"]["thumbnail"] = {"href": "./preview.png", "roles": ["thumbnail"]}
    document["assets"]["paper"] = {"href": "https://example.org/paper.pdf"}
    (chips / "collection.json").write_text(json.dumps(document))
    url = f"memory://{uuid.uuid4().hex}/chips"
    assert "preview.png" in {file.name for file in mlstac.publish(chips, url).uploads}
    assert fsspec.filesystem("memory").cat(f"{url}/preview.png") == b"png"
    fsspec.filesystem("memory").rm(url, recursive=True)


def test_a_store_waits_longer_each_time_and_then_gives_up(moto_s3, gate):
    before = gate(moto_s3["endpoint_url"])
    waits = []
    before.fail("PUT", "", 503)
    with (
        Store("s3://bucket/x", storage_options=moto_s3 | {"endpoint_url": before.url}, wait=waits.append) as store,
        pytest.raises(UnavailableError, match="given up after 5 tries"),
    ):
        store.put("a.txt", b"a")
    assert waits == [0.5, 1.0, 2.0, 4.0]


def test_an_upload_that_arrives_short_is_an_error(moto_s3, tmp_path, monkeypatch):
    store = Store("s3://bucket/x", storage_options=moto_s3)
    (tmp_path / "a").write_bytes(b"abcdef")
    size = os.path.getsize
    monkeypatch.setattr(store, "size", lambda name: size(tmp_path / "a") - 1)
    with pytest.raises(StorageError, match="6 bytes were sent, and 5 bytes is there"):
        store.send("a", tmp_path / "a")
    with pytest.raises(StorageError, match="7 bytes were sent, and 6 bytes is there"):
        store.check({"a": 7})
    with pytest.raises(StorageError, match="and nothing is there"):
        store.check({"b": 7})
    store.close()


def test_a_copy_of_the_folder_publishes_alike(chips, tmp_path):
    import fsspec

    shutil.copytree(chips, tmp_path / "copy", ignore=shutil.ignore_patterns(".mlstac"))
    url = f"memory://{uuid.uuid4().hex}/chips"
    assert len(mlstac.publish(tmp_path / "copy" / "collection.json", url).uploads) == len(files_of(chips))
    fsspec.filesystem("memory").rm(url, recursive=True)
