"""Samples of the original ML-STAC into the buffers of a batch: a file each, read whole, of unknown length."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import MlstacError, ShardError
from mlstac.frameworks import allocate
from mlstac.loading._addresses import MISSING, Located
from mlstac.loading._catalog import Catalog
from mlstac.loading._copying import Share, gather
from mlstac.loading._reader import Reader
from mlstac.loading._remote import Pending, Requests
from mlstac.loading._slots import Slots, make_slots
from mlstac.loading._view import TensorView
from mlstac.loading.original._files import Files, open_samples, read_samples
from mlstac.loading.original._sample_file import LIMIT_BYTES, SampleFile
from mlstac.storage import Fetcher, redact

Bytes = NDArray[np.uint8]
Integers = NDArray[np.int64]


class FileCatalog(Catalog):
    """A catalog whose rows are known by name before any of them is read."""

    files: Files

    def name_of(self, number: int) -> str:
        """``sample 7 ('train-0000008')``, for errors; the rows themselves would be made of every header."""
        return f"sample {number} ({self.files.id(number)!r})"


class _Piece(NamedTuple):
    """One tensor of one sample, in the sample's file or header."""

    data: Bytes
    shape: tuple[int, ...]


class FileReader(Reader):
    """Reads samples that are a file each.

    Where a sample's tensors lie is known once its file is there, and so is their shape where it varies: slots get
    their places, and their memory if need be, when the bytes have come.

    Parameters
    ----------
    catalog : FileCatalog
    files : Files
    texts : mapping of str to str
        Field -> key of the header's metadata that holds its text.
    remote : bool
    fetcher : Fetcher
    """

    def __init__(
        self, catalog: FileCatalog, *, files: Files, texts: Mapping[str, str], remote: bool, fetcher: Fetcher
    ) -> None:
        super().__init__(catalog, remote=remote, verify=False, fetcher=fetcher)
        self._files = files
        self._texts = dict(texts)

    @property
    def as_they_lie(self) -> bool:
        """Never: what a sample has is told by its own file."""
        return False

    def locate(self, view: TensorView, rows: Integers) -> Slots:
        """Lay out the buffer of one tensor, as far as that is known before its samples are read."""
        count, rank = len(rows), len(view.layout.shape)
        zeros = np.zeros(count, np.int64)
        if view.shape is not None:
            return make_slots(view, Located(rows, zeros, np.full(count, view.row_bytes or 0, np.int64), None))
        located = Located(rows, zeros, zeros, np.zeros((count, rank), np.int64))
        return Slots(view, located, zeros, zeros, 0, [(0,) * rank] * count, complete=True)

    def begin(self, batch: Sequence[Slots], rows: Integers, *, share: Share | None = None) -> Pending:
        """Lay out what fills the buffers of a batch, to be asked for; local files are read before it returns."""
        del share  # a file a sample: what takes the time is opening them
        distinct, which = np.unique(rows, return_inverse=True)
        urls = [self._files.url(row) for row in distinct.tolist()] if batch else []
        requests = Requests()
        if not self.remote:
            self._fill(batch, read_samples(urls, self._fetcher), which)
            return Pending(None, requests)
        sent: list[Future[list[bytes]]] = []

        def send() -> "Future[list[bytes]]":
            sent.append(self._fetcher.submit_files(urls, limit_bytes=LIMIT_BYTES))
            return sent[0]

        requests.after.append(lambda: self._fill(batch, open_samples(sent[0].result(), urls), which))
        return Pending(send, requests)

    def failed_row(self, error: MlstacError, rows: Integers, views: Sequence[TensorView]) -> int | None:
        """The first of some rows whose file is the one that the error is of; None if it does not say."""
        del views
        row = getattr(error, "row", None)
        if row is not None:
            return int(rows[row]) if row < len(rows) else None
        url = getattr(error, "url", None)
        if url is None:
            return None
        return next((int(row) for row in rows.tolist() if redact(self._files.url(row)) == url), None)

    def _fill(self, batch: Sequence[Slots], samples: Sequence[SampleFile], which: Integers) -> None:
        for slots in batch:
            found = [self._find(slots.view, samples[number]) for number in which.tolist()]
            _settle(slots, found)
            for row, piece in enumerate(found):
                if piece is not None:
                    pieces = slots.view.pieces(piece.shape)
                    gather(piece.data, pieces.starts, pieces.length, slots.place(row))

    def _find(self, view: TensorView, sample: SampleFile) -> _Piece | None:
        """The bytes of one tensor of a sample, checked against what the dataset says of it."""
        layout = view.layout
        if layout.name in self._texts:
            text = sample.header.metadata.get(self._texts[layout.name], "")
            if not text:
                self._check_missing(view, sample)
                return None
            data = np.frombuffer(text.encode(), np.uint8)
            return _Piece(data, data.shape)
        entry = sample.header.entries.get(layout.name)
        if entry is None:
            self._check_missing(view, sample)
            return None
        fits = len(entry.shape) == len(layout.shape) and all(
            wanted in (None, size) for wanted, size in zip(layout.shape, entry.shape, strict=True)
        )
        if entry.dtype != layout.dtype or not fits:
            raise self._differs(
                sample, f"has tensor {layout.name!r} of dtype {entry.dtype} and shape {list(entry.shape)}", view
            )
        return _Piece(sample.data[entry.start : entry.stop], entry.shape)

    def _check_missing(self, view: TensorView, sample: SampleFile) -> None:
        if view.layout.required:
            raise self._differs(sample, f"lacks {view.name!r}", view)

    def _differs(self, sample: SampleFile, how: str, view: TensorView) -> ShardError:
        layout = view.layout
        shown = ", ".join("any" if size is None else str(size) for size in layout.shape)
        error = ShardError(
            f"{sample.name} {how}, unlike the samples that were looked at when the dataset was opened ({layout.dtype} "
            f"[{shown}] in each); load it with stream=False, which looks at every sample, or convert it"
        )
        vars(error).update(url=sample.name)
        return error


def _settle(slots: Slots, found: Sequence[_Piece | None]) -> None:
    """Give slots their places, now that shapes are known and which samples have the tensor."""
    there = np.array([piece is not None for piece in found], bool)
    if slots.view.shape is not None and there.all():
        return
    rank = len(slots.view.layout.shape)
    shapes = [(0,) * rank if piece is None else piece.shape for piece in found]
    located = Located(
        np.where(there, slots.located.files, MISSING),
        slots.located.offsets,
        np.array([0 if piece is None else piece.data.size for piece in found], np.int64),
        np.array(shapes, np.int64).reshape(len(found), rank) if slots.view.layout.fixed is None else None,
    )
    if slots.view.shape is not None:
        slots.located, slots.complete = located, False
        return
    fresh = make_slots(slots.view, located)
    fresh.buffer = allocate(fresh.nbytes)
    for field in fields(Slots):
        setattr(slots, field.name, getattr(fresh, field.name))
