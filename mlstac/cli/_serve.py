"""`mlstac serve`: a folder over HTTP, as any static host with byte ranges would give it."""

from pathlib import Path
from urllib.parse import quote

from mlstac.cli._console import OUT, print_json, tell
from mlstac.cli._words import say_bytes, say_count
from mlstac.storage import open_server

_MOST_LINES = 8


def find_datasets(folder: Path) -> list[str]:
    """Datasets of a folder, as URL paths below it: itself (the empty path), or its folders that have a collection."""
    if (folder / "collection.json").is_file():
        return [""]
    return [quote(path.parent.name) + "/" for path in sorted(folder.glob("*/collection.json"))]


def serve_folder(path: Path, *, host: str, port: int, as_json: bool) -> None:
    """Serve a dataset, or a folder of datasets, until Ctrl-C.

    The lines that load it go to stdout; they are all there before the first request can come.
    """
    folder = path if path.is_dir() else path.parent
    datasets = find_datasets(folder)
    with open_server(folder, host=host, port=port, cors=True) as server:
        try:
            _say_what_is_served(folder, datasets, server.url, as_json=as_json)
            server.wait()
        except KeyboardInterrupt:  # however early: who reads the first line may press Ctrl-C amid the last
            if as_json:
                return
            tell(f"\nanswered {say_count(server.requests, 'request')} with {say_bytes(server.bytes_sent)}")


def _say_what_is_served(folder: Path, datasets: list[str], url: str, *, as_json: bool) -> None:
    base = url.rstrip("/") + "/"
    urls = [base + dataset for dataset in datasets]
    if as_json:
        print_json({"url": base, "datasets": urls})
        OUT.file.flush()
        return
    for one in urls[:_MOST_LINES]:
        OUT.print(f'mlstac.load("{one}", split="train")', style="code", markup=False, soft_wrap=True)
    OUT.file.flush()
    if not urls:
        tell(f"{folder} has no collection.json, and no folder in it has one; serving it all the same")
    if len(urls) > _MOST_LINES:
        tell(f"and {say_count(len(urls) - _MOST_LINES, 'more dataset')}")
    tell(f"serving {folder} at {base} with byte ranges and CORS; Ctrl-C ends it")
