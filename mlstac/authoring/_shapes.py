"""What shapes have in common, and the layout that follows from it."""

from typing import Final

from mlstac.errors import InvalidArgumentError

Shape = tuple[int, ...]
OpenShape = tuple[int | None, ...]
"""A shape whose None axes vary."""

LAYOUTS: Final = ("stacked", "jagged", "keyed", "single")


def check_layout(layout: str) -> None:
    """Raise InvalidArgumentError if a layout is named that is none."""
    if layout not in ("auto", *LAYOUTS):
        raise InvalidArgumentError(f"layout {layout!r} is not known; choose one of auto, {', '.join(LAYOUTS)}")


class Unseen:
    """No sample has had the tensor yet."""


UNSEEN: Final = Unseen()


def join_shapes(some: OpenShape | Unseen | None, more: OpenShape | Unseen | None) -> OpenShape | Unseen | None:
    """The narrowest open shape that holds both; None where even the number of axes varies."""
    if isinstance(some, Unseen):
        return more
    if isinstance(more, Unseen):
        return some
    if some is None or more is None or len(some) != len(more):
        return None
    return tuple(a if a == b else None for a, b in zip(some, more, strict=True))


def holds(declared: OpenShape, shape: Shape) -> bool:
    """Whether a sample's shape is one that was declared."""
    return len(declared) == len(shape) and all(a is None or a == b for a, b in zip(declared, shape, strict=True))


def layout_of(shape: OpenShape | Unseen | None) -> str:
    """The closest layout that can hold samples of this open shape."""
    if isinstance(shape, Unseen):
        return "stacked"
    if shape is None:
        return "keyed"
    if None not in shape:
        return "stacked"
    return "jagged" if None not in shape[1:] else "keyed"


def looser(some: str, more: str) -> str:
    """The one of two layouts that can hold more."""
    return some if LAYOUTS.index(some) >= LAYOUTS.index(more) else more
