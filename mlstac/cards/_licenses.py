"""Licences by the Hugging Face Hub's names, which are not SPDX's."""

import re
from typing import Final

from mlstac.collection import Collection

HUB_LICENSES: Final = frozenset(
    {
        "apache-2.0", "mit", "openrail", "bigscience-openrail-m", "creativeml-openrail-m",
        "bigscience-bloom-rail-1.0", "bigcode-openrail-m", "afl-3.0", "artistic-2.0", "bsl-1.0", "bsd",
        "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "c-uda", "cc", "cc0-1.0", "cc-by-2.0", "cc-by-2.5",
        "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0",
        "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0",
        "cc-by-nc-sa-4.0", "cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "wtfpl", "ecl-2.0",
        "epl-1.0", "epl-2.0", "etalab-2.0", "eupl-1.1", "eupl-1.2", "agpl-3.0", "gfdl", "gpl", "gpl-2.0", "gpl-3.0",
        "lgpl", "lgpl-2.1", "lgpl-3.0", "isc", "h-research", "intel-research", "lppl-1.3c", "ms-pl", "apple-ascl",
        "mpl-2.0", "odc-by", "odbl", "openrail++", "osl-3.0", "postgresql", "ofl-1.1", "ncsa", "unlicense", "zlib",
        "pddl", "lgpl-lr", "deepfloyd-if-license", "gemma", "unknown", "other"
    }
)  # fmt: skip
"""The Hub's closed list of licences for cards."""

# the Hub's names where they are not SPDX's in small letters
_RENAMED: Final = {
    "odbl-1.0": "odbl",
    "odc-by-1.0": "odc-by",
    "pddl-1.0": "pddl",
    "c-uda-1.0": "c-uda",
    "lgpllr": "lgpl-lr",
}
_GNU: Final = re.compile(r"((?:a|l)?gpl-\d\.\d)(?:-only|-or-later|\+)")
_DOCUMENTATION: Final = re.compile(r"gfdl-\d\.\d.*")
_NO_LICENSE_OF_SPDX: Final = {"other", "various", "proprietary", "unknown"}
# names of families and of no licence at all, which on the Hub say less than SPDX would
_NOT_SPDX: Final = {"cc", "bsd", "gpl", "lgpl", "gfdl", "unknown", "other"}


def license_fields(collection: Collection) -> dict[str, str]:
    """Give the licence as the Hub's front matter has it.

    Returns
    -------
    dict
        ``license`` from the Hub's list; or ``license: other`` with ``license_name`` and ``license_link``, as far as the
        collection knows them.
    """
    name = hub_license(collection.license)
    if name is not None:
        return {"license": name}
    fields = {"license": "other"}
    spdx = collection.license if collection.license.lower() not in _NO_LICENSE_OF_SPDX else None
    link = license_link(collection)
    if spdx is not None:
        fields["license_name"] = spdx.lower()
    elif link is not None:
        fields["license_name"] = f"{re.sub(r'[^a-z0-9.]+', '-', collection.id.lower()).strip('-') or 'own'}-license"
    return fields | ({"license_link": link} if link is not None else {})


def license_link(collection: Collection) -> str | None:
    """Where the licence's text is: the author's own link, else SPDX's page; None where neither is known."""
    own = next((link.href for link in collection.links if link.rel == "license"), None)
    if own is not None or collection.license.lower() in _NO_LICENSE_OF_SPDX:
        return own
    return f"https://spdx.org/licenses/{collection.license}.html"


def hub_license(spdx: str) -> str | None:
    """Give the Hub's name of an SPDX licence, or None where the Hub has none."""
    name = spdx.lower()
    if gnu := _GNU.fullmatch(name):
        name = gnu[1]
    elif _DOCUMENTATION.fullmatch(name):
        name = "gfdl"
    else:
        name = _RENAMED.get(name, name)
        if name in _NOT_SPDX:
            return None
    return name if name in HUB_LICENSES else None
