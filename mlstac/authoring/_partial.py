"""What is known of some of the values of one band, and how two such partials merge into that of their union.

Partials are merged in a fixed order (blocks within a shard, then shards), so that an authoring that was interrupted
ends with the numbers of one that was not, to the last bit.

References
----------
T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances",
1979.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self


@dataclass(frozen=True)
class Partial:
    """What is known of the values of one band.

    Integers keep ``total`` and ``squares``, exact Python integers; floats keep ``mean`` and ``deviations`` (the sum of
    squared deviations from the mean). The other pair is None.
    """

    count: int = 0
    left_out: int = 0
    """Values that are nodata, NaN or infinite."""
    minimum: float | int | None = None
    maximum: float | int | None = None
    total: int | None = None
    squares: int | None = None
    mean: float | None = None
    deviations: float | None = None

    def merge(self, other: Self) -> "Partial":
        """The partial of the values of both; ``self`` comes first."""
        left_out = self.left_out + other.left_out
        if not self.count or not other.count:
            some = self if self.count else other
            return Partial(**{**some.__dict__, "left_out": left_out})
        count = self.count + other.count
        assert self.minimum is not None
        assert self.maximum is not None
        assert other.minimum is not None
        assert other.maximum is not None
        lowest, highest = min(self.minimum, other.minimum), max(self.maximum, other.maximum)
        if self.total is not None and other.total is not None:
            assert self.squares is not None
            assert other.squares is not None
            total, squares = self.total + other.total, self.squares + other.squares
            return Partial(count, left_out, lowest, highest, total=total, squares=squares)
        assert self.mean is not None
        assert other.mean is not None
        assert self.deviations is not None
        assert other.deviations is not None
        step = other.mean - self.mean
        mean = self.mean + step * (other.count / count)
        if not math.isfinite(step):  # from one end of float64 to the other
            mean = self.mean * (self.count / count) + other.mean * (other.count / count)
        return Partial(
            count,
            left_out,
            lowest,
            highest,
            mean=mean,
            deviations=self.deviations + other.deviations + step * step * (self.count * (other.count / count)),
        )

    def summary(self) -> dict[str, float | int] | None:
        """Count, minimum, maximum, mean, stddev (of the population) and valid percent.

        None where every value was left out. Without stddev where values are so large that float64 does not hold the sum
        of their squares.
        """
        if not self.count:
            return None
        if self.total is not None and self.squares is not None:
            mean = float(Fraction(self.total, self.count))
            variance = float(Fraction(self.squares * self.count - self.total**2, self.count**2))
        else:
            assert self.mean is not None
            assert self.deviations is not None
            mean, variance = self.mean, self.deviations / self.count
        assert self.minimum is not None
        assert self.maximum is not None
        return {
            "count": self.count,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "mean": mean,
            **({"stddev": math.sqrt(variance)} if math.isfinite(variance) else {}),
            "valid_percent": 100 * self.count / (self.count + self.left_out),
        }

    def to_json(self) -> dict[str, Any]:
        """Plain numbers; Python's JSON gives every integer and float back exactly."""
        return {name: value for name, value in self.__dict__.items() if value is not None}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Partial":
        return cls(**data)


def merge_bands(some: Sequence[Partial] | None, more: Sequence[Partial] | None) -> list[Partial] | None:
    """Band by band; None where the number of bands differs, for then nothing can be said of bands, nor ever again."""
    if some is None or more is None or len(some) != len(more):
        return None
    return [a.merge(b) for a, b in zip(some, more, strict=True)]
