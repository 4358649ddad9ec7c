"""What an adapter offers: the same few verbs for every framework."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mlstac.frameworks._transfer import Transfer


@runtime_checkable
class Adapter(Protocol):
    """A module (or object) between plain bytes and one framework's tensors.

    A dtype is a name of safetensors (``"U16"``), bytes are a ``numpy.ndarray`` of uint8 with one axis, C order,
    little-endian. No verb changes what it was given.
    """

    NAME: str
    """The framework's name, as `get_adapter` takes it."""

    def check_dtype(self, dtype: str, *, narrow: bool = False) -> str:
        """Dtype that tensors will have: the same, a wider one of the same values, or a `DtypeError`.

        With ``narrow`` a 32-bit one may stand for a 64-bit one; values that do not fit are then an error in `decode`.
        """

    def resolve_device(self, device: Any = None) -> Any:
        """The framework's own object for a device in any spelling it knows; None is the CPU. Or a `DeviceError`."""

    def allocate(self, nbytes: int, device: Any = None) -> NDArray[np.uint8]:
        """Fresh, writable bytes at a multiple of 64, best suited to be sent to a device."""

    def decode(
        self,
        buffer: NDArray[np.uint8],
        dtype: str,
        shape: tuple[int, ...],
        *,
        device: Any = None,
        owned: bool,
        narrow: bool = False,
    ) -> Any:
        """Make a tensor, or a batch of them, of bytes.

        With ``owned`` the buffer is fresh and nobody will write to it again: the tensor may live on it. Else it is
        copied.
        """

    def shares_memory(self, dtype: str) -> bool:
        """Whether `decode` of an owned, aligned buffer to the CPU copies nothing."""

    def begin_transfer(self, batch: dict[str, Any], device: Any = None) -> Transfer:
        """Send a decoded batch to a device and return at once; `Transfer.wait` hands it over."""

    def owns(self, obj: object) -> bool:
        """Whether an object is a tensor of this framework."""

    def encode(self, tensor: Any) -> tuple[str, tuple[int, ...], NDArray[np.uint8]]:
        """Dtype, shape and bytes of a tensor, or an `InvalidSampleError` that says what to give instead."""


VERBS = ("check_dtype", "resolve_device", "allocate", "decode", "shares_memory", "begin_transfer", "owns", "encode")
