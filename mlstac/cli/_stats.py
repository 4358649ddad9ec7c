"""`mlstac stats`: what was measured of each band and class over the train split; reads collection.json alone."""

import mlstac
from mlstac.cli._console import OUT, print_json
from mlstac.cli._info import summarize_tensor


def show_stats(source: str, *, as_json: bool) -> None:
    """Print the statistics of a dataset."""
    collection = mlstac.open(source)
    if as_json:
        kept = ("role", "dtype", "nodata", "statistics", "bands", "classes")
        print_json(
            {
                "source": source,
                "id": collection.id,
                "split": "train",
                "tensors": {
                    name: {key: value for key, value in summarize_tensor(tensor).items() if key in kept}
                    for name, tensor in collection.tensors.items()
                },
            }
        )
        return
    from mlstac.cli._info_page import draw_measures

    drawn = [table for name, tensor in collection.tensors.items() for table in draw_measures(name, tensor)]
    if not drawn:
        OUT.print("no statistics: nothing was measured of the tensors of this dataset")
    for number, table in enumerate(drawn):
        OUT.print(*(("",) if number else ()), table, sep="\n")
