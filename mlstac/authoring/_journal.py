"""What an unfinished authoring has got done: one Parquet fragment of rows a shard, under ``.mlstac/``.

A run is a folder ``.mlstac/journal/<number>/`` with ``run.json`` (the settings that decide the bytes) and one fragment
a shard, in the order in which the shards were written. A fragment appears in one step after its shard, so that a shard
without a fragment is not there. Readers never look here.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from mlstac.authoring._block import Measures
from mlstac.authoring._partial import Partial
from mlstac.authoring._target import Target, named_errors
from mlstac.errors import FormatError, VersionError

PRIVATE: Final = ".mlstac"
PARTS: Final = f"{PRIVATE}/parts"
"""Where the parts of a dataset are written, a folder a run, until their shards are the dataset's own."""
JOURNAL: Final = f"{PRIVATE}/journal"
_KEY: Final = b"mlstac:shard"
_FRAGMENT: Final = re.compile(r"\d{6,}\.parquet")
CONTENT: Final = "mlstac:content"
"""Column of a fragment: 64 bits of each sample's contents, by which a rerun knows its samples again."""


@dataclass(frozen=True)
class ShardRecord:
    """What the journal keeps of a shard beside its rows."""

    split: str
    number: int
    name: str
    """Of the file, in the dataset's folder."""
    layouts: dict[str, str]
    description: dict[str, Any]
    """What all samples so far, this shard's among them, had in common."""
    properties: dict[str, str]
    """The kind of each of the author's columns so far."""
    n_samples: int = 0
    size: int = 0
    checksum: str = ""
    """Multihash of the file: ``1220`` and the sha256 in hexadecimal."""
    measures: dict[str, Measures] = field(default_factory=dict)
    part: str | None = None
    """Folder of the part that the shard was written in, where the dataset was written in parts."""
    part_shards: int = 0
    """How many shards that part has."""

    def to_json(self) -> str:
        plain = {**self.__dict__, "measures": {}}
        for name, measures in self.measures.items():
            plain["measures"][name] = {
                "bands": None if measures.bands is None else [band.to_json() for band in measures.bands],
                "classes": None if measures.classes is None else list(measures.classes.items()),
            }
        return json.dumps(plain)

    @classmethod
    def from_json(cls, text: str | bytes, *, name: str) -> "ShardRecord":
        """Read what the fragment ``name`` keeps.

        Raises
        ------
        VersionError
            If it says what this version does not know: it is whole, and nobody may take it for damaged.
        """
        plain = json.loads(text)
        unknown = set(plain) - set(cls.__dataclass_fields__)
        for measures in plain["measures"].values():
            unknown |= set(measures) - set(Measures.__dataclass_fields__)
            unknown |= {key for band in measures["bands"] or () for key in band} - set(Partial.__dataclass_fields__)
        if unknown:
            raise VersionError(
                f"{name}, a part of the journal, says {', '.join(map(repr, sorted(unknown)))} of its shard, which this"
                " version of mlstac does not know; a newer one wrote it: upgrade mlstac to go on (nothing was changed)"
            )
        for tensor, measures in plain["measures"].items():
            bands, classes = measures["bands"], measures["classes"]
            plain["measures"][tensor] = Measures(
                None if bands is None else [Partial.from_json(band) for band in bands],
                None if classes is None else {int(value): int(count) for value, count in classes},
            )
        return cls(**plain)


class Run:
    """One authoring, from its first shard to its collection."""

    def __init__(self, target: Target, number: int, settings: dict[str, Any]) -> None:
        self._target = target
        self.number = number
        self.settings = settings
        self.folder = f"{JOURNAL}/{number:05d}"
        self._fragments = [name for name in target.names(self.folder) if _FRAGMENT.fullmatch(name)]

    def __len__(self) -> int:
        return len(self._fragments)

    def save(self, **changes: Any) -> None:
        """Write the settings, changed or not, in one step."""
        self.settings = {**self.settings, **changes}
        self._target.put(f"{self.folder}/run.json", json.dumps(self.settings).encode())

    def append(self, rows: pa.Table, record: ShardRecord) -> None:
        """Say that a shard is whole."""
        name = _name_of(len(self))
        table = rows.replace_schema_metadata({**(rows.schema.metadata or {}), _KEY: record.to_json().encode()})
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        with self._target.create(f"{self.folder}/{name}") as file:
            file.write(sink.getvalue().to_pybytes())
        self._fragments.append(name)

    def cut_at_damage(self) -> None:
        """Forget the shards from the first one on that is not there as it was written: they will be written again.

        So it is with a fragment that cannot be read, and with those after one that is gone.
        """
        records = [self.record_if_whole(at) for at in range(len(self))]
        whole = 0
        for record, fragment in zip(records, self._fragments, strict=True):
            if record is None or fragment != _name_of(whole) or self._target.size(record.name) != record.size:
                break
            if not self._has_rows(whole):
                break
            whole += 1
        while len(self) > whole:  # the fragment first: a shard without one is not there, a fragment without is a lie
            self._target.remove(f"{self.folder}/{self._fragments[-1]}")
            self._fragments.pop()
            record = records[len(self)]
            if record is not None:  # else nobody knows its name, which it gives to the one that is written again
                self._target.remove(record.name)

    def records(self) -> list[ShardRecord]:
        """What is kept of each shard, in the order of writing."""
        return [self.record(at) for at in range(len(self))]

    def record(self, at: int) -> ShardRecord:
        """What is kept of one shard.

        Raises
        ------
        FormatError
            If the fragment is damaged.
        VersionError
            If a newer version wrote it.
        """
        with self._named_damage(at):
            return record_of(self.schema(at), name=str(self._path(at)))

    def record_if_whole(self, at: int) -> ShardRecord | None:
        """As `record`; None of a damaged fragment."""
        try:
            return self.record(at)
        except VersionError:
            raise
        except FormatError:
            return None

    def _has_rows(self, at: int) -> bool:
        """Whether the rows of a fragment can be read: its record stands behind them, and may be whole without them."""
        try:
            self.rows(at)
        except FormatError:
            return False
        return True

    def known_shards(self) -> list[str]:
        """Names of the shards, as far as the fragments can be read."""
        return [record.name for at in range(len(self)) if (record := self.record_if_whole(at)) is not None]

    @contextmanager
    def _named_damage(self, at: int) -> Iterator[None]:
        path = self._path(at)
        with named_errors("reading", path):
            try:
                yield
            except VersionError:
                raise
            except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
                if getattr(error, "errno", None) is not None:  # Arrow's own OSErrors have none
                    raise
                raise FormatError(
                    f"{path}, a part of the journal, cannot be read ({error}); make the same call again if it was"
                    " broken off, or the catalogs anew with mlstac.rebuild(path)"
                ) from error

    def schema(self, at: int) -> pa.Schema:
        return pq.read_schema(self._path(at))

    def rows(self, at: int, columns: list[str] | None = None) -> pa.Table:
        """The rows of one shard."""
        # ParquetFile and not read_table: that one would take the folder for a partitioned dataset.
        with self._named_damage(at), pq.ParquetFile(self._path(at)) as file:
            return file.read(columns=columns)

    def _path(self, at: int) -> Path:
        # Absolute, for Arrow takes a relative path with a colon in it (run:1/flood) for a URI.
        return self._target.path(f"{self.folder}/{self._fragments[at]}").absolute()

    def contents(self, split: str) -> Iterator[tuple[str, int]]:
        """Id and contents of each sample of a split that is in a whole shard, in order."""
        for at in range(len(self)):
            if self.record(at).split == split:
                rows = self.rows(at, ["id", CONTENT])
                yield from zip(rows["id"].to_pylist(), rows[CONTENT].to_pylist(), strict=True)

    def ids(self) -> Iterator[str]:
        for at in range(len(self)):
            yield from self.rows(at, ["id"])["id"].to_pylist()

    def discard(self, *, shards: bool) -> None:
        """Forget the run, with its shards where no collection names them."""
        if shards:
            for name in self.known_shards():
                self._target.remove(name)
        self._target.remove_tree(f"{PARTS}/{self.number:05d}")
        # run.json goes first: without it the rest is no run.
        for name in ("run.json", *self._fragments):
            self._target.remove(f"{self.folder}/{name}")
        self._target.remove_temporary(self.folder)
        self._fragments = []
        for folder in (self.folder, JOURNAL):
            self._target.remove_folder_if_empty(folder)


class Journal:
    """All runs of a dataset."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def runs(self, *, tidy: bool = True) -> list[Run]:
        """The runs that are there, oldest first; what was left under temporary names is removed."""
        found = []
        for name in self._target.names(JOURNAL):
            if name.isdigit() and self._target.exists(f"{JOURNAL}/{name}/run.json"):
                if tidy:
                    self._target.remove_temporary(f"{JOURNAL}/{name}")
                file = f"{self._target.path(JOURNAL)}/{name}/run.json"
                try:
                    settings = json.loads(self._target.read(f"{JOURNAL}/{name}/run.json"))
                except ValueError as error:
                    raise FormatError(
                        f"{file} is not JSON ({error}); remove the folder {name} to start over"
                    ) from error
                if not isinstance(settings, dict) or "decides" not in settings:
                    raise FormatError(f"{file} does not say what a run is; remove the folder {name} to start over")
                found.append(Run(self._target, int(name), settings))
        return found

    def begin(self, settings: Mapping[str, Any]) -> Run:
        """Open a new run under the next number."""
        run = self.draft(settings)
        run.save()
        return run

    def draft(self, settings: Mapping[str, Any] | None = None) -> Run:
        """Make the folder of a new run, which is none until its settings are saved."""
        taken = [int(name) for name in self._target.names(JOURNAL) if name.isdigit()]
        run = Run(self._target, max(taken, default=-1) + 1, dict(settings or {}))
        self._target.make_folder(run.folder)
        return run


def _name_of(at: int) -> str:
    return f"{at:06d}.parquet"


def record_of(schema: pa.Schema, *, name: str) -> ShardRecord:
    """What a fragment of this schema and name keeps of its shard."""
    return ShardRecord.from_json(schema.metadata[_KEY], name=name)
