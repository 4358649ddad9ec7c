"""What a collection says of one tensor of its samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from mlstac.collection._bands import Band, Nodata, Number, check_bands, find_band, nodata_word, parse_bands
from mlstac.collection._base import Model, in_document, shorten
from mlstac.collection._classes import Class, check_classes, parse_classes
from mlstac.collection._dtypes import DTYPES, check_dtype, stac_word
from mlstac.collection._links import SAFETENSORS
from mlstac.collection._statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Layout = Literal["stacked", "jagged", "keyed", "single"]
Role = Literal["data", "label"]

# a field of ml:tensors.<name>; the others are written into item_assets.<name>
ML_FIELDS = ("dtype", "shape", "dims", "role", "required", "media_type", "layout", "checksum_rows")
ML_PREFIX = "ml:tensors."


def _ml(name: str) -> Any:
    """Mark a field of ``ml:tensors``: its alias cannot be mistaken for a field of ``item_assets``."""
    return {"validation_alias": ML_PREFIX + name, "serialization_alias": ML_PREFIX + name}


class Tensor(Model):
    """One tensor that every sample has (or may have, where it is not required).

    In JSON its machine part is ``ml:tensors.<name>`` and what STAC has words for is ``item_assets.<name>``.
    """

    dtype: str | None = Field(default=None, **_ml("dtype"))
    """Element type, by the name that safetensors gives it: ``U16``."""

    shape: tuple[Annotated[int, Field(ge=0)] | None, ...] | None = Field(default=None, **_ml("shape"))
    """Shape of one sample, null where an axis varies between samples."""

    dims: tuple[str, ...] | None = Field(default=None, **_ml("dims"))
    """Names of the axes: ``time``, ``band``, ``y``, ``x``, or the author's own words."""

    role: Role = Field(default="data", **_ml("role"))
    """Whether a model is given the tensor (``data``) or should answer it (``label``)."""

    required: bool = Field(default=True, **_ml("required"))
    """Whether every sample has the tensor."""

    media_type: str | None = Field(default=None, pattern=r"^[\w.+-]+/[\w.+-]+$", **_ml("media_type"))
    """Set where the bytes are an encoded file or text: ``text/plain``, ``application/json``, ``image/png`` …"""

    layout: Layout | None = Field(default=None, **_ml("layout"))
    """How samples lie in a shard: ``stacked``, ``jagged``, ``keyed`` or ``single``."""

    checksum_rows: int = Field(default=1, ge=1, **_ml("checksum_rows"))
    """How many rows of a shard share one ``ml:checksum``: more than one where samples are under 4 KiB."""

    description: str | None = None
    """What the tensor holds."""

    bands: list[Band] = Field(default_factory=list)
    """The bands along axis ``band``, in order."""

    nodata: Nodata | None = None
    """The value that stands for no data."""

    scale: Number | None = Field(default=None, validation_alias="raster:scale", serialization_alias="raster:scale")
    """What to multiply stored values with to get the quantity."""

    offset: Number | None = Field(default=None, validation_alias="raster:offset", serialization_alias="raster:offset")
    """What to add after scaling."""

    unit: str | None = None
    """Unit of the quantity after scale and offset."""

    classes: list[Class] = Field(
        default_factory=list, validation_alias="classification:classes", serialization_alias="classification:classes"
    )
    """What the values of a label mean."""

    statistics: Statistics | None = None
    """Statistics over the train split, for a tensor without bands; bands have their own."""

    unknown: dict[str, Any] = Field(default_factory=dict, **_ml("unknown"))
    """Fields of ``ml:tensors.<name>`` that this version does not know; kept and written back."""

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            dtype: Any = None,
            shape: Sequence[int | None] | None = None,
            dims: str | Sequence[str] | None = None,
            role: Role = "data",
            required: bool = True,
            media_type: str | None = None,
            layout: Layout | None = None,
            checksum_rows: int = 1,
            description: str | None = None,
            bands: str | Sequence[str | Band | Mapping[str, Any]] = (),
            nodata: float | None = None,
            scale: float | None = None,
            offset: float | None = None,
            unit: str | None = None,
            classes: Mapping[int, str] | Sequence[str | Class | Mapping[str, Any]] = (),
            statistics: Statistics | Mapping[str, Any] | None = None,
            **unknown: Any,
        ) -> None: ...

    @field_validator("dtype", mode="before")
    @classmethod
    def _dtype_name(cls, value: Any, info: ValidationInfo) -> Any:
        if in_document(info) and not isinstance(value, str | None):
            raise ValueError(f"expected the name of a dtype, got {shorten(value)}; change it")
        if value is None or (in_document(info) and value in DTYPES):
            return value
        name = check_dtype(value)
        if in_document(info):
            raise ValueError(f"dtype {value!r} is not safetensors' name; write {name!r}")
        return name

    @field_validator("dims", mode="before")
    @classmethod
    def _split_dims(cls, value: Any, info: ValidationInfo) -> Any:
        return tuple(value.split()) if isinstance(value, str) and not in_document(info) else value

    @field_validator("dims")
    @classmethod
    def _distinct_dims(cls, dims: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if dims is not None and (len(set(dims)) < len(dims) or not all(dim.strip() for dim in dims)):
            raise ValueError(f"dims {' '.join(dims)!r} name an axis twice or not at all; give each axis its own word")
        return dims

    @field_validator("bands", mode="before")
    @classmethod
    def _parse_bands(cls, value: Any, info: ValidationInfo) -> Any:
        return value if in_document(info) else parse_bands(value)

    @field_validator("bands")
    @classmethod
    def _distinct_bands(cls, bands: list[Band]) -> list[Band]:
        return check_bands(bands)

    @field_validator("classes", mode="before")
    @classmethod
    def _parse_classes(cls, value: Any, info: ValidationInfo) -> Any:
        return value if in_document(info) else parse_classes(value)

    @field_validator("classes")
    @classmethod
    def _distinct_classes(cls, classes: list[Class]) -> list[Class]:
        return check_classes(classes)

    @model_validator(mode="after")
    def _axes_agree(self) -> Tensor:
        if self.shape is not None and self.dims is not None and len(self.shape) != len(self.dims):
            raise ValueError(
                f"dims {' '.join(self.dims)!r} name {len(self.dims)} axes and shape {self.shape} has "
                f"{len(self.shape)}; give one word an axis"
            )
        axis = self.band_axis
        if len(self.bands) > 1 and self.dims is not None and axis is None:
            raise ValueError(
                f"{len(self.bands)} bands are given and dims {' '.join(self.dims)!r} have no axis 'band'; "
                "name that axis 'band', or leave the bands out"
            )
        if self.bands and self.shape is not None and axis is not None:
            size = self.shape[axis]
            if size is not None and size != len(self.bands):
                raise ValueError(
                    f"{len(self.bands)} bands are given and axis {axis} ('band') of shape {self.shape} has {size}; "
                    "list the bands that the tensor has, in order"
                )
        return self

    @property
    def band_axis(self) -> int | None:
        """Position of axis ``band``, or None."""
        return self._axis("band")

    @property
    def y_axis(self) -> int | None:
        """Position of axis ``y`` (rows of the image, north to south as a rule), or None."""
        return self._axis("y")

    @property
    def x_axis(self) -> int | None:
        """Position of axis ``x`` (columns of the image), or None."""
        return self._axis("x")

    def _axis(self, name: str) -> int | None:
        return self.dims.index(name) if self.dims is not None and name in self.dims else None

    def band_index(self, name: str) -> int:
        """Find a band's position along axis ``band``.

        Parameters
        ----------
        name : str
            The band's own name, its common name (``red``), or another spelling (``B4`` for ``B04``) where it is unique.

        Raises
        ------
        NotFoundError
            If no band, or more than one, answers to the name; the message lists the bands.
        """
        return find_band(self.bands, name)

    def to_ml_object(self) -> dict[str, Any]:
        """Give the part that stands in ``ml:tensors.<name>``."""
        out: dict[str, Any] = {
            "dtype": self.dtype,
            "shape": None if self.shape is None else list(self.shape),
            "dims": None if self.dims is None else list(self.dims),
            "role": self.role,
            "required": self.required,
            "media_type": self.media_type,
            "layout": self.layout,
        }
        if self.checksum_rows != 1:
            out["checksum_rows"] = self.checksum_rows
        return {key: value for key, value in out.items() if value is not None} | self.unknown

    def to_item_asset(self, compression: str | None = None) -> dict[str, Any]:
        """Give the part that stands in ``item_assets.<name>``: STAC's words for the tensor.

        Parameters
        ----------
        compression : str, optional
            Of the shards; becomes the structured suffix of their media type.
        """
        known = {key: value for key, value in self._to_object().items() if not key.startswith(ML_PREFIX)}
        return self.derived_item_asset(compression) | known

    def derived_item_asset(self, compression: str | None = None) -> dict[str, Any]:
        """Give the fields of ``item_assets.<name>`` that follow from the machine part and the shards' compression."""
        kind = SAFETENSORS if compression is None else f"{SAFETENSORS}+{compression}"
        derived: dict[str, Any] = {"type": kind, "roles": [self.role]}
        if self.dtype is not None and self.media_type is None:
            derived["data_type"] = stac_word(self.dtype)
        return derived

    def _to_object(self) -> dict[str, Any]:
        out = super()._to_object()
        if self.nodata is not None:
            out["nodata"] = nodata_word(self.nodata)
        return out
