"""Images below a folder, by the split and the folders that they lie in."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mlstac.conversion._datasets import is_dataset
from mlstac.conversion._raster import is_raster
from mlstac.conversion._words import read_folder


class ImageFile(NamedTuple):
    """One image below the folder."""

    path: Path
    split: str
    folders: tuple[str, ...]
    """Between the folder and the file, without that of the split."""


def find_images(root: Path) -> list[ImageFile]:
    """All images below a folder, in the order of their names; hidden ones and datasets are left out."""
    found = []
    for folder, names, files in os.walk(root, followlinks=True):
        below = Path(folder).relative_to(root).parts
        # links are followed, and none that leads back to a folder on the way here, or to one that holds such
        way = [Path(os.path.realpath(root.joinpath(*below[:count]))) for count in range(len(below) + 1)]
        above = {up for here in way for up in (here, *here.parents)}
        names[:] = sorted(
            name
            for name in names
            if not name.startswith(".")
            and not is_dataset(Path(folder) / name)
            and Path(os.path.realpath(Path(folder) / name)) not in above
        )
        said = [(part, *read_folder(part)) for part in below]
        split = next((word for _, word, _ in said if word is not None), "train")
        # of train_images is left what it says beside the split
        rest = tuple(kind or part for part, word, kind in said if kind is not None or word is None)
        found += [ImageFile(Path(folder) / name, split, rest) for name in sorted(files) if is_raster(Path(name))]
    shared = {file.folders[:1] for file in found}
    while len(shared) == 1 and shared != {()} and not _says_much(found):
        found = [file._replace(folders=file.folders[1:]) for file in found]
        shared = {file.folders[:1] for file in found}
    return found


def _says_much(files: Sequence[ImageFile]) -> bool:
    """Whether the one folder that holds everything is a class or a kind of image, and no mere wrapping."""
    return all(len(file.folders) == 1 for file in files)
