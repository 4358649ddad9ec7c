"""`mlstac preview`: some samples with their labels, and a map of the dataset, in one picture."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import mlstac
from mlstac.cli._console import OUT, print_json, tell
from mlstac.cli._misuse import MisuseError
from mlstac.cli._options import read_options
from mlstac.cli._words import say_count
from mlstac.storage import redact

_MOST_FOOTPRINTS = 5_000  # of a split; more would be one blot, and minutes of drawing


def write_preview(source: str, out: Path, *, split: str, count: int, options: list[str], as_json: bool) -> None:
    """Draw samples spread evenly over a split, and the footprints of every split, into a PNG file."""
    from mlstac.pictures import draw_preview, save

    _check_ending(out)
    store = read_options(options) or None
    collection = mlstac.open(source, storage_options=store)
    dataset = mlstac.load(
        collection, split=split, framework="numpy", decode=_is_drawable(collection), storage_options=store
    )
    if len(dataset) == 0:
        filled = [name for name, part in collection.splits.items() if part.n_items]
        mend = f"give --split {' or '.join(filled)}" if filled else "no split has any"
        raise mlstac.errors.NotFoundError(f"split {split!r} of {redact(source)} has no samples to draw; {mend}")
    rows = spread(len(dataset), count)
    ids = dataset.metadata.to_table(["id"])["id"].take(rows).to_pylist()
    figure = draw_preview(
        [dataset[row] for row in rows.tolist()],
        collection.tensors,
        _footprints(collection, store, say=None if as_json else tell),
        ids=ids,
        title=collection.title or collection.id,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    save(figure, out)
    if as_json:
        print_json({"path": str(out), "split": split, "ids": ids})
    else:
        OUT.print(str(out), markup=False, soft_wrap=True)
        tell(f"drew {say_count(len(ids), 'sample')} of split {split}")


def _check_ending(out: Path) -> None:
    """Refuse a file that matplotlib cannot write before anything is read."""
    from matplotlib.backend_bases import FigureCanvasBase

    endings = sorted(FigureCanvasBase.get_supported_filetypes())
    if out.suffix.lower().lstrip(".") not in endings:
        raise MisuseError(f"{out.name!r} is no file for a picture; end its name in .{', .'.join(endings)}")


def spread(length: int, count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Choose numbers of rows evenly over a split, the first and the last among them; all where there are few."""
    return np.linspace(0, max(length - 1, 0), min(count, length)).round().astype(np.int64)


def _is_drawable(collection: mlstac.Collection) -> bool:
    """Whether encoded images are to be decoded: not where a video among them would need a decoder of its own."""
    kinds = {(tensor.media_type or "").split("/")[0] for tensor in collection.tensors.values()}
    return "image" in kinds and "video" not in kinds


def _footprints(
    collection: mlstac.Collection, store: dict[str, Any] | None, *, say: Callable[[str], None] | None
) -> dict[str, list[bytes]]:
    """Footprints of each split as WKB; a split without places has none."""
    found = {}
    for name, split in collection.splits.items():
        if split.n_items == 0:
            continue
        metadata = mlstac.load(collection, split=name, framework="numpy", storage_options=store).metadata
        if "geometry" in metadata.columns:
            column = metadata.to_table(["geometry"])["geometry"].drop_null()
            shown = spread(len(column), _MOST_FOOTPRINTS)
            if say is not None and len(shown) < len(column):
                say(f"the map shows {len(shown):,} of the {len(column):,} footprints of {name}, evenly chosen")
            found[name] = column.take(shown).to_pylist()
    return found
