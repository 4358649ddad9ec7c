"""What an address of a dataset tells by itself: its name, and whose the credentials are."""

import pytest

from mlstac.storage import assign_options, dataset_name

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
