"""WebDataset: tar files whose neighbouring members of one name are a sample."""

import io
import re
import tarfile
import zipfile
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from mlstac.collection import Tensor
from mlstac.conversion._fields import Fields, is_pickled, parse_json, refuse_pickle
from mlstac.conversion._peek import describe_first, raster_tensors
from mlstac.conversion._plan import Plan, Samples
from mlstac.conversion._raster import place
from mlstac.conversion._words import field_name, split_of, split_of_file
from mlstac.errors import FormatError
from mlstac.sample import Sample

SUFFIXES = (".tar", ".tar.gz", ".tgz")
_IMAGES = ("tif", "tiff")
_ENCODED = ("png", "jpg", "jpeg", "webp", "mp4")
_TEXTS = ("txt", "text", "transcript")
_LABELS = ("cls", "cls2", "index", "inx", "id")
_KNOWN = ("npy", "npz", "json", *_IMAGES, *_ENCODED, *_TEXTS, *_LABELS, "bin")


class Member(NamedTuple):
    """One file of a sample."""

    kind: str
    """Its last suffix, in small letters."""
    field: str
    """What stands between key and kind: ``image`` of ``0001.image.npy``."""
    data: bytes


def is_tar(path: Path) -> bool:
    """Whether a file's name is that of a tar."""
    return path.name.lower().endswith(SUFFIXES) and not path.name.startswith(".")


def plan_webdataset(tars: Sequence[Path], root: Path) -> Plan:
    """Plan the conversion of tar files.

    Parameters
    ----------
    tars : sequence of Path
        In their order; each is of the split that its name or its folder says, or of train.
    root : Path
        The folder that they were found in.

    Raises
    ------
    FormatError
        If there are none, or they hold what cannot be read.
    """
    if not tars:
        raise FormatError(f"{root} has no tar files; a WebDataset is made of them")
    by_split: dict[str, list[Path]] = {}
    for tar in tars:
        below = tar.relative_to(root).parts[:-1] if tar.is_relative_to(root) else ()
        split = next((word for part in below if (word := split_of(part))), None) or split_of_file(
            tar.name.split(".")[0]
        )
        by_split.setdefault(split or "train", []).append(tar)
    found: dict[str, Tensor] = {}
    splits = {split: _reading(some, found) for split, some in by_split.items()}
    tensors = describe_first(splits, rasters=found)
    if not tensors:
        raise FormatError(f"{tars[0]} has no samples; a WebDataset's members are called KEY.npy, KEY.json and the like")
    image = next((name for name, tensor in tensors.items() if tensor.role == "data"), None)
    label = next((name for name, tensor in tensors.items() if tensor.role == "label"), None)
    return Plan("webdataset", splits, tensors, image=image, label=label)


def _reading(tars: Sequence[Path], found: dict[str, Tensor]) -> Samples:
    def read(skip: int) -> Generator[Sample, None, None]:
        seen: set[str] = set()
        number = 0
        for tar in tars:
            for key, members in _groups(tar):
                id_ = _id(key, seen)
                if number >= skip:
                    yield _sample(f"{key!r} in {tar}", id_, members, found)
                number += 1

    return read


def _id(key: str, seen: set[str]) -> str:
    """A key that is of one sample alone, for shards may count from 0 each."""
    plain = key.replace("/", "-").lstrip(".-") or "sample"
    name, number = plain, 1
    while name in seen:
        number += 1
        name = f"{plain}-{number}"
    seen.add(name)
    return name


def _groups(tar: Path) -> Iterator[tuple[str, list[Member]]]:
    """Members by key, as they follow each other; nothing is unpacked onto the disk."""
    current: str | None = None
    members: list[Member] = []
    try:
        with tarfile.open(tar, "r|*") as file:
            for info in file:
                if not info.isfile():
                    continue
                path = PurePosixPath(info.name)
                if path.name.startswith(".") or "." not in path.name:
                    continue
                stem, _, suffixes = path.name.partition(".")
                key = str(path.with_name(stem)).lstrip("./")
                field, _, kind = suffixes.rpartition(".")
                body = file.extractfile(info)
                assert body is not None
                if key != current:
                    if members:
                        yield str(current), members
                    current, members = key, []
                data = body.read()
                if len(data) != info.size:
                    raise FormatError(
                        f"{tar} cannot be read as a tar: it ends inside {info.name[:80]!r}; copy it again"
                    )
                members.append(Member(kind.lower(), field, data))
        if members:
            yield str(current), members
    except (tarfile.TarError, EOFError, OSError) as error:
        raise FormatError(f"{tar} cannot be read as a tar: {error}") from error


def _sample(name: str, id_: str, members: Sequence[Member], found: dict[str, Tensor]) -> Sample:
    fields = Fields(f"sample {name}")
    for member in members:
        _add(fields, member)
    for key, tensor in raster_tensors(fields).items():
        found.setdefault(key, tensor)
    if not fields.tensors:
        raise FormatError(f"sample {name} has no array, image or text, only {', '.join(m.kind for m in members)}")
    return Sample(fields.tensors, id=id_, properties=fields.properties, **(place(fields.rasters) | fields.place))


def _add(fields: Fields, member: Member) -> None:
    kind, data = member.kind, member.data
    what = f"{member.field + '.' if member.field else ''}{kind} of {fields.name}"
    if is_pickled(f".{kind}"):
        raise refuse_pickle(what)
    if kind == "json":
        said = parse_json(data, what=what)
        if isinstance(said, dict) and not member.field:
            fields.read_words(said)
        else:
            fields.tell(field_name(member.field or "json"), said)
    elif kind in _LABELS:
        fields.add(field_name(member.field or ("target" if kind == "cls" else kind)), _integer(data, what))
    elif kind in _TEXTS:
        fields.add(field_name(member.field or "text"), _text(data, what))
    elif kind == "npy":
        fields.add(_free(fields, member, "input"), _array(data, what))
    elif kind == "npz":
        for name, array in _arrays(data, what).items():
            fields.add(field_name(name), array)
    elif kind in _IMAGES:
        fields.add(_free(fields, member, "input"), data)
    elif kind in _ENCODED or kind == "bin":
        fields.add(_free(fields, member, "image" if kind != "bin" else "data"), data)
    else:
        raise FormatError(f"{what} is of an unknown kind; known are .{', .'.join(_KNOWN)}")


def _free(fields: Fields, member: Member, usual: str) -> str:
    """The field's own name; without one the usual name, or where that is taken the kind's."""
    if member.field:
        return field_name(member.field)
    return usual if usual not in fields.tensors else field_name(member.kind)


def _array(data: bytes, what: str) -> Any:
    if not data.startswith(b"\x93NUMPY"):
        raise FormatError(f"{what} is no numpy array: it begins with {data[:6]!r}")
    try:
        return np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        if "pickle" in str(error).lower():
            raise refuse_pickle(what) from None
        raise FormatError(f"{what} is no numpy array: {error}") from None


def _arrays(data: bytes, what: str) -> dict[str, Any]:
    if not data.startswith(b"PK"):
        raise FormatError(f"{what} is no file of numpy arrays: it begins with {data[:6]!r}")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        if "pickle" in str(error).lower():
            raise refuse_pickle(what) from None
        raise FormatError(f"{what} is no file of numpy arrays: {error}") from None


def _integer(data: bytes, what: str) -> Any:
    text = _text(data, what).strip()
    if not re.fullmatch(r"[+-]?\d{1,18}", text):
        raise FormatError(f"{what} is {text[:40]!r}; expected a whole number")
    return np.int64(int(text))


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise FormatError(f"{what} is not UTF-8 text") from None
