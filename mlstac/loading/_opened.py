"""What `mlstac.open` gives its collection besides what it says: the rows of all its catalogs."""

from collections.abc import Collection as AbstractCollection
from typing import Any, NamedTuple

from mlstac.collection import Collection
from mlstac.loading._metadata import Metadata
from mlstac.storage import StorageOptions


class RowReader(NamedTuple):
    """Opens the catalogs of a collection with what it was opened with; two of the same are equal."""

    storage_options: StorageOptions
    revision: str | None
    allow_hosts: tuple[str, ...]

    def __call__(self, collection: Collection) -> Metadata:
        """All rows of all splits, one after another; nothing is read yet."""
        from mlstac.loading._load import load

        dataset = load(
            collection,
            split="all",
            framework="numpy",
            storage_options=self.storage_options,
            revision=self.revision,
            allow_hosts=self.allow_hosts,
        )
        counts: list[tuple[str, int]] = [(name, split.n_items) for name, split in collection.splits.items()]
        return dataset.metadata.with_splits(counts)

    def __repr__(self) -> str:
        """Nothing of what may hold credentials."""
        return "RowReader()"


def remember(
    collection: Collection, *, storage_options: Any, revision: str | None, allow_hosts: AbstractCollection[str]
) -> None:
    """Let a collection's ``metadata`` be read."""
    collection._read_rows = RowReader(storage_options, revision, tuple(allow_hosts))
