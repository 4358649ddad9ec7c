"""Images that are one sample, by the words in their names that say what each is: ``x_image.tif`` and ``x_mask.tif``."""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from mlstac.conversion._images import ImageFile
from mlstac.conversion._words import field_name, is_image, is_label, tokens
from mlstac.errors import FormatError


class Found(NamedTuple):
    """One file, and what its name says of it."""

    split: str
    key: str
    """Of the sample, within its split."""
    tensor: str
    path: Path


def label_files(images: Sequence[ImageFile]) -> list[Path]:
    """Those of the images that are labels, by a folder's name or by the first or the last word of their own."""
    return [file.path for file in images if any(map(is_label, file.folders)) or _names_label(file.path.stem)]


def read_names(root: Path, images: Sequence[ImageFile]) -> list[Found]:
    """Say of each image what its name says: of which sample it is, and which of its tensors.

    Of the places at which names may have the word that says so, that one is meant by which the most files find a label
    or its image; of two equal ones the end of the name is.
    """
    if any(any(is_label(part) for part in file.folders) for file in images):
        # tiles/T31/images may be images of tiles, and images/tiles tiles among the images
        readings = [[_by_folder(file, words, at) for file in images] for at in (0, -1) for words in (tokens, _loose)]
        readings.append(_by_channel(readings[0]))
    else:
        whole = root.resolve().name or "image"  # of the folder that a "." is
        readings = [_by_file(images, kind_of, whole) for kind_of in (_last, _first, _inside)]
    return max(readings, key=_paired)


def are_pairs(found: Sequence[Found]) -> bool:
    """Whether some label is beside its image."""
    return _paired(found)[0] > 0


def grouped(found: Sequence[Found]) -> dict[tuple[str, str], dict[str, Path]]:
    """Files by split and key, then by tensor.

    Raises
    ------
    FormatError
        If two files are the same of one sample.
    """
    groups: dict[tuple[str, str], dict[str, Path]] = {}
    for split, key, name, path in found:
        files = groups.setdefault((split, key), {})
        if name in files:
            raise FormatError(
                f"{files[name]} and {path} are both {name!r} of sample {key!r}; rename one of them, or give a folder "
                "for each tensor (a dict, from Python)"
            )
        files[name] = path
    return groups


def _paired(found: Sequence[Found]) -> tuple[int, int]:
    """How many files a reading sets beside the label of their sample, and how many beside another by a word."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for file in found:
        groups[file.split, file.key].append(file.tensor)
    several = [names for names in groups.values() if len(set(names)) > 1]
    labelled = sum(len(names) for names in several if "target" in names)
    worded = sum(not name.removeprefix("field_").isdecimal() for names in several for name in names)
    return labelled, worded


def _by_folder(file: ImageFile, words_of: Callable[[str], list[str]], at: int) -> Found:
    """A file below ``images/`` or ``masks/``; of several such folders the one at that place says what it is."""
    kinds = [part for part in file.folders if is_label(part) or is_image(part)]
    kind = kinds[at] if kinds else (file.folders[0] if file.folders else "input")
    rest = [part for part in file.folders if part != kind]
    words = [word for word in words_of(file.path.stem) if not _is_kind(word)]
    name = "target" if is_label(kind) else "input" if is_image(kind) else field_name(kind.lower())
    return Found(file.split, "-".join([*rest, "_".join(words) or file.path.stem]), name, file.path)


def _by_channel(found: Sequence[Found]) -> list[Found]:
    """Images that end with the number of their channel, as nnU-Net's do: ``x_0000.tif`` of the label ``x.tif``."""
    parts = [_CHANNEL.fullmatch(file.key) if file.tensor == "input" else None for file in found]
    several = len({part[2] for part in parts if part}) > 1
    return [
        file._replace(key=part[1], tensor=f"input_{part[2]}" if several else "input") if part else file
        for file, part in zip(found, parts, strict=True)
    ]


def _by_file(
    images: Sequence[ImageFile], kind_of: Callable[[str], tuple[str, list[str]] | None], whole: str
) -> list[Found]:
    """Files in which one word says what they are; where nothing else does, the sample is called by its folder."""
    parts = [(file, "-".join((*file.folders, "")), kind_of(file.path.stem)) for file in images]
    keys = {
        (file.split, prefix + "_".join(kind[1]))
        for file, prefix, kind in parts
        if kind is not None and is_label(kind[0])
    }
    found = []
    for file, prefix, kind in parts:
        bare = prefix + "_".join(tokens(file.path.stem))
        if kind is None or (not is_label(kind[0]) and (file.split, bare) in keys):
            key, name = bare, "input"
        else:
            key, name = prefix + "_".join(kind[1]), _tensor(kind[0])
        # files such as image.tif and mask.tif are of the sample that their folder is
        found.append(Found(file.split, key.rstrip("-") or whole, name, file.path))
    return found


def _tensor(kind: str) -> str:
    return "target" if is_label(kind) else "input" if is_image(kind) else field_name(kind.lower())


def _last(stem: str) -> tuple[str, list[str]]:
    """The word at the end, and the others."""
    *rest, last = tokens(stem)
    digits, word = _unglued(last, _BEHIND)
    return (word, [*rest, digits]) if digits else (last, rest)


def _first(stem: str) -> tuple[str, list[str]]:
    """The word at the beginning, and the others."""
    first, *rest = tokens(stem)
    word, digits = _unglued(first, _BEFORE)
    return (word, [digits, *rest]) if digits else (first, rest)


def _inside(stem: str) -> tuple[str, list[str]] | None:
    """The last word between the ends that is one of a kind, and the others; None where there is none."""
    words = tokens(stem)
    at = next((at for at in range(len(words) - 2, 0, -1) if _is_kind(words[at])), None)
    return None if at is None else (words[at], words[:at] + words[at + 1 :])


def _loose(stem: str) -> list[str]:
    """Words of a name, those of a kind without the digits that are stuck to them: ``mask01``."""
    words = []
    for word in tokens(stem):
        kind, digits = _unglued(word, _BEFORE)
        words += [kind, digits] if digits else [word]
    return words


_CHANNEL: Final = re.compile(r"(.+)_(\d{4})")
_BEFORE: Final = re.compile(r"([^\W\d_]+)(\d+)")
_BEHIND: Final = re.compile(r"(\d+)([^\W\d_]+)")


def _unglued(word: str, form: re.Pattern[str]) -> tuple[str, str]:
    """Both halves of a word such as ``mask01``, of which one is of a kind; empty, where it is none."""
    parts = form.fullmatch(word)
    return (parts[1], parts[2]) if parts and (_is_kind(parts[1]) or _is_kind(parts[2])) else ("", "")


def _is_kind(word: str) -> bool:
    return is_label(word) or is_image(word)


def _names_label(stem: str) -> bool:
    return is_label(_last(stem)[0]) or is_label(_first(stem)[0])
