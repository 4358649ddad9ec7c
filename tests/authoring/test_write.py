"""The main way: samples in, a dataset out that other people's readers open."""

import enum
import json

import numpy as np
import pyarrow.parquet as pq
import pystac
import pytest
import safetensors.numpy

import mlstac
import mlstac.authoring as authoring
from mlstac.collection import Asset, Collection, Tensor
from mlstac.errors import InvalidArgumentError, InvalidSampleError
from mlstac.sample import Sample
from tests.authoring._read import keyed, read_collection, read_rows, read_shards, read_tensors


def chips(n, *, seed=0):
    rng = np.random.default_rng(seed)
    return [
        {
            "input": rng.integers(0, 9000, (3, 16, 16), dtype=np.uint16),
            "target": rng.integers(0, 2, (16, 16), dtype=np.uint8),
        }
        for _ in range(n)
    ]


def test_three_lines_of_plain_dicts_make_a_dataset(tmp_path):
    train, test = chips(5), chips(3, seed=1)
    collection = authoring.write({"train": train, "test": test}, tmp_path / "out", id="flood", license="CC-BY-4.0")

    assert collection.train.n_items == 5
    assert collection.test.n_items == 3
    assert collection.validation.n_items == 0
    (shard,) = read_shards(tmp_path / "out", "train")
    for number, chip in enumerate(train):
        assert np.array_equal(shard["input"][number], chip["input"])
        assert np.array_equal(shard["target"][number], chip["target"])
    described = read_collection(tmp_path / "out")["ml:tensors"]
    assert described["input"]["dtype"] == "U16"
    assert described["input"]["shape"] == [3, 16, 16]
    assert described["input"]["dims"] == ["band", "y", "x"]
    assert described["input"]["layout"] == "stacked"
    assert described["target"]["role"] == "label"
    assert described["target"]["dims"] == ["y", "x"]
    assert read_rows(tmp_path / "out")["id"].to_pylist()[:2] == ["train-0000000", "train-0000001"]


def test_an_iterable_is_the_train_split(tmp_path):
    collection = authoring.write(iter(chips(2)), tmp_path / "flood")
    assert collection.train.n_items == 2
    assert collection.id == "flood"


def test_addresses_in_the_catalog_lead_to_the_bytes(tmp_path):
    train = chips(9)
    authoring.write(train, tmp_path, shard_size=5000)
    assert len(read_shards(tmp_path, "train")) > 2
    for name in ("input", "target"):
        found = read_tensors(tmp_path, "train", name, dtype=train[0][name].dtype)
        assert all(np.array_equal(a, chip[name]) for a, chip in zip(found, train, strict=True))


def test_all_splits_exist_and_share_one_schema(tmp_path):
    authoring.write({"train": chips(2), "extra": []}, tmp_path)
    schemas = {
        split: pq.ParquetFile(tmp_path / split / "catalog-00000.parquet").schema_arrow
        for split in ("train", "validation", "test", "extra")
    }
    assert all(schema.equals(schemas["train"]) for schema in schemas.values())
    assert read_collection(tmp_path)["ml:extra"]["n_items"] == 0
    assert all((tmp_path / split / "catalog.json").exists() for split in schemas)


def test_pystac_reads_the_collection_and_its_children(tmp_path):
    authoring.write(chips(2), tmp_path, id="flood", license="MIT", tasks=["semantic-segmentation"])
    collection = pystac.Collection.from_file(str(tmp_path / "collection.json"))
    assert collection.id == "flood"
    assert [child.id for child in collection.get_children()] == ["train", "validation", "test"]


def test_the_next_splits_samples_do_not_wait_for_a_full_shard(tmp_path):
    """Three splits filled at once hold one shard's bytes together, not one each."""
    with authoring.Writer(tmp_path, Collection(id="x"), shard_size=4 * 1792) as writer:
        for number, chip in enumerate(chips(12)):
            writer.add(chip, split=("train", "validation", "test")[number % 3])
            assert writer._work.filling.nbytes <= 4 * 1792
    for split in ("train", "validation", "test"):
        assert len(read_rows(tmp_path, split)) == 4


def test_jagged_keyed_and_stacked_follow_from_the_shapes(tmp_path):
    rng = np.random.default_rng(0)
    samples = [
        {
            "image": rng.integers(0, 9, (2, 8 + n, 9), dtype=np.uint8),
            "boxes": rng.normal(size=(n, 4)).astype(np.float32),
            "class": np.int16(n),
        }
        for n in range(4)
    ]
    authoring.write(samples, tmp_path)
    described = read_collection(tmp_path)["ml:tensors"]
    assert {name: described[name]["layout"] for name in described} == {
        "image": "keyed",
        "boxes": "jagged",
        "class": "stacked",
    }
    assert described["boxes"]["shape"] == [None, 4]
    assert described["image"]["shape"] == [2, None, 9]
    (shard,) = read_shards(tmp_path, "train")
    splits = shard["boxes.splits"]
    for number, sample in enumerate(samples):
        assert np.array_equal(shard[keyed(f"train-{number:07d}", "image")], sample["image"])
        assert np.array_equal(shard["boxes"][splits[number] : splits[number + 1]], sample["boxes"])
        assert shard["class"][number] == sample["class"]
    for name, dtype in (("image", np.uint8), ("boxes", np.float32), ("class", np.int16)):
        found = read_tensors(tmp_path, "train", name, dtype=dtype)
        assert all(np.array_equal(a, s[name]) for a, s in zip(found, samples, strict=True))


def test_single_layout_writes_a_file_a_sample(tmp_path):
    train = chips(3)
    authoring.write(train, tmp_path, layout="single")
    for number, chip in enumerate(train):
        loaded = safetensors.numpy.load_file(tmp_path / "train" / f"{number:05d}.safetensors")
        assert np.array_equal(loaded["input"], chip["input"])


def test_shards_past_a_thousand_go_into_folders(tmp_path):
    samples = [{"x": np.array([number], np.int16)} for number in range(1003)]
    authoring.write(samples, tmp_path, layout="single")
    assert (tmp_path / "train" / "00999.safetensors").exists()
    assert (tmp_path / "train" / "00" / "01002.safetensors").exists()
    assert len(list((tmp_path / "train").glob("*.safetensors"))) == 1000
    found = read_tensors(tmp_path, "train", "x", dtype=np.int16)
    assert [int(x[0]) for x in found] == list(range(1003))


def test_a_tensor_that_changes_its_shape_late_keeps_its_checksums(tmp_path):
    """Rows of the first shard shared checksums in blocks; at the end the tensor is jagged, and each has its own."""
    import xxhash

    samples = [{"x": np.arange(10, dtype=np.uint8) + n} for n in range(100)]
    samples += [{"x": np.arange(7, dtype=np.uint8) + n} for n in range(100)]
    authoring.write(samples, tmp_path, shard_size=300)
    described = read_collection(tmp_path)["ml:tensors"]["x"]
    assert described["layout"] == "jagged"
    assert described.get("checksum_rows", 1) == 1
    rows = read_rows(tmp_path)["assets"].to_pylist()
    for sample, row in zip(samples, rows, strict=True):
        assert row["x"]["ml:checksum"] == xxhash.xxh3_64_intdigest(sample["x"].tobytes()) & 0xFFFFFFFF


def test_small_stacked_rows_share_checksums_in_blocks(tmp_path):
    import xxhash

    samples = [{"x": np.full(1000, n, np.uint8)} for n in range(10)]
    authoring.write(samples, tmp_path)
    assert read_collection(tmp_path)["ml:tensors"]["x"]["checksum_rows"] == 4
    rows = read_rows(tmp_path)["assets"].to_pylist()
    data = b"".join(sample["x"].tobytes() for sample in samples)
    for number, row in enumerate(rows):
        block = data[number // 4 * 4000 : number // 4 * 4000 + 4000]
        assert row["x"]["ml:checksum"] == xxhash.xxh3_64_intdigest(block) & 0xFFFFFFFF


def test_optional_tensors_are_null_where_a_sample_lacks_them(tmp_path):
    collection = Collection(id="x", tensors={"a": Tensor(), "b": Tensor(required=False)})
    samples = [{"a": np.int8(n)} | ({"b": np.arange(3) + n} if n % 2 else {}) for n in range(6)]
    authoring.write(samples, tmp_path, collection)
    found = read_tensors(tmp_path, "train", "b", dtype=np.int64)
    assert [None if array is None else array.tolist() for array in found] == [
        None,
        [1, 2, 3],
        None,
        [3, 4, 5],
        None,
        [5, 6, 7],
    ]


def test_texts_json_and_pictures_are_encoded_fields(tmp_path):
    png = b"\x89PNG\r\n\x1a\n" + bytes(20)
    samples = [{"caption": "Überschwemmung", "meta": {"b": [1, "x"]}, "quicklook": png, "score": 0.5}]
    authoring.write(samples, tmp_path)
    described = read_collection(tmp_path)["ml:tensors"]
    assert described["caption"]["media_type"] == "text/plain"
    assert described["meta"]["media_type"] == "application/json"
    assert described["quicklook"]["media_type"] == "image/png"
    assert described["score"]["dtype"] == "F64"
    (caption,) = read_tensors(tmp_path, "train", "caption", dtype=np.uint8)
    (meta,) = read_tensors(tmp_path, "train", "meta", dtype=np.uint8)
    (quicklook,) = read_tensors(tmp_path, "train", "quicklook", dtype=np.uint8)
    assert caption.tobytes().decode() == "Überschwemmung"
    assert json.loads(meta.tobytes()) == {"b": [1, "x"]}
    assert quicklook.tobytes() == png


def test_big_endian_strided_and_read_only_arrays_are_stored_as_their_values(tmp_path):
    base = np.arange(600, dtype=">i4").reshape(20, 30)
    frozen = np.arange(12.0)
    frozen.flags.writeable = False
    samples = [{"swapped": base, "strided": base[::2, ::-3], "transposed": base.T, "frozen": frozen}]
    authoring.write(samples, tmp_path)
    (shard,) = read_shards(tmp_path, "train")
    for name, value in samples[0].items():
        assert np.array_equal(shard[name][0], value)


def test_a_matrix_is_an_array_of_two_axes(tmp_path):
    with pytest.warns(PendingDeprecationWarning, match="matrix"):
        matrix = np.matrix([[1, 2], [3, 4]])
    authoring.write([{"m": matrix}], tmp_path)
    (shard,) = read_shards(tmp_path, "train")
    assert shard["m"].tolist() == [[[1, 2], [3, 4]]]


def test_integers_that_fit_no_dtype_do_not_become_floats(tmp_path):
    with pytest.raises(InvalidSampleError, match=r"tensor 'n': .* integers below 0 beside others"):
        authoring.write([{"n": [2**63 + 1, -1]}], tmp_path)


def test_an_array_may_be_used_again_as_soon_as_it_was_added(tmp_path):
    buffer = np.zeros((4, 8, 8), np.float32)
    with authoring.Writer(tmp_path, Collection(id="x")) as writer:
        for number in range(5):
            buffer[:] = number
            writer.add({"x": buffer})
    (shard,) = read_shards(tmp_path, "train")
    assert shard["x"][:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]


def test_split_by_a_property_divides_one_iterable(tmp_path):
    samples = [
        Sample(tensors={"x": np.int8(n)}, properties={"part": ("train", "val", "holdout")[n % 3]}) for n in range(9)
    ]
    collection = authoring.write(samples, tmp_path, split_by="part")
    assert {name: split.n_items for name, split in collection.splits.items()} == {
        "train": 3,
        "validation": 3,
        "test": 0,
        "holdout": 3,
    }
    assert read_collection(tmp_path)["ml:split_strategy"] == {"by": "column", "column": "part"}


@pytest.mark.parametrize("samples", [{"train": []}, [], {"train": [], "test": iter(())}])
def test_no_sample_at_all_is_refused_and_leaves_nothing(tmp_path, samples):
    with pytest.raises(InvalidArgumentError, match="no sample"):
        authoring.write(samples, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_collection_is_what_is_returned(tmp_path):
    collection = authoring.write(chips(3), tmp_path)
    assert Collection.from_file(tmp_path / "collection.json").to_dict() == collection.to_dict()


def test_the_lock_and_temporary_files_are_gone_at_the_end(tmp_path):
    authoring.write(chips(3), tmp_path)
    assert not list(tmp_path.rglob("*.mlstac-tmp"))
    assert not (tmp_path / ".mlstac" / "lock").exists()


def test_channel_last_images_are_stored_as_given_with_a_warning(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (32, 40, 3), dtype=np.uint8)
    with pytest.warns(UserWarning, match="channel-last"):
        authoring.write([{"image": image}], tmp_path)
    (shard,) = read_shards(tmp_path, "train")
    assert np.array_equal(shard["image"][0], image)
    assert read_collection(tmp_path)["ml:tensors"]["image"]["dims"] == ["y", "x", "band"]


def test_samples_whose_shape_was_declared_open_keep_their_shapes_in_the_rows(tmp_path):
    collection = Collection(id="x", tensors={"boxes": Tensor(shape=(None, 4))})
    authoring.write([{"boxes": np.zeros((3, 4), np.float32)} for _ in range(2)], tmp_path, collection)
    assert read_collection(tmp_path)["ml:tensors"]["boxes"]["shape"] == [None, 4]
    assert [row["boxes"]["ml:shape"] for row in read_rows(tmp_path)["assets"].to_pylist()] == [[3, 4], [3, 4]]


def test_an_optional_tensor_that_no_sample_has_is_left_out_and_the_rest_loads(tmp_path):
    tensors = {"x": Tensor(), "y": Tensor(required=False), "z": Tensor(dtype="U8", shape=(2,), required=False)}
    authoring.write([{"x": np.ones(3)}], tmp_path, Collection(id="m", tensors=tensors))
    assert list(read_collection(tmp_path)["ml:tensors"]) == ["x"]
    assert mlstac.load(tmp_path, framework="numpy")[0]["x"].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "tensor", [Tensor(dtype="F32", shape=(None, 4), layout="stacked"), Tensor(checksum_rows=5)], ids=["open", "rows"]
)
def test_checksums_hold_whatever_was_declared_of_shapes_and_of_rows_that_share_one(tmp_path, tensor):
    samples = [{"x": np.full((3, 4), n, np.float32)} for n in range(9)]
    authoring.write(samples, tmp_path, Collection(id="m", tensors={"x": tensor}), shard_size=200)
    dataset = mlstac.load(tmp_path, framework="numpy", verify=True)
    assert [dataset[n]["x"][0, 0] for n in range(9)] == list(range(9))


def test_a_collection_that_was_read_brings_nothing_that_was_measured_of_its_own_dataset(tmp_path, monkeypatch):
    monkeypatch.setattr("mlstac.authoring._commit.ROWS_A_PART", 2)
    tensors = {"a": Tensor(dims="band y x"), "b": Tensor(role="label", classes={0: "no", 1: "yes"}), "c": Tensor()}
    samples = [{"a": np.full((1, 8, 8), n, np.float32), "b": np.uint8(1), "c": np.float32(n)} for n in range(5)]
    authoring.write(samples, tmp_path / "old", Collection(id="x", tensors=tensors), shard_size=300)
    old = Collection.from_file(tmp_path / "old")
    old.assets["paper"] = Asset(href="./paper.pdf", roles=["metadata"])
    authoring.write({"test": samples[:1]}, tmp_path / "new", old)
    new = Collection.from_file(tmp_path / "new")
    assert set(new.assets) == {"paper", "train-00000", "validation-00000", "test-00000"}
    assert new.tensors["a"].bands[0].statistics is None
    assert new.tensors["c"].statistics is None
    assert [(item.count, item.percentage) for item in new.tensors["b"].classes] == [(None, None)] * 2


def test_each_part_says_how_many_rows_it_has(tmp_path, monkeypatch, shared):
    monkeypatch.setattr("mlstac.authoring._commit.ROWS_A_PART", 4)
    authoring.write({"train": [{"x": n} for n in range(9)]}, tmp_path, shard_size=8, id="x", license="MIT")
    document = read_collection(tmp_path)
    for asset in document["assets"].values():
        assert asset["table:row_count"] == pq.ParquetFile(tmp_path / asset["href"]).metadata.num_rows
    assert [document["assets"][name]["table:row_count"] for name in document["ml:train"]["assets"]] == [4, 4, 1]
    (schema,) = [uri for uri in document["stac_extensions"] if "/table/" in uri]
    assert (shared / "stac-schemas" / schema.removeprefix("https://")).is_file()
    assert len(mlstac.load(tmp_path, framework="numpy")) == 9


def test_properties_may_be_members_of_enumerations(tmp_path):
    class Cover(enum.StrEnum):
        WATER = "water"

    class Level(enum.IntEnum):
        HIGH = 3

    properties = {"cover": Cover.WATER, "level": Level.HIGH, "levels": [Level.HIGH], "share": np.float64(0.5)}
    authoring.write([Sample({"x": 1}, properties=properties)], tmp_path)
    (row,) = read_rows(tmp_path).select(list(properties)).to_pylist()
    assert row == {"cover": "water", "level": 3, "levels": [3], "share": 0.5}
