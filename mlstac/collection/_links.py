"""Links and assets: what a collection or catalog points to."""

from __future__ import annotations

from pydantic import Field

from mlstac.collection._base import Model

PARQUET = "application/vnd.apache.parquet"
SAFETENSORS = "application/vnd.safetensors"
JSON = "application/json"


class Link(Model):
    """A link to another document."""

    rel: str = Field(min_length=1)
    """How the target relates to this document: root, child, license, derived_from …"""

    href: str = Field(min_length=1)
    """URL of the target, relative to this document or absolute."""

    type: str | None = None
    """Media type of the target."""

    title: str | None = None
    """What to call the target in a list."""


class Asset(Model):
    """A file that belongs to the collection, such as a part of a split's catalog."""

    href: str = Field(min_length=1)
    """URL of the file, relative to the collection or absolute."""

    type: str | None = None
    """Media type of the file."""

    title: str | None = None
    """What to call the file in a list."""

    description: str | None = None
    """What is in the file."""

    roles: list[str] = Field(default_factory=list)
    """What the file is for; parts of a catalog have ``collection-mirror``."""

    size: int | None = Field(default=None, ge=0, validation_alias="file:size", serialization_alias="file:size")
    """Size of the file in bytes."""

    checksum: str | None = Field(
        default=None, pattern="^[a-f0-9]+$", validation_alias="file:checksum", serialization_alias="file:checksum"
    )
    """Checksum of the file as multihash in hex: ``1220`` and the sha256."""
