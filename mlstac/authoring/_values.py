"""A tensor of any framework, a number, a text, JSON or encoded bytes: as dtype, shape and bytes."""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import InvalidSampleError, MlstacError
from mlstac.frameworks import encode as encode_tensor
from mlstac.frameworks import numpy_dtype
from mlstac.sample import encode_field, infer_media_type

# Arrays that are their own bytes: numpy's dtypes of this byte order, which most samples are made of.
PLAIN: Final = {
    np.dtype(name): encode_tensor(np.empty(0, name))[0]
    for name in ("?", "u1", "i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f2", "<f4", "<f8")
}


class Encoded(NamedTuple):
    """One tensor of one sample, as it will be stored."""

    dtype: str
    shape: tuple[int, ...]
    data: NDArray[np.uint8]
    media_type: str | None = None


def encode(value: Any, *, dtype: str | None = None, media_type: str | None = None) -> Encoded:
    """Encode one value of a sample.

    Parameters
    ----------
    value : tensor, array, number, str, bytes, dict, or list
    dtype : str, optional
        The dtype that the tensor has; Python's own numbers, which have none, follow it.
    media_type : str, optional
        The media type that the tensor has; without it, it follows from the value.

    Raises
    ------
    InvalidSampleError
        If safetensors cannot hold the value.
    """
    if type(value) is not np.ndarray:
        value = _plain(value)
    if type(value) is not np.ndarray or media_type is not None:
        media_type = media_type or infer_media_type(value)
        if media_type is not None:
            return Encoded(*encode_field(value, media_type), media_type)
        if isinstance(value, bytes | bytearray | memoryview):
            raw = np.frombuffer(bytes(value), np.uint8)
            return Encoded("U8", raw.shape, raw)
        if isinstance(value, bool | int | float | list | tuple):
            if dtype is None and isinstance(value, list | tuple) and np.size(_as_array(value)) == 0:
                raise InvalidSampleError(
                    "an empty list tells no dtype, and there is no sample before that does; describe the tensor in the"
                    " collection, e.g. Tensor(dtype='F32'), or give a numpy array"
                )
            value = value if dtype is None else _as_dtype(value, dtype)
    if isinstance(value, np.matrix):
        value = np.asarray(value)  # a matrix stays one of two axes, whatever is asked of it
    if isinstance(value, np.ndarray | np.generic):
        name = PLAIN.get(value.dtype)
        if name is not None and not isinstance(value, np.ma.MaskedArray) and value.flags.c_contiguous:
            return Encoded(name, value.shape, value.reshape(-1).view(np.uint8))
    return Encoded(*encode_tensor(value))


def _plain(value: Any) -> Any:
    """What other libraries wrap: pictures of Pillow, strings of TensorFlow, undecoded pictures of Hugging Face."""
    if isinstance(value, memoryview) and (value.format not in ("B", "c") or value.ndim != 1):
        return np.asarray(value)  # a view of numbers has their dtype and shape; only one of bytes is bytes
    home = type(value).__module__.partition(".")[0]
    if home == "PIL" and hasattr(value, "getbands"):
        pixels = np.asarray(value)
        return np.ascontiguousarray(np.moveaxis(pixels, -1, 0)) if pixels.ndim == 3 else pixels
    if home == "tensorflow" and getattr(getattr(value, "dtype", None), "name", "") == "string" and value.shape == ():
        value = value.numpy()
        try:
            return value if infer_media_type(value) is not None else value.decode()
        except UnicodeDecodeError:
            return value
    if isinstance(value, dict) and value.keys() == {"bytes", "path"} and isinstance(value["bytes"], bytes):
        return value["bytes"]
    return value


def _as_array(value: Any) -> Any:
    """Stack lists as numpy does; what numpy cannot make an array of is left to the encoder to refuse."""
    try:
        return np.asarray(value)
    except (ValueError, TypeError):
        return value


def _as_dtype(value: Any, dtype: str) -> Any:
    array = _as_array(value)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        return array
    try:
        wanted = numpy_dtype(dtype)
    except (MlstacError, KeyError):
        return array
    with np.errstate(all="ignore"):
        cast = array.astype(wanted)
    # Through float64 or int64 and back: 300 is no U8, 0.5 no I64; a float may round to a shorter float.
    exact = array.dtype.kind == "f" and cast.dtype.kind not in "biu"
    if not exact and not np.array_equal(cast.astype(array.dtype), array):
        raise InvalidSampleError(f"value {value!r} does not fit the tensor's dtype {dtype}")
    return cast
