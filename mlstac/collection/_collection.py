"""The collection: what a dataset says of itself."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, PrivateAttr, ValidationError, ValidationInfo, field_validator

from mlstac.collection._base import Model, in_document, render_errors, shorten, to_plain
from mlstac.collection._document import (
    KEYS_BEFORE_SPLITS,
    ML_STAC_VERSION,
    STAC_VERSION,
    drop_derived,
    fields_of_document,
    locate_in_document,
    merge_links,
    own_extensions,
    structural_links,
    used_extensions,
)
from mlstac.collection._extent import WORLD, Extent
from mlstac.collection._json import check_json, read_json_object, write_json
from mlstac.collection._kind import check_kind
from mlstac.collection._links import Asset, Link
from mlstac.collection._names import check_name, check_split_name
from mlstac.collection._needs import find_task_problems
from mlstac.collection._people import Contact, Provider
from mlstac.collection._split import Split
from mlstac.collection._tasks import check_task
from mlstac.collection._tensor import Tensor
from mlstac.errors import CollectionError, InvalidArgumentError, NotFoundError

if TYPE_CHECKING:
    import pystac


class Collection(Model):
    """A dataset's description: a STAC Collection with what training needs besides.

    Attributes have plain names; JSON has STAC's (``tasks`` is ``ml:tasks``). Fields that are not known here survive
    reading and writing.

    References
    ----------
    STAC 1.1, "Collection specification"; docs/format.md, "collection.json".
    """

    id: str = Field(min_length=1, max_length=255)
    """Name of the dataset for programs, unique where it is published."""

    title: str | None = None
    """Name of the dataset for people."""

    description: str = ""
    """What the dataset holds, how it was made, what it is for; CommonMark. The title or id stands in where empty."""

    keywords: list[str] = Field(default_factory=list)
    """Words to find the dataset by."""

    license: str = Field(default="other", pattern=r"^[\w\-\.\+]+$")
    """SPDX identifier, or ``other`` with a link of rel ``license``."""

    version: str | None = None
    """Version of the data."""

    providers: list[Provider] = Field(default_factory=list)
    """Organisations that captured, processed, licensed or host the data."""

    contacts: list[Contact] = Field(default_factory=list)
    """People who stand behind the dataset, by role: author, curator, reviewer."""

    extent: Extent = Field(default_factory=Extent)
    """Where and when the samples are; the world and open where unknown."""

    summaries: dict[str, Any] = Field(default_factory=dict)
    """Ranges and sets of values that the samples' properties have."""

    doi: str | None = Field(
        default=None, pattern=r"^10\.[0-9a-zA-Z]{4,}/[^\s]+$", validation_alias="sci:doi", serialization_alias="sci:doi"
    )
    """DOI of the data, without a URL's prefix: ``10.5281/zenodo.123``."""

    citation: str | None = Field(default=None, validation_alias="sci:citation", serialization_alias="sci:citation")
    """How to cite the data."""

    ml_version: str = Field(default=ML_STAC_VERSION, validation_alias="ml:version", serialization_alias="ml:version")
    """Version of ML-STAC that the dataset keeps to."""

    tasks: list[str] = Field(default_factory=list, validation_alias="ml:tasks", serialization_alias="ml:tasks")
    """What the dataset is for: terms of `TASKS`, or own terms that start with ``x-``."""

    tensors: dict[str, Tensor] = Field(
        default_factory=dict, validation_alias="ml:tensors", serialization_alias="ml:tensors"
    )
    """The tensors of a sample by name."""

    splits: dict[str, Split] = Field(
        default_factory=dict, validation_alias="ml:splits", serialization_alias="ml:splits"
    )
    """Named parts of the samples; in JSON each is a key of its own, ``ml:train``."""

    placed: bool = Field(
        default_factory=lambda data: "extent" in data and data["extent"].bbox != WORLD,
        validation_alias="ml:placed",
        serialization_alias="ml:placed",
    )
    """Whether the samples' places on Earth are known; where they are not, the extent is the world."""

    compression: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9][a-z0-9.-]*$",
        validation_alias="ml:compression",
        serialization_alias="ml:compression",
    )
    """How shards are compressed, where any is: ``zstd``. Readers need what undoes it."""

    split_strategy: str | dict[str, Any] | None = Field(
        default=None, validation_alias="ml:split_strategy", serialization_alias="ml:split_strategy"
    )
    """How samples were divided: random, stratified, systematic, by location …"""

    raw_data_url: str | None = Field(
        default=None, validation_alias="ml:raw_data_url", serialization_alias="ml:raw_data_url"
    )
    """Where the data that the samples were made of can be had."""

    discussion_url: str | None = Field(
        default=None, validation_alias="ml:discussion_url", serialization_alias="ml:discussion_url"
    )
    """Where to ask questions about the dataset."""

    paper: str | None = Field(default=None, validation_alias="ml:paper", serialization_alias="ml:paper")
    """URL or DOI of the paper that presents the dataset."""

    links: list[Link] = Field(default_factory=list)
    """Links of the author's own; root, children and licence follow from the rest and are added in JSON."""

    assets: dict[str, Asset] = Field(default_factory=dict)
    """Files of the collection by name, among them the parts of each split's catalog."""

    item_assets: dict[str, Any] = Field(default_factory=dict)
    """Descriptions of assets of samples that are no tensors."""

    stac_extensions: list[str] = Field(default_factory=list)
    """Schemas of the author's own fields; those of the fields here are added in JSON."""

    _href: str | None = PrivateAttr(default=None)
    _read_rows: Any = PrivateAttr(default=None)

    @field_validator("tasks", mode="before")
    @classmethod
    def _one_task(cls, value: Any, info: ValidationInfo) -> Any:
        return [value] if isinstance(value, str) and not in_document(info) else value

    @field_validator("split_strategy", mode="before")
    @classmethod
    def _text_or_object(cls, value: Any) -> Any:
        if value is not None and not isinstance(value, str | dict):
            raise ValueError(f"expected text or an object, got {shorten(value)}; change it")
        return value or None  # an empty object says as little, and is not written

    @field_validator("tasks")
    @classmethod
    def _known_tasks(cls, tasks: list[str]) -> list[str]:
        return list(dict.fromkeys(check_task(task) for task in tasks))

    @field_validator("stac_extensions")
    @classmethod
    def _check_extensions(cls, value: list[str]) -> list[str]:
        own: list[str] = own_extensions(value)
        return own

    @field_validator("tensors")
    @classmethod
    def _tensor_names(cls, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        for name in tensors:
            check_name(name)
        return tensors

    @field_validator("splits")
    @classmethod
    def _split_names(cls, splits: dict[str, Split]) -> dict[str, Split]:
        for name in splits:
            check_split_name(name)
        return splits

    @property
    def href(self) -> str | None:
        """Path or URL that the collection was read from, or None."""
        return self._href

    @property
    def train(self) -> Split:
        """The split named train."""
        return self._split("train")

    @property
    def validation(self) -> Split:
        """The split named validation."""
        return self._split("validation")

    @property
    def test(self) -> Split:
        """The split named test."""
        return self._split("test")

    @property
    def metadata(self) -> Any:
        """The rows of all splits' catalogs, of a collection that `mlstac.open` read: a view, as ``ds.metadata`` is.

        A column ``split`` says of each row which split it is of, where the catalogs have none of that name. Each use
        opens the catalogs anew; keep it under a name.

        Raises
        ------
        InvalidArgumentError
            If the collection was not read by `mlstac.open`.
        """
        if self._read_rows is None:
            raise InvalidArgumentError(
                f"collection {self.id!r} was not opened with its catalogs; read it with mlstac.open(url)"
            )
        return self._read_rows(self)

    def to_pystac(self, *, alone: bool = False) -> pystac.Collection:
        """Give the collection as pystac has it, with its address where that is known.

        Parameters
        ----------
        alone : bool
            As a STAC API takes it in: hrefs of assets and links absolute, without links to root and children, which are
            files there.

        Raises
        ------
        MissingPackageError
            If pystac is not installed.
        """
        from mlstac.collection._pystac import make_pystac

        return make_pystac(self.to_dict(), self.href, alone=alone)

    def _split(self, name: str) -> Split:
        if name not in self.splits:
            has = ", ".join(self.splits) or "none yet"
            raise NotFoundError(f"collection {self.id!r} has no split {name!r}; it has {has}")
        return self.splits[name]

    def check_tasks(self) -> None:
        """Check that the tensors give what each task needs.

        Raises
        ------
        InvalidArgumentError
            With every problem and its mend. What is not known of a tensor yet is no problem.
        """
        problems = find_task_problems(self.tasks, self.tensors)
        if problems:
            raise InvalidArgumentError(f"collection {self.id!r}: {'; '.join(problems)}")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, href: str | os.PathLike[str] | None = None) -> Self:
        """Make a collection of a JSON object.

        Parameters
        ----------
        data : mapping
            The object; it is not changed, nor shared.
        href : str or path, optional
            Where it was read: named in errors, kept as `href`.

        Raises
        ------
        CollectionError
            If it is no collection of ML-STAC, or breaks the model; the message gives the place in the document.
        VersionError
            If it is of a major version that is not known.
        """
        name = os.fspath(href) if href is not None else "the collection"
        check_kind(data, name=name)
        check_json(data, name=name)
        document = copy.deepcopy(dict(data))
        try:
            collection = cls._from_object(fields_of_document(document))
        except ValidationError as error:
            raise CollectionError(f"{name}: {render_errors(error, locate=locate_in_document)}") from None
        for tensor in collection.tensors.values():
            drop_derived(tensor, collection.compression)
        collection._check_references(name)
        collection._href = os.fspath(href) if href is not None else None
        return collection

    @classmethod
    def from_json(cls, text: str | bytes, *, href: str | os.PathLike[str] | None = None) -> Self:
        """Make a collection of JSON text; raises as `from_dict`, and `CollectionError` for what is no JSON object."""
        name = os.fspath(href) if href is not None else "the collection"
        return cls.from_dict(read_json_object(text, name=name), href=href)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], **storage_options: Any) -> Self:
        """Read a collection from a path or URL; a folder means the collection.json in it.

        Parameters
        ----------
        path : str or path
            A local path, or a URL of any scheme that fsspec knows.
        **storage_options
            Passed to fsspec for a URL: credentials, headers.

        Raises
        ------
        MissingFileError
            If nothing is there.
        AccessError, UnavailableError
            If the server refuses or fails.
        CollectionError, VersionError
            As `from_dict`.
        """
        from mlstac.collection._files import read_collection_bytes  # the only I/O of the room, and it needs fsspec

        text, href = read_collection_bytes(path, storage_options)
        return cls.from_json(text, href=href)

    def to_dict(self) -> dict[str, Any]:
        """Give the STAC Collection as a JSON object, in a fixed order of keys."""
        body = self._to_object()
        body.pop("ml:splits", None)
        assets = body.pop("assets", {})
        tensors = {name: tensor.to_ml_object() for name, tensor in self.tensors.items()}
        described = {name: tensor.to_item_asset(self.compression) for name, tensor in self.tensors.items()}
        structural = structural_links(list(self.splits), self.license, self.title)
        out: dict[str, Any] = {"type": "Collection", "stac_version": STAC_VERSION, "stac_extensions": []}
        out |= {key: body.pop(key) for key in KEYS_BEFORE_SPLITS if key in body}
        out["description"] = self.description or self.title or self.id
        out["ml:tensors"] = tensors
        out |= {f"ml:{name}": to_plain(split) for name, split in self.splits.items()}
        others = body.pop("item_assets", {})
        links = merge_links(structural, body.pop("links", []))
        body.pop("stac_extensions", None)
        out |= body
        if described or others:
            out["item_assets"] = described | others
        out |= {"links": links, "assets": assets}
        out["stac_extensions"] = used_extensions(out, self.stac_extensions)
        return out

    def to_json(self) -> str:
        """Give the STAC Collection as JSON text: the same text for the same collection, always."""
        return write_json(self.to_dict(), name=f"collection {self.id!r}")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the collection to a local file, or into a folder as collection.json; all of it or nothing.

        Raises
        ------
        CollectionError
            If an unknown field holds what JSON has not.
        StorageError
            If the file cannot be written; what stood there before still stands.
        """
        from mlstac.collection._files import write_collection_text

        write_collection_text(path, self.to_json())

    _always: ClassVar[frozenset[str]] = frozenset({"id", "license", "extent", "placed", "tasks"})

    def _check_references(self, name: str) -> None:
        for split, part in self.splits.items():
            missing = [asset for asset in part.assets if asset not in self.assets]
            if missing:
                raise CollectionError(
                    f"{name}: ml:{split}.assets names {missing[0]!r}, which is not among assets; "
                    "write the collection again from its catalogs"
                )

    def __repr__(self) -> str:
        from mlstac.collection._picture import describe_text

        return describe_text(self)

    __str__ = __repr__

    def _repr_html_(self) -> str:
        from mlstac.collection._picture import describe_html

        return describe_html(self)
