"""`mlstac card` and `mlstac export-tdml`: a dataset in words for other places."""

from pathlib import Path

import mlstac
from mlstac.cli._console import OUT, print_json, tell
from mlstac.cli._options import read_options
from mlstac.cli._words import say_count


def write_card(path: Path, *, overwrite: bool, pictures: bool, source: str | None, as_json: bool) -> None:
    """Make a dataset's card again, and name the files written."""
    written = mlstac.card(path, overwrite=overwrite, pictures=pictures, source=source)
    if as_json:
        print_json({"path": str(path), "files": written})
        return
    for name in written:
        OUT.print(str(path / name), markup=False, soft_wrap=True)


def write_tdml(source: str, out: Path, *, options: list[str], as_json: bool) -> None:
    """Write a dataset's description in TrainingDML-AI."""
    document = mlstac.export_tdml(source, out, storage_options=read_options(options) or None)
    count = document["amountOfTrainingData"]
    if as_json:
        print_json({"path": str(out), "samples": count})
    else:
        OUT.print(str(out), markup=False, soft_wrap=True)
        tell(f"described {say_count(count, 'sample')}")
