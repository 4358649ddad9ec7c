"""What people have already, made into datasets: folders of images, other libraries' formats, the original ML-STAC's."""

from mlstac.conversion._convert import convert
from mlstac.conversion._source import KINDS, check_kind, detect_kind

__all__ = ["KINDS", "check_kind", "convert", "detect_kind"]
