"""Pictures and films as arrays, with the values that the file holds: nothing is scaled, cut or recoloured unsaid."""

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import DtypeError, FormatError, MissingPackageError

VIDEO_BYTES = 2 * 1024**3
"""The most that one film may take once decoded: a small file can unpack to any size."""

_PLAIN = ("L", "LA", "RGB", "RGBA")
_GRAY_STEPS = {2: 85, 4: 17}  # what Pillow multiplies PNG's grays of two and four bits by, to fill 0 to 255
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def decode_picture(raw: bytes, *, label: bool) -> NDArray[Any]:
    """Pixels of a picture, shape (channel, y, x).

    Parameters
    ----------
    raw : bytes
        A file that Pillow reads.
    label : bool
        Whether pixels are numbers of classes: then those of a palette are its indices, and grays of few bits are as
        stored. Else a palette's pixels are its colours, and grays fill 0 to 255.

    Returns
    -------
    numpy.ndarray, shape (1, 2, 3 or 4; y, x), uint8 or uint16
        Gray, gray and alpha, RGB, RGBA; uint16 for gray of 16 bits; 0 and 1 for pictures of one bit.

    Raises
    ------
    DtypeError
        If the picture is of another kind (16-bit colour, CMYK, floats), which would lose values.
    FormatError
        If it would take more memory than Pillow allows (``PIL.Image.MAX_IMAGE_PIXELS``).
    MissingPackageError
        If Pillow is not installed.
    """
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise MissingPackageError("decoding pictures needs Pillow; run: pip install pillow") from error
    try:
        with Image.open(BytesIO(raw)) as picture:
            array = _pixels(picture, depth=_png_depth(raw), label=label)
    except Image.DecompressionBombError as error:
        raise FormatError(f"the picture is too large to be decoded safely ({error}); load with decode=False") from None
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _pixels(picture: Any, *, depth: int | None, label: bool) -> NDArray[Any]:
    mode = picture.mode
    if (mode.startswith("I") and depth == 16) or mode.startswith("I;16"):
        return np.asarray(picture).astype(np.uint16)
    if depth == 16:  # Pillow would hand out the upper halves and say nothing
        raise DtypeError(
            f"the picture has 16 bits in each of several channels ({mode}), and only gray ones are decoded with all "
            "of them; load with decode=False for its bytes, or store it as a plain tensor"
        )
    if mode == "1":
        return np.asarray(picture).astype(np.uint8)
    if mode == "P":
        return np.asarray(picture if label else picture.convert("RGB"), np.uint8)
    if mode not in _PLAIN:
        raise DtypeError(
            f"the picture is of mode {mode}, which has no exact form in bytes; decoded are gray (to 16 bits), RGB, "
            "their alpha, and palettes; load with decode=False for its bytes"
        )
    array = np.asarray(picture, np.uint8)
    return array // np.uint8(_GRAY_STEPS[depth]) if label and mode == "L" and depth in _GRAY_STEPS else array


def _png_depth(raw: bytes) -> int | None:
    """Bits of a sample of a PNG, of which Pillow does not tell; None of other files."""
    return raw[24] if raw[:8] == _PNG_MAGIC and len(raw) > 24 else None


def decode_film(raw: bytes) -> NDArray[np.uint8]:
    """Frames of a film, shape (time, 3, y, x), RGB.

    Raises
    ------
    FormatError
        If it takes more than `VIDEO_BYTES` once decoded, or its frames differ in size.
    MissingPackageError
        If PyAV is not installed.
    """
    try:
        import av
    except ModuleNotFoundError as error:
        raise MissingPackageError("decoding video needs PyAV; run: pip install av") from error
    frames: list[NDArray[np.uint8]] = []
    taken = 0
    with av.open(BytesIO(raw), "r") as container:
        for frame in container.decode(video=0):
            taken += frame.width * frame.height * 3
            if taken > VIDEO_BYTES:
                raise FormatError(
                    f"the film takes more than {VIDEO_BYTES >> 20} MiB once decoded, after {len(frames)} frames; "
                    "load with decode=False and read the frames that you need"
                )
            frames.append(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
    return np.stack(frames).transpose(0, 3, 1, 2) if frames else np.zeros((0, 3, 0, 0), np.uint8)
