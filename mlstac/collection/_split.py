"""A split: which of the samples, and where their rows are."""

from typing import ClassVar

from pydantic import Field

from mlstac.collection._base import Model


class Split(Model):
    """A named part of the samples."""

    n_items: int = Field(ge=0)
    """Number of samples."""

    assets: list[str] = Field(default_factory=list)
    """Names of the collection's assets that hold the split's catalog, in order."""

    _always: ClassVar[frozenset[str]] = frozenset({"n_items", "assets"})
