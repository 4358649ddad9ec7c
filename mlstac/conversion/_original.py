"""Datasets of the original ML-STAC: catalogs anew from the samples' own headers, places as they truly are."""

from collections.abc import Generator, Sequence
from typing import Any

from mlstac.collection import Collection, Tensor
from mlstac.conversion._fields import Fields
from mlstac.conversion._peek import describe_first, raster_tensors
from mlstac.conversion._plan import Plan, Samples
from mlstac.conversion._raster import place
from mlstac.loading import load, original_samples
from mlstac.sample import Sample
from mlstac.storage import StorageOptions

_FIELDS = (
    "id",
    "title",
    "description",
    "keywords",
    "license",
    "version",
    "providers",
    "contacts",
    "doi",
    "citation",
    "tasks",
    "split_strategy",
    "raw_data_url",
    "discussion_url",
    "paper",
)
_CONSTANT = ("id", "type", "stac_version", "stac_extensions", "links", "collection", "geometry", "bbox", "datetime")


def plan_original(source: Any, *, storage_options: StorageOptions = None, allow_hosts: Sequence[str] = ()) -> Plan:
    """Plan the conversion of a dataset of the original ML-STAC."""
    opened = original_samples(source, storage_options=storage_options, allow_hosts=allow_hosts)
    fields = {name: getattr(opened.collection, name) for name in _FIELDS}
    fields = {name: value for name, value in fields.items() if value not in (None, "", [])}
    if opened.splits:
        fields = _possible(fields, opened.collection.tensors)
        label = next((name for name, tensor in opened.tensors.items() if tensor.role == "label"), None)
        return Plan("original", opened.splits, opened.tensors, fields, image="input", label=label)
    options = {"framework": "numpy", "storage_options": storage_options, "allow_hosts": allow_hosts}
    found: dict[str, Tensor] = {}
    splits = {name: _members(source, name, options, found) for name in opened.collection.splits}
    tensors = describe_first(splits, rasters=found)
    return Plan("original", splits, tensors, _possible(fields, tensors), image=next(iter(tensors), None))


def _possible(fields: dict[str, Any], tensors: dict[str, Tensor]) -> dict[str, Any]:
    """The fields with tasks that the tensors serve; another becomes a term of the dataset's own.

    Of the original's detection data nobody asked for a class a box, and a container's member holds image and label in
    one.
    """
    kept = []
    for task in fields.get("tasks", []):
        try:
            Collection(id="x", tasks=[task], tensors=tensors).check_tasks()
        except ValueError:
            task = f"x-{task}"
        kept.append(task)
    return fields | {"tasks": kept}


def _members(source: Any, split: str, options: dict[str, Any], found: dict[str, Tensor]) -> Samples:
    """Members of containers: GeoTIFFs become arrays on their places, other files stay files."""

    def read(skip: int) -> Generator[Sample, None, None]:
        dataset = load(source, split, **options)
        rows = dataset.metadata
        names = [name for name in rows.columns if name not in _CONSTANT]
        table = rows.to_table(["id", *names]).to_pylist()
        rest = dataset.subset(slice(skip, None))
        number = skip
        for batch in rest.batches(16):
            for data in batch["data"]:
                row = table[number]
                fields = Fields(f"member {row['id']!r}")
                fields.add("data", data)
                for name in names:
                    fields.tell(name, row[name])
                for name, tensor in raster_tensors(fields).items():
                    found.setdefault(name, tensor)
                yield Sample(fields.tensors, id=row["id"], properties=fields.properties, **place(fields.rasters))
                number += 1

    return read
