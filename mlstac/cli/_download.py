"""`mlstac download`: a dataset, or some splits of it, into a folder."""

import mlstac
from mlstac.cli._console import OUT, print_json
from mlstac.cli._options import read_options


def download_dataset(
    source: str, path: str, *, splits: list[str], revision: str | None, options: list[str], as_json: bool
) -> None:
    """Download, and print the folder."""
    folder = mlstac.download(
        source, path, splits or None, revision=revision, storage_options=read_options(options) or None
    )
    if as_json:
        files = [file for file in folder.rglob("*") if file.is_file() and not file.name.startswith(".")]
        print_json({"path": str(folder), "files": len(files), "bytes": sum(file.stat().st_size for file in files)})
    else:
        OUT.print(str(folder), markup=False, soft_wrap=True)
