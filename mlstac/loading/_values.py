"""Stored bytes as the values that the user asked for: another dtype, scaled or normalized, decoded media."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlstac.collection import Tensor, check_dtype
from mlstac.errors import DeviceError, DtypeError, FormatError, InvalidArgumentError, MlstacError
from mlstac.frameworks import (
    Transfer,
    check_conversion,
    check_dtypes,
    check_placed,
    convert,
    get_adapter,
    numpy_dtype,
)
from mlstac.loading._addresses import MISSING
from mlstac.loading._media import decode_media, decoded_axes, encoded_kind
from mlstac.loading._slots import Slots
from mlstac.loading._view import TensorView

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """value = stored * factor + term, along the band axis; rounded to float32 at the end.

    The arithmetic is of float32 where that holds every stored value, else of float64: a count above 2**24, less its
    offset, would else lose its last digits.
    """

    factor: NDArray[np.float64]
    """Broadcasts against one sample."""
    term: NDArray[np.float64]

    def apply(self, stored: NDArray[Any], out: NDArray[np.float32]) -> None:
        """Write the values of stored ones."""
        if stored.dtype.itemsize < 4 or stored.dtype == np.float32:
            factor, term = self.factor.astype(np.float32), self.term.astype(np.float32)
            np.multiply(stored, factor, out=out, dtype=np.float32, casting="unsafe")
            out += term
        else:
            wide = np.multiply(stored, self.factor, dtype=np.float64, casting="unsafe")
            wide += self.term
            with np.errstate(over="ignore"):
                np.copyto(out, wide, casting="same_kind")


@dataclass(frozen=True, slots=True, eq=False)
class Affines:
    """An affine for each of several datasets, whose samples come in one batch."""

    factors: NDArray[np.float64]
    """Shape (dataset, …): what follows the first axis has the rank of a sample."""
    terms: NDArray[np.float64]

    @classmethod
    def of(cls, affines: Sequence[Affine | None], rank: int) -> "Affine | Affines | None":
        """Join the affines of several datasets, None being that of values as they are; one if all are the same."""
        if all(affine is None for affine in affines):
            return None
        factors = _stack([np.ones(()) if affine is None else affine.factor for affine in affines], rank)
        terms = _stack([np.zeros(()) if affine is None else affine.term for affine in affines], rank)
        if affines[0] is not None and (factors == factors[0]).all() and (terms == terms[0]).all():
            return affines[0]
        return cls(factors, terms)

    def pick(self, owners: NDArray[np.int64], rank: int) -> Affine:
        """The affine of a batch, or of one sample if the values have no batch axis; by dataset of each sample."""
        if rank < self.factors.ndim:
            return Affine(self.factors[owners[0]], self.terms[owners[0]])
        return Affine(self.factors[owners], self.terms[owners])


def _stack(values: Sequence[NDArray[np.float64]], rank: int) -> NDArray[np.float64]:
    shape = np.broadcast_shapes(*(value.shape for value in values), (1,) * rank)
    return np.stack([np.broadcast_to(value, shape) for value in values])


@dataclass(frozen=True, eq=False)
class Output:
    """How tensors of a dataset are handed out."""

    adapter: Any
    device: Any
    dtypes: dict[str, str]
    """Tensor -> dtype name of its values, where not as stored."""
    affines: Mapping[str, Affine | Affines]
    """Tensor -> scaling, where any; such values are F32."""
    decode: bool
    """Decode pictures and video; text and JSON always are."""
    given: dict[str, str]
    """Tensor -> dtype name as it is handed out; of encoded fields ``"text"`` for str and bytes, ``"json"``, or U8 for
    decoded pictures, though gray ones of 16 bits are U16."""

    @cached_property
    def pinned_for(self) -> Any:
        """The device for which host memory is worth pinning; None for the CPU."""
        return None if self.on_host else self.device

    @cached_property
    def on_host(self) -> bool:
        """Whether tensors stay where they are made."""
        return str(self.device).lower() in ("cpu", "cpu:0", "place(cpu)", "/device:cpu:0")

    @cached_property
    def beyond_torch(self) -> bool:
        """Whether arrays are handed out of which torch makes no tensors: of dtypes that numpy itself lacks."""
        return self.adapter.NAME == "numpy" and any(
            dtype not in ("text", "json") and numpy_dtype(dtype).isbuiltin != 1 for dtype in self.given.values()
        )

    def allocate(self, nbytes: int) -> Bytes:
        """Memory that a tensor may live on."""
        buffer: Bytes = self.adapter.allocate(nbytes, self.pinned_for)
        return buffer

    def begin_transfer(self, batch: dict[str, Any]) -> Any:
        """Send a batch on its way to the device; ``wait`` of what comes back hands it over."""
        return Transfer(batch) if self.on_host else self.adapter.begin_transfer(batch, self.device)

    def changes(self, view: TensorView) -> bool:
        """Whether values are made of the stored bytes: converted, scaled or decoded."""
        return self.converts(view.name) or view.layout.media_type is not None

    def decodes(self, view: TensorView) -> bool:
        """Whether a field is pictures or films that are decoded to arrays."""
        return view.layout.media_type is not None and self.given[view.name] not in ("text", "json")

    def converts(self, name: str) -> bool:
        """Whether stored values, decoded or not, are converted to a dtype that is asked for, scaled or normalized."""
        return name in self.dtypes or name in self.affines

    def made(self, name: str, stored: str) -> str:
        """Dtype name of values once they are converted, before a framework that lacks it holds them in a wider one."""
        return self.dtypes.get(name, "F32" if name in self.affines else stored)

    def prepare(self, slots: Slots) -> None:
        """Give slots their memory: where values will be made of it, plain memory does."""
        passing = self.changes(slots.view)
        slots.buffer = np.empty(slots.nbytes, np.uint8) if passing else self.allocate(slots.nbytes)

    def single(self, slots: Slots, row: int = 0, *, device: Any = None) -> Any:
        """The tensor of one sample, by its number in the slots.

        Raises
        ------
        DeviceError
            If the device is several, over which batches are laid out; a sample has no axis for that.
        """
        if self.spreads(device):
            raise DeviceError(
                f"{device} lays out batches over several devices, and one sample is no batch: ask for ds[3:4] or "
                "ds.batches(...), or for samples with_framework('jax', device='cpu')"
            )
        return self._one(slots, row, device)

    def spreads(self, device: Any) -> bool:
        """Whether a device is several, over which batches are laid out."""
        spread = getattr(self.adapter, "lays_out_batches", None)
        return spread is not None and device is not None and bool(spread(device))

    def stacked(self, slots: Slots, *, lacking: NDArray[np.bool_] | None = None, filling: Any = None) -> Any:
        """One tensor of shape (batch, *shape), on the host.

        Samples that lack it are told by ``lacking``, of shape (batch,); their values become the filling, which is of
        the dtype `made`, after those that are there were converted.

        Raises
        ------
        DtypeError, FormatError
            If a value is not as it must be; ``row`` of the error is that of the sample in the batch.
        """
        shape = slots.view.shape
        assert shape is not None
        try:
            rows = (len(slots.begins), *shape)
            data, dtype = self.values(slots, slots.buffer, rows)
            if lacking is not None:
                data.view(numpy_dtype(dtype)).reshape(rows)[lacking] = filling
            return self.decoded(slots.view.name, data, dtype, rows, None)
        except (DtypeError, FormatError):
            self.listed(slots)  # one by one: the sample at fault raises the same, and the error says which it is
            raise

    def listed(self, slots: Slots) -> list[Any]:
        """One tensor a sample, on the host; None where a sample lacks it."""
        return self._each(slots, lambda row: self._one(slots, row, None))

    def arrays(self, slots: Slots) -> list[NDArray[Any] | None]:
        """The decoded array of each sample, of uint8 or uint16; None where a sample lacks it."""
        return self._each(slots, lambda row: self._media(slots, slots.place(row)))

    def _each(self, slots: Slots, make: Callable[[int], Any]) -> list[Any]:
        found: list[Any] = []
        for row, file in enumerate(slots.located.files.tolist()):
            try:
                found.append(None if file == MISSING else make(row))
            except MlstacError as error:
                vars(error).update(row=row)  # for whoever knows which sample that is
                raise
        return found

    def _one(self, slots: Slots, row: int, device: Any) -> Any:
        own = slots if slots.owners is None else slots.part(row, row + 1)
        shape = slots.view.shape if slots.shapes is None else slots.shapes[row]
        assert shape is not None
        return self._tensor(own, slots.place(row), shape, device)

    def _tensor(self, slots: Slots, data: Bytes, shape: tuple[int, ...], device: Any) -> Any:
        layout = slots.view.layout
        if layout.media_type is not None:
            decoded = self._media(slots, data)
            if not isinstance(decoded, np.ndarray):
                return decoded
            own = self._own(decoded) if layout.name not in self.dtypes else _as_bytes(decoded)
            stored = "U16" if decoded.dtype == np.uint16 else "U8"
            data, dtype = self.values(slots, own, decoded.shape, stored=stored)
            return self.adapter.decode(data, dtype, decoded.shape, device=device, owned=True)
        data, dtype = self.values(slots, data, shape)
        return self.decoded(layout.name, data, dtype, shape, device)

    def _media(self, slots: Slots, data: Bytes) -> Any:
        layout = slots.view.layout
        assert layout.media_type is not None
        return decode_media(data, layout.media_type, pictures=self.decode, tensor=layout.name, label=layout.label)

    def decoded(self, name: str, data: Bytes, dtype: str, shape: tuple[int, ...], device: Any) -> Any:
        """A tensor over bytes that are its own.

        Raises
        ------
        DtypeError, FormatError
            If a value is none of its dtype, or the framework cannot hold it; the message names the tensor.
        """
        try:
            return self.adapter.decode(data, dtype, shape, device=device, owned=True)
        except (DtypeError, FormatError) as error:
            raise type(error)(f"tensor {name!r}: {error}") from error

    def values(
        self, slots: Slots, data: Bytes, shape: tuple[int, ...], *, stored: str | None = None
    ) -> tuple[Bytes, str]:
        """Values of stored bytes as bytes again, and their dtype name; ``stored`` is that of decoded ones.

        Raises
        ------
        DtypeError, FormatError
            If a value does not fit what it is converted to, or is none; the message names the tensor.
        """
        name, stored = slots.view.name, stored or slots.view.layout.dtype
        if name in self.affines:
            affine = self.affines[name]
            if isinstance(affine, Affines):
                assert slots.owners is not None
                affine = affine.pick(slots.owners, len(shape))
            result = self.allocate(data.nbytes // numpy_dtype(stored).itemsize * 4)
            out = result.view(np.float32).reshape(shape)
            affine.apply(data.view(numpy_dtype(stored)).reshape(shape), out)
            data, stored = result, "F32"
        target = self.dtypes.get(name, stored)
        if target == stored:
            return data, stored
        count = data.nbytes // numpy_dtype(stored).itemsize
        converted = self.allocate(count * numpy_dtype(target).itemsize)
        try:
            convert(data, stored, target, converted)
        except (DtypeError, FormatError) as error:
            raise type(error)(f"tensor {name!r}: {error}") from error
        return converted, target

    def _own(self, array: NDArray[Any]) -> Bytes:
        data = self.allocate(array.nbytes)
        data[:] = _as_bytes(array)
        return data


def _as_bytes(array: NDArray[Any]) -> Bytes:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def make_output(
    tensors: Mapping[str, Tensor],
    *,
    framework: str,
    device: Any,
    as_dtype: str | Mapping[str, str] | None,
    affines: dict[str, Affine],
    decode: bool,
    narrow: bool = False,
    announce: bool = False,
) -> Output:
    """Find the framework and the device, and see that the framework can hold every tensor.

    With ``announce`` it warns of tensors that the framework holds in a wider dtype.

    Raises
    ------
    UnknownFrameworkError, MissingFrameworkError, DeviceError, DtypeError
        If it cannot be; before anything is read.
    """
    adapter = get_adapter(framework)
    targets = _targets(tensors, as_dtype, decode=decode)
    held, encoded = {}, {}
    for name, tensor in tensors.items():
        stored = "F32" if name in affines else tensor.dtype or "U8"
        if name in targets:
            _check_target(name, stored, targets[name])
        if tensor.media_type is None or name in targets:
            held[name] = targets.get(name, stored)
        else:
            encoded[name] = encoded_kind(tensor.media_type, pictures=decode)
    given = check_dtypes(adapter, held, narrow=narrow, announce=announce)
    if narrow:  # what the framework cannot hold is converted here, where it is checked value by value
        targets = targets | {name: dtype for name, dtype in given.items() if dtype != held[name]}
    place = adapter.resolve_device(device)
    check_placed(adapter, given, place)
    return Output(adapter, place, targets, affines, decode, given | encoded)


def _check_target(name: str, stored: str, target: str) -> None:
    try:
        check_conversion(stored, target)
    except DtypeError as error:
        raise DtypeError(f"tensor {name!r}: {error}") from error


def _targets(
    tensors: Mapping[str, Tensor], as_dtype: str | Mapping[str, str] | None, *, decode: bool
) -> dict[str, str]:
    """Dtype that each tensor is converted to: one word means all data, not labels; a mapping those it names."""
    if as_dtype is None:
        return {}
    kinds = {
        name: encoded_kind(tensor.media_type, pictures=decode)
        for name, tensor in tensors.items()
        if tensor.media_type is not None
    }
    if isinstance(as_dtype, Mapping):
        for name in as_dtype:
            if kinds.get(name) in ("text", "json"):
                media_type = tensors[name].media_type
                mend = "; load with decode=True for arrays, which have one" if decoded_axes(str(media_type)) else ""
                raise DtypeError(f"tensor {name!r} holds {media_type}, which has no dtype to convert{mend}")
        return {name: check_dtype(dtype) for name, dtype in as_dtype.items() if name in tensors}
    if as_dtype == "float":
        raise InvalidArgumentError(
            "as_dtype='float' is of 64 bits to numpy and of 32 to torch; say as_dtype='float32' or 'float64'"
        )
    target = check_dtype(as_dtype)
    plain = {name: tensor for name, tensor in tensors.items() if kinds.get(name) not in ("text", "json")}
    return {name: target for name, tensor in plain.items() if tensor.role == "data"}
