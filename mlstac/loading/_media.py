"""Encoded fields: text and JSON as Python has them, pictures and video as arrays where asked for."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import FormatError, MlstacError
from mlstac.loading._pixels import decode_film, decode_picture

FILM_CHANNELS = 3
"""Films are decoded to red, green and blue; pictures to as many channels as they have."""


def decode_media(data: NDArray[np.uint8], media_type: str, *, pictures: bool, tensor: str, label: bool = False) -> Any:
    """Decode the bytes of one field.

    Parameters
    ----------
    data : numpy.ndarray, shape (n,), uint8
    media_type : str
        ``text/plain`` becomes str, ``application/json`` what it says; ``image/*`` and ``video/*`` become arrays
        (channel, y, x) of uint8 or uint16 and (time, channel, y, x) of uint8 if ``pictures``; all else stays bytes.
    pictures : bool
        Decode pictures and video.
    tensor : str
        Named in errors.
    label : bool
        Whether pixels are numbers of classes, not colours; see `decode_picture`.

    Raises
    ------
    FormatError
        If the bytes are not of that type, nest too deeply, or unpack to too much.
    DtypeError
        If a picture cannot be decoded without loss.
    MissingPackageError
        If Pillow or PyAV is not installed.
    """
    raw = data.tobytes()
    kind = media_type.split(";")[0].strip().lower()
    try:
        if kind.startswith("text/"):
            return raw.decode("utf-8")
        if kind == "application/json" or kind.endswith("+json"):
            return json.loads(raw)
        if pictures and kind.startswith("image/"):
            return decode_picture(raw, label=label)
        if pictures and kind.startswith("video/"):
            return decode_film(raw)
    except MlstacError as error:
        raise type(error)(f"tensor {tensor!r} of a sample: {error}") from error
    except RecursionError:
        raise FormatError(f"tensor {tensor!r} of a sample is JSON that nests too deeply to be read") from None
    except (ValueError, OSError, SyntaxError) as error:  # a bad picture raises any of them
        raise FormatError(f"tensor {tensor!r} of a sample is not {media_type}: {error}") from error
    return raw


def encoded_kind(media_type: str, *, pictures: bool) -> str:
    """What `decode_media` makes of a field: ``"text"`` (str or bytes), ``"json"``, or ``"U8"`` (an array)."""
    kind = media_type.split(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        return "json"
    return "U8" if pictures and decoded_axes(kind) else "text"


def decoded_axes(media_type: str) -> tuple[str, ...]:
    """Axes of the arrays that pictures and films are decoded to; none of what has no such form."""
    kind = media_type.split(";")[0].strip().lower().split("/")[0]
    return {"image": ("channel", "y", "x"), "video": ("time", "channel", "y", "x")}.get(kind, ())
