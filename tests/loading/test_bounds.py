"""Small files that mean gigabytes: refused by name, in little time and memory, by the reader and by `validate`."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mlstac
from mlstac.errors import CatalogError, CollectionError, MlstacError, ShardError
from tests.loading.broken import PART, edit_collection, edit_rows
from tests.loading.datasets import write_stacked

LIMIT_MIB = 700
"""Of a child process, imports and all: an unbounded read of what is written here takes gigabytes."""


@pytest.fixture
def copy(tmp_path):
    arrays = {"image": np.zeros((6, 2, 8, 8), np.uint16), "number": np.arange(6)}
    return write_stacked(tmp_path / "set", {"train": arrays}, shard_rows=3)


READ = """
import sys
import mlstac
def peak():
    [line] = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024
try:
    ds = mlstac.load(sys.argv[1], framework="numpy")
    ds[0]
    ds.metadata.to_table(["id"])
    print("read")
except mlstac.errors.MlstacError as error:
    print(type(error).__name__, str(error)[:300])
report = mlstac.validate(sys.argv[1])
print([str(f)[:300] for f in report.findings if f.level == "error"])
print(peak())
"""


def read_apart(folder):
    """Read and validate in a process of its own: what was said, and its peak of memory."""
    done = subprocess.run(
        [sys.executable, "-c", READ, str(folder)], capture_output=True, text=True, check=True, timeout=100
    )
    said, found, peak = done.stdout.splitlines()
    return said, found, int(peak)


def put_part(folder, table, **options):
    pq.write_table(table, folder / PART, **options)
    edit_collection(folder, lambda c: c["assets"]["train-00000"].update({"file:size": (folder / PART).stat().st_size}))


def test_an_id_of_a_gigabyte_is_refused_unread(copy):
    table = pq.read_table(copy / PART)
    ids = pa.array(["a" * 1_000_000_000, *table.column("id").to_pylist()[1:]])
    put_part(copy, table.set_column(0, "id", ids), compression="zstd", use_dictionary=False)
    del ids, table
    assert (copy / PART).stat().st_size < 1_000_000
    said, found, peak = read_apart(copy)
    assert said.startswith("CatalogError")
    assert "the column id takes 1,000,0" in said
    assert "the column id takes 1,000,0" in found
    assert peak < LIMIT_MIB


def test_a_long_id_that_a_dictionary_gives_to_every_row_fills_no_memory(tmp_path):
    n = 20_000
    arrays = {"number": np.arange(n)}
    folder = write_stacked(tmp_path / "set", {"train": arrays}, shard_rows=n)
    table = pq.read_table(folder / PART)
    ids = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array(["a" * 1_000_000]))
    put_part(folder, table.set_column(0, "id", ids), compression="zstd", store_schema=False)
    done = subprocess.run(
        [sys.executable, "-c", READ.replace('    ds.metadata.to_table(["id"])\n', ""), str(folder)],
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    said, found, peak = done.stdout.splitlines()
    assert said == "read"  # a sample is read without a look at its id
    assert "id has 1,000,000 characters; at most 512 are allowed" in found
    assert int(peak) < 2 * LIMIT_MIB  # of 20 GB


ASK = """
import sys
import mlstac
def peak():
    [line] = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024
ds = mlstac.load(sys.argv[1], framework="numpy")
for ask in (
    lambda: len(ds.filter(where="word = 'b'")),
    lambda: next(iter(ds.metadata.to_table(["word"])["word"])),
    lambda: next(ds.items()),
):
    try:
        print("read", str(ask())[:100])
    except mlstac.errors.MlstacError as error:
        print(type(error).__name__, str(error)[:900])
print([str(f)[:900] for f in mlstac.validate(sys.argv[1]).findings if "unfold" in f.what])
print(peak())
"""


def test_a_long_text_that_a_dictionary_gives_to_every_row_fills_no_memory_when_it_is_asked_for(tmp_path):
    n = 20_000
    folder = write_stacked(tmp_path / "set", {"train": {"number": np.arange(n)}}, shard_rows=n)
    table = pq.read_table(folder / PART)
    words = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array(["a" * 1_000_000]))
    table = table.append_column("word", words).append_column("proj:code", words)
    put_part(folder, table, compression="zstd", store_schema=False)
    assert (folder / PART).stat().st_size < 1_000_000
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(folder)], capture_output=True, text=True, check=True, timeout=100
    )
    *said, found, peak = done.stdout.splitlines()
    for line in said:
        assert line.startswith("CatalogError")
        assert "word" in line
        assert "unfold to more than the 1,073,741,824 bytes" in line
    assert len(said) == 3
    assert "proj:code" in found
    assert int(peak) < 2048 + LIMIT_MIB  # of 20 GB


def test_texts_that_rows_share_are_read_whole_piece_by_piece(tmp_path, monkeypatch):
    import mlstac.sample._unfolded as unfolded

    n = 500
    folder = write_stacked(tmp_path / "set", {"train": {"number": np.arange(n)}}, shard_rows=n)
    table = pq.read_table(folder / PART)
    words = pa.array([None if row % 7 == 3 else f"w{row % 5}" for row in range(n)])
    tags = pa.array([[f"t{row % 3}"] * (row % 4) for row in range(n)])
    table = table.append_column("word", words).append_column("tags", tags)
    put_part(folder, table, row_group_size=200)
    whole = mlstac.load(folder, framework="numpy")
    wanted = whole.metadata.to_table(["id", "word", "tags"])
    found = whole.filter(where="word = 'w2' AND A_CONTAINS(tags, ('t1'))").metadata.to_table(["id"])
    assert wanted.column("word").to_pylist() == words.to_pylist()
    monkeypatch.setattr(unfolded, "PIECE_BYTES", 1)
    pieces = mlstac.load(folder, framework="numpy")
    assert pieces.metadata.to_table(["id", "word", "tags"]).equals(wanted)
    assert 0 < len(found) < n
    assert pieces.filter(where="word = 'w2' AND A_CONTAINS(tags, ('t1'))").metadata.to_table(["id"]).equals(found)


@pytest.mark.parametrize("size", [3 * 2**30, 2**62])
def test_the_size_that_a_collection_gives_a_part_is_bounded_too(copy, size, fault_server):
    edit_collection(copy, lambda c: c["assets"]["train-00000"].update({"file:size": size}))
    for source in (str(copy), fault_server(copy.parent).url + copy.name):
        with pytest.raises(CatalogError, match="more than the 2,147,483,648 that are read"):
            mlstac.load(source, framework="numpy")[0]
        found = [f for f in mlstac.validate(source).findings if "more than the 2,147,483,648" in f.what]
        assert [f.path for f in found] == ["assets.train-00000"]


def test_a_collection_nested_deeply_or_too_long_is_refused(copy):
    path = copy / "collection.json"
    text = path.read_text()
    for broken in ('{"a":' * 100_000, text[:-1] + " " * (17 * 2**20) + "}", '{"a":[' + "[]," * 600_000 + "[]]}"):
        path.write_text(broken)
        with pytest.raises(CollectionError):
            mlstac.load(copy)
        assert not mlstac.validate(copy).ok


def test_a_header_of_ten_gigabytes_is_refused_by_its_length(copy):
    shard = copy / "train" / "00000.safetensors"
    raw = shard.read_bytes()
    shard.write_bytes((10**10).to_bytes(8, "little") + raw[8:])
    with pytest.raises(ShardError, match="header is said to take 10,000,000,000 bytes"):
        mlstac.load(copy, framework="numpy")[0]
    assert any("10,000,000,000" in f.what for f in mlstac.validate(copy).findings)


@pytest.mark.parametrize(
    "href",
    ["../../secret", "/etc/passwd", "file:///etc/passwd", "//127.0.0.1:9/x", "http://127.0.0.1:9/x", "..%2f..%2fx"],
)
def test_a_remote_row_leads_to_nothing_outside_its_dataset(copy, fault_server, href):
    (copy.parent / "secret").write_bytes(b"secret")
    edit_rows(copy, lambda rows: rows[1]["assets"]["image"].update(href=href))
    server = fault_server(copy.parent)
    source = server.url + copy.name
    with pytest.raises(MlstacError, match=r"href|leads out"):
        mlstac.load(source, framework="numpy")[1]
    found = [f for f in mlstac.validate(source).findings if f.level == "error"]
    assert any(f.row == 1 and f.path == "assets.image.href" for f in found)
    assert not any("secret" in str(request) for request in getattr(server, "requests", []))


def test_a_split_of_more_samples_than_there_are_is_told_when_it_is_read(copy):
    edit_collection(copy, lambda c: c["ml:train"].update(n_items=10**15))
    with pytest.raises(CatalogError, match="the collection says 1000000000000000"):
        mlstac.load(copy, framework="numpy")[0]
    assert not mlstac.validate(copy).ok
