"""Folders of images: one a class, images beside their masks, or images alone."""

import os
from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mlstac.collection import Tensor
from mlstac.conversion._datasets import is_dataset
from mlstac.conversion._plan import Plan, Samples
from mlstac.conversion._raster import Raster, image_tensor, is_raster, mask_array, mask_tensor, place, read_raster
from mlstac.conversion._words import field_name, is_image, is_label, split_of, tokens
from mlstac.errors import FormatError
from mlstac.sample import Sample


class ImageFile(NamedTuple):
    """One image below the folder."""

    path: Path
    split: str
    folders: tuple[str, ...]
    """Between the folder and the file, without that of the split."""


class Entry(NamedTuple):
    """One sample, not yet read."""

    id: str
    files: dict[str, Path]
    """By tensor."""
    label: str | None = None
    """The class that its folder stands for."""


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


def plan_classes(root: Path) -> Plan:
    """A folder a class: EuroSAT's form.

    Raises
    ------
    FormatError
        If images lie beside the folders of classes, or below them.
    """
    images = find_images(root)
    wrong = [file.path for file in images if len(file.folders) != 1]
    if wrong or not images:
        raise FormatError(
            f"{root} is no folder of class folders: {wrong[0] if wrong else 'no image'} lies in "
            f"{'no folder of a class, or deeper' if wrong else 'it'}; expected CLASS/image.tif or SPLIT/CLASS/image.tif"
        )
    classes = sorted({file.folders[0] for file in images})
    numbers = {name: number for number, name in enumerate(classes)}
    ids = _ids([(*file.folders, file.path.stem) for file in images], [file.path.stem for file in images])
    splits: dict[str, list[Entry]] = defaultdict(list)
    for file, id_ in zip(images, ids, strict=True):
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
    ids = _ids([(*file.folders, file.path.stem) for file in images], [file.path.stem for file in images])
    splits: dict[str, list[Entry]] = defaultdict(list)
    for file, id_ in zip(images, ids, strict=True):
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
        If an image has no mask, or a mask no image; names the first and says how many.
    """
    if isinstance(source, Mapping):
        folders = {name: _absolute(folder) for name, folder in source.items()}
        groups, root = _groups_of_folders(folders), Path(os.path.commonpath(list(folders.values())))
    else:
        found = find_images(source)
        if not found:
            raise FormatError(f"{source} has no images; expected images and masks, as .tif files")
        groups, root = find_groups(source, found), source
    names = list(dict.fromkeys(name for files in groups.values() for name in files))
    for (split, key), files in groups.items():
        missing = [name for name in names if name not in files]
        if missing:
            lone = sum(len(other) < len(names) for other in groups.values())
            raise FormatError(
                f"{next(iter(files.values()))} has no {missing[0]!r} beside it ({lone} of {len(groups)} samples lack "
                f"one, the first is {key!r} of split {split!r}): complete the pairs, or give a folder for each tensor"
            )
    names.sort(key=lambda name: (is_label(name) or name == "target", name))
    labels = {name for name in names if name == "target" or is_label(name)}
    ids = _ids([(split, key) for split, key in groups], [key for _, key in groups])
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
        image=images[0] if images else None,
        label=next(iter(labels), None),
    )


def has_labels(images: Sequence[ImageFile]) -> bool:
    """Whether some of the images are labels, by the words of their folders or files."""
    return any(any(map(is_label, file.folders)) or is_label(tokens(file.path.stem)[-1]) for file in images)


def find_groups(root: Path, images: Sequence[ImageFile]) -> dict[tuple[str, str], dict[str, Path]]:
    """Files of each sample by tensor, whole or not, by split and id: ``target`` is the label."""
    if any(any(is_label(part) for part in file.folders) for file in images):
        found = [(file.split, *_by_folder(file), file.path) for file in images]
    else:
        # files such as image.tif and mask.tif are of the sample that their folder is
        whole = root.resolve().name or "image"  # of the folder that a "." is
        found = [(split, key.rstrip("-") or whole, name, path) for split, key, name, path in _by_file(images)]
    return _grouped(found)


def _by_folder(file: ImageFile) -> tuple[str, str]:
    """Key and tensor of a file below ``images/`` or ``masks/``."""
    kinds = [part for part in file.folders if is_label(part) or is_image(part)]
    kind = kinds[0] if kinds else (file.folders[0] if file.folders else "input")
    rest = [part for part in file.folders if part != kind]
    words = [word for word in tokens(file.path.stem) if not (is_label(word) or is_image(word))]
    name = "target" if is_label(kind) else "input" if is_image(kind) else field_name(kind.lower())
    return "-".join([*rest, "_".join(words) or file.path.stem]), name


def _by_file(images: Sequence[ImageFile]) -> list[tuple[str, str, str, Path]]:
    """Key and tensor of files whose last word says what they are."""
    parts = [("-".join((*file.folders, "")), tokens(file.path.stem)) for file in images]
    keys = {
        (file.split, prefix + "_".join(words[:-1]))
        for file, (prefix, words) in zip(images, parts, strict=True)
        if is_label(words[-1])
    }
    found = []
    for file, (prefix, words) in zip(images, parts, strict=True):
        whole, short = prefix + "_".join(words), prefix + "_".join(words[:-1])
        if is_label(words[-1]):
            found.append((file.split, short, "target", file.path))
        elif (file.split, whole) in keys:
            found.append((file.split, whole, "input", file.path))
        else:
            name = "input" if is_image(words[-1]) else field_name(words[-1].lower())
            found.append((file.split, short, name, file.path))
    return found


def _absolute(folder: Path) -> Path:
    """A folder's path from the root; ``..`` is taken back through links, as the system does."""
    return Path(os.path.realpath(folder) if ".." in folder.parts else os.path.abspath(folder))


def _groups_of_folders(folders: Mapping[str, Path]) -> dict[tuple[str, str], dict[str, Path]]:
    found = []
    for name, folder in folders.items():
        files = find_images(folder)
        if not files:
            raise FormatError(f"folder {folder} of tensor {name!r} has no images; expected .tif files")
        found += [(file.split, "-".join((*file.folders, file.path.stem)), name, file.path) for file in files]
    return _grouped(found)


def _grouped(found: Sequence[tuple[str, str, str, Path]]) -> dict[tuple[str, str], dict[str, Path]]:
    groups: dict[tuple[str, str], dict[str, Path]] = {}
    for split, key, name, path in found:
        files = groups.setdefault((split, key), {})
        if name in files:
            raise FormatError(f"{files[name]} and {path} are both {name!r} of sample {key!r}; rename one of them")
        files[name] = path
    return groups


def _ids(long: Sequence[tuple[str, ...]], short: Sequence[str]) -> list[str]:
    """Names of files where each is of one sample alone, else with their folders."""
    return list(short) if len(set(short)) == len(short) else ["-".join(parts) for parts in long]


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
