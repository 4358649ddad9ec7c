"""Images below a folder, by the split and the folders that they lie in."""

import heapq
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
    for below, files in sorted(_folders(root).items()):
        said = [(part, *read_folder(part)) for part in below]
        split = next((word for _, word, _ in said if word is not None), "train")
        # of train_images is left what it says beside the split
        rest = tuple(kind or part for part, word, kind in said if kind is not None or word is None)
        folder = root.joinpath(*below)
        found += [ImageFile(folder / name, split, rest) for name in sorted(files) if is_raster(Path(name))]
    shared = {file.folders[:1] for file in found}
    while len(shared) == 1 and shared != {()} and not _says_much(found):
        found = [file._replace(folders=file.folders[1:]) for file in found]
        shared = {file.folders[:1] for file in found}
    return found


def _folders(root: Path) -> dict[tuple[str, ...], list[str]]:
    """The names of the files in a folder and in each below it, by the way there; links are followed.

    Each folder is found once: by its own way where it has one, or else by that with the fewest links; of those, links
    to what lies furthest out come first. None is followed that leads to a folder around one on its way.
    """
    found = {}
    seen: set[Path] = set()
    real = Path(os.path.realpath(root))
    links = [(0, 0, tuple[str, ...](), real, frozenset(real.parents))]
    while links:
        count, _, way, real, around = heapq.heappop(links)
        if real in seen:
            continue
        start = root.joinpath(*way)
        for folder, names, files in os.walk(start):  # which goes into no link below
            inside = Path(folder).relative_to(start).parts
            below, here = (*way, *inside), real.joinpath(*inside)
            seen.add(here)
            found[below] = files
            names[:] = [name for name in names if not name.startswith(".") and not is_dataset(Path(folder, name))]
            for name in names:
                if os.path.islink(os.path.join(folder, name)):
                    to = Path(os.path.realpath(os.path.join(folder, name)))
                    if to not in around:
                        link = (count + 1, len(to.parts), (*below, name), to, around.union(to.parents))
                        heapq.heappush(links, link)
            names[:] = [name for name in names if here / name not in seen]
    return found


def _says_much(files: Sequence[ImageFile]) -> bool:
    """Whether the one folder that holds everything is a class or a kind of image, and no mere wrapping."""
    return all(len(file.folders) == 1 for file in files)
