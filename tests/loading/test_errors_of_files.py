"""Shards and catalogs that are gone, cut short, changed or lie: which file, which row, which sample, and what to do."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mlstac
from mlstac.errors import (
    AccessError,
    CatalogError,
    ChangedError,
    ChecksumError,
    MissingFileError,
    MlstacError,
    ShardError,
)
from tests.loading.broken import PART, copy, edit_collection, edit_rows, made, source, use, write_part

__all__ = ["copy", "made", "source"]  # fixtures


def test_a_missing_shard_is_named_with_the_sample(copy, source):
    (copy / "train" / "00001.safetensors").unlink()
    ds = mlstac.load(source(), framework="numpy")
    assert ds[3]["number"] == 3
    with pytest.raises(MissingFileError, match=r"00001\.safetensors.*sample 5 \('train-0000005'\)"):
        ds[5]
    with pytest.raises(MissingFileError, match=r"00001\.safetensors.*sample 4 "):
        list(ds.batches(3))
    assert ds[8]["number"] == 8


@pytest.mark.parametrize("kept", [0, 7, 200, -1])
def test_a_truncated_shard_is_named_with_both_sizes(copy, source, kept):
    shard = copy / "train" / "00001.safetensors"
    raw = shard.read_bytes()
    shard.write_bytes(raw[:kept])
    held = len(raw[:kept])
    with pytest.raises(ShardError, match=rf"00001\.safetensors.*\b{held} bytes.*\b{len(raw)}\b.*sample 7 "):
        mlstac.load(source(), framework="numpy")[7]


def test_a_shard_that_grew_is_named(copy, source):
    with (copy / "train" / "00002.safetensors").open("ab") as file:
        file.write(b"more")
    with pytest.raises((ShardError, ChangedError), match=r"00002\.safetensors.*sample 9 "):
        mlstac.load(source(), framework="numpy")[9]


def test_a_changed_byte_is_named_with_file_sample_and_tensor(copy, source):
    shard = copy / "train" / "00002.safetensors"
    raw = bytearray(shard.read_bytes())
    size = int.from_bytes(raw[:8], "little")
    first, stop = json.loads(raw[8 : 8 + size])["image"]["data_offsets"]
    raw[8 + size + stop - 1] ^= 0x80
    assert first < stop
    shard.write_bytes(raw)
    with pytest.raises(ChecksumError, match=r"tensor 'image' of sample \d+ .*00002\.safetensors"):
        use(source(), verify=True)


CATALOGS = {
    "a null offset": (("image", "ml:offset", None), r"row 5: assets\.image\.ml:offset is null"),
    "a null length": (("image", "ml:length", None), r"row 5: assets\.image\.ml:length is null"),
    "a null href": (("number", "href", None), r"row 5: assets\.number\.href is null"),
    "a null size": (("image", "file:size", None), r"row 5: assets\.image\.file:size is null"),
    "a negative offset": (("number", "ml:offset", -1), r"row 5: assets\.number\.ml:offset is -1"),
    "a negative length": (("image", "ml:length", -256), r"row 5: assets\.image\.ml:length is -256"),
    "an offset past the end": (("image", "ml:offset", 10**9), r"row 5: assets\.image points at bytes 1000000000 to"),
    "the largest offset": (("image", "ml:offset", 2**63 - 1), r"row 5: assets\.image points at bytes"),
    "a length of another shape": (("image", "ml:length", 254), r"row 5: assets\.image\.ml:length is 254; dtype U16"),
    "a negative size": (("image", "file:size", -4), r"row 5: "),
    "a parent's file": (("image", "href", "../../secret.safetensors"), r"row 5: href"),
    "a parent's file, encoded": (("image", "href", "%2e%2e/%2e%2e/secret.safetensors"), r"row 5: href"),
    "an absolute path": (("image", "href", "/etc/hostname"), r"row 5: href"),
    "a file URL": (("image", "href", "file:///etc/hostname"), r"row 5: href"),
    "another host": (("image", "href", "http://127.0.0.2:9/x.safetensors"), r"row 5: href"),
    "another host without scheme": (("image", "href", "//127.0.0.2:9/x.safetensors"), r"row 5: href"),
    "another scheme": (("image", "href", "s3://bucket/x.safetensors"), r"row 5: href"),
    "a backslash": (("image", "href", "..\\secret.safetensors"), r"row 5: href"),
    "a zero byte": (("image", "href", "x\0.safetensors"), r"row 5: href"),
    "no href": (("image", "href", ""), r"row 5: href"),
}


@pytest.mark.parametrize("what", CATALOGS)
def test_a_row_that_lies_is_named_and_nothing_outside_is_touched(copy, source, tmp_path, what):
    (tensor, leaf, value), said = CATALOGS[what]
    (tmp_path / "secret.safetensors").write_bytes(b"secret" * 1000)

    def change(rows):
        rows[5]["assets"][tensor][leaf] = value

    edit_rows(copy, change)
    url = source()
    for how in ("sample", "batches"):
        ds = mlstac.load(url, framework="numpy")
        with pytest.raises(CatalogError, match=rf"catalog-00000\.parquet, {said}"):
            ds[5] if how == "sample" else list(ds.batches(4))


def test_a_part_of_another_place_is_refused(copy, source):
    for href in ("../elsewhere.parquet", "/etc/hostname", "http://127.0.0.2:9/x.parquet", "file:///etc/hostname"):
        edit_collection(copy, lambda c, href=href: c["assets"]["train-00000"].update(href=href))
        with pytest.raises(AccessError, match=r"dataset|allow_hosts"):
            mlstac.load(source())


@pytest.mark.parametrize("leaf", ["href", "ml:offset", "ml:length", "file:size"])
def test_a_missing_column_is_named_with_its_file(copy, source, leaf):
    table = pq.read_table(copy / PART)
    rows = table.to_pylist()
    for row in rows:
        for asset in row["assets"].values():
            del asset[leaf]
    write_part(copy, pa.Table.from_pylist(rows))
    with pytest.raises(CatalogError, match=rf"catalog-00000\.parquet lacks the column assets\.image\.{leaf}"):
        mlstac.load(source(), framework="numpy")[0]


@pytest.mark.parametrize(("leaf", "value"), [("ml:offset", 1.5), ("ml:length", "256"), ("href", 7)])
def test_a_column_of_another_type_is_named_with_its_file(copy, source, leaf, value):
    rows = pq.read_table(copy / PART).to_pylist()
    for row in rows:
        row["assets"]["image"][leaf] = value
    write_part(copy, pa.Table.from_pylist(rows))
    with pytest.raises(CatalogError, match=rf"catalog-00000\.parquet.*assets\.image\.{leaf} is of type"):
        mlstac.load(source(), framework="numpy")[0]


def test_another_number_of_rows_than_promised_is_named(copy, source):
    write_part(copy, pq.read_table(copy / PART).slice(0, 11))
    with pytest.raises(CatalogError, match=r"catalog-00000\.parquet.*12"):
        mlstac.load(source(), framework="numpy")[0]


@pytest.mark.parametrize("broken", ["cut", "other", "empty", "text"])
def test_a_catalog_that_is_no_parquet_is_named(copy, source, broken):
    raw = (copy / PART).read_bytes()
    data = {"cut": raw[:-100], "other": raw[:100] + b"\xff" * 200 + raw[300:], "empty": b"", "text": b"id,href\n"}[
        broken
    ]
    (copy / PART).write_bytes(data)
    edit_collection(copy, lambda c: c["assets"]["train-00000"].update({"file:size": len(data)}))
    with pytest.raises(MlstacError, match=r"catalog-00000\.parquet"):
        use(source(), verify=True)


def test_a_catalog_of_another_size_was_replaced(copy, source):
    edit_collection(copy, lambda c: c["assets"]["train-00000"].update({"file:size": 12}))
    with pytest.raises((ChangedError, CatalogError, ShardError), match=r"catalog-00000\.parquet"):
        mlstac.load(source(), framework="numpy")[0]
