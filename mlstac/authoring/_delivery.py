"""Writing straight to a store: a working folder on this machine, and what brings the whole dataset from it."""

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlstac.authoring._publish import has_dataset, names_there, publish
from mlstac.authoring._target import Target
from mlstac.errors import ExistsError
from mlstac.storage import redact


class Delivery:
    """The way of a dataset that is written to a URL.

    Its shards are made in a folder under the user's cache, one for each URL, with the journal that a killed run goes
    on by. The whole dataset is published from there, and the folder is removed.

    Parameters
    ----------
    url : str
        Where the dataset goes.
    """

    def __init__(self, url: str, *, overwrite: bool, storage_options: Mapping[str, Any] | None) -> None:
        self._url = url
        self._overwrite = overwrite
        self._options = storage_options
        self.folder = working_folder(url)

    def check(self) -> list[str]:
        """Raise `ExistsError` if there is a dataset that is not to be replaced; better now than after the last sample.

        Returns
        -------
        list of str
            Names there that new files are not to take, so that readers of the dataset that is replaced keep theirs.

        Raises
        ------
        ExistsError, AccessError, MissingFileError, UnavailableError
            As of `publish`.
        """
        if self._overwrite:
            return names_there(self._url, storage_options=self._options)
        if has_dataset(self._url, storage_options=self._options):
            raise ExistsError(
                f"{redact(self._url)} already holds a dataset (collection.json); choose another URL, or give "
                f"overwrite=True to replace it"
            )
        return []

    def send(self, *, progress: bool | None) -> None:
        """Publish what is in the folder; if that fails, the same authoring goes on with what is missing."""
        try:
            publish(
                self.folder,
                self._url,
                overwrite=self._overwrite,
                storage_options=self._options,
                progress=progress,
            )
        except BaseException:
            self.reopen()
            raise

    def reopen(self) -> None:
        """Take the collection out of the working folder, where nobody but the writer looks: its run is unfinished."""
        Target(self.folder).remove("collection.json")

    def clear(self) -> None:
        """Remove the working folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def working_folder(url: str) -> Path:
    """Return the folder on this machine in which a dataset for a URL is made."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "mlstac" / "writing" / hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:16]
