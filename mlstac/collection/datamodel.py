"""The models under the name that users of the original ML-STAC know: ``mlstac.collection.datamodel.Collection``."""

from mlstac.collection._bands import Band
from mlstac.collection._catalog import Catalog
from mlstac.collection._classes import Class
from mlstac.collection._collection import Collection
from mlstac.collection._extent import Extent
from mlstac.collection._links import Asset, Link
from mlstac.collection._people import Contact, Provider
from mlstac.collection._split import Split
from mlstac.collection._statistics import Statistics
from mlstac.collection._tensor import Tensor

__all__ = [
    "Asset",
    "Band",
    "Catalog",
    "Class",
    "Collection",
    "Contact",
    "Extent",
    "Link",
    "Provider",
    "Split",
    "Statistics",
    "Tensor",
]
