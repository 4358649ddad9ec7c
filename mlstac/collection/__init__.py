"""What a dataset says of itself: models of its collection, catalogs, tensors, bands, classes and people.

No arrays here, and no I/O but the reading and saving of a collection.json.
"""

from mlstac.collection._bands import COMMON_NAMES, Band
from mlstac.collection._catalog import Catalog
from mlstac.collection._classes import Class
from mlstac.collection._collection import Collection
from mlstac.collection._document import ML_STAC_VERSION, SCHEMA_URI, STAC_VERSION, used_extensions
from mlstac.collection._dtypes import DTYPES, check_dtype, stac_word
from mlstac.collection._extent import Extent
from mlstac.collection._json import read_json_object
from mlstac.collection._kind import is_original
from mlstac.collection._links import Asset, Link
from mlstac.collection._names import SPLIT_ALIASES, check_name, check_split_name
from mlstac.collection._needs import find_task_problems
from mlstac.collection._people import Address, Contact, Email, Phone, Provider
from mlstac.collection._picture import describe_tensor
from mlstac.collection._sensors import SENSORS
from mlstac.collection._split import Split
from mlstac.collection._split_words import ML_AOI_SPLITS, SPLIT_WORDS, SplitWords, split_of_word, split_words
from mlstac.collection._statistics import Statistics
from mlstac.collection._tasks import TASKS, check_task
from mlstac.collection._tensor import Tensor
from mlstac.collection._words import say_box, say_bytes, say_count, say_dtype, say_interval, say_number, say_shape

__all__ = [
    "COMMON_NAMES",
    "DTYPES",
    "ML_AOI_SPLITS",
    "ML_STAC_VERSION",
    "SCHEMA_URI",
    "SENSORS",
    "SPLIT_ALIASES",
    "SPLIT_WORDS",
    "STAC_VERSION",
    "TASKS",
    "Address",
    "Asset",
    "Band",
    "Catalog",
    "Class",
    "Collection",
    "Contact",
    "Email",
    "Extent",
    "Link",
    "Phone",
    "Provider",
    "Split",
    "SplitWords",
    "Statistics",
    "Tensor",
    "check_dtype",
    "check_name",
    "check_split_name",
    "check_task",
    "describe_tensor",
    "find_task_problems",
    "is_original",
    "read_json_object",
    "say_box",
    "say_bytes",
    "say_count",
    "say_dtype",
    "say_interval",
    "say_number",
    "say_shape",
    "split_of_word",
    "split_words",
    "stac_word",
    "used_extensions",
]
