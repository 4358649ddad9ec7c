"""What the samples are said to be: as declared, and where nothing was declared, as the first sample shows it."""

from collections.abc import Callable, Mapping
from typing import Any

from mlstac.authoring._axes import check_axes, grids_of, guess_role, infer_dims, shown, warn_of_last_bands
from mlstac.authoring._form import Form, FormKey, key_of
from mlstac.authoring._shapes import UNSEEN, OpenShape, Unseen, check_layout, holds, join_shapes, layout_of, looser
from mlstac.authoring._steps import TIME, encode_times, time_tensor
from mlstac.authoring._values import Encoded
from mlstac.collection import Collection, Tensor, check_name
from mlstac.errors import InvalidSampleError

_NEEDS = {"stacked": "one shape", "jagged": "shapes that differ in the first axis alone"}

Encodeds = Mapping[str, Encoded]

_MOST_FORMS = 256
"""Forms that are remembered; jagged samples may have one each."""


class Description:
    """The tensors of a dataset, declared or inferred, and what their samples had in common so far.

    Parameters
    ----------
    collection : Collection
        Its tensors, where it has any, are the only ones that samples may have.
    layout : str
        ``auto``, or one layout for all tensors that declare none.
    """

    def __init__(self, collection: Collection, *, layout: str = "auto") -> None:
        check_layout(layout)
        self.tensors: dict[str, Tensor] = {
            check_name(name): tensor.model_copy(deep=True) for name, tensor in collection.tensors.items()
        }
        self._declared = bool(self.tensors)
        self._declared_shapes = {
            name: tensor.shape for name, tensor in self.tensors.items() if tensor.shape is not None
        }
        self._layout = layout
        self._begun = False
        self._times: dict[str, Tensor] = {}
        """Descriptions of tensors of times that no sample has brought yet."""
        self._shapes: dict[str, OpenShape | Unseen | None] = dict.fromkeys(self.tensors, UNSEEN)
        self._layouts: dict[str, dict[str, str]] = {}
        self._axes: dict[str, int] = {}
        """How many axes each tensor has, once a sample brought it: readers count on one number."""
        self._met: dict[str, OpenShape | Unseen | None] = {}
        """What the shapes of all samples so far have in common, those in no shard yet too."""
        self._forms: dict[FormKey, Form] = {}
        """Forms that samples have had, and that are found to fit."""
        self._last: Form | None = None
        self._undo: Callable[[], None] | None = None
        """Takes back what has changed since it was made; None where something has. Most samples change nothing."""

    def dtype(self, name: str) -> str | None:
        tensor = self.tensors.get(name)
        return None if tensor is None else tensor.dtype

    def media_type(self, name: str) -> str | None:
        tensor = self.tensors.get(name)
        return None if tensor is None else tensor.media_type

    def mark(self) -> Callable[[], None]:
        """What a sample may change here; call the result to take it back where the sample is refused later."""
        if self._undo is None:
            self._undo = self._make_undo()
        return self._undo

    def _make_undo(self) -> Callable[[], None]:
        tensors, shapes, times, begun = dict(self.tensors), dict(self._shapes), dict(self._times), self._begun
        axes, met = dict(self._axes), dict(self._met)
        fields = [(tensor, tensor.dtype, tensor.media_type, tensor.dims) for tensor in tensors.values()]

        def undo() -> None:
            self.tensors, self._shapes, self._times, self._begun = tensors, shapes, times, begun
            self._axes, self._met = axes, met
            self._changed()
            for tensor, dtype, media_type, dims in fields:
                tensor.dtype, tensor.media_type, tensor.dims = dtype, media_type, dims

        return undo

    # ------------------------------------------------------------------ samples in

    def check(
        self,
        tensors: Encodeds,
        *,
        sample: str,
        steps: int | None = None,
        described: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Form:
        """Check a sample against the description; the first one completes it.

        Parameters
        ----------
        described : mapping of str to mapping, optional
            What the sample itself says of its tensors, as fields of a `Tensor`; the collection's word goes before it.

        Returns
        -------
        Form
            The same for all samples that are alike in what is checked here.

        Raises
        ------
        InvalidSampleError
            If a tensor is missing, unknown, or of another dtype, media type or declared shape.
        """
        if not tensors:
            raise InvalidSampleError(f"sample {sample!r} has no tensors; give at least one")
        key = key_of(tensors)
        if key not in self._forms:
            self._check_form(tensors, sample=sample, steps=steps, described=described or {})
            if len(self._forms) >= _MOST_FORMS:
                self._forms.clear()
            self._forms[key] = Form(key, grids=grids_of(self.tensors, tensors))
        self._last = self._forms[key]
        return self._last

    def recognise(self, tensors: Mapping[str, Any]) -> tuple[Form, dict[str, Encoded]] | None:
        """The form of a sample whose tensors are plain arrays like those of the sample before, and its bytes."""
        if self._last is None:
            return None
        encoded = self._last.encode(tensors)
        return None if encoded is None else (self._last, encoded)

    def _changed(self) -> None:
        """Forget what was found of the description as it was."""
        self._forms.clear()
        self._last = self._undo = None

    def _check_form(
        self, tensors: Encodeds, *, sample: str, steps: int | None, described: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self._undo = None
        if not self._begun:
            self._begin(tensors, steps=steps, described=described)
        for name in [name for name in self._times if name in tensors]:
            self.tensors[name], self._shapes[name] = self._times.pop(name), UNSEEN
        for name, encoded in tensors.items():
            tensor = self.tensors.get(name)
            if tensor is None:
                whose = "the collection declares" if self._declared else "the first sample has"
                raise InvalidSampleError(
                    f"sample {sample!r} has a tensor {name!r} that is not described; {whose} {', '.join(self.tensors)}:"
                    " describe it in the collection's tensors (with required=False where samples may lack it), or"
                    " leave it out"
                )
            self._check_one(name, tensor, encoded, sample)
        for name, tensor in self.tensors.items():
            if tensor.required and name not in tensors:
                raise InvalidSampleError(
                    f"sample {sample!r} lacks the tensor {name!r}; it has {', '.join(tensors) or 'none'}: give it, or"
                    f" describe {name!r} with Tensor(required=False)"
                )
        for name, encoded in tensors.items():
            self._axes.setdefault(name, len(encoded.shape))
            if self._met.get(name, UNSEEN) != encoded.shape:
                self._met[name] = self._join_met(name, encoded, sample)

    def _check_one(self, name: str, tensor: Tensor, encoded: Encoded, sample: str) -> None:
        what = f"tensor {name!r} of sample {sample!r}"
        if tensor.dtype is None:
            tensor.dtype = encoded.dtype
        if encoded.dtype != tensor.dtype:
            raise InvalidSampleError(
                f"{what} is of dtype {encoded.dtype}, but {name!r} is of {tensor.dtype} in this dataset; convert it"
                " before adding (array.astype), or make it a tensor of its own"
            )
        if tensor.media_type is None and encoded.media_type is not None and isinstance(self._shapes[name], Unseen):
            tensor.media_type = encoded.media_type
        if encoded.media_type != tensor.media_type:
            raise InvalidSampleError(
                f"{what} is {encoded.media_type or 'an array'}, but {name!r} is {tensor.media_type or 'an array'} in"
                " this dataset"
            )
        if encoded.media_type is None and len(encoded.shape) != self._axes.get(name, len(encoded.shape)):
            raise InvalidSampleError(
                f"{what} has shape {shown(encoded.shape)}, but {name!r} has {self._axes[name]} axes in the samples"
                " before; lengths may vary, the number of axes may not: reshape it, or make it a tensor of its own"
            )
        if encoded.media_type is None:
            check_axes(what, tensor, encoded.shape)
        declared = self._declared_shapes.get(name)
        if declared is not None and encoded.media_type is None and not holds(declared, encoded.shape):
            raise InvalidSampleError(
                f"{what} has shape {shown(encoded.shape)}, but the collection declares {shown(declared)}; reshape it,"
                " or declare None for the axes that vary"
            )

    def _join_met(self, name: str, encoded: Encoded, sample: str) -> OpenShape | Unseen | None:
        """What the shapes have in common with one more; refused where a layout by decree holds over all shards."""
        before = self._met.get(name, UNSEEN)
        joined = join_shapes(before, encoded.shape)
        asked = self.tensors[name].layout or (self._layout if self._layout != "auto" else None)
        if asked is None or encoded.media_type is not None or looser(asked, layout_of(joined)) == asked:
            return joined
        raise InvalidSampleError(
            f"tensor {name!r} of sample {sample!r} has shape {shown(encoded.shape)}, but {shown(before)} in the samples"
            f" before: it is to be {asked} in all shards, which needs {_NEEDS[asked]}; use layout='auto'"
        )

    def _begin(self, tensors: Encodeds, *, steps: int | None, described: Mapping[str, Mapping[str, Any]]) -> None:
        if not self._declared:
            for name, encoded in tensors.items():
                said: dict[str, Any] = {"role": guess_role(name), **described.get(name, {})}
                inferred = Tensor(dtype=encoded.dtype, media_type=encoded.media_type, **said)
                self.tensors[check_name(name)] = self._times.pop(name, inferred)
                self._shapes[name] = UNSEEN
        for name, encoded in tensors.items():
            tensor = self.tensors.get(name)
            if tensor is not None and not tensor.dims and encoded.media_type is None and name in described:
                tensor.dims = described[name].get("dims")
            if tensor is not None and not tensor.dims and encoded.media_type is None:
                shapes = {key: item.shape for key, item in tensors.items() if item.media_type is None}
                tensor.dims = infer_dims(name, shapes, steps=steps)
            if tensor is not None and tensor.dims and tensor.dims[-1] == "band" and len(tensor.dims) > 1:
                warn_of_last_bands(name, encoded.shape, stacklevel=6)
        self._begun = True

    def add_times(self, tensors: dict[str, Encoded], datetimes: Any, *, sample: str) -> None:
        """Put in the times of a sample's steps, as a tensor ``<name>_time`` for each tensor that has a time axis.

        Parameters
        ----------
        datetimes : numpy.ndarray or dict of them by tensor
            Microseconds since 1970, UTC.
        """
        self._undo = None
        by_name = datetimes if isinstance(datetimes, dict) else None
        shapes = {name: item.shape for name, item in tensors.items() if item.media_type is None}
        found = False
        for name, shape in shapes.items():
            times = datetimes if by_name is None else by_name.get(name)
            if times is None or f"{name}{TIME}" in tensors:
                continue
            tensor = self.tensors.get(name)
            dims = (tensor.dims if tensor is not None else None) or infer_dims(name, shapes, steps=len(times))
            if by_name is not None and (dims is None or "time" not in dims):
                raise InvalidSampleError(
                    f"sample {sample!r} has datetimes of the tensor {name!r}, which has no axis 'time'; name its axes,"
                    " e.g. Tensor(dims='time band y x')"
                )
            if dims is None or "time" not in dims or len(dims) != len(shape):
                continue
            found = True
            steps = shape[dims.index("time")]
            tensors[f"{name}{TIME}"] = encode_times(times, name=name, steps=steps, sample=sample)
            if f"{name}{TIME}" not in self.tensors and (not self._begun or self._declared):
                self._times[f"{name}{TIME}"] = time_tensor(name, required=tensor is None or tensor.required)
        if not found:
            raise InvalidSampleError(
                f"sample {sample!r} has {len(datetimes)} datetimes, but no tensor with as many steps; name the axes of"
                " the one that has, e.g. Tensor(dims='time band y x')"
            )

    def is_time(self, name: str) -> bool:
        """Whether a tensor holds the times of another one's steps."""
        base = self.tensors.get(name.removesuffix(TIME))
        return name.endswith(TIME) and base is not None and "time" in (base.dims or ())

    # ------------------------------------------------------------------ shards out

    def layouts(self, shapes: Mapping[str, OpenShape | Unseen | None], *, split: str) -> dict[str, str]:
        """The layout of each tensor in a shard whose samples have these shapes.

        The declared layout, else the closest that holds the shard's samples and is no closer than in the shards of the
        split before.

        Raises
        ------
        InvalidSampleError
            If the declared layout cannot hold them.
        """
        before = self._layouts.get(split, {})
        return {name: self._layout_of(name, shape, before.get(name, "stacked")) for name, shape in shapes.items()}

    def _layout_of(self, name: str, shape: OpenShape | Unseen | None, before: str) -> str:
        tensor = self.tensors[name]
        found = "jagged" if tensor.media_type is not None else layout_of(shape)
        asked = tensor.layout or (self._layout if self._layout != "auto" else None)
        if asked is None:
            declared = self._declared_shapes.get(name)
            least = "stacked" if declared is None else layout_of(declared)
            return looser(looser(found, least), before)
        if looser(asked, found) != asked:
            raise InvalidSampleError(
                f"tensor {name!r} is to be {asked}, but its samples have shapes that vary ({shown(shape)}), which need"
                f" the layout {found}; use layout='auto'"
            )
        return asked

    def note_shard(
        self, split: str, shapes: Mapping[str, OpenShape | Unseen | None], layouts: Mapping[str, str]
    ) -> None:
        """Remember what a shard was like, in the order of writing."""
        self._undo = None
        for name, shape in shapes.items():
            self._shapes[name] = join_shapes(self._shapes.get(name, UNSEEN), shape)
        before = self._layouts.get(split, {})
        self._layouts[split] = before | {
            name: looser(before.get(name, "stacked"), layout) for name, layout in layouts.items()
        }

    def to_json(self) -> dict[str, Any]:
        return {
            "shapes": {
                name: None if shape is None else list(shape)
                for name, shape in self._shapes.items()
                if not isinstance(shape, Unseen)
            },
            "layouts": {split: dict(layouts) for split, layouts in self._layouts.items()},
            "tensors": {name: tensor.model_dump(mode="json") for name, tensor in self.tensors.items()},
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take up the description of an unfinished run."""
        self._changed()
        self.tensors = {name: Tensor(**tensor) for name, tensor in data["tensors"].items()}
        self._shapes = dict.fromkeys(self.tensors, UNSEEN)
        self._shapes |= {name: None if shape is None else tuple(shape) for name, shape in data["shapes"].items()}
        self._axes = {name: len(shape) for name, shape in data["shapes"].items() if shape is not None}
        self._met = {name: None if shape is None else tuple(shape) for name, shape in data["shapes"].items()}
        self._layouts = {split: dict(layouts) for split, layouts in data["layouts"].items()}
        self._begun = True

    def absorb(self, data: Mapping[str, Any]) -> None:
        """Take up what the samples of another part had in common; see `to_json`.

        Raises
        ------
        InvalidSampleError
            If its tensors are not those of the parts before.
        """
        if not self._begun:
            self.restore(data)
            return
        others = {name: Tensor(**tensor) for name, tensor in data["tensors"].items()}
        for name in [*others, *self.tensors]:
            if name not in self.tensors or name not in others:
                where = "the parts before have" if name in self.tensors else "it has"
                raise InvalidSampleError(
                    f"{where} a tensor {name!r} that the other lacks; describe it in the collection's tensors (with"
                    " required=False where samples may lack it)"
                )
        for name, other in others.items():
            self._absorb_one(name, other, data["shapes"].get(name, UNSEEN))
        for split, layouts in data["layouts"].items():
            mine = self._layouts.setdefault(split, {})
            mine |= {name: looser(mine.get(name, "stacked"), layout) for name, layout in layouts.items()}

    def _absorb_one(self, name: str, other: Tensor, shape: Any) -> None:
        mine = self.tensors[name]
        for what in ("dtype", "media_type", "dims"):
            here, there = getattr(mine, what), getattr(other, what)
            if here != there and here is not None and there is not None:
                raise InvalidSampleError(
                    f"tensor {name!r} has the {what} {there}, but {here} in the parts before; describe it in the"
                    " collection's tensors, or convert it"
                )
            setattr(mine, what, there if here is None else here)
        if isinstance(shape, Unseen):
            return
        mixed = join_shapes(self._shapes[name], None if shape is None else tuple(shape))
        if mixed is None and mine.media_type is None:
            raise InvalidSampleError(
                f"tensor {name!r} has another number of axes than in the parts before; reshape it, or make it a tensor"
                " of its own"
            )
        self._shapes[name] = mixed
        if mixed is not None:
            self._axes.setdefault(name, len(tuple(shape)))

    def final(self) -> dict[str, Tensor]:
        """The tensors as the collection will say them: with the shapes and layouts that all samples had.

        An optional tensor that no sample had is left out: it has no column in the catalogs, and nobody could read it.
        """
        finals = {}
        for name, tensor in self.tensors.items():
            tensor = tensor.model_copy(deep=True)
            shape = self._shapes[name]
            if isinstance(shape, Unseen) and not tensor.required and name not in self._axes:
                continue
            if not isinstance(shape, Unseen):
                # Stacked in each shard, but of several shapes over the shards, is not what the collection calls
                # stacked.
                layout = layout_of(shape) if tensor.media_type is None else "jagged"
                for layouts in self._layouts.values():
                    layout = looser(layout, layouts.get(name, "stacked"))
                tensor.layout = layout  # type: ignore[assignment]
                tensor.shape = (None,) if tensor.media_type is not None else self._declared_shapes.get(name, shape)
            finals[name] = tensor
        return finals
