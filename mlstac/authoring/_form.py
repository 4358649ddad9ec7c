"""What samples alike have in common: found out once, and recognised in those that follow."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import xxhash

from mlstac.authoring._values import PLAIN, Encoded, encode
from mlstac.errors import MlstacError

FormKey = tuple[tuple[str, str, tuple[int, ...], str | None], ...]
"""Names, dtypes, shapes and media types of a sample's tensors."""

_NUMPY: Final = {name: dtype for dtype, name in PLAIN.items()}


def key_of(tensors: Mapping[str, Encoded]) -> FormKey:
    """The key of a sample's form."""
    return tuple([(name, encoded.dtype, encoded.shape, encoded.media_type) for name, encoded in tensors.items()])


class Form:
    """A form that the description has been checked with.

    Parameters
    ----------
    key : FormKey
    grids : dict of str to (int, int)
        Height and width of each tensor that is an image.
    """

    def __init__(self, key: FormKey, *, grids: dict[str, tuple[int, int]]) -> None:
        self.key = key
        self.grids = grids
        self.shapes = {name: shape for name, _, shape, _ in key}
        self._arrays = [(name, _NUMPY.get(dtype), dtype, shape) for name, dtype, shape, _ in key]
        # Texts and encoded bytes rarely have one length: asking would be in vain.
        self._is_of_arrays = all(media_type is None for *_, media_type in key)
        said = [
            f"({name!r}, {dtype!r}, {shape!r}, ".replace("%", "%%") + "%d)" for name, dtype, shape, _ in sorted(key)
        ]
        self._said = f"(%r, [{', '.join(said)}])"
        self._order = [name for name, *_ in sorted(key)]

    def encode(self, tensors: Mapping[str, Any]) -> dict[str, Encoded] | None:
        """The tensors of a sample as bytes, if they are arrays of this form; None where any is not."""
        if not self._is_of_arrays or len(tensors) != len(self._arrays):
            return None
        found = {}
        for name, dtype, dtype_name, shape in self._arrays:
            value = tensors.get(name)
            if dtype is not None and shape == () and type(value) is int and dtype.kind in "iu":
                value = _as_integer(value, dtype)
            # Of bfloat16 and such numpy has no dtype; and None would mean float64 to it.
            if (
                dtype is not None
                and (type(value) is np.ndarray or isinstance(value, np.generic))
                and value.dtype == dtype
                and value.flags.c_contiguous
            ):
                if value.shape != shape:
                    return None
                found[name] = Encoded(dtype_name, shape, value.reshape(-1).view(np.uint8))
                continue
            if value is None:
                return None
            try:
                encoded = encode(value, dtype=dtype_name)
            except (MlstacError, TypeError, ValueError):  # said in full by who asks next
                return None
            if encoded.dtype != dtype_name or encoded.shape != shape or encoded.media_type is not None:
                return None
            found[name] = encoded
        return found

    def content(self, name: str, digests: Mapping[str, int]) -> int:
        """64 bits of an id and of all tensors: names, dtypes, shapes and the xxh3-64 of each one's bytes."""
        said = self._said % (name, *[digests[key] for key in self._order])
        return xxhash.xxh3_64_intdigest(said.encode(errors="surrogatepass"))


def _as_integer(value: int, dtype: np.dtype[Any]) -> Any:
    """A number in the tensor's dtype; as it is where it does not fit."""
    try:
        return np.array(value, dtype)
    except OverflowError:
        return value
