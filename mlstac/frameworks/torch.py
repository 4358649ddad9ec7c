"""Torch tensors: every dtype of safetensors but F4 and F6, zero-copy on the CPU, through pinned memory to CUDA."""

from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mlstac.errors import DeviceError, DtypeError, InvalidSampleError
from mlstac.frameworks import _aligned
from mlstac.frameworks._devices import absent, parse_device
from mlstac.frameworks._dtypes import EXTENDED, NATIVE, check_known, check_truths
from mlstac.frameworks._transfer import Transfer, map_tensors

NAME = "torch"

DTYPES: dict[str, torch.dtype] = {name: getattr(torch, word) for name, word in (NATIVE | EXTENDED).items()}
"""Safetensors name -> torch dtype."""

_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_UNPLACED = {"mps": ("F64",)}
"""Kind of device -> dtypes that torch refuses there, at the first tensor."""
_TORCH_WORDS = {"gpu": "cuda", "cpu": "cpu", "mps": "mps", "xpu": "xpu"}


def check_dtype(dtype: str, *, narrow: bool = False) -> str:
    """Name of the dtype that tensors will have: always the one asked for.

    Raises
    ------
    DtypeError
        For F4 and F6.
    """
    check_known(dtype, framework=NAME)
    return dtype


def check_placed(dtype: str, device: torch.device) -> None:
    """Refuse a dtype that a kind of device does not hold, though torch itself does.

    Raises
    ------
    DtypeError
        For F64 on Apple's GPUs (``mps``); the message says what to load instead.
    """
    if dtype in _UNPLACED.get(device.type, ()):
        raise DtypeError(
            f"torch's device {str(device)!r} cannot hold dtype {dtype}; load it with as_dtype='float32', or onto the"
            " CPU"
        )


def resolve_device(device: object = None) -> torch.device:
    """The ``torch.device`` of a neutral name or of a ``torch.device``; None is the CPU.

    Raises
    ------
    DeviceError
        If it is not there, or belongs to another framework.
    """
    if isinstance(device, torch.device):
        wanted = device
    elif device is None:
        wanted = torch.device("cpu")
    else:
        kind, index = parse_device(device, framework=NAME)
        if kind not in _TORCH_WORDS:
            raise absent(device, _present(), framework=NAME)
        wanted = torch.device(_TORCH_WORDS[kind]) if index is None else torch.device(_TORCH_WORDS[kind], index)
    if wanted.type == "meta":
        raise DeviceError("torch's device 'meta' holds no values; load to \"cpu\"")
    if wanted.index is None and wanted.type == "cuda" and torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    name = wanted.type if wanted.type == "cpu" else f"{wanted.type}:{wanted.index or 0}"
    if name not in _present() or (wanted.type == "cpu" and wanted.index):
        raise absent(device, _present(), framework=NAME)
    return wanted


@cache
def _present() -> list[str]:
    """Asked once: the answer takes longer than a batch, and devices do not come and go."""
    names = ["cpu"]
    if torch.cuda.is_available():
        names += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps:0")
    if torch.xpu.is_available():
        names += [f"xpu:{index}" for index in range(torch.xpu.device_count())]
    return names


def allocate(nbytes: int, device: object = None) -> NDArray[np.uint8]:
    """Fresh bytes, 64-byte aligned; for a CUDA device in pinned memory, from which it copies while the CPU goes on."""
    if device is not None and resolve_device(device).type == "cuda":
        pinned: NDArray[np.uint8] = torch.empty(nbytes, dtype=torch.uint8, pin_memory=True).numpy()
        return pinned
    return _aligned.allocate(nbytes)


def shares_memory(dtype: str) -> bool:
    """Whether `decode` of an owned buffer to the CPU copies nothing: true of every dtype."""
    return True


def decode(
    buffer: NDArray[np.uint8],
    dtype: str,
    shape: tuple[int, ...],
    *,
    device: object = None,
    owned: bool,
    narrow: bool = False,
) -> torch.Tensor:
    """Make a tensor of little-endian bytes.

    Parameters
    ----------
    buffer : numpy.ndarray, shape (n,), uint8
    dtype : str
        Safetensors name.
    shape : tuple of int
        Of the tensor, or of a batch of them.
    device : optional
        As `resolve_device` takes it. Off the CPU the call waits for the copy; `begin_transfer` does not.
    owned : bool
        The buffer is fresh and nobody will write to it again: a CPU tensor lives on it. Else it is copied.

    Returns
    -------
    torch.Tensor, shape ``shape``
        Writable.
    """
    check_truths(buffer, dtype)
    if buffer.size == 0:  # a view of no bytes has no stride that torch could divide
        tensor = torch.empty(shape, dtype=DTYPES[dtype])
    else:
        tensor = torch.from_numpy(_aligned.private(buffer, owned=owned)).view(DTYPES[dtype]).reshape(shape)
    return tensor if device is None else tensor.to(resolve_device(device))


def begin_transfer(batch: dict[str, Any], device: object = None) -> Transfer:
    """Send a batch of CPU tensors to a device and return at once.

    To CUDA the copies run on a stream of their own and overlap the work of the consumer if the buffers came from
    ``allocate(..., device)``. `Transfer.wait` makes the consumer's current stream wait for them.
    """
    target = resolve_device(device)
    if target.type == "cpu":
        return Transfer(batch)
    if target.type != "cuda":
        return Transfer(map_tensors(batch, owns, lambda tensor: tensor.to(target)))
    return _begin_cuda(batch, target)


def _begin_cuda(batch: dict[str, Any], target: torch.device) -> Transfer:
    stream = _side_stream(target)
    arrived: list[torch.Tensor] = []

    def send(tensor: torch.Tensor) -> torch.Tensor:
        arrived.append(tensor.to(target, non_blocking=True))
        return arrived[-1]

    with torch.cuda.stream(stream):
        sent = map_tensors(batch, owns, send)
        done = stream.record_event()

    def finish(held: Any = batch) -> None:
        consumer = torch.cuda.current_stream(target)
        consumer.wait_event(done)
        for tensor in arrived:  # its memory belongs to the side stream, which must not reuse it under the consumer
            tensor.record_stream(consumer)
        done.synchronize()  # only now may the pinned buffers, held until here, be given back

    return Transfer(sent, finish)


_SIDE_STREAMS: dict[torch.device, torch.cuda.Stream] = {}


def _side_stream(target: torch.device) -> torch.cuda.Stream:
    if target not in _SIDE_STREAMS:
        _SIDE_STREAMS[target] = torch.cuda.Stream(target)
    return _SIDE_STREAMS[target]


def owns(obj: object) -> bool:
    """Whether an object is a torch tensor, a parameter or another subclass of it."""
    return isinstance(obj, torch.Tensor)


def encode(tensor: torch.Tensor) -> tuple[str, tuple[int, ...], NDArray[np.uint8]]:
    """Dtype name, shape and bytes of a tensor: detached, brought to the CPU, in C order.

    The bytes share memory with the tensor where that needs no copy.

    Raises
    ------
    InvalidSampleError
        For sparse, quantized and nested tensors, tensors without values (meta), and dtypes that safetensors lacks.
    """
    if tensor.layout is not torch.strided or tensor.is_nested or tensor.is_quantized:
        kind = "nested" if tensor.is_nested else "quantized" if tensor.is_quantized else "sparse"
        mend = {"nested": "a list of tensors", "quantized": ".dequantize()", "sparse": ".to_dense()"}[kind]
        raise InvalidSampleError(f"cannot write a {kind} torch tensor ({tensor.layout}); give {mend}")
    if tensor.device.type == "meta":
        raise InvalidSampleError("cannot write a torch tensor on device 'meta': it has no values")
    name = _NAMES.get(tensor.dtype)
    if name is None and "float4" in str(tensor.dtype):
        raise InvalidSampleError(
            f"cannot write a tensor of dtype {tensor.dtype}: mlstac takes none that is packed; give .view(torch.uint8)"
        )
    if name is None:
        mend = ".to(torch.complex64)" if tensor.is_complex() else ".to(torch.float32)"
        raise InvalidSampleError(
            f"cannot write a tensor of dtype {tensor.dtype}: safetensors has none such; give {mend}"
        )
    plain = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    if plain.numel() == 0:
        return name, tuple(plain.shape), np.empty(0, np.uint8)
    flat = plain.as_strided((plain.numel(),), (1,))  # a single element may have any stride, which no view divides
    return name, tuple(plain.shape), flat.view(torch.uint8).numpy()
