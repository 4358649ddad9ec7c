"""Where on Earth and when a collection's samples are."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from mlstac.collection._base import Model, in_document, shorten

WORLD = [[-180.0, -90.0, 180.0, 90.0]]
"""The box of a collection whose place is unknown."""


def _as_utc(value: dt.datetime) -> dt.datetime:
    return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


def _open_interval() -> list[tuple[dt.datetime | None, dt.datetime | None]]:
    return [(None, None)]


def _no_numbers(value: Any) -> Any:
    if isinstance(value, int | float):
        raise ValueError(
            f"expected a time such as '2020-01-31T10:00:00Z', got the number {shorten(value)}; write it as text"
        )
    return value


Time = Annotated[dt.datetime, BeforeValidator(_no_numbers), AfterValidator(_as_utc)]


class Extent(Model):
    """Boxes and time intervals that hold all samples.

    JSON nests them (``spatial.bbox``, ``temporal.interval``); here they are flat.

    References
    ----------
    STAC 1.1, "Collection: extent object".
    """

    bbox: list[list[float]] = Field(default_factory=lambda: [list(box) for box in WORLD], min_length=1)
    """Boxes in WGS 84 degrees: west, south, east, north. The first holds all others; west > east crosses 180°."""

    interval: list[tuple[Time | None, Time | None]] = Field(default_factory=_open_interval, min_length=1)
    """Intervals in UTC, start and end; None is open, and both None say that the time is unknown."""

    @model_validator(mode="before")
    @classmethod
    def _flatten(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not ({"spatial", "temporal"} & set(data)):
            return data
        flat = dict(data)
        for outer, inner in (("spatial", "bbox"), ("temporal", "interval")):
            part = flat.pop(outer, None)
            if not isinstance(part, dict):
                raise ValueError(f"{outer!r} is not an object with {inner!r}; add it")
            if inner not in part:
                raise ValueError(f"{outer}.{inner} is missing; add it")
            flat[inner] = part[inner]
            if len(part) > 1:
                flat[outer] = {key: value for key, value in part.items() if key != inner}
        return flat

    @field_validator("bbox", mode="before")
    @classmethod
    def _one_box(cls, value: Any, info: ValidationInfo) -> Any:
        if in_document(info):
            return value
        if isinstance(value, list | tuple) and value and all(isinstance(item, int | float) for item in value):
            return [list(value)]
        return (
            [list(box) if isinstance(box, tuple) else box for box in value]
            if isinstance(value, list | tuple)
            else value
        )

    @field_validator("bbox")
    @classmethod
    def _in_range(cls, boxes: list[list[float]]) -> list[list[float]]:
        if len(boxes) == 2:
            raise ValueError("two boxes are one too few: put the box that holds both in front of them")
        for box in boxes:
            if len(box) not in (4, 6):
                raise ValueError(f"box {shorten(box)} has {len(box)} numbers; write west, south, east, north")
            west, south, east, north = (box[0], box[1], box[len(box) // 2], box[len(box) // 2 + 1])
            if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= 90 and -90 <= north <= 90):
                raise ValueError(f"box {shorten(box)} leaves the Earth; write degrees of WGS 84 (longitude, latitude)")
            if south > north:
                raise ValueError(f"box {shorten(box)} has south above north; write west, south, east, north")
        return boxes

    @field_validator("interval", mode="before")
    @classmethod
    def _one_interval(cls, value: Any, info: ValidationInfo) -> Any:
        if in_document(info):
            return value
        if (
            isinstance(value, list | tuple)
            and len(value) == 2
            and not any(isinstance(item, list | tuple) for item in value)
        ):
            return [value]
        return value

    @field_validator("interval")
    @classmethod
    def _in_order(cls, intervals: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
        for start, end in intervals:
            if start is not None and end is not None and end < start:
                raise ValueError(f"interval ends ({end.isoformat()}) before it starts ({start.isoformat()}); swap them")
        return intervals

    def _to_object(self) -> dict[str, Any]:
        flat = super()._to_object()
        spatial = {"bbox": flat.pop("bbox"), **flat.pop("spatial", {})}
        temporal = {"interval": flat.pop("interval"), **flat.pop("temporal", {})}
        return {"spatial": spatial, "temporal": temporal, **flat}
