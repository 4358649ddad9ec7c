"""``mlstac.convert``: a dataset of version 1.0 of what people have."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from mlstac.authoring import write
from mlstac.collection import Collection, Tensor
from mlstac.conversion._numbering import number_folders, renumber
from mlstac.conversion._plan import Plan
from mlstac.conversion._renumbering import renumbered
from mlstac.conversion._source import make_plan
from mlstac.errors import InvalidArgumentError, InvalidSampleError, NotFoundError
from mlstac.storage import StorageOptions, assign_options, dataset_name


def convert(
    source: Any,
    path: str | os.PathLike[str],
    collection: Collection | Mapping[str, Any] | None = None,
    *,
    kind: str | None = None,
    bands: str | Sequence[Any] | None = None,
    classes: Mapping[int, str] | Sequence[Any] | None = None,
    split_by: str | Mapping[str, Any] | None = None,
    shard_size: int | str = "256MB",
    layout: str = "auto",
    compression: str | None = None,
    overwrite: bool = False,
    storage_options: StorageOptions = None,
    allow_hosts: Sequence[str] = (),
    progress: bool | None = None,
    **collection_fields: Any,
) -> Collection:
    """Make a dataset of version 1.0 of what there is: folders of images, other libraries' datasets, the original's.

    CRS, transform, band names, nodata, scale and offset are kept where the source has them, and not invented where it
    has not. Called again after it was broken off, it goes on after the last whole shard.

    Parameters
    ----------
    source : path, URL, object or dict
        A main.json of the original ML-STAC; a folder of class folders of images; images and masks, or a dict of a
        folder for each tensor; WebDataset tars; a folder of MDS shards; a Hugging Face ``Dataset`` or a folder that
        one was saved to; a dataset whose items are dicts of tensors, as torchgeo's are, or a dict of such by split.
    path : str or path-like
        Folder of the new dataset, or its URL as `mlstac.publish` takes it.
    collection : Collection or mapping, optional
        What the dataset is said to be; or give its fields by keyword. What it leaves open the source fills in.
    kind : str, optional
        ``original``, ``classes``, ``pairs``, ``images``, ``webdataset``, ``mds``, ``huggingface`` or ``torchgeo``; by
        default told by what the source holds.
    bands : str or sequence, optional
        Bands of the image, where the source does not name them: a sensor (``"sentinel-2-l1c"``), or names.
    classes : mapping or sequence, optional
        Classes of the label, where the source does not name them: a list from value 0, or a mapping of value to name.
        Of class folders, names that are those of the folders give each folder its number; as many other names are new
        names for the folders, in the order of theirs (that of the numbers, where they are whole numbers). Where a
        dataset names its classes itself (``ClassLabel`` of Hugging Face, ``classes`` of torchgeo), all of its names
        give its labels the numbers that they have here, and other names are new names for its values. The classes of
        the tensor in ``collection`` are read alike.
    split_by : str or mapping, optional
        As for `mlstac.write`, of a source that has one split.
    shard_size, layout, compression, overwrite, progress
        As for `mlstac.write`.
    storage_options : mapping or callable, optional
        Of the store that the dataset is written to, as `mlstac.publish` takes them; and for a main.json as
        `mlstac.load` does. Where those are at two kinds of places (S3 and the Hub, say) they are the first's alone: no
        credentials go to another host.
    allow_hosts
        For a main.json, as `mlstac.load` takes them.
    **collection_fields
        Fields of a `Collection`: ``id``, ``license``, ``tasks`` …

    Returns
    -------
    Collection
        As written.

    Raises
    ------
    InvalidArgumentError
        If the source is of no known kind; lists those that are. If it has class folders or names its classes, and those
        given are more or fewer, or name some of them and not the others; lists the source's.
    FormatError, InvalidSampleError
        If the source is not what its kind says, or a sample of it cannot be written; names the file.
    MissingPackageError
        If rasterio, datasets or zstandard is needed and not installed.
    ExistsError
        If the path holds a dataset.

    Examples
    --------
    >>> convert("EuroSAT_RGB", "eurosat", bands=["red", "green", "blue"], license="MIT")  # doctest: +SKIP
    """
    if collection is not None and collection_fields:
        given = ", ".join(collection_fields)
        raise InvalidArgumentError(f"a collection and fields of one ({given}) are given; put the fields into it")
    from_text = os.fspath(source) if isinstance(source, str | os.PathLike) else ""
    theirs, ours = assign_options(from_text, path, storage_options)
    plan, names = make_plan(source, kind, storage_options=theirs, allow_hosts=allow_hosts)
    called = {name: tensor.classes for name, tensor in plan.tensors.items() if tensor.classes and not plan.numbers}
    _describe(plan, bands if bands is not None else names, classes, asked=bands is not None)
    described = _collection(plan, collection, collection_fields, path)
    said = described.tensors[plan.label].classes if plan.numbers and plan.label else []
    if plan.numbers and (said or classes is not None):
        plan.numbers.update(number_folders(list(plan.numbers), said))
    changes = {name: renumber(own, described.tensors[name].classes, tensor=name) for name, own in called.items()}
    changes = {name: change for name, change in changes.items() if change}
    if changes:
        plan.splits = {name: renumbered(read, changes) for name, read in plan.splits.items()}
    samples: Any = plan.splits
    if split_by is not None:
        if len(plan.splits) > 1:
            raise InvalidArgumentError(
                f"split_by divides one split, and the source has {', '.join(plan.splits)}; leave split_by out"
            )
        samples = next(iter(plan.splits.values()))(0)
    try:
        return write(
            samples,
            path,
            described,
            shard_size=shard_size,
            layout=layout,
            compression=compression,
            split_by=split_by,
            overwrite=overwrite,
            storage_options=ours,
            progress=progress,
        )
    except InvalidSampleError as error:
        what, mend, _ = str(error).partition("; convert it before adding")
        if not mend or plan.kind not in ("classes", "pairs", "images"):
            raise
        raise InvalidSampleError(
            f"{what}; images of one kind have one dtype: convert the file (gdal_translate -ot), or leave images of "
            f"another kind in a folder of their own, outside of the source{'' if kind else _say_taken(plan)}"
        ) from error


def _say_taken(plan: Plan) -> str:
    """What a source was taken for that nobody had named."""
    return (
        f" (it was taken for kind={plan.kind!r}: if it is none, say another, or give a folder for each tensor, as a "
        "dict from Python)"
    )


def _describe(plan: Plan, bands: Any, classes: Any, *, asked: bool) -> None:
    """Put bands and classes that the user gives where they belong."""
    for what, value, name in (("bands", bands, plan.image), ("classes", classes, plan.label)):
        if value is None:
            continue
        if name is None or name not in plan.tensors:
            if what == "bands" and not asked:
                continue
            raise NotFoundError(
                f"{what}= is given, and the source has no {'image' if what == 'bands' else 'label'} for it; "
                f"its tensors are {', '.join(plan.tensors) or 'none'}: describe it with collection="
            )
        given = plan.tensors[name].model_dump(exclude_defaults=True)
        if what == "bands" and given.get("dims") is None:
            given["dims"] = "band y x"
        plan.tensors[name] = Tensor(**(given | {what: value}))


def _collection(
    plan: Plan, collection: Collection | Mapping[str, Any] | None, fields: Mapping[str, Any], path: Any
) -> Collection:
    """The user's words, and where they leave something open the source's."""
    if isinstance(collection, Collection):
        said = {name: getattr(collection, name) for name in collection.model_fields_set}
    else:
        said = dict(collection or fields)
    tensors = plan.tensors | {
        name: _joined(plan.tensors.get(name), given) for name, given in dict(said.pop("tensors", None) or {}).items()
    }
    found = {"id": dataset_name(path) or "dataset"} | plan.fields | said
    return Collection(**found, tensors=tensors)


def _joined(found: Tensor | None, given: Any) -> Tensor:
    """What is given of a tensor, and of the rest what was found."""
    if found is None:
        return given if isinstance(given, Tensor) else Tensor(**given)
    said = {name: getattr(given, name) for name in given.model_fields_set} if isinstance(given, Tensor) else dict(given)
    return Tensor(**(found.model_dump(exclude_defaults=True) | said))
