"""`mlstac publish`: a dataset's folder to an object store or the Hub."""

from typing import Any

import mlstac
from mlstac.authoring import Publication, check_place
from mlstac.cli._console import OUT, print_json, tell
from mlstac.cli._misuse import reading
from mlstac.cli._options import read_options
from mlstac.cli._words import say_bytes, say_count
from mlstac.storage import redact


def publish_folder(
    path: str,
    url: str,
    *,
    dry_run: bool,
    overwrite: bool,
    private: bool | None,
    revision: str | None,
    tag: str | None,
    options: list[str],
    as_json: bool,
) -> None:
    """Upload what changed, and print the URL that loads it; on a dry run, each file and where it would go."""
    store = read_options(options)
    of_the_hub: dict[str, Any] = {"private": private, "revision": revision, "tag": tag}
    with reading():
        check_place(path, url, storage_options=store, **of_the_hub)
    done = mlstac.publish(path, url, dry_run=dry_run, overwrite=overwrite, storage_options=store, **of_the_hub)
    if as_json:
        print_json(summarize(done))
        return
    if dry_run:
        for file in done.files:
            OUT.print(f"{file.action:6}  {say_bytes(file.size):>10}  {file.url}", markup=False, soft_wrap=True)
    else:
        OUT.print(redact(done.url), markup=False, soft_wrap=True)
    kept = len(done.files) - len(done.uploads)
    verb = "would upload" if dry_run else "uploaded"
    same = f"; {say_count(kept, 'file')} there already" if kept else ""
    tell(f"{verb} {say_count(len(done.uploads), 'file')} ({say_bytes(done.upload_bytes)}){same}")


def summarize(done: Publication) -> dict[str, object]:
    """A publication as JSON."""
    files = [file._asdict() for file in done.files]
    return {
        "url": redact(done.url),
        "dry_run": done.dry_run,
        "commit": done.commit,
        "upload_bytes": done.upload_bytes,
        "files": files,
    }
