"""A branch of a dataset repository of the Hugging Face Hub: what is there, and commits to it."""

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, cast

from mlstac.authoring._hub_bars import without_bars
from mlstac.authoring._progress import sending
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
from mlstac.storage import HubPlace, redact

MAIN = "main"
_AT_ONCE = 64
"""Files that are handed to the client together."""
_MOST_REGULAR = 2**30
"""The Hub puts no file of this size into git itself."""


class Seat:
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
        with self.named("looking for"):
            try:
                return str(self._api.repo_info(**self._common, revision=self._branch).sha)
            except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
                if isinstance(error, errors.GatedRepoError):
                    raise
                return None

    def make(self, *, private: bool | None) -> None:
        """Make the repository and the branch where they are missing."""
        with self.named("making"):
            self._api.create_repo(**self._common, private=private, exist_ok=True)
            if self._branch != MAIN:
                self._api.create_branch(**self._common, branch=self._branch, exist_ok=True)

    def describe(self, paths: list[str], commit: str, *, dated: bool = False) -> dict[str, Any]:
        """What the repository says of some files; those that it does not have are left out.

        Parameters
        ----------
        dated : bool
            Ask for the last commit of each, which takes the Hub longer.
        """
        found = {}
        with self.named("listing"):
            for start in range(0, len(paths), 256):
                some = self._api.get_paths_info(
                    **self._common, paths=paths[start : start + 256], revision=commit, expand=dated
                )
                found.update({info.path: info for info in some if hasattr(info, "size")})
        return found

    def commit(
        self,
        files: Mapping[str, Path | bytes],
        *,
        remove: Sequence[str] = (),
        parent: str | None,
        message: str,
        progress: bool | None,
    ) -> str:
        """Upload files, then show them all by one commit; return it once the files are there as they are here.

        Parameters
        ----------
        files : mapping of str to Path or bytes
            By their paths in the repository.
        remove : sequence of str
            Paths of files that the commit takes away.
        parent : str, optional
            The commit that this one must follow.
        """
        sizes = {path: len(file) if isinstance(file, bytes) else file.stat().st_size for path, file in files.items()}
        paths = list(files)
        bars = without_bars(self._client)
        with self.named("uploading to"), bars, sending(sum(sizes.values()), progress) as sent:
            additions: list[Any] = []
            for start in range(0, len(paths), _AT_ONCE):
                batch = [
                    counted_addition(self._client, path, files[path], sent) for path in paths[start : start + _AT_ONCE]
                ]
                self._api.preupload_lfs_files(**self._common, additions=batch, revision=self._branch, free_memory=False)
                for addition in batch:
                    addition.told(sizes[addition.path_in_repo])  # all of it, where the client has told of none
                additions += batch
            removals = [self._client.CommitOperationDelete(path) for path in remove]
            made = self._api.create_commit(
                **self._common,
                operations=[*additions, *removals],
                commit_message=message,
                revision=self._branch,
                parent_commit=parent,
            )
        found = self.describe(paths, made.oid)
        for path, size in sizes.items():
            info = found.get(path)
            if info is None or info.size != size:
                held = "nothing" if info is None else f"{info.size} bytes"
                url = redact(self._place.file(path, revision=self._branch))
                raise StorageError(f"{url}: {size} bytes were sent, and {held} is there; make the same call again")
        return str(made.oid)

    def tree(self, folder: str, commit: str) -> Iterator[Any]:
        """What the repository says of all files in a folder and below it."""
        errors = self._client.errors
        with self.named("listing"):
            try:
                found = self._api.list_repo_tree(
                    **self._common, path_in_repo=folder or None, recursive=True, revision=commit
                )
                yield from (info for info in found if hasattr(info, "size"))
            except errors.EntryNotFoundError:  # no such folder yet
                return

    def tagged(self, name: str) -> str | None:
        """The commit that a tag names; None where there is no such tag, or no such repository."""
        errors = self._client.errors
        with self.named("looking for the tags of"):
            try:
                tags = self._api.list_repo_refs(**self._common).tags
            except errors.RepositoryNotFoundError as error:
                if isinstance(error, errors.GatedRepoError):
                    raise
                return None
        return next((str(tag.target_commit) for tag in tags if tag.name == name), None)

    def tag(self, name: str, commit: str) -> None:
        """Give a commit that is there a name, once `tagged` has found the name free."""
        repository, page = self._place.repository, self._place.page
        without = f"{page} has the commit {commit}, which readers see, but it could not be tagged {name!r}"
        try:
            with self.named("tagging", again="make the same call again, which uploads nothing twice"):
                self._api.create_tag(**self._common, tag=name, revision=commit)
        except MlstacError as error:
            by_hand = f"`hf repos tag create {repository} {name} --revision {commit} --repo-type dataset`"
            raise type(error)(f"{without}: {error}; or tag it with {by_hand}") from None

    @contextmanager
    def named(self, doing: str, file: str | None = None, *, again: str | None = None) -> Iterator[None]:
        """Raise errors of ours. What the client says is left out: it may hold signed URLs.

        Parameters
        ----------
        file : str, optional
            URL of the one file that is read; nothing is written then.
        again : str, optional
            How to go on, where something is shown already.
        """
        try:
            yield
        except MlstacError:
            raise
        except Exception as error:  # noqa: BLE001 - the client raises its transport's errors too
            raise self._error(error, doing, file, again) from None  # a traceback would show what the client says

    def _error(self, error: Exception, doing: str, file: str | None, again: str | None) -> StorageError:
        told = error if isinstance(error, self._client.errors.HfHubHTTPError) else error.__cause__
        status = _status_of(told)
        where = f"{doing} {self._place.page if file is None else file}"
        can = "write there" if file is None else "read it"
        if again is None:
            same = "make the same call again"
            again = same if file is not None else f"nothing is shown of what was uploaded: {same}, and it goes on"
        if not status:
            return UnavailableError(f"{where}: the connection broke off; {again}")
        said = (getattr(told, "server_message", None) or "").split("\n")[0][:200]
        shown = f"{where}: the Hub answered {status}{f' ({said})' if said and '://' not in said else ''}"
        if status in (401, 403):
            return AccessError(f"{shown}; log in with `hf auth login` (or set HF_TOKEN) with a token that may {can}")
        if status == 404:
            return MissingFileError(f"{shown}; check the name, and that your token may {can}")
        if status == 412:
            return ChangedError(
                f"{shown}; somebody else has put a commit there meanwhile: look at it, then make the same call again"
            )
        return UnavailableError(f"{shown}; {again}")


def counted_addition(client: ModuleType, path: str, file: Path | bytes, sent: Callable[[int], object]) -> Any:
    """A file for a commit that tells of its bytes as they are sent.

    The client reads a file that goes as Git LFS through ``as_file(with_tqdm=True)``. What goes by Xet it reads on its
    own: that is told at the end of a file. Of files with the same contents it takes one for all, and may read it in as
    many threads at once.
    """
    telling = threading.Lock()

    class Counted(client.CommitOperationAdd):  # type: ignore[name-defined,misc]
        n_told = 0

        def told(self, up_to: int) -> None:
            with telling:
                if up_to > self.n_told:  # a part that is sent once more is told of once
                    sent(up_to - self.n_told)
                    self.n_told = up_to

        @contextmanager
        def as_file(self, with_tqdm: bool = False) -> Iterator[BinaryIO]:
            with super().as_file() as opened:
                yield cast(BinaryIO, _Told(opened, self.told)) if with_tqdm else opened

    return Counted(path, file if isinstance(file, bytes) else str(file))


class _Told:
    """A file that tells how far it was read."""

    def __init__(self, file: BinaryIO, told: Callable[[int], object]) -> None:
        self._file = file
        self._told = told

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._told(self._file.tell())
        return data

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read(1 << 20):
            yield data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def import_client(options: Mapping[str, Any]) -> ModuleType:
    unknown = sorted(set(options) - {"token", "endpoint"})
    if unknown:
        raise InvalidArgumentError(f"storage_options of the Hub are token and endpoint, not {', '.join(unknown)}")
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        if error.name != "huggingface_hub":
            raise
        raise MissingPackageError("the Hub needs huggingface_hub; run: pip install huggingface_hub") from error
    return huggingface_hub


def branch_of(place: HubPlace, revision: str | None) -> str:
    if revision is not None and place.revision not in (None, revision):
        raise InvalidArgumentError(
            f"the URL names the revision {place.revision!r}, and revision={revision!r} is given too; give one"
        )
    return revision or place.revision or MAIN


def digests_of(path: Path) -> tuple[str, str]:
    """The names that the Hub may have for a file's contents: its sha256, in LFS, and git's own."""
    data = path.read_bytes() if path.stat().st_size < _MOST_REGULAR else b""
    with path.open("rb") as handle:
        sha256 = hashlib.file_digest(handle, "sha256").hexdigest()
    return sha256, hashlib.sha1(b"blob %d\0%b" % (len(data), data), usedforsecurity=False).hexdigest()


def same_contents(info: Any, file: Path, *, sha256: str | None = None) -> bool:
    """Tell whether the Hub has a file: by sha256 where it is in LFS, else as git names its contents.

    Parameters
    ----------
    info : RepoFile or None
        What the Hub says of it.
    sha256 : str, optional
        Of the file here, where it is known.
    """
    if info is None or info.size != file.stat().st_size:
        return False
    if info.lfs is not None and sha256 is not None:
        return bool(info.lfs.sha256 == sha256)
    return (info.lfs.sha256 if info.lfs is not None else info.blob_id) in digests_of(file)


def _status_of(error: Any) -> int:
    """HTTP status that an error of the client stands for; 0 where there was no answer."""
    response = getattr(error, "response", None)
    return int(getattr(response, "status_code", 0) or 0)
