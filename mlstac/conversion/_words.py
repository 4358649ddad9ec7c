"""Words by which people name splits, images and labels in folders and files."""

import re

SPLITS = {
    "train": "train", "training": "train", "tr": "train",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation",
    "test": "test", "testing": "test", "te": "test",
}  # fmt: skip
LABELS = {
    "mask", "masks", "label", "labels", "gt", "annotation", "annotations", "target", "targets", "groundtruth", "lbl",
    "msk", "class", "cls", "segmentation", "labelhand", "segmentationclass", "ann", "anns",
}  # fmt: skip
IMAGES = {
    "image",
    "images",
    "img",
    "imgs",
    "input",
    "inputs",
    "scene",
    "scenes",
    "chip",
    "chips",
    "tile",
    "tiles",
    "jpegimages",
}
_FILLING = {"png", "tif", "tiff", "jpg", "jpeg", "dir", "folder", "data", "set", "dataset", "patch", "patches", "raw"}
"""That say of a folder beside a word for a split or a kind nothing more."""
_SHORT = {"Tr": "train", "Ts": "test"}
"""Splits at the end of a folder's name, as in nnU-Net's ``imagesTr``; "ts" alone may be a time series."""
_LABEL_FIELDS = LABELS | {"y", "label_id", "category", "lulc"}


def split_of(word: str) -> str | None:
    """The split that a folder's name means."""
    return SPLITS.get(word.lower())


def read_folder(name: str) -> tuple[str | None, str | None]:
    """The split, and the word for a kind of image, that a folder's name means: ``train_images``, ``masksTr``.

    Both are None where the name has words that are neither, for then it may be a class: ``class_0``, ``test_site``.
    """
    if split_of(name) is not None:
        return split_of(name), None
    *before, last = tokens(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name))
    words = [word.lower() for word in (*before, _SHORT.get(last, last))]
    splits = {SPLITS[word] for word in words if word in SPLITS}
    kinds = [word for word in words if is_label(word)] or [word for word in words if is_image(word)]
    known = all(word in SPLITS or word in _FILLING or is_label(word) or is_image(word) for word in words)
    if not known or len(words) < 2 or len(splits) > 1:
        return None, None
    return next(iter(splits), None), kinds[0] if kinds else None


def split_of_file(stem: str) -> str | None:
    """The split that a word in a file's name means: ``train-0003``."""
    found = {SPLITS[word] for word in tokens(stem.lower()) if word in SPLITS}
    return found.pop() if len(found) == 1 else None


def is_label(word: str) -> bool:
    """Whether a folder or a part of a file's name means labels."""
    return word.lower() in LABELS


def is_image(word: str) -> bool:
    """Whether it means images."""
    return word.lower() in IMAGES


def is_label_field(name: str) -> bool:
    """Whether a field of a sample is what a model should answer."""
    return name.lower() in _LABEL_FIELDS


def tokens(stem: str) -> list[str]:
    """Parts of a file's name; one at the least."""
    return [word for word in re.split(r"[_\-. ]+", stem) if word] or [stem]


def field_name(name: str) -> str:
    """A name that a tensor may have: letters, digits and underscores, as near to the source's as can be."""
    plain = re.sub(r"[^\w-]+", "_", name).strip("_-") or "field"
    return plain if re.match(r"[A-Za-z]", plain) else f"field_{plain}"
