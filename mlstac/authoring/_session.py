"""The start of an authoring: whether the path is free, and the unfinished run to go on with, if there is one."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from mlstac.authoring._journal import PARTS, PRIVATE, Journal, Run
from mlstac.authoring._lock import Lock
from mlstac.authoring._target import Target
from mlstac.errors import ExistsError, InvalidArgumentError

COLLECTION: Final = "collection.json"
_SHARD = re.compile(r"(\d{5,6})\.safetensors")
_PART = re.compile(r"catalog-(\d{5,6})\.parquet")


class Session:
    """The lock, the folders made, and the run of one authoring.

    Parameters
    ----------
    settings : mapping
        What decides the bytes of the shards; a run is gone on with only under the same settings.
    """

    def __init__(self, target: Target, *, settings: Mapping[str, Any], overwrite: bool) -> None:
        self.target = target
        self._made = target.make_folder(PRIVATE)
        self._lock = Lock(target.path(f"{PRIVATE}/lock"))
        try:
            self._lock.acquire()
        except BaseException:
            self._remove_folders()
            raise
        try:
            self.run = self._open_run(dict(settings), overwrite=overwrite)
        except BaseException:
            self._release()
            raise

    def digest(self) -> str | None:
        """The sha256 of the collection that readers see now; None where there is none."""
        if not self.target.exists(COLLECTION):
            return None
        return hashlib.sha256(self.target.read(COLLECTION)).hexdigest()

    def make_folder(self, name: str) -> None:
        """Make a folder of the dataset, to be removed again if nothing comes of it."""
        self._made = self.target.make_folder(name) + self._made

    def first_shard(self, split: str) -> int:
        """The first number in a split that no file had when the run began."""
        return int(self.run.settings["first_shards"].get(split, 0))

    def first_part(self, split: str) -> int:
        return int(self.run.settings["first_parts"].get(split, 0))

    def finish(self) -> None:
        """Mark the run as finished, and forget the runs that it replaces."""
        _forget_all_but(Journal(self.target).runs(), self.run)
        self._forget_parts()
        self._release()

    def hand_over(self) -> None:
        """Mark the run of a part as whole, for the dataset that it is a part of."""
        self.run.save(whole=True)
        self._release()

    def _forget_parts(self) -> None:
        self.target.remove_tree(f"{PARTS}/{self.run.number:05d}")
        self.target.remove_folder_if_empty(PARTS)

    def leave(self) -> None:
        """End without a collection; a run that has no whole shard leaves no trace."""
        has_parts = bool(self.target.names(f"{PARTS}/{self.run.number:05d}"))
        if not len(self.run) and not has_parts and not self.run.settings.get("finished"):
            self.run.discard(shards=False)
        self._release()

    def forget(self) -> None:
        """Put the unfinished run aside, so that the next call starts afresh."""
        self.run.discard(shards=not _is_in_use(self.run, self.digest()))

    def _open_run(self, settings: dict[str, Any], *, overwrite: bool) -> Run:
        runs = Journal(self.target).runs()
        seen = self.digest()
        last = runs[-1] if runs else None
        if last is not None and _is_in_use(last, seen):
            # Killed after the collection took its name: the dataset is whole, and nothing of it may be touched.
            self._clean()
            _forget_all_but(runs, last)
        elif last is not None and not last.settings.get("finished"):
            if last.settings["overwrite"] == overwrite and last.settings["replaces"] == seen:
                differs = _difference(last.settings["decides"], settings)
                if differs is None:
                    self._clean()
                    last.cut_at_damage()
                    return last
                if not overwrite:
                    raise InvalidArgumentError(
                        f"{self.target} holds an unfinished run with another {differs}; make the same call as then to"
                        " go on with it, or give overwrite=True to start over"
                    )
            elif not overwrite:
                raise ExistsError(
                    f"{self.target} holds a dataset, and an unfinished run that was to replace it; give overwrite=True"
                    " to go on with that, or choose another path"
                )
            self._clean()
            last.discard(shards=True)
        if seen is not None and not overwrite:
            raise ExistsError(
                f"{self.target} already holds a dataset ({COLLECTION}); choose another path, or give overwrite=True to"
                " replace it"
            )
        return Journal(self.target).begin(
            {
                "decides": settings,
                "overwrite": overwrite,
                "replaces": seen,
                "first_shards": self._free_numbers(_SHARD),
                "first_parts": self._free_numbers(_PART),
            }
        )

    def _free_numbers(self, pattern: re.Pattern[str]) -> dict[str, int]:
        """For each folder the number after the last one taken: no file that is there is ever written over."""
        free = {}
        for split in self._folders(""):
            names = self.target.names(split)
            for inner in self._folders(split):
                names += self.target.names(f"{split}/{inner}")
            taken = [int(match[1]) for name in names if (match := pattern.fullmatch(name))]
            if taken:
                free[split] = max(taken) + 1
        return free

    def _clean(self) -> None:
        """Remove the temporary files of a killed run."""
        self.target.remove_temporary("")
        for split in self._folders(""):
            self.target.remove_temporary(split)
            for inner in self._folders(split):
                self.target.remove_temporary(f"{split}/{inner}")

    def _folders(self, folder: str) -> list[str]:
        names = [name for name in self.target.names(folder) if not name.startswith(".")]
        return [name for name in names if self.target.path(f"{folder}/{name}" if folder else name).is_dir()]

    def _release(self) -> None:
        self._lock.release()
        self._remove_folders()

    def _remove_folders(self) -> None:
        for folder in self._made:
            self.target.remove_folder_if_empty(folder)


def _is_in_use(run: Run, seen: str | None) -> bool:
    """Whether the collection that readers see may name the shards of a run that is not marked as finished.

    It does where it is the run's own. It may where the run was about to commit and the collection is neither the one
    from before: somebody edited it since.
    """
    if run.settings.get("finished") or seen is None or "commits" not in run.settings:
        return False
    return bool(run.settings["commits"] == seen or run.settings["replaces"] != seen)


def _forget_all_but(runs: Iterable[Run], last: Run) -> None:
    """Mark a run as finished, and forget those that it replaced; their shards stay for their readers."""
    for run in runs:
        if run.number < last.number:
            run.discard(shards=False)
    last.save(finished=True)


def _difference(then: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    for name in [*now, *then]:
        if then.get(name) != now.get(name):
            return name
    return None
