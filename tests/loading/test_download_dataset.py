"""`mlstac.download`: a dataset becomes a folder, verified, and a broken run goes on."""

import shutil

import numpy as np
import pytest

import mlstac
from mlstac.errors import ChecksumError, ExistsError, InvalidArgumentError, MissingFileError, NotFoundError


@pytest.fixture
def whole(tiny, tmp_path):
    folder = tmp_path / "whole"
    shutil.copytree(tiny, folder)
    (folder / "README.md").write_text("# tiny\n")
    (folder / "croissant.json").write_text("{}")
    (folder / "samples.png").write_bytes(b"png")
    (folder / "train" / "catalog.json").write_text("{}\n")
    return folder


def names(folder):
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name for name in found if not name.startswith(".")}


def test_a_downloaded_dataset_is_the_dataset(whole, fault_server, tmp_path, arrays):
    server = fault_server(whole)
    folder = mlstac.download(server.url, tmp_path / "copy")
    assert folder == tmp_path / "copy"
    assert names(folder) == names(whole)
    for name in names(whole):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()
    ds = mlstac.load(folder, framework="numpy")
    np.testing.assert_array_equal(ds[:]["input"], arrays["input"])
    # what is there is not fetched again
    server.requests.clear()
    mlstac.download(server.url, folder)
    assert not [asked for asked in server.requests if asked.path.endswith((".safetensors", ".parquet"))]


def test_a_split_alone_brings_its_files_alone(whole, fault_server, tmp_path):
    folder = mlstac.download(fault_server(whole).url, tmp_path / "copy", "test")
    assert not list((folder / "train").glob("*"))
    assert len(mlstac.load(folder, split="test", framework="numpy")) == 4
    with pytest.raises(NotFoundError, match="'holdout'"):
        mlstac.download(fault_server(whole).url, tmp_path / "copy", split="holdout")


def test_a_split_that_was_not_downloaded_names_the_call_that_fetches_it(whole, fault_server, tmp_path):
    server = fault_server(whole)
    folder = mlstac.download(server.url, tmp_path / "copy", "test")
    words = f"split 'train' was not downloaded to {folder}; fetch it: "
    call = f"mlstac.download('{server.url}', '{folder}', split='train')"
    calls = {
        "load": lambda: mlstac.load(folder, split="train"),
        "load more": lambda: mlstac.load(folder, split="test+train"),
        "append": lambda: mlstac.append(folder, [{"input": np.ones(3)}], split="test"),
        "gc": lambda: mlstac.gc(folder),
        "publish": lambda: mlstac.publish(folder, "memory://somewhere"),
    }
    for name, called in calls.items():
        with pytest.raises(MissingFileError) as caught:
            called()
        assert str(caught.value).startswith(words + call), name
    assert not (folder / ".mlstac").exists()  # nothing is left that looks as if it had been added to
    eval(call, {"mlstac": mlstac})  # to the letter
    assert len(mlstac.load(folder, split="train")) == 17


def test_no_secret_of_the_url_is_kept_beside_a_download(whole, fault_server, tmp_path):
    server = fault_server(whole)
    folder = mlstac.download(f"{server.url}collection.json?sig=hidden", tmp_path / "copy", "test")
    assert not any(b"hidden" in file.read_bytes() for file in folder.rglob("*") if file.is_file())
    with pytest.raises(MissingFileError, match=f"mlstac.download\\('{server.url}', "):
        mlstac.load(folder)


def test_a_folder_that_is_no_download_lacks_a_part_by_its_name(whole):
    max((whole / "train").glob("catalog-*.parquet")).unlink()
    with pytest.raises(MissingFileError, match=r"catalog .*catalog-00001\.parquet is not there; the collection names"):
        mlstac.load(whole)


def test_a_broken_run_shows_no_dataset_and_goes_on(whole, fault_server, tmp_path):
    server = fault_server(whole)
    shard = max((path for path in (whole / "train").glob("*.safetensors")), key=lambda path: path.name)
    server.fail("status", status=404, times=None, path=f"train/{shard.name}")
    with pytest.raises(MissingFileError, match=shard.name):
        mlstac.download(server.url, tmp_path / "copy")
    assert not (tmp_path / "copy" / "collection.json").exists()
    server.heal()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "copy").rglob("*.safetensors")}
    assert before
    mlstac.download(server.url, tmp_path / "copy")
    assert len(mlstac.load(tmp_path / "copy", framework="numpy")) == 17
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_bytes_that_are_not_what_the_dataset_says_are_refused(whole, fault_server, tmp_path):
    server = fault_server(whole)
    server.fail("change_byte", times=None, path="train/00000.safetensors", after=700)
    with pytest.raises(ChecksumError, match=r"00000\.safetensors"):
        mlstac.download(server.url, tmp_path / "copy")
    assert not (tmp_path / "copy" / "train" / "00000.safetensors").exists()


def test_another_dataset_is_not_written_over(whole, fault_server, tmp_path):
    mlstac.write([{"x": np.zeros(3)}], tmp_path / "mine", id="mine", license="MIT")
    with pytest.raises(ExistsError, match="'mine'"):
        mlstac.download(fault_server(whole).url, tmp_path / "mine")
    assert len(mlstac.load(tmp_path / "mine", framework="numpy")) == 1


def test_a_local_dataset_is_not_downloaded(whole, tmp_path):
    with pytest.raises(InvalidArgumentError, match="copy its folder"):
        mlstac.download(whole, tmp_path / "copy")


def test_a_bar_is_drawn_where_it_is_asked_for(whole, fault_server, tmp_path, capsys):
    mlstac.download(fault_server(whole).url, tmp_path / "copy", progress=True)
    assert "download" in capsys.readouterr().err
