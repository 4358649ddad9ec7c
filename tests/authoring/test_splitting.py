"""Which split a sample goes to follows from the sample alone."""

import math
import random
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlstac
from mlstac.authoring._splitting import EARTH_RADIUS_M, find_block, read_splitting
from mlstac.errors import InvalidSampleError
from mlstac.sample import Sample
from tests.authoring._read import read_collection, read_rows

POINTS = st.tuples(st.floats(-180, 180), st.floats(-90, 90))
SIZES = st.floats(1000, 5_000_000)


def distance_m(some, more):
    """Along a great circle, by the haversine formula."""
    (lon1, lat1), (lon2, lat2) = (map(math.radians, point) for point in (some, more))
    half = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(half)))


@given(point=POINTS, other=POINTS, size_m=SIZES)
@settings(deadline=None)
def test_points_of_one_block_are_no_farther_apart_than_its_diagonal(point, other, size_m):
    if find_block(*point, size_m=size_m) == find_block(*other, size_m=size_m):
        assert distance_m(point, other) <= 3 * size_m  # a row near a pole is wider at its lower edge than half-way up


@given(lat=st.floats(-80, 80), lon=st.floats(-180, 180), size_m=st.floats(1000, 100_000))
@settings(deadline=None)
def test_a_block_is_about_as_wide_as_high(lat, lon, size_m):
    """Walking one block's size east or north leads into another block, or at the most stays beside an edge."""
    here = find_block(lon, lat, size_m=size_m)
    east = lon + math.degrees(1.3 * size_m / (EARTH_RADIUS_M * math.cos(math.radians(lat))))
    north = lat + math.degrees(1.3 * size_m / EARTH_RADIUS_M)
    assert find_block((east + 180) % 360 - 180, lat, size_m=size_m) != here
    assert find_block(lon, north, size_m=size_m) != here


@given(lat=st.floats(-90, 90), size_m=SIZES)
def test_the_antimeridian_is_one_meridian(lat, size_m):
    assert find_block(180, lat, size_m=size_m) == find_block(-180, lat, size_m=size_m)


def test_no_point_of_the_earth_is_beyond_the_last_block():
    for size_m in (1.0, 777.0, 1e6, 1e7):
        for lon in (-180, math.nextafter(180, 0), 180):
            for lat in (-90, 0, 90):
                row, column = find_block(lon, lat, size_m=size_m)
                assert row >= 0
                assert column >= 0
    assert find_block(0, 90, size_m=1e7)[0] == 1


def placed(n=600, *, seed=3):
    rng = random.Random(seed)
    for number in range(n):
        west, south = rng.uniform(-20, 20), rng.uniform(30, 60)
        yield Sample(
            {"image": np.full((1, 8, 8), number, np.int32)},
            id=f"s{number}",
            bbox=(west, south, west + 0.01, south + 0.01),
            properties={"scene": f"scene-{number // 6}"},
        )


def splits_of(path):
    rows = {split: read_rows(path, split).to_pylist() for split in ("train", "validation", "test")}
    return {row["id"]: split for split, some in rows.items() for row in some}


def write(samples, path, split_by):
    mlstac.write(samples, path, id="x", split_by=split_by)
    return splits_of(path)


def test_blocks_stay_whole_fractions_hold_and_the_order_of_samples_does_not_matter(tmp_path):
    split_by = {"block_size_m": 200_000}
    found = write(placed(), tmp_path / "a", split_by)
    shuffled = list(placed())
    random.Random(0).shuffle(shuffled)
    assert write(shuffled, tmp_path / "b", split_by) == found
    blocks = defaultdict(set)
    for sample in placed():
        west, south, east, north = sample.bbox
        blocks[find_block((west + east) / 2, (south + north) / 2, size_m=200_000)].add(found[sample.id])
    assert len(blocks) > 100
    assert all(len(splits) == 1 for splits in blocks.values())
    counts = Counter(next(iter(splits)) for splits in blocks.values())
    assert counts["train"] / len(blocks) == pytest.approx(0.8, abs=0.1)
    assert counts["test"] / len(blocks) == pytest.approx(0.1, abs=0.08)
    assert read_collection(tmp_path / "a")["ml:split_strategy"] == {
        "by": "location",
        "block_size_m": 200_000,
        "fractions": {"train": 0.8, "validation": 0.1, "test": 0.1},
        "seed": 0,
    }


def test_another_seed_is_another_division_and_an_own_strategy_is_kept(tmp_path):
    some = write(placed(), tmp_path / "a", {"block_size_m": 200_000})
    assert write(placed(), tmp_path / "b", {"block_size_m": 200_000, "seed": 1}) != some
    mlstac.write(placed(9), tmp_path / "c", id="x", split_by={"block_size_m": 10_000}, split_strategy="as in the paper")
    assert read_collection(tmp_path / "c")["ml:split_strategy"] == "as in the paper"


def test_values_of_a_column_stay_together(tmp_path):
    split_by = {"column": "scene", "fractions": {"train": 0.5, "validation": 0.25, "test": 0.25}}
    found = write(placed(), tmp_path, split_by)
    scenes = defaultdict(set)
    for sample in placed():
        scenes[sample.properties["scene"]].add(found[sample.id])
    assert all(len(splits) == 1 for splits in scenes.values())
    assert {split for splits in scenes.values() for split in splits} == {"train", "validation", "test"}


def test_a_grid_is_placed_by_its_middle(tmp_path):
    """A chip whose corner lies in one block and whose middle in the next, each of them drawn apart."""
    import pyproj

    to_utm = pyproj.Transformer.from_crs(4326, 32630, always_xy=True)
    split_by = {"block_size_m": 1000, "fractions": {"train": 0.5, "test": 0.5}}
    splitting = read_splitting(split_by)
    samples, wanted = [], {}
    for number in range(30):
        lon, lat = -3 + number / 10, 40 + number / 7
        x, y = to_utm.transform(lon, lat)
        samples.append(
            Sample(
                {"image": np.zeros((1, 16, 32), np.uint8)},
                id=f"s{number}",
                crs=32630,
                transform=(100, 0, x - 1600, 0, -100, y + 800),
            )
        )
        wanted[f"s{number}"] = splitting.split_of(Sample({"x": 1}, bbox=(lon, lat, lon, lat)), {})
    assert write(samples, tmp_path, split_by) == wanted
    assert set(wanted.values()) == {"train", "test"}


def test_a_box_over_the_antimeridian_lies_at_its_middle():
    splitting = read_splitting({"block_size_m": 1000, "fractions": {"train": 0.5, "test": 0.5}})
    for number in range(20):
        lat = number * 3.0
        across = Sample({"x": 1}, bbox=(179.5, lat, -179.7, lat))
        assert splitting.split_of(across, {}) == splitting.split_of(Sample({"x": 1}, bbox=(179.9, lat, 179.9, lat)), {})


@pytest.mark.parametrize(
    ("split_by", "message"),
    [
        ({"block_size_m": 1000}, "no place to split by"),
        ({"column": "scene"}, "no property 'scene'.*it has cloud"),
        ("cloud", r"'cloud'.* is 3.*needs the name of a split"),
    ],
)
def test_a_sample_that_lacks_what_decides_is_named(tmp_path, split_by, message):
    with pytest.raises(InvalidSampleError, match=message):
        mlstac.write([Sample({"x": 1}, id="s", properties={"cloud": 3})], tmp_path / "out", id="x", split_by=split_by)
    assert not (tmp_path / "out").exists()


def test_a_run_that_was_broken_off_is_divided_as_an_unbroken_one(tmp_path):
    def failing():
        for number, sample in enumerate(placed(60)):
            if number == 40:
                raise RuntimeError
            yield sample

    split_by = {"block_size_m": 200_000}
    with pytest.raises(RuntimeError):
        mlstac.write(failing(), tmp_path / "a", id="x", split_by=split_by, shard_size=1100)
    mlstac.write(placed(60), tmp_path / "a", id="x", split_by=split_by, shard_size=1100)
    mlstac.write(placed(60), tmp_path / "b", id="x", split_by=split_by, shard_size=1100)
    assert splits_of(tmp_path / "a") == splits_of(tmp_path / "b")
    assert (tmp_path / "a" / "collection.json").read_bytes() == (tmp_path / "b" / "collection.json").read_bytes()


@pytest.mark.parametrize(
    ("split_by", "words"),
    [("fold", "sample number 1 has no property 'fold'"), ({"block_size_m": 1000}, "sample number 0 has no place")],
)
def test_a_sample_without_an_id_is_named_by_its_number(tmp_path, split_by, words):
    some = [mlstac.Sample({"x": np.zeros(1)}, properties={"fold": "train"}), mlstac.Sample({"x": np.zeros(1)})]
    with pytest.raises(InvalidSampleError, match=words) as seen:
        mlstac.write(some, tmp_path / "a", split_by=split_by, license="MIT")
    assert "None" not in str(seen.value)
    with pytest.raises(InvalidSampleError, match="sample 'mine'"):
        mlstac.write([mlstac.Sample({"x": np.zeros(1)}, id="mine")], tmp_path / "b", split_by=split_by, license="MIT")
