"""Images below a folder, by the split and the folders that they lie in."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mlstac.conversion._datasets import is_dataset
from mlstac.conversion._raster import is_raster
from mlstac.conversion._words import split_of


class ImageFile(NamedTuple):
    """One image below the folder."""

    path: Path
    split: str
    folders: tuple[str, ...]
    """Between the folder and the file, without that of the split."""


def find_images(root: Path) -> list[ImageFile]:
    """All images below a folder, in the order of their names; links to folders are not followed, datasets left out."""
    found = []
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if not name.startswith(".") and not is_dataset(Path(folder) / name))
        below = Path(folder).relative_to(root).parts
        split = next((word for part in below if (word := split_of(part))), "train")
        rest = tuple(part for part in below if split_of(part) is None)
        found += [ImageFile(Path(folder) / name, split, rest) for name in sorted(files) if is_raster(Path(name))]
    shared = {file.folders[:1] for file in found}
    while len(shared) == 1 and shared != {()} and not _says_much(found):
        found = [file._replace(folders=file.folders[1:]) for file in found]
        shared = {file.folders[:1] for file in found}
    return found


def _says_much(files: Sequence[ImageFile]) -> bool:
    """Whether the one folder that holds everything is a class or a kind of image, and no mere wrapping."""
    return all(len(file.folders) == 1 for file in files)
