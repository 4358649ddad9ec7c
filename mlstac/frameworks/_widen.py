"""What dtypes a dataset's tensors will have in a framework: checked, and announced, before any batch."""

import sys
import warnings
from collections.abc import Mapping
from typing import Any

from mlstac.errors import DtypeError
from mlstac.frameworks._contract import Adapter
from mlstac.frameworks._dtypes import numpy_dtype


class WidenedWarning(UserWarning):
    """Tensors come in a wider dtype than they are stored in, since the framework lacks theirs; values are the same."""


def check_dtypes(
    adapter: Adapter, dtypes: Mapping[str, str], *, narrow: bool = False, announce: bool = True
) -> dict[str, str]:
    """Dtypes that tensors will have in a framework; call it once, at load.

    Parameters
    ----------
    adapter : Adapter
        From `get_adapter`.
    dtypes : mapping of str to str
        Tensor -> safetensors name, as stored, or as converted by ``as_dtype``.
    narrow : bool
        The caller accepts a narrower dtype where the framework has no other (jax without x64).
    announce : bool
        Warn of what is widened, unless it was said before.

    Returns
    -------
    dict of str to str
        Tensor -> safetensors name.

    Warns
    -----
    WidenedWarning
        Once for all tensors, if a dtype is widened; at the line that called mlstac.

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
            raise DtypeError(f"tensor {name!r}: {error}{_narrowed(adapter, name, dtype)}") from error
    changed = {name: numpy_dtype(held[name]).name for name, dtype in dtypes.items() if held[name] != dtype}
    widened = [f"{name!r} from {dtypes[name]} to {held[name]}" for name in changed]
    if widened and announce and not narrow:
        warnings.warn(
            f"{adapter.NAME} has no such dtype, so tensors are widened, value by value: {', '.join(widened)}; "
            f"as_dtype={changed} asks for the same and says nothing, as_dtype='float32' for what is computed in",
            WidenedWarning,
            stacklevel=_callers_level(),
        )
    return held


def _narrowed(adapter: Adapter, name: str, dtype: str) -> str:
    """How to ask for one tensor as a framework holds it narrowed, if it does."""
    try:
        held = numpy_dtype(adapter.check_dtype(dtype, narrow=True)).name
    except DtypeError:
        return ""
    return (
        f"; as_dtype={{{name!r}: {held!r}}} does so for this tensor alone, label or not "
        f"(a word, as_dtype={held!r}, leaves labels out)"
    )


def check_placed(adapter: Adapter, dtypes: Mapping[str, str], device: Any) -> None:
    """Ask an adapter that tells devices apart (``check_placed(dtype, device)``) whether one holds what it is to hold.

    Parameters
    ----------
    dtypes : mapping of str to str
        Tensor -> safetensors name, as `check_dtypes` gives it.
    device
        As the adapter's ``resolve_device`` gives it.

    Raises
    ------
    DtypeError
        If the device cannot hold one; the message names the tensor.
    """
    check = getattr(adapter, "check_placed", None)
    if check is None:
        return
    for name, dtype in dtypes.items():
        try:
            check(dtype, device)
        except DtypeError as error:
            raise DtypeError(f"tensor {name!r}: {error}") from error


def _callers_level() -> int:
    """``stacklevel``, as `check_dtypes` gives it, of the first frame that is not of this package."""
    package = __name__.partition(".")[0]
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == package:
        level, frame = level + 1, frame.f_back
    return level
