"""What an append builds on: the collection as it stands, and the runs that wrote its shards."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from mlstac.authoring._description import Description
from mlstac.authoring._journal import Run, ShardRecord
from mlstac.authoring._ledger import Ledger
from mlstac.authoring._measuring import measuring_in
from mlstac.authoring._target import Target
from mlstac.collection import Collection, Tensor
from mlstac.errors import FormatError, MissingFileError, VersionError


def read_collection(target: Target, name: str) -> Collection:
    """The collection of a dataset that is there.

    Raises
    ------
    MissingFileError
        If the folder holds no dataset.
    """
    return read_seen(target, name)[0]


def read_seen(target: Target, name: str) -> tuple[Collection, str]:
    """The collection of a dataset that is there, and the sha256 of its document.

    Of one reading: somebody else may put another there at any time.

    Raises
    ------
    MissingFileError
        If the folder holds no dataset.
    """
    if not target.exists(name):
        raise MissingFileError(
            f"{target} holds no dataset ({name}); write one there first with mlstac.write, or give the folder of one"
        )
    document = target.read(name)
    return Collection.from_json(document, href=target.at(name)), hashlib.sha256(document).hexdigest()


def named_parts(collection: Collection) -> dict[str, str | None]:
    """Checksum of each catalog part that a collection names, by href: two states with the same parts are one."""
    names = [name for split in collection.splits.values() for name in split.assets]
    return {collection.assets[name].href: collection.assets[name].checksum for name in names}


def described(collection: Collection) -> dict[str, Any]:
    """What a collection says of its tensors, for comparison with what it said at another time."""
    document = collection.to_dict()
    return {"tensors": document.get("ml:tensors"), "item_assets": document.get("item_assets")}


def find_base(runs: Sequence[Run], collection: Collection) -> list[Run] | None:
    """The runs that wrote the shards of a collection, oldest first; None where the journal does not have them.

    It does not where the dataset was copied without its journal, a fragment is gone or damaged, or the collection was
    changed since in what decides how samples are measured.
    """
    named = named_parts(collection)
    for run in reversed(runs):
        if run.settings.get("parts") != named:
            continue
        by_number = {some.number: some for some in runs}
        numbers = [*run.settings.get("base", []), run.number]
        if not all(number in by_number for number in numbers):
            return None
        found = [by_number[number] for number in numbers]
        try:
            records = Ledger(found).records
        except VersionError:
            raise
        except FormatError:
            return None
        return found if _has_all(records, collection) and _measures_alike(records, collection) else None
    return None


def _has_all(records: Sequence[ShardRecord], collection: Collection) -> bool:
    held = dict.fromkeys(collection.splits, 0)
    for record in records:
        held[record.split] = held.get(record.split, 0) + record.n_samples
    return held == {name: split.n_items for name, split in collection.splits.items()}


def _measures_alike(records: Sequence[ShardRecord], collection: Collection) -> bool:
    """Whether the collection still says of its tensors what they were measured by."""
    if not records:
        return True
    then, now = Description(collection), Description(collection)
    then.restore(records[-1].description)
    ways = [
        {
            name: measuring(name, tensor.dtype)
            for name, tensor in collection.tensors.items()
            if tensor.dtype is not None and name in description.tensors
        }
        for description, measuring in ((then, measuring_in("train", then)), (now, measuring_in("train", now)))
    ]
    return ways[0] == ways[1]


def restore_description(
    description: Description, records: Sequence[ShardRecord], tensors: Mapping[str, Tensor]
) -> None:
    """Take up what all samples so far had in common, and what the collection says of the tensors now.

    The layouts stay those that the author declared, not the loosest that came of it: what fits a closer one is laid so.
    """
    if not records:
        return
    description.restore(records[-1].description)
    for name, tensor in tensors.items():
        known = description.tensors.get(name)
        described = tensor.model_copy(deep=True)
        if known is not None:
            described.layout = known.layout
        description.tensors[name] = described
