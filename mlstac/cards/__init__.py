"""What a dataset says of itself in other people's words: the dataset card, Croissant, TrainingDML-AI.

Text made of a collection's models; nothing here opens a file or knows an array.
"""

from mlstac.cards._card import CROISSANT_FILE, FOOTPRINTS_FILE, README, SAMPLES_FILE, make_card, name_source
from mlstac.cards._croissant import Grid, make_croissant
from mlstac.cards._front_matter import front_matter, size_category
from mlstac.cards._licenses import HUB_LICENSES, license_fields
from mlstac.cards._signature import is_same, read_signature, sign
from mlstac.cards._tdml import TdmlSample, make_tdml

__all__ = [
    "CROISSANT_FILE",
    "FOOTPRINTS_FILE",
    "HUB_LICENSES",
    "README",
    "SAMPLES_FILE",
    "Grid",
    "TdmlSample",
    "front_matter",
    "is_same",
    "license_fields",
    "make_card",
    "make_croissant",
    "make_tdml",
    "name_source",
    "read_signature",
    "sign",
    "size_category",
]
