"""Written bytes that are on their way to the disk before they are flushed."""

import ctypes
import errno
import os
import sys

import pytest

from mlstac.authoring import _target, _writeback
from mlstac.authoring._target import Target
from mlstac.authoring._writeback import begin_writeback
from mlstac.errors import StorageError

MIB = 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="the call is Linux's")
def test_linux_begins_with_a_range_of_a_file(tmp_path):
    with open(tmp_path / "x", "wb", buffering=0) as file:
        file.write(os.urandom(3 * MIB))
        assert begin_writeback(file.fileno(), 0, 2 * MIB)
        assert begin_writeback(file.fileno(), 2 * MIB, MIB)


def test_what_cannot_be_begun_is_left_to_the_flush(tmp_path):
    read, write = os.pipe()
    try:
        assert not begin_writeback(write, 0, 1)
    finally:
        os.close(read)
        os.close(write)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_bytes_that_the_disk_refuses_are_an_error_that_names_the_file(tmp_path, monkeypatch, number):
    def refuse(*_):
        ctypes.set_errno(number)
        return -1

    monkeypatch.setattr(_writeback, "_system_call", lambda: refuse)
    with pytest.raises(StorageError, match=os.strerror(number)), Target(tmp_path).create("x") as file:
        file.write(bytes(9 * MIB))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
def test_a_system_that_forbids_the_call_still_writes(tmp_path, monkeypatch, number):
    def refuse(*_):
        ctypes.set_errno(number)
        return -1

    monkeypatch.setattr(_writeback, "_system_call", lambda: refuse)
    with Target(tmp_path).create("x") as file:
        file.write(bytes(9 * MIB))
    assert (tmp_path / "x").stat().st_size == 9 * MIB


def test_a_large_file_goes_to_the_disk_while_it_is_written(tmp_path, monkeypatch):
    begun = []

    def watched(descriptor, start, nbytes):
        assert os.fstat(descriptor).st_size == start + nbytes  # all of it is written by then
        begun.append((start, start + nbytes))
        return begin_writeback(descriptor, start, nbytes)

    monkeypatch.setattr(_target, "begin_writeback", watched)
    pieces = [os.urandom(size) for size in (500, 5 * MIB, 5 * MIB, 9 * MIB, MIB)]
    with Target(tmp_path).create("x") as file:
        for piece in pieces:
            file.write(piece)
    assert (tmp_path / "x").read_bytes() == b"".join(pieces)
    assert begun == [(0, 10 * MIB + 500), (10 * MIB + 500, 19 * MIB + 500)]


def test_a_small_file_waits_for_its_flush(tmp_path, monkeypatch):
    monkeypatch.setattr(_target, "begin_writeback", lambda *_: pytest.fail("begun"))
    Target(tmp_path).put("x", bytes(MIB))
    assert (tmp_path / "x").stat().st_size == MIB
