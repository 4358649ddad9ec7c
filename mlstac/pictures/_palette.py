"""Colours that most people can tell apart, those with a colour vision deficiency too.

References
----------
M. Okabe and K. Ito, "Color Universal Design: how to make figures and presentations that are friendly to colorblind
people", 2008.
"""

from collections.abc import Iterable

INK = "#1f2328"
"""Of titles and names."""

FAINT = "#6a737d"
"""Of what explains: captions, ticks, scale bars."""

EMPTY = "#d8dade"
"""Where there is no data."""

_OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#3B3B3B")
# For long lists of classes: further colours after the eight, as far from them as there is room.
_MORE = ("#882255", "#999933", "#332288", "#DDCC77", "#8C8C8C", "#661100")
# Two classes are mostly a thing and the rest: the rest stands back.
_PAIR = ("#E9E3D5", "#0072B2")
_SPLITS = {"train": "#0072B2", "validation": "#E69F00", "test": "#009E73"}


def class_colours(values: Iterable[int], hints: dict[int, str] | None = None, *, ground: bool = True) -> dict[int, str]:
    """Give every class a colour: the author's hint where there is one, else the palette's next.

    Parameters
    ----------
    values : iterable of int
        The classes' values, in the order of the collection; a value's colour depends on its place alone.
    hints : dict, optional
        Colours by value that the collection brings, as ``#RRGGBB``.
    ground : bool, optional
        Whether the classes cover the ground: of two, the first then is a quiet colour.

    Returns
    -------
    dict
        Colour by value, as ``#RRGGBB``.
    """
    wanted = list(values)
    palette = _PAIR if ground and len(wanted) == 2 and not hints else _OKABE_ITO + _MORE
    colours = {value: _nth_colour(palette, place) for place, value in enumerate(wanted)}
    return colours | {value: hint for value, hint in (hints or {}).items() if value in colours}


def split_colours(splits: Iterable[str]) -> dict[str, str]:
    """Give every split a colour; train, validation and test have always the same."""
    others = [colour for colour in _OKABE_ITO if colour not in _SPLITS.values()]
    colours: dict[str, str] = {}
    for split in splits:
        extra = sum(known not in _SPLITS for known in colours)
        colours[split] = _SPLITS.get(split) or _nth_colour(others, extra)
    return colours


def _nth_colour(palette: tuple[str, ...] | list[str], place: int) -> str:
    """The palette's colours, then the same lighter, then darker, and again from the start."""
    colour = palette[place % len(palette)]
    towards, share = [(0, 0.0), (255, 0.5), (0, 0.45)][place // len(palette) % 3]
    channels = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return "#" + "".join(f"{round(channel + (towards - channel) * share):02X}" for channel in channels)
