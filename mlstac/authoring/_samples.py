"""What the author hands over, made ready to be written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import xxhash

from mlstac.authoring._description import Description
from mlstac.authoring._form import Form
from mlstac.authoring._values import Encoded, encode
from mlstac.authoring._xarray import DescribedSample, is_xarray, read_xarray
from mlstac.errors import InvalidArgumentError, InvalidSampleError, MlstacError
from mlstac.sample import Row, Sample


@dataclass(slots=True)
class Prepared:
    """One sample as bytes."""

    id: str
    sample: Sample | None
    """None where nothing is said of it but its tensors."""
    form: Form
    tensors: dict[str, Encoded]
    digests: dict[str, int]
    """xxh3-64 of each tensor's bytes."""
    content: int
    """64 bits of all that is stored of its tensors, and of its id; `with_row` adds what its row says."""

    @property
    def nbytes(self) -> int:
        return sum([len(encoded.data) for encoded in self.tensors.values()])


class ChangedSamplesError(InvalidSampleError):
    """The samples of a part are not those that a broken-off attempt had; nobody has seen those."""


def as_sample(given: Any) -> Sample:
    """A Sample, of a Sample, a dict of arrays, or an ``xarray.Dataset``.

    Raises
    ------
    InvalidSampleError
        If it is neither, or Sample refuses it.
    """
    if isinstance(given, Sample):
        return given
    if type(given) is dict:
        return Sample(tensors=given)
    if is_xarray(given):  # which is a mapping too
        return read_xarray(given)
    if isinstance(given, Mapping):
        return Sample(tensors=dict(given))
    if isinstance(given, tuple | list):
        raise InvalidSampleError(
            f"a {type(given).__name__} of {len(given)} does not say what its parts are; give a dict, e.g."
            " ({'input': x, 'target': y} for x, y in samples)"
        )
    raise InvalidSampleError(
        "expected a mlstac.Sample or a dict of arrays such as {'input': image, 'target': mask}, got"
        f" {type(given).__name__}"
    )


def prepare(given: Any, *, split: str, position: int, description: Description, part: int | None = None) -> Prepared:
    """Encode a sample's tensors and check them against the description.

    Parameters
    ----------
    position : int
        Number of the sample in its split; makes the id of one that has none.
    part : int, optional
        Number of the part that the sample is written in; it goes into such an id.
    """
    name = f"{split}-{position:07d}" if part is None else f"{split}-{part:05d}-{position:07d}"
    if type(given) is dict:
        alike = description.recognise(given)
        if alike is not None:
            return _prepared(name, None, *alike)
    elif type(given) is Sample and given.datetimes is None:
        alike = description.recognise(given.tensors)
        if alike is not None:
            return _prepared(given.id if given.id is not None else name, given, *alike)
    try:
        sample = as_sample(given)
        name = sample.id if sample.id is not None else name
        tensors = {key: _encode(key, value, description) for key, value in sample.tensors.items() if value is not None}
    except InvalidSampleError as error:
        raise InvalidSampleError(f"sample {name!r}, number {position} of split {split!r}: {error}") from error
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"sample {name!r}, number {position} of split {split!r}: {error}") from error
    steps = None
    if sample.datetimes is not None:
        description.add_times(tensors, sample.datetimes, sample=name)
        steps = None if isinstance(sample.datetimes, dict) else len(sample.datetimes)
    described = sample.described if isinstance(sample, DescribedSample) else None
    form = description.check(tensors, sample=name, steps=steps, described=described)
    return _prepared(name, sample, form, tensors)


def _prepared(name: str, sample: Sample | None, form: Form, tensors: dict[str, Encoded]) -> Prepared:
    # Of each tensor once: its low half is the checksum of a row of its own, and resuming goes by all of it.
    digests = {key: xxhash.xxh3_64_intdigest(encoded.data.data) for key, encoded in tensors.items()}
    return Prepared(name, sample, form, tensors, digests, form.content(name, digests))


def _encode(name: str, value: Any, description: Description) -> Encoded:
    try:
        return encode(value, dtype=description.dtype(name), media_type=description.media_type(name))
    except (MlstacError, TypeError, ValueError) as error:
        raise InvalidSampleError(f"tensor {name!r}: {error}") from error


def with_row(content: int, row: Row) -> int:
    """64 bits of a sample's tensors and of what its row says: place, time, links and the author's columns."""
    if row[1:] == _SAYS_NOTHING[1:]:
        said = f"({content}{_NOTHING}"
    else:
        plain = row._replace(id="", grids={}, properties={})
        said = repr((content, sorted(row.grids.items()), tuple(plain), sorted(row.properties.items())))
    return xxhash.xxh3_64_intdigest(said.encode(errors="surrogatepass"))


def bare_row(name: str) -> Row:
    """The row of a sample of which nothing is said but its tensors."""
    return Row(name, *_SAYS_NOTHING[1:])


_SAYS_NOTHING: Final = Row("", {}, None, None, None, None, None, {})
_NOTHING: Final = repr((0, [], tuple(_SAYS_NOTHING), []))[2:]
