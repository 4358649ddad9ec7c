"""Folders of images: one a class, images beside their masks, or images alone."""

import os
from collections import Counter, defaultdict
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mlstac.collection import Tensor
from mlstac.conversion._groups import Found, grouped, read_names
from mlstac.conversion._images import ImageFile, find_images
from mlstac.conversion._plan import Plan, Samples
from mlstac.conversion._raster import Raster, image_tensor, mask_array, mask_tensor, place, read_raster
from mlstac.conversion._words import is_label
from mlstac.errors import FormatError
from mlstac.sample import Sample


class Entry(NamedTuple):
    """One sample, not yet read."""

    id: str
    files: dict[str, Path]
    """By tensor."""
    label: str | None = None
    """The class that its folder stands for."""


def plan_classes(root: Path) -> Plan:
    """A folder a class, EuroSAT's form; what lies deeper is of the class of its first folder.

    Raises
    ------
    FormatError
        If images lie beside the folders of classes.
    """
    images = find_images(root)
    wrong = [file.path for file in images if not file.folders]
    if wrong or not images:
        raise FormatError(
            f"{root} is no folder of class folders: {wrong[0] if wrong else 'no image'} lies in "
            f"{'no folder of a class' if wrong else 'it'}; expected CLASS/image.tif or SPLIT/CLASS/image.tif"
        )
    classes = sorted({file.folders[0] for file in images})
    numbers = {name: number for number, name in enumerate(classes)}
    splits: dict[str, list[Entry]] = defaultdict(list)
    for file, id_ in zip(images, _ids_of_images(images), strict=True):
        splits[file.split].append(Entry(id_, {"input": file.path}, file.folders[0]))
    first = read_raster(images[0].path, name=str(images[0].path))
    tensors = {
        "input": image_tensor(first),
        "target": Tensor(role="label", dtype="I64", classes=dict(enumerate(classes))),
    }
    return Plan(
        "classes",
        {split: _reading(entries, root, {}, numbers) for split, entries in splits.items()},
        tensors,
        {"tasks": ["scene-classification"]},
        image="input",
        label="target",
        numbers=numbers,
    )


def plan_images(root: Path) -> Plan:
    """Images without labels.

    Raises
    ------
    FormatError
        If there are none.
    """
    images = find_images(root)
    if not images:
        raise FormatError(f"{root} has no images; expected .tif, .jp2, .png or .jpg files")
    splits: dict[str, list[Entry]] = defaultdict(list)
    for file, id_ in zip(images, _ids_of_images(images), strict=True):
        splits[file.split].append(Entry(id_, {"input": file.path}))
    first = read_raster(images[0].path, name=str(images[0].path))
    return Plan(
        "images",
        {split: _reading(entries, root, {}) for split, entries in splits.items()},
        {"input": image_tensor(first)},
        image="input",
    )


def plan_pairs(source: Path | Mapping[str, Path]) -> Plan:
    """Images beside their masks.

    Parameters
    ----------
    source : Path or mapping of str to Path
        A folder with ``images/`` and ``masks/`` (or another of their usual names), or with files called
        ``x_image.tif`` and ``x_mask.tif``, or ``x.tif`` and ``x_mask.tif``; or a folder a tensor, whose files have the
        same names.

    Raises
    ------
    FormatError
        If an image has no mask, or a mask no image; names the first and says how many. If nothing in a folder is a
        pair by its names.
    """
    if isinstance(source, Mapping):
        folders = {name: _absolute(folder) for name, folder in source.items()}
        groups, root = _groups_of_folders(folders), Path(os.path.commonpath(list(folders.values())))
    else:
        found = find_images(source)
        if not found:
            raise FormatError(f"{source} has no images; expected images and masks, as .tif files")
        groups, root = grouped(read_names(source, found)), source
        _check_pairs(groups, source)
    names = _whole(groups)
    names.sort(key=lambda name: (is_label(name) or name == "target", name))
    labels = {name for name in names if name == "target" or is_label(name)}
    ids = _ids([(key,) for _, key in groups], list(groups))
    splits: dict[str, list[Entry]] = defaultdict(list)
    for ((split, _), files), id_ in zip(groups.items(), ids, strict=True):
        splits[split].append(Entry(id_, {name: files[name] for name in names}))
    first = {name: read_raster(path, name=str(path)) for name, path in next(iter(groups.values())).items()}
    tensors = {name: mask_tensor(first[name]) if name in labels else image_tensor(first[name]) for name in names}
    images = [name for name in names if name not in labels]
    return Plan(
        "pairs",
        {split: _reading(entries, root, dict.fromkeys(labels, "label")) for split, entries in splits.items()},
        tensors,
        {"tasks": ["semantic-segmentation"]} if labels else {},
        image="input" if "input" in images else next(iter(images), None),
        label=next(iter(labels), None),
    )


def _check_pairs(groups: Mapping[tuple[str, str], Mapping[str, Path]], root: Path) -> None:
    """Raise FormatError if nothing says that files are of one sample: neither a label, nor a word that comes again."""
    names = {name for files in groups.values() for name in files}
    worded = len(groups) > 1 and not any(name.removeprefix("field_").isdecimal() for name in names)
    if any(len(files) > 1 for files in groups.values()) and ("target" in names or worded):
        return
    first = next(path for files in groups.values() for path in files.values())
    raise FormatError(
        f"{root} holds no pairs by the names of its files ({first.relative_to(root).as_posix()} is the first); "
        "expected images/x.tif with masks/x.tif, x.tif with x_mask.tif, or x_S1.tif with x_S2.tif. Name them so, give "
        "a folder for each tensor (a dict, from Python), or say with kind='images' that each file is a sample, with "
        "kind='classes' that each folder is a class"
    )


def _whole(groups: Mapping[tuple[str, str], Mapping[str, Path]]) -> list[str]:
    """Tensors of a whole sample: those that the most have.

    Raises
    ------
    FormatError
        If a sample has others; names it and its file.
    """
    kinds = Counter(tuple(sorted(files)) for files in groups.values())
    names = max(kinds, key=lambda kind: (kinds[kind], len(kind)))
    odd = [place for place, files in groups.items() if set(files) != set(names)]
    if not odd:
        return list(names)
    split, key = odd[0]
    files = groups[odd[0]]
    lacking = [name for name in names if name not in files]
    more = next((name for name in files if name not in names), None)
    what = f"no {lacking[0]!r}" if lacking else f"{files[str(more)].name} (a {more!r}, by its name)"
    raise FormatError(
        f"{next(iter(files.values()))} has {what} beside it ({len(odd):,} of {len(groups):,} samples are unlike the "
        f"others, which have {' and '.join(map(repr, names))}; the first is {key!r} of split {split!r}): complete the "
        "pairs or take these files away, give a folder for each tensor (a dict, from Python), or name what the "
        "files are with kind="
    )


def _absolute(folder: Path) -> Path:
    """A folder's path from the root; ``..`` is taken back through links, as the system does."""
    return Path(os.path.realpath(folder) if ".." in folder.parts else os.path.abspath(folder))


def _groups_of_folders(folders: Mapping[str, Path]) -> dict[tuple[str, str], dict[str, Path]]:
    found = []
    for name, folder in folders.items():
        files = find_images(folder)
        if not files:
            raise FormatError(f"folder {folder} of tensor {name!r} has no images; expected .tif files")
        found += [Found(file.split, "-".join((*file.folders, file.path.stem)), name, file.path) for file in files]
    return grouped(found)


def _ids_of_images(images: Sequence[ImageFile]) -> list[str]:
    return _ids(
        [(file.path.stem,) for file in images],
        [(*file.folders, file.path.stem) for file in images],
        [(file.split, *file.folders, file.path.stem) for file in images],
    )


def _ids(*ways: Sequence[tuple[str, ...]]) -> list[str]:
    """Names of samples in the first way, the shortest, in which each is of one alone; else in the last."""
    parts = next((way for way in ways if len(set(way)) == len(way)), ways[-1])
    return ["-".join(words) for words in parts]


def _reading(
    entries: Sequence[Entry], root: Path, roles: Mapping[str, str], numbers: Mapping[str, int] | None = None
) -> Samples:
    def read(skip: int) -> Generator[Sample, None, None]:
        for entry in entries[skip:]:
            rasters: dict[str, Raster] = {name: read_raster(path, name=str(path)) for name, path in entry.files.items()}
            tensors: dict[str, Any] = {
                name: mask_array(raster) if name in roles else raster.array for name, raster in rasters.items()
            }
            properties = {"file": next(iter(entry.files.values())).relative_to(root).as_posix()}
            if numbers is not None and entry.label is not None:
                tensors["target"] = np.int64(numbers[entry.label])
                properties["class"] = entry.label
            yield Sample(tensors, id=entry.id, properties=properties, **place(rasters))

    return read
