"""A dataset in a few lines of text."""

from collections.abc import Iterable, Mapping

from mlstac.collection import Tensor

_MOST_BANDS = 13


def describe_dataset(
    title: str, count: int, framework: str, tensors: Mapping[str, Tensor], *, scaling: str, scaled: Iterable[str]
) -> str:
    """What ``repr`` of a dataset says: its name and length, and each tensor's dtype, shape, bands and classes."""
    changed = set(scaled)
    lines = [f"Dataset {title}: {count:,} samples, {framework} tensors"]
    for name, tensor in tensors.items():
        facts = [
            str(tensor.media_type or tensor.dtype),
            "×".join("?" if n is None else str(n) for n in tensor.shape or ()),
        ]
        bands = [band.name for band in tensor.bands if band.name]
        facts.append(" ".join(bands if len(bands) <= _MOST_BANDS else [*bands[: _MOST_BANDS - 1], "…"]))
        if tensor.classes:
            facts.append(f"{len(tensor.classes)} classes")
        if name in changed:
            facts.append(scaling)
        lines.append(f"  {name}: {', '.join(fact for fact in facts if fact)}")
    return "\n".join(lines)
