"""JSON Schemas of STAC and its extensions, from the folder `shared` beside the repository; nothing is fetched."""

import json
import shutil

import pystac
from pystac.stac_io import DefaultStacIO

CLASSIFICATION = "stac-extensions.github.io/classification/{}/schema.json"


def copy_schemas(shared, folder):
    """The schemas in a folder laid out by host and path, with version 2.0.0 of classification made of 1.1.0.

    Version 2 asks of a class for its name rather than its description; `shared` has no copy of it.
    """
    for host in ("schemas.stacspec.org", "stac-extensions.github.io", "geojson.org", "proj.org"):
        shutil.copytree(shared / "stac-schemas" / host, folder / host)
    text = (folder / CLASSIFICATION.format("v1.1.0")).read_text()
    schema = json.loads(text.replace("v1.1.0", "v2.0.0"))
    required = schema["definitions"]["class_object"]["required"]
    required[required.index("description")] = "name"
    target = folder / CLASSIFICATION.format("v2.0.0")
    target.parent.mkdir()
    target.write_text(json.dumps(schema))
    return folder


class OfflineIO(DefaultStacIO):
    """Reads for pystac: URLs of schemas from a folder, and everything else as it does."""

    folder = None

    def read_text_from_href(self, href):
        scheme, _, rest = href.partition("://")
        if scheme in ("http", "https"):
            return (type(self).folder / rest.split("#")[0]).read_text()
        return super().read_text_from_href(href)


def use_offline(monkeypatch, folder):
    """Have pystac read its schemas from a folder for the length of a test."""
    monkeypatch.setattr(OfflineIO, "folder", folder)
    monkeypatch.setattr(pystac.StacIO, "_default_io", OfflineIO)
