"""Values of a mixture are those of its datasets, each by its own scale, statistics and dtype."""

import numpy as np
import pytest

import mlstac
from mlstac.collection import Band
from mlstac.errors import InvalidArgumentError


def write(folder, name, *, scales, dtype="uint16", seed=0):
    """Nine samples of two bands, and of crops whose size varies; ``number`` says which sample it is."""
    rng = np.random.default_rng(seed)
    bands = [Band(name=band, scale=scale) for band, scale in zip(("B02", "B03"), scales, strict=True)]
    collection = mlstac.Collection(
        id=name,
        description="For mixing.",
        license="CC0-1.0",
        tensors={
            "image": mlstac.Tensor(dims="band y x", bands=bands),
            "crop": mlstac.Tensor(dims="y x", scale=scales[0], offset=seed),
            "number": mlstac.Tensor(role="label"),
        },
    )
    samples = [
        {
            "image": rng.integers(0, 200, (2, 4, 5)).astype(dtype),
            "crop": rng.integers(0, 200, (2 + number % 3, 3)).astype(dtype),
            "number": np.int64(100 * seed + number),
        }
        for number in range(9)
    ]
    mlstac.write(samples, folder / name, collection)
    return mlstac.load(folder / name, framework="numpy")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    return write(folder, "a", scales=(0.5, 2.0)), write(folder, "b", scales=(0.001, 30.0), seed=1)


@pytest.mark.parametrize("pad", [None, {"crop": 0}], ids=["listed", "padded"])
@pytest.mark.parametrize("verb", ["scaled", "normalized"])
def test_each_sample_is_scaled_as_its_own_dataset_says(pair, verb, pad):
    datasets = [getattr(ds, verb)() for ds in pair]
    wanted = {int(ds[row]["number"]): ds[row] for ds in datasets for row in range(len(ds))}
    seen = set()
    for batch in mlstac.mix(datasets, [0.5, 0.5]).batches(4, pad=pad):
        for row, number in enumerate(batch["number"].tolist()):
            np.testing.assert_array_equal(batch["image"][row], wanted[number]["image"])
            height = len(wanted[number]["crop"])
            np.testing.assert_array_equal(batch["crop"][row][:height], wanted[number]["crop"])
            seen.add(number // 100)
    assert seen == {0, 1}


def test_scaled_values_mix_with_values_that_need_no_scale(tmp_path):
    plain, scaled = (
        write(tmp_path, name, scales=scales, dtype="float32", seed=seed).select(["image", "number"])
        for name, scales, seed in (("plain", (None, None), 0), ("scaled", (3.0, 5.0), 1))
    )
    datasets = [plain.scaled(), scaled.scaled()]
    wanted = {int(ds[row]["number"]): ds[row]["image"] for ds in datasets for row in range(len(ds))}
    for batch in mlstac.mix(datasets).batches(6):
        for row, number in enumerate(batch["number"].tolist()):
            np.testing.assert_array_equal(batch["image"][row], wanted[number])


def test_datasets_that_store_another_dtype_are_refused_whatever_they_are_given_as(tmp_path, pair):
    narrow = write(tmp_path, "narrow", scales=(0.5, 2.0), dtype="uint8", seed=2)
    with pytest.raises(InvalidArgumentError, match=r"'image': stored as U16, given as F32.* and stored as U8"):
        mlstac.mix([pair[0].scaled(), narrow.scaled()])
