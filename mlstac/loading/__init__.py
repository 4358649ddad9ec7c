"""From rows of a catalog to batches of tensors: which samples, in which order, which bytes, in which memory."""

from mlstac.loading._dataset import Dataset
from mlstac.loading._download import download_dataset
from mlstac.loading._load import load, open_collection
from mlstac.loading._mix import Mixture, mix
from mlstac.loading._open import open_part
from mlstac.loading._original import OriginalSamples, original_samples
from mlstac.loading._ranged import RangedFile, column_ranges
from mlstac.loading._source import find_document
from mlstac.loading._tdml import export_tdml

__all__ = [
    "Dataset",
    "Mixture",
    "OriginalSamples",
    "RangedFile",
    "column_ranges",
    "download_dataset",
    "export_tdml",
    "find_document",
    "load",
    "mix",
    "open_collection",
    "open_part",
    "original_samples",
]
