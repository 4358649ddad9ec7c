"""`mlstac stats`: what was measured of each band and class; of the train split collection.json says it."""

import mlstac
from mlstac.cli._console import OUT, print_json
from mlstac.cli._info import summarize_tensor
from mlstac.cli._options import read_options
from mlstac.collection import Tensor
from mlstac.storage import redact

_MEASURED = "train"


def show_stats(source: str, *, split: str, recompute: bool, options: list[str], as_json: bool) -> None:
    """Print the statistics of a split; those of another one than train are taken from its samples."""
    store = read_options(options) or None
    collection = mlstac.open(source, storage_options=store)
    recompute = recompute or split != _MEASURED
    dataset = mlstac.load(collection, split=split, framework="numpy", storage_options=store) if recompute else None
    count = collection.train.n_items if dataset is None else len(dataset)
    if not count and not as_json:
        filled = [name for name, part in collection.splits.items() if part.n_items]
        mend = f"give --split {' or '.join(filled)}" if filled else "so are all of this dataset"
        OUT.print(f"no statistics: split {split!r} is empty; {mend}", markup=False, soft_wrap=True)
        return
    tensors = collection.tensors if dataset is None else _measure(dataset)
    if as_json:
        kept = ("role", "dtype", "nodata", "statistics", "bands", "classes")
        print_json(
            {
                "source": redact(source),
                "id": collection.id,
                "split": split,
                "samples": count,
                "recomputed": recompute,
                "tensors": {
                    name: {key: value for key, value in summarize_tensor(tensor).items() if key in kept}
                    for name, tensor in tensors.items()
                },
            }
        )
        return
    from mlstac.cli._info_page import draw_measures

    drawn = [table for name, tensor in tensors.items() for table in draw_measures(name, tensor)]
    if not drawn:
        OUT.print("no statistics: nothing was measured of the tensors of this dataset")
    for number, table in enumerate(drawn):
        OUT.print(*(("",) if number else ()), table, sep="\n")


def _measure(dataset: mlstac.Dataset) -> dict[str, Tensor]:
    """The tensors with the statistics of all samples of a split, which are read for it."""
    from tqdm import tqdm

    from mlstac.authoring import measure_samples

    # disable=None: no bar where stderr is no terminal
    return measure_samples(tqdm(dataset, total=len(dataset), unit=" samples", disable=None), dataset.collection)
