"""Whatever is broken is found, where it is, and with its mend; what is sound is called so."""

import gzip
import hashlib
import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyproj
import pytest
import shapely
import xxhash

import mlstac
from mlstac.errors import MissingFileError, ShardError
from mlstac.sample import undo_file, undo_gzip_file
from tests.loading.original.old import chips, main_json, write_split
from tests.validation.conftest import PART, edit_collection, edit_columns, edit_json, edit_rows, samples


def errors_of(folder, **options):
    report = mlstac.validate(folder, **options)
    found = [finding for finding in report.findings if finding.level == "error"]
    assert report.ok is not bool(found)
    return found


@pytest.mark.parametrize("deep", [False, True])
def test_a_sound_dataset_is_valid(made, schemas, deep):
    report = mlstac.validate(made, deep=deep, schemas=schemas)
    assert report.ok
    # the licence's text is elsewhere, and nothing else is left open
    assert [(finding.level, finding.path) for finding in report.findings] == [("unchecked", "links[4].href")]
    size = sum(path.stat().st_size for path in made.glob("*/*.safetensors"))
    shards = len(list(made.glob("*/*.safetensors")))
    assert report.looked_at == {"rows": 23, "parts": 3, "shards": shards, "bytes": size if deep else 0}


def test_a_dataset_behind_a_server_is_held_against_the_same_rules(copy, fault_server):
    with_server = fault_server(copy.parent).url + copy.name
    assert errors_of(with_server, deep=True) == []
    edit_rows(copy, lambda rows: rows[7]["assets"]["image"].update({"ml:offset": 8}))
    shard = min((copy / "validation").glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-1])
    found = errors_of(fault_server(copy.parent).url + copy.name)
    assert any(finding.row == 7 and "ml:offset" in finding.path for finding in found)
    assert any(finding.file.endswith(f"validation/{shard.name}") for finding in found)
    assert [(f.where, f.what) for f in found if f.file == PART] == [
        (f.where, f.what) for f in errors_of(copy) if f.file == PART
    ]


def at(row, column, value):
    """Change one value of one row: ``assets.image.ml:offset``."""

    def change(folder):
        def edit(rows):
            place = rows[row]
            *path, last = column.split(".")
            for step in path:
                place = place[step]
            place[last] = value(place[last]) if callable(value) else value

        edit_rows(folder, edit)

    return change


def drop_row(rows):
    del rows[5]


def swap_rows(rows):
    rows[3], rows[4] = rows[4], rows[3]


def move_row(rows):
    rows.append(rows.pop(0))


def share_bytes(rows):
    rows[2]["assets"]["image"]["ml:offset"] = rows[1]["assets"]["image"]["ml:offset"]


def rows_of(change):
    return lambda folder: edit_rows(folder, change)


def words_of(change):
    return lambda folder: edit_collection(folder, change)


def cut_shard(folder):
    shard = folder / "train" / "00001.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])


def remove_shard(folder):
    (folder / "train" / "00001.safetensors").unlink()


def rename_tensor(folder):
    """Another header of the same length: a shard whose tensor is called otherwise."""
    shard = folder / "train" / "00000.safetensors"
    raw = shard.read_bytes()
    shard.write_bytes(raw.replace(b'"image":', b'"imagf":', 1))


def change_dtype(folder):
    shard = folder / "train" / "00000.safetensors"
    raw = shard.read_bytes()
    shard.write_bytes(raw.replace(b'"image":{"dtype":"U16"', b'"image":{"dtype":"I16"', 1))


def swap_keyed(folder):
    """Two samples' keyed tensors change names."""
    shard = folder / "train" / "00000.safetensors"
    raw = shard.read_bytes()
    one, other = b'"train-0000000/crop"', b'"train-0000001/crop"'
    shard.write_bytes(raw.replace(one, b"?" * len(one)).replace(other, one).replace(b"?" * len(one), other))


def far_grid(folder):
    at(6, "proj:code", "EPSG:32633")(folder)


WEST = shapely.to_wkb(shapely.box(-5, 36.1, -4, 36.2))

OFFSET, WORDS = "assets.image.ml:offset", "collection.json"

BROKEN = {
    # how to break it: (file, row, path, words)
    "offset past the file": (at(7, OFFSET, 10**9), PART, 7, OFFSET, "leave the file"),
    "offset past 64 bits": (at(7, OFFSET, 2**62), PART, 7, OFFSET, "leave the file"),
    "negative offset": (at(7, OFFSET, -8), PART, 7, OFFSET, "is -8"),
    "null offset": (at(7, OFFSET, None), PART, 7, OFFSET, "is null"),
    "length": (at(3, "assets.image.ml:length", 10), PART, 3, "assets.image.ml:length", r"U16 of \[3, 8, 8\] is 384"),
    "negative length": (at(3, "assets.text.ml:length", -1), PART, 3, "assets.text.ml:length", "is -1"),
    "offset of nothing in the header": (
        at(7, OFFSET, lambda offset: offset + 2),
        *(PART, 7, OFFSET, "whose header has 'image' of U16"),
    ),
    "shape": (at(2, "assets.crop.ml:shape", [1, 1]), PART, 2, "assets.crop.ml:length", r"U8 of \[1, 1\] is 1"),
    "axes": (at(2, "assets.crop.ml:shape", [4]), PART, 2, "assets.crop.ml:shape", "not the 2 axes"),
    "shape of the header": (
        at(1, "assets.crop.ml:shape", lambda shape: shape[::-1]),
        *(PART, 1, "assets.crop.ml:offset", "no tensor that begins and ends there"),
    ),
    "shared bytes": (rows_of(share_bytes), PART, 2, OFFSET, "are those of row 1, assets.image"),
    "rows out of order": (rows_of(swap_rows), PART, None, OFFSET, "do not stand in the order"),
    "a shard's rows apart": (rows_of(move_row), PART, 19, "assets.image.href", "stand apart"),
    "missing tensor": (at(4, "assets.image", None), PART, 4, "assets.image", "lacks a tensor"),
    "role": (at(4, "assets.mask.roles", ["data"]), PART, 4, "assets.mask.roles", "lack 'label'"),
    "file:size": (at(4, "assets.image.file:size", 10**6), PART, 4, "assets.image.file:size", "disagree about the size"),
    "href out": (at(4, "assets.image.href", "../../x"), PART, 4, "assets.image.href", "leads out of the dataset"),
    "absolute href": (at(4, "assets.image.href", "/etc/passwd"), PART, 4, "assets.image.href", "leads out"),
    "href of a host": (at(4, "assets.image.href", "http://127.0.0.1:9/x"), PART, 4, "assets.image.href", "leads out"),
    "empty href": (at(4, "assets.image.href", ""), PART, 4, "assets.image.href", "href is empty"),
    "href of nothing": (at(0, "assets.image.href", "./none.safetensors"), "train/none.safetensors", None, None, ""),
    "null id": (at(5, "id", None), PART, 5, "id", "id is null"),
    "empty id": (at(5, "id", ""), PART, 5, "id", "id is empty"),
    "long id": (at(5, "id", "x" * 600), PART, 5, "id", "600 characters"),
    "control character": (at(5, "id", "a\nb"), PART, 5, "id", "control character"),
    "an id twice": (at(5, "id", "train-0000003"), PART, 5, "id", f"'train-0000003' stands in {PART}, row 3, too"),
    "an id in two splits": (
        at(5, "id", "validation-0000000"),
        *("validation/catalog-00000.parquet", 0, "id", f"stands in {PART}, row 5, too"),
    ),
    "metres": (at(6, "bbox.xmax", 500_000.0), PART, 6, "bbox", "leaves the Earth"),
    "NaN": (at(6, "bbox.xmax", float("nan")), PART, 6, "bbox", "leaves the Earth"),
    "upside down": (at(6, "bbox.ymin", 60.0), PART, 6, "bbox", "south above north"),
    "out of the extent": (at(6, "bbox.xmin", -9.0), PART, 6, "bbox", "leaves the collection's extent"),
    "west > east": (
        at(6, "bbox.xmin", lambda west: west + 0.001),
        *(PART, 6, "bbox", "leaves the collection's extent|does not cross"),
    ),
    "another geometry": (
        at(6, "geometry", lambda _: shapely.to_wkb(shapely.box(-3, 36.1, -2.99, 36.2))),
        *(PART, 6, "bbox", "not that of the geometry"),
    ),
    "no geometry": (at(6, "geometry", None), PART, 6, "geometry", "is null, the other is not"),
    "bytes for geometry": (at(6, "geometry", b"\x01\x03"), PART, 6, "geometry", "no WKB"),
    "end before start": (
        at(6, "end_datetime", lambda end: end.replace(year=2019)),
        *(PART, 6, "end_datetime", "is before start_datetime"),
    ),
    "out of the interval": (
        at(6, "end_datetime", lambda end: end.replace(year=2030)),
        *(PART, 6, "datetime", "after the collection's interval"),
    ),
    "one end": (at(6, "end_datetime", None), PART, 6, "start_datetime", "one of start_datetime and end_datetime"),
    "unknown CRS": (at(6, "proj:code", "EPSG:999999"), PART, 6, "proj:code", "not known to PROJ"),
    "another CRS": (far_grid, PART, 6, "proj:transform", "far from the bbox"),
    "NaN in a transform": (
        at(6, "proj:transform", [10, 0, float("nan"), 0, -10, 4e6]), PART, 6, "proj:transform", "NaN or infinity",
    ),
    "singular transform": (at(6, "proj:transform", [0, 0, 5e5, 0, 0, 4e6]), PART, 6, "proj:transform", "singular"),
    "five numbers": (at(6, "proj:transform", [1.0] * 5), PART, 6, "proj:transform", "has 5 numbers"),
    "a row fewer": (rows_of(drop_row), WORDS, None, "ml:train.n_items", "parts of the split have 19 rows"),
    "a column fewer": (
        lambda folder: edit_columns(folder, lambda table: table.drop_columns("assets")),
        *(PART, None, "assets", "lacks the column"),
    ),
    "a column of nulls": (
        lambda folder: edit_columns(folder, lambda table: table.append_column("x", pa.nulls(len(table)))),
        *(PART, None, "x", "type null"),
    ),
    "no id column": (
        lambda folder: edit_columns(folder, lambda table: table.drop_columns("id")),
        *(PART, None, "id", "lacks this column"),
    ),
    "another column": (
        lambda folder: edit_columns(folder, lambda table: table.append_column("x", pa.array([1] * len(table)))),
        *("validation/catalog-00000.parquet", None, "x", "not there here and int64 in"),
    ),
    "row count": (
        words_of(lambda c: c["assets"]["train-00000"].update({"table:row_count": 7})),
        *(WORDS, None, "assets.train-00000", "7 .table:row_count|has 20 rows"),
    ),
    "n_items": (words_of(lambda c: c["ml:train"].update(n_items=21)), WORDS, None, "ml:train.n_items", "21"),
    "no test": (words_of(lambda c: c.pop("ml:test")), WORDS, None, "ml:test", "there is no ml:test"),
    "asset that is none": (
        words_of(lambda c: c["ml:train"].update(assets=["nothing"])),
        *(WORDS, None, "(document)|ml:train.assets", "nothing"),
    ),
    "part out": (
        words_of(lambda c: c["assets"]["train-00000"].update(href="../x.parquet")),
        *(WORDS, None, "assets.train-00000.href", "leads out"),
    ),
    "model": (
        words_of(lambda c: c["ml:train"].update(n_items=-1)), WORDS, None, "ml:train.n_items", "greater than",
    ),
    "not JSON": (
        lambda folder: (folder / "collection.json").write_text("{"), WORDS, None, "(document)", "is not JSON",
    ),
    "placed": (words_of(lambda c: c.update({"ml:placed": False})), WORDS, None, "ml:placed", "23 rows have"),
    "bands": (
        words_of(lambda c: c["item_assets"]["image"]["bands"].pop()),
        *(WORDS, None, "ml:tensors.image", "2 bands are given"),
    ),
    "an asset that is not there": (
        words_of(lambda c: c["assets"].update(thumbnail={"href": "./thumbnail.png"})),
        *(WORDS, None, "assets.thumbnail.href", "does not resolve"),
    ),
    "an asset's size": (
        words_of(lambda c: c["assets"].update(more={"href": "./train/00000.safetensors", "file:size": 3})),
        *(WORDS, None, "assets.more.href", "file:size says 3"),
    ),
    "a file of this machine": (
        words_of(lambda c: c["links"].append({"rel": "about", "href": "file:///etc/passwd"})),
        *(WORDS, None, "links[5].href", "leads out"),
    ),
    "no catalog.json": (
        lambda folder: (folder / "test" / "catalog.json").unlink(),
        *(WORDS, None, "links[3].href", "does not resolve"),
    ),
    "catalog.json of other parts": (
        lambda folder: edit_json(folder / "train" / "catalog.json", lambda c: c["links"].pop(1)),
        *("train/catalog.json", None, "links", "name 0 parts"),
    ),
    "catalog.json is no JSON": (
        lambda folder: (folder / "train" / "catalog.json").write_text("[" * 100_000),
        *("train/catalog.json", None, "(document)", "nested"),
    ),
    "cut shard": (cut_shard, "train/00001.safetensors", None, f"named by {PART}", "bytes"),
    "no shard": (remove_shard, "train/00001.safetensors", None, f"named by {PART}", "no such file"),
    "tensor of another name": (rename_tensor, PART, 0, OFFSET, "no tensor that begins and ends"),
    "tensor of another dtype": (change_dtype, PART, 0, OFFSET, "whose header has 'image' of I16"),
    "tensor of another sample": (swap_keyed, PART, 0, "assets.crop.ml:offset", "no tensor that begins and ends"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_named(copy, case):
    spoil, file, row, path, words = BROKEN[case]
    spoil(copy)
    found = errors_of(copy)
    assert found, case
    here = [finding for finding in found if finding.file == file and (row is None or finding.row == row)]
    here = [f for f in here if path is None or any((f.path or "").startswith(one) for one in path.split("|"))]
    assert here, "\n".join(map(str, found))
    assert any(_says(words, finding.what) for finding in here), "\n".join(map(str, here))
    assert all(finding.mend and finding.where for finding in found)


def _says(words, text):
    import re

    return re.search(words, text) is not None


def flip(path, position):
    raw = bytearray(path.read_bytes())
    raw[position] ^= 1
    path.write_bytes(raw)


def test_deep_finds_a_changed_byte_of_a_sample(copy):
    shard = copy / "train" / "00000.safetensors"
    rows = pq.read_table(copy / PART).to_pylist()
    flip(shard, rows[2]["assets"]["text"]["ml:offset"])
    assert errors_of(copy) == []  # nobody has looked
    found = errors_of(copy, deep=True)
    assert {(f.file, f.row, f.path) for f in found} == {
        ("train/00000.safetensors", None, "file:checksum"),
        (PART, 2, "assets.text.ml:checksum"),
    }


def test_deep_finds_a_block_of_small_rows_that_changed(copy):
    shard = copy / "train" / "00000.safetensors"
    rows = pq.read_table(copy / PART).to_pylist()
    flip(shard, rows[1]["assets"]["mask"]["ml:offset"])
    [found] = [f for f in errors_of(copy, deep=True) if f.path == "assets.mask.ml:checksum"]
    assert found.row == 0  # rows of a block share its checksum
    assert "more rows" in found.what


def test_deep_finds_positions_that_the_catalog_does_not_share(copy):
    shard = copy / "train" / "00000.safetensors"
    raw = shard.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    begin, end = (8 + length + at for at in header["points.splits"]["data_offsets"])
    edges = np.frombuffer(raw[begin:end], "<i8").copy()
    assert edges[-1] > 1
    edges[1:-1] = 0
    shard.write_bytes(raw[:begin] + edges.tobytes() + raw[end:])
    assert any(f.path == "points.splits" for f in errors_of(copy, deep=True))


def test_deep_finds_a_part_that_changed(copy):
    part = copy / "validation" / "catalog-00000.parquet"
    raw = bytearray(part.read_bytes())
    raw[len(raw) - 9] ^= 32  # in the footer's text about its writer
    part.write_bytes(raw)
    found = errors_of(copy, deep=True)
    assert [(f.file, f.path) for f in found] == [("validation/catalog-00000.parquet", "file:checksum")]


@pytest.mark.parametrize(
    ("spoil", "path", "words"),
    [
        (
            lambda c: c["item_assets"]["image"]["bands"][1]["statistics"].update(mean=5.0),
            *("item_assets.image.bands[1].statistics.mean", "states 5.0"),
        ),
        (
            lambda c: c["item_assets"]["image"]["bands"][0]["statistics"].update(count=1280),
            *("item_assets.image.bands[0].statistics.count", "states 1280"),
        ),
        (
            lambda c: c["item_assets"]["image"]["bands"][2]["statistics"].update(maximum=5000),
            *("item_assets.image.bands[2].statistics.maximum", "states 5000"),
        ),
        (
            lambda c: c["item_assets"]["points"]["statistics"].update(stddev=0.5),
            *("item_assets.points.statistics.stddev", "states 0.5"),
        ),
        (
            lambda c: c["item_assets"]["mask"]["classification:classes"][1].update(count=3),
            *("item_assets.mask.classification:classes[1].count", "states 3"),
        ),
        (
            lambda c: c["item_assets"]["mask"]["classification:classes"][2].update(percentage=50.0),
            *("item_assets.mask.classification:classes[2].percentage", "states 50.0"),
        ),
    ],
)
def test_deep_finds_statistics_that_are_not_so(copy, spoil, path, words):
    edit_collection(copy, spoil)
    assert errors_of(copy) == []
    [found] = errors_of(copy, deep=True)
    assert (found.file, found.path) == ("collection.json", path)
    assert words in found.what


def test_rows_of_validation_do_not_count_for_the_statistics(copy):
    """They are of train alone: the same dataset without its other samples has them too."""
    before = json.loads((copy / "collection.json").read_text())["item_assets"]["image"]["bands"]
    only = [mlstac.load(copy, framework="numpy")[i]["image"] for i in range(20)]
    values = np.stack(only)[:, 1].astype(float)
    assert before[1]["statistics"]["mean"] == pytest.approx(values.mean())
    assert errors_of(copy, deep=True) == []


def test_a_source_that_is_not_there_is_an_error_of_its_own(tmp_path):
    with pytest.raises(MissingFileError):
        mlstac.validate(tmp_path / "nothing")


def test_many_rows_of_one_fault_are_one_finding(copy):
    edit_rows(copy, lambda rows: [row["assets"]["image"].update({"ml:offset": -1}) for row in rows[5:]] and None)
    [found] = [f for f in errors_of(copy) if f.path == OFFSET and f.what.startswith("ml:offset is -1")]
    assert found.row == 5
    assert "and 14 more rows of the same" in found.what


def test_a_box_over_the_antimeridian_is_sound_where_its_geometry_crosses(tmp_path):
    rows = [
        mlstac.Sample(tensors={"x": np.zeros(2, "u1")}, id="a", bbox=(179, -20, -179, -10), datetime="2020-01-01"),
        mlstac.Sample(tensors={"x": np.zeros(2, "u1")}, id="b", bbox=(170, -20, 175, -10), datetime="2020-01-01"),
        mlstac.Sample(tensors={"x": np.zeros(2, "u1")}, id="c", bbox=(-170, -20, -165, -10), datetime="2020-01-01"),
    ]
    mlstac.write(rows, tmp_path / "set", id="sea", license="CC0-1.0")
    assert errors_of(tmp_path / "set", deep=True) == []


def place(box):
    """Change the box of the first row, and nothing else."""
    return lambda rows: rows[0].update(bbox=dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)))


@pytest.mark.parametrize("box", [(-10, -20, -20, -10), (20, -20, 10, -10), (10, -20, -10, -10)])
def test_a_box_over_the_antimeridian_is_held_against_the_rule_with_and_without_geometry(tmp_path, box):
    rows = [
        mlstac.Sample(tensors={"x": np.zeros(2, "u1")}, id="a", bbox=(179, -20, -179, -10)),
        mlstac.Sample(tensors={"x": np.zeros(2, "u1")}, id="b", bbox=(-180, -90, 180, 90)),
    ]
    mlstac.write(rows, tmp_path / "set", id="sea", license="CC0-1.0")
    edit_rows(tmp_path / "set", place((170, -20, -175, -10)))
    assert not [found for found in errors_of(tmp_path / "set") if "half of the Earth" in found.what]
    edit_rows(tmp_path / "set", place(box))
    [found] = [found for found in errors_of(tmp_path / "set") if "half of the Earth" in found.what]
    assert (found.file, found.row, found.path) == (PART, 0, "bbox")
    edit_columns(tmp_path / "set", lambda table: table.drop_columns("geometry"))
    assert [found for found in errors_of(tmp_path / "set") if "half of the Earth" in found.what]


LAEA = pyproj.CRS.from_proj4("+proj=laea +lat_0=10 +lon_0=20 +datum=WGS84 +units=m")


@pytest.mark.parametrize("how", ["folder", "file", "object", "server"])
def test_a_dataset_of_the_original_is_told_how_to_become_one_of_the_format(tmp_path, fault_server, how):
    folder = tmp_path / "old"
    write_split(folder / "train", chips(2))
    document = main_json("0.0.23", {"train": "https://host/old/train/"}, {"train": 2})
    (folder / "main.json").write_text(json.dumps(document))
    server = fault_server(folder)
    source = {"folder": folder, "file": folder / "main.json", "object": document, "server": server.url}[how]
    [found] = errors_of(source)
    assert found.file == "main.json"
    assert "original ML-STAC" in found.what
    if how != "object":
        assert f"mlstac convert {str(source).rstrip('/')}" in found.mend


@pytest.fixture
def unlisted(tmp_path):
    """Samples in a CRS that no authority lists."""
    rows = [
        mlstac.Sample(
            tensors={"x": np.full((4, 4), row, np.uint8)}, crs=LAEA.to_wkt(), transform=(10, 0, 100 * row, 0, -10, 50)
        )
        for row in range(3)
    ]
    mlstac.write(rows, tmp_path / "set", id="laea", license="CC0-1.0", tensors={"x": mlstac.Tensor(dims="y x")})
    assert pq.read_table(tmp_path / "set" / PART).column("proj:code").null_count == 3
    return tmp_path / "set"


def test_a_crs_that_no_authority_lists_is_sound(unlisted):
    assert errors_of(unlisted, deep=True) == []


@pytest.mark.parametrize(
    ("wkt", "path", "words"),
    [
        ("PROJCRS[nonsense", "proj:wkt2", "no WKT of a CRS"),
        ("EPSG:32630", "proj:wkt2", "no WKT of a CRS"),
        ("", "proj:wkt2", "no WKT of a CRS"),
        (LAEA.to_wkt("WKT1_GDAL"), "proj:wkt2", "is WKT 1"),
        ("x" * 200_000, "proj:wkt2", "200,000 characters"),
        (pyproj.CRS("EPSG:32733").to_wkt(), "proj:transform", "far from the bbox"),
    ],
    ids=["broken", "code", "empty", "WKT 1", "long", "another"],
)
def test_a_wkt_that_is_none_or_another_is_named(unlisted, wkt, path, words):
    at(1, "proj:wkt2", wkt)(unlisted)
    [found] = errors_of(unlisted)
    assert (found.file, found.row, found.path) == (PART, 1, path)
    assert words in found.what
    assert found.mend


@pytest.mark.parametrize("transform", [(7, 7, 5e5, 7, -7, 4e6), (10, 0, 5e5, 0, 10, 4e6)])
def test_a_grid_that_is_turned_or_upside_down_is_sound(tmp_path, transform):
    sample = mlstac.Sample(
        tensors={"x": np.zeros((1, 8, 8), "u1")}, id="a", crs="EPSG:32630", transform=transform, datetime="2020-01-01"
    )
    mlstac.write([sample], tmp_path / "set", id="turned", license="CC0-1.0")
    assert errors_of(tmp_path / "set", deep=True) == []


def test_a_dataset_without_place_and_time_is_sound(tmp_path):
    mlstac.write([{"x": np.zeros(2, "f4")}], tmp_path / "plain", id="plain", license="CC0-1.0")
    assert errors_of(tmp_path / "plain", deep=True) == []


def test_a_collection_at_hand_is_validated_where_it_was_read(made, tmp_path):
    collection = mlstac.open(made)
    assert mlstac.validate(collection).ok
    collection.splits["train"].n_items = 4
    assert not mlstac.validate(collection).ok
    shutil.copytree(made, tmp_path / "other")
    assert mlstac.validate(str(tmp_path / "other" / "collection.json")).ok


@pytest.fixture
def packed(tmp_path):
    """The same samples, compressed."""
    tensors = {"points": mlstac.Tensor(dims="point axis"), "mask": mlstac.Tensor(dims="y x", role="label")}
    tensors |= {
        "image": mlstac.Tensor(dims="band y x"),
        "crop": mlstac.Tensor(),
        "text": mlstac.Tensor(media_type="text/plain"),
    }
    rows = {"train": samples(9), "test": samples(2, start=50)}
    mlstac.write(
        rows, tmp_path / "packed", id="x", license="CC0-1.0", tensors=tensors, compression="zstd", shard_size="4kB"
    )
    return tmp_path / "packed"


def test_a_compressed_dataset_is_sound(packed):
    assert errors_of(packed) == []
    unread = [f.file for f in mlstac.validate(packed).findings if "not undone" in f.what]
    assert unread == [PART, "test/catalog-00000.parquet"]  # nobody has looked into these shards
    assert errors_of(packed, deep=True) == []


def test_deep_finds_a_changed_byte_of_a_frame(packed):
    shard = min((packed / "train").glob("*.zst"))
    rows = pq.read_table(packed / PART).to_pylist()
    address = rows[1]["assets"]["image"]
    flip(shard, address["ml:offset"] + address["ml:length"] - 1)
    found = errors_of(packed, deep=True)
    assert (f"train/{shard.name}", "file:checksum") in {(f.file, f.path) for f in found}
    assert "assets.image.ml:checksum" in {f.path for f in found}


def test_deep_finds_a_row_that_points_into_the_wrong_place_of_its_frame(packed):
    at(2, "assets.points.ml:frame_offset", lambda inner: inner + 4)(packed)
    found = errors_of(packed, deep=True)
    assert [(f.row, f.path) for f in found if f.file == PART and "whose header has" in f.what] == [
        (2, "assets.points.ml:offset")
    ]


@pytest.fixture
def zipped(packed):
    """The same samples, in gzip files: as rows of the format may name them, and no writer of it writes them."""
    for part in ("train/catalog-00000.parquet", "test/catalog-00000.parquet"):
        shards = {}

        def point(rows, part=part, shards=shards):
            for row in rows:
                for asset in row["assets"].values():
                    old = asset["href"]
                    if old not in shards:
                        stored = np.frombuffer((packed / part).parent.joinpath(old).read_bytes(), np.uint8)
                        plain, begins = undo_file(stored, name=old)
                        new = gzip.compress(plain.tobytes())
                        name = old.replace(".zst", ".gz")
                        (packed / part).parent.joinpath(name).write_bytes(new)
                        shards[old] = name, new, begins
                    name, new, begins = shards[old]
                    inner = begins[asset["ml:offset"]] + (asset["ml:frame_offset"] or 0) if asset["ml:length"] else 0
                    asset |= {
                        "href": name,
                        "type": "application/vnd.safetensors+gzip",
                        "file:size": len(new),
                        "file:checksum": "1220" + hashlib.sha256(new).hexdigest(),
                        "ml:offset": 0,
                        "ml:length": len(new),
                        "ml:frame_offset": inner,
                        "ml:checksum": xxhash.xxh3_64_intdigest(new) & 0xFFFFFFFF,
                    }

        edit_rows(packed, point, part)
    for path in packed.glob("*/*.zst"):
        path.unlink()
    edit_collection(packed, lambda c: [asset.pop("file:checksum", None) for asset in c["assets"].values()])
    return packed


def test_gzip_shards_are_sound_and_said_to_cost_whole_files(zipped):
    wanted = list(samples(9))
    ds = mlstac.load(zipped, framework="numpy")
    assert all(np.array_equal(ds[row]["image"], wanted[row].tensors["image"]) for row in range(9))
    for deep in (False, True):
        report = mlstac.validate(zipped, deep=deep)
        assert [str(finding) for finding in report.findings if finding.level == "error"] == []
        warnings = [finding for finding in report.findings if "gzip" in finding.what]
        assert [(finding.level, finding.file) for finding in warnings] == [
            ("warning", PART),
            ("warning", "test/catalog-00000.parquet"),
        ]
    assert report.looked_at["bytes"] == sum(path.stat().st_size for path in zipped.glob("*/*.gz"))


def test_deep_looks_into_gzip_shards(zipped):
    at(2, "assets.points.ml:frame_offset", lambda inner: inner + 4)(zipped)
    assert errors_of(zipped) == []
    found = errors_of(zipped, deep=True)
    assert (2, "assets.points.ml:offset") in [(f.row, f.path) for f in found if "whose header has" in f.what]
    shard = min((zipped / "train").glob("*.gz"))
    flip(shard, shard.stat().st_size - 6)  # of the CRC that gzip keeps of the contents
    assert any(f.file == f"train/{shard.name}" and "is damaged" in f.what for f in errors_of(zipped, deep=True))


@pytest.mark.parametrize(
    ("change", "words"), [(lambda data: data[:-4], "broken off"), (lambda data: data + b"more", "4 bytes follow")]
)
def test_a_gzip_file_that_is_cut_or_goes_on_is_named(change, words):
    data = gzip.compress(b"x" * 1000)
    assert undo_gzip_file(np.frombuffer(data, np.uint8), at_most=1000, name="a.gz").tobytes() == b"x" * 1000
    with pytest.raises(ShardError, match=words):
        undo_gzip_file(np.frombuffer(change(data), np.uint8), at_most=1000, name="a.gz")
    with pytest.raises(ShardError, match="more than the 999 bytes"):
        undo_gzip_file(np.frombuffer(data, np.uint8), at_most=999, name="a.gz")


def test_a_compressed_shard_of_another_size_is_named(packed):
    shard = min((packed / "train").glob("*.zst"))
    shard.write_bytes(shard.read_bytes()[:-1])
    [found] = errors_of(packed)
    assert (found.file, "bytes, and the catalog says" in found.what) == (f"train/{shard.name}", True)
