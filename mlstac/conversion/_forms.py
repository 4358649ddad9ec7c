"""What the images of a folder are to each other, by their names: pairs, classes, images alone, or none of these."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mlstac.conversion._folders import ImageFile, find_groups, has_labels
from mlstac.conversion._words import is_label, tokens
from mlstac.errors import InvalidArgumentError

_BAND: Final = re.compile(r"B(0?[1-9]|1[0-2]|8A)|[VH][VH]", re.IGNORECASE)
"""As Sentinel-2, Landsat and Sentinel-1 name their bands in the files of a product."""


def find_form(root: Path, images: Sequence[ImageFile], *, known: str) -> str:
    """The kind of source that a folder of images is.

    Parameters
    ----------
    root : Path
        The folder.
    images : sequence of ImageFile
        Those in it, one at the least.
    known : str
        The kinds that there are, for who has none of them.

    Raises
    ------
    InvalidArgumentError
        If labels are beside no image of theirs, or bands in files of their own; says what was seen.
    """
    labelled = has_labels(images)
    if labelled and any("target" in files and len(files) > 1 for files in find_groups(root, images).values()):
        return "pairs"
    bands = _bands_apart(images)
    if bands:
        raise InvalidArgumentError(
            f"{root} holds bands in files of their own ({_some(bands)}), and a sample is one image of all its bands: "
            "put those of a scene into one file, in another folder (gdalbuildvrt -separate scenes/1.vrt B02.tif "
            f"B03.tif …), or take each file as a sample with kind='images'. Known are: {known}"
        )
    if labelled:
        labels = [
            file.path for file in images if is_label(tokens(file.path.stem)[-1]) or any(map(is_label, file.folders))
        ]
        raise InvalidArgumentError(
            f"{root} holds {len(images):,} images; by their names {len(labels):,} are labels ({_some(labels)}), and "
            "none of them is beside an image of the same name. Name them alike, give a folder for each tensor (a dict, "
            f"from Python), or name what it is with kind=. Known are: {known}"
        )
    return "classes" if all(len(image.folders) == 1 for image in images) else "images"


def _bands_apart(images: Sequence[ImageFile]) -> list[Path]:
    """Files that are one band each, where that is most of them."""
    scenes: dict[tuple[Path, tuple[str, ...]], dict[str, Path]] = defaultdict(dict)
    for file in images:
        *scene, last = tokens(file.path.stem)
        if _BAND.fullmatch(last):
            scenes[file.path.parent, tuple(scene)][last.upper()] = file.path
    found = [path for scene in scenes.values() if len(scene) > 1 for path in scene.values()]
    return found if 2 * len(found) > len(images) else []


def _some(paths: Sequence[Path]) -> str:
    names = [path.name for path in paths[:3]]
    return ", ".join(names) + (" …" if len(paths) > 3 else "")
