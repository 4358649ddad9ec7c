"""Paddle tensors: zero-copy on the CPU; U16, U32 and U64, which paddle lacks, as wider signed integers."""

from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray

from mlstac.errors import DtypeError, InvalidSampleError
from mlstac.frameworks import _aligned
from mlstac.frameworks import numpy as arrays
from mlstac.frameworks._convert import convert
from mlstac.frameworks._devices import absent, parse_device
from mlstac.frameworks._dtypes import EXTENDED, NATIVE, check_known, check_truths, numpy_dtype
from mlstac.frameworks._transfer import Transfer, map_tensors

NAME = "paddle"

_WIDENED = {"U16": "I32", "U32": "I64", "U64": "I64"}  # paddle reads uint16 as the bits of bfloat16, and says nothing
_MISSING = ("F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ")
_NAMES = {f"paddle.{word}": name for name, word in (NATIVE | EXTENDED).items() if name not in (*_MISSING, "U16")}


def check_dtype(dtype: str, *, narrow: bool = False) -> str:
    """Name of the dtype that tensors will have: I32 for U16, I64 for U32 and U64, else the one asked for.

    Paddle holds F8 tensors, but does little with them.

    Raises
    ------
    DtypeError
        For F4, F6, F8_E8M0 and the FNUZ dialects of F8.
    """
    check_known(dtype, framework=NAME)
    if dtype in _MISSING:
        raise DtypeError(f"paddle cannot hold dtype {dtype}; load it with as_dtype='float32'")
    return _WIDENED.get(dtype, dtype)


def resolve_device(device: object = None) -> Any:
    """The paddle place of a neutral name or of a place; None is the CPU.

    Raises
    ------
    DeviceError
        If it is not there, or belongs to another framework.
    """
    if device is None:
        return paddle.CPUPlace()
    if type(device).__module__.partition(".")[0] == "paddle" and type(device).__name__.endswith("Place"):
        name = str(device).removeprefix("Place(").removesuffix(")")
        if name not in _present():
            raise absent(device, _present(), framework=NAME)
        return device
    kind, index = parse_device(device, framework=NAME)
    name = "cpu" if kind == "cpu" and not index else f"{kind}:{index or 0}"
    if name not in _present():
        raise absent(device, _present(), framework=NAME)
    return (
        paddle.CPUPlace()
        if kind == "cpu"
        else paddle.CUDAPlace(index or 0)
        if kind == "gpu"
        else paddle.XPUPlace(index or 0)
    )


def _present() -> list[str]:
    names = ["cpu"]
    if paddle.is_compiled_with_cuda():
        names += [f"gpu:{index}" for index in range(paddle.device.cuda.device_count())]
    if paddle.is_compiled_with_xpu():
        names += [f"xpu:{index}" for index in range(paddle.device.xpu.device_count())]
    return names


def allocate(nbytes: int, device: object = None) -> NDArray[np.uint8]:
    """Fresh bytes, 64-byte aligned."""
    return _aligned.allocate(nbytes)


def shares_memory(dtype: str) -> bool:
    """Whether `decode` of an owned buffer to the CPU copies nothing: true of all that is not widened."""
    return dtype not in _WIDENED


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
        The buffer is fresh and nobody will write to it again: a CPU tensor lives on it. Else it is copied.

    Returns
    -------
    paddle.Tensor, shape ``shape``
        With ``stop_gradient``, as data has. In a worker of ``paddle.io.DataLoader`` a numpy array of the same values,
        of which the loader makes the tensor: tensors made there end the worker with a segmentation fault.

    Raises
    ------
    DtypeError
        As `check_dtype`, and if a U64 does not fit I64; the message names the value.
    """
    held = check_dtype(dtype)
    check_truths(buffer, dtype)
    if held == dtype:
        host = _aligned.private(buffer, owned=owned)
    else:
        host = _aligned.allocate(buffer.size // numpy_dtype(dtype).itemsize * numpy_dtype(held).itemsize)
        convert(buffer, dtype, held, host)
    # BF16 and F8 go in under a dtype of the same width that numpy and paddle agree on, and are renamed there
    carrier = {"BF16": "I16", "F8_E4M3": "U8", "F8_E5M2": "U8"}.get(held, held)
    array = host.view(numpy_dtype(carrier)).reshape(shape)
    if paddle.io.get_worker_info() is not None:
        return _for_worker(array, held)
    # not core.frombuffer: two of its tensors over one buffer abort the process
    tensor = paddle.Tensor(array, place=paddle.CPUPlace(), zero_copy=True)
    if carrier != held:
        tensor = tensor.view(EXTENDED[held])
    return tensor if device is None else _put(tensor, resolve_device(device))


def _for_worker(array: NDArray[Any], dtype: str) -> NDArray[Any]:
    if dtype.startswith("F8"):
        raise DtypeError(f"paddle's workers cannot send {dtype}; load with as_dtype='float32', or use num_workers=0")
    # what numpy calls uint16 the loader makes bfloat16 of: this once, that is what is meant
    return array.view(np.uint16) if dtype == "BF16" else array


def _put(tensor: Any, place: Any) -> Any:
    if str(tensor.place) == str(place):
        return tensor
    return tensor.to(place, blocking=False)


def begin_transfer(batch: dict[str, Any], device: object = None) -> Transfer:
    """Send a batch of CPU tensors to a device."""
    place = resolve_device(device)
    return Transfer(map_tensors(batch, owns, lambda tensor: _put(tensor, place)))


def owns(obj: object) -> bool:
    """Whether an object is a paddle tensor or parameter."""
    return isinstance(obj, paddle.Tensor)


def encode(tensor: Any) -> tuple[str, tuple[int, ...], NDArray[np.uint8]]:
    """Dtype name, shape and bytes of a tensor: detached, brought to the CPU, in C order.

    Raises
    ------
    InvalidSampleError
        For sparse tensors, values of a static graph, and dtypes that safetensors lacks.
    """
    if not owns(tensor):
        raise InvalidSampleError(
            f"cannot write a paddle {type(tensor).__name__}: it has no values; give an eager tensor"
        )
    if tensor.is_sparse():
        raise InvalidSampleError("cannot write a sparse paddle tensor; give .to_dense()")
    name = _NAMES.get(str(tensor.dtype))
    if name is None:
        mend = ".astype('complex64')" if "complex" in str(tensor.dtype) else ".astype('float32')"
        raise InvalidSampleError(f"cannot write a tensor of {tensor.dtype}: safetensors has none such; give {mend}")
    array = tensor.detach().cpu().numpy()  # BF16 and F8 arrive under another dtype, with the same bits
    _, shape, data = arrays.encode(array)
    return name, shape, data
