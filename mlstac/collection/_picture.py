"""A collection at a glance, as text and as HTML for notebooks."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from mlstac.collection._dtypes import stac_word

if TYPE_CHECKING:
    from mlstac.collection._collection import Collection
    from mlstac.collection._tensor import Tensor

MANY = 8


def describe_text(collection: Collection) -> str:
    """Describe a collection in a few lines: what it is, its tensors, its splits."""
    head = f"Collection {collection.id}" + (f": {collection.title}" if collection.title else "")
    rows = [("tensor", name, describe_tensor(tensor)) for name, tensor in collection.tensors.items()]
    rows += [("split", name, _count(split.n_items)) for name, split in collection.splits.items()]
    wide = max((len(name) for _, name, _ in rows), default=0)
    facts = [f"  {key:<7} {value}" for key, value in _facts(collection)]
    return "\n".join([head, *facts, *(f"  {kind:<7} {name:<{wide}}  {text}" for kind, name, text in rows)])


def describe_html(collection: Collection) -> str:
    """Describe a collection as one small HTML block; every text of the author's is escaped."""
    cell = "text-align:left;vertical-align:top;padding:2px 12px 2px 0"
    facts = "".join(
        f'<tr><td style="{cell};opacity:.65">{escape(key)}</td><td style="{cell}">{escape(value)}</td></tr>'
        for key, value in _facts(collection)
    )
    tensors = "".join(
        f'<tr><td style="{cell}"><b>{escape(name)}</b></td>'
        f'<td style="{cell}">{escape(describe_tensor(tensor))}</td></tr>'
        for name, tensor in collection.tensors.items()
    )
    splits = " · ".join(f"<b>{escape(name)}</b> {_count(split.n_items)}" for name, split in collection.splits.items())
    about = collection.description.strip().split("\n\n", maxsplit=1)[0]
    return (
        '<div style="font-size:90%;max-width:60em">'
        f'<div style="font-size:115%"><b>{escape(collection.title or collection.id)}</b>'
        + (f' <span style="opacity:.65">{escape(collection.id)}</span>' if collection.title else "")
        + "</div>"
        + (f"<div style='margin:4px 0'>{escape(_cut(about, 300))}</div>" if about else "")
        + f'<table style="border-collapse:collapse">{facts}</table>'
        + (f'<table style="border-collapse:collapse;margin-top:6px">{tensors}</table>' if tensors else "")
        + (f'<div style="margin-top:6px">{splits}</div>' if splits else "")
        + "</div>"
    )


def describe_tensor(tensor: Tensor) -> str:
    """Describe a tensor in one line: ``uint16 [band 13, y 64, x 64] · B01 … B12 · nodata 0``."""
    kind = tensor.media_type or (tensor.dtype and _dtype_word(tensor.dtype)) or "dtype not known yet"
    parts = [f"{kind} {_axes(tensor)}".strip()]
    if tensor.role == "label":
        parts.append("label")
    names = [band.name for band in tensor.bands if band.name]
    if names:
        parts.append(" ".join(names) if len(names) <= MANY else f"{names[0]} … {names[-1]}")
    if tensor.classes:
        labels = [item.label for item in tensor.classes]
        parts.append(", ".join(labels[:MANY]) + (f" … ({len(labels)} classes)" if len(labels) > MANY else ""))
    if tensor.nodata is not None:
        parts.append(f"nodata {tensor.nodata}")
    if not tensor.required:
        parts.append("not in every sample")
    return " · ".join(parts)


def _axes(tensor: Tensor) -> str:
    if tensor.media_type is not None:
        return ""
    names = tensor.dims or ()
    sizes = tensor.shape if tensor.shape is not None else (None,) * len(names)
    if not names and tensor.shape is None:
        return ""
    words = [("?" if size is None else str(size)) for size in sizes]
    if names:
        known = tensor.shape is not None
        words = [f"{name} {word}" if known else name for name, word in zip(names, words, strict=True)]
    return f"[{', '.join(words)}]"


def _dtype_word(dtype: str) -> str:
    word = stac_word(dtype)
    return dtype.lower() if word in ("other", "cfloat32") else word


def _facts(collection: Collection) -> Iterator[tuple[str, str]]:
    if collection.tasks:
        yield "tasks", ", ".join(collection.tasks)
    if collection.placed:
        box = collection.extent.bbox[0]
        west, south, east, north = box[0], box[1], box[len(box) // 2], box[len(box) // 2 + 1]
        yield "place", f"{west:.6g} to {east:.6g} °E, {south:.6g} to {north:.6g} °N"
    start, end = collection.extent.interval[0]
    if start is not None or end is not None:
        days = ["open" if time is None else time.date().isoformat() for time in (start, end)]
        yield "time", days[0] if days[0] == days[1] else " to ".join(days)
    people = [contact.name for contact in collection.contacts] or [provider.name for provider in collection.providers]
    if people:
        yield "people", _cut(", ".join(people), 120)
    yield "licence", collection.license
    if collection.version:
        yield "version", collection.version


def _count(n_items: int) -> str:
    return "1 sample" if n_items == 1 else f"{n_items:,} samples"


def _cut(text: str, limit_chars: int) -> str:
    return text if len(text) <= limit_chars else text[: limit_chars - 1].rstrip() + "…"
