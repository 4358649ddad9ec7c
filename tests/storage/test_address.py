"""What an address of a dataset tells by itself: its name, and whose the credentials are."""

import numpy as np
import pytest

import mlstac
from mlstac.errors import InvalidArgumentError, StorageError
from mlstac.storage import Store, assign_options, dataset_name, place_of

OPTIONS = {"token": "hf_secret"}


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("hf://datasets/me/flood", "flood"),
        ("hf://datasets/me/flood@next", "flood"),
        ("hf://datasets/me/flood@refs/pr/1/", "flood"),
        ("hf://datasets/me/flood@v1/eo", "eo"),
        ("hf://datasets/flood@v1", "flood"),
        ("https://huggingface.co/datasets/me/flood/tree/main", "flood"),
        ("https://huggingface.co/datasets/me/flood/blob/main/collection.json", "flood"),
        ("s3://bucket/a/flood/", "flood"),
        ("s3://bucket/flood@2", "flood@2"),
        ("s3://bucket", "bucket"),
        ("s3://bucket/flood/collection.json", "flood"),
        ("s3://key:secret@bucket", "bucket"),
        ("az://container/flood?sig=secret", "flood"),
        ("memory://flood", "flood"),
        ("file:///data/flood", "flood"),
        ("a/b@c", "b@c"),
        ("/", ""),
    ],
)
def test_a_dataset_is_called_as_its_folder_or_repository(address, name):
    assert dataset_name(address) == name


HUB = {"endpoint": "https://hub.example"}


SPELLINGS: list[list[tuple[str, dict[str, object]]]] = [
    [
        ("hf://datasets/me/flood", {}),
        ("HF://datasets/me/flood/", {}),
        ("hf://datasets/me/flood@main", {"token": "hf_secret"}),
        ("https://huggingface.co/datasets/me/flood", {}),
        ("https://HuggingFace.co/datasets/me/flood/tree/main", {}),
        ("https://huggingface.co:443/datasets/me/flood/tree/main/", {"endpoint": "https://huggingface.co/"}),
    ],
    [("hf://datasets/me/flood@next", {}), ("https://huggingface.co/datasets/me/flood/tree/next", {})],
    [("hf://datasets/me/flood/eo", {}), ("https://huggingface.co/datasets/me/flood/tree/main/eo", {})],
    [
        ("hf://datasets/me/flood", HUB),
        ("hf://datasets/me/flood@main", {"endpoint": "https://HUB.example:443/"}),
        ("https://hub.example/datasets/me/flood", HUB),
    ],
    [
        ("s3://bucket/flood", {}),
        ("s3://bucket/flood/", {"key": "k"}),
        ("S3://bucket/flood", {}),
        ("s3a://bucket/flood", {}),
    ],
    [
        ("s3://bucket/flood", {"endpoint_url": "https://s3.example"}),
        ("s3://bucket/flood", {"client_kwargs": {"endpoint_url": "https://S3.example:443/"}}),
    ],
    [("s3://bucket//flood", {})],  # another key than bucket/flood
    [("s3://bucket/Flood", {})],
    [("gs://bucket/flood", {}), ("gcs://bucket/flood/", {})],
    [
        ("az://one/flood", {"account_name": "acc"}),
        (
            "abfs://one/flood",
            {"connection_string": "DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=x=="},
        ),
        ("abfss://one@Acc.dfs.core.windows.net/flood", {}),
    ],
    [("az://one/flood", {"account_name": "other"})],
    [  # a signed one names no account
        (
            "az://one/flood",
            {"connection_string": "BlobEndpoint=https://third.blob.core.windows.net/;SharedAccessSignature=s"},
        ),
        ("abfss://one@third.dfs.core.windows.net/flood", {"sas_token": "s"}),
    ],
    [("az://one/flood", {"account_name": "acc", "account_host": "acc.blob.core.usgovcloudapi.net"})],
    [("az://one/flood", {"connection_string": "AccountName=acc;BlobEndpoint=http://127.0.0.1:10000/acc"})],
    [("az://one/flood", {"connection_string": "AccountName=acc;BlobEndpoint=http://127.0.0.1:10001/acc"})],
    [("memory://a/flood", {}), ("memory://a/flood/", {})],
    [
        ("ftp://host.example/flood", {}),
        ("FTP://HOST.example:21/flood/", {}),
        ("ftp://:secret@host.example/flood", {}),
    ],
    [("ftp://host.example:2121/flood", {}), ("ftp://host.example/flood", {"port": 2121})],
    [("ftp://me@host.example/flood", {}), ("ftp://host.example/flood", {"username": "me", "password": "secret"})],
    [("ftp://host.example/flood", {"username": "you"})],  # whose root may be another
]


SERVERS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "STORAGE_EMULATOR_HOST")
ENVIRONMENT = (*SERVERS, "AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT_NAME", "HF_ENDPOINT")


@pytest.fixture
def bare(monkeypatch):
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("bare")
def test_a_place_is_one_in_all_its_spellings_and_no_other():
    found = [{place_of(url, options) for url, options in spellings} for spellings in SPELLINGS]
    assert [len(places) for places in found] == [1] * len(SPELLINGS)
    assert len(set().union(*found)) == len(SPELLINGS)


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("name", SERVERS)
def test_the_server_that_the_environment_names_is_part_of_the_place(name, monkeypatch):
    url = "gs://bucket/flood" if name == "STORAGE_EMULATOR_HOST" else "s3://bucket/flood"
    elsewhere = place_of(url, {})
    monkeypatch.setenv(name, "https://store.example")
    assert place_of(url, {}) == place_of(url, {"endpoint_url": "https://store.example/"}) != elsewhere


@pytest.mark.parametrize(
    ("url", "options", "error", "said"),
    [
        ("s3://bucket/flood", {"endpoint_url": "http://127.0.0.1:99999"}, StorageError, "not a valid URI"),
        ("ftp://host.example:port/flood", {}, InvalidArgumentError, "no URL of a server"),
        ("ftp://me:secret@host.example:99999/flood", {}, InvalidArgumentError, "number below 65536 as port"),
    ],
)
def test_a_server_that_is_none_is_told_as_such(url, options, error, said):
    with pytest.raises(error, match=said) as caught:
        mlstac.write([{"input": np.zeros(3)}], url, id="flood", license="MIT", storage_options=options)
    assert "secret" not in str(caught.value)


def test_a_scheme_in_capitals_is_the_same_store():
    with Store("MEMORY://capitals/flood") as store, Store("memory://capitals/flood") as same:
        store.put("a.txt", b"a")
        assert same.read("a.txt") == b"a"
        store.remove("a.txt")


@pytest.mark.parametrize(
    ("source", "target", "shared"),
    [
        ("me/old", "hf://datasets/me/new", True),
        ("https://huggingface.co/datasets/me/old/tree/main", "hf://datasets/me/new@next", True),
        ("hf://datasets/me/old@v1", "https://huggingface.co/datasets/me/new", True),
        ("s3://one/old", "s3://other/new", True),
        ("s3://one/old", "hf://datasets/me/new", False),
        ("https://example.org/old/main.json", "https://huggingface.co/datasets/me/new", False),
        ("here/old", "hf://datasets/me/new", False),  # a path that is there is no repository
        ("here/old", "s3://bucket/new", False),
        ("", "hf://datasets/me/new", False),
        ("sftp://one.example/old", "sftp://me@one.example/new", True),
        ("sftp://one.example/old", "sftp://me@two.example/new", False),
        ("ftp://one.example:2121/old", "ftp://one.example/new", False),
        ("abfs://a@one.dfs.core.windows.net/old", "abfs://b@one.dfs.core.windows.net/new", True),
        ("abfs://a@one.dfs.core.windows.net/old", "abfs://a@two.dfs.core.windows.net/new", False),
        ("az://a/old", "az://b/new", True),
    ],
)
def test_options_go_to_the_source_where_it_is_of_the_same_store(source, target, shared, tmp_path, monkeypatch):
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here" / "old").mkdir(parents=True)
    assert assign_options(source, target, OPTIONS) == (OPTIONS if shared else None, OPTIONS)


def test_an_account_may_be_named_by_the_url_or_by_the_options():
    options = {"account_name": "one", "account_key": "secret"}
    assert assign_options("az://a@one.blob.core.windows.net/old", "az://b/new", options)[0] == options
    assert assign_options("az://a@two.blob.core.windows.net/old", "az://b/new", options)[0] is None


def test_another_hub_is_another_store():
    options = OPTIONS | {"endpoint": "https://hub.example.org"}
    source = "https://huggingface.co/datasets/me/old"
    assert assign_options(source, "hf://datasets/me/new", options) == (None, options)
    assert assign_options("https://hub.example.org/datasets/me/old", "hf://datasets/me/new", options)[0] == options


def test_a_folder_takes_no_options_and_those_that_are_called_are_called_for_the_target():
    assert assign_options("s3://bucket/old", "out/new", OPTIONS) == (OPTIONS, None)

    def ask():
        return OPTIONS

    assert assign_options("me/old", "hf://datasets/me/new", ask) == (ask, OPTIONS)
