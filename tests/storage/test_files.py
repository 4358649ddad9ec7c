"""Maps and small files of this machine."""

import gc
import os

import numpy as np
import pytest

from mlstac.errors import AccessError, ChangedError, FormatError, MissingFileError, ShardError
from mlstac.storage import MappedFile, file_size, map_file, read_bytes


@pytest.fixture
def path(tmp_path, content):
    path = tmp_path / "a b#é.bin"
    path.write_bytes(content)
    return path


def test_a_map_is_a_plain_array_that_cannot_be_written(path, content):
    mapped = map_file(path, size=len(content))
    assert type(mapped) is np.ndarray
    assert (mapped.dtype, mapped.shape, mapped.flags.writeable) == (np.uint8, (len(content),), False)
    assert mapped.tobytes() == content
    with pytest.raises(ValueError, match="WRITEABLE"):
        mapped.flags.writeable = True


def test_a_map_keeps_no_file_open_and_goes_with_its_last_view(path, tmp_path):
    def count():
        gc.collect()
        with open("/proc/self/maps") as maps:
            return sum(str(tmp_path) in line for line in maps)

    def held():
        links = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
        return links.count(os.path.realpath(path))  # other tests' descriptors may close meanwhile

    view = map_file(path)[10:20]
    assert count() == 1
    assert held() == 0
    del view
    assert count() == 0
    assert held() == 0


def test_an_empty_file_maps_to_an_empty_array(tmp_path):
    (tmp_path / "empty").touch()
    mapped = map_file(tmp_path / "empty", size=0)
    assert (mapped.shape, mapped.flags.writeable) == ((0,), False)


def test_a_file_of_another_size_than_the_catalogs_is_refused(path):
    with pytest.raises(ShardError, match=r"holds 1000000 bytes, and the catalog says 5: it was cut short"):
        map_file(path, size=5)


def _cut(path):
    os.truncate(path, 10)


def _write_in_place(path):
    with open(path, "r+b") as file:
        file.write(b"others")
    os.utime(path, ns=(0, 1))  # clocks of some systems are coarse


def _replace(path):
    new = path.with_suffix(".new")
    new.write_bytes(path.read_bytes())
    new.replace(path)


@pytest.mark.parametrize("change", [_cut, _write_in_place, _replace, os.remove])
def test_a_mapped_file_that_changes_is_told_before_it_is_touched(path, content, change):
    mapped = MappedFile(path, size=len(content))
    mapped.check()
    assert mapped.data.tobytes() == content
    change(path)
    with pytest.raises(ChangedError, match="written to, replaced or removed"):
        mapped.check()


@pytest.mark.parametrize("read", [map_file, read_bytes, file_size])
def test_what_is_not_there_is_named(tmp_path, path, read):
    for missing in (tmp_path / "none.bin", path / "below", f"file://{tmp_path}/none.bin"):
        with pytest.raises(MissingFileError, match="no such file"):
            read(missing)
    with pytest.raises(MissingFileError, match="is a folder"):
        read(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
@pytest.mark.parametrize("read", [map_file, read_bytes])
def test_what_may_not_be_read_is_named(path, read):
    path.chmod(0)
    with pytest.raises(AccessError, match="permissions"):
        read(path)


def test_small_files_are_read_whole_and_bounded(path, content):
    assert read_bytes(path) == read_bytes(str(path)) == read_bytes("file://" + str(path).replace(" ", "%20")) == content
    assert file_size(path) == len(content)
    with pytest.raises(FormatError, match="more than the 999999"):
        read_bytes(path, limit_bytes=999_999)


def test_a_remote_file_larger_than_its_bound_is_refused_before_it_is_read(fault_server, content):
    server = fault_server({"a.bin": content})
    with pytest.raises(FormatError, match="more than 1000 bytes"):
        read_bytes(server.url + "a.bin", limit_bytes=1_000)
    server.fail("chunked")
    with pytest.raises(FormatError, match="more than 1000 bytes"):
        read_bytes(server.url + "a.bin", limit_bytes=1_000)


def test_sizes_come_without_the_file(fault_server, content):
    server = fault_server({"a.bin": content, "empty.bin": b""})
    assert file_size(server.url + "a.bin") == len(content)
    assert file_size(server.url + "empty.bin") == 0
    assert server.bytes_sent == 1
    server.fail("ignore_range")
    assert file_size(server.url + "a.bin") == len(content)
