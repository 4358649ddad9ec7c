"""What a source is: told by what it holds, or by the word that the user gives for it."""

import glob
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlstac.collection import is_original
from mlstac.conversion._datasets import first_dataset, is_dataset
from mlstac.conversion._folders import plan_classes, plan_images, plan_pairs
from mlstac.conversion._forms import find_form
from mlstac.conversion._huggingface import is_huggingface, is_saved, load_saved, plan_huggingface
from mlstac.conversion._images import find_images
from mlstac.conversion._items import band_names, is_items, plan_items
from mlstac.conversion._mds import find_mds, plan_mds
from mlstac.conversion._original import plan_original
from mlstac.conversion._plan import Plan
from mlstac.conversion._webdataset import is_tar, plan_webdataset
from mlstac.errors import FormatError, InvalidArgumentError, MissingFileError
from mlstac.storage import StorageOptions, check_address, is_remote, local_path, redact

KINDS = {
    "original": "a main.json of the original ML-STAC, or its folder or URL",
    "classes": "a folder of class folders of images: CLASS/x.tif or SPLIT/CLASS/x.tif",
    "pairs": "images and masks: images/x.tif with masks/x.tif, or x.tif with x_mask.tif; or a dict of folders",
    "images": "a folder of images without labels",
    "webdataset": "tar files, a folder of them, or a pattern",
    "mds": "a folder with MosaicML's index.json and shards",
    "huggingface": "a Dataset or DatasetDict of Hugging Face's datasets, or a folder that one was saved to",
    "torchgeo": "a dataset whose items are dicts of tensors, or a dict of them by split",
}
"""Kinds of source, and what each is."""

_OBJECTS = ("torchgeo",)
"""Those that no path can be."""


def make_plan(
    source: Any,
    kind: str | None,
    *,
    storage_options: StorageOptions = None,
    allow_hosts: Sequence[str] = (),
) -> tuple[Plan, list[str] | None]:
    """Look at a source; with it the names of its bands, where the source as a whole gives them.

    Raises
    ------
    InvalidArgumentError
        If it is of no kind that is known; lists those that are.
    FormatError
        If it is not of the kind that was named.
    """
    check_kind(kind, of_path=isinstance(source, str | os.PathLike))
    kind = kind or detect_kind(source)
    if kind == "original":
        return plan_original(source, storage_options=storage_options, allow_hosts=allow_hosts), None
    if kind == "torchgeo":
        return plan_items(source), band_names(source)
    if kind == "huggingface":
        return plan_huggingface(source if is_huggingface(source) else load_saved(_folder(source))), None
    if kind == "webdataset":
        root, tars = _tars(source)
        return plan_webdataset(tars, root), None
    if kind == "pairs" and isinstance(source, Mapping):
        return plan_pairs({str(name): Path(local_path(folder)) for name, folder in source.items()}), None
    root = _folder(source)
    if kind == "mds":
        found = find_mds(root)
        if not found:
            raise FormatError(f"{root} has no index.json of MDS shards; give the folder that MDSWriter wrote")
        return plan_mds(found), None
    return {"classes": plan_classes, "pairs": plan_pairs, "images": plan_images}[kind](root), None


def check_kind(kind: str | None, *, of_path: bool = False) -> None:
    """Raise InvalidArgumentError if a kind is named that is none, or that no path can be where the source is one."""
    kinds = [name for name in KINDS if not (of_path and name in _OBJECTS)]
    if kind in _OBJECTS and of_path:
        raise InvalidArgumentError(
            f"kind={kind!r} is of datasets in Python, and the source is a path: hand the dataset itself to "
            f"mlstac.convert in Python, or choose one of {', '.join(kinds)}"
        )
    if kind is not None and kind not in KINDS:
        raise InvalidArgumentError(f"kind={kind!r} is not known; choose one of {', '.join(kinds)}")


def detect_kind(source: Any) -> str:
    """The kind of a source, by what it is and holds.

    Raises
    ------
    InvalidArgumentError
        If it is none; says what was seen, and lists the kinds.
    """
    if isinstance(source, Mapping):
        if is_original(source):
            return "original"
        if is_huggingface(source):
            return "huggingface"
        if source and all(isinstance(value, str | os.PathLike) for value in source.values()):
            return "pairs"
        if source and all(map(is_items, source.values())):
            return "torchgeo"
        raise _unknown("a dict", source)
    if isinstance(source, str | os.PathLike):
        return _kind_of_path(os.fspath(source))
    if is_huggingface(source):
        return "huggingface"
    if isinstance(source, list | tuple) and source and all(isinstance(item, str | os.PathLike) for item in source):
        return "webdataset"
    if is_items(source) and not isinstance(source, bytes):
        return "torchgeo"
    raise _unknown(type(source).__name__, source)


def _kind_of_path(text: str) -> str:
    check_address(text)
    if is_remote(text):
        return "original"
    path = Path(local_path(text))
    if not path.exists():
        if glob.has_magic(text) or "{" in text:
            return "webdataset"
        if text.count("/") == 1 and not text.startswith((".", "/", "~")):  # org/name
            return "original"
        raise MissingFileError(f"nothing is at {text!r}; give a folder or a file that is there")
    if path.is_file():
        if path.name == "main.json":
            return "original"
        if is_tar(path):
            return "webdataset"
        raise _unknown(f"the file {path.name}", text)
    if is_dataset(path):
        raise InvalidArgumentError(f"{path} is a dataset of version 1.0 already; there is nothing to convert")
    if (path / "main.json").exists():
        return "original"
    if is_saved(path):
        return "huggingface"
    if find_mds(path):
        return "mds"
    if any(is_tar(entry) for entry in path.rglob("*")):
        return "webdataset"
    images = find_images(path)
    if not images and (dataset := first_dataset(path)) is not None:
        raise InvalidArgumentError(
            f"{dataset} is a dataset of version 1.0 already, and {path} holds nothing else to convert"
        )
    if not images:
        raise _unknown(f"a folder with {_say_files(path)}", text)
    return find_form(path, images)


def _say_files(folder: Path) -> str:
    """What files are in a folder: how many of each suffix, the most first."""
    names = [Path(name) for _, _, files in os.walk(folder) for name in files if not name.startswith(".")]
    counts = Counter(name.suffix.lower() or name.name for name in names).most_common()
    said = ", ".join(f"{count:,} {suffix}" for suffix, count in counts[:5])
    return f"{said}{' …' if len(counts) > 5 else ''}, and no image" if counts else "no file in it"


def _unknown(what: str, source: Any) -> InvalidArgumentError:
    shown = redact(source) if isinstance(source, str) else ""
    return InvalidArgumentError(
        f"{shown + ' is ' if shown else ''}{what}, of no kind that can be converted. Known are: {_known()}. "
        "Name one with kind=, or hand your own iterator to mlstac.write"
    )


def _known() -> str:
    return "; ".join(f"{kind} ({meaning})" for kind, meaning in KINDS.items())


def _folder(source: Any) -> Path:
    if not isinstance(source, str | os.PathLike):
        raise InvalidArgumentError(f"source is of type {type(source).__name__}; this kind is a folder: give its path")
    path = Path(local_path(source))
    if not path.is_dir():
        raise MissingFileError(f"{path} is no folder; give the folder of the dataset")
    return path


def _tars(source: Any) -> tuple[Path, list[Path]]:
    """Tar files of a folder, a file, a pattern or a list, and the folder that they are in."""
    if isinstance(source, list | tuple):
        paths = [Path(local_path(item)) for item in source]
    else:
        text = local_path(source)
        if os.path.isdir(text):
            return Path(text), sorted(path for path in Path(text).rglob("*") if is_tar(path) and path.is_file())
        paths = [Path(found) for pattern in expand_braces(text) for found in sorted(glob.glob(pattern) or [pattern])]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise MissingFileError(f"nothing is at {missing[0]}; give tar files that are there")
    root = Path(os.path.commonpath([path.parent.absolute() for path in paths]))
    return root, [path.absolute() for path in paths]


def expand_braces(pattern: str) -> list[str]:
    """The names that a pattern with ``{0000..0012}`` means."""
    head, brace, rest = pattern.partition("{")
    inner, close, tail = rest.partition("}")
    first, dots, last = inner.partition("..")
    if not (brace and close and dots and first.isdigit() and last.isdigit()) or int(last) - int(first) > 1_000_000:
        return [pattern]
    numbers = range(int(first), int(last) + 1)
    return [name for number in numbers for name in expand_braces(f"{head}{number:0{len(first)}}{tail}")]
