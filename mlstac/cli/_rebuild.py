"""`mlstac rebuild`: catalogs and collection made anew, of what is left."""

import mlstac
from mlstac.cli._console import OUT, print_json, tell
from mlstac.cli._options import read_options
from mlstac.cli._words import say_count
from mlstac.storage import redact


def rebuild_catalogs(path: str, *, drop_missing: bool, options: list[str], as_json: bool) -> None:
    """Make the catalogs anew, and say of what, and what is lost."""
    done = mlstac.rebuild(path, drop_missing=drop_missing, storage_options=read_options(options))
    samples = {name: split.n_items for name, split in done.collection.splits.items()}
    if as_json:
        print_json({"path": redact(path), "source": done.source, "samples": samples, "lost": done.lost})
        return
    OUT.print(redact(path), markup=False, soft_wrap=True)
    tell(f"made the catalogs of {say_count(sum(samples.values()), 'sample')} anew, of the {done.source}")
    for words in done.lost:
        tell(f"lost: {words}")
