"""A part of a dataset at a store, from whichever machine writes it.

Its shards have their names in the dataset from the first, in a folder of the part's own (``train/00003/00000…``), for a
store cannot rename. Its journal lies at the store too, under ``.mlstac/parts/``, so that another machine may go on
where one was lost, and goes once the part is taken in.
"""

import os
import shutil
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from mlstac.authoring._depot import COLLECTION
from mlstac.authoring._remote import RemoteTarget, SentFile, working_folder
from mlstac.authoring._target import NewFile

_PRIVATE: Final = ".mlstac/"
_JOURNAL: Final = ".mlstac/journal/"


class RemotePart(RemoteTarget):
    """What a worker writes to.

    Parameters
    ----------
    folder : str
        Of the part's journal, in the dataset's folder.
    """

    def __init__(self, url: str, storage_options: Mapping[str, Any] | None, *, folder: str) -> None:
        super().__init__(url, storage_options)
        self._folder = folder
        self.root = working_folder(f"{self.place}/{folder}")

    def bring(self) -> None:
        """Take up the journal as the store has it, in the place of the one here."""
        here = self.path(_JOURNAL.rstrip("/"))
        shutil.rmtree(here, ignore_errors=True)
        self._listed = self.depot.list()
        for name in self._journal():
            copy = here / name.removeprefix(f"{self._folder}/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            self.depot.fetch(name, copy)

    def forget(self) -> None:
        """Remove the journal, here and at the store."""
        self.depot.remove(self._journal())
        self._listed = None
        self.leave()

    def leave(self) -> None:
        """Remove what is here; the store has all of it."""
        self.tidy()
        shutil.rmtree(self.root, ignore_errors=True)

    def _journal(self) -> list[str]:
        found = [name for name in self._there if name.startswith(f"{self._folder}/")]
        return sorted(found, key=lambda name: (not name.endswith("run.json"), name))

    def _at_store(self, name: str) -> str | None:
        return f"{self._folder}/{name.removeprefix(_JOURNAL)}" if name.startswith(_JOURNAL) else None

    # ------------------------------------------------------------------ the dataset beside it is not the part's concern

    def exists(self, name: str) -> bool:
        return self._is_here(name)

    def names(self, folder: str) -> list[str]:
        try:
            return sorted(os.listdir(self.path(folder)))
        except FileNotFoundError:
            return []

    def folders(self, folder: str) -> list[str]:
        return [name for name in self.names(folder) if (self.path(folder) / name).is_dir()]

    def digest(self, name: str) -> str | None:
        return None if name == COLLECTION else super().digest(name)

    # ------------------------------------------------------------------ the journal goes up line by line

    def put(self, name: str, data: bytes) -> None:
        super().put(name, data)
        self._mirror(name)

    def create(self, name: str) -> NewFile:
        if self._at_store(name):
            return SentFile(self.path(name), partial(self._mirror, name))
        return super().create(name)

    def _mirror(self, name: str) -> None:
        there = self._at_store(name)
        if there is not None:
            self.depot.put(there, self.path(name))

    def remove(self, name: str) -> None:
        super().remove(name)
        there = self._at_store(name)
        if there is not None:
            self.depot.remove([there])
