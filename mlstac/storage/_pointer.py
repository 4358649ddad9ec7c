"""Git LFS pointers: three lines of text that lie where a file's bytes should be."""

from typing import Any

from mlstac.errors import MissingFileError
from mlstac.storage._urls import redact

POINTER_BYTES = 1024
"""No pointer is longer (Git LFS specification, "The pointer")."""

_BEGINNING = b"version https://git-lfs.github.com/spec/v1"


def is_pointer(data: Any) -> bool:
    """Tell whether the whole content of a file is a pointer."""
    return len(data) <= POINTER_BYTES and bytes(data[: len(_BEGINNING)]) == _BEGINNING


def pointer_error(url: str) -> MissingFileError:
    """Return the error of a file that is a pointer."""
    return MissingFileError(
        f"{redact(url)} is a Git LFS pointer, and the bytes that it stands for are not there; run `git lfs pull` "
        f"in the clone, or load the dataset by its URL (hf://datasets/org/name)"
    )
