"""`mlstac append`: the samples of another dataset, added to one that is there."""

from collections.abc import Iterator, Mapping
from typing import Any

import mlstac
from mlstac.cli._console import OUT, print_json, tell
from mlstac.cli._words import say_count
from mlstac.collection import Collection, Tensor

_AT_ONCE = 1024
_ITEM = ("id", "type", "stac_version", "stac_extensions", "links", "collection", "geometry", "bbox", "assets")
_TIMES = ("datetime", "start_datetime", "end_datetime")
_GRID = ("proj:code", "proj:wkt2", "proj:transform", "proj:shape")
_FORMAT = frozenset((*_ITEM, *_TIMES, *_GRID))


def append_samples(path: str, source: str, *, split: str | None, version: str | None, as_json: bool) -> None:
    """Add the samples of a dataset to one that is there, each split to its own or all to one."""
    given = mlstac.open(source)
    filled = [name for name, part in given.splits.items() if part.n_items]
    before = mlstac.open(path)
    samples: dict[str, Any] = {name: _Samples(given, [name]) for name in filled}
    if split is not None:
        samples = {split: _Samples(given, filled)} if filled else {}
    written = mlstac.append(path, samples, version=version) if samples else before
    added = {
        name: part.n_items - (before.splits[name].n_items if name in before.splits else 0)
        for name, part in written.splits.items()
    }
    if as_json:
        print_json({"path": path, "version": written.version, "added": {name: n for name, n in added.items() if n}})
        return
    OUT.print(path, markup=False, soft_wrap=True)
    words = " · ".join(f"{name} {n:,}" for name, n in added.items() if n)
    tell(f"added {say_count(sum(added.values()), 'sample')}{f' ({words})' if words else ''}; version {written.version}")


class _Samples:
    """Samples of some splits of a dataset; what an unfinished append has already is not read again."""

    def __init__(self, collection: Collection, splits: list[str]) -> None:
        self._collection = collection
        self._splits = splits

    def __call__(self, skip: int) -> Iterator[mlstac.Sample]:
        for name in self._splits:
            dataset = mlstac.load(self._collection, split=name, framework="numpy")
            yield from read_samples(dataset, start=min(skip, len(dataset)))
            skip = max(skip - len(dataset), 0)


def read_samples(dataset: mlstac.Dataset, *, start: int = 0) -> Iterator[mlstac.Sample]:
    """Samples with all that their rows say: id, place, time and columns."""
    columns = dataset.metadata.columns
    table = dataset.metadata.to_table(columns if "proj:shape" in columns else [*columns, "assets"])
    for first in range(start, len(dataset), _AT_ONCE):
        for row, said in enumerate(table.slice(first, _AT_ONCE).to_pylist(), start=first):
            yield _sample(dataset.tensors, dataset[row], said)


def _sample(described: Mapping[str, Tensor], tensors: Mapping[str, Any], said: Mapping[str, Any]) -> mlstac.Sample:
    grids = _grids(described, tensors, said)
    times = {"datetime": said.get("datetime")}
    if times["datetime"] is None:
        times = {name: said.get(name) for name in ("start_datetime", "end_datetime")}
    return mlstac.Sample(
        tensors=tensors,
        id=said["id"],
        crs={name: crs for name, (crs, _) in grids.items() if crs is not None} or None,
        transform={name: transform for name, (_, transform) in grids.items() if transform is not None} or None,
        geometry=said.get("geometry"),
        properties={name: value for name, value in said.items() if name not in _FORMAT},
        **times,
    )


def _grids(
    described: Mapping[str, Tensor], tensors: Mapping[str, Any], said: Mapping[str, Any]
) -> dict[str, tuple[str | None, list[float] | None]]:
    """CRS and transform by tensor: the row's own, or where tensors are on different grids each asset's."""
    grids = {}
    for name, tensor in described.items():
        y, x = tensor.y_axis, tensor.x_axis
        if y is None or x is None or name not in tensors:
            continue
        place = (said if "assets" not in said else said["assets"].get(name)) or {}
        if list(place.get("proj:shape") or ()) == [tensors[name].shape[y], tensors[name].shape[x]]:
            grids[name] = (place.get("proj:code") or place.get("proj:wkt2"), place.get("proj:transform"))
    return grids
