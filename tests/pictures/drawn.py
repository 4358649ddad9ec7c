"""What was drawn, asked of the figure itself: its words, its panels, its colours."""

import numpy as np
from matplotlib.text import Text


def texts(figure):
    """Every word on the page."""
    return [text.get_text() for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


def panels(figure):
    """The axes of samples by ``number/tensor/frame``."""
    return {axes.get_gid(): axes for axes in figure.axes if axes.get_gid() and "/" in axes.get_gid()}


def picture_of(axes):
    """The array that an axes shows."""
    (image,) = axes.get_images()
    return np.asarray(image.get_array())


def pixels(figure):
    """The page as it comes out: height, width, red green blue."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3]


def overlaps(figure):
    """Pairs of words that lie on one another."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    # ticks belong to the figure's own layout of an axis, which drops what does not fit
    words = [text for text in figure.texts if text.get_text()]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in words]
    return [(a, b) for i, (a, first) in enumerate(boxes) for b, second in boxes[i + 1 :] if first.overlaps(second)]


def outside(figure):
    """Words that leave the page."""
    figure.canvas.draw()
    renderer, page = figure.canvas.get_renderer(), figure.bbox
    extents = [(text.get_text(), text.get_window_extent(renderer)) for text in figure.texts if text.get_text()]
    return [word for word, box in extents if box.x0 < 0 or box.y0 < 0 or box.x1 > page.x1 or box.y1 > page.y1]
