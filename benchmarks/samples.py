"""The samples of the benchmarks: every value follows from the sample's number, so every answer can be checked.

Three kinds, after what people train on:

=======  =============================================  ==============  ==========================
kind     image                                          label           bytes a sample
=======  =============================================  ==============  ==========================
chips    uint16 (13, 64, 64), as EuroSAT's              int64           106,504
tiles    float32 (6, 256, 256), for segmentation        uint8 mask      1,638,400
small    float32 (64,), a spectrum or a pixel's series  int64           264
=======  =============================================  ==============  ==========================
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Kind(NamedTuple):
    """Shapes and types of one kind of sample, and how many a benchmark takes."""

    image: tuple[tuple[int, ...], str]
    label: tuple[tuple[int, ...], str]
    count: int
    batch: int

    @property
    def image_bytes(self) -> int:
        return int(np.prod(self.image[0], dtype=np.int64)) * np.dtype(self.image[1]).itemsize

    @property
    def label_bytes(self) -> int:
        return int(np.prod(self.label[0], dtype=np.int64)) * np.dtype(self.label[1]).itemsize

    @property
    def sample_bytes(self) -> int:
        return self.image_bytes + self.label_bytes


KINDS = {
    "chips": Kind(((13, 64, 64), "uint16"), ((), "int64"), 5_000, 64),
    "tiles": Kind(((6, 256, 256), "float32"), ((256, 256), "uint8"), 400, 8),
    "small": Kind(((64,), "float32"), ((), "int64"), 50_000, 256),
}


def make_sample(kind: str, number: int) -> dict[str, Array]:
    """One sample. Its first image values spell its number, the rest is noise that compresses badly.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    number : int
        Number of the sample, less than 2**24 (a float32 holds it exactly).
    """
    spec = KINDS[kind]
    shape, dtype = spec.image
    image = np.roll(_noise(kind), number * 7 % 4096).astype(dtype, copy=True)
    image[0], image[1] = number & 0xFFF, number >> 12
    label_shape, label_dtype = spec.label
    label = np.full(label_shape, number % 251 if label_shape else number, label_dtype)
    return {"image": image.reshape(shape), "label": label}


def make_samples(kind: str, count: int) -> Iterator[dict[str, Array]]:
    """The samples 0 … count - 1."""
    return (make_sample(kind, number) for number in range(count))


def check_batch(kind: str, image: Array, label: Array) -> list[int]:
    """Numbers of a batch's samples, after comparing every byte with what was written.

    Raises
    ------
    AssertionError
        If a sample is not what was written; a benchmark of wrong bytes counts for nothing.
    """
    spec = KINDS[kind]
    flat = np.ascontiguousarray(image).reshape(len(image), -1)
    numbers = (flat[:, 0].astype(np.int64) + (flat[:, 1].astype(np.int64) << 12)).tolist()
    for number, got_image, got_label in zip(numbers, image, label, strict=True):
        want = make_sample(kind, number)
        assert got_image.dtype == want["image"].dtype, f"{kind} {number}: {got_image.dtype}"
        assert np.array_equal(got_image, want["image"]), f"{kind} {number}: the image is not what was written"
        assert np.array_equal(np.asarray(got_label).reshape(spec.label[0]), want["label"]), f"{kind} {number}: label"
    return numbers


_cached: dict[str, Array] = {}


def _noise(kind: str) -> Array:
    if kind not in _cached:
        shape, dtype = KINDS[kind].image
        size = int(np.prod(shape))
        values = np.random.default_rng(20_240_601).integers(0, 10_000, size)
        _cached[kind] = values.astype(dtype)
    return _cached[kind]
