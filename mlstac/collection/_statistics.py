"""Statistics of one band or tensor, as STAC 1.1 has them."""

from __future__ import annotations

from pydantic import Field

from mlstac.collection._base import Model


class Statistics(Model):
    """Statistics of the values of the train split, nodata left out.

    References
    ----------
    STAC 1.1, "Common metadata: statistics object".
    """

    minimum: float | None = None
    """Smallest value."""

    maximum: float | None = None
    """Largest value."""

    mean: float | None = None
    """Arithmetic mean."""

    stddev: float | None = None
    """Standard deviation of the population (divided by count, not count - 1)."""

    count: int | None = Field(default=None, ge=0)
    """Number of valid values."""

    valid_percent: float | None = Field(default=None, ge=0, le=100)
    """Share of values that are valid, in percent."""
