"""Whole files: continued, verified, never half."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlstac.errors import AccessError, ChecksumError, MissingFileError, ShardError, StorageError
from mlstac.storage import Download, Fetcher, Retry, download
from mlstac.storage import _download as module


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(module, "_BLOCK_BYTES", 100_000)


@pytest.fixture
def files(content):
    return {"a.bin": content, "train/b c#.bin": content[:250_000], "empty.bin": b""}


@pytest.fixture
def server(fault_server, files):
    return fault_server(files)


@pytest.fixture
def wanted(server, files):
    names = {"a.bin": "a.bin", "train/b c#.bin": "train/b%20c%23.bin", "empty.bin": "empty.bin"}
    return [Download(server.url + names[name], name, len(data), sha256(data)) for name, data in files.items()]


def assert_there(folder, files):
    for name, data in files.items():
        assert (folder / name).read_bytes() == data
    assert not list(folder.rglob("*.part"))


def test_files_arrive_under_their_paths(wanted, files, tmp_path):
    told = []
    assert download(wanted, tmp_path / "new", progress=told.append) == [tmp_path / "new" / name for name in files]
    assert_there(tmp_path / "new", files)
    assert sum(told) == sum(map(len, files.values()))


def test_sizes_need_not_be_known(server, wanted, files, tmp_path):
    download([file._replace(size=None, sha256=None) for file in wanted], tmp_path)
    assert_there(tmp_path, files)


def test_a_second_run_asks_for_nothing(server, wanted, files, tmp_path):
    download(wanted, tmp_path)
    before = server.count
    download(wanted, tmp_path)
    assert server.count == before
    assert_there(tmp_path, files)


def test_a_file_that_was_changed_here_is_fetched_again(wanted, files, tmp_path):
    download(wanted, tmp_path)
    (tmp_path / "a.bin").write_bytes(bytes(len(files["a.bin"])))
    download(wanted, tmp_path)
    assert_there(tmp_path, files)


def test_a_broken_run_is_continued(server, wanted, files, tmp_path, clock):
    server.fail("status", status=404, times=None, path="train/b c#.bin")
    with pytest.raises(MissingFileError):
        download(wanted, tmp_path)
    server.heal()
    (tmp_path / "a.bin").unlink(missing_ok=True)
    (tmp_path / "a.bin.part").write_bytes(files["a.bin"][:333_333])
    before = len(server.requests)
    download(wanted, tmp_path)
    assert_there(tmp_path, files)
    asked = [request.range for request in server.requests[before:] if request.path == "/a.bin"]
    assert min(asked)[0] == 333_333


def test_a_beginning_of_another_file_is_thrown_away(wanted, files, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(bytes(333_333))
    download(wanted, tmp_path)
    assert_there(tmp_path, files)


def test_a_beginning_that_cannot_be_verified_is_not_used(wanted, files, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(bytes(333_333))
    download([file._replace(sha256=None) for file in wanted], tmp_path)
    assert_there(tmp_path, files)


def test_a_changed_byte_is_refused_and_nothing_is_left(server, wanted, tmp_path):
    server.fail("change_byte", times=None, after=123, path="a.bin")
    with pytest.raises(ChecksumError, match=r"a\.bin is not what its SHA-256 says"):
        download(wanted, tmp_path)
    assert not (tmp_path / "a.bin").exists()
    assert not list(tmp_path.rglob("*.part"))


def test_a_byte_changed_once_on_its_way_is_got_over(server, wanted, files, tmp_path):
    server.fail("change_byte", times=1, after=123, path="a.bin")
    download(wanted, tmp_path)
    assert_there(tmp_path, files)


def test_another_size_is_refused(wanted, tmp_path):
    with pytest.raises(ShardError, match="cut short"):
        download([wanted[0]._replace(size=77)], tmp_path)


def test_faults_are_got_over(server, wanted, files, tmp_path, clock):
    server.fail("status", times=None, every=3, status=503)
    server.fail("cut", times=3, after=1_000)
    with Fetcher(clock=clock, retry=Retry(tries=20)) as fetcher:
        download(wanted, tmp_path, fetcher=fetcher)
    assert_there(tmp_path, files)


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "", "a\\..\\x", "C:x"])
def test_paths_out_of_the_folder_are_refused(wanted, tmp_path, path):
    with pytest.raises(AccessError, match="leads out of the folder"):
        download([wanted[0]._replace(path=path)], tmp_path)


def test_a_folder_that_cannot_be_made_is_named(wanted, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        download(wanted, tmp_path / "file" / "folder")


def test_a_local_file_is_copied(tmp_path, content):
    (tmp_path / "from.bin").write_bytes(content)
    download([Download(str(tmp_path / "from.bin"), "to.bin", len(content), sha256(content))], tmp_path / "out")
    assert (tmp_path / "out" / "to.bin").read_bytes() == content


def test_two_processes_with_one_folder_do_not_meet(server, wanted, files, tmp_path):
    code = "import sys; from mlstac.storage import Download, download; download(eval(sys.argv[1]), sys.argv[2])"
    both = [
        subprocess.Popen([sys.executable, "-c", code, repr(wanted), os.fspath(tmp_path)], cwd=Path(__file__).parents[2])
        for _ in range(2)
    ]
    assert [process.wait() for process in both] == [0, 0]
    assert_there(tmp_path, files)
    assert server.count == 2  # eight megabytes a block there: one request a file


def test_a_bar_is_drawn_if_asked_for(wanted, tmp_path, capsys):
    download(wanted, tmp_path, progress=True)
    assert "1.25M" in capsys.readouterr().err
