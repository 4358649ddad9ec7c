"""What is checked of a sample before it is taken in."""

from typing import Any, NamedTuple

from mlstac.authoring._description import Description
from mlstac.authoring._local_origins import relative_origins
from mlstac.authoring._properties import Properties
from mlstac.authoring._samples import Prepared, bare_row, prepare, with_row
from mlstac.authoring._target import Target
from mlstac.collection import Collection
from mlstac.errors import InvalidSampleError
from mlstac.sample import Row, check_grid, sample_row


class Admitted(NamedTuple):
    """A sample that fits."""

    prepared: Prepared
    row: Row
    kinds: dict[str, str]
    """Of the author's own columns, to be noted once the sample is in."""


class Admission:
    """Samples made ready, each refused where it cannot be written.

    Parameters
    ----------
    declared : Collection
        As the author gave it.
    description : Description
        Of the tensors so far; a sample that adds to it changes it.
    properties : Properties
        The author's columns so far.
    home : Target
        Where the dataset is, for links to what a sample was derived from.
    part : int, optional
        Number of the part that is written.
    """

    def __init__(
        self, declared: Collection, description: Description, properties: Properties, *, home: Target, part: int | None
    ) -> None:
        self._declared = declared
        self._description = description
        self._properties = properties
        self._home = home
        self._part = part
        self._checked_tasks = False

    def admit(self, sample: Any, *, split: str, number: int, is_new: bool) -> Admitted:
        """Encode a sample and check all that can be checked before it is taken in.

        Parameters
        ----------
        number : int
            Of the sample in its split, over all that the dataset has.
        is_new : bool
            Whether it will be written, rather than compared with what an unfinished run has written.

        Raises
        ------
        InvalidSampleError
            If the sample cannot be written, or does not fit the description.
        InvalidArgumentError
            If the tensors do not give what the collection's tasks need.
        """
        prepared = prepare(sample, split=split, position=number, description=self._description, part=self._part)
        if is_new and not self._checked_tasks:
            self._check_tasks()
        kinds: dict[str, str] = {}
        if prepared.sample is None:
            row = bare_row(prepared.id)
        else:
            kinds = self._properties.check(prepared.sample.properties, sample=prepared.id)
            row = sample_row(prepared.sample, id=prepared.id, grids=prepared.form.grids)
            if row.derived_from:
                origins = relative_origins(row.derived_from, home=self._home, split=split, sample=prepared.id)
                row = row._replace(derived_from=origins)
            if row.grids and row.geometry is None:
                _check_place(row)
        prepared.content = with_row(prepared.content, row)
        return Admitted(prepared, row, kinds)

    def _check_tasks(self) -> None:
        """Check, once the first sample has completed the description, that the tensors give what the tasks need."""
        described = self._declared.model_copy()
        described.tensors = self._description.tensors
        described.check_tasks()
        self._checked_tasks = True


def _check_place(row: Row) -> None:
    """Refuse a grid that leaves its CRS's domain now, not when the footprints of a shard are computed."""
    for grid in set(row.grids.values()):
        if grid.crs is not None and grid.transform is not None:
            try:
                check_grid(grid.crs, grid.transform, grid.shape)
            except InvalidSampleError as error:
                raise InvalidSampleError(f"sample {row.id!r}: {error}") from None
