"""Fields of samples of other libraries, as tensors, texts, encoded files, and columns."""

import json
from typing import Any

import numpy as np

from mlstac.conversion._raster import Raster, mask_array, read_raster
from mlstac.conversion._words import is_label_field
from mlstac.errors import FormatError
from mlstac.sample import RESERVED_PREFIXES, RESERVED_PROPERTIES, infer_media_type

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PLACE = ("crs", "transform", "geotransform", "geometry", "datetime", "start_datetime", "end_datetime")
_PICKLED = (".pkl", ".pickle", ".pth", ".pt", ".pyd")


class Fields:
    """What is gathered of one sample, field by field."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tensors: dict[str, Any] = {}
        self.rasters: dict[str, Raster] = {}
        self.properties: dict[str, Any] = {}
        self.place: dict[str, Any] = {}

    def add(self, name: str, value: Any) -> None:
        """Take up a tensor, a text or an encoded file."""
        if name in self.tensors:
            raise FormatError(f"{self.name} has two fields {name!r}; rename one of them")
        if isinstance(value, bytes):
            value = self._bytes(name, value)
        self.tensors[name] = value

    def tell(self, name: str, value: Any) -> None:
        """Take up a column of the catalog; one that no column can hold becomes a JSON field."""
        if value is None:
            return
        if isinstance(value, dict) or (
            isinstance(value, list) and any(isinstance(item, dict | list) for item in value)
        ):
            self.add(name, value if isinstance(value, dict) else {"value": value})
            return
        plain = "".join(char if char.isprintable() else "_" for char in name)[:200] or "field"
        if plain in RESERVED_PROPERTIES or plain.startswith(RESERVED_PREFIXES):
            plain = f"source_{plain.replace(':', '_')}"
        self.properties[plain] = value

    def read_words(self, words: dict[str, Any]) -> None:
        """Take up a JSON object: place and time by the names that a Sample has for them, the rest as columns."""
        words = dict(words)
        grid = "transform" if words.get("transform") is not None else "geotransform"
        if words.get("crs") is not None and isinstance(words.get(grid), list):
            self.place["crs"], self.place[grid] = words.pop("crs"), words.pop(grid)
        if isinstance(words.get("geometry"), dict):
            self.place["geometry"] = words.pop("geometry")
        if words.get("start_datetime") and words.get("end_datetime"):
            self.place |= {key: words.pop(key) for key in ("start_datetime", "end_datetime")}
        elif isinstance(words.get("datetime"), str) and words["datetime"]:
            self.place["datetime"] = words.pop("datetime")
        for name, value in words.items():
            self.tell(name, value)

    def _bytes(self, name: str, value: bytes) -> Any:
        """An image with a place becomes a tensor; what is else encoded stays as it is."""
        if value[:4] in _TIFF:
            raster = read_raster(value, name=f"{name} of {self.name}")
            self.rasters[name] = raster
            return mask_array(raster) if is_label_field(name) else raster.array
        return value if infer_media_type(value) is not None else np.frombuffer(value, np.uint8)


def refuse_pickle(what: str) -> FormatError:
    """An error for what only pickle can read, which runs whatever its author put into it."""
    return FormatError(
        f"{what} is pickled, and reading a pickle runs code of its author's; "
        "write it as arrays, text or JSON with the library that made it, and convert that"
    )


def is_pickled(suffix: str) -> bool:
    """Whether files of a suffix are pickles."""
    return suffix.lower() in _PICKLED


def parse_json(data: bytes, *, what: str) -> Any:
    """Parse JSON.

    Raises
    ------
    FormatError
        If it is none.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{what} is not JSON: {str(error)[:80]}") from None
