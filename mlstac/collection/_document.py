"""A collection as a STAC document: how the model's fields lie in JSON, and what follows from them.

Pure: objects in, objects out. `_collection` joins it with the model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from mlstac.collection._base import Location
from mlstac.collection._links import JSON
from mlstac.collection._tensor import ML_FIELDS, ML_PREFIX

if TYPE_CHECKING:
    from mlstac.collection._tensor import Tensor

STAC_VERSION: Final = "1.1.0"
ML_STAC_VERSION: Final = "1.0.0"

SCHEMA_URI: Final = "https://ml-stac.github.io/ml-stac/v1.0.0/schema.json"
"""Where the JSON Schema of ML-STAC is to be served."""

SCHEMA_SERVED: Final = False
"""Whether it is served yet: a document may only name a schema that validators can fetch."""

_EXTENSIONS: Final = {
    "classification": "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
    "contacts": "https://stac-extensions.github.io/contacts/v0.1.1/schema.json",
    "eo": "https://stac-extensions.github.io/eo/v2.0.0/schema.json",
    "file": "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "ml-aoi": "https://stac-extensions.github.io/ml-aoi/v0.2.0/schema.json",
    "proj": "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "raster": "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
    "sci": "https://stac-extensions.github.io/scientific/v1.0.0/schema.json",
    "table": "https://stac-extensions.github.io/table/v1.2.0/schema.json",
    "version": "https://stac-extensions.github.io/version/v1.2.0/schema.json",
}
_EXTENSION_NAME = re.compile(r"^https?://[^/]+/(?P<name>.+)/v[^/]+/schema\.json#?$")

# licences of data whose text SPDX keeps under their id
_SPDX: Final = re.compile(
    r"^(CC0-1\.0|CC-BY(-NC)?(-SA|-ND)?-\d\.\d|ODbL-1\.0|ODC-By-1\.0|PDDL-1\.0|CDLA-(Permissive|Sharing)-\d\.\d"
    r"|etalab-2\.0|OGL-UK-3\.0|Apache-2\.0|MIT|BSD-3-Clause|GPL-3\.0-or-later)$"
)


# the order of keys in JSON; the splits follow, then what is left
KEYS_BEFORE_SPLITS: Final = (
    "id",
    "title",
    "description",
    "keywords",
    "license",
    "version",
    "providers",
    "contacts",
    "extent",
    "summaries",
    "sci:doi",
    "sci:citation",
    "ml:version",
    "ml:tasks",
    "ml:placed",
    "ml:tensors",
)


def fields_of_document(document: dict[str, Any]) -> dict[str, Any]:
    """Sort a document's keys into the model's fields, by their JSON names."""
    fields = {key: value for key, value in document.items() if key not in ("type", "stac_version")}
    fields["ml:tensors"], fields["item_assets"] = split_tensors(document)
    splits = {
        key.removeprefix("ml:"): fields.pop(key)
        for key, value in document.items()
        if key.startswith("ml:") and isinstance(value, dict) and "n_items" in value
    }
    # a key spelled like the model's own gathering of splits has no meaning in a document
    fields.pop("ml:splits", None)
    fields["ml:splits"] = splits
    fields.setdefault("ml:placed", True)
    if fields.get("description") == "":  # nobody writes that: it is read as what would be written in its place
        fields["description"] = fields.get("title") or fields.get("id")
    structural = structural_links(list(splits), str(document.get("license")), document.get("title"))
    fields["links"] = own_links(document.get("links", []), structural)
    fields["stac_extensions"] = own_extensions(document.get("stac_extensions", []))
    return fields


def structural_links(splits: Sequence[str], license_id: str, title: str | None) -> list[dict[str, Any]]:
    """Give the links that follow from the collection itself: root, the catalog of each split, the licence's text."""
    links = [{"rel": "root", "href": "./collection.json", "type": JSON} | ({"title": title} if title else {})]
    links += [{"rel": "child", "href": f"./{split}/catalog.json", "type": JSON, "title": split} for split in splits]
    if _SPDX.fullmatch(license_id):
        links.append({"rel": "license", "href": f"https://spdx.org/licenses/{license_id}.html", "type": "text/html"})
    return links


def merge_links(structural: list[dict[str, Any]], own: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join the structural links with the author's own, which win where only one can be; ``self`` is left out.

    A self link is true at one place only, and a dataset is copied.
    """
    single = {link["rel"] for link in own} & {"root", "license"}
    hrefs = {(link["rel"], link["href"]) for link in own}
    kept = [link for link in structural if link["rel"] not in single and (link["rel"], link["href"]) not in hrefs]
    return kept + [link for link in own if link["rel"] != "self"]


def own_links(links: Any, structural: list[dict[str, Any]]) -> Any:
    """Give the links of a document that are not structural; what is no list of links is left to the model."""
    if not isinstance(links, list):
        return links
    ours = {link["href"]: link for link in structural}
    return [link for link in links if not (isinstance(link, Mapping) and ours.get(str(link.get("href"))) == link)]


def used_extensions(document: Mapping[str, Any], own: Sequence[str]) -> list[str]:
    """List the extensions whose fields a document has, then those that the author declares."""
    prefixes = _prefixes([document.get(key) for key in ("assets", "item_assets", "summaries", "links")])
    prefixes |= {key.partition(":")[0] for key in document}
    declared = {_extension_name(uri) for uri in own}
    used = [uri for name, uri in _EXTENSIONS.items() if name in prefixes and _extension_name(uri) not in declared]
    served = [SCHEMA_URI] if SCHEMA_SERVED else []
    return served + used + [uri for uri in dict.fromkeys(own) if uri not in served]


def own_extensions(uris: Any) -> Any:
    """Give the extensions of a document that do not follow from its fields, each once."""
    if not isinstance(uris, list):
        return uris
    left_out = {*_EXTENSIONS.values(), SCHEMA_URI}
    own = []
    for uri in uris:
        if isinstance(uri, str):  # what is no text is refused where types are looked at
            if uri in left_out:
                continue
            left_out.add(uri)
        own.append(uri)
    return own


def _extension_name(uri: str) -> str:
    match = _EXTENSION_NAME.match(uri)
    return match["name"] if match else uri


def _prefixes(values: list[Any]) -> set[str]:
    found: set[str] = set()
    while values:
        value = values.pop()
        if isinstance(value, Mapping):
            found |= {key.partition(":")[0] for key in value if ":" in key}
            values.extend(value.values())
        elif isinstance(value, list):
            values.extend(value)
    return found


def split_tensors(document: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Join ``ml:tensors`` and ``item_assets`` by name.

    Returns
    -------
    tensors : dict of str to dict
        For `Tensor`, machine fields under `ML_PREFIX`.
    others : dict
        Entries of ``item_assets`` that describe no tensor.
    """
    machine, described = document.get("ml:tensors", {}), document.get("item_assets", {})
    if not isinstance(machine, Mapping) or not isinstance(described, Mapping):
        return machine, described  # the model says what is wrong
    tensors: dict[str, Any] = {}
    for name, fields in machine.items():
        asset = described.get(name, {})
        if not isinstance(fields, Mapping) or not isinstance(asset, Mapping):
            tensors[name] = fields if not isinstance(fields, Mapping) else asset
            continue
        joined = {key: value for key, value in asset.items() if not key.startswith(ML_PREFIX)}
        joined |= {ML_PREFIX + key: value for key, value in fields.items() if key in ML_FIELDS}
        unknown = {key: value for key, value in fields.items() if key not in ML_FIELDS}
        tensors[name] = joined | ({ML_PREFIX + "unknown": unknown} if unknown else {})
    return tensors, {name: asset for name, asset in described.items() if name not in machine}


def drop_derived(tensor: Tensor, compression: str | None) -> None:
    """Drop the fields of ``item_assets`` that say again what ``ml:tensors`` says; one that differs is kept."""
    extra = tensor.model_extra or {}
    for key, value in tensor.derived_item_asset(compression).items():
        if key in extra and extra[key] == value:
            del extra[key]


def locate_in_document(location: Location) -> Location:
    """Turn a place in the model into the place in the document, for error messages."""
    steps = list(location)
    if steps[:1] == ["ml:splits"]:
        return [f"ml:{steps[1]}", *steps[2:]] if len(steps) > 1 else steps
    if steps[:1] == ["ml:tensors"] and len(steps) > 2 and isinstance(steps[2], str):
        if steps[2].startswith(ML_PREFIX):
            return ["ml:tensors", steps[1], steps[2].removeprefix(ML_PREFIX), *steps[3:]]
        return ["item_assets", *steps[1:]]
    return steps
