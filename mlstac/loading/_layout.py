"""What a reader must know of a tensor before it reads a row: dtype, shape, and the bytes they make."""

from dataclasses import dataclass
from functools import cached_property
from math import prod

from mlstac.collection import DTYPES, Tensor
from mlstac.errors import CollectionError


@dataclass(frozen=True)
class TensorLayout:
    """One tensor of every sample, as stored."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    """Of one sample; None where an axis varies."""
    checksum_rows: int
    required: bool
    layout: str | None
    media_type: str | None
    label: bool = False

    @cached_property
    def bits(self) -> int:
        """Bits of one element."""
        return DTYPES[self.dtype]

    @cached_property
    def fixed(self) -> tuple[int, ...] | None:
        """Shape if every sample has the same."""
        shape = tuple(size for size in self.shape if size is not None)
        return shape if len(shape) == len(self.shape) else None

    @cached_property
    def row_bytes(self) -> int | None:
        """Bytes of one sample if all have the same."""
        return None if self.fixed is None else prod(self.fixed) * self.bits // 8


def layout_of(name: str, tensor: Tensor, *, collection_id: str) -> TensorLayout:
    """Facts of one tensor of a collection.

    Raises
    ------
    CollectionError
        If the collection does not say its dtype or shape.
    """
    if tensor.dtype is None or tensor.shape is None:
        raise CollectionError(
            f"collection {collection_id!r} does not give the dtype and shape of tensor {name!r}; "
            "its samples cannot be read without"
        )
    if tensor.dtype not in DTYPES:
        raise CollectionError(f"collection {collection_id!r}: tensor {name!r} has unknown dtype {tensor.dtype!r}")
    return TensorLayout(
        name=name,
        dtype=tensor.dtype,
        shape=tuple(tensor.shape),
        checksum_rows=max(1, tensor.checksum_rows or 1),
        required=tensor.required,
        layout=tensor.layout,
        media_type=tensor.media_type,
        label=tensor.role == "label",
    )
