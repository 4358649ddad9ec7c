"""Samples and places as pictures, with matplotlib (``pip install matplotlib``).

Takes numpy arrays and the collection's descriptions, gives matplotlib figures. Nothing here touches
``matplotlib.pyplot`` or its settings.
"""

from mlstac.pictures._colour import Stretch, measure_stretch, true_colour
from mlstac.pictures._figure import Picture, save, to_png
from mlstac.pictures._footprints import draw_footprints
from mlstac.pictures._preview import draw_preview
from mlstac.pictures._samples import draw_samples

__all__ = [
    "Picture",
    "Stretch",
    "draw_footprints",
    "draw_preview",
    "draw_samples",
    "measure_stretch",
    "save",
    "to_png",
    "true_colour",
]
