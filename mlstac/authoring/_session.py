"""The start of an authoring: whether the path is free, and the unfinished run to go on with, if there is one."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Self

from mlstac.authoring._adopt import adopt
from mlstac.authoring._base import described, find_base, named_parts, read_collection, read_seen
from mlstac.authoring._depot import COLLECTION
from mlstac.authoring._journal import PARTS, PRIVATE, Journal, Run
from mlstac.authoring._ledger import LEFT_OUT, left_out
from mlstac.authoring._lock import Lock
from mlstac.authoring._target import Target
from mlstac.collection import Collection
from mlstac.errors import ChangedError, CollectionError, ExistsError, InvalidArgumentError

STANDARD_SPLITS: Final = ("train", "validation", "test")
_SHARD = re.compile(r"(\d{5,6})\.safetensors(\.zst)?")
_PART = re.compile(r"catalog-(\d{5,6})\.parquet")


class Session:
    """The lock, the folders made, and the run of one authoring.

    Parameters
    ----------
    settings : mapping
        What decides the bytes of the shards; a run is gone on with only under the same settings.
    append : bool
        Add to the dataset that is there.
    """

    def __init__(
        self,
        target: Target,
        *,
        settings: Mapping[str, Any],
        overwrite: bool = False,
        append: bool = False,
    ) -> None:
        self.base: list[Run] = []
        """The runs whose shards the new collection will name before those of this run."""
        self.existing: Collection | None = None
        """The collection that is added to."""
        self.is_committed = False
        """Whether the run's collection stands already: it was killed after that, before it could say so."""
        self.seen: str | None = None
        """The sha256 of the collection that a rebuild began from."""
        self._lock_up(target)
        try:
            if append:
                self.run = self._open_append(dict(settings))
            else:
                self.run = self._open_run(dict(settings), overwrite=overwrite)
        except BaseException:
            self.release()
            raise

    @classmethod
    def to_rebuild(cls, target: Target) -> Self:
        """A session under its lock that has no run yet: `rebuild_of` opens it.

        Raises
        ------
        ExistsError
            If there is an unfinished run, or a writer at work.
        """
        session = cls.__new__(cls)
        session.existing, session.is_committed = None, False
        session._lock_up(target)
        try:
            session.seen = session.digest()
            for run in Journal(target).runs()[-1:]:
                in_use = run.settings.get("finished") or is_in_use(target, run, session.seen)
                if len(run) and not in_use:
                    raise ExistsError(
                        f"{target} holds an unfinished run; make the same call again to finish it, or remove it with"
                        " mlstac.gc(path, unfinished=True), before the catalogs are made anew"
                    )
        except BaseException:
            session.release()
            raise
        return session

    def rebuild_of(self, base: Sequence[Run], *, without: Mapping[int, Sequence[int]]) -> None:
        """Open a run that writes catalogs and collection of the shards of others, and no shards.

        It replaces the collection that stood before anything was read: to read a store's shards takes its time.

        Parameters
        ----------
        without : mapping of int to sequence of int
            Places of the shards, by the number of their run, that are left out.
        """
        self.base = list(base)
        numbers = [run.number for run in base]
        for run in Journal(self.target).runs():
            is_broken = run.settings.get("appends") and not run.settings.get("finished") and not len(run)
            if is_broken and run.number not in numbers:  # a rebuild that was killed
                run.discard(shards=False)
        gone = {str(number): list(places) for number, places in without.items()}
        self.run = self._begin({}, self.seen, appends=True, base=numbers, parts_before=None, **{LEFT_OUT: gone})

    def _lock_up(self, target: Target) -> None:
        self.target = target
        self._made = target.make_folder(PRIVATE)
        self._lock = Lock(target.path(f"{PRIVATE}/lock"))
        try:
            self._lock.acquire()
        except BaseException:
            target.close()
            self._remove_folders()
            raise
        try:
            target.refresh(name for run in Journal(target).runs(tidy=False) for name in run.known_shards())
        except BaseException:
            self.release()
            raise

    def digest(self) -> str | None:
        """The sha256 of the collection that readers see now; None where there is none."""
        return self.target.digest(COLLECTION)

    def refuse_foreign_catalogs(self, splits: Iterable[str]) -> None:
        """Refuse to write over a ``catalog.json`` that no dataset of ours has left there.

        Raises
        ------
        ExistsError
        """
        for split in splits:
            name = f"{split}/catalog.json"
            if self.target.exists(name) and not _is_ours(self.target.read(name)):
                raise ExistsError(
                    f"{self.target.at(name)} is in the way: the dataset needs that name, and the file is not the"
                    " catalog of a split; move it away, or choose another path"
                )

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
        self.target.settle()
        self.release()

    def hand_over(self) -> None:
        """Mark the run of a part as whole, for the dataset that it is a part of."""
        self.run.save(whole=True)
        self.release()

    def _forget_parts(self) -> None:
        self.target.remove_tree(f"{PARTS}/{self.run.number:05d}")
        self.target.remove_folder_if_empty(PARTS)

    def leave(self) -> None:
        """End without a collection; a run that has no whole shard leaves no trace."""
        has_parts = bool(self.target.names(f"{PARTS}/{self.run.number:05d}"))
        is_settled = "commits" in self.run.settings or self.run.settings.get("finished")
        if not len(self.run) and not has_parts and not is_settled:
            self.run.discard(shards=False)
        self.release()

    def accept(self) -> None:
        """Mark a run whose collection stands as finished, whatever the caller is about."""
        _forget_all_but(Journal(self.target).runs(), self.run)

    def forget(self) -> None:
        """Put the unfinished run aside, so that the next call starts afresh."""
        self.run.discard(shards=not is_in_use(self.target, self.run, self.digest()))

    def replace_collection(self, document: bytes) -> None:
        """Let the new collection take the place of the one that the run began from.

        Raises
        ------
        ChangedError
            If that one was changed meanwhile by somebody who takes no lock.
        """
        self.target.refresh(None)
        for record in self.run.records():
            if self.target.size(record.name) != record.size:
                raise ChangedError(
                    f"{self.target.at(record.name)} was written by this run, and is not there any more as it was; make"
                    " the same call again: it writes what is missing anew"
                )
        self.target.replace_if(COLLECTION, document, expected=self.run.settings["replaces"])

    def _open_append(self, settings: dict[str, Any]) -> Run:
        self.existing, seen = read_seen(self.target, COLLECTION)
        self.target.refresh(None)  # what it names may have come after the last look
        settings |= described(self.existing)
        runs = Journal(self.target).runs()
        last = runs[-1] if runs else None
        if last is not None and not last.settings.get("finished"):
            if is_in_use(self.target, last, seen):
                self._clean()
                self.is_committed = bool(last.settings.get("appends")) and len(last) > 0  # else a rebuild
                if self.is_committed:
                    return last
                _forget_all_but(runs, last)
            elif last.settings.get("appends") and not len(last) and not self._is_same_append(last, settings):
                # it wrote nothing that could be gone on with
                self._clean()
                last.discard(shards=False)
            elif not last.settings.get("appends"):
                raise ExistsError(
                    f"{self.target} holds an unfinished run that was to replace the dataset; finish it by the same call"
                    " with overwrite=True, or remove it with mlstac.gc(path, unfinished=True)"
                )
            elif last.settings["parts_before"] == named_parts(self.existing):
                differs = _difference(last.settings["decides"], settings)
                if differs is not None:
                    raise InvalidArgumentError(
                        f"{self.target} holds an unfinished append that differs in {differs}; make the same call as"
                        " then to go on with it, or remove it with mlstac.gc(path, unfinished=True)"
                    )
                self._clean()
                last.cut_at_damage()
                self.base = [run for run in runs if run.number in last.settings["base"]]
                if last.settings["replaces"] != seen:  # its words were changed since, its samples were not
                    last.save(replaces=seen)
                return last
            else:  # the dataset is another by now, and these shards can never be named
                self._clean()
                last.discard(shards=True)
            runs = Journal(self.target).runs()
        base = find_base(runs, self.existing)
        self.base = base if base is not None else [adopt(self.target, self.existing, seen=seen)]
        return self._begin(
            settings,
            seen,
            appends=True,
            base=[run.number for run in self.base],
            parts_before=named_parts(self.existing),
            counts_before={name: split.n_items for name, split in self.existing.splits.items()},
        )

    def _is_same_append(self, run: Run, settings: Mapping[str, Any]) -> bool:
        """Whether the same call had begun the run: then a shard that it had just named takes its number again."""
        assert self.existing is not None
        return (
            run.settings["parts_before"] == named_parts(self.existing)
            and _difference(run.settings["decides"], settings) is None
        )

    def _begin(self, settings: dict[str, Any], seen: str | None, **more: Any) -> Run:
        return Journal(self.target).begin(
            {
                "decides": settings,
                "replaces": seen,
                "first_shards": self._free_numbers(_SHARD),
                "first_parts": self._free_numbers(_PART),
                **more,
            }
        )

    def _open_run(self, settings: dict[str, Any], *, overwrite: bool) -> Run:
        runs = Journal(self.target).runs()
        seen = self.digest()
        last = runs[-1] if runs else None
        if last is not None and is_in_use(self.target, last, seen):
            # Killed after the collection took its name: the dataset is whole, and nothing of it may be touched.
            self._clean()
            _forget_all_but(runs, last)
        elif last is not None and not last.settings.get("finished"):
            if last.settings.get("overwrite") == overwrite and last.settings["replaces"] == seen:
                differs = _difference(last.settings["decides"], settings)
                if differs is None:
                    self._clean()
                    last.cut_at_damage()
                    return last
                if not overwrite:
                    raise InvalidArgumentError(
                        f"{self.target} holds an unfinished run that differs in {differs}; make the same call as then"
                        " to go on with it, or give overwrite=True to start over"
                    )
            elif not overwrite and last.settings.get("appends"):
                raise ExistsError(
                    f"{self.target} holds a dataset, and an unfinished append to it; go on with that by mlstac.append,"
                    " give overwrite=True to replace all, or choose another path"
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
        self.refuse_foreign_catalogs(STANDARD_SPLITS)
        return self._begin(settings, seen, overwrite=overwrite)

    def _free_numbers(self, pattern: re.Pattern[str]) -> dict[str, int]:
        """For each folder the number after the last one taken: no file that is there is ever written over.

        Nor is a name taken whose shard a rebuild has left out: it may come back.
        """
        by_split: dict[str, list[str]] = {}
        for split in self._folders(""):
            by_split[split] = self.target.names(split)
            for inner in self._folders(split):
                by_split[split] += self.target.names(f"{split}/{inner}")
        runs = Journal(self.target).runs(tidy=False)
        gone = left_out(runs)
        for record in (run.record(at) for run in runs for at in gone.get(run.number, ())):
            by_split.setdefault(record.split, []).append(record.name.rpartition("/")[2])
        free = {}
        for split, names in by_split.items():
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
        return [name for name in self.target.folders(folder) if not name.startswith(".")]

    def release(self) -> None:
        """Let go of the lock, and remove the folders of which nothing came."""
        self.target.tidy()
        self._lock.release()
        self._remove_folders()

    def _remove_folders(self) -> None:
        for folder in self._made:
            self.target.remove_folder_if_empty(folder)


def is_in_use(target: Target, run: Run, seen: str | None) -> bool:
    """Whether the collection that readers see names the shards of a run that is not marked as finished.

    It does where it is the run's own, or names the same parts: then somebody has edited its words since.
    """
    if run.settings.get("finished") or seen is None or "commits" not in run.settings:
        return False
    if run.settings["commits"] == seen:
        return True
    try:
        named = named_parts(read_collection(target, COLLECTION))
    except CollectionError:  # nobody can say what it names: leave all shards where they are
        return True
    return bool(run.settings["parts"] == named)


def _forget_all_but(runs: Iterable[Run], last: Run) -> None:
    """Mark a run as finished, and forget those that it replaced; their shards stay for their readers."""
    kept = {last.number, *last.settings.get("base", [])}
    for run in runs:
        if run.number < last.number and run.number not in kept:
            run.discard(shards=False)
    last.save(finished=True)


def _is_ours(data: bytes) -> bool:
    """Whether a catalog names parts as those of a split are named."""
    try:
        links = json.loads(data)["links"]
        return any(link["rel"] == "items" and _PART.fullmatch(link["href"].removeprefix("./")) for link in links)
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def _difference(then: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    for name in [*now, *then]:
        if then.get(name) != now.get(name):
            return name
    return None
