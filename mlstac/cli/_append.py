"""`mlstac append`: the samples of another dataset, added to one that is there."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import mlstac
from mlstac.cli._console import OUT, print_json, tell
from mlstac.cli._meaning import check_meaning
from mlstac.cli._options import read_options
from mlstac.cli._words import say_count
from mlstac.collection import Collection, Tensor
from mlstac.errors import InvalidSampleError
from mlstac.storage import StorageOptions, assign_options, redact

_AT_ONCE = 1024
_ITEM = ("id", "type", "stac_version", "stac_extensions", "links", "collection", "geometry", "bbox", "assets")
_TIMES = ("datetime", "start_datetime", "end_datetime")
_GRID = ("proj:code", "proj:wkt2", "proj:transform", "proj:shape")
_FORMAT = frozenset((*_ITEM, *_TIMES, *_GRID))


def append_samples(
    path: str,
    source: str,
    *,
    split: str | None,
    version: str | None,
    id_prefix: str | None,
    options: list[str],
    as_json: bool,
) -> None:
    """Add the samples of a dataset to one that is there, each split to its own or all to one."""
    theirs, ours = assign_options(source, path, read_options(options))
    given = mlstac.open(source, storage_options=theirs)
    filled = [name for name, part in given.splits.items() if part.n_items]
    before = mlstac.open(path, storage_options=ours)
    check_meaning(given, before, source=source, path=path)
    keep_ids = id_prefix is not None
    samples: dict[str, Any] = {name: _Samples(given, [name], theirs, keep_ids=keep_ids) for name in filled}
    if split is not None:
        samples = {split: _Samples(given, filled, theirs, keep_ids=keep_ids)} if filled else {}
    written = before
    if samples:
        try:
            written = mlstac.append(path, samples, version=version, id_prefix=id_prefix, storage_options=ours)
        except InvalidSampleError as error:
            if "is used twice" not in str(error):
                raise
            raise InvalidSampleError(
                f"{error}. Give --id-prefix TEXT to put a text before the ids of {redact(source)}"
            ) from error
    added = {
        name: part.n_items - (before.splits[name].n_items if name in before.splits else 0)
        for name, part in written.splits.items()
    }
    if as_json:
        print_json(
            {"path": redact(path), "version": written.version, "added": {name: n for name, n in added.items() if n}}
        )
        return
    OUT.print(redact(path), markup=False, soft_wrap=True)
    words = " · ".join(f"{name} {n:,}" for name, n in added.items() if n)
    tell(f"added {say_count(sum(added.values()), 'sample')}{f' ({words})' if words else ''}; version {written.version}")


class _Samples:
    """Samples of some splits of a dataset; what an unfinished append has already is not read again."""

    def __init__(self, collection: Collection, splits: list[str], options: StorageOptions, *, keep_ids: bool) -> None:
        self._collection = collection
        self._splits = splits
        self._keep_ids = keep_ids
        self._options = options

    def __call__(self, skip: int) -> Iterator[mlstac.Sample]:
        for name in self._splits:
            dataset = mlstac.load(self._collection, split=name, framework="numpy", storage_options=self._options)
            for number, sample in enumerate(read_samples(dataset, start=min(skip, len(dataset))), start=skip):
                if not self._keep_ids and _is_default(str(sample.id), split=name, number=number):
                    sample.id = None  # its author gave it none: it goes on counting where it comes to stand
                yield sample
            skip = max(skip - len(dataset), 0)


def _is_default(name: str, *, split: str, number: int) -> bool:
    """Whether an id is one that samples without an id are given, in one go or in parts."""
    return name == f"{split}-{number:07d}" or re.fullmatch(rf"{re.escape(split)}-\d{{5}}-\d{{7}}", name) is not None


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
