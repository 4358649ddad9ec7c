"""What dtypes a dataset's tensors will have in a framework: checked, and announced, before any batch."""

import warnings
from collections.abc import Mapping

from mlstac.errors import DtypeError
from mlstac.frameworks._contract import Adapter


class WidenedWarning(UserWarning):
    """Tensors come in a wider dtype than they are stored in, since the framework lacks theirs; values are the same."""


def check_dtypes(adapter: Adapter, dtypes: Mapping[str, str], *, narrow: bool = False) -> dict[str, str]:
    """Dtypes that tensors will have in a framework; call it once, at load.

    Parameters
    ----------
    adapter : Adapter
        From `get_adapter`.
    dtypes : mapping of str to str
        Tensor -> safetensors name, as stored, or as converted by ``as_dtype``.
    narrow : bool
        The caller accepts a narrower dtype where the framework has no other (jax without x64).

    Returns
    -------
    dict of str to str
        Tensor -> safetensors name.

    Warns
    -----
    WidenedWarning
        Once for all tensors, if a dtype is widened.

    Raises
    ------
    DtypeError
        If the framework cannot hold one; the message names the tensor.
    """
    held = {}
    for name, dtype in dtypes.items():
        try:
            held[name] = adapter.check_dtype(dtype, narrow=narrow)
        except DtypeError as error:
            raise DtypeError(f"tensor {name!r}: {error}") from error
    widened = [f"{name!r} from {dtype} to {held[name]}" for name, dtype in dtypes.items() if held[name] != dtype]
    if widened and not narrow:
        warnings.warn(
            f"{adapter.NAME} has no such dtype, so tensors are widened, value by value: {', '.join(widened)}",
            WidenedWarning,
            stacklevel=3,
        )
    return held
