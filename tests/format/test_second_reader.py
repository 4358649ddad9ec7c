"""What is written reads alike by mlstac and by a reader made from docs/format.md alone."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlstac
from tests.format.reader import Reader, read_shard

READER = Path(__file__).with_name("reader.py")


def test_the_second_reader_is_short_and_knows_nothing_of_mlstac():
    text = READER.read_text()
    assert len(text.splitlines()) <= 120
    modules = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module.split(".")[0])
    assert modules == {"hashlib", "json", "numpy", "pathlib", "pyarrow", "urllib", "xxhash"}


def alike(one, other):
    if isinstance(one, str | dict | list):
        return one == other
    other = np.asarray(other)
    return (
        (one.dtype.kind == "V" or one.dtype == other.dtype)
        and one.shape == other.shape
        and one.tobytes() == other.tobytes()
    )


def compare(folder):
    """Hold both readers' samples of every split against each other; gives how many there were."""
    reader, count = Reader(folder), 0
    for split in ("train", "validation", "test"):
        theirs = list(reader.rows(split))
        ours = mlstac.load(folder, split, framework="numpy", verify=True)
        assert [name for name, _ in theirs] == ours.metadata.to_table(["id"]).column("id").to_pylist()
        assert len(ours) == len(theirs)
        for number, (_, sample) in enumerate(theirs):
            mine = ours[number]
            assert sample.keys() == mine.keys()
            assert all(alike(sample[name], mine[name]) for name in sample)
        compare_shards(folder / split, theirs)
        count += len(theirs)
    return count


def compare_shards(folder, rows):
    """Hold what each shard says without a catalog against its rows."""
    position = 0
    for path in sorted(folder.rglob("*.safetensors*")):
        held = json.loads(reader_metadata(path)["ml:n_items"])
        some = rows[position : position + held]
        position += held
        found = read_shard(path, [name for name, _ in some])
        for at, (_, sample) in enumerate(some):
            for name, value in sample.items():
                stored = found[name][at]
                if isinstance(value, str | dict | list):
                    value = (
                        value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))
                    )
                    stored, value = stored.tobytes(), value.encode()
                assert stored == value if isinstance(value, bytes) else stored.tobytes() == value.tobytes()
    assert position == len(rows)


def reader_metadata(path):
    from tests.format.reader import inflate

    raw = inflate(path.read_bytes(), path.name)
    return json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"]


def images(n):
    rng = np.random.default_rng(n)
    for i in range(n):
        yield {"image": rng.integers(0, 999, (3, 9, 9)).astype("<u2"), "label": np.int64(i), "mask": np.ones(7, "?")}


def boxes(n):
    for i in range(n):
        yield {
            "image": np.full((2, 8, 8), i, "<f4"),
            "boxes": np.full((i % 4, 4), i / 2, "<f8"),
            "caption": f"Bild {i} ä",
        }


def crops(n):
    for i in range(n):
        yield {
            "crop": np.full((1 + i % 3, 2 + i % 2), i, "u1"),
            "size": np.array([i, i], "<i8"),
            "meta": {"n": i, "k": [1]},
        }


LAYOUTS = {
    "stacked": (images, {"layout": "stacked"}),
    "jagged": (boxes, {}),
    "keyed": (crops, {}),
    "all keyed": (images, {"layout": "keyed"}),
    "single": (images, {"layout": "single"}),
}  # fmt: skip


@pytest.mark.parametrize("compression", [None, "zstd"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_reads_alike(tmp_path, layout, compression):
    make, options = LAYOUTS[layout]
    splits = {"train": make(13), "test": make(3)}
    folder = tmp_path / "set"
    mlstac.write(
        splits,
        folder,
        id="x",
        license="CC0-1.0",
        shard_size=300 if layout == "keyed" else "3kB",
        compression=compression,
        **options,
    )
    if options:
        found = json.loads((folder / "collection.json").read_text())["ml:tensors"]["image"]["layout"]
        assert found == options["layout"]
    assert len(list(folder.glob("train/*.safetensors*"))) > 1
    assert compare(folder) == 16


@pytest.mark.parametrize("compression", [None, "zstd"])
def test_absent_tensors_and_odd_ids_read_alike(tmp_path, compression):
    tensors = {
        "x": mlstac.Tensor(dtype="U8"),
        "y": mlstac.Tensor(dtype="F32", required=False),
        "z": mlstac.Tensor(dtype="I16", required=False),
    }
    ids = [".hidden", "a/b", "ü ñ", "100%", "..", "plain"]
    samples = [
        mlstac.Sample(
            id=name,
            tensors={"x": np.full(3, i, "u1")}
            | ({"y": np.full((2, 2), i, "<f4")} if i % 2 else {})
            | ({"z": np.full((1 + i, i % 3), i, "<i2")} if i % 3 else {}),
        )
        for i, name in enumerate(ids)
    ]
    mlstac.write(samples, tmp_path / "set", id="odd", license="CC0-1.0", tensors=tensors, compression=compression)
    assert compare(tmp_path / "set") == 6


@pytest.mark.parametrize(
    "dtype", ["?", "i1", "u1", "<i2", "<u2", "<f2", "<i4", "<u4", "<f4", "<i8", "<u8", "<f8", "<c8", "bfloat16"]
)
def test_each_dtype_reads_alike(tmp_path, dtype):
    import ml_dtypes

    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    samples = [{"x": np.arange(i, i + 6).reshape(2, 3).astype(kind)} for i in range(4)]
    mlstac.write(samples, tmp_path / "set", id="x", license="CC0-1.0")
    assert compare(tmp_path / "set") == 4


SAMPLES = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans(), st.text(max_size=5)), min_size=1, max_size=6
)


@settings(max_examples=15)
@given(SAMPLES, st.sampled_from([None, "zstd"]))
def test_samples_of_any_shape_read_alike(tmp_path_factory, rows, compression):
    folder = tmp_path_factory.mktemp("any") / "set"
    tensors = {
        "grid": mlstac.Tensor(dtype="U16"),
        "rows": mlstac.Tensor(dtype="F64", required=False),
        "text": mlstac.Tensor(media_type="text/plain"),
    }
    samples = [
        {"grid": np.full((a, b), at, "<u2"), "text": text} | ({"rows": np.full((b, 2), a, "<f8")} if there else {})
        for at, (a, b, there, text) in enumerate(rows)
    ]
    mlstac.write(samples, folder, id="any", license="CC0-1.0", tensors=tensors, compression=compression)
    assert compare(folder) == len(rows)


def test_the_second_reader_sees_a_byte_that_changed(tmp_path):
    folder = tmp_path / "set"
    mlstac.write(images(4), folder, id="x", license="CC0-1.0")
    [shard] = folder.glob("train/*.safetensors")
    raw = bytearray(shard.read_bytes())
    raw[-1] ^= 1
    shard.write_bytes(raw)
    with pytest.raises(AssertionError):
        list(Reader(folder).rows("train"))
