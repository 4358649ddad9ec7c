"""From rows of a catalog to batches of tensors: which samples, in which order, which bytes, in which memory."""

from mlstac.loading._dataset import Dataset
from mlstac.loading._load import load, open_collection
from mlstac.loading._mix import Mixture, mix

__all__ = ["Dataset", "Mixture", "load", "mix", "open_collection"]
