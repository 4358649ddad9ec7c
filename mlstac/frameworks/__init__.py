"""Tensors of the user's own framework from bytes, and back: one small leaf a framework, imported on demand."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlstac.frameworks._aligned import allocate
from mlstac.frameworks._contract import Adapter
from mlstac.frameworks._convert import check_conversion, convert
from mlstac.frameworks._devices import parse_device
from mlstac.frameworks._dtypes import check_known, numpy_dtype
from mlstac.frameworks._registry import PACKAGES, get_adapter, known_frameworks, owner_of
from mlstac.frameworks._transfer import Transfer, map_tensors
from mlstac.frameworks._widen import WidenedWarning, check_dtypes, check_placed

__all__ = [
    "PACKAGES",
    "Adapter",
    "Transfer",
    "WidenedWarning",
    "allocate",
    "check_conversion",
    "check_dtypes",
    "check_known",
    "check_placed",
    "convert",
    "encode",
    "get_adapter",
    "known_frameworks",
    "map_tensors",
    "numpy_dtype",
    "parse_device",
]


def encode(tensor: Any) -> tuple[str, tuple[int, ...], NDArray[np.uint8]]:
    """Dtype name, shape and bytes of a tensor of any framework; numbers and lists of them count as numpy's.

    Parameters
    ----------
    tensor : tensor, array, number, or list of numbers

    Returns
    -------
    dtype : str
        Safetensors name.
    shape : tuple of int
    data : numpy.ndarray, shape (n,), uint8
        C order, little-endian, on the CPU. May share memory with the tensor.

    Raises
    ------
    InvalidSampleError
        If safetensors cannot hold it; the message says what to give instead.
    """
    encoded: tuple[str, tuple[int, ...], NDArray[np.uint8]] = get_adapter(owner_of(tensor)).encode(tensor)
    return encoded
