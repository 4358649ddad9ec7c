"""A dataset to the Hugging Face Hub: files first, then one commit that shows them all."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from mlstac.authoring._inventory import DatasetFile, Inventory
from mlstac.authoring._publish import Publication, PublishedFile, check_same_dataset, compare, keep_page, sending
from mlstac.authoring._session import COLLECTION
from mlstac.cards import README
from mlstac.errors import (
    AccessError,
    ChangedError,
    InvalidArgumentError,
    MissingFileError,
    MissingPackageError,
    MlstacError,
    StorageError,
    UnavailableError,
)
from mlstac.storage import Fetcher, HubPlace, redact

_MAIN = "main"
_AT_ONCE = 64
"""Files that are handed to the client together: between two such batches the bar moves."""


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
    client = _import_client(options)
    branch = _branch_of(place, revision)
    token = options.get("token")
    api = client.HfApi(endpoint=place.endpoint, token=token)
    seat = _Seat(client, api, place, branch)
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
    actions = compare(inventory, lambda file: file.name in kept or _is_same(there.get(prefix + file.name), file, root))
    files = tuple(
        PublishedFile(file.name, place.file(prefix + file.name, revision=branch), file.size, action)
        for file, action in zip(inventory.files, actions, strict=True)
    )
    at = "" if branch == _MAIN else f"@{branch}"
    url = f"hf://datasets/{place.repository}{at}{'/' + place.path if place.path else ''}"
    if dry_run:
        return Publication(url, files, dry_run=True, commit=head)
    seat.make(private=private)
    uploads = [file for file in files if file.action == "upload"]
    if uploads:
        message = message or f"Publish {inventory.collection.id} with mlstac"
        head = seat.commit(root, uploads, prefix, parent=head, message=message, progress=progress)
    if tag is not None:
        seat.tag(tag, str(head))
    return Publication(url, files, commit=head)


def has_dataset_on_hub(place: HubPlace, options: Mapping[str, Any]) -> bool:
    """Tell whether a branch has a collection."""
    client = _import_client(options)
    api = client.HfApi(endpoint=place.endpoint, token=options.get("token"))
    seat = _Seat(client, api, place, _branch_of(place, None))
    head = seat.head()
    path = f"{place.path}/{COLLECTION}".lstrip("/")
    return head is not None and path in seat.describe([path], head)


class _Seat:
    """A branch of a repository, and what is asked of it. Every error of the client comes out as one of ours."""

    def __init__(self, client: ModuleType, api: Any, place: HubPlace, branch: str) -> None:
        self._client = client
        self._api = api
        self._place = place
        self._branch = branch
        self._common = {"repo_id": place.repository, "repo_type": "dataset"}

    def head(self) -> str | None:
        """The commit of the branch; None where there is no such branch, or no such repository."""
        errors = self._client.errors
        with self._named("looking for"):
            try:
                return str(self._api.repo_info(**self._common, revision=self._branch).sha)
            except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
                if isinstance(error, errors.GatedRepoError):
                    raise
                return None

    def make(self, *, private: bool | None) -> None:
        """Make the repository and the branch where they are missing."""
        with self._named("making"):
            self._api.create_repo(**self._common, private=private, exist_ok=True)
            if self._branch != _MAIN:
                self._api.create_branch(**self._common, branch=self._branch, exist_ok=True)

    def describe(self, paths: list[str], commit: str) -> dict[str, Any]:
        """What the repository says of some files; those that it does not have are left out."""
        found = {}
        with self._named("listing"):
            for start in range(0, len(paths), 256):
                some = self._api.get_paths_info(**self._common, paths=paths[start : start + 256], revision=commit)
                found.update({info.path: info for info in some if hasattr(info, "size")})
        return found

    def commit(
        self,
        root: Path,
        uploads: list[PublishedFile],
        prefix: str,
        *,
        parent: str | None,
        message: str,
        progress: bool | None,
    ) -> str:
        """Upload files, then show them all by one commit; return it once the files are there as they are here."""
        adding = self._client.CommitOperationAdd
        with self._named("uploading to"), sending(sum(file.size for file in uploads), progress) as sent:
            additions = []
            for start in range(0, len(uploads), _AT_ONCE):
                some = uploads[start : start + _AT_ONCE]
                batch = [adding(prefix + file.name, str(root / file.name)) for file in some]
                self._api.preupload_lfs_files(**self._common, additions=batch, revision=self._branch, free_memory=False)
                additions += batch
                sent(sum(file.size for file in some))
            made = self._api.create_commit(
                **self._common,
                operations=additions,
                commit_message=message,
                revision=self._branch,
                parent_commit=parent,
            )
        found = self.describe([prefix + file.name for file in uploads], made.oid)
        for file in uploads:
            info = found.get(prefix + file.name)
            if info is None or info.size != file.size:
                held = "nothing" if info is None else f"{info.size} bytes"
                raise StorageError(
                    f"{redact(file.url)}: {file.size} bytes were sent, and {held} is there; publish again"
                )
        return str(made.oid)

    def tag(self, name: str, commit: str) -> None:
        """Give a commit a name; one that has that name already is left alone."""
        with self._named("tagging"):
            try:
                self._api.create_tag(**self._common, tag=name, revision=commit)
            except self._client.errors.HfHubHTTPError as error:
                if _status_of(error) == 409:
                    raise InvalidArgumentError(
                        f"{self._place.page} has a tag {name!r} already, and a tag stays where it is; choose another"
                    ) from None
                raise

    @contextmanager
    def _named(self, doing: str) -> Iterator[None]:
        """Raise errors of ours. What the client says is left out: it may hold signed URLs."""
        page = self._place.page
        try:
            yield
        except MlstacError:
            raise
        except Exception as error:  # noqa: BLE001 - the client raises its transport's errors too
            told = error if isinstance(error, self._client.errors.HfHubHTTPError) else error.__cause__
            status = _status_of(told)
        else:
            return
        if not status:
            raise UnavailableError(
                f"{doing} {page}: the connection broke off; nothing is shown of what was uploaded: publish again, and "
                f"it goes on"
            )
        said = (getattr(told, "server_message", None) or "").split("\n")[0][:200]
        shown = f"{doing} {page}: the Hub answered {status}{f' ({said})' if said and '://' not in said else ''}"
        if status in (401, 403):
            raise AccessError(
                f"{shown}; log in with `hf auth login` (or set HF_TOKEN) with a token that may write there"
            )
        if status == 404:
            raise MissingFileError(f"{shown}; check the name, and that your token may write there")
        if status == 412:
            raise ChangedError(f"{shown}; somebody else published there meanwhile: look at it, then publish again")
        raise UnavailableError(f"{shown}; nothing is shown of what was uploaded: publish again, and it goes on")


def _import_client(options: Mapping[str, Any]) -> ModuleType:
    unknown = sorted(set(options) - {"token", "endpoint"})
    if unknown:
        raise InvalidArgumentError(f"storage_options of the Hub are token and endpoint, not {', '.join(unknown)}")
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        if error.name != "huggingface_hub":
            raise
        raise MissingPackageError(
            "publishing to the Hub needs huggingface_hub; run: pip install huggingface_hub"
        ) from error
    return huggingface_hub


def _branch_of(place: HubPlace, revision: str | None) -> str:
    if revision is not None and place.revision not in (None, revision):
        raise InvalidArgumentError(
            f"the URL names the revision {place.revision!r}, and revision={revision!r} is given too; give one"
        )
    return revision or place.revision or _MAIN


def _is_same(info: Any, file: DatasetFile, root: Path) -> bool:
    """Tell whether the Hub has a file: by sha256 where it is in LFS, else as git names its contents."""
    if info is None or info.size != file.size:
        return False
    if info.lfs is not None:
        if file.sha256 is not None:
            return bool(info.lfs.sha256 == file.sha256)
        with (root / file.name).open("rb") as handle:
            return bool(info.lfs.sha256 == hashlib.file_digest(handle, "sha256").hexdigest())
    data = (root / file.name).read_bytes()
    return bool(info.blob_id == hashlib.sha1(b"blob %d\0%b" % (len(data), data), usedforsecurity=False).hexdigest())


def _status_of(error: Any) -> int:
    """HTTP status that an error of the client stands for; 0 where there was no answer."""
    response = getattr(error, "response", None)
    return int(getattr(response, "status_code", 0) or 0)
