"""`mlstac gc`: files of a dataset that nothing names any more."""

import mlstac
from mlstac.authoring import parse_age
from mlstac.cli._console import OUT, print_json, tell
from mlstac.cli._misuse import reading
from mlstac.cli._options import read_options
from mlstac.cli._words import say_bytes, say_count
from mlstac.storage import redact


def collect_garbage(
    path: str, *, dry_run: bool, unfinished: bool, older_than: str | None, options: list[str], as_json: bool
) -> None:
    """Remove what nothing names, or only say what would go; the names go to stdout, one a line."""
    with reading():
        age = None if older_than is None else parse_age(older_than)
    found = mlstac.gc(
        path,
        dry_run=dry_run,
        unfinished=unfinished,
        older_than=age,
        storage_options=read_options(options),
    )
    if as_json:
        said = {"path": redact(path), "dry_run": dry_run, "bytes": found.nbytes, "files": found.files}
        print_json({**said, "kept": found.kept, "young": found.young})
        return
    for name in found.files:
        OUT.print(name, markup=False, soft_wrap=True)
    verb = "would remove" if dry_run else "removed"
    tell(f"{verb} {say_count(len(found.files), 'file')}, {say_bytes(found.nbytes)}")
    for reason in found.kept:
        tell(f"kept {reason}")
