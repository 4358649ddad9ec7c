"""A dataset held against every rule of the format: what is wrong, where, and how to mend it."""

from mlstac.validation._report import Finding, Report
from mlstac.validation._validate import validate

__all__ = ["Finding", "Report", "validate"]
