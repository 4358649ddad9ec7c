"""The catalog.json of one split, for browsers of STAC; mlstac itself reads the Parquet parts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, Self

from pydantic import Field, ValidationError

from mlstac.collection._base import Model, render_errors
from mlstac.collection._document import STAC_VERSION
from mlstac.collection._json import check_json, read_json_object, write_json
from mlstac.collection._links import JSON, PARQUET, Link
from mlstac.errors import CollectionError


class Catalog(Model):
    """A STAC Catalog that points from a split to the Parquet parts with its samples.

    References
    ----------
    STAC 1.1, "Catalog specification".
    """

    id: str = Field(min_length=1)
    """Name of the split; tools that lay a catalog out anew call its folder so, and the parts stay where they are."""

    title: str | None = None
    """Name of the split for people."""

    description: str = Field(min_length=1)
    """What the split is."""

    links: list[Link] = Field(default_factory=list)
    """Links to the root, the parent and the parts of the catalog (``items``)."""

    stac_extensions: list[str] = Field(default_factory=list)
    """Schemas of fields that are not STAC's own."""

    @classmethod
    def of_split(
        cls,
        split: str,
        parts: Iterable[str],
        *,
        collection_id: str,
        n_items: int,
        collection_title: str | None = None,
    ) -> Self:
        """Make the catalog of a split.

        Parameters
        ----------
        split : str
            Name of the split; the catalog is ``<split>/catalog.json``.
        parts : iterable of str
            File names of the Parquet parts in the split's folder, in order.
        collection_id : str
            Id of the collection.
        n_items : int
            Number of samples.
        collection_title : str, optional
            Title of the collection, for the links that lead up to it.
        """
        up = "../collection.json"
        root, parent = (Link(rel=rel, href=up, type=JSON, title=collection_title) for rel in ("root", "parent"))
        items = [Link(rel="items", href=f"./{part.removeprefix('./')}", type=PARQUET) for part in parts]
        counted = "1 sample" if n_items == 1 else f"{n_items:,} samples"
        return cls(
            id=split,
            title=split,
            description=f"Split {split!r} of {collection_id}: {counted}.",
            links=[root, *items, parent],  # the order in which pystac writes them back
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, href: str | os.PathLike[str] | None = None) -> Self:
        """Make a catalog of a JSON object; raises `CollectionError` if it is none."""
        name = os.fspath(href) if href is not None else "the catalog"
        if not isinstance(data, dict) or data.get("type") != "Catalog":
            raise CollectionError(f"{name} is not a STAC Catalog (type 'Catalog'); a split's catalog.json is")
        check_json(data, name=name)
        fields = {key: value for key, value in data.items() if key not in ("type", "stac_version")}
        try:
            return cls._from_object(fields)
        except ValidationError as error:
            raise CollectionError(f"{name}: {render_errors(error)}") from None

    @classmethod
    def from_json(cls, text: str | bytes, *, href: str | os.PathLike[str] | None = None) -> Self:
        """Make a catalog of JSON text; raises `CollectionError` if it is none."""
        name = os.fspath(href) if href is not None else "the catalog"
        return cls.from_dict(read_json_object(text, name=name), href=href)

    def to_dict(self) -> dict[str, Any]:
        """Give the STAC Catalog as a JSON object."""
        body = self._to_object()
        head = {"type": "Catalog", "stac_version": STAC_VERSION}
        links = body.pop("links", [])
        return head | body | {"links": links}

    def to_json(self) -> str:
        """Give the STAC Catalog as JSON text: the same text for the same catalog, always."""
        return write_json(self.to_dict(), name=f"catalog {self.id!r}")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the catalog to a local file, all of it or nothing."""
        from mlstac.collection._files import write_collection_text

        write_collection_text(path, self.to_json())
