"""Torch's loader as the one who asks: what it will do with samples, and tensors of arrays that it cannot make itself.

Nothing but the caller tells a dataset that a loader asks, and with which collate function.
"""

import sys
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlstac.collection import check_dtype
from mlstac.frameworks import get_adapter

_LOADER = "torch.utils.data."


def find_fetcher(caller: FrameType | None) -> Any:
    """The part of a loader that asks and collates: what calls, by itself or through torch's own datasets of datasets.

    None where anybody else calls, also a dataset of one's own that a loader calls.
    """
    while caller is not None and str(caller.f_globals.get("__name__")).startswith(_LOADER):
        this = caller.f_locals.get("self")
        if hasattr(this, "auto_collation"):
            return this
        caller = caller.f_back
    return None


def makes_tensors(fetcher: Any) -> bool:
    """Whether a fetcher, if any, has torch's own collate function, which makes tensors of arrays."""
    return getattr(getattr(fetcher, "collate_fn", None), "__module__", None) == f"{_LOADER}_utils.collate"


def as_torch(value: Any) -> Any:
    """A tensor over an array's memory, also of bfloat16 and float8, of which torch itself takes none; so in a list.

    All else stays as it is.
    """
    if isinstance(value, list):
        return [as_torch(item) if isinstance(item, np.ndarray) else item for item in value]
    return _tensor(value) if isinstance(value, np.ndarray) else value


def _tensor(array: NDArray[Any]) -> Any:
    if array.dtype.isbuiltin == 1:
        return sys.modules["torch"].from_numpy(array)
    adapter, dtype = get_adapter("torch"), check_dtype(array.dtype)
    return adapter.decode(array.reshape(-1).view(np.uint8), adapter.check_dtype(dtype), array.shape, owned=True)
