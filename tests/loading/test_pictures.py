"""Pictures and films decoded: the values that their files hold, or an error by name; Pillow and PyAV are the judges."""

import io
import struct
import zlib

import av
import numpy as np
import pytest
from PIL import Image

import mlstac
from mlstac.errors import DtypeError, FormatError
from mlstac.loading import _pixels
from mlstac.loading._media import decode_media

HEIGHTS = np.array([[100, 255, 256], [1000, 40_000, 65_535]], np.uint16)
CLASSES = np.array([[0, 1, 2], [3, 2, 0]], np.uint8)
COLOURS = np.array([[10, 20, 30], [200, 100, 50], [0, 0, 255], [9, 9, 9]], np.uint8)


def saved(picture, **options):
    file = io.BytesIO()
    picture.save(file, "png", **options)
    return file.getvalue()


def palette(bits=8):
    picture = Image.frombytes("P", CLASSES.shape[::-1], CLASSES.tobytes())
    picture.putpalette(COLOURS.tobytes())
    return saved(picture, bits=bits)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, colour, rows):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def decoded(raw, media_type="image/png", **options):
    return decode_media(np.frombuffer(raw, np.uint8), media_type, pictures=True, tensor="picture", **options)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_bytes_of_every_number_of_channels_come_back(channels):
    pixels = np.random.default_rng(1).integers(0, 256, (5, 4, channels), dtype=np.uint8)
    array = decoded(saved(Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)))
    assert np.array_equal(array, pixels.transpose(2, 0, 1))


def test_gray_of_16_bits_keeps_all_of_them():
    array = decoded(saved(Image.fromarray(HEIGHTS)))
    assert array.dtype == np.uint16
    assert np.array_equal(array, HEIGHTS[None])


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_palette_is_classes_in_a_label_and_colours_in_data(bits):
    assert np.array_equal(decoded(palette(bits), label=True), CLASSES[None])
    assert np.array_equal(decoded(palette(bits)), COLOURS[CLASSES].transpose(2, 0, 1))


def test_one_bit_is_zero_and_one():
    bits = np.array([[0, 1, 1], [1, 0, 0]], bool)
    assert np.array_equal(decoded(saved(Image.fromarray(bits))), bits[None].astype(np.uint8))


def test_a_label_in_few_bits_of_gray_keeps_its_numbers():
    rows = [bytes([0b0001_1011]), bytes([0b1110_0100])]
    stored = png(4, 2, 2, 0, rows)
    assert np.array_equal(decoded(stored, label=True), [[[0, 1, 2, 3], [3, 2, 1, 0]]])
    assert np.array_equal(decoded(stored), [[[0, 85, 170, 255], [255, 170, 85, 0]]])


def test_colours_of_16_bits_are_refused():
    with pytest.raises(DtypeError, match=r"'picture'.*16 bits.*decode=False"):
        decoded(png(1, 1, 16, 2, [struct.pack(">HHH", 1000, 2000, 3000)]))


def test_colours_for_print_are_refused():
    file = io.BytesIO()
    Image.new("CMYK", (2, 2)).save(file, "jpeg")
    with pytest.raises(DtypeError, match="CMYK"):
        decoded(file.getvalue(), "image/jpeg")


def test_a_picture_that_unpacks_to_gigabytes_is_refused():
    bomb = png(30_000, 30_000, 1, 0, [bytes(3750)] * 10)
    with pytest.raises(FormatError, match=r"'picture'.*too large"):
        decoded(bomb)


@pytest.mark.parametrize("raw", [b"", b"\x89PNG\r\n\x1a\n", saved(Image.fromarray(HEIGHTS))[:50]])
def test_what_is_no_picture_is_refused(raw):
    with pytest.raises(FormatError, match=r"'picture'.*image/png"):
        decoded(raw)


def test_json_that_nests_without_end_is_refused():
    with pytest.raises(FormatError, match=r"'picture'.*nests too deeply"):
        decoded(b"[" * 200_000, "application/json")


def film(frames):
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for number in range(frames):
            picture = av.VideoFrame.from_ndarray(np.full((32, 32, 3), number, np.uint8), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return file.getvalue()


def test_a_film_is_decoded_to_a_bound(monkeypatch):
    assert decoded(film(6), "video/mp4").shape == (6, 3, 32, 32)
    monkeypatch.setattr(_pixels, "VIDEO_BYTES", 4 * 32 * 32 * 3)
    with pytest.raises(FormatError, match="after 4 frames"):
        decoded(film(6), "video/mp4")


@pytest.fixture
def dataset(tmp_path):
    tensors = {
        "height": mlstac.Tensor(media_type="image/png"),
        "cover": mlstac.Tensor(media_type="image/png", role="label"),
    }
    samples = [{"height": saved(Image.fromarray(HEIGHTS)), "cover": palette()} for _ in range(3)]
    bad = png(1, 1, 16, 2, [bytes(6)])
    samples.append({"height": bad, "cover": palette()})
    mlstac.write(samples, tmp_path / "ds", id="pictures", license="CC0-1.0", tensors=tensors)
    return tmp_path / "ds"


@pytest.mark.parametrize("framework", ["numpy", "torch", "jax", "tensorflow", "paddle"])
def test_pictures_of_a_dataset_come_as_they_were_in_every_framework(dataset, framework):
    sample = mlstac.load(dataset, framework=framework, decode=True)[0]
    assert np.array_equal(np.asarray(sample["height"]), HEIGHTS[None])
    assert np.array_equal(np.asarray(sample["cover"]), CLASSES[None])


def test_the_sample_whose_picture_is_refused_is_named(dataset):
    ds = mlstac.load(dataset, framework="numpy", decode=True)
    name = ds.metadata[3]["id"]
    with pytest.raises(DtypeError, match=name):
        ds[3]
    with pytest.raises(DtypeError, match=name):
        ds[0:4]
