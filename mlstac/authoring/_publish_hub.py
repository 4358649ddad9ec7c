"""A dataset to the Hugging Face Hub: files first, then one commit that shows them all."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlstac.authoring._depot import COLLECTION
from mlstac.authoring._hub_seat import MAIN, Seat, branch_of, import_client, same_contents
from mlstac.authoring._inventory import Inventory
from mlstac.authoring._publish import Publication, PublishedFile, check_same_dataset, compare, keep_page
from mlstac.cards import README
from mlstac.storage import Fetcher, HubPlace


def publish_to_hub(
    root: Path,
    inventory: Inventory,
    place: HubPlace,
    *,
    dry_run: bool,
    overwrite: bool,
    private: bool | None,
    revision: str | None,
    tag: str | None,
    message: str | None,
    options: Mapping[str, Any],
    progress: bool | None,
) -> Publication:
    """Upload what changed, and make one commit of it; arguments and errors as of `publish`."""
    client = import_client(options)
    branch = branch_of(place, revision)
    token = options.get("token")
    api = client.HfApi(endpoint=place.endpoint, token=token)
    seat = Seat(client, api, place, branch)
    head = seat.head()
    prefix = f"{place.path}/" if place.path else ""
    there = seat.describe([prefix + file.name for file in inventory.files], head) if head else {}
    if prefix + COLLECTION in there and not overwrite:
        with Fetcher(storage_options={"token": token, "endpoint": place.endpoint}) as fetcher:
            found = fetcher.read_bytes(place.file(prefix + COLLECTION, revision=str(head)))
        check_same_dataset(inventory, found, at=place.page, overwrite=overwrite)
    kept: set[str] = set()
    if prefix + README in there:

        def read_page() -> bytes:
            with Fetcher(storage_options={"token": token, "endpoint": place.endpoint}) as fetcher:
                return fetcher.read_bytes(place.file(prefix + README, revision=str(head)))

        names = {path.removeprefix(prefix) for path in there}
        kept = keep_page(inventory, root, names, read_page, at=place.page)
    actions = compare(
        inventory,
        lambda file: (
            file.name in kept or same_contents(there.get(prefix + file.name), root / file.name, sha256=file.sha256)
        ),
    )
    files = tuple(
        PublishedFile(file.name, place.file(prefix + file.name, revision=branch), file.size, action)
        for file, action in zip(inventory.files, actions, strict=True)
    )
    at = "" if branch == MAIN else f"@{branch}"
    url = f"hf://datasets/{place.repository}{at}{'/' + place.path if place.path else ''}"
    if dry_run:
        return Publication(url, files, dry_run=True, commit=head)
    seat.make(private=private)
    uploads = [file for file in files if file.action == "upload"]
    if uploads:
        message = message or f"Publish {inventory.collection.id} with mlstac"
        going: dict[str, Path | bytes] = {prefix + file.name: root / file.name for file in uploads}
        head = seat.commit(going, parent=head, message=message, progress=progress)
    if tag is not None:
        seat.tag(tag, str(head))
    return Publication(url, files, commit=head)
