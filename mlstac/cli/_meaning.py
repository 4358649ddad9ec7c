"""Whether the numbers of one dataset mean in another what they mean at home."""

from collections.abc import Iterator
from typing import Any

from mlstac.collection import Collection, Tensor
from mlstac.errors import InvalidSampleError
from mlstac.storage import redact


def check_meaning(given: Collection, there: Collection, *, source: str, path: str) -> None:
    """Refuse samples of which the numbers would mean something else where they go.

    Parameters
    ----------
    given : Collection
        Whose samples are to be added.
    there : Collection
        To which they are to be added: their tensors are described by it from then on.

    Raises
    ------
    InvalidSampleError
        If a tensor that both have has other classes, bands, axes, nodata, scale, offset or unit. What only one of
        them says of classes, names of bands, axes and units is no difference.
    """
    source, path = redact(source), redact(path)
    for name, tensor in given.tensors.items():
        if name in there.tensors:
            for what in _differences(tensor, there.tensors[name]):
                raise InvalidSampleError(
                    f"the numbers of tensor {name!r} mean other things in {source} than in {path}: {what}. Write "
                    f"{source} anew as {path} has it, or where its collection.json is wrong, mend that"
                )


def _differences(theirs: Tensor, ours: Tensor) -> Iterator[str]:
    """What the samples say, and what would be said of them, of whatever differs."""
    if theirs.dims and ours.dims and theirs.dims != ours.dims:
        yield f"its axes are {' '.join(theirs.dims)}, not {' '.join(ours.dims)}"
    yield from _classes(theirs, ours)
    mine, yours = _band_names(theirs), _band_names(ours)
    if mine and yours and mine != yours:
        yield f"its bands are {' '.join(mine)}, not {' '.join(yours)}"
    names, count = mine or yours, max(len(theirs.bands), len(ours.bands))
    for field, unsaid in (("nodata", None), ("scale", 1), ("offset", 0), ("unit", None)):
        of_bands = any(getattr(band, field) is not None for band in (*theirs.bands, *ours.bands))
        # What each band says is as good as the same said of the tensor.
        for band in range(count) if of_bands else (-1,):
            one, other = _said(theirs, band, field, unsaid), _said(ours, band, field, unsaid)
            if field == "unit" and None in (one, other):
                continue
            if not _is_same(one, other):
                where = "" if band < 0 else f" of band {names[band] if band < len(names) else band}"
                yield f"its {field}{where} is {one}, not {other}"


def _classes(theirs: Tensor, ours: Tensor) -> Iterator[str]:
    if not ours.classes:
        return
    known = {one.value: one.name for one in ours.classes}
    for one in theirs.classes:
        if one.value not in known:
            yield f"{one.value} is the class {one.name}, and there is no class {one.value} there"
        elif known[one.value] != one.name:
            yield f"{one.value} is the class {one.name}, not {known[one.value]}"


def _band_names(tensor: Tensor) -> list[str]:
    names = [band.name for band in tensor.bands if band.name]
    return names if len(names) == len(tensor.bands) else []


def _said(tensor: Tensor, band: int, field: str, unsaid: Any) -> Any:
    own = getattr(tensor.bands[band], field) if 0 <= band < len(tensor.bands) else None
    value = getattr(tensor, field) if own is None else own
    return unsaid if value is None else value


def _is_same(one: Any, other: Any) -> bool:
    both_nan = one != one and other != other
    return both_nan or bool(one == other)
