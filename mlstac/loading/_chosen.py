"""What of a dataset is chosen: samples, tensors, bands, windows, values; nothing here reads a sample."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from mlstac.collection import Collection, Tensor
from mlstac.errors import NotFoundError
from mlstac.loading._feed import DatasetFeed
from mlstac.loading._fields import Field, choose_bands, choose_tensors, cut_window
from mlstac.loading._fingerprint import fingerprint_rows, freeze_collection
from mlstac.loading._metadata import Metadata
from mlstac.loading._padding import Pad, check_pad
from mlstac.loading._reader import Reader
from mlstac.loading._selection import rows_of
from mlstac.loading._statistics import TensorStatistics, affines_of, given_statistics
from mlstac.loading._values import make_output

if TYPE_CHECKING:
    from mlstac.search import Query

Rows = NDArray[np.int64]
Step = tuple[str, dict[str, Any]]


class Origin(NamedTuple):
    """Where a dataset comes from: plain facts, none of which opens anything."""

    config: Any
    """What `mlstac.load` needs to make it again."""
    collection: Collection
    splits: tuple[str, ...]
    fingerprint: str
    framework: str
    device: Any
    as_dtype: Any
    decode: bool
    narrow: bool = False


class Chosen:
    """Samples, tensors and values of a dataset's files, as chosen so far; `Dataset` adds how they are handed out.

    Each method that chooses returns a new one over the same files, and notes the step, so that the choice can be
    made again in another process.
    """

    def __init__(self, origin: Origin, *, reader: Reader, fields: Mapping[str, Field]) -> None:
        self._origin = origin
        self._reader = reader
        self._fields = dict(fields)
        self._all_fields = self._fields
        self._fingerprint = origin.fingerprint
        self._rows: Rows | None = None
        self._steps: tuple[Step, ...] = ()
        self._scaling = ""
        self._framework = origin.framework
        self._device = origin.device
        self._narrow = origin.narrow
        self._pad: dict[str, float | str | None] = {}
        self._cached_feed: DatasetFeed | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        from mlstac.loading._load import restore

        words = freeze_collection(self._origin.collection)
        return restore, (self._origin.config, self._origin.fingerprint, self._steps, words)

    @property
    def collection(self) -> Collection:
        """What the dataset says of itself."""
        return self._origin.collection

    @property
    def split(self) -> str:
        """Names of the splits, joined by ``+``."""
        return "+".join(self._origin.splits)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Description of every tensor that samples have, with the bands and the shape that are chosen."""
        return {name: field.tensor for name, field in self._fields.items()}

    @property
    def fingerprint(self) -> str:
        """Short hash of the collection's catalogs and of the samples chosen; the same wherever the dataset lies."""
        return self._fingerprint

    @property
    def metadata(self) -> Metadata:
        """The catalog's columns for these samples, read when they are asked for."""
        return Metadata(self._reader.catalog, self._rows, len(self))

    def __len__(self) -> int:
        return len(self._reader.catalog) if self._rows is None else len(self._rows)

    def select(self, tensors: Sequence[str] | None = None, bands: Sequence[str] | None = None) -> Self:
        """Some tensors, and some bands of them, in the order given; no others are read.

        Parameters
        ----------
        tensors : sequence of str, optional
            By default all.
        bands : sequence of str, optional
            Names, or aliases (``red``, ``B4``) where they are unique. Every tensor gives those that it has; tensors
            with bands, but none of these, are left out; tensors without bands stay.

        Raises
        ------
        NotFoundError
            If there is no such tensor or band; lists those that there are.
        """
        fields = self._fields if tensors is None else choose_tensors(self._fields, tensors)
        if bands is not None:
            fields = choose_bands(fields, bands, keep=() if tensors is None else tuple(fields))
        return self._derive(("select", {"tensors": tensors, "bands": bands}), _fields=dict(fields))

    def window(self, y: slice, x: slice, tensor: str | None = None) -> Self:
        """A window of every tensor with axes y and x; few other bytes are read.

        Parameters
        ----------
        y, x : slice
            Pixels. Negative ones count from the end; a window that leaves the image is refused.
        tensor : str, optional
            In whose pixels, where tensors differ in grid; windows of the others are scaled, if they fall on whole
            pixels.

        Raises
        ------
        InvalidArgumentError, NotFoundError
            If there is no such window.
        """
        fields = cut_window(self._fields, y=y, x=x, tensor=tensor)
        step = {"y": (y.start, y.stop), "x": (x.start, x.stop), "tensor": tensor}
        return self._derive(("window", step), _fields=fields)

    def subset(self, rows: slice | Sequence[int] | NDArray[Any]) -> Self:
        """Some samples as a dataset of their own, with the same rules of order, striping and resume.

        Parameters
        ----------
        rows : slice, sequence of int, or array of int or bool
            As an index: ``ds.subset(slice(0, 100))`` has the samples of ``ds[0:100]``.
        """
        chosen = rows_of(rows, len(self))
        picked = chosen if self._rows is None else self._rows[chosen]
        if isinstance(rows, slice):
            kept: Any = (rows.start, rows.stop, rows.step)
        else:
            kept = chosen.astype("<u8").tobytes()
        fingerprint = fingerprint_rows(self._origin.fingerprint, picked)
        return self._derive(("subset", {"rows": kept}), _rows=picked, _fingerprint=fingerprint)

    def filter(
        self,
        *,
        bbox: Sequence[float] | None = None,
        intersects: Any = None,
        datetime: Any = None,
        ids: str | Iterable[str] | None = None,
        where: str | Mapping[str, Any] | None = None,
    ) -> Self:
        """The samples that meet every condition given, in their order; only the catalog is read, and of it few columns.

        A sample whose place, time or column is not known meets no condition on it.

        Parameters
        ----------
        bbox : sequence of 4 float, optional
            West, south, east, north in degrees; west > east crosses the antimeridian. The sample's own bounding box
            meets it.
        intersects : GeoJSON dict, shapely geometry, WKB, GeoSeries or other object with ``__geo_interface__``, optional
            The sample's footprint meets it. Longitude and latitude of WGS 84.
        datetime : str, datetime, date or pair of them, optional
            As a STAC API takes it: ``"2020-06"`` (the whole month), ``"2020-06-01/2020-08"``, ``"2020-06/.."``,
            ``(start, None)``. Both ends belong to it. The sample's instant or interval meets it.
        ids : str or iterable of str, optional
            Those of them that are there.
        where : str or dict, optional
            CQL2 text over the catalog's columns, ``"cloud_cover < 10 AND class IN ('Forest', 'River')"``, or CQL2
            JSON.

        Returns
        -------
        Dataset
            With an order, a fingerprint and a state of its own; it may have no samples.

        Raises
        ------
        InvalidArgumentError
            If a condition cannot be meant, or none is given.
        NotFoundError
            If it asks for a column that the catalog does not have; lists those that it has.
        """
        from mlstac.search import make_query

        query = make_query(bbox=bbox, intersects=intersects, datetime=datetime, ids=ids, where=where)
        return self.meeting(query)

    def meeting(self, query: "Query") -> Self:
        """The samples that a query means; `filter` says what can be asked."""
        picked = self._reader.catalog.search(query, self._rows)
        fingerprint = fingerprint_rows(self._origin.fingerprint, picked)
        return self._derive(("meeting", {"query": query}), _rows=picked, _fingerprint=fingerprint)

    def scaled(self) -> Self:
        """Stored values as the quantities they stand for: value * scale + offset, float32.

        Tensors for which the collection gives neither scale nor offset, labels and encoded fields stay as they are.
        No-data values go through the same arithmetic: mask them by the stored value.
        """
        return self._derive(("scaled", {}), _scaling="scaled")

    def normalized(self) -> Self:
        """Tensors with mean 0 and standard deviation 1 in every band over the train split, float32.

        The statistics are the collection's, of train alone whichever split this is. Labels and encoded fields stay as
        they are.
        """
        derived = self._derive(("normalized", {}), _scaling="normalized")
        derived.feed()  # missing statistics are an error now, not at the first sample
        return derived

    def padded(self, pad: Pad) -> Self:
        """The same samples, filled up to one tensor in every batch: for loaders that make batches of their own.

        Holds for ``ds[10:20]``, for ``torch.utils.data.DataLoader(ds, batch_size=…)``, and for `batches`, `iterable`
        and `to_tf`, whose own ``pad`` adds to it and goes before it. Single samples stay as they are; but those of
        `iterable` are filled as a batch of one is, for what a sample lacks would be an error there.

        Parameters
        ----------
        pad : mapping of str to number, str or None
            As for `Dataset.batches`: a tensor comes with ``<name>_mask``, or ``<name>_present``.

        Raises
        ------
        InvalidArgumentError, NotFoundError
            If a filling is none, or there is no such tensor.
        """
        checked = check_pad(pad, self.tensors, self.feed().output)
        return self._derive(("padded", {"pad": checked}), _pad={**self._pad, **(checked or {})})

    @property
    def pad(self) -> dict[str, float | str | None]:
        """What fills up batches of the tensors that are chosen, by `padded`."""
        return {name: value for name, value in self._pad.items() if name in self._fields}

    def with_framework(self, framework: str, *, device: Any = "cpu", narrow: bool = False) -> Self:
        """The same samples as tensors of another framework.

        Parameters
        ----------
        framework : str
        device : optional
            As `mlstac.load` takes it.
        narrow : bool
            As `mlstac.load` takes it.

        Raises
        ------
        UnknownFrameworkError, MissingFrameworkError, DeviceError, DtypeError
            As `mlstac.load` does.
        """
        derived = self._derive(
            ("with_framework", {"framework": framework, "device": device, "narrow": narrow}),
            _framework=framework,
            _device=device,
            _narrow=narrow,
        )
        derived.check()
        return derived

    def statistics(self, tensor: str) -> TensorStatistics:
        """Statistics of a tensor over the train split, as arrays by band, of the values that this dataset gives.

        Raises
        ------
        NotFoundError
            If there is no such tensor, or the collection has no statistics of it.
        """
        if tensor not in self._fields:
            raise NotFoundError(f"the dataset has no tensor {tensor!r}; it has {', '.join(self._fields)}")
        described = self._fields[tensor].tensor
        return given_statistics(tensor, described, self._scaling if tensor in self.feed().output.affines else "")

    def repeat(self, verb: str, arguments: dict[str, Any]) -> Self:
        """Choose again what was chosen of a dataset that was sent here."""
        if verb == "window":
            return self.window(slice(*arguments["y"]), slice(*arguments["x"]), arguments["tensor"])
        if verb == "subset":
            rows = arguments["rows"]
            return self.subset(slice(*rows) if isinstance(rows, tuple) else np.frombuffer(rows, "<u8"))
        chosen: Self = getattr(self, verb)(**arguments)
        return chosen

    def _derive(self, step: Step, **changes: Any) -> Self:
        derived = type(self).__new__(type(self))  # copy.copy would go the way of pickle, and read the collection again
        derived.__dict__.update(self.__dict__)
        derived._steps = (*self._steps, step)
        derived._cached_feed = None
        for name, value in changes.items():
            setattr(derived, name, value)
        return derived

    def feed(self, *, announce: bool = False) -> DatasetFeed:
        """What reads samples and says how tensors are handed out; made once."""
        if self._cached_feed is None:
            output = make_output(
                self.tensors,
                framework=self._framework,
                device=self._device,
                as_dtype=self._origin.as_dtype,
                affines=affines_of(self.tensors, self._scaling),
                decode=self._origin.decode,
                narrow=self._narrow,
                announce=announce,
            )
            self._cached_feed = DatasetFeed(self._reader, self._fields, self._rows, output)
        return self._cached_feed

    def check(self) -> None:
        """See that the framework, the device and every dtype are there; called at load, before anything is read.

        What is chosen of the dataset later has the same dtypes, and says nothing more of them.
        """
        self.feed(announce=True)

    @property
    def dtypes(self) -> dict[str, str]:
        """Dtype of every tensor as handed out, by its safetensors name; encoded fields are ``text`` or ``json``."""
        return dict(self.feed().output.given)

    def stats(self) -> dict[str, Any]:
        """Bytes, requests and retries of this process for this dataset so far."""
        return self._reader.stats()

    def close(self) -> None:
        """Close connections and files; what is read next opens them again."""
        self._reader.close()
