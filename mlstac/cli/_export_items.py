"""`mlstac export-items`: the samples of a dataset as STAC Items that stand alone, for an API to take in."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import xxhash

import mlstac
from mlstac.cli._console import tell
from mlstac.cli._misuse import MisuseError
from mlstac.cli._options import read_options
from mlstac.cli._words import say_count

_NAME_CHARS = 200


def export_items(source: str, out: Path | None, *, split: str, query: dict[str, Any], options: list[str]) -> None:
    """Write Items as lines of JSON to stdout or a file, or as a folder: collection.json, and a file an Item."""
    store = read_options(options) or None
    collection = mlstac.open(source, storage_options=store)
    dataset = mlstac.load(collection, split=split, framework="numpy", storage_options=store)
    asked = {name: value for name, value in query.items() if value is not None}
    if asked:
        dataset = dataset.filter(**asked)
    documents = _shown(dataset.item_documents(), len(dataset))
    if out is None:
        _write_lines(documents, sys.stdout)
        return
    if out.suffix.lower() in (".ndjson", ".jsonl"):
        out.parent.mkdir(parents=True, exist_ok=True)
        beside = out.with_name(out.name + ".part")
        with beside.open("w", encoding="utf-8", newline="\n") as file:
            _write_lines(documents, file)
        beside.replace(out)
    elif out.suffix:
        raise MisuseError(f"{out.name!r} is no place for Items; end it in .ndjson, or give a folder")
    else:
        _write_folder(documents, out, collection)
    tell(f"wrote {say_count(len(dataset), 'Item')} to {out}")


def list_lines(source: str, *, collections: list[str] | None, query: dict[str, Any], options: list[str]) -> None:
    """Print Items of an API or a catalog, one a line.

    Raises
    ------
    MisuseError
        For an option other than ``headers``: Items are read over HTTP, or of files here.
    """
    given = read_options(options)
    headers = given.pop("headers", {})
    if given or not isinstance(headers, dict):
        wrong = f"{', '.join(given)} is none" if given else "headers needs the name of one"
        raise MisuseError(f"the options of list-items are headers, as in -O headers.X-Key=VALUE; {wrong}")
    said = {name: str(value) for name, value in headers.items()}
    found = mlstac.list_items(source, collections=collections, headers=said or None, **query)
    _write_lines((item.to_dict(transform_hrefs=False) for item in found), sys.stdout)


def _write_lines(documents: Iterable[dict[str, Any]], file: Any) -> None:
    for document in documents:
        file.write(json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n")


def _write_folder(documents: Iterable[dict[str, Any]], out: Path, collection: mlstac.Collection) -> None:
    folder = out / "items"
    folder.mkdir(parents=True, exist_ok=True)
    for document in documents:
        text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2)
        (folder / file_name(document["id"])).write_text(text + "\n", encoding="utf-8")
    text = json.dumps(
        collection.to_pystac(alone=True).to_dict(include_self_link=False, transform_hrefs=False), indent=2
    )
    (out / "collection.json").write_text(text + "\n", encoding="utf-8")


def file_name(item_id: str) -> str:
    """A name that every file system takes: the id, percent-encoded, and cut with a hash where it is long."""
    name = quote(item_id, safe="")
    if name.startswith("."):
        name = "%2E" + name[1:]
    if len(name) > _NAME_CHARS:
        name = f"{name[:_NAME_CHARS]}-{xxhash.xxh3_64_hexdigest(item_id.encode())}"
    return name + ".json"


def read_bbox(text: str | None) -> tuple[float, float, float, float] | None:
    """A box as it stands on a command line: ``west,south,east,north``."""
    if text is None:
        return None
    try:
        west, south, east, north = map(float, text.split(","))
        return west, south, east, north
    except ValueError:  # no number, or not four
        raise MisuseError(f"--bbox {text!r} is no west,south,east,north in degrees, such as -10,35,5,45") from None


def _shown(documents: Iterator[dict[str, Any]], count: int) -> Iterator[dict[str, Any]]:
    """The same, with a bar on stderr where somebody looks, and no Items on the same screen."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        return documents
    from tqdm import tqdm

    return iter(tqdm(documents, total=count, unit=" Items", dynamic_ncols=True))
