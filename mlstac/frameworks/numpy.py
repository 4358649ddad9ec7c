"""Numpy arrays: every dtype of safetensors but F4 and F6, those that numpy lacks through ``ml_dtypes``."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import InvalidSampleError
from mlstac.frameworks import _aligned
from mlstac.frameworks._devices import absent, parse_device
from mlstac.frameworks._dtypes import check_truths, numpy_dtype, safetensors_name
from mlstac.frameworks._transfer import Transfer

NAME = "numpy"

_REFUSED = {
    "O": "object arrays hold Python objects, not numbers; give one numeric dtype, e.g. .astype('float32')",
    "M": "safetensors has no dates; give Sample(datetimes=...), or .astype('datetime64[us]').astype('int64')",
    "m": "safetensors has no durations; give .astype('int64') and say the unit in the tensor's description",
    "U": "text is no array; give one str and describe the tensor with media_type='text/plain'",
    "S": "bytes are no array; give one bytes object and describe the tensor with its media_type",
    "T": "text is no array; give one str and describe the tensor with media_type='text/plain'",
    "V": "records have several dtypes; give each of their fields as a tensor of its own",
}
_SPARSE = ("scipy", "sparse")
_MENDS = {
    "complex128": "safetensors has complex64 only; give .astype('complex64'), or .real and .imag as two tensors",
    "longdouble": "safetensors has at most float64; give .astype('float64')",
    "clongdouble": "safetensors has complex64 only; give .astype('complex64')",
}


def check_dtype(dtype: str, *, narrow: bool = False) -> str:
    """Name of the dtype that tensors will have: always the one asked for.

    Raises
    ------
    DtypeError
        For F4 and F6.
    MissingPackageError
        For BF16 and F8 without ``ml_dtypes``.
    """
    numpy_dtype(dtype)
    return dtype


def resolve_device(device: object = None) -> str:
    """``"cpu"``, the one device that numpy has.

    Raises
    ------
    DeviceError
        For any other.
    """
    if device is not None and parse_device(device, framework=NAME) not in (("cpu", None), ("cpu", 0)):
        raise absent(device, ["cpu"], framework=NAME)
    return "cpu"


def allocate(nbytes: int, device: object = None) -> NDArray[np.uint8]:
    """Fresh bytes, 64-byte aligned."""
    return _aligned.allocate(nbytes)


def shares_memory(dtype: str) -> bool:
    """Whether `decode` of an owned buffer copies nothing: true of every dtype."""
    return True


def decode(
    buffer: NDArray[np.uint8],
    dtype: str,
    shape: tuple[int, ...],
    *,
    device: object = None,
    owned: bool,
    narrow: bool = False,
) -> NDArray[Any]:
    """Make an array of little-endian bytes.

    Parameters
    ----------
    buffer : numpy.ndarray, shape (n,), uint8
    dtype : str
        Safetensors name.
    shape : tuple of int
        Of the tensor, or of a batch of them.
    owned : bool
        The buffer is fresh and nobody will write to it again: the array lives on it. Else it is copied.

    Returns
    -------
    numpy.ndarray, shape ``shape``
        Writable.
    """
    check_truths(buffer, dtype)
    return _aligned.private(buffer, owned=owned).view(numpy_dtype(dtype)).reshape(shape)


def begin_transfer(batch: dict[str, Any], device: object = None) -> Transfer:
    """Nothing to do: the batch is where it belongs."""
    return Transfer(batch)


def owns(obj: object) -> bool:
    """Whether an object is a numpy array or scalar."""
    return isinstance(obj, np.ndarray | np.generic)


def encode(tensor: object) -> tuple[str, tuple[int, ...], NDArray[np.uint8]]:
    """Dtype name, shape and bytes of an array, a number, or a list of numbers.

    Values keep: another byte order or stride is copied into C order, little-endian. The bytes share memory with the
    array where that needs no copy.

    Raises
    ------
    InvalidSampleError
        For what safetensors cannot hold (objects, text, dates, records, complex128, longdouble) and for masked arrays;
        the message says what to give instead.
    """
    if isinstance(tensor, np.ma.MaskedArray):
        raise InvalidSampleError(
            "a masked array has two parts; give .filled(nodata) and say nodata in the tensor's description, "
            "or the mask as a tensor of its own"
        )
    if isinstance(tensor, str | bytes | bytearray):
        kind = "U" if isinstance(tensor, str) else "S"
        raise InvalidSampleError(_REFUSED[kind])
    if type(tensor).__module__.partition(".")[0] in _SPARSE and hasattr(tensor, "nnz"):
        origin, kind = type(tensor).__module__.partition(".")[0], type(tensor).__name__
        mend = ".toarray()" if hasattr(tensor, "toarray") else ".todense()"
        raise InvalidSampleError(f"cannot write a sparse {kind} of {origin}; give {mend}")
    try:
        array = np.asarray(tensor)
    except ValueError as error:  # rows of unequal length
        said = str(error).rstrip(".")
        raise InvalidSampleError(
            f"cannot make one array of {type(tensor).__name__}: {said}; give rows of one length, or each as a tensor"
        ) from error
    if isinstance(tensor, list | tuple) and array.dtype.kind == "f" and array.size and np.abs(array).max() >= 2**63:
        exact = np.asarray(tensor, object)  # of integers that fit neither int64 nor uint64 numpy makes floats
        array = exact if all(isinstance(item, int) for item in exact.flat) else array
    name = safetensors_name(array.dtype)
    if name is None:
        why = _of_objects(tensor, array) if array.dtype.kind == "O" else None
        why = why or (_REFUSED.get(array.dtype.kind) if array.dtype.isbuiltin != 2 else None)
        why = why or _MENDS.get(array.dtype.type.__name__) or "safetensors has no such dtype; give .astype('float32')"
        raise InvalidSampleError(f"cannot write an array of dtype {array.dtype}: {why}")
    if array.dtype.kind != "V":  # dtypes of ml_dtypes have kind V and the byte order of the machine alone
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return name, array.shape, np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _of_objects(given: object, array: NDArray[Any]) -> str:
    """Why numpy made objects of it: integers that no dtype holds, or what is no number at all."""
    numbers = [item for item in array.flat if isinstance(item, int)]
    large = next((number for number in numbers if not -(2**63) <= number < 2**64), None)
    if large is not None:
        return f"an integer of {large.bit_length()} bits fits no dtype; give .astype('float64'), or its digits as text"
    if numbers and min(numbers) < 0 and max(numbers) >= 2**63:
        return "integers below 0 beside others from 2**63 on fit no dtype; give .astype('float64'), or two tensors"
    if isinstance(given, np.ndarray | list | tuple):
        return _REFUSED["O"]
    return f"{type(given).__name__} is no array; {_REFUSED['O']}"
