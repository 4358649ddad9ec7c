"""What opens a store and stands in its URL is printed by no command: terminals are recorded, and so are CI's runs."""

import shutil

import fsspec
import numpy as np
import pytest

import mlstac
from mlstac.cli._app import app
from mlstac.errors import MlstacError

URL = "memory://me:hidden@host/flood"
SHOWN = "memory://***@host/flood"


@pytest.fixture
def there(flood):
    """A dataset at a URL with a password in it."""
    mlstac.publish(flood, URL)
    yield URL
    fsspec.filesystem("memory").rm("/me:hidden@host", recursive=True)


@pytest.fixture
def say(capsys):
    """Run `mlstac ARGUMENTS` in this process, which alone has that store; all that it printed, or raised."""

    def say(*arguments):
        capsys.readouterr()
        try:
            app([str(argument) for argument in arguments], standalone_mode=False)
        except MlstacError as error:
            return str(error)
        printed = capsys.readouterr()
        return printed.out + printed.err

    return say


def other(folder, **tensor):
    tensors = {"image": mlstac.Tensor(**tensor)}
    mlstac.write([{"image": np.ones((2, 4, 4), np.uint16)}], folder, id="flood", license="MIT", tensors=tensors)
    return folder


@pytest.mark.parametrize(
    "arguments",
    [
        ["info", URL],
        ["info", URL, "--json"],
        ["stats", URL, "--json"],
        ["preview", URL, "--split", "nowhere"],
        ["gc", URL, "--json"],
        ["rebuild", URL],
        ["rebuild", URL, "--json"],
        ["publish", "FOLDER", URL],
        ["publish", "FOLDER", URL, "--json"],
        ["publish", "FOLDER", URL, "--dry-run"],
        ["convert", "CHIPS", URL + "/new"],
        ["convert", "CHIPS", URL + "/new", "--json"],
        ["append", URL, URL],
        ["append", URL, URL, "--id-prefix", "more/"],
        ["append", URL, URL, "--id-prefix", "more/", "--json"],
        ["append", "OTHER", URL],
        ["append", URL, "OTHER"],
    ],
    ids=" ".join,
)
def test_no_command_prints_a_password(there, say, flood, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    places = {"FOLDER": tmp_path / "flood", "OTHER": tmp_path / "other", "CHIPS": tmp_path / "chips"}
    shutil.copytree(flood, places["FOLDER"])
    other(places["OTHER"], nodata=9)
    if "CHIPS" in arguments:
        import PIL.Image

        places["CHIPS"].mkdir()
        PIL.Image.new("RGB", (4, 4)).save(places["CHIPS"] / "a.png")
    said = say(*(places.get(argument, argument) for argument in arguments))
    assert said
    assert "hidden" not in said
    if arguments[0] != "preview" and "gc" not in arguments:
        assert SHOWN in said


def test_the_publication_that_a_notebook_shows_has_no_password(flood):
    try:
        done = mlstac.publish(flood, URL)
        assert done.url == URL  # what load takes
        assert (
            repr(done)
            == f"Publication({SHOWN!r}, {len(done.files)} of {len(done.files)} files, dry_run=False, commit=None)"
        )
    finally:
        fsspec.filesystem("memory").rm("/me:hidden@host", recursive=True)
