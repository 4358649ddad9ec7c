"""The same description in Croissant's words (JSON-LD), with GeoCroissant's for place, grid and bands."""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from mlstac.cards._licenses import license_link
from mlstac.collection import Band, Collection, Contact, Tensor, say_shape, split_words

CONFORMS_TO: Final = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/geo/1.0")

_CONTEXT: Final = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "geocr": "http://mlcommons.org/croissant/geo/",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
    "wd": "https://www.wikidata.org/wiki/",
}
_PARQUET: Final = "application/x-parquet"
_SAFETENSORS: Final = "application/vnd.safetensors"
_ADDRESS: Final = (
    ("href", "href", "sc:Text", "The shard, relative to the split's folder."),
    ("offset", "ml:offset", "sc:Integer", "First byte of the tensor in the shard."),
    ("length", "ml:length", "sc:Integer", "Number of stored bytes."),
)


class Grid(NamedTuple):
    """What the rows say of the samples' grids, as far as all agree; None where they do not, or do not say."""

    crs: str | None = None
    """Code of the coordinate reference system: ``EPSG:32630``."""
    pixel_m: float | None = None
    """Size of a pixel on the ground, in metres."""


def make_croissant(collection: Collection, *, grid: Grid | None = None) -> dict[str, Any]:
    """Describe a dataset in Croissant 1.1 with the terms of GeoCroissant 1.0.

    Its files are named relative to the document, which belongs into the dataset's folder. There is a record set a split
    that has samples: a record is a sample's row of the catalog, with the address of each tensor.

    Parameters
    ----------
    collection : Collection
        With its splits and the assets of their catalogs.
    grid : Grid, optional
        What the catalogs' rows have in common.

    Returns
    -------
    dict
        JSON-LD.

    References
    ----------
    Croissant format specification 1.1; GeoCroissant format specification 1.0.
    """
    grid = grid or Grid()
    filled = {name: split.assets for name, split in collection.splits.items() if split.n_items and split.assets}
    start, end = collection.extent.interval[0]
    link = license_link(collection)
    document: dict[str, Any] = {
        "@context": dict(_CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": list(CONFORMS_TO),
        "name": collection.title or collection.id,
        "alternateName": collection.id if collection.title else None,
        "identifier": f"https://doi.org/{collection.doi}" if collection.doi else None,
        "description": collection.description or collection.title or collection.id,
        "license": link or (collection.license if collection.license != "other" else None),
        "version": collection.version,
        "keywords": [*collection.tasks, *collection.keywords] or None,
        "citeAs": collection.citation,
        "creator": [*_people(collection), *_organisations(collection, "producer")] or None,
        "publisher": _organisations(collection, "host") or None,
        "isBasedOn": collection.raw_data_url,
        "spatialCoverage": _coverage(collection.extent.bbox[0]) if collection.placed else None,
        "temporalCoverage": f"{_time(start)}/{_time(end)}" if start or end else None,
        # footprints are in degrees of WGS 84, whatever the samples' own grids
        "geocr:coordinateReferenceSystem": grid.crs or ("OGC:CRS84" if collection.placed else None),
        "geocr:spatialResolution": _quantity(grid.pixel_m, "m"),
        "geocr:samplingStrategy": collection.split_strategy if isinstance(collection.split_strategy, str) else None,
        "distribution": [*_parts(collection, filled), *_shards(filled)],
        "recordSet": [_split_records(filled), *(_records(collection, name) for name in filled)] if filled else None,
    }
    return {key: value for key, value in document.items() if value is not None}


def _people(collection: Collection) -> list[dict[str, Any]]:
    return [_person(contact) for contact in collection.contacts if "author" in contact.roles or not contact.roles]


def _person(contact: Contact) -> dict[str, Any]:
    person: dict[str, Any] = {"@type": "sc:Person", "name": contact.name}
    if contact.emails:
        person["email"] = contact.emails[0].value
    if contact.identifier and contact.identifier.startswith("http"):
        person["url"] = contact.identifier
    return person


def _organisations(collection: Collection, role: str) -> list[dict[str, Any]]:
    return [
        {"@type": "sc:Organization", "name": provider.name} | ({"url": provider.url} if provider.url else {})
        for provider in collection.providers
        if role in provider.roles
    ]


def _coverage(box: list[float]) -> dict[str, Any]:
    half = len(box) // 2
    west, south, east, north = box[0], box[1], box[half], box[half + 1]
    # schema.org: the lower corner, then the upper one, latitude first
    return {"@type": "sc:Place", "geo": {"@type": "sc:GeoShape", "box": f"{south} {west} {north} {east}"}}


def _time(time: Any) -> str:
    return time.isoformat().replace("+00:00", "Z") if time else ".."


def _quantity(value: float | None, unit: str) -> dict[str, Any] | None:
    return None if value is None else {"@type": "sc:QuantitativeValue", "value": value, "unitText": unit}


def _parts(collection: Collection, filled: Mapping[str, list[str]]) -> Iterator[dict[str, Any]]:
    """The parts of the catalogs, and where a split has several, the set of them that its records come from."""
    for split, names in filled.items():
        for name in names:
            asset = collection.assets[name]
            path = asset.href.removeprefix("./")
            file: dict[str, Any] = {
                "@type": "cr:FileObject",
                "@id": name,
                "name": path,
                "contentUrl": path,
                "encodingFormat": _PARQUET,
            }
            if asset.size is not None:
                file["contentSize"] = f"{asset.size} B"
            if asset.checksum is not None and asset.checksum.startswith("1220"):  # a multihash of sha256
                file["sha256"] = asset.checksum.removeprefix("1220")
            yield file
        if len(names) > 1:
            yield {
                "@type": "cr:FileSet",
                "@id": f"{split}-catalog",
                "name": f"catalog of {split}",
                "encodingFormat": _PARQUET,
                # by name: an older catalog that lies beside them is no part of it
                "includes": [collection.assets[name].href.removeprefix("./") for name in names],
            }


def _shards(filled: Mapping[str, list[str]]) -> Iterator[dict[str, Any]]:
    for split in filled:
        yield {
            "@type": "cr:FileSet",
            "@id": f"{split}-shards",
            "name": f"shards of {split}",
            "description": "The samples' bytes; the catalog has the address of each tensor.",
            "encodingFormat": _SAFETENSORS,
            "includes": [f"{split}/*.safetensors*", f"{split}/*/*.safetensors*"],  # plain and compressed
        }


def _split_records(filled: Mapping[str, list[str]]) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [
            {"@type": "cr:Field", "@id": "splits/name", "name": "name", "dataType": "sc:Text"},
            {"@type": "cr:Field", "@id": "splits/url", "name": "url", "dataType": ["sc:URL", "wd:Q3985153"]},
        ],
        "data": [
            {"splits/name": split} | ({"splits/url": words.croissant} if (words := split_words(split)) else {})
            for split in filled
        ],
    }


def _records(collection: Collection, split: str) -> dict[str, Any]:
    names = collection.splits[split].assets
    source = {"fileObject": {"@id": names[0]}} if len(names) == 1 else {"fileSet": {"@id": f"{split}-catalog"}}
    described = collection.splits[split].n_items
    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "name": split,
        "description": f"The {described:,} samples of {split}: where the bytes of each tensor are.",
        "key": {"@id": f"{split}/id"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{split}/id",
                "name": "id",
                "description": "The sample's name, unique in the dataset.",
                "dataType": "sc:Text",
                "source": {**source, "extract": {"column": "id"}},
            },
            *(
                _field(f"{split}/{word}", name, tensor, source)
                for word, (name, tensor) in zip(_ids(collection.tensors), collection.tensors.items(), strict=True)
            ),
        ],
    }


def _ids(names: Iterable[str]) -> Iterator[str]:
    """Names as parts of an ``@id``, which has neither blanks nor what ends a path; ``id`` is the row's own."""
    taken = {"id"}
    for name in names:
        plain = re.sub(r"[^\w.-]+", "_", name)
        word = next(
            word for word in itertools.chain([plain], (f"{plain}-{n}" for n in itertools.count(2))) if word not in taken
        )
        taken.add(word)
        yield word


def _field(here: str, name: str, tensor: Tensor, source: dict[str, Any]) -> dict[str, Any]:
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": here,
        "name": name,
        "description": _say_tensor(tensor),
        "subField": [
            {
                "@type": "cr:Field",
                "@id": f"{here}/{word}",
                "name": word,
                "description": meaning,
                "dataType": kind,
                "source": {
                    **source,
                    "extract": {"column": "assets"},
                    "transform": {"jsonPath": f"$.{_quote(name)}.{_quote(key)}"},
                },
            }
            for word, key, kind, meaning in _ADDRESS
        ],
    }
    if tensor.bands:
        field["geocr:bandConfiguration"] = {
            "@type": "geocr:BandConfiguration",
            "geocr:totalBands": len(tensor.bands),
            "geocr:bandNameList": [band.name or str(number) for number, band in enumerate(tensor.bands)],
        }
    spectral = [_spectral(band) for band in tensor.bands if band.center_wavelength is not None]
    if spectral:
        field["geocr:spectralBandMetadata"] = spectral
    return field


def _say_tensor(tensor: Tensor) -> str:
    """A tensor in one sentence; what the values of a label mean stands in it, for Croissant has no word for classes."""
    kind = tensor.media_type or tensor.dtype or "unknown"
    axes = f", axes {' '.join(tensor.dims)}" if tensor.dims else ""
    classes = ", ".join(f"{item.value} {item.label}" for item in tensor.classes)
    said = f"{tensor.role}: {kind}, shape {say_shape(tensor.shape)}{axes}"
    return ". ".join([said, *([f"Classes: {classes}"] if classes else []), *filter(None, [tensor.description])])


def _spectral(band: Band) -> dict[str, Any]:
    """Wavelengths in nanometres, as GeoCroissant's examples have them; the collection's are micrometres."""
    entry: dict[str, Any] = {"@type": "geocr:SpectralBand", "name": band.name or band.common_name or "band"}
    entry["geocr:centerWavelength"] = _quantity(_nanometres(band.center_wavelength), "nm")
    if band.full_width_half_max is not None:
        entry["geocr:bandwidth"] = _quantity(_nanometres(band.full_width_half_max), "nm")
    return entry


def _nanometres(micrometres: float | None) -> float | None:
    return None if micrometres is None else round(micrometres * 1000, 6)


def _quote(name: str) -> str:
    """A name as a step of a JSON path."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        return name
    mark = '"' if "'" in name else "'"
    return f"{mark}{name.replace(mark, chr(92) + mark)}{mark}"
