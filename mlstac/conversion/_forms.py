"""What the images of a folder are to each other, by their names: pairs, classes, images alone, or none of these."""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mlstac.conversion._groups import are_pairs, label_files, read_names
from mlstac.conversion._images import ImageFile
from mlstac.conversion._raster import count_bands
from mlstac.conversion._words import is_image, is_label, tokens
from mlstac.errors import InvalidArgumentError

_BAND: Final = re.compile(r"B(0?[1-9]|1[0-2]|8A)|[VH][VH]", re.IGNORECASE)
"""As Sentinel-2, Landsat and Sentinel-1 name their bands in the files of a product."""


def find_form(root: Path, images: Sequence[ImageFile]) -> str:
    """The kind of source that a folder of images is.

    Parameters
    ----------
    root : Path
        The folder.
    images : sequence of ImageFile
        Those in it, one at the least.

    Raises
    ------
    InvalidArgumentError
        If labels are beside no image of theirs, or may be images of a class, or bands in files of their own, or some
        images in folders as those of classes are and some not, or in folders within folders; says what was seen.
    """
    if are_pairs(read_names(root, images)):
        _check_label_folders(root, images)
        return "pairs"
    bands = _bands_apart(images)
    if bands:
        raise InvalidArgumentError(
            f"{root} holds bands in files of their own ({_some(bands)}), and a sample is one image of all its bands: "
            "put those of a scene into one file, in another folder (gdalbuildvrt -separate scenes/1.vrt B02.tif "
            "B03.tif …), or take each file as a sample with kind='images'"
        )
    labels = label_files(images)
    if labels:
        raise InvalidArgumentError(
            f"{root} holds {len(images):,} images; by their names {len(labels):,} are labels ({_some(labels)}), and "
            "none of them is beside an image of the same name. Name them alike, give a folder for each tensor (a dict, "
            "from Python), or say with kind='images' that each file is a sample, with kind='classes' that each folder "
            "is a class"
        )
    return _kind_without_labels(root, images)


def _check_label_folders(root: Path, images: Sequence[ImageFile]) -> None:
    """Raise InvalidArgumentError if folders of labels may be classes: no other is of images, and they have bands.

    ``clutter/001.tif`` and ``target/001.tif`` are chips of two classes, though a target may be a label.
    """
    first = next((file for file in images if any(map(is_label, file.folders))), None)
    sure = any(not file.folders or any(map(is_image, file.folders)) for file in images)
    if first is None or sure or first.path in label_files([first._replace(folders=())]):
        return
    bands = count_bands(first.path)
    if bands > 1:
        raise InvalidArgumentError(
            f"{root} holds the folders {_listed(sorted({file.folders[0] for file in images}))}; "
            f"{first.path.relative_to(root).as_posix()} may be a label by name, and has {bands} bands, where labels "
            "have one: say with kind='classes' that each folder is a class, or with kind='pairs' that these are the "
            "labels of the other images"
        )


def _kind_without_labels(root: Path, images: Sequence[ImageFile]) -> str:
    """Whether each folder is a class, or the images are alone."""
    inside = [file for file in images if file.folders]
    folders = sorted({file.folders[0] for file in inside})
    mend = "say with kind='classes' that each folder is a class, or with kind='images' that there are no labels"
    if len(folders) < 2 or 2 * len(inside) < len(images):
        return "images"
    if len(inside) < len(images):
        lone = [file.path for file in images if not file.folders]
        raise InvalidArgumentError(
            f"{root} holds {len(inside):,} images in folders as those of classes are ({_listed(folders)}), and "
            f"{len(lone):,} that are in none ({_some(lone)}): take those away if each folder is a class, or "
            "say with kind='images' that there are no labels"
        )
    deep = sorted({"/".join(file.folders) for file in inside if len(file.folders) > 1})
    if deep:
        raise InvalidArgumentError(
            f"{root} holds images in folders within folders ({_listed(deep)}), which may be classes or not: say with "
            f"kind='classes' that the first of them are ({_listed(folders)}), or with kind='images' that there are no "
            "labels"
        )
    doubtful = [folder for folder in folders if any(map(is_label, tokens(folder)))]
    if doubtful and len(doubtful) < len(folders):
        raise InvalidArgumentError(
            f"{root} holds the folders {_listed(folders)}, of which {_listed(doubtful)} may be labels by name: give a "
            f"folder for each tensor (a dict, from Python), or {mend}"
        )
    return "classes"


def _bands_apart(images: Sequence[ImageFile]) -> list[Path]:
    """Files that are one band each, where that is most of them."""
    scenes: dict[tuple[Path, tuple[str, ...]], dict[str, Path]] = defaultdict(dict)
    for file in images:
        *scene, last = tokens(file.path.stem)
        if _BAND.fullmatch(last):
            scenes[file.path.parent, tuple(scene)][last.upper()] = file.path
    found = [path for scene in scenes.values() if len(scene) > 1 for path in scene.values()]
    return found if 2 * len(found) > len(images) else []


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" … ({len(names):,} in all)" if len(names) > 5 else "")


def _some(paths: Sequence[Path]) -> str:
    names = [path.name for path in paths[:3]]
    return ", ".join(names) + (" …" if len(paths) > 3 else "")
