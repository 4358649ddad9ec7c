"""What `pad` fills with is a value as it comes out: of the dtype asked for, scaled or normalized, not one as stored."""

import io

import numpy as np
import pytest
from PIL import Image

import mlstac
from mlstac.collection import Band
from mlstac.errors import InvalidArgumentError
from mlstac.frameworks import WidenedWarning

FRAMEWORKS = ["numpy", "torch", "tensorflow", "jax", "paddle"]
COUNT = 5
CROPS = [np.arange(2 * (2 + i % 3) * 3, dtype=np.uint8).reshape(2, 2 + i % 3, 3) + i for i in range(COUNT)]
MASKS = [np.full((2, 3), 200 + i, np.uint8) for i in range(COUNT)]
COUNTS = [np.arange(1 + i, dtype=np.uint16) + 60_000 for i in range(COUNT)]
PIXELS = [np.full((2 + i % 3, 3, 3), 40 * i, np.uint8) for i in range(COUNT)]
HAS_MASK = [i % 2 == 0 for i in range(COUNT)]


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five samples: a crop of differing shape and with a scale, a mask that some lack, a picture."""
    rows = [
        {"crop": CROPS[i], "photo": png(PIXELS[i])} | ({"mask": MASKS[i]} if HAS_MASK[i] else {}) for i in range(COUNT)
    ]
    bands = [Band(name=name, scale=0.5, offset=-1.0) for name in ("B02", "B03")]
    tensors = {
        "crop": mlstac.Tensor(dims="band y x", bands=bands),
        "mask": mlstac.Tensor(role="label", required=False),
        "photo": mlstac.Tensor(media_type="image/png"),
    }
    place = tmp_path_factory.mktemp("padded") / "ds"
    mlstac.write(rows, place, id="padded", license="CC0-1.0", tensors=tensors)
    return place


def plain(tensor):
    """Any framework's tensor in float64, in which every value here is exact."""
    if type(tensor).__module__ == "torch":
        tensor = tensor.double()
    elif "paddle" in type(tensor).__module__:
        tensor = tensor.astype("float64")
    return np.asarray(tensor).astype(np.float64)


def check(found, mask, wanted, filling):
    """See that each sample lies in its corner, and the filling everywhere else."""
    found, mask = plain(found), np.asarray(mask)
    for row, values in enumerate(wanted):
        corner = np.full(found.shape[1:], filling, np.float64)
        corner[tuple(slice(size) for size in values.shape)] = values
        np.testing.assert_array_equal(found[row], corner)
    assert not mask.all()


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(
    ("dtype", "filling"),
    [("float32", -1), ("float32", float("nan")), ("float16", -0.5), ("bfloat16", -2), ("int32", -100), ("int16", 300)],
)
def test_the_filling_is_of_the_dtype_asked_for(folder, framework, dtype, filling):
    ds = mlstac.load(folder, framework=framework, decode=True, as_dtype=dict.fromkeys(("crop", "mask", "photo"), dtype))
    pad = {"crop": filling, "mask": filling, "photo": filling}
    (batch,) = ds.select(["crop", "mask", "photo"]).batches(COUNT, pad=pad)
    assert dtype in str(batch["crop"].dtype)
    check(batch["crop"], batch["crop_mask"], CROPS, filling)
    check(batch["photo"], batch["photo_mask"], [pixels.transpose(2, 0, 1) for pixels in PIXELS], filling)
    assert np.asarray(batch["mask_present"]).tolist() == HAS_MASK
    for row, values in enumerate(plain(batch["mask"])):
        np.testing.assert_array_equal(values, MASKS[row] if HAS_MASK[row] else np.full((2, 3), float(filling)))


def test_masks_are_filled_with_what_cross_entropy_leaves_out(folder):
    import torch

    ds = mlstac.load(folder, as_dtype={"mask": "int64"}).select(["mask"])
    stream = torch.utils.data.DataLoader(ds.iterable(COUNT, pad={"mask": -100}), batch_size=None)
    (batch,) = stream
    assert batch["mask"].dtype == torch.int64
    assert batch["mask"][:, 0, 0].tolist() == [200, -100, 202, -100, 204]
    loss = torch.nn.functional.cross_entropy(torch.zeros(COUNT, 256, 2, 3), batch["mask"], reduction="none")
    assert (loss > 0).any((1, 2)).tolist() == HAS_MASK


def test_the_filling_of_to_tf_is_of_the_dtype_asked_for(folder):
    import tensorflow as tf

    ds = mlstac.load(folder, framework="tensorflow", decode=True, as_dtype={"crop": "float32", "mask": "int64"})
    data = ds.select(["crop", "mask"]).to_tf(COUNT, pad={"crop": float("nan"), "mask": -100})
    (batch,) = data
    assert (batch["crop"].dtype, batch["mask"].dtype) == (tf.float32, tf.int64)
    check(batch["crop"], batch["crop_mask"], CROPS, np.nan)
    assert batch["mask"][:, 0, 0].numpy().tolist() == [200, -100, 202, -100, 204]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_scaled_and_normalized_values_are_filled_with_a_final_value(folder, framework):
    ds = mlstac.load(folder, framework=framework).select(["crop"])
    (batch,) = ds.scaled().batches(COUNT, pad={"crop": -9999.5})
    check(batch["crop"], batch["crop_mask"], [crop * 0.5 - 1 for crop in CROPS], -9999.5)
    normal = ds.normalized()
    (batch,) = normal.batches(COUNT, pad={"crop": 0})
    check(batch["crop"], batch["crop_mask"], [plain(normal[row]["crop"]) for row in range(COUNT)], 0)


def test_a_mix_of_scaled_datasets_is_filled_with_a_final_value(folder):
    ds = mlstac.load(folder, framework="numpy").select(["crop"]).scaled()
    for batch in mlstac.mix([ds, ds]).batches(COUNT, pad={"crop": float("nan")}):
        real = np.broadcast_to(batch["crop_mask"][:, None, :, None], batch["crop"].shape)
        assert np.array_equal(np.isnan(batch["crop"]), ~real)


def test_counts_that_paddle_lacks_are_filled_as_asked(tmp_path):
    mlstac.write([{"counts": counts} for counts in COUNTS], tmp_path / "ds", id="counts", license="CC0-1.0")
    ds = mlstac.load(tmp_path / "ds", framework="paddle", as_dtype={"counts": "int32"})
    (batch,) = ds.batches(COUNT, pad={"counts": -1})
    check(batch["counts"], batch["counts_mask"], COUNTS, -1)
    with pytest.warns(WidenedWarning):
        widened = mlstac.load(tmp_path / "ds", framework="paddle")
    with pytest.raises(InvalidArgumentError, match=r"-1.*does not fit its dtype uint16"):
        widened.batches(COUNT, pad={"counts": -1})
    (batch,) = widened.batches(COUNT, pad={"counts": 65_535})
    check(batch["counts"], batch["counts_mask"], COUNTS, 65_535)


@pytest.mark.parametrize(
    ("dtype", "name", "filling"),
    [
        ("int8", "crop", -129),
        ("uint8", "mask", -100),
        ("int32", "photo", 0.5),
        ("int64", "mask", float("nan")),
        ("float16", "crop", 70_000),
        ("float32", "photo", 1e39),
        ("float64", "crop", -(10**400)),
    ],
)
def test_a_filling_that_the_dtype_asked_for_does_not_hold_is_refused_at_the_call(folder, dtype, name, filling):
    ds = mlstac.load(folder, framework="numpy", decode=True, as_dtype={name: dtype}).select([name])
    with pytest.raises(InvalidArgumentError, match=rf"'{name}'.*does not fit its dtype {dtype}"):
        ds.batches(2, pad={name: filling})
