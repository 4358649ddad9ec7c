"""What a catalog row says of one stored tensor, beside STAC's own words for an asset."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mlstac.collection._base import Model


class StoredTensor(Model):
    """The fields of ML-STAC in ``assets.<tensor>`` of a sample's Item: where its bytes are in the file of ``href``.

    The model stands for the JSON Schema; rows are columns of Parquet and never become one of these.
    """

    offset: int | None = Field(default=None, ge=0, validation_alias="ml:offset")
    """First byte of the tensor in the file; in a compressed file, of the frame that holds it."""

    length: int | None = Field(default=None, ge=0, validation_alias="ml:length")
    """Number of stored bytes; in a compressed file, of the frame."""

    shape: list[Annotated[int, Field(ge=0)]] | None = Field(default=None, validation_alias="ml:shape")
    """Shape of this sample's tensor, where samples differ in it."""

    checksum: int | None = Field(default=None, ge=0, lt=2**32, validation_alias="ml:checksum")
    """Low 32 bits of the xxh3-64 of the stored bytes (of the block of rows, where rows share one, or of the frame)."""

    frame_offset: int | None = Field(default=None, ge=0, validation_alias="ml:frame_offset")
    """First byte of the tensor in what the frame at ``ml:offset`` decompresses to, in a compressed file; else 0."""
