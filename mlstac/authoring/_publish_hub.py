"""A dataset to the Hugging Face Hub: files first, then one commit that shows them all."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlstac.authoring._depot import COLLECTION
from mlstac.authoring._hub_seat import MAIN, Seat, branch_of, import_client, same_contents
from mlstac.authoring._inventory import Inventory
from mlstac.authoring._named_card import NamedCard
from mlstac.authoring._publish import Publication, PublishedFile, check_same_dataset, compare, keep_page
from mlstac.cards import README
from mlstac.errors import InvalidArgumentError
from mlstac.storage import Fetcher, HubPlace


def publish_to_hub(
    inventory: Inventory,
    place: HubPlace,
    card: NamedCard,
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
        kept = keep_page(inventory, names, read_page, at=place.page)
    actions = compare(
        inventory,
        lambda file: file.name in kept or same_contents(there.get(prefix + file.name), file.path, sha256=file.sha256),
    )
    files = tuple(
        PublishedFile(file.name, place.file(prefix + file.name, revision=branch), file.size, action)
        for file, action in zip(inventory.files, actions, strict=True)
    )
    at = "" if branch == MAIN else f"@{branch}"
    url = f"hf://datasets/{place.repository}{at}{'/' + place.path if place.path else ''}"
    uploads = [file for file in files if file.action == "upload"]
    tagged = None if tag is None else seat.tagged(tag)
    if tagged is not None and (uploads or tagged != head):
        raise InvalidArgumentError(
            f"{place.page} has a tag {tag!r} already, of commit {tagged}, and a tag stays where it is: choose another; "
            f"nothing was uploaded"
        )
    if dry_run:
        return Publication(url, files, dry_run=True, commit=head)
    seat.make(private=private)
    if uploads:
        paths = inventory.paths
        message = message or f"Publish {inventory.collection.id} with mlstac"
        going: dict[str, Path | bytes] = {prefix + file.name: paths[file.name] for file in uploads}
        head = seat.commit(going, parent=head, message=message, progress=progress)
    card.keep()  # before the tag: without it the commit is there all the same
    if tag is not None and tagged is None:
        seat.tag(tag, str(head))
    return Publication(url, files, commit=head)
