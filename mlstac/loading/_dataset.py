"""A dataset: samples of some splits, as tensors of one framework; thin over the parts that do the work."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from mlstac.errors import InvalidArgumentError, MlstacError, NotFoundError
from mlstac.loading._assemble import assemble
from mlstac.loading._batches import Batches
from mlstac.loading._chosen import Chosen, Rows
from mlstac.loading._fetcher import as_torch, find_fetcher, makes_tensors
from mlstac.loading._order import balanced_weights, block_rows, choose_order
from mlstac.loading._padding import check_pad, join_pads
from mlstac.loading._repr import describe_dataset
from mlstac.loading._samples import Samples, advise_batches
from mlstac.loading._selection import is_single, row_of, rows_of
from mlstac.loading._world import find_world

if TYPE_CHECKING:
    import pystac
    from matplotlib.figure import Figure


class Dataset(Chosen):
    """Samples of a dataset's splits, read when they are asked for.

    Made by `mlstac.load`. ``ds[4]`` is one sample, a dict of tensors; ``ds[10:20]``, ``ds[[3, 5, 8]]`` and a mask are
    one batch. Methods that choose or change return a new dataset over the same files; none reads samples.

    A dataset may be used from several threads, and in processes forked or spawned after it was made: it keeps neither
    connection, thread nor lock across a fork, and pickles as where it is and what was chosen.
    """

    def __getitem__(self, key: SupportsIndex | slice | Sequence[int] | NDArray[Any]) -> dict[str, Any]:
        if is_single(key):
            found = self._sample(row_of(key, len(self)))  # type: ignore[arg-type]
        else:
            found = self._batch(rows_of(key, len(self)))  # type: ignore[arg-type]
        if self.feed().output.beyond_torch and makes_tensors(find_fetcher(sys._getframe(1))):
            return {name: as_torch(value) for name, value in found.items()}
        return found

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self._sample(row) for row in range(len(self)))

    def __getitems__(self, rows: Sequence[int]) -> Samples:
        """Samples that ``torch.utils.data.DataLoader`` asks for at once; its default collate makes no copy of them."""
        feed = self.feed()
        if self._reader.remote:
            chosen = rows_of(list(rows), len(self))
            advise_batches(chosen)
            read = feed.read(chosen)
        else:
            chosen, read = feed.read_listed(list(rows))
        return Samples(read, feed.output, partial(feed.placed, samples=chosen), pad=self.pad)

    def batches(
        self,
        batch_size: int,
        *,
        shuffle: Literal[False, True, "block"] = False,
        seed: int = 0,
        epoch: int = 0,
        drop_last: bool = False,
        pad: Mapping[str, float | str | None] | None = None,
        rank: int | None = None,
        world_size: int | None = None,
        prefetch: int = 2,
        max_in_flight_bytes: str | int = "256MB",
        transform: Callable[..., Any] | None = None,
        weights: Sequence[float] | NDArray[Any] | None = None,
        balance: str | None = None,
    ) -> Batches:
        """Batches of one epoch, read and assembled ahead in a thread; large local ones in two.

        The order is a function of (seed, epoch, number of samples) alone. Step k covers positions k·B·W … (k+1)·B·W
        of it, for B = ``batch_size`` and W = ``world_size``: the same B·W gives the same global batches on any number
        of ranks.

        Parameters
        ----------
        batch_size : int
            Samples of a batch of this rank.
        shuffle : False, True or "block"
            As they lie; a true permutation; or blocks of neighbours in random order, mixed 16 at a time, which keeps
            reads long.
        seed, epoch : int
            Choose the order. Give every epoch its number.
        drop_last : bool
            Leave out what does not fill a last step. Else the last step is shorter, and where it does not divide by
            the ranks the epoch's first samples come again (``batches.padding`` of them).
        pad : mapping of str to number, optional
            Tensor -> filling, beside those of `padded`. A tensor whose shape varies, or that is decoded from pictures
            or films, becomes one tensor as large as its largest sample, with ``<name>_mask`` of the axes that vary;
            one that samples may lack is filled, with ``<name>_present`` (text with a str, any encoded field with None).
            The number is a value as it comes out, of the dtype that ``as_dtype`` asks for, scaled or normalized; not
            one as stored. Without it the first is a list, the second an error if a sample lacks it.
        rank, world_size : int, optional
            By default those of torch.distributed or jax.distributed, if initialised, else 0 of 1.
        prefetch : int
            Batches made ahead; 0 makes them where they are used, without a thread.
        max_in_flight_bytes : str or int
            Bound on bytes asked for and not yet in a batch; a single batch may be larger.
        transform : callable, optional
            ``transform(batch)``, or ``transform(batch, generators)`` with one random generator a sample, that of
            (seed, epoch, sample). Runs in the thread, of which there is then one.
        weights : sequence of float, optional
            One a sample: the epoch has as many draws as the dataset samples, with replacement, in proportion.
        balance : str, optional
            Column of the catalog: draw so that each of its values comes as often.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be meant.
        NotFoundError
            If there is no such column to balance by, or no such tensor to pad.
        """
        rank, world_size = find_world(rank, world_size)
        if balance is not None:
            if weights is not None:
                raise InvalidArgumentError("weights= and balance= both say how often samples come; give one of them")
            if balance in self.tensors and balance not in self.metadata.columns:
                raise NotFoundError(
                    f"balance={balance!r} is a tensor, and no column of the catalog: write such labels as columns too, "
                    f"Sample(..., properties={{{balance!r}: ...}}), or give weights=, one number a sample"
                )
            weights = balanced_weights(self.metadata.to_table([balance]).column(0), balance)
        kind, make = choose_order(len(self), shuffle=shuffle, weights=weights, block=self.block_rows)
        feed = self.feed()
        return Batches(
            feed,
            fingerprint=self._fingerprint,
            make_order=make,
            kind=kind,
            batch_size=batch_size,
            seed=seed,
            epoch=epoch,
            drop_last=drop_last,
            pad=check_pad(join_pads(self.pad, pad), self.tensors, feed.output),
            rank=rank,
            world_size=world_size,
            prefetch=prefetch,
            max_in_flight_bytes=max_in_flight_bytes,
            transform=transform,
        )

    def iterable(self, batch_size: int | None = None, **options: Any) -> Any:
        """Batches as a ``torch.utils.data.IterableDataset``, for ``DataLoader(..., batch_size=None)``; or samples.

        A loader with a batch size of its own, which is torch's default, would batch the batches: it gets an
        `InvalidArgumentError`, unless it has a collate function of its own.

        Workers take turns, so that the loader's order is that of `batches`. Works with ``torchdata``'s
        ``StatefulDataLoader``; rank and world size are those of this process, which a worker would not know.

        Parameters
        ----------
        batch_size : int, optional
            None gives single samples, in the same order and with the same state, for a loader that makes batches
            itself. They are read many at a time all the same; batches made here are faster still. Of n workers each
            has every n-th sample.
        **options
            As for `batches`. Of single samples ``transform`` gets each, and the one generator of it; ``pad`` gives
            those that lack a tensor its filling.
        """
        from mlstac.loading._torch import BatchStream

        rank, world_size = find_world(options.pop("rank", None), options.pop("world_size", None))
        return BatchStream(self, {"batch_size": batch_size, "rank": rank, "world_size": world_size, **options})

    def to_tf(self, batch_size: int | None = None, **options: Any) -> Any:
        """A ``tf.data.Dataset`` of batches with a static ``element_spec``; each iteration is the next epoch.

        Parameters
        ----------
        batch_size : int, optional
            None gives single samples, for a pipeline that makes batches itself. They are read many at a time all the
            same; batches made here are faster still.
        **options
            As for `batches`; tensors that vary in their first axis alone are a ``tf.RaggedTensor`` unless ``pad`` is
            given.

        Returns
        -------
        tf.data.Dataset
            Of dicts, on the CPU.

        Raises
        ------
        MissingFrameworkError, DtypeError, InvalidArgumentError
            If TensorFlow is not installed, or a tensor has no static type there.
        """
        from mlstac.loading._tf_data import make_tf_dataset

        dataset = self if batch_size is not None else self._derive(("unpadded", {}), _pad={})  # single samples are not
        return make_tf_dataset(dataset, batch_size, **options)

    def to_xarray(self, index: SupportsIndex) -> Any:
        """One sample as an ``xarray.Dataset``: axes by name, bands, places, times, and the CRS as rioxarray reads it.

        Raises
        ------
        MissingPackageError
            If xarray is not installed.
        """
        from mlstac.loading._xarray import make_xarray

        plain = self.with_framework("numpy")
        row = row_of(index, len(self))
        known = plain.metadata[row]
        if "assets" in self._reader.catalog.schema().names:
            number = row if self._rows is None else int(self._rows[row])
            known |= self._reader.catalog.row(number, ["assets"])
        return make_xarray(plain[row], plain._fields, known, scaled=plain.feed().output.affines)

    def items(self) -> "Iterator[pystac.Item]":
        """The samples as STAC Items that stand alone, made as they are asked for.

        Hrefs are absolute, and each asset has what the collection's ``item_assets`` says of it: what a STAC API
        ingests.

        Yields
        ------
        pystac.Item

        Raises
        ------
        MissingPackageError
            If pystac is not installed.
        NotFoundError
            At a sample that has no time: STAC has no Item without one.
        """
        from mlstac.loading._items import iterate_items

        return iterate_items(self._reader.catalog, self._row_numbers(), self.collection)

    def item_documents(self) -> Iterator[dict[str, Any]]:
        """The samples as `items` has them, as JSON objects; needs no pystac."""
        from mlstac.loading._items import item_documents

        return item_documents(self._reader.catalog, self._row_numbers(), self.collection)

    def plot(self, samples: Sequence[int] | int = (0, 1, 2, 3), **options: Any) -> "Figure":
        """Draw samples: true colour of images, classes of labels with their legend.

        Raises
        ------
        MissingPackageError
            If matplotlib is not installed.
        """
        from mlstac.pictures import draw_samples

        rows = [samples] if isinstance(samples, int) else list(samples)
        plain = self._derive(("unscaled", {}), _scaling="").with_framework("numpy")
        drawn = [plain[row] for row in rows]
        ids = [str(self.metadata[row].get("id", row)) for row in rows]
        return draw_samples(drawn, self.tensors, ids=ids, **options)

    def __repr__(self) -> str:
        return describe_dataset(
            f"{self.collection.id!r}, {self.split}",
            len(self),
            self._framework,
            self.tensors,
            scaling=self._scaling,
            scaled=self.feed().output.affines,
        )

    @property
    def block_rows(self) -> int:
        """Samples of a block of ``shuffle="block"``."""
        return block_rows(field.view.layout for field in self._all_fields.values())

    def _row_numbers(self) -> Rows:
        return np.arange(len(self)) if self._rows is None else self._rows

    def _sample(self, row: int) -> dict[str, Any]:
        return self.feed().read_one(row)

    def _batch(self, rows: Rows) -> dict[str, Any]:
        feed = self.feed()
        read = feed.read(rows)
        try:
            batch: dict[str, Any] = feed.output.begin_transfer(assemble(read, feed.output, pad=self.pad)).wait()
        except MlstacError as error:
            if not hasattr(error, "row"):
                raise
            raise feed.placed(error, rows) from error
        return batch
