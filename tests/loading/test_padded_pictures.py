"""Decoded pictures and films of differing size: lists, or filled up to one tensor with a mask, in every framework."""

import io

import av
import numpy as np
import pytest
from PIL import Image

import mlstac
from mlstac.errors import DtypeError, InvalidArgumentError

FRAMEWORKS = ["numpy", "torch", "tensorflow", "jax", "paddle"]
COUNT = 7


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def film(frames, height, width):
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            picture = av.VideoFrame.from_ndarray(np.full((height, width, 3), 40 * number, np.uint8), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return file.getvalue()


def write(folder, samples, **tensors):
    described = {name: mlstac.Tensor(media_type="image/png") for name in samples[0]} | tensors
    mlstac.write(samples, folder, id="pictures", license="CC0-1.0", tensors=described)
    return folder


PIXELS = [
    np.random.default_rng(number).integers(0, 256, (3 + number % 4, 8 - number % 3, 3), np.uint8)
    for number in range(COUNT)
]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Seven photos of differing height and width, and their numbers."""
    samples = [{"photo": png(pixels), "number": np.int32(number)} for number, pixels in enumerate(PIXELS)]
    return write(tmp_path_factory.mktemp("photos") / "photos", samples, number=mlstac.Tensor(role="label"))


def check(batch, filling, dtype="uint8"):
    """See that each photo is where the mask says, and the filling elsewhere; its numbers."""
    photo, mask = np.asarray(batch["photo"]), np.asarray(batch["photo_mask"])
    assert mask.dtype == bool
    assert mask.shape == photo.shape[:1] + photo.shape[2:]
    assert photo.dtype.name == dtype
    numbers = np.asarray(batch["number"]).tolist()
    assert photo.shape[2:] == tuple(np.max([PIXELS[number].shape[:2] for number in numbers], axis=0))
    for place, number in enumerate(numbers):
        height, width, _ = PIXELS[number].shape
        assert np.array_equal(photo[place, :, :height, :width], PIXELS[number].transpose(2, 0, 1))
        assert mask[place, :height, :width].all()
        assert mask[place].sum() == height * width
        assert (photo[place].transpose(1, 2, 0)[~mask[place]] == filling).all()
    return numbers


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_photos_of_differing_size_are_a_list_or_one_tensor_with_a_mask(photos, framework):
    ds = mlstac.load(photos, framework=framework, decode=True)
    for batch in (ds[1:4], next(iter(ds.batches(3)))):
        assert isinstance(batch["photo"], list)
        for photo, number in zip(batch["photo"], np.asarray(batch["number"]).tolist(), strict=True):
            assert np.array_equal(np.asarray(photo), PIXELS[number].transpose(2, 0, 1))
    seen = []
    for batch in ds.batches(3, shuffle=True, pad={"photo": 7}):
        assert type(batch["photo"]) is type(ds[0]["photo"])
        seen += check(batch, 7)
    assert sorted(seen) == list(range(COUNT))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_photos_are_converted_as_asked_one_by_one_and_filled_up(photos, framework):
    for as_dtype in ("float32", {"photo": "float32"}):
        ds = mlstac.load(photos, framework=framework, decode=True, as_dtype=as_dtype)
        assert ds.dtypes["photo"] == "F32"
        assert np.asarray(ds[2]["photo"]).dtype == np.float32
        assert np.array_equal(np.asarray(ds[2]["photo"]), PIXELS[2].transpose(2, 0, 1))
        assert check(next(iter(ds.batches(4, pad={"photo": 1}))), 1, "float32") == [0, 1, 2, 3]


def test_a_dtype_is_of_no_use_to_bytes_and_text(photos):
    with pytest.raises(DtypeError, match=r"'photo' holds image/png.*decode=True"):
        mlstac.load(photos, as_dtype={"photo": "float32"})
    assert isinstance(mlstac.load(photos, as_dtype="float32")[0]["photo"], bytes)
    with pytest.raises(InvalidArgumentError, match=r"pad=\{'photo': 0\}.*comes as a list.*decode=True"):
        mlstac.load(photos).batches(2, pad={"photo": 0})


@pytest.mark.parametrize("value", [-1, 0.5, 70_000, "black", True, float("nan")])
def test_a_filling_that_no_picture_holds_is_refused_before_any_batch(photos, value):
    ds = mlstac.load(photos, framework="numpy", decode=True)
    with pytest.raises(InvalidArgumentError, match="'photo'"):
        ds.batches(2, pad={"photo": value})
    with pytest.raises(InvalidArgumentError, match=r"300.*does not fit its dtype uint8"):
        list(ds.batches(2, pad={"photo": 300}))


@pytest.mark.filterwarnings("ignore:os.fork.*:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_photos_go_through_torchs_loader(photos, workers):
    from torch.utils.data import DataLoader

    ds = mlstac.load(photos, decode=True)
    for batch in DataLoader(ds, batch_size=3, num_workers=workers):
        for photo, number in zip(batch["photo"], batch["number"].tolist(), strict=True):
            assert np.array_equal(photo.numpy(), PIXELS[number].transpose(2, 0, 1))
    stream = ds.iterable(3, pad={"photo": 0})
    loader = DataLoader(stream, batch_size=None, num_workers=workers)
    assert [number for batch in loader for number in check(batch, 0)] == list(range(COUNT))


def test_padded_photos_have_a_static_type(photos):
    import tensorflow as tf

    ds = mlstac.load(photos, framework="tensorflow", decode=True)
    with pytest.raises(
        InvalidArgumentError, match=r"'photo' holds image/png.*no static type.* give pad=\{'photo': 0\}"
    ):
        ds.to_tf(3)
    with pytest.raises(InvalidArgumentError, match=r"'photo'.*give batch_size= and pad=\{'photo': 0\}"):
        ds.to_tf()
    data = ds.to_tf(3, pad={"photo": 0})
    assert data.element_spec == {
        "photo": tf.TensorSpec((None, None, None, None), tf.uint8),
        "photo_mask": tf.TensorSpec((None, None, None), tf.bool),
        "number": tf.TensorSpec((None,), tf.int32),
    }
    assert [number for batch in data for number in check(batch, 0)] == list(range(COUNT))


def test_grays_of_16_bits_have_the_type_that_is_asked_for(tmp_path):
    import tensorflow as tf

    heights = [np.full((2 + number, 3), 1000 * number, np.uint16) for number in range(4)]
    folder = write(tmp_path / "ds", [{"height": png(pixels)} for pixels in heights])
    ds = mlstac.load(folder, framework="tensorflow", decode=True)
    (batch,) = ds.batches(4, pad={"height": 65_535})
    assert batch["height"].dtype == tf.uint16
    assert batch["height"].numpy()[1, 0].tolist() == [[1000] * 3] * 3 + [[65_535] * 3] * 2
    with pytest.raises(Exception, match=r"'height': pictures of 16 bits.*as_dtype=\{'height': 'uint16'\}"):
        list(ds.to_tf(2, pad={"height": 0}))
    ds = mlstac.load(folder, framework="numpy", decode=True, as_dtype={"height": "uint16"})
    data = ds.to_tf(4, pad={"height": 0})
    assert data.element_spec["height"].dtype == tf.uint16
    (batch,) = data
    assert batch["height"].numpy()[3, 0].tolist() == heights[3].tolist()


def test_eight_and_sixteen_bits_are_not_mixed_unasked_and_the_sample_is_named(tmp_path):
    gray = [np.full((2, 2 + number), 200, np.uint16 if number == 2 else np.uint8) for number in range(4)]
    folder = write(tmp_path / "ds", [{"gray": png(pixels)} for pixels in gray])
    ds = mlstac.load(folder, framework="numpy", decode=True)
    with pytest.raises(DtypeError, match=r"8 and of 16 bits.*as_dtype=\{'gray': 'uint16'\}.*train-0000002"):
        list(ds.batches(4, pad={"gray": 0}))
    ds = mlstac.load(folder, framework="numpy", decode=True, as_dtype={"gray": "uint16"})
    (batch,) = ds.batches(4, pad={"gray": 0})
    assert batch["gray"].dtype == np.uint16
    assert batch["gray"][:, 0].max(axis=(1, 2)).tolist() == [200] * 4


def test_pictures_of_other_channels_do_not_fill_up_and_the_sample_is_named(tmp_path):
    photos = [PIXELS[0], PIXELS[1], PIXELS[2][:, :, 0]]
    ds = mlstac.load(write(tmp_path / "ds", [{"photo": png(pixels)} for pixels in photos]), "train", decode=True)
    assert [photo.shape[0] for photo in ds[:]["photo"]] == [3, 3, 1]
    with pytest.raises(InvalidArgumentError, match=r"of 3 and of 1 channels.*transform=.*train-0000002"):
        list(ds.batches(3, pad={"photo": 0}))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_photo_that_a_sample_lacks_is_filled_whole(tmp_path, framework):
    samples = [{"number": np.int32(number)} for number in range(4)]
    samples[1]["photo"], samples[2]["photo"] = png(PIXELS[1]), png(PIXELS[2])
    photo = mlstac.Tensor(media_type="image/png", required=False)
    folder = write(tmp_path / "ds", samples, number=mlstac.Tensor(), photo=photo)
    ds = mlstac.load(folder, framework=framework, decode=True)
    with pytest.raises(InvalidArgumentError, match="lacks tensor 'photo'"):
        ds[:]
    (batch,) = ds.batches(4, pad={"photo": 9})
    assert np.asarray(batch["photo_present"]).tolist() == [False, True, True, False]
    assert np.asarray(batch["photo_mask"]).sum((1, 2)).tolist() == [
        0,
        *(p.shape[0] * p.shape[1] for p in PIXELS[1:3]),
        0,
    ]
    assert (np.asarray(batch["photo"])[[0, 3]] == 9).all()
    (batch,) = ds.batches(4, pad={"photo": None})
    assert [photo is None for photo in batch["photo"]] == [True, False, False, True]
    for batch in ds.to_tf(1, pad={"photo": 9}):  # one of photos that all lack has no pixel
        assert batch["photo_mask"].numpy().any() == batch["photo_present"].numpy()[0]


def test_films_fill_up_in_time_too(tmp_path):
    import tensorflow as tf

    sizes = [(2, 16, 32), (5, 32, 16)]
    film_of = {"film": mlstac.Tensor(media_type="video/mp4")}
    folder = write(tmp_path / "ds", [{"film": film(*size)} for size in sizes], **film_of)
    ds = mlstac.load(folder, framework="numpy", decode=True)
    first, second = ds[:]["film"]
    (batch,) = ds.batches(2, pad={"film": 255})
    assert batch["film"].shape == (2, 5, 3, 32, 32)
    assert batch["film_mask"].shape == (2, 5, 32, 32)
    assert np.array_equal(batch["film"][0, :2, :, :16], first)
    assert np.array_equal(batch["film"][1, :, :, :, :16], second)
    assert [mask.sum() for mask in batch["film_mask"]] == [np.prod(size) for size in sizes]
    assert (batch["film"].transpose(0, 1, 3, 4, 2)[~batch["film_mask"]] == 255).all()
    data = ds.to_tf(2, pad={"film": 255})
    assert data.element_spec["film"] == tf.TensorSpec((None, None, 3, None, None), tf.uint8)
    assert np.array_equal(next(iter(data))["film"], batch["film"])


def test_a_mix_fills_up_photos_of_its_datasets(photos):
    ds = mlstac.load(photos, framework="numpy", decode=True)
    both = mlstac.mix([ds.subset(slice(0, 3)), ds.subset(slice(3, None))])
    seen = [number for batch in both.batches(4, pad={"photo": 2}, samples=40) for number in check(batch, 2)]
    assert set(seen) == set(range(COUNT))


def test_a_text_that_a_sample_lacks_has_a_static_type_where_it_is_filled(tmp_path):
    samples = [{"number": np.int32(number)} | ({"words": "some"} if number else {}) for number in range(3)]
    words = mlstac.Tensor(media_type="text/plain", required=False)
    ds = mlstac.load(write(tmp_path / "ds", samples, words=words, number=mlstac.Tensor()), framework="tensorflow")
    with pytest.raises(InvalidArgumentError, match=r"may lack tensor 'words'.*pad=\{'words': ''\}"):
        ds.to_tf(3)
    (batch,) = ds.to_tf(3, pad={"words": "none"})
    assert batch["words"].numpy().tolist() == [b"none", b"some", b"some"]
    assert batch["words_present"].numpy().tolist() == [False, True, True]


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("size", [1, 3])
def test_batches_of_which_no_sample_has_its_picture_count_the_samples_first(tmp_path, framework, size):
    shown = {"photo": png(PIXELS[0]), "clip": film(2, 16, 32)}
    samples = [{"number": np.int32(number)} | (shown if number > 2 else {}) for number in range(6)]
    described = {"photo": "image/png", "clip": "video/mp4"}
    tensors = {name: mlstac.Tensor(media_type=kind, required=False) for name, kind in described.items()}
    mlstac.write(samples, tmp_path / "ds", id="ds", license="CC0-1.0", tensors={"number": mlstac.Tensor(), **tensors})
    ds = mlstac.load(tmp_path / "ds", framework=framework, decode=True)
    found = list(ds.batches(size, pad={"photo": 0, "clip": 0}))
    if framework == "tensorflow":
        found += list(ds.to_tf(size, pad={"photo": 0, "clip": 0}))
    elif framework == "torch":
        found += [ds.padded({"photo": 0, "clip": 0})[0:size]]
    for batch in found:
        if int(batch["number"][0]) > 2:
            assert batch["photo"].shape == (size, 3, *PIXELS[0].shape[:2])
            assert batch["clip"].shape == (size, 2, 3, 16, 32)
            assert np.asarray(batch["photo_present"]).all()
            continue
        assert (tuple(batch["photo"].shape), tuple(batch["photo_mask"].shape)) == ((size, 0, 0, 0), (size, 0, 0))
        assert (tuple(batch["clip"].shape), tuple(batch["clip_mask"].shape)) == ((size, 0, 3, 0, 0), (size, 0, 0, 0))
        assert np.asarray(batch["photo_present"]).tolist() == [False] * size
