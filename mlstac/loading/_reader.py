"""Bytes of samples: the one place where rows of a catalog meet the store that holds their shards."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import CatalogError, ChecksumError, MlstacError
from mlstac.loading._addresses import MISSING, Located
from mlstac.loading._blocks import Blocks, Spans, blocks_of, has_blocks
from mlstac.loading._catalog import Catalog
from mlstac.loading._copying import Share, copy_samples
from mlstac.loading._frames import Frame, Unpacking, split_slots, unpack_all
from mlstac.loading._layout import TensorLayout
from mlstac.loading._remote import Pending, Requests, want_blocks, want_frames, want_pieces, want_rows
from mlstac.loading._shard_header import check_header
from mlstac.loading._slots import Slots, make_slots
from mlstac.loading._verify import verify_blocks, verify_rows
from mlstac.loading._view import TensorView
from mlstac.storage import Fetcher, MappedFile, redact

Bytes = NDArray[np.uint8]
Integers = NDArray[np.int64]

_MOST_MAPS = 4096  # Linux allows a process 65,530 of them


class Reader:
    """Reads samples of one catalog.

    Needs no lock: what it keeps is only added to, and found again if two threads looked for it at once.

    Parameters
    ----------
    catalog : Catalog
    remote : bool
        Whether shards come over the network.
    verify : bool, optional
        Check stored bytes against their checksums; None: if remote.
    fetcher : Fetcher
        Connections to the store.
    headed : bool
        Whether shards are safetensors files, whose headers are looked at.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        remote: bool,
        verify: bool | None = None,
        fetcher: Fetcher,
        headed: bool = True,
    ) -> None:
        self.catalog = catalog
        self.remote = remote
        self.verify = verify
        self._fetcher = fetcher
        self._headed = headed
        self._maps: dict[int, MappedFile] = {}
        self._spans: dict[str, Spans] = {}

    @property
    def as_they_lie(self) -> bool:
        """Whether a sample is had by copying the bytes at its address, if its shard is not compressed."""
        return not self.remote and not self.verify

    def locate(self, view: TensorView, rows: Integers) -> Slots:
        """Lay out the buffer of one tensor for rows of the catalog."""
        return make_slots(view, self.catalog.locate(view.layout, rows))

    def begin(self, batch: Sequence[Slots], rows: Integers, *, share: Share | None = None) -> Pending:
        """Lay out what fills the buffers of a batch, to be asked for; local shards are copied before it returns.

        Parameters
        ----------
        batch : sequence of Slots
            One a tensor, with its buffer.
        rows : numpy.ndarray, shape (batch,), int64
            The rows that they are for.
        share : callable, optional
            Does large local copies in pieces, as `in_pieces` does: for a batch that is waited for.
        """
        requests = Requests()
        if not self.remote:
            seen: dict[int, Bytes] = {}

            def shard(number: int) -> Bytes:
                if number not in seen:  # once a batch: a stat is cheap, and not free
                    seen[number] = self.shard(number)
                return seen[number]

            jobs: list[tuple[Unpacking, Frame]] = []
            for slots in batch:
                plain, frames = self._split(slots, rows, verify=bool(self.verify))
                jobs += frames
                if plain is None:
                    continue
                copy_samples(plain, shard, share=share)
                if self.verify and plain.view.whole:
                    self._verify_local(plain, rows, shard)
            if jobs:
                frames_of = [shard(frame.file)[frame.start : frame.stop] for _, frame in jobs]
                unpack_all(jobs, frames_of.__getitem__)
            return Pending(None, requests)
        jobs = []
        for slots in batch:
            plain, frames = self._split(slots, rows, verify=self.verify is not False)
            jobs += frames
            if plain is not None:
                self._want(requests, plain, rows)
        if jobs:
            want_frames(requests, jobs)
        reads = requests.reads(self.catalog.shards)
        if not reads:
            return Pending(None, requests)

        asked: set[tuple[int, int]] = set()

        def again(error: ChecksumError) -> "Future[None] | None":
            tensor, row = vars(error)["wrong"]
            located = next(slots.located for slots in batch if slots.view.name == tensor)
            file, offset = int(located.files[row]), int(located.offsets[row])
            if (file, offset) in asked:
                return None
            asked.add((file, offset))
            wrong = requests.again(file, offset, self.catalog.shards)
            for read in wrong:
                self._fetcher.forget(read)
            return self._fetcher.submit(wrong)

        return Pending(lambda: self._fetcher.submit(reads), requests, again)

    def placed(self, error: MlstacError, rows: Integers, views: Sequence[TensorView]) -> MlstacError:
        """The error with the sample that was being read, where it does not say so."""
        if not len(rows) or getattr(error, "placed", False):
            return error
        failed = self.failed_row(error, rows, views)
        name = self.catalog.name_of(int(rows[0]) if failed is None else failed)
        if len(rows) == 1:
            what = name
        elif failed is None:
            what = f"{len(rows)} samples, the first of them {name}"
        else:
            what = f"{name} and {len(rows) - 1} others"
        told = type(error)(f"{error} (while reading {what})")
        vars(told).update(placed=True)
        return told

    def failed_row(self, error: MlstacError, rows: Integers, views: Sequence[TensorView]) -> int | None:
        """The first of some rows whose bytes are those of the read that failed; None if the error does not say."""
        row = getattr(error, "row", None)
        if row is not None:
            return int(rows[row]) if row < len(rows) else None
        url = getattr(error, "url", None)
        if url is None:
            return None
        start, stop = getattr(error, "start", 0), getattr(error, "stop", np.iinfo(np.int64).max)
        found = []
        for view in views:
            located = self.catalog.locate(view.layout, rows)
            for number in np.unique(located.files[located.files != MISSING]).tolist():
                if redact(self.catalog.shards[number].url) == url:
                    inside = (located.offsets < stop) & (located.offsets + located.lengths > start)
                    found += np.flatnonzero((located.files == number) & inside)[:1].tolist()
        return int(rows[min(found)]) if found else None

    def shard(self, number: int) -> Bytes:
        """Bytes of a local shard, mapped; refused if it has changed since it was."""
        try:
            known = self._maps.get(number)
            if known is not None:
                known.check()
            else:
                shard = self.catalog.shards[number]
                if len(self._maps) >= _MOST_MAPS:
                    self._maps.clear()
                known = MappedFile(shard.url, size=shard.size)
                if self._headed:
                    check_header(known.data, name=shard.url, whole=self.verify is True, codec=shard.codec)
                self._maps[number] = known
        except MlstacError as error:
            vars(error).update(url=redact(self.catalog.shards[number].url))  # as a failed read over the network says it
            raise
        return known.data

    def stats(self) -> dict[str, float]:
        """Bytes, requests and retries of this process so far."""
        return self._fetcher.stats()

    def close(self) -> None:
        """Close connections and maps; the next read opens them again."""
        self._fetcher.close()
        self._maps = {}

    def spans(self, layout: TensorLayout) -> Spans:
        """Where all rows of a tensor lie, by shard."""
        if layout.name not in self._spans:
            self._spans[layout.name] = self.catalog.spans(layout)
        return self._spans[layout.name]

    def _split(
        self, slots: Slots, rows: Integers, *, verify: bool
    ) -> tuple[Slots | None, list[tuple[Unpacking, Frame]]]:
        """Slots of the rows that lie in plain shards, and frames with the others."""
        plain, frames = split_slots(slots)
        if plain is slots:
            return slots, []
        expected = self._expected(slots.view.layout, rows) if verify else None
        unpacking = Unpacking(slots, self.catalog.shards, expected, self._namer(slots.located, rows))
        return plain, [(unpacking, frame) for frame in frames]

    def _want(self, requests: Requests, slots: Slots, rows: Integers) -> None:
        if not slots.view.whole:
            want_pieces(requests, slots)
            return
        if self.verify is False:
            want_rows(requests, slots)
            return
        expected = self._expected(slots.view.layout, rows)
        name = self._namer(slots.located, rows)
        there = np.flatnonzero(slots.located.files != MISSING)
        if has_blocks(slots.view.layout):
            tensor = slots.view.name
            blocks = self._blocks(slots.view.layout, slots.located, there)

            def check(row: int, block: Bytes) -> None:
                verify_blocks(tensor, lambda _: block, np.array([row]), expected[row : row + 1], name)

            want_blocks(requests, slots, there, blocks, check)
            return
        want_rows(requests, slots)
        requests.after.append(lambda: verify_rows(slots.view.name, slots.place, there, expected[there], name))

    def _blocks(self, layout: TensorLayout, located: Located, there: Integers) -> Blocks:
        found = Located(located.files[there], located.offsets[there], located.lengths[there], None)
        return blocks_of(layout, found, self.spans(layout))

    def _verify_local(self, slots: Slots, rows: Integers, shard: Callable[[int], Bytes]) -> None:
        layout, located = slots.view.layout, slots.located
        there = np.flatnonzero(located.files != MISSING)
        expected = self._expected(layout, rows)
        name = self._namer(located, rows)
        if not has_blocks(layout):
            verify_rows(slots.view.name, slots.place, there, expected[there], name)
            return
        blocks = self._blocks(layout, located, there)
        some = blocks.distinct(located.files[there])

        def block(row: int) -> Bytes:
            at = int(np.searchsorted(there, row))
            return shard(int(located.files[row]))[int(blocks.starts[at]) : int(blocks.stops[at])]

        verify_blocks(slots.view.name, block, there[some], expected[there[some]], name)

    def _expected(self, layout: TensorLayout, rows: Integers) -> Integers:
        expected = self.catalog.checksums(layout.name, rows)
        if self.verify and (expected < 0).any():
            raise CatalogError(
                f"verify=True, but the catalog has no checksums of tensor {layout.name!r} "
                f"(assets.{layout.name}.ml:checksum)"
            )
        return expected

    def _namer(self, located: Located, rows: Integers) -> Callable[[int], str]:
        def name(row: int) -> str:
            shard = self.catalog.shards[int(located.files[row])]
            return f"{self.catalog.name_of(int(rows[row]))} in {redact(shard.url)}"

        return name
