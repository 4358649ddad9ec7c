"""TensorFlow tensors: every dtype of safetensors but F4, F6 and F8_E8M0, zero-copy on the CPU but for F8."""

import re
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mlstac.errors import DeviceError, DtypeError, InvalidSampleError
from mlstac.frameworks import _aligned
from mlstac.frameworks import numpy as arrays
from mlstac.frameworks._devices import absent, parse_device
from mlstac.frameworks._dtypes import check_known, check_truths, numpy_dtype
from mlstac.frameworks._tf_data import as_written, make_spec, stream, unbatch
from mlstac.frameworks._transfer import Transfer, map_tensors

__all__ = [
    "NAME",
    "allocate",
    "as_written",
    "begin_transfer",
    "check_dtype",
    "decode",
    "encode",
    "make_spec",
    "owns",
    "resolve_device",
    "shares_memory",
    "stream",
    "unbatch",
]

NAME = "tensorflow"

_OWN_SPELLING = re.compile(
    r"(?:/job:[^/]+)?(?:/replica:\d+)?(?:/task:\d+)?(?:/|/?device:)(?P<kind>[A-Z]+)(?::(?P<index>\d+|\*))?",
    re.IGNORECASE,
)
_COMPOSITES = ("RaggedTensor", "SparseTensor", "IndexedSlices", "KerasTensor", "SymbolicTensor")


def check_dtype(dtype: str, *, narrow: bool = False) -> str:
    """Name of the dtype that tensors will have: always the one asked for.

    TensorFlow holds F8 tensors and casts most of them, but does no arithmetic in them.

    Raises
    ------
    DtypeError
        For F4, F6 and F8_E8M0.
    """
    check_known(dtype, framework=NAME)
    if dtype == "F8_E8M0":
        raise DtypeError("tensorflow cannot hold dtype F8_E8M0; load it with as_dtype='float32'")
    return dtype


def resolve_device(device: object = None) -> str:
    """TensorFlow's own name of a device, such as ``"/device:GPU:0"``; None is the CPU.

    TensorFlow itself puts a tensor on the CPU, without a word, if the device is not there; so it is looked up here.

    Parameters
    ----------
    device : str, tf.config.LogicalDevice or tf.DeviceSpec, optional
        A neutral name, or TensorFlow's own: ``"/GPU:0"``, ``"/gpu:0"``, ``"/device:GPU:0"``; without a number, or with
        ``*``, the first.

    Raises
    ------
    DeviceError
        If it is not there, or belongs to another framework.
    """
    if isinstance(device, tf.config.LogicalDevice):
        device = device.name
    elif isinstance(device, tf.DeviceSpec):
        device = device.to_string()
    own = _OWN_SPELLING.fullmatch(device) if isinstance(device, str) else None
    if device is None:
        name = "/device:CPU:0"
    elif own:
        name = f"/device:{own['kind'].upper()}:{(own['index'] or '*').replace('*', '0')}"
    else:
        kind, index = parse_device(device, framework=NAME)
        name = f"/device:{kind.upper()}:{index or 0}"
    present = [logical.name for logical in tf.config.list_logical_devices()]
    if name not in present:
        raise absent(device, present, framework=NAME)
    return name


def allocate(nbytes: int, device: object = None) -> NDArray[np.uint8]:
    """Fresh bytes, 64-byte aligned."""
    return _aligned.allocate(nbytes)


def shares_memory(dtype: str) -> bool:
    """Whether `decode` of an owned, aligned buffer to the CPU copies nothing: true of all but F8."""
    return not dtype.startswith("F8")


def decode(
    buffer: NDArray[np.uint8],
    dtype: str,
    shape: tuple[int, ...],
    *,
    device: object = None,
    owned: bool,
    narrow: bool = False,
) -> Any:
    """Make a tensor of little-endian bytes.

    Parameters
    ----------
    buffer : numpy.ndarray, shape (n,), uint8
    dtype : str
        Safetensors name.
    shape : tuple of int
        Of the tensor, or of a batch of them.
    device : optional
        As `resolve_device` takes it.
    owned : bool
        The buffer is fresh and nobody will write to it again: a CPU tensor lives on it if its address is a multiple
        of 64. Else it is copied.

    Returns
    -------
    tf.Tensor, shape ``shape``
    """
    check_dtype(dtype)
    check_truths(buffer, dtype)
    if shares_memory(dtype):
        # an unaligned tensor from dlpack is accepted, and aborts the process in the first operation on it
        aligned = _aligned.private(buffer, owned=owned, aligned=True)
        stored = numpy_dtype("U16" if dtype == "BF16" else dtype)  # numpy's dlpack has no bfloat16
        tensor = tf.experimental.dlpack.from_dlpack(aligned.view(stored).reshape(shape).__dlpack__())
        if dtype == "BF16":
            with tf.device("CPU:0"):
                tensor = tf.bitcast(tensor, tf.bfloat16)
    else:
        with tf.device("CPU:0"):
            tensor = tf.constant(buffer.view(numpy_dtype(dtype)).reshape(shape))
    return tensor if device is None else _put(tensor, resolve_device(device))


def _put(tensor: Any, name: str) -> Any:
    if tensor.device.endswith(name):
        return tensor
    with tf.device(name):
        placed = tf.identity(tensor)
    if not placed.device.endswith(name):  # soft placement: an operation that the device lacks runs on the CPU instead
        raise DeviceError(f"tensorflow put a tensor of {tensor.dtype.name} on {placed.device}, not on {name}")
    return placed


def begin_transfer(batch: dict[str, Any], device: object = None) -> Transfer:
    """Send a batch of CPU tensors to a device."""
    name = resolve_device(device)
    if name == "/device:CPU:0":
        return Transfer(batch)
    return Transfer(map_tensors(batch, owns, lambda tensor: _put(tensor, name)))


def owns(obj: object) -> bool:
    """Whether an object is a dense tensor or a variable of TensorFlow."""
    return isinstance(obj, tf.Tensor | tf.Variable)


def encode(tensor: Any) -> tuple[str, tuple[int, ...], NDArray[np.uint8]]:
    """Dtype name, shape and bytes of an eager tensor or a variable, brought to the CPU.

    Raises
    ------
    InvalidSampleError
        For ragged, sparse and symbolic tensors, and dtypes that safetensors lacks.
    """
    kind = type(tensor).__name__
    if kind in _COMPOSITES or not owns(tensor) or not hasattr(tensor, "numpy"):
        mend = {
            "RaggedTensor": "one sample's rows, dense, e.g. tensor[i]",
            "SparseTensor": "tf.sparse.to_dense(tensor)",
            "IndexedSlices": "tf.convert_to_tensor(tensor)",
            "Variable": "its value, variable.value",  # of Keras; TensorFlow's own has values
        }.get(kind, "an eager tensor, one that has values")
        raise InvalidSampleError(f"cannot write a tensorflow {kind}; give {mend}")
    if tensor.dtype == tf.string:
        raise InvalidSampleError(
            "cannot write a tensorflow tensor of strings; give one str, with media_type='text/plain'"
        )
    if (
        not hasattr(tensor.dtype, "as_numpy_dtype")
        or tensor.dtype in (tf.resource, tf.variant)
        or tensor.dtype.is_quantized
    ):
        raise InvalidSampleError(
            f"cannot write a tensorflow tensor of dtype {tensor.dtype.name}: it holds no plain numbers"
        )
    return arrays.encode(tensor.numpy())
