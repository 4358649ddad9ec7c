"""What samples are like, from a look at some: dtype and shape of each tensor, which axes vary, which may be missing."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from mlstac.errors import CollectionError
from mlstac.loading.original._facts import TEXTS
from mlstac.sample import Header


class Looked(NamedTuple):
    """One tensor, or text, of samples that were looked at."""

    dtype: str
    shape: tuple[int | None, ...]
    """None where an axis varies."""
    required: bool
    text: bool


def text_name(key: str, tensors: Iterable[str]) -> str:
    """The field that a text becomes: its own name, where no tensor has it."""
    return f"{key}_text" if key in tensors else key


def look_at(headers: Mapping[str, Header], *, boxes: bool) -> dict[str, Looked]:
    """What some samples have in common.

    Parameters
    ----------
    headers : mapping of str to Header
        Of each sample's file, by its URL or path.
    boxes : bool
        Whether the dataset is of object detection, in which the number of targets varies, though it be the same in the
        few samples that are looked at.

    Raises
    ------
    CollectionError
        If a tensor is of two dtypes, or of two numbers of axes.
    """
    found: dict[str, Looked] = {}
    counts: dict[str, int] = {}
    first: dict[str, str] = {}
    texts: dict[str, int] = {}
    for url, header in headers.items():
        for name, entry in header.entries.items():
            counts[name] = counts.get(name, 0) + 1
            known = found.get(name)
            if known is None:
                found[name] = Looked(entry.dtype, entry.shape, required=True, text=False)
                first[name] = url
                continue
            if known.dtype != entry.dtype or len(known.shape) != len(entry.shape):
                raise CollectionError(
                    f"tensor {name!r} is {entry.dtype} with {len(entry.shape)} axes in {url}, and {known.dtype} with "
                    f"{len(known.shape)} in {first[name]}; one dataset cannot hold both: divide its samples"
                )
            if known.shape != entry.shape:
                shape = tuple(a if a == b else None for a, b in zip(known.shape, entry.shape, strict=True))
                found[name] = known._replace(shape=shape)
        for key in TEXTS:
            texts[key] = texts.get(key, 0) + bool(header.metadata.get(key))
    total = len(headers)
    found = {name: looked._replace(required=counts[name] == total) for name, looked in found.items()}
    if boxes and "target" in found and len(found["target"].shape) > 1:
        found["target"] = found["target"]._replace(shape=(None, *found["target"].shape[1:]))
    for key in TEXTS:
        if texts.get(key):
            found[text_name(key, tuple(found))] = Looked("U8", (None,), required=texts[key] == total, text=True)
    order = {"input": 0, "input_text": 1, "target": 2, "target_text": 3, "extra": 4}
    return dict(sorted(found.items(), key=lambda item: (order.get(item[0], 9), item[0])))
