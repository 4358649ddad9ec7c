"""Compressed shards as a whole dataset, judged by the zstd command, python-zstandard, pyarrow and stock safetensors."""

import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
import xxhash
import zstandard

import mlstac
from mlstac import authoring
from mlstac.collection import Collection, Tensor
from mlstac.errors import InvalidArgumentError
from tests.authoring._read import read_collection, read_rows


def samples(count=12):
    """Large and small tensors of several dtypes; some empty, some left out."""
    rng = np.random.default_rng(5)
    for number in range(count):
        sample = {
            "image": np.cumsum(rng.integers(-2, 3, (3, 40, 40)), axis=2).astype(np.int16),
            "boxes": rng.normal(size=(number % 4, 4)),
            "points": rng.normal(size=(200 * (number % 3), 3)).astype(np.float32),
            "caption": "word " * number,
            "number": number,
        }
        if number % 5:
            sample["mask"] = rng.integers(0, 3, (40, 40), dtype=np.uint8)
        yield sample


def describe():
    return Collection(
        id="pressed",
        license="MIT",
        tensors={
            "image": Tensor(dims="band y x"),
            "mask": Tensor(dims="y x", role="label", required=False),
            "boxes": Tensor(shape=(None, 4)),
            "points": Tensor(shape=(None, 3)),
            "caption": Tensor(),
            "number": Tensor(),
        },
    )


def plain_files(path):
    """What zstd makes of every shard: by the command where there is one, else by its library."""
    made = {}
    for shard in sorted(path.rglob("*.safetensors.zst")):
        if shutil.which("zstd"):
            made[shard.name] = subprocess.run(["zstd", "-dc", shard], check=True, capture_output=True).stdout
        else:
            with zstandard.ZstdDecompressor().stream_reader(shard.read_bytes(), read_across_frames=True) as reader:
                made[shard.name] = reader.read()
    return made


@pytest.mark.parametrize("layout", ["auto", "keyed", "single"])
def test_zstd_undoes_every_shard_to_the_one_that_is_written_plain(tmp_path, layout):
    options = {"shard_size": 40_000, "layout": layout}
    authoring.write(samples(), tmp_path / "plain", describe(), **options)
    authoring.write(samples(), tmp_path / "pressed", describe(), compression="zstd", **options)
    shards = plain_files(tmp_path / "pressed")
    assert len(shards) > 1
    assert not list((tmp_path / "pressed" / "train").glob("*.safetensors"))
    for name, data in shards.items():
        assert data == (tmp_path / "plain" / "train" / name.removesuffix(".zst")).read_bytes()
        safetensors.numpy.load(data)


def test_rows_name_frames_and_the_collection_says_so(tmp_path):
    authoring.write(samples(), tmp_path, describe(), compression="zstd", shard_size=40_000)
    document = read_collection(tmp_path)
    assert document["ml:compression"] == "zstd"
    assert {asset["type"] for asset in document["item_assets"].values()} == {"application/vnd.safetensors+zstd"}
    assert mlstac.open(tmp_path).compression == "zstd"
    assert mlstac.open(tmp_path).to_dict() == document
    frames = {}
    for row, (given, found) in enumerate(zip(samples(), read_rows(tmp_path)["assets"].to_pylist(), strict=True)):
        assert ("mask" in given) == (found["mask"] is not None)
        for name, asset in found.items():
            if asset is None:
                continue
            data = (tmp_path / "train" / asset["href"]).read_bytes()
            assert asset["type"] == "application/vnd.safetensors+zstd"
            assert asset["file:size"] == len(data)
            assert asset["file:checksum"] == "1220" + hashlib.sha256(data).hexdigest()
            value = given[name].encode() if name == "caption" else np.asarray(given[name])
            value = value if isinstance(value, bytes) else value.tobytes()
            stored = data[asset["ml:offset"] : asset["ml:offset"] + asset["ml:length"]]
            assert asset["ml:checksum"] == xxhash.xxh3_64_intdigest(stored) & 0xFFFFFFFF
            if not value:
                assert asset["ml:length"] == 0
                continue
            start = asset.get("ml:frame_offset") or 0
            contents = zstandard.ZstdDecompressor().decompress(stored)
            assert contents[start : start + len(value)] == value, (row, name)
            frames.setdefault((asset["href"], name), set()).add(asset["ml:offset"])
    for (_, name), offsets in frames.items():
        if name in ("number", "caption", "boxes"):
            assert len(offsets) == 1  # all of a shard share a frame
    assert sum(len(offsets) for (_, name), offsets in frames.items() if name == "image") == 12  # a frame each


def test_a_dataset_without_small_tensors_has_no_column_for_them(tmp_path):
    authoring.write([{"x": np.zeros((50, 50))}] * 3, tmp_path, compression="zstd")
    kinds = pq.read_schema(tmp_path / "train" / "catalog-00000.parquet").field("assets").type.field("x").type
    assert "ml:frame_offset" not in [field.name for field in kinds]


def test_a_higher_level_makes_smaller_shards_and_the_same_samples(tmp_path):
    sizes, contents = [], []
    for level in (1, 19):
        path = tmp_path / str(level)
        authoring.write(samples(), path, describe(), compression=f"zstd:{level}")
        sizes.append(sum(file.stat().st_size for file in path.rglob("*.zst")))
        contents.append(plain_files(path))
    assert sizes[1] < sizes[0]
    assert contents[0] == contents[1]


def test_writing_twice_makes_the_same_bytes_whatever_the_threads(tmp_path):
    for name in "ab":
        authoring.write(samples(60), tmp_path / name, describe(), compression="zstd", shard_size=90_000)
    digests = [
        [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted((tmp_path / name).rglob("*.zst"))]
        for name in "ab"
    ]
    assert digests[0] == digests[1]


def test_a_run_is_not_gone_on_with_under_another_compression(tmp_path):
    def broken():
        yield from list(samples())[:11]
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError):
        authoring.write(broken(), tmp_path, describe(), compression="zstd", shard_size=30_000)
    assert list(tmp_path.rglob("*.zst"))
    for other in (None, "zstd:9"):
        with pytest.raises(InvalidArgumentError, match="differs in compression"):
            authoring.write(samples(), tmp_path, describe(), compression=other, shard_size=30_000)
    authoring.write(samples(), tmp_path, describe(), compression="zstd", shard_size=30_000)
    authoring.write(samples(), tmp_path.parent / "whole", describe(), compression="zstd", shard_size=30_000)
    assert plain_files(tmp_path) == plain_files(tmp_path.parent / "whole")


def test_an_overwrite_takes_new_numbers_and_says_what_it_is_now(tmp_path):
    authoring.write(samples(), tmp_path, describe(), compression="zstd")
    old = {file.name for file in (tmp_path / "train").glob("*.zst")}
    declared = mlstac.open(tmp_path)
    authoring.write(samples(), tmp_path, declared, overwrite=True)
    shards = {row["image"]["href"] for row in read_rows(tmp_path)["assets"].to_pylist()}
    assert not {f"./{name.removesuffix('.zst')}" for name in old} & shards
    document = read_collection(tmp_path)
    assert "ml:compression" not in document
    assert document["item_assets"]["image"]["type"] == "application/vnd.safetensors"


def test_without_the_package_nothing_is_begun_and_the_way_out_is_named(tmp_path):
    program = (
        "import sys; sys.modules['zstandard'] = None\n"
        "import mlstac\n"
        "try:\n    mlstac.write([{'x': 1}], sys.argv[1], compression='zstd')\n"
        "except mlstac.errors.MissingPackageError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "out")], capture_output=True, text=True, check=True
    )
    assert done.stdout == "compression='zstd' needs the package zstandard; run: pip install zstandard\n"
    assert not (tmp_path / "out").exists()


def test_a_shard_of_looser_layout_leaves_the_checksums_of_frames_alone(tmp_path):
    given = [{"x": np.arange(4 + number // 8, dtype=np.int32)} for number in range(16)]
    authoring.write(given, tmp_path, compression="zstd", shard_size=120)
    document = json.loads((tmp_path / "collection.json").read_text())
    assert document["ml:tensors"]["x"]["layout"] == "jagged"
    ds = mlstac.load(tmp_path, framework="numpy", verify=True)
    for number, sample in enumerate(given):
        assert np.array_equal(ds[number]["x"], sample["x"])


@pytest.mark.parametrize("journal", ["with its journal", "without"])
@pytest.mark.parametrize("compressions", [("zstd", None), (None, "zstd"), ("zstd", "zstd:9")])
def test_what_is_appended_stands_beside_what_was_there_whatever_either_is_stored_as(tmp_path, compressions, journal):
    first, second = compressions
    given = list(samples(16))
    authoring.write(given[:10], tmp_path / "a", describe(), compression=first, shard_size=60_000)
    if journal == "without":
        shutil.rmtree(tmp_path / "a" / ".mlstac")
    mlstac.append(tmp_path / "a", given[10:], compression=second, shard_size=60_000)
    authoring.write(given, tmp_path / "b", describe(), shard_size=60_000)
    assert read_collection(tmp_path / "a")["ml:compression"] == "zstd"
    found = mlstac.load(tmp_path / "a", framework="numpy", verify=True)
    wanted = mlstac.load(tmp_path / "b", framework="numpy", verify=True)
    assert len(found) == 16
    for number in range(16):
        assert found[number].keys() == wanted[number].keys()
        for name, value in wanted[number].items():
            assert np.array_equal(found[number][name], value), (number, name)
    for name, tensor in wanted.collection.tensors.items():  # those of all samples, measured anew or not
        ours = found.collection.tensors[name]
        for mine, theirs in zip([ours, *ours.bands], [tensor, *tensor.bands], strict=True):
            if theirs.statistics is not None:
                assert mine.statistics.mean == pytest.approx(theirs.statistics.mean)
                assert (mine.statistics.minimum, mine.statistics.count) == (
                    theirs.statistics.minimum,
                    theirs.statistics.count,
                )
