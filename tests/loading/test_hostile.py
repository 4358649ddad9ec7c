"""Catalogs and collections that lie: named errors, and nothing outside the dataset is ever touched."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mlstac
from mlstac.errors import (
    AccessError,
    CatalogError,
    ChangedError,
    CollectionError,
    MissingFileError,
    ShardError,
    VersionError,
)


@pytest.fixture
def copy(tiny, tmp_path):
    """A copy of the tiny dataset, to break."""
    return shutil.copytree(tiny, tmp_path / "copy")


def edit_rows(folder, change):
    """Rewrite the first catalog part of train, after ``change(rows)``."""
    part = folder / "train" / "catalog-00000.parquet"
    table = pq.read_table(part)
    rows = table.to_pylist()
    rows = change(rows) or rows
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), part)
    edit_collection(folder, lambda c: c["assets"]["train-00000"].update({"file:size": part.stat().st_size}))


def edit_collection(folder, change):
    path = folder / "collection.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def set_leaf(row, leaf, value, tensor="input"):
    def change(rows):
        rows[row]["assets"][tensor][leaf] = value

    return change


@pytest.mark.parametrize(
    ("row", "leaf", "value", "said"),
    [
        (7, "ml:offset", -8, r"row 7: assets.input.ml:offset is -8"),
        (7, "ml:offset", 10**6, r"row 7: assets.input points at bytes 1000000 to"),
        (0, "ml:offset", 2**62, r"row 0: assets.input points at bytes"),
        (9, "ml:length", 12, r"row 9: assets.input.ml:length is 12; dtype U16 and shape \[3, 32, 32\] make 6144"),
        (9, "ml:length", -1, r"row 9: assets.input.ml:length is -1"),
        (3, "ml:offset", None, r"row 3: assets.input.ml:offset is null"),
        (3, "href", None, r"row 3: assets.input.href is null"),
        (4, "file:size", 7, r"row 4: (catalog rows disagree about the size|assets.input points at bytes)"),
    ],
)
def test_a_row_that_points_where_it_may_not_is_named(copy, row, leaf, value, said):
    edit_rows(copy, set_leaf(row, leaf, value))
    ds = mlstac.load(copy, framework="numpy")
    with pytest.raises(CatalogError, match=said) as caught:
        ds[1]
    assert "catalog-00000.parquet" in str(caught.value)


@pytest.mark.parametrize(
    "href",
    [
        "../../secret.safetensors",
        "/etc/passwd",
        "file:///etc/passwd",
        "http://127.0.0.1:9/x",
        "..%2F..%2Fsecret",
        "\\\\x",
    ],
)
def test_an_href_may_not_leave_the_dataset(copy, href, tmp_path):
    (tmp_path / "secret.safetensors").write_bytes(b"secret")
    edit_rows(copy, set_leaf(2, "href", href))
    with pytest.raises(CatalogError, match="row 2: href"):
        mlstac.load(copy, framework="numpy")[0]


def test_a_part_may_not_lie_outside_the_dataset(copy):
    edit_collection(copy, lambda c: c["assets"]["train-00000"].update(href="../elsewhere.parquet"))
    with pytest.raises(AccessError, match="leads out of the dataset"):
        mlstac.load(copy)


def test_a_sample_that_lacks_a_required_tensor_is_named(copy):
    def change(rows):
        rows[5]["assets"]["target"] = None

    edit_rows(copy, change)
    with pytest.raises(CatalogError, match="row 5: lacks tensor 'target'"):
        mlstac.load(copy, framework="numpy")[0]


@pytest.mark.parametrize("column", ["assets", "ml:offset"])
def test_a_catalog_without_addresses_says_which_column_it_lacks(copy, column):
    part = copy / "train" / "catalog-00000.parquet"
    table = pq.read_table(part)
    if column == "assets":
        table = table.drop_columns("assets")
    else:
        rows = table.to_pylist()
        for row in rows:
            for asset in row["assets"].values():
                del asset["ml:offset"]
        table = pa.Table.from_pylist(rows)
    pq.write_table(table, part)
    edit_collection(copy, lambda c: c["assets"]["train-00000"].update({"file:size": part.stat().st_size}))
    with pytest.raises(CatalogError, match=r"lacks the column assets.input"):
        mlstac.load(copy, framework="numpy")[0]


def test_a_column_of_another_type_is_refused(copy):
    part = copy / "train" / "catalog-00000.parquet"
    rows = pq.read_table(part).to_pylist()
    for row in rows:
        row["assets"]["input"]["ml:offset"] = float(row["assets"]["input"]["ml:offset"])
    pq.write_table(pa.Table.from_pylist(rows), part)
    edit_collection(copy, lambda c: c["assets"]["train-00000"].update({"file:size": part.stat().st_size}))
    with pytest.raises(CatalogError, match="ml:offset is of type double; expected int64"):
        mlstac.load(copy, framework="numpy")[0]


@pytest.mark.parametrize("ids", [None, list(range(17))], ids=["none", "numbers"])
def test_a_catalog_whose_samples_have_no_ids_is_refused(copy, ids):
    part = copy / "train" / "catalog-00000.parquet"
    table = pq.read_table(part)
    table = table.drop_columns("id")
    if ids is not None:
        table = table.append_column("id", pa.array(ids[: len(table)]))
    pq.write_table(table, part)
    edit_collection(copy, lambda c: c["assets"]["train-00000"].update({"file:size": part.stat().st_size}))
    ds = mlstac.load(copy, framework="numpy")
    words = "has no column 'id'" if ids is None else "ids of type int64, and ids are texts"
    for ask in (lambda: ds[0], lambda: next(iter(ds.batches(2))), lambda: ds.filter(ids=["a"]), lambda: ds.metadata[0]):
        with pytest.raises(CatalogError, match=words):
            ask()


def test_fewer_rows_than_the_collection_says_are_an_error(copy):
    edit_rows(copy, lambda rows: rows[:-1])
    with pytest.raises(CatalogError, match=r"split 'train' has 16 rows .* the collection says 17"):
        mlstac.load(copy, framework="numpy")[0]


def test_a_catalog_that_is_no_parquet_or_was_replaced_is_named(copy):
    part = copy / "train" / "catalog-00000.parquet"
    raw = part.read_bytes()
    part.write_bytes(b"x" * len(raw))
    with pytest.raises(CatalogError, match="not a readable Parquet file"):
        mlstac.load(copy)[0]
    part.write_bytes(raw[:-1])
    with pytest.raises(ChangedError, match="one of them was replaced"):
        mlstac.load(copy)[0]
    part.unlink()
    with pytest.raises(MissingFileError, match=r"catalog-00000.parquet"):
        mlstac.load(copy)[0]


def test_a_shard_that_is_missing_or_cut_short_is_named(copy):
    shard = copy / "train" / "00001.safetensors"
    raw = shard.read_bytes()
    shard.write_bytes(raw[:-1])
    ds = mlstac.load(copy, framework="numpy")
    assert ds[4]["target"] == 40
    with pytest.raises(ShardError, match=r"00001.safetensors .*sample 5 \('train-0000005'\)"):
        ds[5]
    shard.unlink()
    with pytest.raises(MissingFileError, match=r"00001.safetensors.*sample 5"):
        mlstac.load(copy, framework="numpy")[5]
    with pytest.raises(MissingFileError, match=r"00001.safetensors.*sample 5 .* and 16 others"):
        list(mlstac.load(copy, framework="numpy").batches(17))


def test_verify_finds_a_changed_byte_of_a_local_file(copy):
    shard = copy / "train" / "00001.safetensors"
    raw = bytearray(shard.read_bytes())
    raw[-1] ^= 1
    shard.write_bytes(raw)
    ds = mlstac.load(copy, framework="numpy", verify=True)
    assert ds[4]["target"] == 40
    ds[5]
    with pytest.raises(
        ShardError, match=r"sample 9 \('train-0000009'\) in .*00001.safetensors is not what was written"
    ):
        ds[9]
    mlstac.load(copy, framework="numpy")[9]  # local maps are not checked unless asked


def test_a_block_of_small_rows_is_verified_as_a_whole(copy):
    shard = copy / "train" / "00000.safetensors"
    raw = bytearray(shard.read_bytes())
    header = int.from_bytes(raw[:8], "little")
    first = 8 + header + json.loads(raw[8 : 8 + header])["target"]["data_offsets"][0]
    raw[first] ^= 1  # the number of sample 0
    shard.write_bytes(raw)
    ds = mlstac.load(copy, framework="numpy", verify=True)
    with pytest.raises(ShardError, match=r"'target' of sample 3 .* or a neighbour that shares its checksum"):
        ds[3]
    assert ds[5]["target"] == 50


def test_verification_without_checksums_is_an_error_only_if_asked(copy):
    def change(rows):
        for row in rows:
            for asset in row["assets"].values():
                asset["ml:checksum"] = None

    # null checksums are what a broken writer leaves; a catalog without the column was made without
    edit_rows(copy, change)
    with pytest.raises(CatalogError, match="ml:checksum is null"):
        mlstac.load(copy, framework="numpy", verify=True)[0]
    mlstac.load(copy, framework="numpy")[0]


def test_folders_that_are_no_datasets_say_what_they_are(tmp_path, tiny):
    with pytest.raises(MissingFileError, match="nothing is at"):
        mlstac.load(tmp_path / "nothing")
    with pytest.raises(MissingFileError, match=r"has no collection.json.*interrupted"):
        mlstac.load(tmp_path)
    (tmp_path / "a.TIF").write_bytes(b"II*\0")
    with pytest.raises(MissingFileError, match=r"folder of \.tif files; make a dataset of them: mlstac convert"):
        mlstac.load(tmp_path)
    shutil.copytree(tiny, tmp_path / "below")
    with pytest.raises(MissingFileError, match="there are datasets in it: below"):  # whatever pictures lie beside them
        mlstac.load(tmp_path)
    with pytest.raises(CollectionError, match="is an image"):
        mlstac.load(tmp_path / "a.TIF")
    with pytest.raises(MissingFileError, match="the folder above it has one"):
        mlstac.load(tiny / "train")
    with pytest.raises(MissingFileError, match="there are datasets in it: "):
        mlstac.load(tiny.parent)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", CollectionError),
        ("[]", CollectionError),
        ('{"type": "Catalog"}', CollectionError),
        ("\x00", CollectionError),
    ],
)
def test_a_collection_that_is_none_is_named(copy, text, error):
    (copy / "collection.json").write_text(text)
    with pytest.raises(error, match="collection"):
        mlstac.load(copy)


def test_an_unknown_major_version_is_refused(copy):
    edit_collection(copy, lambda c: c.update({"ml:version": "2.0.0"}))
    with pytest.raises(VersionError):
        mlstac.load(copy)


def test_a_split_that_names_an_asset_that_is_not_there_is_refused(copy):
    edit_collection(copy, lambda c: c["ml:train"].update(assets=["train-00009"]))
    with pytest.raises(CollectionError):
        mlstac.load(copy)


def test_a_dataset_that_changed_since_it_was_pickled_is_refused(copy):
    import pickle

    raw = pickle.dumps(mlstac.load(copy))
    edit_rows(copy, lambda rows: [dict(row, id=row["id"] + "-a-longer-name") for row in rows])
    with pytest.raises(ChangedError, match="load it again"):
        pickle.loads(raw)


def test_random_bytes_in_a_catalog_never_end_in_anything_but_a_named_error(copy):
    part = copy / "train" / "catalog-00000.parquet"
    raw = part.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(150):
        broken = bytearray(raw)
        for at in rng.integers(0, len(raw), rng.integers(1, 20)).tolist():
            broken[at] = int(rng.integers(256))
        part.write_bytes(broken)
        try:
            ds = mlstac.load(copy, framework="numpy", verify=True)
            for row in range(10):
                ds[row]
        except (CatalogError, ShardError, mlstac.errors.StorageError):
            continue
