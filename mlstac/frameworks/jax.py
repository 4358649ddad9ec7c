"""Jax arrays: every dtype of safetensors but F4 and F6; I64, U64 and F64 where ``jax_enable_x64`` is on."""

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from mlstac.errors import DeviceError, DtypeError, InvalidSampleError
from mlstac.frameworks import _aligned
from mlstac.frameworks import numpy as arrays
from mlstac.frameworks._convert import convert
from mlstac.frameworks._devices import absent, parse_device
from mlstac.frameworks._dtypes import check_known, check_truths, numpy_dtype
from mlstac.frameworks._transfer import Transfer, map_tensors

NAME = "jax"

_NARROWED = {"I64": "I32", "U64": "U32", "F64": "F32"}
_PLATFORMS = ("cpu", "gpu", "tpu", "mps")


def check_dtype(dtype: str, *, narrow: bool = False) -> str:
    """Name of the dtype that arrays will have.

    Jax without x64 cuts I64, U64 and F64 to 32 bits and says nothing. Here that is an error, or, with ``narrow``, done
    with care: integers that do not fit are an error, floats are rounded to nearest.

    Raises
    ------
    DtypeError
        For F4 and F6, and for I64, U64 and F64 without ``jax_enable_x64`` and without ``narrow``.
    """
    check_known(dtype, framework=NAME)
    if dtype not in _NARROWED or jax.config.jax_enable_x64:
        return dtype
    if narrow:
        return _NARROWED[dtype]
    fate = "rounded to nearest" if dtype == "F64" else "where an integer that does not fit is an error"
    raise DtypeError(
        f"jax holds {dtype} only with 64 bits switched on: jax.config.update('jax_enable_x64', True), which holds in "
        "every thread, as jax.enable_x64() does not, and batches are made in another; "
        f"or load with narrow=True to have {_NARROWED[dtype]}, {fate}"
    )


def resolve_device(device: object = None) -> Any:
    """The ``jax.Device`` of a neutral name, or the device or sharding itself; None is the CPU.

    Parameters
    ----------
    device : str, jax.Device or jax.sharding.Sharding, optional

    Raises
    ------
    DeviceError
        If it is not there, or belongs to another framework.
    """
    if isinstance(device, jax.sharding.Sharding):
        return device
    if isinstance(device, jax.Device):
        if device not in _local(device.platform):
            raise absent(device, _present(), framework=NAME)
        return device
    kind, index = parse_device("cpu" if device is None else device, framework=NAME)
    there = _local(kind)
    if (index or 0) >= len(there):
        raise absent(device or "cpu", _present(), framework=NAME)
    return there[index or 0]


def lays_out_batches(device: object) -> bool:
    """Whether a device is a sharding that cuts arrays into parts, which batches alone are made for."""
    return isinstance(device, jax.sharding.Sharding) and not device.is_fully_replicated


@cache
def _local(platform: str) -> list[Any]:
    """Devices of one kind in this process; asked once, for the answer takes longer than a batch and does not change."""
    try:
        return list(jax.local_devices(backend=platform))
    except RuntimeError:  # jax was built or started without this platform
        return []


def _present() -> list[str]:
    return [f"{platform}:{index}" for platform in _PLATFORMS for index in range(len(_local(platform)))]


def allocate(nbytes: int, device: object = None) -> NDArray[np.uint8]:
    """Fresh bytes, 64-byte aligned."""
    return _aligned.allocate(nbytes)


def shares_memory(dtype: str) -> bool:
    """Whether `decode` of an owned, aligned buffer to the CPU copies nothing: true of all that is not narrowed."""
    return check_dtype(dtype, narrow=True) == dtype


def decode(
    buffer: NDArray[np.uint8],
    dtype: str,
    shape: tuple[int, ...],
    *,
    device: object = None,
    owned: bool,
    narrow: bool = False,
) -> Any:
    """Make an array of little-endian bytes.

    Parameters
    ----------
    buffer : numpy.ndarray, shape (n,), uint8
    dtype : str
        Safetensors name.
    shape : tuple of int
        Of the array, or of a batch of them.
    device : optional
        As `resolve_device` takes it; the array is then committed to it. On the first CPU, and with None, it is left
        uncommitted, so that a jitted step takes it to where it runs. With a ``NamedSharding`` the bytes are this
        process's part of a global array.
    owned : bool
        The buffer is fresh and nobody will write to it again: a CPU array lives on it if its address is a multiple of
        64. Else it is copied.
    narrow : bool
        Convert I64, U64 and F64 to 32 bits where jax has no others.

    Returns
    -------
    jax.Array, shape ``shape``
        Or, with a ``NamedSharding``, the global shape.

    Raises
    ------
    DtypeError
        As `check_dtype`, and with ``narrow`` for an integer that does not fit.
    """
    held = check_dtype(dtype, narrow=narrow)
    check_truths(buffer, dtype)
    if held == dtype:
        host = _aligned.private(buffer, owned=owned, aligned=True)
    else:
        host = _aligned.allocate(buffer.size // 2)
        convert(buffer, dtype, held, host)
    array = host.view(numpy_dtype(held)).reshape(shape)
    target = resolve_device(device)
    if _is_host(target):
        with _on_cpu():
            return jax.device_put(array)
    return _put(array, target)


def _is_host(target: Any) -> bool:
    return isinstance(target, jax.Device) and target.platform == "cpu" and target == _local("cpu")[0]


def _on_cpu() -> AbstractContextManager[Any]:
    """Uncommitted arrays go to jax's default device; where that is an accelerator, say the CPU for this one."""
    return nullcontext() if jax.default_backend() == "cpu" else jax.default_device(_local("cpu")[0])


def _put(array: Any, target: Any) -> Any:
    try:
        if isinstance(target, jax.sharding.NamedSharding):
            return jax.make_array_from_process_local_data(target, np.asarray(array))
        return jax.device_put(array, target)
    except ValueError as error:
        if not isinstance(target, jax.sharding.Sharding):
            raise
        raise DeviceError(
            f"an array of shape {tuple(array.shape)} cannot be laid out over {target}: {error}; "
            "the axes that it cuts must divide by the devices (a short last batch: drop_last=True)"
        ) from error


def begin_transfer(batch: dict[str, Any], device: object = None) -> Transfer:
    """Send a batch of CPU arrays to a device or sharding; jax copies while the caller goes on.

    Raises
    ------
    DeviceError
        If a sharding cuts batches, and a tensor does not divide, or comes as a list of samples; the message names it.
    """
    target = resolve_device(device)
    if _is_host(target):
        return Transfer(batch)
    sent = {}
    for name, value in batch.items():
        if isinstance(value, list) and any(map(owns, value)) and lays_out_batches(target):
            raise DeviceError(
                f"tensor {name!r} comes as a list of samples, which have no axis of the batch that {target} could cut; "
                f"give pad={{{name!r}: 0}} if it may be padded, or leave it out with select(tensors=...)"
            )
        try:
            sent[name] = map_tensors(value, owns, lambda array: _put(array, target))
        except DeviceError as error:
            raise DeviceError(f"tensor {name!r}: {error}") from error
    return Transfer(sent)


def owns(obj: object) -> bool:
    """Whether an object is a jax array."""
    return isinstance(obj, jax.Array)


def encode(tensor: Any) -> tuple[str, tuple[int, ...], NDArray[np.uint8]]:
    """Dtype name, shape and bytes of an array, brought to the CPU.

    The bytes share memory with the array where that needs no copy.

    Raises
    ------
    InvalidSampleError
        For sparse arrays, arrays under transformation (tracers), arrays that lie partly in other processes or were
        deleted, random keys, and dtypes that safetensors lacks.
    """
    if isinstance(tensor, jax.core.Tracer):
        raise InvalidSampleError("cannot write a jax tracer: it has no values; write outside jit, grad and vmap")
    if not owns(tensor):
        kind = type(tensor).__name__
        raise InvalidSampleError(f"cannot write a jax {kind}; give a dense array, e.g. .todense()")
    if jax.dtypes.issubdtype(tensor.dtype, jax.dtypes.extended):
        raise InvalidSampleError(f"cannot write a jax array of {tensor.dtype}; give jax.random.key_data(keys)")
    if tensor.is_deleted():
        raise InvalidSampleError("cannot write a jax array that was deleted or donated: it has no values any more")
    if not tensor.is_fully_addressable:
        raise InvalidSampleError("cannot write a jax array that lies partly in other processes; gather it first")
    return arrays.encode(np.asarray(tensor))
