"""`mlstac convert`: a dataset of version 1.0 of folders of images, other libraries' datasets, or the original's."""

from typing import Any

import mlstac
from mlstac.cli._console import OUT, print_json, tell
from mlstac.cli._misuse import reading
from mlstac.cli._options import read_options
from mlstac.cli._words import say_count
from mlstac.conversion import check_kind
from mlstac.sample import parse_compression
from mlstac.storage import redact


def convert_source(source: str, path: str, *, store: list[str], as_json: bool, **options: Any) -> None:
    """Convert, and say what came of it."""
    with reading():
        check_kind(options.get("kind"))
        parse_compression(options.get("compression"))
    given = {name: value for name, value in options.items() if value not in (None, ())}
    collection = mlstac.convert(
        source, path, storage_options=read_options(store) or None, progress=None if not as_json else False, **given
    )
    counts = {name: split.n_items for name, split in collection.splits.items()}
    if as_json:
        tensors = {
            name: {"dtype": tensor.dtype, "shape": None if tensor.shape is None else list(tensor.shape)}
            for name, tensor in collection.tensors.items()
        }
        print_json({"path": redact(path), "id": collection.id, "splits": counts, "tensors": tensors})
        return
    OUT.print(redact(path), markup=False, soft_wrap=True)
    each = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
    tell(f"wrote {say_count(sum(counts.values()), 'sample')}: {each}")
