"""Datasets of the original ML-STAC (0.x), made to look like any other: one safetensors file a sample, or containers.

What they say of themselves (``main.json``) becomes a `Collection`; their files are found by the rules of the versions
that wrote them. Nothing here writes in their form.
"""

from mlstac.loading.original._dataset import Original, open_original
from mlstac.loading.original._describe import describe_collection
from mlstac.loading.original._document import NAME, ContainerSplit, Document, FileSplit, read_document
from mlstac.loading.original._download import download_original
from mlstac.loading.original._files import read_samples
from mlstac.loading.original._rows import make_sample
from mlstac.loading.original._sample_file import SampleFile

__all__ = [
    "NAME",
    "ContainerSplit",
    "Document",
    "FileSplit",
    "Original",
    "SampleFile",
    "describe_collection",
    "download_original",
    "make_sample",
    "open_original",
    "read_document",
    "read_samples",
]
