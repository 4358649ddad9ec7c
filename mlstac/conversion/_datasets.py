"""Folders that are datasets already: their pictures are of a card, and no samples."""

import json
from pathlib import Path


def is_dataset(folder: Path) -> bool:
    """Whether a folder holds a dataset of mlstac's own format: another's STAC Collection may stand beside images."""
    file = folder / "collection.json"
    if not file.is_file():
        return False
    try:
        document = json.loads(file.read_bytes())
    except ValueError:  # damaged: nobody can say that its pictures are samples
        return True
    return isinstance(document, dict) and "ml:version" in document


def first_dataset(root: Path) -> Path | None:
    """The first dataset below a folder, in the order of names."""
    return next((file.parent for file in sorted(root.rglob("collection.json")) if is_dataset(file.parent)), None)
