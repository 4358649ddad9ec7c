"""Addresses at which nothing can be: each call says so itself, before a client is made or a folder."""

from pathlib import Path

import numpy as np
import pytest

import mlstac
from mlstac.errors import InvalidArgumentError

CALLS = {
    "load": mlstac.load,
    "open": mlstac.open,
    "validate": mlstac.validate,
    "download": lambda url: mlstac.download(url, "out"),
    "convert": lambda url: mlstac.convert(url, "out"),
    "convert to": lambda url: mlstac.convert("images", url),
    "write": lambda url: mlstac.write([{"x": np.ones(3)}], url, id="a"),
    "write_parts": lambda url: mlstac.write_parts([lambda: [{"x": np.ones(3)}]], url, mlstac.Collection(id="a")),
    "publish": lambda url: mlstac.publish("a", url),
    "dry run": lambda url: mlstac.publish("a", url, dry_run=True),
    "append": lambda url: mlstac.append(url, [{"x": np.ones(3)}]),
    "gc": mlstac.gc,
    "rebuild": mlstac.rebuild,
}
BARE = {
    "s3://": "names no bucket; give it and the dataset's place in it: s3://bucket/folder",
    "S3:///flood": "names no bucket; give it and the dataset's place in it: s3://bucket/folder",
    "gs://": "names no bucket; give it and the dataset's place in it: gs://bucket/folder",
    "az://": "names no container; give it and the dataset's place in it: az://container/folder",
    "http://": "names no host; give it and the dataset's place in it: http://host/folder",
    "hf://": r"hf://.* names? no dataset; give it|hf:// is an address of the Hugging Face Hub, and of no dataset there",
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with images and a dataset."""
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("forest", "river"):
        Path("images", name).mkdir(parents=True)
        Image.new("L", (4, 4)).save(f"images/{name}/0.tif")
    mlstac.write([{"x": np.ones(3)}], "a", id="a", card=False)
    return tmp_path


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("url", BARE)
def test_a_url_of_nothing_but_its_scheme_is_refused(here, call, url):
    with pytest.raises(InvalidArgumentError, match=BARE[url]):
        CALLS[call](url)
    assert sorted(path.name for path in here.iterdir()) == ["a", "images"]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("address", [Path("s3://bucket/flood"), "gs:/bucket/flood", "az:container/flood"])
def test_a_url_that_lost_a_slash_is_no_folder(here, call, address):
    whole = str(address).replace(":/", ":").replace(":", "://")
    with pytest.raises(InvalidArgumentError, match=f"two slashes follow its scheme; give '{whole}', and not as a path"):
        CALLS[call](address)
    assert sorted(path.name for path in here.iterdir()) == ["a", "images"]


def test_no_secret_of_a_url_that_lost_a_slash_is_shown():
    with pytest.raises(InvalidArgumentError, match=r"'https:/\*\*\*@host/x\?\.\.\.' is no URL") as caught:
        mlstac.load(Path("https://me:secret@host/x?token=secret"))
    assert "secret" not in str(caught.value)


def test_a_folder_that_is_called_like_a_scheme_is_one(here):
    (here / "s3:").mkdir()
    CALLS["write"]("s3:/flood")
    assert len(mlstac.load("s3:/flood")) == 1


@pytest.mark.parametrize("path", ["run:1/flood", "file:x", "mock:x"])
def test_a_relative_path_with_a_colon_is_a_path(here, path):
    CALLS["write"](path)
    mlstac.append(path, [{"x": np.zeros(3)}])
    assert np.asarray(mlstac.load(path, framework="numpy")[:]["x"]).tolist() == [[1] * 3, [0] * 3]
    assert mlstac.gc(path).kept == []
    assert mlstac.rebuild(path).source == "journal"
    assert mlstac.validate(path, deep=True).ok
